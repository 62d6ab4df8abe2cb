import pytest

from study.overlap import chance_depth_distance, depth_distance, layer_counts, relative_depths
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
