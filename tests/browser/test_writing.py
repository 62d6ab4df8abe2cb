"""What heads write: from a name in the answer to the token that a head copied it from; a second prompt."""

import re
from collections.abc import Callable
from urllib.parse import urlencode

from playwright.sync_api import Page, expect

from tests.fixtures.journeys import open_page, show_view
from utils.models.sources import REAL_MODEL

NAMES = "When Mary and John went to the store, John gave a drink to"
SECOND = "When Mary and John went to the store, Mary gave a drink to"


def address(app_url: str, **more: str) -> str:
    return f"{app_url}/?{urlencode({'v': 2, 'model': REAL_MODEL, 'prompt': NAMES} | more)}"


def test_from_a_name_to_its_head_to_the_token_it_copied_in_three_clicks(page: Page, app_url: str) -> None:
    open_page(page, address(app_url))
    page.locator("#prediction tr[data-token='·Mary'] button").click()
    expect(page.locator("#view-direct")).to_contain_text("“·Mary” against")
    expect(page.locator("#head-grid .hs-grid")).to_have_attribute("data-scale", "signed")
    first = page.locator("#view-direct tbody button").first
    head = first.inner_text()
    first.click()
    expect(page.locator("#head-title")).to_have_text(f"Head {head}")
    expect(page.locator("#head-writes")).to_contain_text(f"{head} attends to")
    source = page.locator("#head-writes [data-source]").first
    token = source.get_attribute("data-source")
    source.click()
    expect(page.locator(".hs-token-source")).to_have_attribute("data-index", str(token))
    page.wait_for_function("() => /target=/.test(location.search) && /show=writes/.test(location.search)")


def test_interchange_with_a_second_prompt(page: Page, app_url: str, new_page: Callable[..., Page]) -> None:
    open_page(
        page,
        f"{app_url}/?v=2&model=demo-gpt2&prompt=The+king+took+the+golden+ring+and+the+golden&target=ring",
    )
    expect(page.locator("#second-place")).to_be_hidden()
    page.locator("#ablation-mode").select_option("interchange")
    page.locator("#second-prompt").fill("The king took the")
    page.locator("#second-prompt").press("Enter")
    expect(page.locator("#second-status")).to_contain_text("make them equally long")
    page.locator("#second-prompt").fill("The king took the little dog and the golden")
    page.locator("#second-prompt").press("Enter")
    expect(page.locator("#second-status")).to_contain_text("differ")
    page.locator("#toggle-head").click()
    expect(page.locator("#prediction thead")).to_contain_text("ablated")
    show_view(page, "Which heads matter")
    expect(page.locator("#view-effects")).to_contain_text("bring back")
    expect(page.locator("#map-view")).to_have_value("recovered")
    page.wait_for_function(
        "() => /mode=interchange/.test(location.search) && /second=/.test(location.search)"
    )
    second = new_page()
    open_page(second, page.url)
    expect(second.locator("#second-status")).to_contain_text("differ")
    expect(second.locator("#view-effects")).to_contain_text("bring back")


def test_a_phone_shows_what_a_head_writes(new_page: Callable[..., Page], app_url: str) -> None:
    page = new_page(viewport={"width": 390, "height": 844}, has_touch=True)
    open_page(page, f"{app_url}/?v=2&model=demo-gpt2&prompt=The+king+took+the+golden+ring+and+the+golden")
    page.locator(".hs-phone-tab[data-tab='answer']").tap()
    page.locator("#prediction tbody button").first.tap()
    expect(page.locator("#view-direct")).to_contain_text(re.compile("logits for"))
    page.locator("#view-direct tbody button").first.tap()
    expect(page.locator("#head-writes")).to_be_visible()
    expect(page.locator("#head-writes")).to_contain_text("copied from")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
