"""The map of all heads, on the model whose heads are known by construction."""

import pytest

from callbacks.answer.effects_view import EffectsView
from callbacks.live.context import Request
from callbacks.live.head_map import HeadMap
from components import ids
from tests.fixtures.guides import NAME
from tests.fixtures.makers.hand_built import INDUCTION
from tests.fixtures.reading_trees import find, text_of
from utils.live.map_views import MAP_VIEWS
from utils.live.service import LiveService

REQUEST: Request = {"model": NAME, "prompt": "the cat sat on a mat. the cat s"}


@pytest.fixture(scope="module")
def effects(built_service: LiveService) -> EffectsView:
    return EffectsView(built_service)


@pytest.fixture(scope="module")
def head_map(built_service: LiveService, effects: EffectsView) -> HeadMap:
    return HeadMap(built_service, effects)


def values(head_map: HeadMap, view: str, measure: str = "probability"):
    return head_map.show_values(REQUEST, view, measure, "zero", None, None, None)


def test_the_grid_crosses_out_what_is_ablated(head_map: HeadMap):
    grid = head_map.show_grid(REQUEST, ["L0H0"], str(INDUCTION))
    (off,), (chosen,) = find(grid, "hs-cell-off"), find(grid, "hs-cell-chosen")
    assert getattr(off, "data-head") == "L0H0" and getattr(chosen, "data-head") == str(INDUCTION)
    assert "ablated" in getattr(off, "aria-label")
    assert "induction" in getattr(chosen, "data-roles").split()


def test_every_view_has_a_value_for_each_head_or_says_why_not(head_map: HeadMap):
    analysis = head_map.service.analyze(NAME, REQUEST["prompt"])
    geometry = analysis.loaded.geometry
    for key, view in MAP_VIEWS.items():
        drawn, note, table = values(head_map, key)
        assert text_of(note).startswith(view.description)
        if drawn is None:
            assert table is None
            continue
        assert [len(row) for row in drawn["values"]] == [geometry.n_heads] * geometry.n_layers
        assert "The map as a table" in text_of(table)
    drawn = values(head_map, "live-induction")[0]
    assert drawn["scale"] == "share" and drawn["values"][INDUCTION.layer][INDUCTION.head] > 0.9


def test_a_role_that_does_not_apply_has_no_values(head_map: HeadMap):
    drawn, note, _ = head_map.show_values(
        {"model": NAME, "prompt": "the quick."}, "live-induction", *[None] * 5
    )
    assert drawn is None and "no such values" in text_of(note)


def test_the_effects_colour_the_map_once_they_are_known(head_map: HeadMap, effects: EffectsView):
    drawn, note, _ = values(head_map, "effect")
    if drawn is None:
        assert "being computed" in text_of(note)
    while not effects.show(ids.EFFECTS_TICK, REQUEST, "zero", "", None, None, "kl", "me")[2]:
        pass
    drawn = values(head_map, "effect")[0]
    assert drawn["scale"] == "signed" and drawn["unit"] == "percentage points"
    assert drawn["values"][INDUCTION.layer][INDUCTION.head] < -10
    assert values(head_map, "effect", "kl")[0]["scale"] == "positive"


def test_nothing_yet(head_map: HeadMap):
    assert "Nothing is analyzed yet" in text_of(head_map.show_grid(None, [], None))
    assert head_map.show_values(None, "sink", *[None] * 5)[0] is None
