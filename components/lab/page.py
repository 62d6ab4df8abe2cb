"""The retrieval lab's layout: what is asked, and the places that its callbacks fill.

Text, tables and lists are filled in as HTML text (`plain_html`): a filing of a thousand tokens is one
component.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import dash_bootstrap_components as dbc
from dash import dcc, html

from components import ids
from components.attributes import aria
from components.fields import menu
from components.lab.form import ask_section, field
from components.lab.study_card import lab_graph, study_section
from components.messages import link_notice
from components.section import section
from components.terms import GLOSSARY
from retrieval.filings.real import RealFiling
from retrieval.lab.ablation import DRAWS
from retrieval.lab.state import LabState
from utils.forward.ablation import ABLATION_MODES

PAGE = "lab"
TICK_MS = 500
BENCH = "hs-bench hs-lab-bench"
WAITING = "hs-lab-waiting"
PANE = "hs-pane hs-lab-pane"
# Where the slider ends until the model is known.
FIRST_MAX_K = 32


def lab_layout(
    models: Sequence[str],
    state: LabState | None,
    methods: Mapping[str, str],
    figures: Mapping[str, str],
    filings: Mapping[str, RealFiling],
    study_problem: str = "",
    link_problems: Sequence[str] = (),
) -> html.Div:
    """The page before its callbacks have run.

    Args:
        models: names for the menu.
        state: what it shows; None where there is no model.
        methods: name of each ranking method, by key.
        figures: title of each of the study's figures, by key; none where there are no results.
        filings: the real filings that there are, by name.
        study_problem: why there are none.
        link_problems: what is wrong with the link that the page was opened by.
    """
    if state is None:
        return html.Div(
            html.P("There is no model to use. The operator can add a folder with --model-dir."),
            className="hs-card",
        )
    return html.Div(
        [
            dcc.Store(ids.LAB_WANTED, data=asdict(state.prompt)),
            dcc.Store(ids.LAB_SHOWN),
            dcc.Store(ids.LAB_NEEDLE, data=state.prompt.needle),
            dcc.Store(ids.LAB_TYPED, data=state.prompt.text),
            dcc.Store(ids.LAB_LOOKS),
            dcc.Store(ids.LAB_LINK),
            dcc.Store(ids.theme(PAGE)),
            dcc.Interval(ids.LAB_TICK, interval=TICK_MS, disabled=True),
            dcc.Interval(ids.LAB_OFF_TICK, interval=TICK_MS, disabled=True),
            *link_notice(link_problems),
            html.Div(
                [
                    _column("ask", ask_section(models, state.prompt, filings, _to_study()), _text()),
                    _column("heads", _rankings(methods, state), _head(state)),
                    _column("answers", _answer(), _off(state)),
                ],
                id=ids.LAB_BODY,
                # Panes show a skeleton until something has been read.
                className=f"{BENCH} {WAITING}",
            ),
            study_section(figures, study_problem),
        ],
        className="hs-lab",
    )


def _column(name: str, *panes: html.Section) -> html.Div:
    """Panes below each other; each scrolls inside itself on a wide screen."""
    return html.Div(list(panes), className=f"hs-lab-column hs-lab-column-{name}")


def _to_study() -> html.A:
    return html.A("The study: the same over many filings", href="#lab-study-heading", className="hs-hint")


def _text() -> html.Section:
    return section(
        "The prompt",
        "Shaded by how much the chosen head looks there while the question is read.",
        html.Div(id=ids.LAB_STATUS, className="hs-static"),
        html.Div(
            id=ids.LAB_TOKENS,
            className="hs-lab-text",
            tabIndex=0,
            role="group",
            **aria(label="The prompt, token by token"),
        ),
        name="lab-prompt",
        term="token",
        look=f"{PANE} hs-lab-text-pane",
    )


def _answer() -> html.Section:
    return section(
        "The answer",
        "Each token with the probability that the model gave to it.",
        html.Div(id=ids.LAB_WRITING, className="hs-lab-writing", role="status"),
        html.Div(id=ids.LAB_WRITTEN, className="hs-static"),
        name="lab-answer",
        term=("token", "needle"),
        look=f"{PANE} hs-lab-answer-pane",
    )


def _fold(summary: str, key: str) -> html.Details:
    return html.Details([html.Summary(summary), html.Div(id=key, className="hs-static")])


def _rankings(methods: Mapping[str, str], state: LabState) -> html.Section:
    return section(
        "Which heads find it: a ranking by each method",
        "Click a cell, or a head in the list, to see where it looks.",
        html.Div(
            dbc.RadioItems(
                id=ids.LAB_METHOD,
                options=[{"label": name, "value": key} for key, name in methods.items()],
                value=state.view.method,
                inline=True,
                class_name="hs-tabs",
                input_class_name="btn-check",
                label_class_name="hs-tab",
                label_checked_class_name="hs-tab-here",
            ),
            role="group",
            **aria(label="Method"),
        ),
        html.Div(
            [
                html.Div(
                    [html.H3("On this prompt", className="hs-subtitle"), lab_graph(ids.LAB_SCORES, "ranking")]
                ),
                html.Div(
                    [
                        html.H3("On many (catalog)", className="hs-subtitle"),
                        lab_graph(ids.LAB_CATALOG_SCORES, "ranking-catalog"),
                    ],
                    id=ids.LAB_CATALOG_PLACE,
                ),
                html.Div(id=ids.LAB_TOP, className="hs-lab-top-place"),
            ],
            className="hs-lab-grids",
        ),
        html.Div(id=ids.LAB_METHOD_STATUS, className="hs-static"),
        _fold("Both grids as a table", ids.LAB_SCORES_TABLE),
        name="lab-rankings",
        term=(*methods, "null_query", "rank_correlation"),
        look=f"{PANE} hs-lab-rankings-pane",
    )


def _head(state: LabState) -> html.Section:
    chosen = str(state.view.head) if state.view.head else None
    return section(
        "Where the head looks",
        "From each token of the question (rows) to the tokens around the needle (columns).",
        _chooser(chosen),
        html.Div(id=ids.LAB_HEAD_STATUS, className="hs-static"),
        lab_graph(ids.LAB_ROWS, "question-rows"),
        _fold("As a table: where each token looks most", ids.LAB_ROWS_TABLE),
        name="lab-head-view",
        term=("query", "key", "chance"),
        look=f"{PANE} hs-lab-head-pane",
    )


def _chooser(chosen: str | None) -> html.Div:
    """The menu of heads; its options come with the model."""
    box = dbc.Select(id=ids.LAB_HEAD, options=[chosen] if chosen else [], value=chosen)
    return field("Head", box, "hs-lab-chooser")


def _off(state: LabState) -> html.Section:
    rankings = {"here": "this prompt's", "catalog": "the catalog's"}
    return section(
        "Ablate the top heads",
        "The answer without the first k heads of the ranking, beside as many random heads.",
        html.Div(
            [
                html.Div(
                    [
                        html.Label("Heads that are off (k)", htmlFor=ids.LAB_K, className="form-label"),
                        html.Span(id=ids.LAB_K_STATUS, className="hs-lab-k"),
                    ],
                    className="hs-title-row",
                ),
                dbc.Input(
                    id=ids.LAB_K,
                    type="range",
                    min=0,
                    max=max(FIRST_MAX_K, state.view.k or 0),
                    step=1,
                    value=state.view.k,
                    # At once: a click on the button right after it must find this value.
                    debounce=False,
                    class_name="hs-slider",
                ),
            ]
        ),
        html.Div(
            [
                menu("Of the ranking", ids.LAB_RANKING, rankings, state.view.ranking),
                menu(
                    "In their place",
                    ids.LAB_MODE,
                    {mode: GLOSSARY[mode].term for mode in ABLATION_MODES},
                    state.view.mode,
                ),
            ],
            className="hs-lab-fields",
        ),
        html.Div(
            [
                dbc.Button("Ablate and answer", id=ids.LAB_OFF_RUN, color="primary", size="sm"),
                html.Span(
                    "The model answers with all heads on, without these heads, and without "
                    f"{2 * DRAWS} random sets of as many.",
                    className="hs-hint",
                ),
            ],
            className="hs-lab-run-row",
        ),
        html.Div(id=ids.LAB_OFF_PROGRESS, role="status"),
        html.Div(id=ids.LAB_OFF, className="hs-static"),
        name="lab-off",
        term=("ablation", "random_control", "layer_matched", "backup_head"),
        look=f"{PANE} hs-lab-off-pane",
    )


def cancelled(again: str) -> html.P:
    """What stands in the progress's place once it was cancelled."""
    return html.P(f"Cancelled. {again}", className="hs-hint")
