"""Which prompts a catalog may suggest for a role: those that activate it on that model, by the live check."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from torch import Tensor

from utils.heads import Head
from utils.roles.activity import prompt_scores
from utils.roles.random_heads import LOGIT_STDS, MAX_ACTIVE, random_head_patterns
from utils.roles.registry import ROLES
from utils.roles.scores import score_of
from utils.roles.written import Written

# How many prompts a role suggests.
SUGGESTED_PROMPTS = 3
# Random heads that a prompt is tried on, for each spread of logits: enough to know 5% to within 1.4 points.
TRIED_HEADS = 1000


@dataclass(frozen=True, eq=False)
class RunPrompt:
    """A prompt as the model read it.

    Attributes:
        text: what a student would type.
        tokens: its n token ids, BOS included where the model is given one.
        attention: its patterns [layer, head, query, key].
        written: what the heads write, None where nobody asked.
    """

    text: str
    tokens: Sequence[int]
    attention: Tensor
    written: Written | None = None


def active_heads(
    role: str,
    heads: Sequence[tuple[Head, float]],
    prompt: RunPrompt,
    special_ids: Collection[int] = (),
    windows: Sequence[int | None] | None = None,
) -> list[Head]:
    """Those of a role's listed heads that the live check calls active on a prompt.

    Args:
        role: the role's key.
        heads: the role's list, with catalog scores.
        prompt: the prompt.
        special_ids: ids that never count as a repetition.
        windows: how many keys each layer sees, None for all of them.
    """
    scores = prompt_scores(prompt.attention, prompt.tokens, [role], special_ids, windows, prompt.written)
    return [head for head, score in heads if scores.activity(role, head, score).is_active]


def false_positive_rate(
    role: str,
    tokens: Sequence[int],
    special_ids: Collection[int] = (),
    count: int = TRIED_HEADS,
    seed: int = 0,
    window: int | None = None,
) -> float:
    """The share of random heads that the live check calls active on these tokens.

    Each is judged as a head that reached the role's threshold in the catalog and no more. The share is the
    largest one over `random_heads.LOGIT_STDS`.

    Args:
        role: a measured role.
        tokens: token ids.
        special_ids: ids that never count as a repetition.
        count: how many random heads, for each spread of logits.
        seed: of the random heads.
        window: how many keys they see, None for all.
    """
    threshold = ROLES[role].threshold
    shares = []
    for logit_std in LOGIT_STDS:
        patterns = random_head_patterns(len(tokens), logit_std, count, seed, window)
        # As many layers of one head: a layer's window is then that of its head.
        scores = prompt_scores(patterns[:, None], tokens, [role], special_ids, [window] * count)
        active = [scores.activity(role, Head(number, 0), threshold).is_active for number in range(count)]
        shares.append(sum(active) / count)
    return max(shares)


def beats_chance(
    role: str,
    tokens: Sequence[int],
    special_ids: Collection[int] = (),
    windows: Collection[int | None] = (None,),
) -> bool:
    """Whether a prompt tells heads of this role from random ones: under 5% of those pass for active.

    A role without a chance level is exempt: random heads with small logits do spread their attention and are
    rightly called diffuse; and what random heads would write is measured by `benchmarks/thresholds.py`.

    Args:
        role: as in `false_positive_rate`.
        tokens: as in `false_positive_rate`.
        special_ids: as in `false_positive_rate`.
        windows: how many keys the role's heads see, None for all; each kind is tried.
    """
    # A window as long as the prompt hides nothing.
    tried = {None if window is None or window >= len(tokens) else window for window in windows}
    return score_of(role).chance is None or all(
        false_positive_rate(role, tokens, special_ids, window=window) < MAX_ACTIVE for window in tried
    )


def choose_prompts(
    role: str,
    heads: Sequence[tuple[Head, float]],
    prompts: Sequence[RunPrompt],
    special_ids: Collection[int] = (),
    windows: Sequence[int | None] | None = None,
) -> list[str]:
    """The first three prompts that make the role's top head active, and few random heads.

    Where none activates the top head, those that activate another listed head; an empty list where there are
    none either, or where the role has no heads.

    Args:
        role: the role's key.
        heads: its list, the top head first.
        prompts: the candidates, in order of preference.
        special_ids: as in `active_heads`.
        windows: as in `active_heads`.
    """
    if not heads or not ROLES[role].measured:
        return []
    seen = {windows[head.layer] if windows else None for head, _ in heads}
    runs = [(prompt, active_heads(role, heads, prompt, special_ids, windows)) for prompt in prompts]

    def first(candidates: Iterable[RunPrompt]) -> list[str]:
        # One after the other: trying a prompt on random heads takes longer than all the rest.
        good = (prompt.text for prompt in candidates if beats_chance(role, prompt.tokens, special_ids, seen))
        return list(islice(good, SUGGESTED_PROMPTS))

    by_top = first(prompt for prompt, active in runs if heads[0][0] in active)
    return by_top or first(prompt for prompt, active in runs if active)
