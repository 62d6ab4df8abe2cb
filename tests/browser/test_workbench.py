"""The live page as a workbench: what must be in sight after a click, on laptops and on a phone."""

import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page, expect

from app import Settings, create_app
from tests.browser.conftest import PageWatch
from tests.fixtures.app_process import free_port, starting_app, wait_until_up
from tests.fixtures.journeys import open_page, run_prompt, show_lines
from tests.fixtures.makers.tiny_models import save_gpt2_of_shape
from utils.models.sources import REAL_MODEL
from utils.teaching.lesson_acts import ACTS
from utils.teaching.lessons import Lesson, load_lessons
from utils.teaching.presets import load_presets

LESSONS = load_lessons(presets=load_presets())
SIZES = ((1440, 900), (1280, 720), (1920, 1080))
PHONE = {"width": 390, "height": 844}
# By model: layers, heads, and how large a cell is at 1440 x 900 in pixels, at least.
SHAPES = {"demo-gpt2": (4, 16, 22), REAL_MODEL: (30, 9, 17.5), "wide": (32, 32, 11.5)}
PROMPT = "The cat sat on the mat. The cat sat on the"
# What has to be in sight together, whatever was clicked.
IN_SIGHT = ("#head-title", "#toggle-head", "#heatmap", "#headline .hs-sentence", "#run", "#token-strip")

BOXES = """selectors => selectors.map(selector => {
    const box = document.querySelector(selector).getBoundingClientRect();
    return [selector, box.left, box.top, box.right, box.bottom];
})"""
# What is cut: text that its box cannot hold, though nothing lets the reader scroll to it. (A help mark
# takes a finger 6 pixels beyond what is seen of it.)
CUT = """() => Array.from(document.querySelectorAll(
    ".hs-pane-title, .hs-role-title, .hs-tab, #toggle-head, .hs-sentence, #run, .hs-chip"
)).filter(element => element.checkVisibility() && element.scrollWidth > element.clientWidth + 8
).map(element => element.className + ": " + element.textContent)"""
ROOM = """() => [
    document.documentElement.scrollHeight - innerHeight, scrollY, document.documentElement.scrollWidth
]"""


@pytest.fixture(scope="module")
def wide_url(serve: Callable[[Any], str], tmp_path_factory: pytest.TempPathFactory) -> str:
    """An app with a model of 32 layers of 32 heads."""
    folder = tmp_path_factory.mktemp("wide")
    save_gpt2_of_shape(32, 32, folder / "models" / "wide")
    return serve(create_app(Settings(model_dirs=(folder / "models",), catalogs=folder)).server)


def address(app_url: str, wide_url: str, model: str) -> str:
    query = urlencode({"v": 1, "model": model, "prompt": PROMPT})
    return f"{wide_url if model == 'wide' else app_url}/?{query}"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("model", SHAPES)
def test_head_figure_and_answer_are_in_sight_after_any_click(
    new_page: Callable[..., Page], app_url: str, wide_url: str, model: str, scheme: Any
) -> None:
    layers, heads, cell_size = SHAPES[model]
    page = new_page(color_scheme=scheme, viewport={"width": 1440, "height": 900})
    open_page(page, address(app_url, wide_url, model))
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        for head in (f"L{layers - 1}H{heads - 1}", "L0H0", f"L{layers // 2}H{heads // 2}"):
            cell = page.locator(f'.hs-cell[data-head="{head}"]')
            cell.click()
            expect(page.locator("#head-title")).to_have_text(f"Head {head}")
            expect(page.locator("#heatmap .plot-container")).to_be_visible()
        for selector, left, top, right, bottom in page.evaluate(BOXES, list(IN_SIGHT)):
            assert 0 <= left < right <= width and 0 <= top < bottom <= height, (selector, width, height)
        below, scrolled, across = page.evaluate(ROOM)
        assert (below, scrolled) == (0, 0) and across <= width
        bar = page.evaluate(BOXES, [".hs-header", ".hs-prompt-bar"])
        assert bar[1][4] - bar[0][2] < 100
        panes = page.evaluate(BOXES, [".hs-pane-map", ".hs-pane-head", ".hs-pane-answer"])
        assert panes[0][3] <= panes[1][1] and panes[1][3] <= panes[2][1]
        assert page.evaluate(CUT) == []
        grid = page.evaluate(BOXES, [".hs-pane-map", "#head-grid .hs-grid", ".hs-cell"])
        if (width, height) == (1440, 900):
            # All heads without scrolling, in cells that can be hit.
            assert grid[1][4] <= grid[0][4] and grid[1][3] <= grid[0][3]
            assert (
                page.locator("#head-grid .hs-cell").last.evaluate("cell => cell.offsetWidth")
                >= cell_size - 1.5
            )
            # Three columns of about 400, 560 and 416 pixels.
            assert [round(pane[3] - pane[1], -1) for pane in panes] == pytest.approx([400, 560, 416], abs=20)


