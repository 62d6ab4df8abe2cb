"""The pages besides the live one: they fit a phone, keep figures here, and the catalog leads on."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

PHONE = {"width": 390, "height": 844}
# Path and query, and what is there once the page is whole.
PAGES = {
    "catalog": ("/catalog?role=positional", "#catalog-body .plot-container"),
    "formation": ("/formation?model=demo-gpt2", "#page .plot-container"),
    "compare": ("/compare", "#page .hs-card >> nth=2"),
    "lab": ("/lab?model=demo-gpt2&length=110", "#lab-top .hs-lab-head"),
    "lessons": ("/lessons", ".hs-lesson"),
    "glossary": ("/glossary", "#page dt"),
    "instructor": ("/instructor", "#page .hs-table"),
}
# Elements that reach beyond the screen and are not cut or scrolled by something around them. What a screen
# reader alone reads, and help that is folded away, take no room.
TOO_WIDE = """() => [...document.querySelectorAll("#page *")].filter((element) => {
    const box = element.getBoundingClientRect();
    if (!box.width || !element.checkVisibility({ visibilityProperty: true, contentVisibilityAuto: true }) ||
        (box.right <= innerWidth + 1 && box.left >= -1) || element.matches(".btn-check, .visually-hidden"))
      return false;
    for (let around = element.parentElement; around; around = around.parentElement)
      if (getComputedStyle(around).overflowX !== "visible" || around.matches("details:not([open])"))
        return false;
    return true;
}).map((element) => `${element.tagName}.${element.className}`).slice(0, 5)"""


@pytest.mark.parametrize("name", PAGES)
def test_no_element_is_wider_than_a_phone(new_page: Callable[..., Page], app_url: str, name: str) -> None:
    page = new_page(viewport=PHONE, has_touch=True, is_mobile=True, reduced_motion="reduce")
    path, whole = PAGES[name]
    page.goto(app_url + path)
    expect(page.locator(whole).first).to_be_visible()
    # Figures follow the width a moment later.
    page.wait_for_function("() => document.documentElement.scrollWidth <= 390")
    assert page.evaluate(TOO_WIDE) == []


def test_what_is_too_wide_is_found(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.set_content("<div id='page'><p style='width: 500px'>wide</p></div>")
    assert page.evaluate(TOO_WIDE) == ["P."]


def test_a_head_of_the_catalog_leads_to_the_live_page(page: Page, app_url: str) -> None:
    page.goto(f"{app_url}/catalog?model=demo-gpt2&role=induction")
    figure = page.locator("#catalog-scores")
    expect(figure.locator(".plot-container")).to_be_visible()
    # One button, which saves the figure: nothing shares it, and it is one tab stop.
    buttons = figure.locator(".modebar-btn")
    expect(buttons).to_have_count(1)
    expect(buttons).to_have_attribute("aria-label", "Download plot")
    expect(page.locator("#catalog-body")).to_contain_text("8 of 15 shown")

    cells = figure.locator(".nsewdrag")
    box = cells.bounding_box()
    assert box is not None
    cells.click(position={"x": box["width"] * 14.5 / 16, "y": box["height"] * 1.5 / 4})
    page.wait_for_function("() => location.pathname === '/' && location.search.includes('head=L1H14')")
    page.go_back()
    page.locator("#catalog-body .hs-catalog-head").first.click()
    page.wait_for_function("() => location.pathname === '/' && location.search.includes('model=demo-gpt2')")


def test_a_click_on_the_menu_counts_while_another_page_comes(page: Page, app_url: str) -> None:
    def link(name: str) -> Locator:
        return page.locator("#menu").get_by_role("link", name=name, exact=True)

    page.goto(f"{app_url}/glossary")
    expect(link("Glossary")).to_have_attribute("aria-current", "page")
    expect(page).to_have_title("HeadScope: Glossary")
    link("Instructors").press("Enter")
    expect(link("Instructors")).to_have_attribute("aria-current", "page")
    expect(link("Glossary")).not_to_have_attribute("aria-current", "page")
    # Who goes by keyboard goes on from there.
    expect(link("Instructors")).to_be_focused()

    # The page comes that Back leads to, menu and all, while the button is down.
    link("Lessons").hover()
    page.mouse.down()
    page.evaluate("history.back()")
    expect(link("Glossary")).to_have_attribute("aria-current", "page")
    page.mouse.up()
    page.wait_for_function("() => location.pathname === '/lessons'")
    expect(page).to_have_title("HeadScope: Lessons")


def test_a_lab_that_waits_shows_no_empty_figures(page: Page, app_url: str) -> None:
    # A length that cannot be read.
    page.goto(f"{app_url}/lab?v=1&model=demo-gpt2&length=999999")
    expect(page.locator("#lab-alert")).to_contain_text("too many")
    expect(page.locator("#lab-body.hs-lab-waiting")).to_be_attached()
    for figure in ("#lab-scores", "#lab-catalog-scores", "#lab-rows"):
        expect(page.locator(figure)).to_be_hidden()
