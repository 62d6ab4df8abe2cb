"""The page about how heads form: a slider over a model's training, the grid of its heads, the curves."""

from collections.abc import Mapping, Sequence
from typing import Any

import dash_bootstrap_components as dbc
from dash import dcc, html

from components import ids
from components.attributes import aria, data
from components.fields import menu
from components.formation.cards import curves_card, grid_card, numbers_card
from components.formation.film import film
from components.help_mark import marked
from components.messages import alert, link_notice
from components.section import section
from utils.errors import UserFacingError
from utils.formation.frames import events
from utils.formation.history import History
from utils.formation.story import (
    base_sentence,
    before_induction_sentence,
    climb_sentence,
    jump_sentence,
    million,
    order_sentence,
    scaffold_sentences,
    unaided_sentence,
    untrained_sentence,
)

PAGE = "formation"
TICK_MS = 500


def formation_layout(
    models: Mapping[str, str], model: str | None, body: Any, link_problems: Sequence[str] = ()
) -> html.Div:
    """The page.

    Args:
        models: for the menu: what is shown for each name that has a training log.
        model: the one that is shown.
        body: what is shown of it.
        link_problems: what is wrong with the link that the page was opened by.
    """
    if models:
        choice: Any = html.Div(
            menu("Model", ids.FORMATION_MODEL, models, model),
            className="hs-menu-row",
        )
    else:
        choice = html.P(
            "None of the models that may be used here has a training log. The bundled models have one; the "
            "operator can allow them.",
        )
    return html.Div(
        [
            dcc.Store(ids.theme(PAGE)),
            *link_notice(link_problems),
            section(
                "How heads form",
                "A head's role is not built in: it forms in training. Here are the logs of some trainings. "
                "Move the slider, or press Play, and see which heads take up which role, and when. A role on "
                "test inputs is not all that a head does.",
                choice,
                name="formation",
                term="induction_circuit",
            ),
            html.Div(body, id=ids.FORMATION_BODY, className="hs-page-body"),
        ],
        className="hs-page-body hs-formation",
    )


def formation_problem(error: UserFacingError) -> Any:
    """What stands there where a log cannot be read."""
    return alert(error)


def formation_body(history: History, index: int) -> html.Div:
    """All of one model's training, with the slider at checkpoint `index`.

    The grid and the numbers at the slider's place are drawn in the browser (`assets/formation.js`).
    """
    return html.Div(
        [
            dcc.Store(ids.FORMATION_FILM, data=dict(film(history))),
            dcc.Interval(ids.FORMATION_TICK, interval=TICK_MS, disabled=True),
            _slider(history, index),
            html.Div(
                [
                    html.Div(
                        [grid_card(history), _story(history), numbers_card(history)], className="hs-column"
                    ),
                    curves_card(history),
                ],
                className="hs-columns",
            ),
        ],
        # Another model is another tree: what the browser drew into this one must not stay.
        key=history.model,
        className="hs-page-body",
    )


def _story(history: History) -> html.Section:
    also = " ".join(
        part
        for part in (
            jump_sentence(history),
            climb_sentence(history),
            before_induction_sentence(history),
            untrained_sentence(history),
        )
        if part
    )
    scaffold = scaffold_sentences(history)
    parts: list[Any] = [html.P(order_sentence(history), className="hs-sentence"), html.P(also)]
    if base := base_sentence(history):
        parts.insert(0, html.P(base))
    if unaided := unaided_sentence(history):
        parts.append(_note("tree", "All of this formed without help", unaided))
    if scaffold:
        parts.append(_note("bricks", "Not all of this formed by itself", scaffold))
    return section(
        f"What came first in {history.model}",
        "Written from the training log, line by line.",
        html.Div(parts, className="hs-story"),
        name="story",
        term="repeated_accuracy",
    )


def _note(icon: str, title: str, text: str) -> html.Div:
    """What helped the heads to form, or that nothing did."""
    head = html.H3(
        [html.I(className=f"bi bi-{icon}", **aria(hidden="true")), f" {title}"], className="hs-subtitle"
    )
    return html.Div([marked(head, "scaffold"), html.P(text)], className="hs-note")


def _slider(history: History, index: int) -> html.Section:
    last = len(history.tokens) - 1
    bands = [
        html.Span(className="hs-band", style=_band(history, scaffold.start, scaffold.end))
        for scaffold in history.scaffolds
    ]
    return html.Section(
        [
            html.Div(
                [
                    marked(
                        html.Label(
                            "Training so far", htmlFor=ids.FORMATION_STEP, className="hs-slider-label"
                        ),
                        "checkpoint",
                    ),
                    html.Span(
                        f"{million(history.tokens[index])} tokens",
                        id=ids.FORMATION_PLACE,
                        className="hs-slider-place",
                    ),
                ],
                className="hs-slider-head",
            ),
            html.Div(
                [
                    _button(ids.FORMATION_BACK, "chevron-left", "One checkpoint back"),
                    html.Button(
                        [
                            html.I(className="bi bi-play-fill", **aria(hidden="true")),
                            html.Span("Play", className="hs-play-word"),
                        ],
                        id=ids.FORMATION_PLAY,
                        className="btn btn-primary btn-sm hs-play",
                    ),
                    _button(ids.FORMATION_NEXT, "chevron-right", "One checkpoint on"),
                    html.Div(
                        [
                            dbc.Input(
                                id=ids.FORMATION_STEP,
                                type="range",
                                min=0,
                                max=last,
                                step=1,
                                value=index,
                                class_name="hs-slider",
                            ),
                            html.Div(bands, className="hs-bands", **aria(hidden="true")),
                        ],
                        className="hs-slider-box",
                    ),
                ],
                className="hs-slider-row",
            ),
            html.Div(
                [
                    html.Span("Go to:", className="hs-hint"),
                    *(
                        html.Button(event.name, className="hs-go", **data(checkpoint=str(event.index)))
                        for event in events(history)
                    ),
                ],
                className="hs-goes",
                role="group",
                **aria(label="Go to a place in the training"),
            ),
        ],
        className="hs-card hs-slider-card",
        **aria(label="Place in the training"),
    )


def _button(key: str, icon: str, label: str) -> html.Button:
    return html.Button(
        html.I(className=f"bi bi-{icon}", **aria(hidden="true")),
        id=key,
        className="btn btn-outline-secondary btn-sm",
        title=label,
        **aria(label=label),
    )


def _band(history: History, start: int, end: int) -> dict[str, str]:
    """Where a stretch of tokens lies under the slider, whose checkpoints are evenly spaced."""
    last = max(1, len(history.tokens) - 1)
    inside = [k for k, tokens in enumerate(history.tokens) if start < tokens <= end]
    if not inside:
        return {"display": "none"}
    # It began somewhere after the checkpoint before.
    left, right = (inside[0] - 0.5) / last, (inside[-1] + 0.5) / last
    return {"left": f"{max(0, left):.1%}", "width": f"{min(1, right) - max(0, left):.1%}"}
