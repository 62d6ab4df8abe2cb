"""What the browser may do with the pages, and what the server does with bodies that no page sends."""

import copy
import http.client
import json
import logging
import random
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import flask
import pytest
from playwright.sync_api import Page, Request, expect

from app import Settings, create_app
from callbacks.serving.callback_bodies import UPDATE_PATH
from tests.fixtures.journeys import show_lines, show_view

PATHS = ("/lessons", "/catalog", "/formation", "/compare", "/lab", "/glossary", "/instructor")
MUTATIONS = 300
VALUES: tuple[Any, ...] = (
    None, True, -1, 1e308, "", "x" * 5000, "\ud800</script>", "L999H999", [], [[]], {}, {"a": {"b": []}},
    ["L0H0", 3], 10**400, "{", "NaN",
)  # fmt: skip


def places(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON tree, as the keys that lead to it."""
    yield path
    for key, value in (
        tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    ):
        yield from places(value, (*path, key))


def mutated(body: Any, rng: random.Random) -> bytes:
    """The body with one thing about it changed: a value, a key gone, an item twice, or cut off."""
    if rng.random() < 0.1:
        text = json.dumps(body).encode()
        return text[: rng.randrange(len(text))]
    changed = copy.deepcopy(body)
    path = rng.choice([place for place in places(changed) if place])
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    kind = rng.choice(("value", "value", "gone", "twice"))
    if kind == "value":
        inner[path[-1]] = copy.deepcopy(rng.choice(VALUES))
    elif kind == "gone":
        del inner[path[-1]]
    elif isinstance(inner, list):
        inner.insert(path[-1], inner[path[-1]])
    else:
        inner[str(path[-1]) + "2"] = inner[path[-1]]
    return json.dumps(changed).encode()


def post(url: str, body: bytes) -> int:
    """The status that a body is answered with."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=60)
    connection.request("POST", f"/{UPDATE_PATH}", body, {"Content-Type": "application/json"})
    status = connection.getresponse().status
    connection.close()
    return status


def test_all_pages_work_under_the_policy_and_no_mutated_body_leaves_a_trace(
    page: Page, serve: Callable[[flask.Flask], str], caplog: pytest.LogCaptureFixture
):
    url = serve(create_app(Settings(models=("demo-gpt2",))).server)
    bodies: list[Any] = []

    def note(request: Request) -> None:
        if UPDATE_PATH in request.url:
            bodies.append(request.post_data_json)

    page.on("request", note)
    answer = page.goto(url)
    assert answer is not None
    policy = answer.headers["content-security-policy"]
    assert "unsafe-eval" not in policy and "script-src 'self' 'sha256-" in policy
    expect(page.locator("#prediction tr").first).to_be_visible()
    frame = show_lines(page)
    assert frame.locator("body").evaluate("() => window.origin") == "null"
    page.locator("[data-choose]").nth(5).click()
    expect(frame.locator("html")).to_have_attribute("data-theme", "light")
    page.locator("#head-view").get_by_text("Heatmap", exact=True).click()
    expect(page.locator("#heatmap .heatmaplayer image").first).to_be_attached()
    page.locator("#toggle-head").click()
    expect(page.locator("#toggle-head")).to_contain_text("Restore")
    show_view(page, "At every position")
    page.locator("#theme-switch").click()
    for path in PATHS:
        page.goto(f"{url}{path}")
        expect(page.locator("#page h2").first).to_be_visible()
    page.close()

    rng = random.Random(0)
    caplog.clear()
    caplog.set_level(logging.INFO)
    refused = 0
    for _ in range(MUTATIONS):
        body = mutated(rng.choice(bodies), rng)
        status = post(url, body)
        assert status in (200, 204, 400), (status, body[:2000])
        refused += status == 400
        traced = [record for record in caplog.records if record.exc_info]
        assert not traced, (body[:2000], logging.Formatter().format(traced[0]))
    lines = [record for record in caplog.records if record.getMessage().startswith("refused with 400")]
    assert len(lines) == refused > MUTATIONS / 3
    assert all("\n" not in record.getMessage() for record in lines)
