"""For whom a request works: its turn at a model is one of its visit's, and it does not wait for ever.

A page names its visit in a header (`assets/server.js`). What it asks for is known by the callback's output: a
newer request for the same takes the older one's place. Where a model is busy the page hears how many are
before it and asks again by itself; a visit that ends says so, and its long work ends with it.
"""

import contextlib

import flask
from flask import Response, g, request

from utils.runtime.jobs import leave_everything
from utils.runtime.turns import Asker, BusyError, ReplacedError, asking

VISIT_HEADER = "X-HeadScope-Visit"
BEFORE_HEADER = "X-HeadScope-Before"
LEAVE_PATH = "leave"
# Seconds that a request waits for a turn before its page hears how many are before it, and until it asks
# again.
PATIENCE = 3.0
AGAIN = 1
# The longest name that a visit may have.
MAX_NAME = 64


def visit_name(name: str | None) -> str:
    """A visit's name as the header has it; of what names none, its address."""
    return (name or "")[:MAX_NAME] or f"at {request.remote_addr}"


def register_askers(server: flask.Flask, update_path: str) -> None:
    """Have every request work for its visit, and say what becomes of those that get no turn.

    Args:
        server: the Flask server.
        update_path: where callbacks are asked, by POST.
    """

    @server.before_request
    def begin() -> None:
        visit = visit_name(request.headers.get(VISIT_HEADER))
        asked = ""
        if request.method == "POST" and request.path == update_path:
            # What is no such body is refused before it is answered (`callback_bodies`).
            body = request.get_json(silent=True)
            asked = str(body.get("output", "")) if isinstance(body, dict) else ""
        g.asking = contextlib.ExitStack()
        g.asking.enter_context(asking(Asker(visit, asked, PATIENCE)))

    @server.teardown_request
    def end(error: BaseException | None) -> None:
        g.pop("asking", contextlib.ExitStack()).close()

    @server.errorhandler(BusyError)
    def busy(error: BusyError) -> Response:
        headers = {BEFORE_HEADER: str(error.before), "Retry-After": str(AGAIN), "Cache-Control": "no-store"}
        sentence = f"The server is busy, {error.before} before you. Ask again in a moment.\n"
        # Not 503, which browsers report as a failure: the page asks again by itself.
        return Response(sentence, 202, mimetype="text/plain", headers=headers)

    @server.errorhandler(ReplacedError)
    def replaced(error: ReplacedError) -> Response:
        return Response(status=204)

    @server.post(f"/{LEAVE_PATH}")
    def leave() -> Response:
        leave_everything(visit_name(request.get_data(as_text=True)[:MAX_NAME]))
        return Response(status=204)
