"""The study's figures on the lab page: which one, of what, and how it is read."""

from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go
from dash import dcc, html

from components import ids
from components.fields import menu
from components.plots import graph
from components.section import section
from components.tables import scrolled_table, scroller
from study.figures.as_tables import figure_tables

COMMAND = "python scripts/run_study.py all"


def lab_graph(key: str, name: str) -> dcc.Graph:
    """The place of a figure.

    Args:
        key: its id.
        name: of the file that its toolbar saves.
    """
    # Nothing is drawn until there is something: its callback gives it a height.
    return graph(name, id=key, className="hs-lab-graph", style={"display": "none"})


def study_tables(figure: go.Figure) -> list[html.Div]:
    """A figure's numbers."""
    return [
        scrolled_table(
            table.caption or "The figure's numbers",
            table.titles,
            [html.Tr([html.Th(row[0], scope="row"), *map(html.Td, row[1:])]) for row in table.rows],
            tall=True,
        )
        for table in figure_tables(figure)
    ]


def study_section(figures: Mapping[str, str], problem: str) -> html.Section:
    """The card of the study.

    Args:
        figures: title of each figure, by key; none where there are no results.
        problem: why there are none.
    """
    if not figures:
        body: list[Any] = [
            html.P([f"{problem} The study is run by ", html.Code(COMMAND), ", in some hours on two cores."])
        ]
    else:
        body = [
            html.Div(
                [
                    menu("Figure", ids.LAB_FIGURE, figures, next(iter(figures))),
                    menu("Of", ids.LAB_CHOICE, {}, None),
                ],
                className="hs-lab-fields",
            ),
            html.Div(id=ids.LAB_FIGURE_STATUS, className="hs-static"),
            # Panels side by side need some room: a phone scrolls them.
            scroller(
                html.Div(lab_graph(ids.LAB_STUDY, "study"), className="hs-lab-wide"), "Figure of the study"
            ),
            html.Details(
                [
                    html.Summary("Its numbers as a table"),
                    html.Div(id=ids.LAB_STUDY_TABLE, className="hs-static"),
                ]
            ),
        ]
    return section(
        "The study",
        "The same over many filings: heads are ranked on one part of them and switched off on the other.",
        *body,
        name="lab-study",
        term=("overlap", "interval"),
    )
