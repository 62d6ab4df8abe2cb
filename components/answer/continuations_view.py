"""The view "Continuations": how the model goes on with the text, clean beside ablated."""

from typing import Any

import dash_bootstrap_components as dbc
from dash import dcc, html

from components import ids
from components.help_mark import marked
from utils.effects.continuation import Continuation, ContinuationPair
from utils.effects.sampling import MAX_NEW_TOKENS, MAX_SEED, MAX_TEMPERATURE, NEW_TOKENS

TICK_MS = 400
_ENDED = {
    "end": "The model ended the text here.",
    "limit": "",
    "context": "This is all that the model can read at once.",
}


def _number(
    box: str, label: str, value: float | None, most: float, step: float, least: float, term: str
) -> html.Div:
    return html.Div(
        [
            marked(dbc.Label(label, html_for=box, className="mb-0"), term),
            dbc.Input(id=box, type="number", size="sm", value=value, min=least, max=most, step=step),
        ]
    )


def continuations_places() -> list[Any]:
    """What the view needs before its callbacks have run."""
    return [
        html.Div(
            [
                _number(ids.WRITE_TOKENS, "New tokens", NEW_TOKENS, MAX_NEW_TOKENS, 1, 1, "continuation"),
                _number(ids.WRITE_TEMPERATURE, "Temperature", 0, MAX_TEMPERATURE, 0.1, 0, "temperature"),
                _number(ids.WRITE_TOP_K, "Top-k", None, 1_000_000, 1, 1, "top_k"),
                _number(ids.WRITE_SEED, "Seed", 0, MAX_SEED, 1, 0, "seed"),
            ],
            className="hs-controls",
        ),
        html.P(
            "Temperature 0 always takes the most likely token (greedy); above it tokens are drawn, among the "
            "k most likely if top-k is given. The same seed draws the same way on both sides.",
            className="hs-hint",
        ),
        dbc.Button("Write", id=ids.WRITE, size="sm", color="primary", className="hs-gap"),
        dcc.Interval(ids.WRITE_TICK, interval=TICK_MS, disabled=True),
        html.Div(id=ids.WRITE_STATE, role="status"),
        html.Div(id=ids.WRITE_BODY),
    ]


def _text(continuation: Continuation, difference: int | None, side: str) -> html.Div:
    pieces: list[Any] = []
    for token in continuation.tokens:
        classes = "hs-written"
        text: Any = token.text
        if difference is not None and token.index >= difference:
            classes += f" hs-written-{side}"
        if token.index == difference:
            text = [html.Span("◆", className="hs-first-mark", title="the first difference"), token.text]
        pieces.append(html.Span(text, className=classes, title=f"{token.probability:.0%}"))
    ended = _ENDED.get(continuation.stop or "", "")
    return html.Div(
        [
            html.H3(
                "With all heads on (clean)" if side == "clean" else "With your heads ablated (ablated)",
                className="hs-subtitle",
            ),
            html.P(pieces or "…", className="hs-continuation", dir="auto"),
            html.P(ended, className="hs-hint"),
        ]
    )


def continuations_body(pair: ContinuationPair, ablated: bool) -> list[Any]:
    """Both texts, or the clean one alone where no head is off; what differs is marked.

    Args:
        pair: what is written so far.
        ablated: whether heads are off.
    """
    if not ablated:
        return [
            _text(pair.clean, None, "clean"),
            html.P("Ablate a head to see how the text changes.", className="hs-hint"),
        ]
    difference = pair.first_difference
    finished = pair.clean.stop is not None and pair.ablated.stop is not None
    if difference is not None:
        message = f"The texts part at token {difference + 1} (◆)."
    else:
        message = "The two texts are the same." if finished else "The same so far."
    return [
        html.P(message, className="hs-sentence"),
        html.Div(
            [_text(pair.clean, difference, "clean"), _text(pair.ablated, difference, "ablated")],
            className="hs-side-by-side",
        ),
    ]
