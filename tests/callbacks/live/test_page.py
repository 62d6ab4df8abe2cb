"""The live page's callbacks as plain functions, on the model whose heads are known by construction."""

import shutil
import threading
from pathlib import Path

import pytest
from dash import no_update

from callbacks.live.guide import Guide
from callbacks.live.page import LivePage, Request
from components import ids
from tests.fixtures.guides import NAME, guide_of
from tests.fixtures.makers.hand_built import BUILT, INDUCTION
from tests.fixtures.reading_trees import find, text_of
from utils.live.service import LiveService
from utils.models.store import ModelStore
from utils.teaching.lessons import LessonSet
from utils.teaching.prepared_presets import PreparedPresets
from utils.teaching.presets import PresetSet

REPEATING = "the cat sat on a mat. the cat s"
REQUEST: Request = {"model": NAME, "prompt": REPEATING}


@pytest.fixture(scope="module")
def folder(built_folder: Path) -> Path:
    return built_folder


@pytest.fixture(scope="module")
def page(built_service: LiveService, tmp_path_factory: pytest.TempPathFactory) -> LivePage:
    return LivePage(built_service, guide_of(built_service, tmp_path_factory.mktemp("presets")))


def page_of(service: LiveService) -> LivePage:
    """A page without presets and lessons."""
    return LivePage(service, Guide(service, PreparedPresets(PresetSet(), service, ()), LessonSet()))


def test_run_takes_the_typed_prompt(page: LivePage):
    request, *rest = page.request_prompt(ids.RUN, NAME, "a b c", None)
    assert request == {"model": NAME, "prompt": "a b c"}
    assert rest == [no_update, None, no_update, None]


def test_a_bad_prompt_changes_nothing_but_the_error(page: LivePage):
    request, box, error, off, _ = page.request_prompt(ids.RUN, NAME, "  ", REQUEST)
    assert (request, box, off) == (no_update, no_update, no_update)
    assert "only spaces" in text_of(error)


def test_an_unknown_model_names_those_there_are(page: LivePage):
    error = page.request_prompt(ids.RUN, "gone", "abc", REQUEST)[2]
    assert NAME in text_of(error)


def test_a_suggestion_wakes_its_role(page: LivePage):
    request, box, *_ = page.request_prompt(ids.suggestion("induction", 0), NAME, "x", REQUEST)
    assert request["prompt"] == box
    cards, _, analyze = page.show_roles(request, [])
    assert analyze is None
    card = next(card for card in cards if card.to_plotly_json()["props"].get("data-role") == "induction")
    assert card.to_plotly_json()["props"]["data-state"] == "active"


def test_a_new_model_switches_every_head_on(page: LivePage):
    shown: Request = {"model": "another", "prompt": "abc"}
    assert page.request_prompt(ids.MODEL, NAME, "abc", shown)[3] == []


def test_the_interesting_head_comes_first(page: LivePage):
    assert page.choose_head(REQUEST, None) == str(INDUCTION)
    assert page.choose_head(REQUEST, "L0H1") is no_update
    assert page.choose_head(REQUEST, "L99H0") == str(INDUCTION)
    assert page.choose_head(None, None) is no_update


def test_ablation_of_a_head_a_role_a_chip_and_clearing(page: LivePage):
    off = page.change_ablation(ids.TOGGLE_HEAD, REQUEST, "L0H1", [])
    assert off == ["L0H1"]
    off = page.change_ablation(ids.ablate_role("induction"), REQUEST, "L0H1", off)
    assert off == ["L0H1", str(INDUCTION)]
    assert page.change_ablation(ids.ablate_role("induction"), REQUEST, "L0H1", off) == ["L0H1"]
    assert page.change_ablation(ids.chip("L0H1"), REQUEST, None, off) == [str(INDUCTION)]
    assert page.change_ablation(ids.TOGGLE_HEAD, REQUEST, "L0H1", off) == [str(INDUCTION)]
    assert page.change_ablation(ids.CLEAR, REQUEST, "L0H1", off) == []


