"""The live page: prompt bar, and the places that callbacks fill."""

from collections.abc import Sequence

import dash_bootstrap_components as dbc
from dash import dcc, html

from components import ids
from components.analysis_panel import analysis_places
from components.attributes import aria, data
from components.help_mark import marked
from components.live.answer_card import answer_card
from components.live.export_panel import export_card
from components.messages import link_notice
from components.plots import graph_config
from components.section import section
from utils.links.page_state import PageState
from utils.models.prompts import max_characters
from utils.roles.registry import ROLES
from utils.teaching.presets import Preset

PAGE = "live"
# How often a page that waits asks how far the work is, in milliseconds.
TICK_MS = 500


def _of_model(preset: Preset, models: Sequence[str]) -> str:
    """An example's title, with the model that it opens on where that is not the page's first."""
    fitting = [model for model in preset.model if model in models]
    return f"{preset.title} ({fitting[0]})" if fitting and models[0] not in fitting else preset.title


def _prompt_bar(
    models: Sequence[str], presets: Sequence[Preset], model: str | None, prompt: str, cap: int
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
                                    {"label": _of_model(preset, models), "value": preset.key}
                                    for preset in presets
                                ],
                            ),
                        ]
                    ),
                ],
                className="hs-menus",
            ),
            html.Div(
                [
                    marked(dbc.Label("Your prompt", html_for=ids.PROMPT), "token", "bos"),
                    dbc.Textarea(
                        id=ids.PROMPT,
                        value=prompt,
                        rows=2,
                        spellCheck=False,
                        maxLength=max_characters(cap),
                        debounce=False,
                    ),
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
            html.Div(id=ids.LOADING, role="status"),
            html.Div(id=ids.ALERT, role="alert"),
            html.Div(id=ids.NOTICE, role="status"),
        ],
        className="hs-card hs-prompt-bar",
        **aria(label="Prompt"),
    )


def _heads() -> html.Section:
    return section(
        "All heads",
        "A row is a layer, from the first at the top; a column is a head. Colour and letter tell the "
        "role, the strength "
        "how much the head does it on your text. Click one, or move with the arrow keys.",
        html.Div(id=ids.GRID),
        name="heads",
        term="head_grid",
    )


def _roles() -> html.Section:
    return section(
        "Roles",
        "What the heads of this model are known to do. Filled circle: active on your text. Open circle: "
        "inactive. A role on test inputs is not all that a head does.",
        *analysis_places(PAGE),
        html.Div(
            [
                html.Div(id=ids.ROLES_NOTE, className="hs-role-place"),
                *(html.Div(id=ids.role_card(role), className="hs-role-place") for role in ROLES),
            ],
            id=ids.ROLES,
            className="hs-roles",
        ),
        dcc.Store(id=ids.ROLES_DRAWN),
        name="roles",
        term=("role", "active", "chance"),
    )


def _detail() -> html.Section:
    return html.Section(
        [
            html.Div(
                [
                    html.H2(id=ids.DETAIL_TITLE, className="hs-title"),
                    dbc.Button("Ablate", id=ids.TOGGLE_HEAD, size="sm", color="danger", outline=True),
                ],
                className="hs-detail-head",
            ),
            html.Div(id=ids.DETAIL_FACTS),
            html.Div(
                [
                    html.Div(
                        [
                            marked(
                                html.H3("Attention, drawn as lines (BertViz)", className="hs-subtitle"),
                                "head_view",
                            ),
                            html.P(
                                "Left: looks from. Right: looks at. Hover over a token.", className="hs-hint"
                            ),
                            html.Iframe(
                                id=ids.BERTVIZ,
                                sandbox="allow-scripts",
                                title="BertViz view of the chosen head",
                                className="hs-frame",
                            ),
                        ],
                        id=ids.PART_BERTVIZ,
                    ),
                    html.Div(
                        [
                            marked(
                                html.H3("The same as a heatmap", className="hs-subtitle"),
                                "heatmap",
                                "attention_pattern",
                            ),
                            html.P(
                                "A row is the token that it looks from, a column the token that it looks at.",
                                className="hs-hint",
                            ),
                            dcc.Graph(id=ids.HEATMAP, responsive=True, config=graph_config("headscope-head")),
                            html.Details(
                                [
                                    html.Summary("As a table: where each token looks most"),
                                    html.Div(
                                        id=ids.HEATMAP_TABLE,
                                        className="hs-scroll",
                                        tabIndex=0,
                                        role="group",
                                        **aria(label="Table"),
                                    ),
                                ]
                            ),
                        ],
                        id=ids.PART_HEATMAP,
                    ),
                ],
                id=ids.HEAD_VIEWS,
                className="hs-views",
            ),
        ],
        className="hs-card",
        **aria(label="The chosen head"),
    )


def live_layout(
    models: Sequence[str],
    presets: Sequence[Preset],
    state: PageState,
    ready: bool,
    cap: int,
    problems: Sequence[str],
    link_problems: Sequence[str] = (),
) -> html.Div:
    """The live page, before any of its callbacks has run.

    Args:
        models: names for the menu.
        presets: for the menu of examples.
        state: what it shows; without a model nothing can be.
        ready: whether its prompt can be shown at once; else its model is loaded first.
        cap: most tokens a prompt may have.
        problems: what the operator should know (a broken example file, say).
        link_problems: what is wrong with the link that the page was opened by.
    """
    shown = {"model": state.model, "prompt": state.prompt} if state.model else None
    opened = {"preset": state.preset, "lesson": state.lesson, "step": state.step}
    return html.Div(
        [
            dcc.Store(ids.REQUEST, data=shown if ready else None),
            dcc.Store(ids.WANTED, data=None if ready else shown),
            dcc.Store(ids.SELECTED, data=str(state.head) if state.head else None),
            dcc.Store(ids.ABLATED, data=[str(head) for head in sorted(state.ablated or ())]),
            dcc.Store(ids.OPENED, data={key: value for key, value in opened.items() if value}),
            dcc.Store(ids.LINK),
            dcc.Store(ids.HOVERED),
            dcc.Store(ids.GO),
            dcc.Store(ids.PRESSED),
            dcc.Store(ids.PATTERN),
            dcc.Store(ids.TYPED, data=state.prompt),
            dcc.Store(ids.theme(PAGE)),
            dcc.Interval(ids.LOAD_TICK, interval=TICK_MS, disabled=True),
            *(dbc.Alert(problem, color="warning", dismissable=True) for problem in problems),
            html.Div(link_notice(link_problems), id=ids.LINK_STATUS),
            _prompt_bar(models, presets, state.model, state.prompt or "", cap),
            html.Div(id=ids.GUIDE),
            html.Section(
                html.Ol(id=ids.TOKENS, className="hs-tokens"),
                className="hs-card",
                **aria(label="Tokens of your prompt"),
            ),
            html.Div(
                [
                    html.Div([_heads(), _detail()], className="hs-column"),
                    html.Div([answer_card(state)], className="hs-column"),
                ],
                className="hs-columns",
            ),
            _roles(),
            export_card(),
        ],
        className="hs-page-body",
    )
