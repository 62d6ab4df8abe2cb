import json
import logging
from typing import Any

import pytest
from dash import ALL, Dash, Input, Output, State, html

from callbacks.serving.callback_bodies import MAX_DEPTH, SENTENCE, UPDATE_PATH, register_body_check

GOOD: dict[str, Any] = {
    "output": "..a.children...b.children..",
    "outputs": [{"id": "a", "property": "children"}, {"id": "b", "property": "children"}],
    "inputs": [
        {"id": "run", "property": "n_clicks", "value": 1},
        [{"id": {"type": "chip", "head": "L0H0"}, "property": "n_clicks", "value": None}],
    ],
    "state": [{"id": "store-ablated", "property": "data", "value": ["L0H0"]}],
    "changedPropIds": ["run.n_clicks"],
}


@pytest.fixture(scope="module")
def client():
    app = Dash("bodies", assets_folder="")
    app.layout = html.Div()
    app.callback(
        Output("a", "children"),
        Output("b", "children"),
        Input("run", "n_clicks"),
        Input({"type": "chip", "head": ALL}, "n_clicks"),
        State("store-ablated", "data"),
    )(lambda *values: ("1", "2"))
    register_body_check(app)
    return app.server.test_client()


def test_what_a_page_sends_is_answered(client):
    assert client.post(f"/{UPDATE_PATH}", json=GOOD).status_code == 200


@pytest.mark.parametrize(
    "change",
    [
        {"output": "nothing.children"},
        {"output": 3},
        {"outputs": []},
        {"outputs": {"id": "a", "property": "children"}},
        {"outputs": [GOOD["outputs"][0], GOOD["outputs"][0]]},
        {"inputs": GOOD["inputs"][:1]},
        {"inputs": GOOD["inputs"][::-1]},
        {"inputs": [{"id": "run", "property": "n_clicks", "value": "1"}, []]},
        {"inputs": [{"id": "run", "property": "n_clicks", "value": True}, []]},
        {"inputs": [GOOD["inputs"][0], [{"id": {"type": "other", "head": "x"}, "property": "n_clicks"}]]},
        {"state": [{"id": "store-ablated", "property": "data", "value": "L0H0"}]},
        {"state": None},
        {"changedPropIds": ["{.n_clicks"]},
        {"changedPropIds": ['{"a":1}.n_clicks']},
        {"changedPropIds": 1},
    ],
)
def test_what_no_page_sends_is_400_and_one_line(client, change, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.INFO):
        answer = client.post(f"/{UPDATE_PATH}", json={**GOOD, **change})
    assert (answer.status_code, answer.text) == (400, f"{SENTENCE}\n")
    assert len(caplog.records) == 1 and "\n" not in caplog.text.rstrip("\n")


@pytest.mark.parametrize(
    "text",
    [
        b"", b"{", b"[]", b"null", b"\xff", b'{"a": NaN}', b"[" * 100_000, b"1" * 5000,
        b"[" * (MAX_DEPTH + 2) + b"]" * (MAX_DEPTH + 2),
        json.dumps({**GOOD, "output": "forged\nline"}).encode(),
    ],
    ids=range(10),
)  # fmt: skip
def test_what_is_no_json_of_ours_is_400_and_one_line(client, text: bytes, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.INFO):
        answer = client.post(f"/{UPDATE_PATH}", data=text, content_type="application/json")
        also = client.post(f"/{UPDATE_PATH}", data=text, content_type="text/plain")
    assert answer.status_code == also.status_code == 400
    assert len(caplog.records) == 2 and all("\n" not in record.getMessage() for record in caplog.records)
