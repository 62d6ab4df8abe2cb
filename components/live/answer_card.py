"""The card of the model's answer: what is off, what is watched, and one of four views of it."""

import dash_bootstrap_components as dbc
from dash import dcc, html

from components import ids
from components.help_mark import marked
from components.live.continuations_view import continuations_places
from components.live.effects_view import effects_places
from components.live.random_sets_panel import random_places
from components.section import section
from utils.links.page_state import VIEWS, PageState

# The choice of the last position, whichever that is.
LAST = "last"
MODES = {"zero": "zero ablation", "mean": "mean ablation"}


def _token_box(box: str, label: str, value: str | None, placeholder: str, term: str) -> html.Div:
    return html.Div(
        [
            marked(dbc.Label(label, html_for=box, className="mb-0"), term),
            dbc.Input(
                id=box,
                type="text",
                size="sm",
                value=value or "",
                placeholder=placeholder,
                list=ids.TOKEN_OPTIONS,
                debounce=True,
                maxLength=40,
            ),
        ]
    )


def _controls(state: PageState) -> html.Div:
    return html.Div(
        [
            _token_box(ids.WATCH, "Watch a token", state.target, "the most likely", "probability"),
            _token_box(ids.AGAINST, "against", state.against, "its closest rival", "logit_difference"),
            html.Datalist(id=ids.TOKEN_OPTIONS),
            html.Div(
                [
                    marked(
                        dbc.Label("Next token after", html_for=ids.POSITION, className="mb-0"), "position"
                    ),
                    dbc.Select(
                        id=ids.POSITION,
                        size="sm",
                        value=LAST if state.position is None else str(state.position),
                    ),
                ]
            ),
            html.Div(
                [
                    marked(dbc.Label("Ablation method", html_for=ids.MODE, className="mb-0"), "zero", "mean"),
                    dbc.Select(
                        id=ids.MODE,
                        size="sm",
                        options=[{"label": label, "value": key} for key, label in MODES.items()],
                        value=state.mode or "zero",
                    ),
                ]
            ),
        ],
        className="hs-controls",
    )


def answer_card(state: PageState) -> html.Section:
    """The card before its callbacks have run.

    Args:
        state: what the page shows.
    """
    view = state.view or "next"
    return section(
        "The model's answer",
        "With all heads on (clean) and with your heads ablated (ablated).",
        html.Div(
            [
                html.Div(id=ids.CHIPS, className="hs-chips", role="status"),
                dbc.Button(
                    "Restore all", id=ids.CLEAR, size="sm", color="secondary", outline=True, disabled=True
                ),
            ],
            className="hs-chips-row",
        ),
        dbc.RadioItems(
            id=ids.VIEW,
            options=[{"label": row.title, "value": key} for key, row in VIEWS.items()],
            value=view,
            inline=True,
            class_name="hs-tabs",
            input_class_name="btn-check",
            label_class_name="hs-tab",
            label_checked_class_name="hs-tab-here",
        ),
        _controls(state),
        html.Div(
            [
                html.Div(
                    dcc.Loading(
                        html.Div(id=ids.PREDICTION), delay_show=400, overlay_style={"visibility": "visible"}
                    ),
                    id=ids.VIEW_NEXT,
                    className="hs-view",
                ),
                html.Div(effects_places(), id=ids.VIEW_EFFECTS, className="hs-view"),
                html.Div(id=ids.VIEW_POSITIONS, className="hs-view"),
                html.Div(continuations_places(), id=ids.VIEW_CONTINUATIONS, className="hs-view"),
            ],
            id=ids.VIEWS,
            className=f"hs-views-of hs-show-{view}",
        ),
        random_places(),
        html.P(
            "Not necessary is not unused: when a head is off, others may stand in for it (backup heads). "
            "And zero is an input that the layers above never saw in training.",
            className="hs-hint",
        ),
        name="answer",
        term=("ablation", "backup_head"),
    )
