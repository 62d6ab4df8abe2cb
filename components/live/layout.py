"""The live page as a workbench: prompt, tokens, and side by side the map, the chosen head and the answer."""

from collections.abc import Sequence
from typing import Any

import dash_bootstrap_components as dbc
from dash import dcc, html

from components import ids
from components.analysis_panel import analysis_places
from components.answer.card import answer_card
from components.attributes import aria
from components.live.export_panel import export_drawer
from components.live.head_map import map_menu
from components.live.head_panel import head_panel
from components.live.phone_bar import phone_bar
from components.live.prompt_bar import prompt_bar
from components.messages import link_notice
from utils.links.page_state import PageState
from utils.roles.registry import ROLES
from utils.teaching.presets import Preset

PAGE = "live"
# How often a page that waits asks how far the work is, in milliseconds.
TICK_MS = 500


def _stores(state: PageState, ready: bool) -> list[Any]:
    shown = {"model": state.model, "prompt": state.prompt} if state.model else None
    opened = {"preset": state.preset, "lesson": state.lesson, "step": state.step}
    return [
        dcc.Store(ids.REQUEST, data=shown if ready else None),
        dcc.Store(ids.WANTED, data=None if ready else shown),
        dcc.Store(ids.SELECTED, data=str(state.head) if state.head else None),
        dcc.Store(ids.ABLATED, data=[str(head) for head in sorted(state.ablated or ())]),
        dcc.Store(ids.OPENED, data={key: value for key, value in opened.items() if value}),
        dcc.Store(ids.LINK),
        dcc.Store(ids.CHOSEN),
        dcc.Store(ids.HOVERED),
        dcc.Store(ids.GO),
        dcc.Store(ids.PRESSED),
        dcc.Store(ids.PATTERN),
        dcc.Store(ids.TYPED, data=state.prompt),
        dcc.Store(ids.ROLES_DRAWN),
        dcc.Store(ids.MAP_DRAWN),
        dcc.Store(ids.ABLATED_SCORES),
        dcc.Store(ids.theme(PAGE)),
        dcc.Interval(ids.LOAD_TICK, interval=TICK_MS, disabled=True),
    ]


def _messages(problems: Sequence[str], link_problems: Sequence[str]) -> html.Div:
    return html.Div(
        [
            *(dbc.Alert(problem, color="warning", dismissable=True) for problem in problems),
            html.Div(link_notice(link_problems), id=ids.LINK_STATUS),
            html.Div(id=ids.LOADING, role="status"),
            html.Div(id=ids.ALERT, role="alert"),
            html.Div(id=ids.NOTICE, role="status"),
        ],
        className="hs-messages",
    )


def _map(state: PageState) -> html.Section:
    """The map and beneath or beside it the roles, which are its legend."""
    return html.Section(
        [
            html.Div(
                [html.H2("Heads", id="heads-heading", className="hs-title"), map_menu(state.map_view)],
                className="hs-pane-title",
            ),
            html.Div(id=ids.MAP_NOTE, className="hs-map-note"),
            html.Div(
                html.Div(
                    [
                        html.Div(id=ids.GRID, className="hs-map"),
                        html.Div(
                            [
                                *analysis_places(PAGE),
                                html.Div(id=ids.ROLES_NOTE, className="hs-role-place"),
                                *(
                                    html.Div(id=ids.role_card(role), className="hs-role-place")
                                    for role in ROLES
                                ),
                                html.Div(id=ids.MAP_TABLE),
                            ],
                            id=ids.ROLES,
                            className="hs-roles",
                            role="group",
                            **aria(label="Roles"),
                        ),
                    ],
                    className="hs-map-parts",
                ),
                className="hs-map-body",
            ),
        ],
        className="hs-pane hs-pane-map",
        **aria(labelledby="heads-heading"),
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
    return html.Div(
        [
            *_stores(state, ready),
            prompt_bar(models, presets, state.model, state.prompt or "", cap),
            _messages(problems, link_problems),
            html.Section(
                html.Ol(id=ids.TOKENS, className="hs-tokens"),
                className="hs-strip",
                **aria(label="Tokens of your prompt"),
            ),
            html.Div(
                [html.Div(id=ids.GUIDE), _map(state), head_panel(state), answer_card(state)],
                className="hs-bench",
            ),
            phone_bar(),
            export_drawer(),
        ],
        id=ids.WORKBENCH,
        className="hs-workbench",
    )
