"""The page's frame: header, prompt bar, and the places that callbacks fill."""

from collections.abc import Sequence
from typing import Any

import dash_bootstrap_components as dbc
from dash import dcc, html

from components import ids
from components.attributes import aria, data
from components.help_text import help_dialog
from utils.examples import Example


def _section(title: str, hint: str, *children: Any, name: str) -> html.Section:
    heading = f"{name}-heading"
    return html.Section(
        [
            html.Div(
                [html.H2(title, id=heading, className="hs-title"), html.P(hint, className="hs-hint")],
                className="hs-section-head",
            ),
            *children,
        ],
        className="hs-card",
        **aria(labelledby=heading),
    )


def _header() -> html.Header:
    return html.Header(
        [
            html.H1(
                [html.I(className="bi bi-eye", **aria(hidden="true")), " HeadScope"],
                className="hs-brand",
            ),
            html.Span("what every attention head does on your sentence", className="hs-tagline"),
            html.Div(
                [
                    dbc.Button("How to read this page", id=ids.HELP_OPEN, size="sm", color="link"),
                    dbc.Button(
                        [html.I(className="bi bi-circle-half", **aria(hidden="true")), " Light / dark"],
                        id=ids.THEME_SWITCH,
                        size="sm",
                        outline=True,
                        color="secondary",
                    ),
                ],
                className="hs-header-tools",
            ),
        ],
        className="hs-header",
    )


def _prompt_bar(
    models: Sequence[str], examples: Sequence[Example], model: str | None, prompt: str, cap: int
) -> html.Section:
    return html.Section(
        [
            html.Div(
                [
                    html.Div(
                        [
                            dbc.Label("Model", html_for=ids.MODEL),
                            dbc.Select(
                                id=ids.MODEL, options=[{"label": m, "value": m} for m in models], value=model
                            ),
                        ]
                    ),
                    html.Div(
                        [
                            dbc.Label("Examples", html_for=ids.EXAMPLES),
                            dbc.Select(
                                id=ids.EXAMPLES,
                                placeholder="Choose an example…",
                                options=[
                                    {"label": example.title, "value": str(number)}
                                    for number, example in enumerate(examples)
                                ],
                            ),
                        ]
                    ),
                ],
                className="hs-menus",
            ),
            html.Div(
                [
                    dbc.Label("Your prompt", html_for=ids.PROMPT),
                    dbc.Textarea(id=ids.PROMPT, value=prompt, rows=2, spellCheck=False, debounce=False),
                    html.Div(
                        [
                            html.Span(id=ids.TOKEN_COUNT, className="hs-hint", **data(cap=str(cap))),
                            dbc.Button(
                                [
                                    html.I(className="bi bi-play-fill", **aria(hidden="true")),
                                    " Run ",
                                    html.Kbd("Ctrl+Enter"),
                                ],
                                id=ids.RUN,
                                color="primary",
                            ),
                        ],
                        className="hs-prompt-foot",
                    ),
                ],
                className="hs-prompt",
            ),
            html.Div(id=ids.ALERT, role="alert"),
            html.Div(id=ids.NOTICE, role="status"),
        ],
        className="hs-card hs-prompt-bar",
        **aria(label="Prompt"),
    )


def _heads() -> html.Section:
    return _section(
        "All heads",
        "A row is a layer, from the first at the top; a column is a head. Colour and letter tell the "
        "role, the strength "
        "how much the head does it on your text. Click one, or move with the arrow keys.",
        html.Div(id=ids.GRID),
        name="heads",
    )


def _roles() -> html.Section:
    return _section(
        "Roles",
        "What the heads of this model are known to do. Filled circle: active on your text. Open circle: "
        "not triggered.",
        html.Div(id=ids.ROLES, className="hs-roles"),
        name="roles",
    )


