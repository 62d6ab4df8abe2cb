"""Where a model has no catalog: the offer to make one, its progress, its end."""

from typing import Any

import dash_bootstrap_components as dbc
from dash import dcc, html

from components import ids
from components.messages import alert
from components.progress import progress_view
from utils.runtime.jobs import JobView

TICK_MS = 500


def analysis_places(page: str) -> list[Any]:
    """What a page needs that offers an analysis: the panel and its stores."""
    return [
        dcc.Store(ids.analysis_for(page)),
        dcc.Store(ids.analysis_done(page)),
        dcc.Interval(ids.analysis_tick(page), interval=TICK_MS, disabled=True),
        html.Div(id=ids.analysis(page), className="hs-analysis-place"),
    ]


def analysis_panel(page: str, model: str, view: JobView | None) -> html.Div:
    """The offer, or how far the analysis is, or why there is none.

    Args:
        page: the page's key.
        model: its name.
        view: its analysis, None where nobody has asked for one.
    """
    if view is not None and not view.ended:
        return html.Div(
            [
                progress_view(view, f"Analyzing {model}", ids.cancel_analysis(page, model)),
                html.P(
                    "Every head is measured on test inputs. You can go on using the page; the roles appear "
                    "when it is done.",
                    className="hs-hint",
                ),
            ],
            className="hs-analysis",
        )
    message: list[Any] = []
    if view is not None and view.error is not None:
        message.append(alert(view.error))
    elif view is not None and view.state == "cancelled":
        message.append(html.P("The analysis was cancelled; nothing was kept.", className="hs-hint"))
    return html.Div(
        [
            *message,
            dbc.Button(f"Analyze {model}", id=ids.analyze(page, model), color="primary", size="sm"),
            html.P(
                "Measures every head for every role, on this server: a minute for a small model, longer for "
                "a large one. The catalog is kept.",
                className="hs-hint",
            ),
        ],
        className="hs-analysis",
    )