@pytest.mark.parametrize("tokens", [8, 16, 64, 120])
def test_labels_of_the_figure_do_not_overlap(page: Page, app_url: str, tokens: int) -> None:
    page.set_viewport_size({"width": 1440, "height": 900})
    query = urlencode({"v": 1, "model": "demo-gpt2", "prompt": " ".join(["cat", "mouse"] * (tokens // 2))})
    open_page(page, f"{app_url}/?{query}")
    expect(page.locator(".hs-token")).to_have_count(tokens + 1)
    labels = page.locator("#heatmap .ytick text")
    # Not those of the empty figure that stands there first.
    expect(labels.nth(7)).to_be_visible()
    boxes = labels.evaluate_all(
        "all => all.map(one => [one.getBoundingClientRect().top, one.getBoundingClientRect().bottom])"
    )
    ordered = sorted(boxes)
    assert len(ordered) >= 8
    assert all(upper[1] <= lower[0] + 1.5 for upper, lower in pairwise(ordered))
    square = page.locator("#heatmap").bounding_box()
    assert square is not None and abs(square["width"] - square["height"]) < 2


def test_a_phone_gets_from_a_prompt_to_an_effect_in_six_taps(
    new_page: Callable[..., Page], app_url: str
) -> None:
    page = new_page(viewport=PHONE, has_touch=True)
    open_page(page, f"{app_url}/?v=1&model=demo-gpt2&prompt=A+dog")
    # The prompt's line and the strip stay within 110 pixels below a header of 48.
    tops = page.evaluate(BOXES, [".hs-header", ".hs-strip"])
    assert tops[0][4] <= 49 and tops[1][4] <= 48 + 112
    taps = 0
    for selector in ("#prompt", "#run", '.hs-cell[data-head="L1H2"]', "#toggle-head"):
        if selector == "#run":
            page.locator("#prompt").fill(PROMPT)
        page.locator(selector).tap()
        taps += 1
    expect(page.locator("#cause")).to_contain_text("L1H2 ablated: ")
    assert taps <= 6
    box = page.locator("#cause").bounding_box()
    assert box is not None and box["y"] + box["height"] <= PHONE["height"]
    # The head's sheet stands over the map, and goes away.
    expect(page.locator(".hs-pane-head")).to_be_visible()
    expect(page.locator("#heatmap .plot-container")).to_be_visible()
    page.locator(".hs-sheet-close").tap()
    expect(page.locator(".hs-pane-head")).to_be_hidden()
    for tab, shown in (
        ("answer", "#prediction .hs-table"),
        ("roles", ".hs-role-title"),
        ("head", "#head-title"),
    ):
        page.locator(f".hs-phone-tab[data-tab='{tab}']").tap()
        expect(page.locator(shown).first).to_be_visible()
        assert page.evaluate(ROOM)[2] <= PHONE["width"]
        assert page.evaluate(ROOM)[0] <= PHONE["height"]


def in_sight(page: Page, selector: str) -> bool:
    """Whether enough of an element is within the window, not under a bar or a sheet, to see what it is."""
    return page.locator(selector).first.evaluate(
        """element => {
            const box = element.getBoundingClientRect();
            const across = Math.min(box.right, innerWidth) - Math.max(box.left, 0);
            for (let part = 1; part < 20; part++) {
                const y = box.top + box.height * part / 20;
                const hit = document.elementFromPoint(Math.max(box.left, 0) + across / 2, y);
                if (hit && (element.contains(hit) || hit.contains(element))) return across > 20;
            }
            return false;
        }"""
    )


@pytest.mark.parametrize("device", ["desktop", "phone"])
@pytest.mark.parametrize("lesson", LESSONS.lessons, ids=lambda lesson: lesson.key)
def test_every_step_of_a_lesson_shows_its_panel_and_its_target(
    new_page: Callable[..., Page], app_url: str, lesson: Lesson, device: str
) -> None:
    size = PHONE if device == "phone" else {"width": 1280, "height": 720}
    page = new_page(viewport=size, reduced_motion="reduce")
    page.goto(f"{app_url}/?lesson={lesson.key}&step=1")
    for number, step in enumerate(lesson.steps, start=1):
        expect(page.locator(".hs-guide")).to_have_attribute("data-step", str(number))
        expect(page.locator("#head-title")).to_contain_text("Head L")
        if step.at:
            expect(page.locator(".hs-pointed")).to_have_count(1)
            page.wait_for_function("() => !document.documentElement.dataset.heard")
            page.wait_for_timeout(250)  # until it is scrolled to
            assert in_sight(page, ".hs-pointed"), (number, step.at)
        assert in_sight(page, ".hs-guide-text"), number
        if number < len(lesson.steps):
            onward = page.locator(".hs-guide").get_by_role("button", name="Next")
            if onward.is_disabled():
                onward = page.locator(".hs-guide").get_by_role("button", name="Skip this step")
            onward.click()


def test_every_act_of_a_lesson_is_walked() -> None:
    used = {step.act.kind for lesson in LESSONS.lessons for step in lesson.steps}
    assert used <= set(ACTS) and len(used) > 5


def test_back_leaves_the_page_after_ten_heads(page: Page, app_url: str) -> None:
    page.goto(f"{app_url}/glossary")
    expect(page.locator("#glossary-list")).to_be_visible()
    open_page(page, f"{app_url}/?v=1&model=demo-gpt2&prompt=The+cat+saw+a+cat")
    show_lines(page)
    for number in range(10):
        page.locator(f'.hs-cell[data-head="L1H{number}"]').click()
        page.frames[-1].wait_for_function(
            "title => document.title === title", arg=f"BertViz view of L1H{number}"
        )
    page.go_back()
    expect(page.locator("#glossary-list")).to_be_visible()


def test_what_is_typed_and_not_run_is_marked_and_an_error_leaves_it_marked(page: Page, app_url: str) -> None:
    open_page(page, app_url)
    expect(page.locator("#run-status")).to_be_empty()
    page.locator("#prompt").fill("A ship sailed")
    expect(page.locator("#run-status")).to_have_text("edited, not run")
    page.locator("#run").click()
    expect(page.locator(".hs-token-text").nth(2)).to_have_text("·ship")
    expect(page.locator("#run-status")).to_be_empty()
    run_prompt(page, "word " * 200)
    expect(page.locator("#alert")).to_contain_text("tokens")
    # The old result does not look as if it were of this text.
    expect(page.locator("#run-status")).to_have_text("edited, not run")
    expect(page.locator("#workbench[data-edited]")).to_be_attached()


def test_a_click_is_heard_at_once(page: Page, app_url: str) -> None:
    open_page(page, app_url)
    page.wait_for_function("() => !document.documentElement.dataset.heard")
    heard = page.evaluate(
        """async () => {
            const said = {};
            const root = document.documentElement;
            for (const [name, selector] of [
                ["run", "#run"], ["head", ".hs-cell"], ["toggle", "#toggle-head"],
            ]) {
                document.querySelector(selector).click();
                said[name] = root.dataset.heard;
                await new Promise(resolve => setTimeout(resolve, 1500));
            }
            said.after = root.dataset.heard || "";
            return said;
        }"""
    )
    assert (heard["run"], heard["head"], heard["toggle"]) == ("all", "head", "answer")
    page.wait_for_function("() => !document.documentElement.dataset.heard")


def test_a_new_prompt_ends_a_preset(page: Page, app_url: str) -> None:
    page.goto(f"{app_url}/?preset=golden-ring&model=demo-gpt2&off=L1H2")
    expect(page.locator(".hs-guide")).to_be_visible()
    expect(page.locator("#ablation-chips .hs-chip")).to_have_count(1)
    run_prompt(page, "The dog saw a dog and the")
    expect(page.locator(".hs-guide")).to_have_count(0)
    expect(page.locator("#watched-token")).to_have_value("")
    expect(page.locator("#ablation-chips .hs-chip")).to_have_count(0)
    page.wait_for_function("() => !/preset|target|off=/.test(location.search)")


def test_a_server_that_is_gone_is_said_and_the_page_goes_on_when_it_is_back(
    page: Page, watch: PageWatch, tmp_path: Path
) -> None:
    port = free_port()
    with starting_app(tmp_path, "--models", "demo-gpt2", port=port) as app:
        wait_until_up(app)
        open_page(page, app.url)
        app.process.kill()
        app.process.wait()
        began = time.monotonic()
        expect(page.locator("#server-notice")).to_be_visible()
        assert time.monotonic() - began < 5
        # What is asked meanwhile is answered when it is back; nothing that was typed is lost.
        run_prompt(page, "The ship sailed to the ship")
        expect(page.locator("#server-notice")).to_be_visible()
    with starting_app(tmp_path, "--models", "demo-gpt2", port=port):
        expect(page.locator("#server-notice")).to_be_hidden()
        expect(page.locator(".hs-token-text").nth(2)).to_have_text("·ship")
        expect(page.locator("#prompt")).to_have_value("The ship sailed to the ship")
        page.close()
    watch.clear()
