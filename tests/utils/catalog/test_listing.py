import pytest

from utils.catalog.listing import other_heads, top_heads
from utils.heads import Head


def _listed(scores: list[list[float]]) -> list[str]:
    return [str(head) for head, _ in top_heads(scores, 0.4, 0.25)]


def test_heads_at_the_threshold_are_listed_best_first() -> None:
    assert _listed([[0.4, 0.39, 0.9], [0.1, 0.5, 0.3]]) == ["L0H2", "L1H1", "L0H0"]


def test_equal_scores_stand_in_the_model_s_order() -> None:
    assert _listed([[0.5, 0.6], [0.6, 0.5]]) == ["L0H1", "L1H0", "L0H0", "L1H1"]


def test_no_head_near_the_threshold_none_listed() -> None:
    assert _listed([[0.39, 0.3], [0.0, 0.1]]) == []


def test_a_full_layer_makes_room_for_the_best_of_others() -> None:
    full = [0.9, 0.8, 0.7, 0.6, 0.5, 0.45, 0.44]
    other = [0.3, 0.26, 0.24, 0.0, 0.0, 0.0, 0.0]
    # Five of layer 0, two of layer 1 above 0.25, then the sixth of layer 0 for the place that is left.
    assert _listed([full, other]) == ["L0H0", "L0H1", "L0H2", "L0H3", "L0H4", "L0H5", "L1H0", "L1H1"]


def test_strong_heads_of_other_layers_come_before_weak_ones() -> None:
    full = [0.9, 0.8, 0.7, 0.6, 0.5, 0.45]
    assert _listed([full, [0.41] * 2 + [0.0] * 4, [0.3] * 3 + [0.0] * 3]) == [
        "L0H0",
        "L0H1",
        "L0H2",
        "L0H3",
        "L0H4",
        "L1H0",
        "L1H1",
        "L2H0",
    ]


def test_at_most_eight_and_at_most_five_of_one_layer_where_others_are_as_good() -> None:
    listed = _listed([[0.9] * 8, [0.8] * 8])
    assert listed == [f"L0H{head}" for head in range(5)] + [f"L1H{head}" for head in range(3)]


def test_a_full_layer_alone_fills_the_list() -> None:
    assert _listed([[0.9] * 10, [0.1] * 10]) == [f"L0H{head}" for head in range(8)]


def test_other_heads_are_all_those_below_every_threshold() -> None:
    scores = {
        # The first head is at a threshold, the second at none though its score is the larger one.
        "induction": [[0.0, 0.36], [0.4, 0.0]],
        "duplicate_token": [[0.3, 0.15], [0.0, 0.0]],
    }
    listed = other_heads(scores, {"induction": 0.4, "duplicate_token": 0.3})
    assert [head for head, _ in listed] == [Head(0, 1), Head(1, 1)]
    assert listed[0][1] == pytest.approx(0.9)
    assert listed[1][1] == 0


def test_other_heads_are_not_capped_and_always_below_one() -> None:
    listed = other_heads({"induction": [[0.4 - 1e-9] * 30]}, {"induction": 0.4})
    assert len(listed) == 30
    assert all(score < 1 for _, score in listed)
