"""The column of the chosen head, on the model whose heads are known by construction."""

import pytest
from dash import no_update

from callbacks.live.context import Request
from callbacks.live.head_panel import HeadPanel
from components.live.heatmap import WINDOW
from tests.fixtures.guides import NAME
from tests.fixtures.makers.hand_built import INDUCTION
from tests.fixtures.reading_trees import text_of
from utils.live.service import LiveService

REPEATING = "the cat sat on a mat. the cat s"
REQUEST: Request = {"model": NAME, "prompt": REPEATING}
LONG: Request = {"model": NAME, "prompt": "the cat sat on a mat. " * 4}


@pytest.fixture(scope="module")
def panel(built_service: LiveService) -> HeadPanel:
    return HeadPanel(built_service)


def figure(panel: HeadPanel, request: Request = REQUEST, view: str = "heatmap", **more):
    chosen = {"hide_first": False, "start": None, "position": "last", "theme": "dark"} | more
    return panel.show_figure(request, str(INDUCTION), view, **chosen)


def test_it_says_what_the_head_is_known_for_and_does(panel: HeadPanel):
    title, sentence, scores, pattern = panel.show_head(REQUEST, str(INDUCTION))
    assert title == f"Head {INDUCTION}"
    assert "In the catalog: primarily induction" in sentence and "On this text" in sentence
    text = text_of(scores)
    # The role that it has comes first, those that it does not have are folded.
    assert text.index("Induction") < text.index("other roles that it does not have")
    assert len(pattern["rows"]) == len(REPEATING) + 1 and pattern["head"] == str(INDUCTION)


def test_the_switch_follows_the_ablation(panel: HeadPanel):
    assert panel.show_switch(REQUEST, str(INDUCTION), [str(INDUCTION)]) == f"Restore {INDUCTION}"
    assert panel.show_switch(REQUEST, str(INDUCTION), []) == f"Ablate {INDUCTION}"


def test_only_the_view_that_is_shown_is_drawn(panel: HeadPanel):
    shown = figure(panel)
    assert shown["lines"] is no_update and len(shown["heatmap"].data) == 2
    assert "Framed cells: induction" in shown["status"] and "looks from" in shown["table"]
    lines = figure(panel, view="lines")
    assert lines["heatmap"] is no_update and lines["lines"]["rows"]
    scores = figure(panel, view="scores")
    assert (scores["heatmap"], scores["lines"], scores["status"]) == (no_update, no_update, "")


def test_without_the_first_token_the_colours_go_up_to_the_rest(panel: HeadPanel):
    whole, rest = (figure(panel, hide_first=hidden)["heatmap"].data[0] for hidden in (False, True))
    assert (whole.zmax == 1 and rest.zmax < 1) or rest.zmax == pytest.approx(1, abs=1e-3)
    assert all(row[0] is None for row in rest.z[1:]) and all(row[0] is not None for row in whole.z)
    analysis = panel.service.analyze(NAME, REPEATING)
    pattern = analysis.attention[INDUCTION.layer, INDUCTION.head]
    assert rest.zmax == pytest.approx(float(pattern[1:, 1:].max()), abs=1e-6)
    assert figure(panel, view="lines")["lines"]["rows"][0][:2] == [1, 0]


def test_a_pinned_token_has_its_row_framed(panel: HeadPanel):
    assert not figure(panel)["heatmap"].layout.shapes
    (frame,) = figure(panel, position="5")["heatmap"].layout.shapes
    assert (frame.y0, frame.y1) == (4.5, 5.5)


def test_a_long_prompt_is_looked_at_through_a_window(panel: HeadPanel):
    whole = figure(panel, LONG)
    length = len(panel.service.analyze(NAME, LONG["prompt"]).prompt.ids)
    assert whole["window_hidden"] is False and whole["window"] == f"all {length} tokens"
    # Some tokens are named, not all: they would overlap.
    assert len(whole["heatmap"].layout.xaxis.tickvals) <= 32 < length
    start = panel.move_window("on", LONG, None)
    assert start == 0
    part = figure(panel, LONG, start=start)
    assert len(part["heatmap"].data[0].z) == WINDOW and part["window"] == f"0–{WINDOW - 1} of {length} tokens"
    assert panel.move_window("on", LONG, 0) == WINDOW // 2
    assert panel.move_window("on", LONG, length) == length - WINDOW
    assert panel.move_window("back", LONG, 5) == 0 and panel.move_window("back", LONG, 0) is None
    assert figure(panel)["window_hidden"] is True and panel.move_window("on", REQUEST, None) is None


def test_nothing_yet(panel: HeadPanel):
    assert panel.show_head(None, None)[0] == "Choose a head"
    assert panel.show_figure(None, None, "heatmap", False, None, None, None)["heatmap"] is no_update
    assert panel.show_switch(None, None, []) == "Ablate"
