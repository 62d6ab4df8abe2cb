"""The app below a path of a proxy: nothing that a page asks for, shows or copies leaves the path."""

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import flask
import pytest
from playwright.sync_api import Page, expect

from app import Settings, create_app
from tests.fixtures.journeys import open_page, show_lines
from tests.fixtures.proxy import Proxy, proxy_of

PREFIX = "/lab/headscope"
# Links of the menu, and what is there once the page is whole.
PAGES = {
    "Lessons": ("/lessons", ".hs-lesson"),
    "Catalog": ("/catalog", "#catalog-body .hs-catalog-head"),
    "How heads form": ("/formation", "#page .plot-container"),
    "Compare": ("/compare", "#compare-run"),
    "Retrieval lab": ("/lab", "#lab-top .hs-lab-head"),
    "Glossary": ("/glossary", "#page dt"),
    "Instructors": ("/instructor", "#page .hs-table"),
}
# Addresses in the page that lead out of the prefix; an anchor leads nowhere.
LEAVING = f"""() => [...document.querySelectorAll("[href], [data-copy], [data-live], iframe")].flatMap(
    (place) => [place.getAttribute("href"), place.dataset.copy, place.dataset.live, place.getAttribute("src")]
).filter((address) => address && !/^(#|https:)/.test(address) && !address.startsWith("{PREFIX}/"))"""


LESSON = """title: Two steps
about: Two steps on a small model.
order: 1
model: demo-gpt2
steps:
  - text: Read the prompt.
    prompt: The cat sat on the mat. The cat sat on the
    at: prompt
    act: read
  - text: Read it again.
    at: prompt
    act: read
"""


@pytest.fixture
def proxy(serve: Callable[[flask.Flask], str], tmp_path: Path) -> Iterator[Proxy]:
    (tmp_path / "two-steps.yaml").write_text(LESSON, encoding="utf-8")
    app = create_app(Settings(models=("demo-gpt2", "demo-llama"), prefix=PREFIX, lessons=tmp_path))
    port = urlsplit(serve(app.server)).port
    assert port
    with proxy_of([port], PREFIX) as proxy:
        yield proxy
    # Each second request came without the prefix, and all of them were asked for below it.
    assert [answered for answered in proxy.answered if answered.status == 404] == []


def wait_for_path(page: Page, path: str) -> None:
    page.wait_for_function("path => location.pathname === path", arg=PREFIX + path)


def test_all_pages_stay_below_the_prefix(page: Page, proxy: Proxy):
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    open_page(page, proxy.url)
    wait_for_path(page, "/")
    page.wait_for_function("() => location.search.includes('prompt=')")
    show_lines(page)
    page.locator("#toggle-head").click()
    expect(page.locator("#ablation-chips .hs-chip")).to_have_count(1)
    page.wait_for_function("() => location.search.includes('off=')")
    for name, (path, whole) in PAGES.items():
        page.locator("#menu").get_by_role("link", name=name, exact=True).click()
        wait_for_path(page, path)
        expect(page.locator(whole).first).to_be_visible()
        assert page.evaluate(LEAVING) == [], name
    # Back, a page at a time, to what the live page showed.
    page.go_back()
    wait_for_path(page, "/glossary")
    page.locator("#menu").get_by_role("link", name="Live", exact=True).click()
    wait_for_path(page, "/")
    expect(page.locator("#ablation-chips .hs-chip")).to_have_count(1)
    assert page.evaluate(LEAVING) == []
    for url in asked:
        assert url.startswith((proxy.url, "data:", "blob:")), url


def test_links_of_the_pages_lead_on_below_the_prefix(page: Page, proxy: Proxy):
    page.goto(f"{proxy.url}/catalog?model=demo-gpt2&role=induction")
    page.locator("#catalog-body .hs-catalog-head").first.click()
    wait_for_path(page, "/")
    expect(page.locator(".hs-token").first).to_be_visible()
    page.go_back()
    wait_for_path(page, "/catalog")
    # The table of all scores is folded away.
    page.locator("#catalog-body a[title$='on the live page']").first.dispatch_event("click")
    wait_for_path(page, "/")
    expect(page.locator(".hs-token").first).to_be_visible()
    page.locator(".hs-help summary").first.click()
    page.get_by_role("link", name="More in the glossary").first.click()
    wait_for_path(page, "/glossary")
    page.goto(f"{proxy.url}/lessons")
    page.locator("[data-lesson-link='two-steps']").click()
    wait_for_path(page, "/")
    expect(page.locator(".hs-guide")).to_be_visible()
    page.goto(f"{proxy.url}/lessons")
    expect(page.get_by_text("Go on", exact=True)).to_have_attribute(
        "href", f"{PREFIX}/?v=1&lesson=two-steps&step=1"
    )
    page.locator("#help-open").click()
    page.locator("#help").get_by_role("link", name="Glossary").click()
    wait_for_path(page, "/glossary")
    page.goto(f"{proxy.url}/nowhere")
    page.get_by_role("link", name="Go to the live page").click()
    wait_for_path(page, "/")


def test_a_copied_link_shows_another_browser_the_same(new_page: Callable[..., Page], proxy: Proxy):
    first, second = new_page(), new_page()
    open_page(first, f"{proxy.url}/?v=2&model=demo-gpt2&off=L1H3&head=L1H3")
    first.wait_for_function("() => location.search.includes('prompt=')")
    first.evaluate(
        "() => document.addEventListener('copy', () => (window.copied = document.activeElement.value), true)"
    )
    first.get_by_role("button", name="Copy link").click()
    expect(first.locator("#copy-status")).to_have_text("Link copied.")
    copied = first.evaluate("() => window.copied")
    assert copied.startswith(f"{proxy.url}/?v=2&model=demo-gpt2&")
    open_page(second, copied)
    expect(second.locator("#ablation-chips .hs-chip")).to_have_text(["L1H3"])
    first.goto(f"{proxy.url}/instructor")
    expect(first.locator("[data-copy]").first).to_have_attribute(
        "data-copy", f"{PREFIX}/?v=2&preset=password"
    )
