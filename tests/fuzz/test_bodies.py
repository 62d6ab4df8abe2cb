"""Whatever is sent to a callback is answered, or refused with 400; nothing ends in a trace."""

import json
import logging
import random
from collections.abc import Callable
from typing import Any

import pytest

from app import create_app
from callbacks.serving.callback_bodies import UPDATE_PATH
from callbacks.serving.settings import Settings
from tests.fixtures.nasty import changed, text

MODEL = "demo-gpt2"


def part(spec: dict[str, Any], rng: random.Random) -> Any:
    """An input as a page would send it, with a value that it would not."""
    known = {
        "store-request": {"model": MODEL, "prompt": text(rng) if rng.random() < 0.5 else "The cat sat"},
        "store-selected": "L0H0",
        "store-ablated": ["L1H2"],
    }
    name = json.loads(spec["id"]) if spec["id"].startswith("{") else spec["id"]
    value = known.get(spec["id"], rng.choice((None, text(rng), 1, [])))
    several = isinstance(name, dict) and any(isinstance(each, list) for each in name.values())
    one = {"id": name, "property": spec["property"], "value": value}
    return [] if several else one


def body(callback: dict[str, Any], output: str, rng: random.Random) -> dict[str, Any]:
    wanted = callback["output"]
    several = isinstance(wanted, list | tuple)
    outputs = [
        {"id": each.component_id, "property": each.component_property}
        for each in (wanted if several else [wanted])
        if not callback.get("no_output")
    ]
    return {
        "output": output,
        "outputs": outputs if several else next(iter(outputs), None),
        "inputs": [part(spec, rng) for spec in callback["inputs"]],
        "state": [part(spec, rng) for spec in callback["state"]],
        "changedPropIds": [f"{spec['id']}.{spec['property']}" for spec in callback["inputs"][:1]],
    }


def test_every_body_is_answered_without_a_trace(
    amount: Callable[[int, int], int], caplog: pytest.LogCaptureFixture
) -> None:
    app = create_app(Settings(models=(MODEL,)))
    client, rng = app.server.test_client(), random.Random(7)
    callbacks = sorted(app.callback_map.items())
    statuses = set()
    for _ in range(amount(60, 300)):
        output, callback = rng.choice(callbacks)
        sent = body(callback, output, rng)
        if rng.random() < 0.7:
            sent = changed(sent, rng)
        with caplog.at_level(logging.INFO):
            answer = client.post(f"/{UPDATE_PATH}", data=json.dumps(sent), content_type="application/json")
        statuses.add(answer.status_code)
        assert answer.status_code in (200, 204, 400), (sent, answer.text)
        assert "Traceback" not in answer.text
        failed = [record for record in caplog.records if record.levelno >= logging.ERROR]
        assert not failed, (sent, failed[0].exc_info)
        caplog.clear()
    assert {200, 400} <= statuses
