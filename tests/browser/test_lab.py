"""The retrieval lab as a visitor uses it: needle and answer, rankings, a head, heads ablated, the link."""

import re
from collections.abc import Callable

from playwright.sync_api import Page, ViewportSize, expect

WIDE: ViewportSize = {"width": 1440, "height": 900}


def column_tops(page: Page) -> dict[str, tuple[float, float]]:
    """Left and top edge of each pane on the page, by name."""
    found: dict[str, tuple[float, float]] = {}
    for name in ("ask", "text", "rankings", "head", "answer", "off"):
        box = page.locator(f".hs-lab-{name}-pane").bounding_box()
        assert box is not None
        found[name] = box["x"], box["y"]
    return found


def test_from_a_filing_to_its_heads_and_back_by_link(new_page: Callable[..., Page], app_url: str) -> None:
    page = new_page(viewport=WIDE)
    page.goto(f"{app_url}/lab?v=1&model=demo-gpt2&question=inc_state&length=110&seed=3&k=2")
    needle = page.locator("#lab-tokens mark")
    expect(needle).to_contain_text("Oklahoma")
    expect(page.locator("#lab-tokens .hs-lab-question")).to_contain_text("In which state")
    expect(page.locator("#lab-written")).to_contain_text("The text says “Oklahoma”")
    # Nothing is ablated unasked.
    expect(page.locator("#lab-off")).to_be_empty()
    page.locator("#lab-off-run").click()
    expect(page.locator("#lab-off")).to_contain_text("Without the first 2 heads")

    # Another method orders the heads otherwise; a head of its list is looked at.
    page.locator("#lab-method label", has_text="Summed attention").click()
    expect(page.locator("#lab-method-status")).to_contain_text("Just before the model answers")
    third = page.locator("#lab-top .hs-lab-head").nth(2)
    name = third.inner_text()
    third.click()
    expect(page.locator("#lab-head")).to_have_value(name)
    expect(page.locator("#lab-head-status")).to_contain_text(f"{name} puts")
    expect(page.locator("#lab-top .hs-lab-head").nth(2)).to_have_attribute("aria-pressed", "true")
    # Three columns in one view: what the click did stands beside the list, on a phone below it.
    tops = column_tops(page)
    assert tops["ask"][0] < tops["rankings"][0] == tops["head"][0] < tops["answer"][0]
    expect(page.locator("#lab-head-status .hs-lab-status")).to_be_in_viewport()
    page.set_viewport_size({"width": 390, "height": 844})
    tops = column_tops(page)
    order = ["ask", "answer", "text", "rankings", "head", "off"]
    assert sorted(tops, key=lambda name: tops[name][1]) == order
    third.click()
    expect(page.locator("#lab-head-status .hs-lab-status")).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.set_viewport_size(WIDE)
    # The text is shaded by where that head looks.
    expect(needle.locator("[data-t]").first).to_have_attribute("title", re.compile(r"token \d+: [\d.]+%"))

    # A cell of the grid chooses its head as well.
    cells = page.locator("#lab-scores .nsewdrag")
    box = cells.bounding_box()
    assert box is not None
    cells.click(position={"x": box["width"] * 0.5 / 16, "y": box["height"] * 3.5 / 4})
    expect(page.locator("#lab-head")).to_have_value("L3H0")

    slider = page.locator("#lab-k")
    slider.focus()
    slider.press("ArrowRight")
    expect(page.locator("#lab-k-status")).to_have_text("3")
    expect(page.locator("#lab-off")).to_be_empty()
    page.locator("#lab-off-run").click()
    expect(page.locator("#lab-off")).to_contain_text("Without the first 3 heads")
    expect(page.locator("#lab-off tbody tr")).to_have_count(12)
    page.wait_for_function("() => location.search.includes('head=L3H0') && location.search.includes('k=3')")

    other = new_page()
    other.goto(page.url)
    expect(other.locator("#lab-head-status")).to_contain_text("L3H0 puts")
    expect(other.locator("#lab-off")).to_contain_text("Without the first 3 heads")
    expect(other.locator("#lab-method-status")).to_contain_text("Just before the model answers")
    assert other.locator("#lab-tokens").inner_text() == page.locator("#lab-tokens").inner_text()


def test_ones_own_text_with_a_chosen_needle_and_what_is_wrong_with_it(page: Page, app_url: str) -> None:
    page.goto(f"{app_url}/lab?v=1&model=demo-llama&length=120&k=0")
    expect(page.locator("#lab-tokens mark")).to_be_visible()
    page.locator("#lab-question").select_option("own")
    expect(page.locator("#lab-length")).to_be_hidden()
    page.locator("#lab-run").click()
    expect(page.locator("#lab-alert")).to_contain_text("There is no text to ask about.")
    expect(page.locator("#lab-tokens mark")).to_be_visible()

    page.locator("#lab-text").fill("<b>Acme</b> makes boots. The company has 431 employees in total.")
    page.locator("#lab-asked").fill("How many employees does the company have in total?")
    page.get_by_text("Choose the needle").click()
    page.locator(".hs-lab-sentence").nth(1).click()
    expect(page.locator(".hs-lab-sentence").nth(1)).to_have_attribute("aria-pressed", "true")
    page.locator("#lab-asked").press("Control+Enter")
    expect(page.locator("#lab-tokens mark")).to_contain_text("431 employees")
    expect(page.locator("#lab-tokens")).to_contain_text("<b>Acme</b>")
    expect(page.locator("#lab-alert")).to_be_empty()
    page.wait_for_function("() => location.search.includes('needle=1')")


def test_a_number_that_a_box_does_not_take_asks_for_nothing(page: Page, app_url: str) -> None:
    page.goto(f"{app_url}/lab?v=1&model=demo-gpt2&question=inc_state&length=110&seed=3&k=0")
    expect(page.locator("#lab-tokens mark")).to_contain_text("Oklahoma")
    for box, wrong in (("#lab-length", "0"), ("#lab-depth", "101"), ("#lab-seed", "-3")):
        right = page.locator(box).input_value()
        page.locator(box).fill(wrong)
        page.locator("#lab-run").click()
        expect(page.locator(box)).to_be_focused()  # where the browser says what it takes
        expect(page.locator("#lab-progress")).to_be_empty()
        page.locator(box).fill(right)
    expect(page.locator("#lab-tokens mark")).to_contain_text("Oklahoma")
    # What is wrong in a box that is not shown keeps nobody from asking.
    page.locator("#lab-seed").fill("-3")
    page.locator("#lab-question").select_option("own")
    page.locator("#lab-run").click()
    expect(page.locator("#lab-alert")).to_contain_text("There is no text to ask about.")
