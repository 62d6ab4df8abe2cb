"""Serving: many connections at once, and hosts and ports that cannot be served on."""

import errno
import os
import re
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import pytest
from waitress import wasyncore

from utils.errors import UserFacingError
from utils.runtime import serving
from utils.runtime.jobs import Jobs, Progress
from utils.runtime.serving import (
    FILES_PER_CONNECTION,
    MAX_BODY_BYTES,
    MAX_CONNECTIONS,
    MIN_CONNECTIONS,
    OTHER_FILES,
    address,
    connection_limit,
    make_server,
    open_sockets,
    until_interrupted,
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
    # First those who answer: one that has not ended would wake a loop that is gone.
    server.task_dispatcher.shutdown()
    # Closed by the loop itself, which ends when nothing is left to look at.
    server.trigger.pull_trigger(lambda: wasyncore.close_all(server._map))
    thread.join(PATIENCE)


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


@pytest.mark.parametrize(
    "length",
    [
        b"Content-Length: %d" % (MAX_BODY_BYTES + 1),
        b"Content-Length: 99999999999",
        b"Transfer-Encoding: chunked",
    ],
)
def test_a_body_that_is_too_large_is_refused_before_it_is_read(port: int, length: bytes):
    request = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + length + b"\r\n\r\n"
    if b"chunked" in length:
        # It is refused before its end, which never comes.
        request += b"%x\r\n" % (MAX_BODY_BYTES + 1) + b"a" * (MAX_BODY_BYTES + 1)
    assert ask(port, request) == b"HTTP/1.1 413 Request Entity Too Large"


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_at_the_limit_is_taken(port: int, chunked: bool):
    length = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % MAX_BODY_BYTES
    request = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + length + b"\r\n\r\n"
    # The marks of the chunks count too.
    body = b"a" * (MAX_BODY_BYTES - 100 * chunked)
    request += b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if chunked else body
    assert ask(port, request) == b"HTTP/1.1 200 OK"


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


def test_a_port_is_taken_at_once_and_refused_to_a_second():
    (first,) = open_sockets(HOST, 0)
    with first:
        port = first.getsockname()[1]
        with pytest.raises(UserFacingError, match=f"Port {port} on {HOST} is in use. .* --port"):
            open_sockets(HOST, port)
    for again in open_sockets(HOST, port):
        again.close()


@pytest.mark.parametrize("host", ["999.1.1.1", "", "a" * 70 + ".example", "nul\0"])
def test_a_host_that_does_not_exist_is_one_sentence(host: str):
    with pytest.raises(
        UserFacingError, match=re.escape(f"There is no host {host!r}. Choose another with --host")
    ):
        open_sockets(host, 0)


def test_an_address_of_another_machine_is_one_sentence():
    # An address for documentation, which no machine has.
    with pytest.raises(UserFacingError, match=r"203\.0\.113\.1 is not an address of this machine. .* --host"):
        open_sockets("203.0.113.1", 0)


@pytest.mark.parametrize(
    ("number", "port", "message"),
    [
        (errno.EACCES, 80, "Port 80 is reserved .* from 1024 on"),
        (errno.EACCES, 8050, "Port 8050 on .* cannot be used .Permission denied.* --port"),
        (errno.EAFNOSUPPORT, 8050, "not an address of this machine"),
    ],
)
def test_what_the_system_refuses_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, number: int, port: int, message: str
):
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(socket, "create_server", refuse)
    with pytest.raises(UserFacingError, match=message):
        open_sockets(HOST, port)


def test_a_name_with_an_address_that_the_machine_lacks_is_served_on_the_others(
    monkeypatch: pytest.MonkeyPatch,
):
    stream = socket.SOCK_STREAM
    found = [
        (socket.AF_INET, stream, 6, "", ("203.0.113.1", 0)),
        (socket.AF_INET, stream, 6, "", (HOST, 0)),
        (socket.AF_INET, stream, 6, "", (HOST, 0)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: found)
    (only,) = open_sockets("localhost", 0)
    with only:
        assert only.getsockname()[0] == HOST


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6")
@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_an_ipv6_address_is_served_with_and_without_brackets(host: str):
    try:
        (only,) = open_sockets(host, 0)
    except UserFacingError as error:
        pytest.skip(str(error))
    with only:
        assert only.getsockname()[0] == "::1"
    assert address(host, 8050) == "http://[::1]:8050"
    assert address(HOST, 8050) == f"http://{HOST}:8050"


def test_an_interrupt_stops_the_jobs_and_closes_the_port():
    begun, jobs = threading.Event(), Jobs()

    def work(progress: Progress) -> None:
        begun.set()
        while True:
            progress("pieces", 0, 0)

    sockets = open_sockets(HOST, 0)
    handler = signal.getsignal(signal.SIGTERM)
    with until_interrupted(sockets):
        jobs.start("a", work)
        assert begun.wait(PATIENCE)
        signal.raise_signal(signal.SIGTERM)
        pytest.fail("not interrupted")
    view = jobs.view("a")
    assert view is not None and view.state == "cancelled"
    assert sockets[0].fileno() == -1
    assert signal.getsignal(signal.SIGTERM) is handler
