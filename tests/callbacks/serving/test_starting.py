"""What is answered while the app is being built, and how the building ends."""

import http.client
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from callbacks.serving.starting import StartingApp, Wsgi
from callbacks.serving.startup import main
from utils.errors import UserFacingError

HOST = "127.0.0.1"
PATIENCE = 60


def asked(app: StartingApp, path: str = "/", method: str = "GET") -> tuple[str, dict[str, str], str]:
    said: list[Any] = []
    environ = {"PATH_INFO": path, "REQUEST_METHOD": method}
    content = b"".join(app(environ, lambda status, headers: said.extend((status, dict(headers)))))
    return said[0], said[1], content.decode()


def test_a_browser_gets_a_page_that_says_what_is_being_done_and_keeps_nothing():
    app = StartingApp()
    app.stage = "Loading <b>PyTorch</b> …"
    status, headers, page = asked(app, "/compare")
    assert status.startswith("503 ") and headers["Retry-After"] and headers["Cache-Control"] == "no-store"
    assert "Loading &lt;b&gt;PyTorch&lt;/b&gt; …" in page
    assert "unsafe-inline" not in headers["Content-Security-Policy"].split("style-src")[0]
    assert asked(app, method="HEAD")[2] == ""


def test_a_proxy_and_an_open_page_are_told_to_ask_again():
    app = StartingApp()
    status, headers, text = asked(app, "/healthz")
    assert (status[:3], text) == ("503", "starting")
    status, headers, text = asked(app, "/_dash-update-component", "POST")
    assert status[:3] == "503" and headers["Retry-After"] == "1" and "<" not in text


def test_the_app_answers_from_the_moment_it_is_there():
    app = StartingApp()

    def ready(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("200 OK", [])
        return [b"ready"]

    app.hand_over(ready)
    assert asked(app) == ("200 OK", {}, "ready")


def test_what_starts_it_needs_neither_torch_nor_dash():
    code = (
        "import sys, callbacks.serving.startup\n"
        "print(sorted({'torch', 'transformers', 'dash', 'flask', 'numpy'} & {*sys.modules}))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (run.stdout, run.stderr) == ("[]\n", "")


def free_port() -> int:
    with socket.create_server((HOST, 0)) as free:
        return free.getsockname()[1]


def test_it_answers_while_the_app_is_built_and_a_failure_ends_it_with_a_sentence(
    capsys: pytest.CaptureFixture[str],
):
    port, answered, heard = free_port(), threading.Event(), []

    def build(settings: Any, tell: Callable[[str], None]) -> Wsgi:
        tell("Loading what is not there")
        connection = http.client.HTTPConnection(HOST, port, timeout=PATIENCE)
        connection.request("GET", "/")
        answer = connection.getresponse()
        heard.append((answer.status, answer.read().decode()))
        connection.close()
        answered.set()
        raise UserFacingError("The disk is gone.", "Put it back.")

    assert main(["--port", str(port)], build) == 1
    assert answered.is_set()
    assert heard[0][0] == 503 and "Loading what is not there …" in heard[0][1]
    assert capsys.readouterr().err.endswith("app: The disk is gone. Put it back.\n")


def test_what_nobody_foresaw_ends_it_too(capsys: pytest.CaptureFixture[str]):
    def build(settings: Any, tell: Callable[[str], None]) -> Wsgi:
        raise RuntimeError("no such thing")

    assert main(["--port", str(free_port())], build) == 1
    assert capsys.readouterr().err.endswith("app: It cannot start; what is above says why.\n")
