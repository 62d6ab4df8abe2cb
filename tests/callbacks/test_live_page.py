"""The live page's callbacks as plain functions, on the model whose heads are known by construction."""

import json
from pathlib import Path

import pytest
from dash import no_update

from callbacks.live_page import LivePage, Request
from components import ids
from scripts.analyze_heads import main as analyze
from tests.hand_built import BUILT, INDUCTION, PREVIOUS, save_hand_built
from utils.examples import Example
from utils.heads import Head
from utils.live_analysis import LiveService
from utils.model_loading import ModelStore

NAME = "hand-built"
REPEATING = "the cat sat on a mat. the cat s"
REQUEST: Request = {"model": NAME, "prompt": REPEATING}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("live")
    save_hand_built(folder / NAME)
    assert analyze(["--model", str(folder / NAME), "--output", str(folder / "catalogs")]) == 0
    return folder


@pytest.fixture(scope="module")
def page(folder: Path) -> LivePage:
    service = LiveService(ModelStore((folder / NAME,)), folder / "catalogs")
    return LivePage(service, [Example(title="one", prompt="abc abc abc")])


def text_of(tree) -> str:
    return json.dumps(tree, default=lambda part: part.to_plotly_json(), ensure_ascii=False)


def test_run_takes_the_typed_prompt(page: LivePage):
    request, box, error, off, example = page.request_prompt(ids.RUN, NAME, "a b c", None, None)
    assert request == {"model": NAME, "prompt": "a b c"}
    assert (box, error, off, example) == (no_update, None, no_update, no_update)


def test_a_bad_prompt_changes_nothing_but_the_error(page: LivePage):
    request, box, error, off, _ = page.request_prompt(ids.RUN, NAME, "  ", None, REQUEST)
    assert (request, box, off) == (no_update, no_update, no_update)
    assert "only spaces" in text_of(error)


def test_an_unknown_model_names_those_there_are(page: LivePage):
    error = page.request_prompt(ids.RUN, "gone", "abc", None, REQUEST)[2]
    assert NAME in text_of(error)


def test_an_example_fills_the_box_and_can_be_chosen_again(page: LivePage):
    request, box, error, _, example = page.request_prompt(ids.EXAMPLES, NAME, "typed", "0", REQUEST)
    assert request["prompt"] == box == "abc abc abc"
    assert error is None
    assert example == ""


@pytest.mark.parametrize("example", ["7", "-1", "x", None])
def test_an_example_that_is_not_there_does_nothing(page: LivePage, example):
    assert page.request_prompt(ids.EXAMPLES, NAME, "typed", example, REQUEST) == (no_update,) * 5


def test_a_suggestion_wakes_its_role(page: LivePage):
    request, box, _, _, _ = page.request_prompt(ids.suggestion("induction", 0), NAME, "x", None, REQUEST)
    assert request["prompt"] == box
    cards, _ = page.show_roles(request, [])
    card = next(card for card in cards if card.to_plotly_json()["props"].get("data-role") == "induction")
    assert card.to_plotly_json()["props"]["data-state"] == "active"


def test_a_new_model_switches_every_head_on(page: LivePage):
    shown: Request = {"model": "another", "prompt": "abc"}
    assert page.request_prompt(ids.MODEL, NAME, "abc", None, shown)[3] == []


def test_the_interesting_head_comes_first(page: LivePage):
    assert page.choose_head(None, REQUEST, None) == str(INDUCTION)
    assert page.choose_head(None, REQUEST, "L0H1") is no_update
    assert page.choose_head(None, REQUEST, "L99H0") == str(INDUCTION)
    assert page.choose_head(ids.cell("L1H1"), REQUEST, None) == "L1H1"