def test_a_suggestion_leads_to_the_head_that_shows_it(page: LivePage):
    request = page.request_prompt(ids.suggestion("induction", 0), NAME, "x", REQUEST)[0]
    assert page.suggested_head(request, "induction") == str(INDUCTION)
    assert page.suggested_head(None, "induction") is None


def test_a_preset_is_over_with_another_prompt(page: LivePage):
    preset = page.guide.presets.presets.presets[0]
    assert not page.preset_is_over({"preset": preset.key}, preset.prompt)
    assert page.preset_is_over({"preset": preset.key}, preset.prompt + " and more")
    assert page.preset_is_over({"preset": "gone"}, "a")
    assert not page.preset_is_over({"lesson": "first", "step": 1}, "a") and not page.preset_is_over(None, "a")


def test_a_tampered_store_of_heads_is_cleaned(page: LivePage):
    off = page.change_ablation(ids.TOGGLE_HEAD, REQUEST, "L0H1", ["<b>", "L99H99", "L0H0", "L0H0"])
    assert off == ["L0H0", "L0H1"]


def test_every_view_says_so_when_there_is_nothing_yet(page: LivePage):
    assert "Nothing is analyzed yet" in text_of(page.show_roles(None, [])[0])


def test_the_count_tells_how_many_tokens_are_too_many(page: LivePage):
    assert page.token_count("abc", NAME).startswith("4 of at most 128 tokens")
    assert "73 too many" in page.token_count("a" * 200, NAME)
    assert page.token_count(None, "gone") == ""


def test_a_text_that_is_far_too_long_is_not_counted_nor_kept_for_a_model(page: LivePage, built_service):
    message = "The prompt has 10,000,000 characters and at most 12,800 are read."
    assert page.token_count("a" * 10**7, NAME) == message
    for model in (NAME, "not loaded"):
        request, box, error, _, wanted = page.request_prompt(ids.RUN, model, "a" * 10**7, REQUEST)
        assert (request, box, wanted) == (no_update, no_update, None)
        assert message in text_of(error)


def test_what_is_not_repeated_is_told_with_where_the_head_rests(page: LivePage):
    cards = text_of(page.show_roles({"model": NAME, "prompt": "the quick."}, [])[0])
    assert "Nothing repeats in your text; it rests on the first token (100%)" in cards


def test_every_role_of_the_built_model_is_active_where_it_applies(page: LivePage):
    cards, _, _ = page.show_roles({"model": NAME, "prompt": "jumbled foxy king. " * 3}, [])
    states = {
        card.to_plotly_json()["props"]["data-role"]: card.to_plotly_json()["props"]["data-state"]
        for card in cards
    }
    assert {role for role, state in states.items() if state == "active"} >= set(BUILT) - {"duplicate_token"}
    assert states["other"] == "neutral"


def ended_load(page: LivePage) -> None:
    pause = threading.Event()
    for _ in range(600):
        view = page.loads.view(NAME)
        if view is not None and view.ended:
            return
        pause.wait(0.1)
    raise AssertionError("the model was not loaded")


def test_a_prompt_on_a_model_that_is_not_loaded_waits_for_it(folder: Path):
    page = page_of(LiveService(ModelStore((folder / NAME,)), folder / "catalogs"))
    request, _, error, _, wanted = page.request_prompt(ids.RUN, NAME, "a b c", None)
    assert (request, error) == (no_update, None)
    assert wanted == {"model": NAME, "prompt": "a b c"}
    request, _, _, rests, _ = page.follow_load(ids.WANTED, wanted, "me")
    assert (request, rests) == (no_update, False) or request == {"model": NAME, "prompt": "a b c"}
    ended_load(page)
    answer = page.follow_load(ids.LOAD_TICK, {"model": NAME, "prompt": "a b c"}, "me")
    assert answer == ({"model": NAME, "prompt": "a b c"}, None, None, True, None)


