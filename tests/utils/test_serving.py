"""Serving: many connections at once."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import pytest
from waitress import wasyncore

from utils import serving
from utils.serving import (
    FILES_PER_CONNECTION,
    MAX_CONNECTIONS,
    MIN_CONNECTIONS,
    OTHER_FILES,
    connection_limit,
    make_server,
)

HOST = "127.0.0.1"
PATIENCE = 10
# Numbers of files that select() does not take.
SELECT_FILES = 1024


def hello(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """A WSGI application that reads the whole body."""
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello" if not body else b"%05d" % len(body)]


@pytest.fixture
def port() -> Iterator[int]:
    """The port of a server with the app's settings."""
    server = make_server(hello, host=HOST, port=0)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    yield server.effective_port
    # Closed by the loop itself, which ends when nothing is left to look at.
    server.trigger.pull_trigger(lambda: wasyncore.close_all(server._map))
    thread.join(PATIENCE)
    server.task_dispatcher.shutdown()


def ask(port: int, request: bytes = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") -> bytes:
    """The first line of the answer to one request on a connection of its own."""
    with socket.create_connection((HOST, port), timeout=PATIENCE) as connection:
        connection.sendall(request)
        return connection.makefile("rb").readline().strip()


def test_a_new_browser_is_answered_while_thirty_hold_their_connections(port: int):
    with ExitStack() as held:
        for _ in range(30 * 7):
            held.enter_context(socket.create_connection((HOST, port), timeout=PATIENCE))
        assert ask(port) == b"HTTP/1.1 200 OK"


def test_a_connection_whose_file_has_a_high_number_is_answered(port: int):
    with ExitStack() as held:
        while True:
            file = os.open(os.devnull, os.O_RDONLY)
            held.callback(os.close, file)
            if file > SELECT_FILES:
                break
        assert ask(port) == b"HTTP/1.1 200 OK"
    assert ask(port) == b"HTTP/1.1 200 OK"


@pytest.mark.parametrize(
    ("files", "most", "raised", "connections"),
    [
        (1024, 10**6, MAX_CONNECTIONS * FILES_PER_CONNECTION + OTHER_FILES, MAX_CONNECTIONS),
        (1024, -1, MAX_CONNECTIONS * FILES_PER_CONNECTION + OTHER_FILES, MAX_CONNECTIONS),
        (256, 1024, 1024, (1024 - OTHER_FILES) // FILES_PER_CONNECTION),
        (256, 256, 256, MIN_CONNECTIONS),
        (10**6, 10**6, 10**6, MAX_CONNECTIONS),
        (-1, -1, -1, MAX_CONNECTIONS),
    ],
)
def test_connections_fit_into_the_open_files_that_the_system_allows(
    monkeypatch: pytest.MonkeyPatch, files: int, most: int, raised: int, connections: int
):
    limits = [(files, most)]
    system = SimpleNamespace(
        RLIMIT_NOFILE=7,
        RLIM_INFINITY=-1,
        getrlimit=lambda which: limits[-1],
        setrlimit=lambda which, pair: limits.append(pair),
    )
    monkeypatch.setattr(serving, "resource", system)
    assert connection_limit() == connections
    assert limits[-1] == (raised, most)
