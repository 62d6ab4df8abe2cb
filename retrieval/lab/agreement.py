"""How alike two rankings of the heads are: one prompt's, and the same method's over many prompts."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from utils.catalog.rankings import rank_order

# Two rankings are compared by their order and by the heads at their top.
TOP_SHARE = 0.1


@dataclass(frozen=True)
class Agreement:
    """How alike two rankings are.

    Attributes:
        correlation: Spearman's rank correlation over all heads; None where one of them ties all heads.
        top: how many heads count as the top.
        shared: how many of them both have.
        by_chance: how many two random rankings would share on average.
    """

    correlation: float | None
    top: int
    shared: int
    by_chance: float


def scored_heads(scores: Tensor) -> int:
    """How many heads have a score above 0: from there on a ranking orders nothing."""
    return int((scores > 0).sum())


def agreement(one: Tensor, other: Tensor) -> Agreement:
    """Compare two rankings of the same heads.

    Args:
        one: scores [layer, head].
        other: the other's.
    """
    total = one.numel()
    top = max(1, round(TOP_SHARE * total))
    shared = len(set(rank_order(one)[:top]) & set(rank_order(other)[:top]))
    return Agreement(_spearman(one.flatten(), other.flatten()), top, shared, top * top / total)


def _spearman(one: Tensor, other: Tensor) -> float | None:
    """The rank correlation of two score vectors [head]; None where one of them is constant."""
    # Importing it takes a second, which the app need not wait for when it starts.
    from scipy import stats

    if any(bool((scores == scores[0]).all()) for scores in (one, other)):
        return None
    result: Any = stats.spearmanr(one.numpy(), other.numpy())
    return float(result.statistic)
