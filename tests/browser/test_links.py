"""Links: a state, a preset and a lesson step open in another browser as they were; nonsense is reported."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.fixtures.journeys import open_page, open_role, run_prompt, show_view
from utils.teaching.lessons import Lesson, load_lessons
from utils.teaching.presets import Preset, load_presets

PRESETS = load_presets()
LESSONS = load_lessons(presets=PRESETS)


def test_a_copied_link_shows_another_browser_the_same(new_page: Callable[..., Page], app_url: str) -> None:
    first = new_page()
    open_page(first, f"{app_url}/?v=1&model=demo-llama&off=L1H0,L1H3&mode=mean")
    run_prompt(first, "The red apple and the green pear, the red apple and the")
    expect(first.locator(".hs-token-text").nth(2)).to_have_text("·red")
    first.locator('.hs-cell[data-head="L1H3"]').click()
    expect(first.locator("#head-title")).to_contain_text("L1H3")
    first.locator("#watched-token").fill("green")
    first.locator("#watched-token").press("Enter")
    expect(first.locator("#prediction-facts")).to_contain_text("Watching “·green”")
    expect(first.locator("#ablation-chips .hs-chip")).to_have_text(["L1H0", "L1H3"])
    first.wait_for_function(
        "() => location.search.includes('target=') && location.search.includes('head=L1H3')"
    )
    first.get_by_role("button", name="Copy link").click()
    expect(first.locator("#copy-status")).to_have_text("Link copied.")
    second = new_page()
    open_page(second, first.url)
    for shown in (
        "#ablation-chips",
        "#prediction",
        "#head-title",
        "#head-facts",
        "#prompt",
        "#ablation-mode",
    ):
        same = first.locator(shown)
        if shown in ("#prompt", "#ablation-mode"):
            expect(second.locator(shown)).to_have_value(same.input_value())
        else:
            expect(second.locator(shown)).to_have_text(same.inner_text(), use_inner_text=True)
    second.wait_for_function("url => location.href === url", arg=first.url)


def test_the_view_is_part_of_the_link(new_page: Callable[..., Page], app_url: str) -> None:
    first = new_page()
    open_page(first, app_url)
    show_view(first, "At every position")
    expect(first.locator("#view-positions .hs-table")).to_be_visible()
    first.wait_for_function("() => location.search.includes('view=positions')")
    second = new_page()
    second.goto(first.url)
    expect(second.locator("#view-positions .hs-table")).to_be_visible()
    expect(second.locator("#view-next")).to_be_hidden()


def test_a_link_by_hand_says_what_is_wrong_and_shows_the_rest(page: Page, app_url: str) -> None:
    open_page(
        page, f"{app_url}/?v=1&model=demo-gpt2&prompt=a+cat+and+a+cat&head=L99H1&off=L1H2,banana&mode=loud"
    )
    message = page.locator("#link-status")
    for part in ("L99H1", "banana", "loud"):
        expect(message).to_contain_text(part)
    expect(page.locator("#ablation-chips .hs-chip")).to_have_text(["L1H2"])
    expect(page.locator("#prompt")).to_have_value("a cat and a cat")


def test_another_page_and_back_keeps_the_prompt(page: Page, app_url: str) -> None:
    open_page(page, app_url)
    run_prompt(page, "The dog saw a dog.")
    expect(page.locator(".hs-token-text").nth(2)).to_have_text("·dog")
    page.wait_for_function("() => location.search.includes('dog')")
    page.get_by_role("link", name="Catalog").click()
    expect(page.locator("#catalog-model")).to_be_visible()
    page.get_by_role("link", name="Live").click()
    expect(page.locator("#prompt")).to_have_value("The dog saw a dog.")
    expect(page.locator(".hs-token-text").nth(2)).to_have_text("·dog")


@pytest.mark.parametrize("preset", PRESETS.presets[::5], ids=lambda preset: preset.key)
def test_a_preset_opens_by_its_link(page: Page, app_url: str, preset: Preset) -> None:
    # Every preset and every step: tests/content/test_shipped_guide.py.
    page.goto(f"{app_url}/?preset={preset.key}")
    expect(page.locator(".hs-guide .hs-title")).to_contain_text(preset.title)
    expect(page.locator("#prompt")).to_have_value(preset.prompt)
    expect(page.locator("#headline .hs-sentence")).to_be_attached()
    expect(page.locator("#link-status")).to_be_empty()
    assert preset.answer is None or preset.answer not in page.content()


@pytest.mark.parametrize("lesson", LESSONS.lessons, ids=lambda lesson: lesson.key)
def test_a_lesson_step_opens_by_its_link(page: Page, app_url: str, lesson: Lesson) -> None:
    number = len(lesson.steps) // 2
    page.goto(f"{app_url}/?lesson={lesson.key}&step={number}")
    expect(page.locator(".hs-guide-text")).to_have_text(lesson.step(number).text)
    expect(page.locator("#link-status")).to_be_empty()


def test_predict_then_see(page: Page, app_url: str) -> None:
    page.goto(f"{app_url}/?preset=golden-ring")
    expect(page.locator(".hs-guide-question")).to_be_visible()
    expect(page.locator("#ablation-chips .hs-chip")).to_have_count(0)
    page.locator("#guide-answer").fill("It becomes about half.")
    page.get_by_role("button", name="Reveal").click()
    expect(page.locator(".hs-guide-answer")).to_be_visible()
    expect(page.locator("#ablation-chips .hs-chip")).to_have_count(1)
    expect(page.locator(".hs-guide")).to_contain_text("15 different sets, chosen by chance")
    expect(page.locator("#guide-answer")).to_have_value("It becomes about half.")


def test_a_covered_part_shows_nothing_before_the_reveal(page: Page, app_url: str) -> None:
    page.goto(f"{app_url}/?preset=cat-on-the-mat")
    expect(page.locator("#prediction.hs-covered")).to_be_attached()
    expect(page.locator("#prediction .hs-table")).to_be_hidden()
    page.get_by_role("button", name="Reveal").click()
    expect(page.locator("#prediction .hs-table")).to_be_visible()


def test_a_lesson_goes_on_when_the_thing_is_done_and_is_remembered(page: Page, app_url: str) -> None:
    page.goto(f"{app_url}/?lesson=induction&step=3")
    expect(page.locator("#role-cards.hs-pointed")).to_be_attached()
    following = page.locator(".hs-guide").get_by_role("button", name="Next")
    expect(following).to_be_disabled()
    open_role(page, "induction").locator(".hs-bar-row").first.click()
    expect(page.locator(".hs-guide-done")).to_be_visible()
    following.click()
    expect(page.locator(".hs-guide")).to_contain_text("step 4 of")
    page.locator(".hs-token").last.hover()
    expect(page.locator(".hs-guide-done")).to_be_visible()
    page.goto(f"{app_url}/lessons")
    expect(page.locator('[data-lesson-progress="induction"]')).to_have_text("You are at step 4 of 12.")


@pytest.mark.parametrize("query", ["preset=none-such", "lesson=none-such&step=2", "lesson=induction&step=99"])
def test_a_preset_or_step_that_is_not_there_is_told(page: Page, app_url: str, query: str) -> None:
    open_page(page, f"{app_url}/?{query}")
    expect(page.locator("#link-status")).to_contain_text("no")
    expect(page.locator(".hs-guide")).to_have_count(0)
