"""Two servers behind a proxy serve one class, each request the next of them; one is killed meanwhile.

Both have the whole app and share results by Redis; the proxy keeps nobody to a server. What a student sees
is what a server that serves nobody else answers.
"""

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Request, expect

from app import Settings, create_app
from callbacks.serving.askers import BEFORE_HEADER, VISIT_HEADER
from callbacks.serving.callback_bodies import UPDATE_PATH
from tests.browser.conftest import PageWatch
from tests.fixtures.app_process import RunningApp, starting_app, wait_until_up
from tests.fixtures.journeys import open_page, run_prompt, show_view, tokens
from tests.fixtures.proxy import BAD_GATEWAY, Proxy, proxy_of
from tests.fixtures.redis_server import redis_server

PREFIX = "/headscope"
MODELS = ("demo-gpt2", "demo-llama")
FIRST = "The red fox saw the red fox and the red"
THIRD = "The old fox saw the old fox and the old"
SECOND = "One day a little girl went to the park. One day a little"
# Each student has a prompt and a head of their own.
STUDENTS = tuple(
    (f"The {animal} saw a {animal} and the {animal}", f"L{number % 4}H{number}")
    for number, animal in enumerate(("cat", "dog", "bird", "fish", "horse", "cow"))
)
# Requests of each student before the one server is gone, and after.
ROUNDS = 6


@dataclass(frozen=True)
class Class:
    """What serves the class."""

    proxy: Proxy
    apps: tuple[RunningApp, RunningApp]


@pytest.fixture
def served(browser: Browser, tmp_path: Path) -> Iterator[Class]:
    secret = tmp_path / "secret"
    secret.write_text("s" * 64, encoding="utf-8")
    with redis_server(tmp_path) as redis:
        options = (
            *("--prefix", PREFIX, "--models", *MODELS, "--no-prepare"),
            *("--cache", redis.url, "--cache-secret", str(secret)),
        )
        with starting_app(tmp_path, *options) as one, starting_app(tmp_path, *options) as other:
            for app in (one, other):
                wait_until_up(app)
            with proxy_of([one.port, other.port], PREFIX) as proxy:
                yield Class(proxy, (one, other))


def alone() -> Callable[[bytes], Any]:
    """What a server that nobody else uses answers to a callback's body."""
    client = create_app(Settings(models=MODELS, prefix=PREFIX)).server.test_client()

    def ask(body: bytes) -> Any:
        answer = client.post(f"{PREFIX}/{UPDATE_PATH}", data=body, content_type="application/json")
        assert answer.status_code == 200
        return answer.json

    return ask


def ask(url: str, body: bytes, visit: str) -> Any:
    """A callback's answer; asked again, as the page does, where a server is busy or goes meanwhile."""
    headers = {"Content-Type": "application/json", VISIT_HEADER: visit}
    request = urllib.request.Request(f"{url}/{UPDATE_PATH}", body, headers)
    while True:
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                if BEFORE_HEADER not in answer.headers:
                    return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code != BAD_GATEWAY:
                raise
        time.sleep(0.1)


def bodies_of(page_body: dict[str, Any]) -> list[bytes]:
    """What each student's page asks, after the body of a page that asked for a prediction."""
    bodies = []
    for prompt, head in STUDENTS:
        for part in page_body["inputs"]:
            if part["id"] == "store-request":
                part["value"] = {"model": MODELS[0], "prompt": prompt}
            elif part["id"] == "store-ablated":
                part["value"] = [head]
        bodies.append(json.dumps(page_body).encode())
    return bodies


def shown(page: Page) -> list[str]:
    """What a page says that depends on its student's choices."""
    places = ("#prompt", "#token-strip", "#ablation-chips", "#headline", "#prediction", "#head-title")
    return [page.locator(place).evaluate("place => place.value || place.innerText") for place in places]


def ablate(page: Page, head: str) -> None:
    page.locator(f'.hs-cell[data-head="{head}"]').click()
    expect(page.locator("#head-title")).to_contain_text(head)
    page.locator("#toggle-head").click()
    expect(page.locator("#ablation-chips .hs-chip")).to_have_text([head])
    expect(page.locator("#prediction")).to_contain_text("ablated")


