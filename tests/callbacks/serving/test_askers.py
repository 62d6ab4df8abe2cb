"""Requests that get no turn: a busy model, a newer request of the same page, a visit that ends."""

import threading

import flask
import pytest

from callbacks.serving import askers
from callbacks.serving.askers import BEFORE_HEADER, VISIT_HEADER, register_askers
from tests.utils.runtime.test_turns import PATIENCE, until
from utils.runtime.jobs import Jobs
from utils.runtime.turns import Asker, Turns, current_asker

PATH = "/work"


@pytest.fixture
def turns() -> Turns:
    return Turns()


@pytest.fixture
def server(turns: Turns, monkeypatch: pytest.MonkeyPatch) -> flask.Flask:
    monkeypatch.setattr(askers, "PATIENCE", 0.2)
    app = flask.Flask(__name__)

    @app.post(PATH)
    def work() -> str:
        with turns:
            asker = current_asker()
            return f"{asker.session}|{asker.request}"

    register_askers(app, PATH)
    return app


def ask(server: flask.Flask, visit: str | None, output: str = "a.children"):
    headers = {} if visit is None else {VISIT_HEADER: visit}
    return server.test_client().post(PATH, json={"output": output}, headers=headers)


def test_a_request_works_for_its_visit_and_its_thread_for_nobody_afterwards(server: flask.Flask) -> None:
    assert ask(server, "v1").text == "v1|a.children"
    assert ask(server, None).text == "at 127.0.0.1|a.children"
    assert ask(server, "x" * 500).text == f"{'x' * 64}|a.children"
    assert current_asker() == Asker()


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b"{", b'{"output": {}}'])
def test_a_body_that_makes_no_sense_is_no_trouble(server: flask.Flask, body: bytes) -> None:
    answer = server.test_client().post(PATH, data=body, content_type="application/json")
    assert answer.status_code == 200


def test_a_busy_model_is_said_with_how_many_are_before(server: flask.Flask, turns: Turns) -> None:
    with turns:
        answer = []
        thread = threading.Thread(target=lambda: answer.append(ask(server, "v1")))
        thread.start()
        thread.join(PATIENCE)
    assert (answer[0].status_code, answer[0].headers[BEFORE_HEADER]) == (202, "1")
    assert answer[0].headers["Retry-After"] == "1"
    assert answer[0].text == "The server is busy, 1 before you. Ask again in a moment.\n"
    assert ask(server, "v1").status_code == 200


def test_a_newer_request_takes_the_place_of_the_older(
    server: flask.Flask, turns: Turns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(askers, "PATIENCE", PATIENCE)
    answers: dict[str, int] = {}

    def post(name: str) -> None:
        answers[name] = ask(server, "v1").status_code

    threads = [threading.Thread(target=post, args=(name,)) for name in ("older", "newer")]
    with turns:
        threads[0].start()
        until(lambda: turns.waiting == 1)
        threads[1].start()
        threads[0].join(PATIENCE)
    threads[1].join(PATIENCE)
    assert answers == {"older": 204, "newer": 200}


def test_a_visit_that_ends_takes_its_work_with_it(server: flask.Flask) -> None:
    jobs, half, go = Jobs(), threading.Event(), threading.Event()

    def work(progress) -> None:
        half.set()
        go.wait(PATIENCE)
        progress("pieces", 1, 2)

    jobs.start("map", work, "v1")
    assert half.wait(PATIENCE)
    assert server.test_client().post("/leave", data="v1").status_code == 204
    go.set()
    until(lambda: not jobs.under_way)
    view = jobs.view("map")
    assert view is not None and view.state == "cancelled"
