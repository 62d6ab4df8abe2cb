"""Presets and lessons on the live page, on the model whose heads are known by construction."""

from pathlib import Path
from typing import Any

import pytest

from callbacks.live.context import Request
from callbacks.live.guide import Guide
from components.guide.part_ids import PART_IDS
from tests.fixtures.guides import NAME, guide_of
from tests.fixtures.makers.hand_built import INDUCTION
from tests.fixtures.reading_trees import find, text_of
from utils.links.page_links import from_query
from utils.links.page_parts import PAGE_PARTS
from utils.links.page_state import PageState
from utils.live.service import LiveService

REQUEST: Request = {"model": NAME, "prompt": "abc abc abc"}


@pytest.fixture(scope="module")
def guide(built_service: LiveService, tmp_path_factory: pytest.TempPathFactory) -> Guide:
    return guide_of(built_service, tmp_path_factory.mktemp("guide"))


def test_every_part_of_the_page_has_its_element():
    assert set(PART_IDS) == set(PAGE_PARTS)


def test_a_preset_opens_with_its_question_and_without_its_answer(guide: Guide):
    state, problems = guide.open(PageState(preset="one"))
    assert problems == []
    assert (state.model, state.prompt, state.head) == (NAME, "abc abc abc", INDUCTION)
    assert state.ablated == frozenset()
    shown = guide.show({"preset": "one"}, REQUEST, None)
    message = text_of(shown)
    assert "What comes next?" in message and "Reveal" in message
    assert "followed it before" not in message and "random" not in message
    assert find(shown, data_cover="prediction")


def test_the_reveal_switches_off_and_tells_with_the_control(guide: Guide):
    step = guide.press("reveal", {"preset": "one"}, REQUEST)
    assert step.opened == {"preset": "one", "revealed": True}
    assert step.state is not None and step.state.ablated == {INDUCTION}
    shown = guide.show(step.opened, REQUEST, "dark")
    message = text_of(shown)
    assert "followed it before" in message and "random sets of as many heads" in message
    assert find(shown, data_cover="")


def test_what_a_link_says_stands_over_the_preset(guide: Guide):
    link, _ = from_query("?v=1&preset=one&off=none&target=b")
    state, _ = guide.open(link)
    assert (state.ablated, state.target) == (frozenset(), "b")


@pytest.mark.parametrize(
    "link", [PageState(preset="gone"), PageState(lesson="gone", step=2), PageState(lesson="first", step=99)]
)
def test_an_unknown_preset_or_step_is_told_and_the_page_opens(guide: Guide, link: PageState):
    state, problems = guide.open(link)
    assert len(problems) == 1
    assert (state.preset, state.lesson, state.step) == (None, None, None)


def test_a_step_opens_as_if_those_before_it_were_done(guide: Guide):
    state, problems = guide.open(PageState(lesson="first", step=4))
    assert problems == []
    assert (state.head, state.ablated) == (INDUCTION, {INDUCTION})
    assert (state.lesson, state.step) == ("first", 4)


def walk(guide: Guide, number: int, act: str | None = None, **seen: Any) -> bool:
    event: dict[str, Any] = {"head": None, "off": [], "view": "next"} | seen
    request = event.pop("request", REQUEST)
    done = guide.check(act, {"lesson": "first", "step": number}, request, **event)
    return done == {"lesson": "first", "step": number, "done": True}


def test_each_step_completes_when_the_student_does_the_thing(guide: Guide):
    head = str(INDUCTION)
    assert not walk(guide, 2, head="L0H1") and walk(guide, 2, head=head)
    assert not walk(guide, 3, off=[]) and walk(guide, 3, off=[head, "L0H0"])
    assert not walk(guide, 4, off=[head]) and walk(guide, 4, off=[])
    assert not walk(guide, 6) and walk(guide, 6, "hover_token")
    active: Request = {"model": NAME, "prompt": "the cat sat on a mat. the cat s"}
    assert not walk(guide, 7, "run", request={"model": NAME, "prompt": "abc"})
    assert walk(guide, 7, "run", request=active)
    assert not walk(guide, 8) and walk(guide, 8, view="effects")


def test_the_buttons_go_through_the_lesson(guide: Guide):
    assert guide.press("next", {"lesson": "first", "step": 1}, REQUEST).opened == {
        "lesson": "first",
        "step": 2,
    }
    answered = guide.press("answer", {"lesson": "first", "step": 5}, REQUEST).opened
    assert answered == {"lesson": "first", "step": 5, "done": True}
    # A step with a text of its own, and any step back, open the page anew.
    assert "lesson=first&step=7" in (guide.press("next", {"lesson": "first", "step": 6}, REQUEST).go or "")
    assert "lesson=first&step=2" in (guide.press("back", {"lesson": "first", "step": 3}, REQUEST).go or "")
    end = guide.press("next", {"lesson": "first", "step": 8, "done": True}, REQUEST).opened
    assert end is not None and end["finished"]
    assert "You have finished" in text_of(guide.show(end, REQUEST, None))
    assert guide.press("close", {"lesson": "first", "step": 3}, REQUEST).opened == {}
    assert guide.show({}, REQUEST, None) is None


def test_a_step_waits_until_it_is_done(guide: Guide):
    shown = guide.show({"lesson": "first", "step": 2}, REQUEST, None)
    waiting = text_of(shown)
    assert "To do: " in waiting and "Skip this step" in waiting and find(shown, data_point="head-grid")
    done = text_of(guide.show({"lesson": "first", "step": 2, "done": True}, REQUEST, None))
    assert "Done: " in done and "Skip" not in done


@pytest.mark.parametrize(
    "opened", [None, {}, {"preset": "x"}, {"lesson": "x"}, {"lesson": "first", "step": 500}]
)
def test_a_tampered_store_shows_nothing(guide: Guide, opened: Any):
    assert guide.show(opened, REQUEST, None) is None
    assert guide.check("run", opened, REQUEST, None, [], None) is None
    assert guide.press("next", opened, REQUEST).go is None


def test_nothing_on_show_yet(guide: Guide, tmp_path: Path):
    assert guide.check("run", {"lesson": "first", "step": 2}, None, None, [], None) is None
    assert "What comes next?" in text_of(guide.show({"preset": "one"}, None, None))