def test_one_class_is_served_by_two_servers_of_which_one_is_killed(
    served: Class, new_page: Callable[..., Page], watch: PageWatch
):
    proxy, (one, other) = served.proxy, served.apps
    asked: list[dict[str, Any]] = []
    first, second = new_page(), new_page()

    def note(request: Request) -> None:
        if UPDATE_PATH in request.url:
            asked.append(request.post_data_json or {})

    first.on("request", note)
    open_page(first, f"{proxy.url}/?v=2&model=demo-gpt2")
    open_page(second, f"{proxy.url}/?v=2&model=demo-llama")
    run_prompt(first, FIRST)
    run_prompt(second, SECOND)
    expect(first.locator(".hs-token-text").nth(2)).to_have_text("·red")
    expect(second.locator(".hs-token-text").nth(2)).to_have_text("·day")
    ablate(first, "L1H3")
    ablate(second, "L2H5")
    # The other one's work changes nothing of what a student sees.
    before = shown(second)
    show_view(first, "Which heads matter")
    expect(first.locator("#effects-body .hs-table").first).to_be_attached()
    assert shown(second) == before
    assert tokens(first)[1:] != tokens(second)[1:]

    prediction = next(body for body in reversed(asked) if "prediction.data-html" in body["output"])
    bodies = bodies_of(prediction)
    by_itself = alone()
    expected = [by_itself(body) for body in bodies]
    assert len({json.dumps(answer) for answer in expected}) == len(STUDENTS)

    halfway = threading.Barrier(len(STUDENTS) + 1, timeout=300)
    killed = threading.Event()

    def study(number: int) -> list[Any]:
        visit = f"student {number}"
        answers = [ask(proxy.url, bodies[number], visit) for _ in range(ROUNDS)]
        halfway.wait()
        return answers + [ask(proxy.url, bodies[number], visit) for _ in range(ROUNDS)]

    def kill(body: bytes, port: int) -> None:
        # With the requests of the class in its hands, and one of the first page's among them.
        if port == one.port and b"fox" in body and not killed.is_set():
            killed.set()
            one.process.kill()
            one.process.wait()

    with ThreadPoolExecutor(len(STUDENTS)) as students:
        working = [students.submit(study, number) for number in range(len(STUDENTS))]
        halfway.wait()
        assert {answered.port for answered in proxy.answered} == {one.port, other.port}
        proxy.when_sent = kill
        run_prompt(first, THIRD)
        for student, answer in zip(working, expected, strict=True):
            assert student.result() == [answer] * (2 * ROUNDS)
    assert killed.wait(60)

    # What the page was asking is answered by the other server, its map included, without anybody's doing.
    expect(first.locator(".hs-token-text").nth(2)).to_have_text("·old")
    expect(first.locator("#effects-body .hs-table").first).to_be_attached()
    expect(first.locator("#ablation-chips .hs-chip")).to_have_text(["L1H3"])
    assert shown(second) == before
    run_prompt(second, THIRD)
    expect(second.locator(".hs-token-text").nth(2)).to_have_text("·old")
    expect(second.locator("#ablation-chips .hs-chip")).to_have_text(["L2H5"])
    for page in (first, second):
        expect(page.locator("#server-notice")).to_be_hidden()
    prediction = next(body for body in reversed(asked) if "prediction.data-html" in body["output"])
    assert THIRD in json.dumps(prediction)
    body = json.dumps(prediction).encode()
    assert ask(proxy.url, body, "the teacher") == by_itself(body)

    # Lost were the requests that the killed server had in its hands, and each of them was answered after all.
    lost = [answered for answered in proxy.answered if answered.status >= 400]
    assert lost and {(answered.port, answered.status) for answered in lost} == {(one.port, BAD_GATEWAY)}
    good = {answered.body for answered in proxy.answered if answered.status < 400}
    assert {answered.body for answered in lost} <= good
    assert all(str(BAD_GATEWAY) in problem for problem in watch.problems())
    watch.clear()
