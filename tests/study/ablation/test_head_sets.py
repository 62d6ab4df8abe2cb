"""Which heads each condition switches off."""

from collections import Counter

import pytest

from study.ablation.head_sets import (
    HeadOrder,
    PlannedSet,
    SetOptions,
    control_sets,
    global_order,
    plan_sets,
    shared_order,
)
from utils.heads import Head
from utils.models.families import HeadGeometry

GEOMETRY = HeadGeometry(n_layers=3, n_heads=4, n_kv_heads=4, head_dim=2, windows=(None, None, None))
HEADS = tuple(Head(layer, head) for layer in range(3) for head in range(4))
OPTIONS = SetOptions(
    levels=(1, 2, 3, 6), claim_k=3, draws=5, seed=42, shared_min_tasks=2, shared_top=3,
    controls_at_every_k=("within",), controls_at_claim=("global",),
)  # fmt: skip


def order(*first: str, scores: tuple[float, ...] = ()) -> HeadOrder:
    """These heads first, the others behind them with score 0."""
    front = tuple(Head(int(name[1]), int(name[3])) for name in first)
    rest = tuple(head for head in HEADS if head not in front)
    values = scores or tuple(1 - 0.1 * position for position in range(len(front)))
    return HeadOrder(front + rest, values + (0.0,) * len(rest))


ORDERS = {
    "wu24": {
        "a": order("L0H0", "L1H1", "L2H2"),
        "b": order("L1H1", "L0H0", "L2H3"),
        "c": order("L2H2", "L1H1", "L0H3"),
    }
}


def test_a_shared_head_is_in_the_top_of_enough_tasks() -> None:
    shared = shared_order(ORDERS["wu24"], top=3, min_tasks=2)
    # L1H1 in three tops, L0H0 and L2H2 in two: L0H0 stands before, by its mean place.
    assert [str(head) for head in shared.heads] == ["L1H1", "L0H0", "L2H2"]
    assert shared.scores == (1.0, 2 / 3, 2 / 3)
    assert shared_order(ORDERS["wu24"], top=1, min_tasks=2).heads == ()


def test_global_heads_are_the_top_by_mean_score() -> None:
    orders = {"a": order("L0H0", "L1H1", scores=(0.9, 0.4)), "b": order("L2H2", "L1H1", scores=(0.7, 0.6))}
    found = global_order(orders)
    # Means: L1H1 0.5, L0H0 0.45, L2H2 0.35; all others 0, by layer and head.
    assert [str(head) for head in found.heads[:4]] == ["L1H1", "L0H0", "L2H2", "L0H1"]
    assert found.scores[:3] == pytest.approx((0.5, 0.45, 0.35))
    assert sorted(found.heads) == list(HEADS)


def test_a_plan_has_every_condition() -> None:
    planned = plan_sets(ORDERS, "a", ["a", "b"], GEOMETRY, OPTIONS)
    count = Counter((one.condition, one.of) for one in planned)
    assert count == {
        ("single", None): 12,
        ("within", None): 4,
        ("across", None): 4,
        ("shared", None): 3,  # there are three shared heads, so no set of six
        ("global", None): 4,
        ("random_uniform", "within"): 4 * 5,
        ("random_layer_matched", "within"): 4 * 5,
        ("random_uniform", "global"): 5,  # at the claim's k alone
        ("random_layer_matched", "global"): 5,
    }
    within = [one for one in planned if one.condition == "within"]
    assert [one.k for one in within] == [1, 2, 3, 6]
    assert [str(head) for head in within[2].heads] == ["L0H0", "L1H1", "L2H2"]
    assert {one.source for one in within} == {"a"}
    assert {one.source for one in planned if one.condition == "across"} == {"b"}
    assert [one.unscored for one in within] == [0, 0, 0, 3]
    assert all(one.source is None for one in planned if one.condition in ("shared", "global"))
    assert plan_sets(ORDERS, "a", ["a", "b"], GEOMETRY, OPTIONS) == planned


def test_a_task_without_a_ranking_is_left_out() -> None:
    planned = plan_sets({"wu24": {}}, "a", ["a"], GEOMETRY, OPTIONS)
    assert {one.condition for one in planned} == {"single"}


@pytest.mark.parametrize("heads", ["L0H0 L1H1 L2H2", "L1H0 L1H1 L1H2", "L0H0 L0H1 L0H2 L0H3 L1H0 L1H1"])
def test_random_sets_never_hold_a_tested_head(heads: str) -> None:
    tested = PlannedSet("within", order(*heads.split()).heads[: len(heads.split())], "wu24", "a")
    drawn = list(control_sets(tested, GEOMETRY, OPTIONS))
    assert len(drawn) == 2 * OPTIONS.draws
    for one in drawn:
        assert not set(one.heads) & set(tested.heads)
        assert len(set(one.heads)) == tested.k == one.k
        assert (one.method, one.source, one.of) == ("wu24", "a", "within")
    assert [one.draw for one in drawn] == list(range(5)) * 2


def test_layer_matched_sets_have_as_many_of_each_layer_or_say_how_many_not() -> None:
    tested = PlannedSet("within", order("L0H0", "L1H1", "L1H2").heads[:3], "wu24", "a")
    matched = [one for one in control_sets(tested, GEOMETRY, OPTIONS) if one.condition != "random_uniform"]
    for one in matched:
        assert Counter(head.layer for head in one.heads) == {0: 1, 1: 2}
        assert one.short == 0
    # Three of layer 1 tested, one left: two come from the layers beside it.
    tested = PlannedSet("within", order("L1H0", "L1H1", "L1H2").heads[:3], "wu24", "a")
    for one in control_sets(tested, GEOMETRY, OPTIONS):
        if one.condition == "random_layer_matched":
            assert one.short == 2
            assert Head(1, 3) in one.heads


def test_equal_sets_have_equal_controls_whatever_the_method() -> None:
    one = PlannedSet("within", HEADS[:2], "wu24", "a")
    other = PlannedSet("within", HEADS[:2], "qrhead", "b")
    drawn = [[each.heads for each in control_sets(tested, GEOMETRY, OPTIONS)] for tested in (one, other)]
    assert drawn[0] == drawn[1]
