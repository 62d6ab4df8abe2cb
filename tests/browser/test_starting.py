"""The page that a browser gets while the app is being built."""

import pytest

from callbacks.serving.starting import StartingApp
from tests.browser.test_access import AXE


def test_it_says_what_is_done_and_opens_the_page_by_itself(page, serve, watch):
    starting = StartingApp()

    def ready(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/html")])
        return [b'<!DOCTYPE html><html lang="en"><link rel="icon" href="data:,"><title>ready</title>']

    starting.stage = "Loading one thing …"
    page.goto(f"{serve(starting)}/compare?models=a")
    page.get_by_text("Loading one thing …").wait_for()
    starting.stage = "Loading <another> thing …"
    page.get_by_role("status").get_by_text("Loading <another> thing …").wait_for()
    for scheme, background in (("light", "rgb(243, 245, 248)"), ("dark", "rgb(22, 24, 27)")):
        page.emulate_media(color_scheme=scheme)
        page.reload()
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == background
    # 503s alone; Chromium notes each of them on the console too.
    assert all(text.startswith("503 ") for text in watch.failed_requests)
    assert all("503" in text for text in watch.console)
    watch.clear()
    starting.hand_over(ready)
    page.wait_for_function("() => document.title === 'ready'")
    assert page.url.endswith("/compare?models=a")
    watch.clear()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_read_it(new_page, serve, watch, scheme):
    # Without the policy, which keeps scripts of others out, axe among them.
    page = new_page(bypass_csp=True, color_scheme=scheme, viewport={"width": 360, "height": 640})
    page.goto(serve(StartingApp()))
    page.add_script_tag(path=str(AXE))
    found = page.evaluate("async () => (await axe.run(document)).violations.map((each) => each.id)")
    assert found == []
    page.close()
    watch.clear()
