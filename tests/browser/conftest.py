"""A real Chromium and a real app for the journeys.

Fixtures:
    app_url: address of the app, started once a session as a user starts it (``python app.py``).
    serve: ``serve(flask_app) -> address``, for a small app of the test's own.
    new_page: ``new_page(**context_options) -> Page``, for a second user or a phone.
    page: one such page.
    watch: what those pages said on the console and asked of other hosts; a test that provokes an entry
        clears it. Anything left in it at the end fails the test.
"""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import flask
import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    expect,
    sync_playwright,
)
from waitress import wasyncore

from scripts.ensure_browser import browser_is_required, find_chromium, what_is_missing
from tests.fixtures.app_process import HOST, running_app
from utils.runtime.serving import make_server

BROWSER_FLAGS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]

SERVER_SECONDS = 10
"""How long a server may take to end."""

WAIT_MS = 60_000
"""How long Playwright waits for something to appear; generous, because a wait that succeeds costs nothing."""


@dataclass
class PageWatch:
    """What the pages of one test did that a good page does not do."""

    console: list[str] = field(default_factory=list)
    outside_requests: list[str] = field(default_factory=list)
    failed_requests: list[str] = field(default_factory=list)

    def follow(self, context: BrowserContext) -> None:
        """Listen to every page of a browser context, frames included."""
        context.on("console", self._on_console)
        context.on("weberror", lambda error: self.console.append(f"uncaught: {error.error}"))
        context.on("request", self._on_request)
        context.on("response", self._on_response)

    def clear(self) -> None:
        """Forget what was seen, in a test that provoked it."""
        self.console.clear()
        self.outside_requests.clear()
        self.failed_requests.clear()

    def problems(self) -> list[str]:
        """One line each, empty when all went well."""
        return [
            *(f"on the console: {text}" for text in self.console),
            *(f"asked another host: {url}" for url in self.outside_requests),
            *(f"answered with an error: {text}" for text in self.failed_requests),
        ]

    def _on_console(self, message: ConsoleMessage) -> None:
        self.console.append(f"{message.type}: {message.text}")

    def _on_request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("data", "blob", "about") and parts.hostname not in (HOST, "localhost"):
            self.outside_requests.append(request.url)

    def _on_response(self, response) -> None:
        if response.status >= 400:
            self.failed_requests.append(f"{response.status} {response.url}")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One headless browser for the session."""
    missing = what_is_missing()
    if missing:
        if browser_is_required():
            pytest.fail(missing, pytrace=False)
        pytest.skip(missing)
    expect.set_options(timeout=WAIT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_chromium(), headless=True, args=BROWSER_FLAGS
        )
        yield browser
        browser.close()


@pytest.fixture
def watch() -> Iterator[PageWatch]:
    """Collects, and fails the test at its end on whatever is left."""
    watch = PageWatch()
    yield watch
    problems = watch.problems()
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)


@pytest.fixture
def new_page(browser: Browser, watch: PageWatch) -> Iterator[Callable[..., Page]]:
    """Opens a page with a context (cookies, storage) of its own: one user each."""
    contexts: list[BrowserContext] = []

    def open_page(**options) -> Page:
        context = browser.new_context(**options)
        context.set_default_timeout(WAIT_MS)
        contexts.append(context)
        watch.follow(context)
        return context.new_page()

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture
def page(new_page: Callable[..., Page]) -> Page:
    """A page at the size of a small laptop."""
    return new_page(viewport={"width": 1280, "height": 900})


@pytest.fixture(scope="session")
def servers() -> Iterator[list[tuple[Any, threading.Thread]]]:
    """The servers of all tests, closed at the end: a page that is still open would miss its server."""
    started: list[tuple[Any, threading.Thread]] = []
    yield started
    for server, thread in started:
        # Closed by the loop itself, which ends when nothing is left to look at.
        server.trigger.pull_trigger(partial(wasyncore.close_all, server._map))
        thread.join(SERVER_SECONDS)
        server.task_dispatcher.shutdown()


@pytest.fixture(scope="session")
def serve(servers: list[tuple[Any, threading.Thread]]) -> Callable[[flask.Flask], str]:
    """Serves a Flask app on a free port."""

    def start(app: flask.Flask) -> str:
        # The server that the app itself runs on.
        server = make_server(app, host=HOST, port=0)
        thread = threading.Thread(target=server.run, daemon=True)
        servers.append((server, thread))
        thread.start()
        return f"http://{HOST}:{server.effective_port}"

    return start


@pytest.fixture(scope="session")
def app_url(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app as a user starts it; after the browser, so that a machine without one does not wait for it."""
    # Presets are computed as they are opened: preparing them all would slow every journey.
    with running_app(tmp_path_factory.mktemp("app"), "--no-prepare") as app:
        yield app.url
