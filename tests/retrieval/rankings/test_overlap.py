from itertools import combinations

import pytest

from retrieval.rankings.overlap import (
    chance_depth_distance,
    chance_jaccard_by_layer,
    depth_distance,
    jaccard,
    layer_counts,
    relative_depths,
    shared_by_layer,
)
from utils.heads import Head


def test_relative_depth_runs_from_first_to_last_layer() -> None:
    assert relative_depths([Head(0, 5), Head(3, 0), Head(1, 1)], 4) == [0, 1, pytest.approx(1 / 3)]
    assert relative_depths([Head(0, 5)], 1) == [0]
    with pytest.raises(ValueError, match="4 layers"):
        relative_depths([Head(4, 0)], 4)


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [
        ([0.2, 0.8], [0.8, 0.2], 0),
        ([0], [1], 1),
        ([0, 1], [0.5], 0.5),
        ([0, 0, 1], [0, 1, 1], 1 / 3),
        ([0.25, 0.75], [0.25, 0.25, 0.75, 0.75], 0),
    ],
)
def test_depth_distance(one: list[float], other: list[float], distance: float) -> None:
    assert depth_distance(one, other) == pytest.approx(distance)
    assert depth_distance(other, one) == pytest.approx(distance)


def test_chance_distance_is_small_for_many_heads_and_seeded() -> None:
    few = chance_depth_distance((4, 16), 4, (32, 32), 4)
    many = chance_depth_distance((4, 16), 32, (32, 32), 200)
    assert 0 < many < few < 0.5
    # Whole models of one shape lie alike, whatever is drawn.
    assert chance_depth_distance((4, 4), 16, (4, 2), 8) == pytest.approx(0)


def test_layer_counts_by_layer() -> None:
    assert layer_counts([Head(3, 1), Head(0, 0), Head(3, 2)]) == {0: 1, 3: 2}


def test_chance_by_layer_is_the_mean_over_all_such_sets() -> None:
    one, other = [Head(0, 0), Head(1, 0), Head(1, 1)], [Head(1, 2), Head(1, 3), Head(2, 0)]
    # Only layer 1 is in both: 2 of its 4 heads each.
    pairs = [(a, b) for a in combinations(range(4), 2) for b in combinations(range(4), 2)]
    overlaps = [jaccard({*a, "x"}, {*b, "y"}) for a, b in pairs]
    assert chance_jaccard_by_layer(one, other, 4) == pytest.approx(sum(overlaps) / len(overlaps))
    shares = [sum(len({*a} & {*b}) == m for a, b in pairs) / len(pairs) for m in range(3)]
    assert shared_by_layer(one, other, 4) == pytest.approx(shares)


def test_sets_in_different_layers_share_nothing_by_chance() -> None:
    assert chance_jaccard_by_layer([Head(0, 0)], [Head(1, 0)], 4) == 0
    with pytest.raises(ValueError, match="empty"):
        chance_jaccard_by_layer([], [], 4)
