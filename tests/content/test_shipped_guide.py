"""Every preset and lesson step that comes with HeadScope opens by its link; presets without a forward."""

import pytest

from callbacks.answer.effects_view import EffectsView
from callbacks.live.context import Request
from callbacks.live.guide import Guide
from callbacks.live.page import LivePage
from components import ids
from tests.fixtures.forward_counter import counting_forwards
from tests.fixtures.reading_trees import text_of
from utils.links.page_links import from_query, to_query
from utils.links.page_state import PageState
from utils.live.service import LiveService
from utils.models.sources import REAL_MODEL
from utils.teaching.lessons import load_lessons
from utils.teaching.prepared_presets import PreparedPresets
from utils.teaching.presets import load_presets

TINY = ("demo-gpt2", "demo-llama")
PRESETS = load_presets()
LESSONS = load_lessons(presets=PRESETS)
STEPS = [(lesson.key, number) for lesson in LESSONS.lessons for number in range(1, len(lesson.steps) + 1)]


@pytest.fixture(scope="module")
def effects(service: LiveService) -> EffectsView:
    return EffectsView(service)


@pytest.fixture(scope="module")
def guide(effects: EffectsView) -> Guide:
    service = effects.service
    prepared = PreparedPresets(PRESETS, service, service.store.names(), also=effects.prepare)
    prepared.prepare()
    assert prepared.problems == ()
    return Guide(service, prepared, LESSONS)


def test_there_are_enough_of_them():
    asking = [preset for preset in PRESETS.presets if preset.look_for and preset.question]
    assert len(asking) >= 12 and len(LESSONS.lessons) >= 3
    assert {role for preset in PRESETS.presets for role in preset.roles} >= {
        "previous_token",
        "induction",
        "duplicate_token",
        "positional",
        "diffuse",
        "other",
    }
    assert {model for preset in PRESETS.presets for model in preset.model} == {REAL_MODEL, *TINY}
    assert {model for lesson in LESSONS.lessons for model in lesson.model} == {REAL_MODEL}


@pytest.mark.parametrize("key", [preset.key for preset in PRESETS.presets])
def test_a_preset_opens_by_its_link_without_a_forward_pass(guide: Guide, effects: EffectsView, key: str):
    with counting_forwards() as count:
        link, problems = from_query(to_query(PageState(preset=key)))
        state, more = guide.open(link)
        request = Request(model=str(state.model), prompt=str(state.prompt))
        page = LivePage(guide.service, guide)
        opened = text_of(page.layout(to_query(PageState(preset=key))))
        page.show_roles(request, [])
        guide.show({"preset": key}, request, "light")
        revealed = guide.press("reveal", {"preset": key}, request)
        message = text_of(guide.show(revealed.opened or {"preset": key}, request, "light"))
        if revealed.state and revealed.state.view == "effects":
            shown = effects.show(
                ids.VIEW, request, revealed.state.mode, "last", revealed.state.target, None, None, "me"
            )
            assert shown[1] is not None
    assert (problems, more) == ([], [])
    assert count.passes == 0
    assert "not read as a whole" not in opened
    preset = PRESETS.get(key)
    assert preset.answer is None or preset.answer in message


@pytest.mark.parametrize(("lesson", "number"), STEPS)
def test_a_lesson_step_opens_by_its_link(guide: Guide, lesson: str, number: int):
    state, problems = guide.open(from_query(to_query(PageState(lesson=lesson, step=number)))[0])
    assert problems == []
    assert (state.lesson, state.step) == (lesson, number)
    assert state.model in LESSONS.get(lesson).model and state.prompt
    request = Request(model=str(state.model), prompt=str(state.prompt))
    card = text_of(guide.show({"lesson": lesson, "step": number}, request, None))
    step = LESSONS.get(lesson).step(number)
    assert step.text in card