def test_a_bad_prompt_is_told_once_its_model_is_there(page: LivePage):
    request, error, progress, rests, wanted = page.follow_load(
        ids.WANTED, {"model": NAME, "prompt": " "}, "me"
    )
    assert (request, progress, rests, wanted) == (no_update, None, True, None)
    assert "only spaces" in text_of(error)


def test_a_model_that_cannot_be_loaded_is_told_and_tried_again_on_request(folder: Path, tmp_path: Path):
    broken = Path(shutil.copytree(folder / NAME, tmp_path / NAME))
    weights = (broken / "model.safetensors").read_bytes()
    (broken / "model.safetensors").write_bytes(b"")
    page = page_of(LiveService(ModelStore((broken,)), folder / "catalogs"))
    wanted: Request = {"model": NAME, "prompt": "a b c"}
    page.follow_load(ids.WANTED, wanted, "me")
    ended_load(page)
    request, error, progress, rests, left = page.follow_load(ids.LOAD_TICK, wanted, "me")
    assert (request, progress, rests, left) == (no_update, None, True, None)
    assert NAME in text_of(error)
    (broken / "model.safetensors").write_bytes(weights)
    page.follow_load(ids.WANTED, wanted, "me")
    ended_load(page)
    assert page.follow_load(ids.LOAD_TICK, wanted, "me")[0] == wanted


def test_leaving_a_load_ends_the_waiting(folder: Path):
    page = page_of(LiveService(ModelStore((folder / NAME,)), folder / "catalogs"))
    wanted: Request = {"model": NAME, "prompt": "a b c"}
    page.follow_load(ids.WANTED, wanted, "me")
    assert page.follow_load(ids.cancel_load(NAME), wanted, "me") == (no_update, None, None, True, None)
    assert page.follow_load(ids.LOAD_TICK, None, "me")[2:4] == (None, True)
    ended_load(page)


def test_a_model_without_a_catalog_asks_for_an_analysis(folder: Path, tmp_path: Path):
    service = LiveService(ModelStore((folder / NAME,)), tmp_path)
    message, problem, analyze = page_of(service).show_roles(REQUEST, [])
    assert "no catalog" in text_of(message)
    assert (problem, analyze) == (None, NAME)


def test_a_link_opens_what_it_says(page: LivePage):
    query = f"?v=1&model={NAME}&prompt=abc+abc+abc&head=L0H1&off=L1H0,L0H0"
    query += "&mode=mean&position=3&target=b&view=effects"
    opened = page.layout(query)
    for part in (
        {"data": {"model": "hand-built", "prompt": "abc abc abc"}},
        {"data": "L0H1"},
        {"data": ["L0H0", "L1H0"]},
        {"value": "mean"},
        {"value": "3"},
        {"value": "b"},
        {"value": "effects"},
    ):
        assert find(opened, **part), part
    assert "not read as a whole" not in text_of(opened)


def test_a_link_with_nonsense_says_what_and_shows_the_rest(page: LivePage):
    opened = page.layout(f"?v=1&model={NAME}&prompt=abc+abc&head=L99H0&position=500&mode=x&what=1")
    message = text_of(opened)
    assert "not read as a whole" in message
    for part in ("L99H0", "500", "mode", "what"):
        assert part in message
    assert find(opened, data={"model": "hand-built", "prompt": "abc abc"})


def test_a_link_whose_prompt_is_too_long_opens_the_example(page: LivePage):
    opened = page.layout(f"?v=1&model={NAME}&prompt=" + "a+" * 400)
    assert "the limit is 128" in text_of(opened)
    assert find(opened, data={"model": "hand-built", "prompt": "abc abc abc"})


def test_without_a_link_it_opens_on_the_first_model_and_example(page: LivePage):
    assert find(page.layout(""), data={"model": "hand-built", "prompt": "abc abc abc"})
