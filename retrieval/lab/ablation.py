"""What becomes of one prompt's answer when the top heads of a ranking are off, against as many random heads.

One random draw says little (docs/METHODS.md, section 4): there are several of each kind, uniform over all
other heads and layer-matched, by seed (`utils.effects.random_sets`). The prompt is read once with all heads
on; each set computes only the layers from its lowest head on (`retrieval.reading.ablated_answers`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from retrieval.filings.grading import is_right, sentence_end
from retrieval.lab.progress import TokenProgress
from retrieval.lab.samples import NEW_TOKENS
from retrieval.reading.ablated_answers import answers_with_heads_off
from utils.effects.random_sets import KINDS, RandomSets, SetKind, draw_sets
from utils.errors import UserFacingError
from utils.forward.ablation import AblationMode, check_heads
from utils.heads import Head
from utils.models.loading import LoadedModel
from utils.models.tokenizer_panics import panics_explained
from utils.runtime.jobs import Progress

DRAWS = 5
# Bounds of one batch, in rows and tokens: between two batches a job tells how far it is and hears whether
# anybody still waits. On two cores more tokens at once gain nothing.
BATCH = 8
BATCH_TOKENS = 2048
WHAT = "answering with heads ablated"
# On two cores a token of a dozen answers takes the real model as long as reading 170 tokens of a prompt of
# 250. Counted as fewer, since most answers end long before their last.
LEAST_TOKENS = 100


@dataclass(frozen=True)
class Outcome:
    """The answer with a set of heads ablated.

    Attributes:
        heads: the set, sorted.
        text: the answer.
        right: whether it is the true one; None where the truth is not known.
        same: whether it is the answer that all heads on give.
        truth_probability: the model's probability of the true answer's tokens, one after the other; None
            where the truth is not known.
    """

    heads: tuple[Head, ...]
    text: str
    right: bool | None
    same: bool
    truth_probability: float | None


@dataclass(frozen=True)
class LabAblation:
    """The top heads ablated, against random heads.

    Attributes:
        clean: all heads on.
        tested: the top heads ablated; equal to `clean` for none.
        controls: the random draws of each kind, in order; empty where no heads are off.
        caveats: for each kind, what a reader should know about its draws, "" for nothing.
        mode: what was put in the heads' place.
        seed: of the draws.
    """

    clean: Outcome
    tested: Outcome
    controls: Mapping[SetKind, tuple[Outcome, ...]]
    caveats: Mapping[SetKind, str]
    mode: AblationMode
    seed: int


def most_heads(loaded: LoadedModel) -> int:
    """The largest set that can be compared with random ones: half of the heads."""
    return loaded.geometry.n_layers * loaded.geometry.n_heads // 2


def suitable_k(loaded: LoadedModel) -> int:
    """How many heads are off to begin with: an eighth of them, at most 20."""
    return max(1, min(20, loaded.geometry.n_layers * loaded.geometry.n_heads // 8))


def truth_tokens(loaded: LoadedModel, ids: Sequence[int], truth: str) -> tuple[int, ...]:
    """The true answer as the model would write it after the prompt: with the space before it, cut to fit."""
    if not truth:
        return ()
    with panics_explained():
        tokens = loaded.text_tokenizer.encode(f" {truth}", add_special_tokens=False).ids
    return tuple(tokens[: min(NEW_TOKENS, loaded.context_length - len(ids) + 1)])


def ablate_top(
    loaded: LoadedModel,
    ids: Sequence[int],
    truth: str,
    top: Sequence[Head],
    mode: AblationMode = "zero",
    draws: int = DRAWS,
    seed: int = 0,
    progress: Progress = lambda what, done, total: None,
) -> LabAblation:
    """Answer the prompt with `top` off and with as many random heads ablated.

    Args:
        loaded: the model.
        ids: the prompt.
        truth: the true answer, "" where it is not known.
        top: the heads under test, none of them twice; at most half of the model's.
        mode: what is put in their place.
        draws: random sets of each kind.
        seed: of the draws.
        progress: called after each layer, in tokens times layers; an exception from it ends the work with
            the batch.

    Raises:
        UserFacingError: heads that the model does not have, or too many of them.
    """
    check_heads(top, loaded.geometry, loaded.name)
    if len(top) > most_heads(loaded):
        raise UserFacingError(
            f"{len(top)} heads are more than half of the heads of {loaded.name}.",
            f"Choose at most {most_heads(loaded)}.",
        )
    tested = tuple(sorted(top))
    drawn: dict[SetKind, RandomSets] = {}
    for kind in KINDS if tested else ():
        drawn[kind] = draw_sets(loaded.geometry, tested, kind, draws, seed)
    # The same set may come up again: each is run once.
    sets = list(dict.fromkeys([(), tested, *(one for kind in drawn.values() for one in kind.sets)]))
    rows = max(1, min(BATCH, BATCH_TOKENS // len(ids)))
    # The prompt is read once more than there are sets; what is replayed below their heads counts as read.
    # Then come the answers, a token of all at a time; they may end before their last.
    a_token = max(len(sets), LEAST_TOKENS)
    total = loaded.geometry.n_layers * (len(ids) * (len(sets) + 1) + a_token * NEW_TOKENS)
    meter = TokenProgress(progress, total, WHAT, LEAST_TOKENS)
    with meter.listening(loaded):
        found = answers_with_heads_off(
            loaded,
            ids,
            sets,
            mode,
            NEW_TOKENS,
            rows,
            [sentence_end] * len(sets),
            lambda done: meter.step(WHAT),
            truth_tokens(loaded, ids, truth),
        )
    answers = dict(zip(sets, found, strict=True))

    def outcome(heads: tuple[Head, ...]) -> Outcome:
        answer = answers[heads]
        right = is_right(answer.text, truth) if truth else None
        return Outcome(heads, answer.text, right, answer.text == answers[()].text, answer.truth_probability)

    controls: dict[SetKind, tuple[Outcome, ...]] = {}
    caveats: dict[SetKind, str] = {}
    for kind, each in drawn.items():
        controls[kind], caveats[kind] = tuple(map(outcome, each.sets)), each.caveat
    return LabAblation(
        clean=outcome(()),
        tested=outcome(tested),
        controls=MappingProxyType(controls),
        caveats=MappingProxyType(caveats),
        mode=mode,
        seed=seed,
    )
