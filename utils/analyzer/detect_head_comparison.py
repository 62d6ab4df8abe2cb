"""Our scores beside those of TransformerLens's own `detect_head` on the same sequences.

The rescaling is docs/METHODS.md, section 2.

`detect_head` with "mul" and no exclusions gives the share of all attention of a head that lies on a role's
pairs of positions. A row of attention sums to 1, so that times the number of tokens n it is the mass on them,
and over the number of query positions it is our score, where both count the same query positions. They differ
in few, which are taken out here: `detect_head` counts row 1 for the previous token, and, where no BOS goes
first, the first token as an earlier copy of itself.

It takes text only, so the sequences are such as come back from their own text unchanged.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from tokenizers.processors import TemplateProcessing
from torch import Tensor
from transformer_lens.head_detector import (
    HeadName,
    detect_head,
    get_duplicate_token_head_detection_pattern,
    get_induction_head_detection_pattern,
    get_previous_token_head_detection_pattern,
)

from utils.analyzer.bridge_patterns import BridgePatterns
from utils.errors import UserFacingError
from utils.models.loading import LoadedModel, unknown_tokens
from utils.roles.probe_inputs import SEGMENT_LENGTH
from utils.roles.role_score import RoleTarget
from utils.roles.scores import RoleScorer
from utils.runtime.jobs import Progress

# The two may differ by this much: both compute in float32.
TOLERANCE = 1e-6
# With fewer tokens the repetition is too close to tell induction from looking one token back.
_SHORTEST_SEGMENT = 3
# Tokens that are tried for a place in the sequences, and sequences for each one that is wanted.
_TRIED_TOKENS = 4000
_TRIED_SEQUENCES = 20


@dataclass(frozen=True)
class _Detector:
    """What `detect_head` calls a role, and how it makes its pattern [query, key] from token ids [1, n]."""

    name: HeadName
    pattern: Callable[[Tensor], Tensor]


DETECTORS: dict[str, _Detector] = {
    "previous_token": _Detector("previous_token_head", get_previous_token_head_detection_pattern),
    "duplicate_token": _Detector("duplicate_token_head", get_duplicate_token_head_detection_pattern),
    "induction": _Detector("induction_head", get_induction_head_detection_pattern),
}


@dataclass(frozen=True)
class TextSequence:
    """A sequence that is the same as text and as token ids, BOS included in the ids alone."""

    text: str
    tokens: tuple[int, ...]


@dataclass(frozen=True)
class Agreement:
    """How far the two are apart.

    Attributes:
        sequences: how many were compared.
        length: tokens in each.
        largest: for each role the largest absolute difference, over sequences and heads, after rescaling.
    """

    sequences: int
    length: int
    largest: dict[str, float]

    @property
    def within_tolerance(self) -> bool:
        """Whether all roles agree to 1e-6."""
        return max(self.largest.values()) <= TOLERANCE


def compare(
    loaded: LoadedModel,
    source: BridgePatterns,
    sequences: Sequence[TextSequence],
    progress: Progress = lambda what, done, total: None,
) -> Agreement:
    """Score sequences by `detect_head` and by us, and rescale its values to ours.

    Args:
        loaded: the model.
        source: the same model in TransformerLens.
        sequences: of one length, from `text_sequences`.
        progress: called after every sequence.
    """
    texts = {sequence.tokens: sequence.text for sequence in sequences}
    largest = dict.fromkeys(DETECTORS, 0.0)
    done = 0
    for chunk in source.patterns(list(texts)):
        scorer = RoleScorer.of_sequences(list(DETECTORS), chunk.sequences, loaded.special_ids)
        scores = [scorer.scores(attention) for attention in chunk.layers]
        for number, tokens in enumerate(chunk.sequences):
            attention = torch.stack([layer[number] for layer in chunk.layers]).double().cpu()
            for role, detector in DETECTORS.items():
                value = detect(loaded, source, texts[tuple(tokens)], detector.name)
                looked_at = detector.pattern(torch.tensor([tokens])) > 0
                theirs = rescaled(value, attention, looked_at, scorer.targets[role][number])
                ours = torch.stack([layer[role][number] for layer in scores]).double().cpu()
                largest[role] = max(largest[role], float((theirs - ours).abs().max()))
            done += 1
            progress("comparing with detect_head", done, len(sequences))
    return Agreement(len(sequences), len(sequences[0].tokens), largest)


def rescaled(value: Tensor, attention: Tensor, looked_at: Tensor, target: RoleTarget) -> Tensor:
    """What `detect_head` gave for one sequence, brought to our scale and our query positions.

    Args:
        value: its value [layer, head].
        attention: [layer, head, query, key].
        looked_at: its own pattern, bool [query, key].
        target: ours.

    Raises:
        ValueError: the two look at different keys from one query position, and cannot be compared.
    """
    ours = target.mask.any(-1)
    if not torch.equal(looked_at[ours], target.mask[ours]):
        raise ValueError(
            "detect_head looks at other keys here: compare on sequences without adjacent repeats."
        )
    elsewhere = attention[..., ~ours, :] * looked_at[~ours]
    return (value.double() * len(looked_at) - elsewhere.sum((-2, -1))) / target.rows


def detect(loaded: LoadedModel, source: BridgePatterns, text: str, name: HeadName) -> Tensor:
    """`detect_head` as released, on one text, with BOS first just where we put it; [layer, head]."""
    with _start_token(source.bridge, loaded), torch.inference_mode():
        return detect_head(source.bridge, text, name)


def text_sequences(
    loaded: LoadedModel, source: BridgePatterns, count: int, seed: int = 0
) -> list[TextSequence]:
    """Sequences of 25 random tokens, none twice, and the same 25 again, that their own text gives back.

    Most tokens do not survive among others (a piece of a word joins its neighbour): the sequences are drawn
    from those that do, and the segments are shorter where a small vocabulary has fewer than 25 of them.

    Args:
        loaded: the model.
        source: the same model in TransformerLens, whose way of reading text counts.
        count: how many.
        seed: the same seed gives the same sequences.

    Raises:
        UserFacingError: not so many come back unchanged.
    """
    rng = random.Random(f"detect_head-{seed}")
    with _start_token(source.bridge, loaded):
        steady = _steady_tokens(loaded, source.bridge, rng)
        length = min(SEGMENT_LENGTH, len(steady))
        found: dict[tuple[int, ...], TextSequence] = {}
        if length >= _SHORTEST_SEGMENT:
            for _ in range(_TRIED_SEQUENCES * count):
                segment = rng.sample(steady, length)
                sequence = _through_text(loaded, source.bridge, segment + segment)
                if sequence is not None:
                    found[sequence.tokens] = sequence
                if len(found) == count:
                    return list(found.values())
    raise UserFacingError(
        f"detect_head takes text only, and {len(found)} of {count} sequences of {loaded.name} come back from "
        "their text unchanged.",
        "Ask for fewer with --sequences." if found else "This tokenizer cannot be compared.",
    )


def _steady_tokens(loaded: LoadedModel, bridge: Any, rng: random.Random) -> list[int]:
    """Tokens that come back from their text when they stand three times in a row."""
    never_drawn = loaded.special_ids | unknown_tokens(loaded)
    vocabulary = [token for token in range(len(loaded.tokenizer)) if token not in never_drawn]
    tried = rng.sample(vocabulary, min(_TRIED_TOKENS, len(vocabulary)))
    return [token for token in tried if _through_text(loaded, bridge, [token] * 3) is not None]


def _through_text(loaded: LoadedModel, bridge: Any, tokens: Sequence[int]) -> TextSequence | None:
    """The sequence, BOS first where the model is given one; None where its text is read otherwise."""
    text = loaded.tokenizer.decode(list(tokens), clean_up_tokenization_spaces=False)
    start = () if loaded.bos_id is None else (loaded.bos_id,)
    ids = (*start, *tokens)
    read = bridge.to_tokens(text, truncate=False)[0].tolist() if isinstance(text, str) and text else []
    return TextSequence(text, ids) if tuple(read) == ids and isinstance(text, str) else None


@contextmanager
def _start_token(bridge: Any, loaded: LoadedModel) -> Iterator[None]:
    """Let TransformerLens put first what we do, or nothing; its own habit differs between families.

    What it puts first is its tokenizer's BOS, which need not be what the model saw there in training.
    """
    habit, backend = bridge.cfg.default_prepend_bos, bridge.tokenizer.backend_tokenizer
    template = backend.post_processor
    bridge.cfg.default_prepend_bos = loaded.bos_id is not None
    if loaded.bos_id is not None and loaded.bos_id != bridge.tokenizer.bos_token_id:
        start = str(loaded.tokenizer.convert_ids_to_tokens(loaded.bos_id))
        backend.post_processor = TemplateProcessing(
            single=f"{start} $A", special_tokens=[(start, loaded.bos_id)]
        )
    try:
        yield
    finally:
        bridge.cfg.default_prepend_bos, backend.post_processor = habit, template
