"""Which heads each condition switches off."""

from collections import Counter
from dataclasses import replace

import pytest

from study.ablation.head_sets import (
    SINGLE,
    HeadOrder,
    PlannedSet,
    SetOptions,
    control_sets,
    global_order,
    plan_sets,
    portions,
    shared_order,
)
from study.data.cell_records import NO_STEM
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


def whole_plan(by_task: dict[str, HeadOrder], questions: list[str]) -> list[PlannedSet]:
    """All portions of question "a" with one method, nothing ranked on other data."""
    names = portions(["wu24"], "wu24", moved=False, stem=True)
    assert names == ["wu24-claim", NO_STEM, "wu24-own", "wu24-others", SINGLE]
    found = {name: plan_sets(name, by_task, "a", questions, GEOMETRY, OPTIONS) for name in names}
    assert found[NO_STEM] == []
    assert {one.k for one in found["wu24-claim"]} <= {OPTIONS.claim_k}
    ordered = sorted((one for each in found.values() for one in each), key=lambda one: one.k)
    return ordered


def test_what_the_claim_is_about_is_run_first() -> None:
    names = portions(["summed_attention", "wu24"], "wu24", moved=True, stem=True)
    assert names == [
        "wu24-claim", NO_STEM, "summed_attention-claim", "wu24-own", "wu24-moved", "wu24-others",
        "summed_attention-own", "summed_attention-moved", "summed_attention-others", SINGLE,
    ]  # fmt: skip


def test_levels_of_others_and_of_controls_may_be_fewer() -> None:
    options = replace(OPTIONS, other_levels=(2,), control_levels=(1, 3), controls_at_claim=())
    own = plan_sets("wu24-own", ORDERS["wu24"], "a", ["a", "b"], GEOMETRY, options)
    assert Counter((one.condition, one.k) for one in own) == {
        ("within", 1): 1, ("within", 2): 1, ("within", 6): 1,
        ("random_uniform", 1): 5, ("random_layer_matched", 1): 5,
    }  # fmt: skip
    others = plan_sets("wu24-others", ORDERS["wu24"], "a", ["a", "b"], GEOMETRY, options)
    assert [(one.condition, one.k) for one in others] == [("across", 2), ("shared", 2), ("global", 2)]


def test_heads_ranked_on_other_data_are_their_own_condition() -> None:
    options = replace(OPTIONS, other_levels=(2, 3), controls_at_claim=("across_data",))
    moved = plan_sets("wu24-moved", {"a": ORDERS["wu24"]["c"]}, "a", ["a", "b"], GEOMETRY, options)
    tested = [one for one in moved if one.condition == "across_data"]
    assert [(one.source, one.k) for one in tested] == [("a", 2), ("a", 3)]
    assert tested[0].heads == (Head(1, 1), Head(2, 2))
    drawn = [one for one in moved if one.condition != "across_data"]
    assert {(one.of, one.k) for one in drawn} == {("across_data", 3)} and len(drawn) == 2 * 5


def test_a_plan_has_every_condition() -> None:
    planned = whole_plan(ORDERS["wu24"], ["a", "b"])
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
    assert whole_plan(ORDERS["wu24"], ["a", "b"]) == planned


def test_a_task_without_a_ranking_is_left_out() -> None:
    planned = whole_plan({}, ["a"])
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
