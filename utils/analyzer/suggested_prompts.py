"""Which prompts a catalog may suggest for a role: those that wake it on that model, by the live check."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from torch import Tensor

from utils.heads import Head
from utils.roles.activity import is_active, role_input, summarize_heads
from utils.roles.random_heads import LOGIT_STDS, MAX_ACTIVE, random_head_patterns
from utils.roles.registry import ROLES
from utils.roles.scores import max_attention, role_score

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
    """

    text: str
    tokens: Sequence[int]
    attention: Tensor


def waking_heads(
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
    listed = [{"layer": head.layer, "head": head.head, "score": score} for head, score in heads]
    categories = {role: {"top_heads": listed}}
    summary = summarize_heads(prompt.attention, prompt.tokens, categories, special_ids, windows)
    return [Head(entry["layer"], entry["head"]) for entry in summary[role] if entry["is_active"]]


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
    asked = role_input(role, tokens, special_ids, window)
    shares = []
    for logit_std in LOGIT_STDS:
        patterns = random_head_patterns(len(tokens), logit_std, count, seed, window)
        scores = role_score(role, patterns, tokens, special_ids).tolist()
        peaks = max_attention(patterns).tolist()
        threshold = ROLES[role].threshold
        active = [is_active(asked, live, threshold, peak) for live, peak in zip(scores, peaks, strict=True)]
        shares.append(sum(active) / count)
    return max(shares)


def beats_chance(
    role: str,
    tokens: Sequence[int],
    special_ids: Collection[int] = (),
    windows: Collection[int | None] = (None,),
) -> bool:
    """Whether a prompt tells heads of this role from random ones: under 5% of those pass for active.

    Diffuse is exempt: random heads with small logits do spread their attention and are rightly called so.

    Args:
        role: as in `luck`.
        tokens: as in `luck`.
        special_ids: as in `luck`.
        windows: how many keys the role's heads see, None for all; each kind is tried.
    """
    # A window as long as the prompt hides nothing.
    tried = {None if window is None or window >= len(tokens) else window for window in windows}
    return role == "diffuse" or all(
        false_positive_rate(role, tokens, special_ids, window=window) < MAX_ACTIVE for window in tried
    )


def choose_prompts(
    role: str,
    heads: Sequence[tuple[Head, float]],
    prompts: Sequence[RunPrompt],
    special_ids: Collection[int] = (),
    windows: Sequence[int | None] | None = None,
) -> list[str]:
    """The first three prompts that make the role's top head active, and on which luck does not.

    Where none wakes the top head, those that wake another listed head; an empty list where there are none
    either, or where the role has no heads.

    Args:
        role: the role's key.
        heads: its list, the top head first.
        prompts: the candidates, in order of preference.
        special_ids: as in `waking_heads`.
        windows: as in `waking_heads`.
    """
    if not heads or not ROLES[role].measured:
        return []
    seen = {windows[head.layer] if windows else None for head, _ in heads}
    awake = [(prompt, waking_heads(role, heads, prompt, special_ids, windows)) for prompt in prompts]

    def first(candidates: Iterable[RunPrompt]) -> list[str]:
        # One after the other: trying a prompt on random heads takes longer than all the rest.
        good = (prompt.text for prompt in candidates if beats_chance(role, prompt.tokens, special_ids, seen))
        return list(islice(good, SUGGESTED_PROMPTS))

    by_top = first(prompt for prompt, active in awake if heads[0][0] in active)
    return by_top or first(prompt for prompt, active in awake if active)