def test_ablation_of_a_head_a_role_a_chip_and_clearing(page: LivePage):
    off = page.change_ablation(ids.TOGGLE_HEAD, REQUEST, "L0H1", [])
    assert off == ["L0H1"]
    off = page.change_ablation(ids.ablate_role("induction"), REQUEST, "L0H1", off)
    assert off == ["L0H1", str(INDUCTION)]
    assert page.change_ablation(ids.ablate_role("induction"), REQUEST, "L0H1", off) == ["L0H1"]
    assert page.change_ablation(ids.chip("L0H1"), REQUEST, None, off) == [str(INDUCTION)]
    assert page.change_ablation(ids.TOGGLE_HEAD, REQUEST, "L0H1", off) == [str(INDUCTION)]
    assert page.change_ablation(ids.CLEAR, REQUEST, "L0H1", off) == []


def test_a_tampered_store_of_heads_is_cleaned(page: LivePage):
    off = page.change_ablation(ids.TOGGLE_HEAD, REQUEST, "L0H1", ["<b>", "L99H99", "L0H0", "L0H0"])
    assert off == ["L0H0", "L0H1"]


@pytest.mark.parametrize("head", [INDUCTION, PREVIOUS])
def test_without_the_induction_circuit_the_pattern_is_no_longer_continued(page: LivePage, head: Head):
    # "the cat s" goes on with "a" as it did before; both heads of the circuit are needed.
    clean = text_of(page.show_prediction(REQUEST, [], None)[1])
    _, panel, options, nothing_off = page.show_prediction(REQUEST, [str(head)], None)
    assert "The model expects “a” next" in clean
    assert f"Without {head} the model no longer expects “a”" in text_of(panel)
    assert options
    assert nothing_off is False


def test_a_watched_token_is_in_the_table(page: LivePage):
    panel = text_of(page.show_prediction(REQUEST, [], "q")[1])
    assert "Watching “q”" in panel


def test_the_detail_tells_the_head_and_marks_its_pairs(page: LivePage):
    title, toggle, facts, frame, _, figure, _, table, pattern = page.show_detail(
        REQUEST, str(INDUCTION), [str(INDUCTION)], "dark"
    )
    assert str(INDUCTION) in title
    assert toggle == f"Switch {INDUCTION} on again"
    assert "In the catalog: induction" in text_of(facts)
    assert "<svg" in frame or "svg" in frame
    assert "Marked" in figure.layout.title.text
    assert len(figure.data) == 2
    assert len(pattern["rows"]) == len(REPEATING) + 1
    assert "looks from" in text_of(table)


def test_every_view_says_so_when_there_is_nothing_yet(page: LivePage):
    assert page.show_tokens(None) == []
    assert "Nothing is analyzed yet" in text_of(page.show_roles(None, [])[0])
    assert "Nothing is analyzed yet" in text_of(page.show_grid(None, [], None))
    assert "Nothing is analyzed yet" in text_of(page.show_prediction(None, [], None)[1])
    assert page.show_detail(None, None, [], None)[0] == "Choose a head"


def test_the_grid_crosses_out_what_is_off(page: LivePage):
    grid = text_of(page.show_grid(REQUEST, ["L0H0"], str(INDUCTION)))
    assert grid.count("hs-cell-off") == 1
    assert grid.count("hs-cell-chosen") == 1
    assert grid.count("switched off") >= 1


def test_the_count_tells_how_many_tokens_are_too_many(page: LivePage):
    assert page.token_count("abc", NAME).startswith("4 of at most 64 tokens")
    assert "37 too many" in page.token_count("a" * 100, NAME)
    assert page.token_count(None, "gone") == ""


def test_what_is_not_repeated_is_told_with_where_the_head_rests(page: LivePage):
    cards = text_of(page.show_roles({"model": NAME, "prompt": "the quick."}, [])[0])
    assert "Nothing repeats in your text; it rests on the first token (100%)" in cards


def test_every_role_of_the_built_model_is_active_where_it_applies(page: LivePage):
    cards, _ = page.show_roles({"model": NAME, "prompt": "jumbled foxy king. " * 3}, [])
    states = {
        card.to_plotly_json()["props"]["data-role"]: card.to_plotly_json()["props"]["data-state"]
        for card in cards
    }
    assert {role for role, state in states.items() if state == "active"} >= set(BUILT) - {"duplicate_token"}
    assert states["other"] == "neutral"
