"""How alike two sets of top heads are: by their names in models of one shape, by depth in any two models.

A head's name means something within one model, and in models of one descent (a base model and what was tuned
from it). Layer 3 of 4 and layer 24 of 32 are compared by relative depth instead: 0 in the first layer, 1 in
the last (docs/METHODS.md, section 4).
"""

from collections.abc import Collection, Hashable, Sequence
from functools import lru_cache
from math import comb

import numpy as np

from utils.heads import Head

_CHANCE_DRAWS = 2000


def relative_depths(heads: Sequence[Head], n_layers: int) -> list[float]:
    """Relative depth of each head, layer / (n_layers - 1); 0 for the heads of a model with one layer.

    Raises:
        ValueError: a head is in none of the layers.
    """
    if any(head.layer >= n_layers for head in heads):
        raise ValueError(f"every head must be in one of {n_layers} layers.")
    return [head.layer / max(1, n_layers - 1) for head in heads]


def depth_distance(one: Sequence[float], other: Sequence[float]) -> float:
    """How far apart two sets of heads lie, as a share of the model's depth: 0 alike, 1 first and last layer.

    The mean distance by which the depths of one set must move to become those of the other (the Wasserstein-1
    or earth mover's distance of the two distributions); the sets need not have one size.

    Raises:
        ValueError: a set is empty.
    """
    if not one or not other:
        raise ValueError("both sets must hold a head.")
    # Importing it takes a second, which the app need not wait for when it starts.
    from scipy import stats

    return float(stats.wasserstein_distance(one, other))


@lru_cache(maxsize=256)
def chance_depth_distance(
    one: tuple[int, int], k: int, other: tuple[int, int], other_k: int, seed: int = 0
) -> float:
    """Mean `depth_distance` of random heads of two models.

    Args:
        one: layers and heads a layer of one model.
        k: how many of its heads are drawn, each at most once.
        other: the other model's layers and heads a layer.
        other_k: how many of that one's.
        seed: of the draws; the mean over 2,000 of them is exact to about 0.002.
    """
    rng = np.random.default_rng(seed)

    def drawn(shape: tuple[int, int], count: int) -> list[float]:
        picked = rng.choice(shape[0] * shape[1], size=count, replace=False)
        return list((picked // shape[1]) / max(1, shape[0] - 1))

    distances = [depth_distance(drawn(one, k), drawn(other, other_k)) for _ in range(_CHANCE_DRAWS)]
    return float(np.mean(distances))


def shared_by_layer(one: Collection[Head], other: Collection[Head], n_heads: int) -> list[float]:
    """How likely random sets with as many heads in each layer as these two share 0, 1, 2, ... heads.

    A stricter chance than that of any random sets: tops in the same few layers share heads by that alone.

    Args:
        one: heads of a set.
        other: heads of another set.
        n_heads: heads a layer.

    Returns:
        The probability of each number of common heads, from 0 on: a sum of hypergeometric numbers over
        layers.
    """
    chances = np.ones(1)
    first, second = layer_counts(sorted(one)), layer_counts(sorted(other))
    for layer in sorted(set(first) & set(second)):
        a, b = first[layer], second[layer]
        ways = [comb(a, m) * comb(n_heads - a, b - m) / comb(n_heads, b) for m in range(min(a, b) + 1)]
        chances = np.convolve(chances, ways)
    return [float(chance) for chance in chances]


def chance_jaccard_by_layer(one: Collection[Head], other: Collection[Head], n_heads: int) -> float:
    """The mean Jaccard overlap of random sets with as many heads in each layer as these two have.

    Raises:
        ValueError: both are empty.
    """
    total = len(one) + len(other)
    if not total:
        raise ValueError("the overlap of two empty sets is not defined.")
    return sum(p * m / (total - m) for m, p in enumerate(shared_by_layer(one, other, n_heads)))


def layer_counts(heads: Sequence[Head]) -> dict[int, int]:
    """How many of the heads each layer has, by layer, those without a head left out."""
    counts: dict[int, int] = {}
    for head in heads:
        counts[head.layer] = counts.get(head.layer, 0) + 1
    return dict(sorted(counts.items()))


def jaccard(one: Collection[Hashable], other: Collection[Hashable]) -> float:
    """Size of the intersection over that of the union of two sets.

    Raises:
        ValueError: both are empty.
    """
    first, second = set(one), set(other)
    if not first | second:
        raise ValueError("the overlap of two empty sets is not defined.")
    return len(first & second) / len(first | second)


def chance_jaccard(total: int, k: int) -> float:
    """The mean Jaccard overlap of two independent random sets of k out of `total`, exactly.

    The number m of heads in common has a hypergeometric distribution, and the overlap is m / (2k - m).

    Raises:
        ValueError: k is not from 1 to total.
    """
    if not 1 <= k <= total:
        raise ValueError(f"k must be from 1 to total={total}. Got {k}.")
    from scipy import stats

    common = np.arange(max(0, 2 * k - total), k + 1)
    return float(stats.hypergeom.pmf(common, total, k, k) @ (common / (2 * k - common)))


def top_size(n_heads_in_all: int) -> int:
    """How many heads overlaps are taken over: the top min(50, 20% of the heads), at least one."""
    return max(1, min(50, n_heads_in_all // 5))
