"""The model's answer: what is ablated, the headline, the next tokens clean beside ablated, other views."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import dash_bootstrap_components as dbc
from dash import html

from components import ids
from components.answer.continuations_view import continuations_places
from components.answer.effects_view import effects_places
from components.answer.others_view import others_places
from components.answer.random_sets_panel import random_places
from components.attributes import aria
from components.help_mark import help_mark
from utils.effects.second_prompt import Fit
from utils.forward.interchange import INTERCHANGE
from utils.links.page_state import VIEWS, PageState
from utils.links.reading import LONGEST_PROMPT

# The choice of the last position, whichever that is.
LAST = "last"
MODES = {
    "zero": "zero ablation",
    "mean": "mean ablation",
    INTERCHANGE: "interchange (a second prompt)",
}
# How a second prompt of another length is made to fit.
FIT_LABELS: Mapping[Fit, str] = MappingProxyType(
    {"as_is": "as it is", "pad": "fill it up at its beginning", "align": "align it token by token"}
)


def _field(label: str, box: str, field: Any, *terms: str) -> html.Div:
    return html.Div(
        [dbc.Label(label, html_for=box, className="mb-0"), field, help_mark(*terms)], className="hs-field"
    )


def _token_box(box: str, value: str | None, placeholder: str) -> dbc.Input:
    return dbc.Input(
        id=box,
        type="text",
        size="sm",
        value=value or "",
        placeholder=placeholder,
        list=ids.TOKEN_OPTIONS,
        debounce=True,
        maxLength=40,
    )


def _controls(state: PageState) -> html.Div:
    position = dbc.Select(
        id=ids.POSITION, size="sm", value=LAST if state.position is None else str(state.position)
    )
    method = dbc.Select(
        id=ids.MODE,
        size="sm",
        options=[{"label": label, "value": key} for key, label in MODES.items()],
        value=state.mode or "zero",
    )
    return html.Div(
        [
            _field("Watch", ids.WATCH, _token_box(ids.WATCH, state.target, "the most likely"), "probability"),
            _field(
                "against",
                ids.AGAINST,
                _token_box(ids.AGAINST, state.against, "its closest rival"),
                "logit_difference",
            ),
            html.Datalist(id=ids.TOKEN_OPTIONS),
            _field("Next token after", ids.POSITION, position, "position"),
            _field("Ablation method", ids.MODE, method, "zero", "mean"),
        ],
        className="hs-controls hs-answer-controls",
    )


def _second_prompt(state: PageState) -> html.Div:
    """What the third method needs; shown while it is chosen."""
    return html.Div(
        [
            _field(
                "Second prompt",
                ids.SECOND,
                dbc.Input(
                    id=ids.SECOND,
                    type="text",
                    size="sm",
                    value=state.second or "",
                    placeholder="the same sentence with another name, say",
                    debounce=True,
                    maxLength=LONGEST_PROMPT,
                ),
                "interchange",
            ),
            _field(
                "If its length differs",
                ids.FIT,
                dbc.Select(
                    id=ids.FIT,
                    size="sm",
                    options=[{"label": label, "value": key} for key, label in FIT_LABELS.items()],
                    value=state.fit or "as_is",
                ),
                "interchange",
            ),
            html.Div(id=ids.SECOND_STATUS, className="hs-hint", role="status"),
        ],
        id=ids.SECOND_PLACE,
        className="hs-second",
        hidden=state.mode != INTERCHANGE,
    )


def answer_card(state: PageState) -> html.Section:
    """The column before its callbacks have run.

    Args:
        state: what the page shows.
    """
    view = state.view or next(iter(VIEWS))
    return html.Section(
        [
            html.Div(
                [
                    html.Div(
                        [
                            html.H2("The model's answer", id="answer-heading", className="hs-title"),
                            help_mark("ablation", "backup_head"),
                            dbc.Button(
                                "Restore all",
                                id=ids.CLEAR,
                                size="sm",
                                color="secondary",
                                outline=True,
                                disabled=True,
                            ),
                        ],
                        className="hs-pane-title",
                    ),
                    html.Div(id=ids.CHIPS, className="hs-chips", role="status"),
                    html.Div(id=ids.HEADLINE, role="status"),
                ],
                className="hs-headline",
            ),
            _controls(state),
            _second_prompt(state),
            html.Div(id=ids.PREDICTION),
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
            html.Div(
                [
                    html.Div(
                        [
                            html.Div(id=ids.PREDICTION_FACTS),
                            html.P(
                                "Not necessary is not unused: when a head is ablated, others may stand in "
                                "for it (backup heads). And zero is an input that the layers above never "
                                "saw in training.",
                                className="hs-hint",
                            ),
                        ],
                        id=ids.VIEW_NEXT,
                        className="hs-view",
                    ),
                    html.Div(id=ids.VIEW_DIRECT, className="hs-view"),
                    html.Div(effects_places(), id=ids.VIEW_EFFECTS, className="hs-view"),
                    html.Div(others_places(), id=ids.VIEW_OTHERS, className="hs-view"),
                    html.Div(id=ids.VIEW_LENS, className="hs-view"),
                    html.Div(id=ids.VIEW_POSITIONS, className="hs-view"),
                    html.Div(continuations_places(), id=ids.VIEW_CONTINUATIONS, className="hs-view"),
                    html.Div(random_places(), id=ids.VIEW_RANDOM, className="hs-view"),
                ],
                id=ids.VIEWS,
                className=f"hs-views-of hs-show-{view}",
            ),
        ],
        className="hs-pane hs-pane-answer",
        **aria(labelledby="answer-heading"),
    )
