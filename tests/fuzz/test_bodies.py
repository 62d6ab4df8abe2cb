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


def named(name: str) -> tuple[Any, bool]:
    """An id as a page sends it, and whether a page sends several of them."""
    read = json.loads(name) if name.startswith("{") else name
    return read, isinstance(read, dict) and any(isinstance(each, list) for each in read.values())


def part(spec: dict[str, Any], rng: random.Random) -> Any:
    """An input as a page would send it, with a value that it would not."""
    known = {
        "store-request": {"model": MODEL, "prompt": text(rng) if rng.random() < 0.5 else "The cat sat"},
        "store-selected": "L0H0",
        "store-ablated": ["L1H2"],
    }
    name, several = named(spec["id"])
    usual = (
        (None, 1) if spec["property"] in ("n_clicks", "n_intervals", "max") else (None, text(rng), text(rng))
    )
    value = known.get(spec["id"], rng.choice(usual))
    return [] if several else {"id": name, "property": spec["property"], "value": value}


def target(output: Any) -> Any:
    name, several = named(output.component_id_str())
    return [] if several else {"id": name, "property": output.component_property}


def body(callback: dict[str, Any], output: str, rng: random.Random) -> dict[str, Any]:
    wanted = callback["output"]
    several = isinstance(wanted, list | tuple)
    outputs = (
        [] if callback.get("no_output") else [target(each) for each in (wanted if several else [wanted])]
    )
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
        if rng.random() < 0.4:
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


@pytest.mark.parametrize("touched", [[], ["nothing.n_clicks"], ['{"a":1}.n_clicks']])
def test_a_body_that_names_nothing_that_was_touched_leaves_no_trace(
    touched: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    app = create_app(Settings(models=(MODEL,)))
    client, rng = app.server.test_client(), random.Random(1)
    failed = []
    for output, callback in sorted(app.callback_map.items()):
        caplog.clear()
        sent = {**body(callback, output, rng), "changedPropIds": touched}
        answer = client.post(f"/{UPDATE_PATH}", data=json.dumps(sent), content_type="application/json")
        if answer.status_code not in (200, 204, 400) or any(record.exc_info for record in caplog.records):
            failed.append((output, answer.status_code))
    assert not failed