def _prediction() -> html.Section:
    return _section(
        "What comes next",
        "The ten likeliest next tokens, with all heads on (clean) and with your heads off (ablated).",
        html.Div(
            [
                html.Div(id=ids.CHIPS, className="hs-chips", role="status"),
                dbc.Button(
                    "Switch all on", id=ids.CLEAR, size="sm", color="secondary", outline=True, disabled=True
                ),
            ],
            className="hs-chips-row",
        ),
        dcc.Loading(html.Div(id=ids.PREDICTION), delay_show=400, overlay_style={"visibility": "visible"}),
        html.Div(
            [
                dbc.Label("Watch a token", html_for=ids.WATCH, className="mb-0"),
                dbc.Input(
                    id=ids.WATCH,
                    type="text",
                    size="sm",
                    placeholder="the likeliest",
                    list=ids.WATCH_OPTIONS,
                    debounce=True,
                    maxLength=40,
                ),
                html.Datalist(id=ids.WATCH_OPTIONS),
            ],
            className="hs-watch",
        ),
        html.P(
            "Not necessary is not unused: when a head is off, others may stand in for it (backup heads). "
            "And zero is an input that the layers above never saw in training.",
            className="hs-hint",
        ),
        name="next",
    )


def _detail() -> html.Section:
    return html.Section(
        [
            html.Div(
                [
                    html.H2(id=ids.DETAIL_TITLE, className="hs-title"),
                    dbc.Button(id=ids.TOGGLE_HEAD, size="sm", color="danger", outline=True),
                ],
                className="hs-detail-head",
            ),
            html.Div(id=ids.DETAIL_FACTS),
            html.Div(
                [
                    html.Div(
                        [
                            html.H3("Attention, drawn as lines (BertViz)", className="hs-subtitle"),
                            html.P(
                                "Left: looks from. Right: looks at. Hover over a token.", className="hs-hint"
                            ),
                            html.Iframe(
                                id=ids.BERTVIZ,
                                sandbox="allow-scripts",
                                title="BertViz view of the chosen head",
                                className="hs-frame",
                            ),
                        ]
                    ),
                    html.Div(
                        [
                            html.H3("The same as a heatmap", className="hs-subtitle"),
                            html.P(
                                "A row is the token that it looks from, a column the token that it looks at.",
                                className="hs-hint",
                            ),
                            dcc.Graph(id=ids.HEATMAP, responsive=True, config={"displaylogo": False}),
                            html.Details(
                                [
                                    html.Summary("As a table: where each token looks most"),
                                    html.Div(id=ids.HEATMAP_TABLE, className="hs-scroll"),
                                ]
                            ),
                        ]
                    ),
                ],
                className="hs-views",
            ),
        ],
        className="hs-card",
        **aria(label="The chosen head"),
    )


def shell(
    models: Sequence[str], examples: Sequence[Example], prompt: str, cap: int, problems: Sequence[str]
) -> html.Div:
    """The whole page, before any callback has run.

    Args:
        models: names for the menu, the first is chosen.
        examples: for the example menu.
        prompt: the prompt that is analyzed on the first visit.
        cap: most tokens a prompt may have.
        problems: what the operator should know (a broken example file, say).
    """
    model = models[0] if models else None
    return html.Div(
        [
            dcc.Store(ids.REQUEST, data={"model": model, "prompt": prompt} if model else None),
            dcc.Store(ids.SELECTED),
            dcc.Store(ids.ABLATED, data=[]),
            dcc.Store(ids.PATTERN),
            dcc.Store(ids.THEME, storage_type="local"),
            html.A("Skip to the results", href=f"#{ids.TOKENS}", className="visually-hidden-focusable"),
            _header(),
            html.Main(
                [
                    *(dbc.Alert(problem, color="warning", dismissable=True) for problem in problems),
                    _prompt_bar(models, examples, model, prompt, cap),
                    html.Section(
                        html.Ol(id=ids.TOKENS, className="hs-tokens"),
                        className="hs-card",
                        **aria(label="Tokens of your prompt"),
                    ),
                    html.Div(
                        [
                            html.Div([_heads(), _detail()], className="hs-column"),
                            html.Div([_prediction(), _roles()], className="hs-column"),
                        ],
                        className="hs-columns",
                    ),
                ],
                className="hs-main",
            ),
            html.Footer(
                "Scores on test inputs do not tell all that a head does. Everything here is computed on "
                "this server; "
                "your text is not stored.",
                className="hs-footer hs-hint",
            ),
            help_dialog(),
        ],
        className="hs-page",
    )
