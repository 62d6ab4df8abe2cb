"""What counts as a click, as a browser sends it."""

import json
from typing import Any

import pytest
from dash import ALL, Dash, Input, Output, html

from callbacks.clicks import clicked, only_drawn
from components import ids
from tests.fixtures.model_folders import FOLDER_NAMES


@pytest.fixture(scope="module")
def client() -> Any:
    app = Dash(__name__)
    app.layout = html.Div([html.Div(id="out"), html.Button(id="plain")])

    @app.callback(
        Output("out", "children"),
        Input({"type": "analyze", "page": ALL, "model": ALL}, "n_clicks"),
        Input("plain", "n_clicks"),
    )
    def _(starts: list[Any], plain: Any) -> str:
        return f"{clicked()} {only_drawn('analyze')}"

    return app.server.test_client()


def _answer(client: Any, changed: str, button: dict[str, str], clicks: int | None) -> str:
    sent = {
        "output": "out.children",
        "outputs": {"id": "out", "property": "children"},
        "inputs": [
            [{"id": button, "property": "n_clicks", "value": clicks}],
            {"id": "plain", "property": "n_clicks", "value": clicks},
        ],
        "changedPropIds": [changed],
    }
    answer = client.post("/_dash-update-component", json=sent)
    return answer.json["response"]["out"]["children"]


@pytest.mark.parametrize("name", [*FOLDER_NAMES, "demo-gpt2"])
def test_a_click_on_a_button_with_any_name_in_its_id_counts(client: Any, name: str) -> None:
    button = ids.analyze("live", name)
    # JSON.stringify writes other letters as they are.
    changed = json.dumps(button, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + ".n_clicks"
    assert _answer(client, changed, button, 1) == "True False"
    assert _answer(client, changed, button, None) == "False True"


def test_a_click_on_a_button_with_a_plain_id_counts(client: Any) -> None:
    button = ids.analyze("live", "demo-gpt2")
    assert _answer(client, "plain.n_clicks", button, 1) == "True False"
    assert _answer(client, "plain.n_clicks", button, None) == "False False"
