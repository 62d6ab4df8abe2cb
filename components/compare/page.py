"""The page that compares two prompts on one model, or one prompt on two models: what is asked."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import dash_bootstrap_components as dbc
from dash import dcc, html

from components import ids
from components.attributes import aria
from components.messages import link_notice
from components.section import section
from utils.compare.links import CompareState
from utils.models.prompts import max_characters

PAGE = "compare"
TICK_MS = 500


@dataclass(frozen=True)
class Pair:
    """Two prompts worth comparing.

    Attributes:
        title: what to see in it.
        left: the text on the left.
        right: the text on the right, None for the same text on another model.
    """

    title: str
    left: str
    right: str | None


PAIRS = (
    Pair(
        "With and without repetition",
        "The king gave the boy a golden ring, and the boy took the golden",
        "The king gave the boy a golden ring, and his sister took some silver",
    ),
    Pair(
        "A list that comes again, and one that goes on",
        "red stone blue river tall tower green field red stone blue river tall tower green",
        "red stone blue river tall tower green field old house dark forest cold winter white",
    ),
    Pair(
        "A list of words, and a plain sentence",
        "red, blue, green, red, yellow, blue, red, white, green, blue",
        "She opened that door and looked out into his dark garden",
    ),
    Pair("One prompt on two models", "The cat sat on the mat. The cat sat on the", None),
)


def pair_state(number: int, models: Sequence[str]) -> CompareState:
    """One of `PAIRS` on the models that may be used, of which there must be one.

    Raises:
        IndexError: there is no such pair, or no model.
    """
    pair = PAIRS[number]
    other = models[1] if pair.right is None and len(models) > 1 else models[0]
    return CompareState(models[0], pair.left, other, pair.left if pair.right is None else pair.right)


def _side(
    name: str, model: str, prompt: str, models: Sequence[str], chosen: str, text: str, cap: int
) -> html.Fieldset:
    return html.Fieldset(
        [
            html.Legend(name, className="hs-subtitle"),
            dbc.Label("Model", html_for=model),
            dbc.Select(id=model, options=[{"label": one, "value": one} for one in models], value=chosen),
            dbc.Label("Prompt", html_for=prompt),
            dbc.Textarea(
                id=prompt,
                value=text,
                rows=3,
                spellCheck=False,
                maxLength=max_characters(cap),
                debounce=False,
                class_name="hs-compare-text",
            ),
        ],
        className="hs-compare-side",
    )


def compare_layout(
    models: Sequence[str], state: CompareState | None, cap: int, link_problems: Sequence[str] = ()
) -> html.Div:
    """The page before its callbacks have run.

    Args:
        models: names for the menus.
        state: what is compared; None where there is no model.
        cap: most tokens a prompt may have.
        link_problems: what is wrong with the link that the page was opened by.
    """
    if state is None:
        return html.Div(
            html.P("There is no model to use. The operator can add a folder with --model-dir."),
            className="hs-card",
        )
    tries = [
        html.Button(pair.title, id=ids.compare_example(number), className="hs-go")
        for number, pair in enumerate(PAIRS)
        if pair.right is not None or len(models) > 1
    ]
    return html.Div(
        [
            dcc.Store(ids.COMPARE_WANTED, data=asdict(state)),
            dcc.Store(ids.COMPARE_LINK),
            dcc.Interval(ids.COMPARE_TICK, interval=TICK_MS, disabled=True),
            *link_notice(link_problems),
            section(
                "Compare",
                "Two prompts on one model, or one prompt on two models: which roles become active, and what "
                f"is expected next. A prompt may have up to {cap} tokens.",
                html.Div(
                    [
                        _side(
                            "Left",
                            ids.COMPARE_LEFT_MODEL,
                            ids.COMPARE_LEFT,
                            models,
                            state.left_model,
                            state.left,
                            cap,
                        ),
                        _side(
                            "Right",
                            ids.COMPARE_RIGHT_MODEL,
                            ids.COMPARE_RIGHT,
                            models,
                            state.right_model,
                            state.right,
                            cap,
                        ),
                    ],
                    className="hs-compare-sides",
                ),
                html.Div(
                    [
                        _small(ids.COMPARE_COPY, "arrow-right", "Same prompt on the right"),
                        _small(ids.COMPARE_SWAP, "arrow-left-right", "Swap sides"),
                        dbc.Button(
                            [
                                html.I(className="bi bi-layout-split", **aria(hidden="true")),
                                " Compare ",
                                html.Kbd("Ctrl+Enter"),
                            ],
                            id=ids.COMPARE_RUN,
                            color="primary",
                            class_name="hs-compare-run",
                        ),
                    ],
                    className="hs-compare-tools",
                ),
                html.Div(
                    [html.Span("Try:", className="hs-hint"), *tries],
                    className="hs-goes",
                    role="group",
                    **aria(label="Pairs worth comparing"),
                ),
                html.Div(id=ids.COMPARE_PROGRESS, role="status"),
                html.Div(id=ids.COMPARE_ALERT, role="alert"),
                name="compare",
            ),
            html.Div(id=ids.COMPARE_BODY, className="hs-page-body"),
        ],
        className="hs-page-body hs-compare",
    )


def _small(key: str, icon: str, label: str) -> Any:
    return dbc.Button(
        [html.I(className=f"bi bi-{icon}", **aria(hidden="true")), f" {label}"],
        id=key,
        size="sm",
        color="secondary",
        outline=True,
    )


def cancelled() -> html.P:
    """What stands in the progress's place once it was cancelled."""
    return html.P("Loading was cancelled. Press Compare to try again.", className="hs-hint")
