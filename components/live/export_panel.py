"""The card "Export": the analysis, the heads, the figures and a lab record as files."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import dash_bootstrap_components as dbc
from dash import dcc, html

from components import ids
from components.attributes import aria, data
from utils.export.lab_record import MAX_CHARACTERS, TITLE

# The figures that may be on the page, by the name that their own toolbar saves them under
# (`plots.graph_config`).
FIGURES: Mapping[str, str] = MappingProxyType(
    {
        "headscope-head": "Attention of the chosen head",
        "headscope-map": "Map of all heads",
        "headscope-positions": "Loss at every position",
        "headscope-lens": "The watched token along the layers",
        "headscope-total-direct": "Total beside direct effects",
        "headscope-random-sets": "Your heads against random sets",
        "headscope-preset": "The preset's heads against random sets",
    }
)
LONGEST_LINE = 120


def _button(what: str, label: str, name: str = "") -> html.Button:
    return html.Button(
        [html.I(className="bi bi-download", **aria(hidden="true")), f" {label}"],
        id=ids.export(what),
        type="button",
        className="btn btn-sm btn-outline-secondary",
        **(aria(label=name) if name else {}),
    )


def _figure_row(key: str, title: str) -> html.Li:
    """A figure with its buttons; export.js shows it while the figure is on the page."""
    return html.Li(
        [
            html.Span(title, className="hs-export-title"),
            *(
                html.Button(
                    kind.upper(),
                    type="button",
                    className="btn btn-sm btn-outline-secondary",
                    **data(save=kind),
                    **aria(label=f"{title} as {kind.upper()}"),
                )
                for kind in ("png", "svg")
            ),
        ],
        hidden=True,
        **data(figure=key),
    )


def _line(box: str, label: str, placeholder: str, **more: Any) -> html.Div:
    return html.Div(
        [
            dbc.Label(label, html_for=box, className="mb-0"),
            dbc.Input(
                id=box,
                type="text",
                size="sm",
                placeholder=placeholder,
                maxLength=LONGEST_LINE,
                # A lesson's step may open the page anew: what was typed is still there.
                persistence=True,
                persistence_type="session",
                **more,
            ),
        ]
    )


def _record() -> html.Details:
    return html.Details(
        [
            html.Summary("Lab record, to hand in"),
            html.P(
                "One file with your prompt, the model, the heads that are off, what changed, your answers "
                "and notes, the link to this page, the date and the versions.",
                className="hs-hint",
            ),
            html.Div(
                [
                    _line(ids.RECORD_AUTHOR, "Your name (optional)", "", autocomplete="name"),
                    _line(ids.RECORD_TITLE, "Title", TITLE),
                ],
                className="hs-export-lines",
            ),
            dbc.Label("Notes and answers", html_for=ids.RECORD_NOTES, className="mb-0"),
            dbc.Textarea(
                id=ids.RECORD_NOTES,
                rows=4,
                maxLength=MAX_CHARACTERS,
                placeholder="What did you expect? What happened? Why do you think so?",
                persistence=True,
                persistence_type="session",
            ),
            html.P(id=ids.EXPORT_INCLUDED, className="hs-hint"),
            html.Div(
                [
                    _button("markdown", "Markdown", "Lab record as Markdown"),
                    _button("html", "HTML", "Lab record as HTML"),
                    html.Span(
                        "HTML opens in any browser; Markdown in text editors and notebooks.",
                        className="hs-hint",
                    ),
                ],
                className="hs-export-row",
            ),
        ],
        className="hs-export-record",
    )


def export_drawer() -> html.Dialog:
    """The drawer behind "Export", before its callbacks have run."""
    return html.Dialog(
        [
            html.Div(
                [
                    html.H2("Export", id="export-heading", className="hs-title"),
                    html.Button(
                        html.I(className="bi bi-x-lg", **aria(hidden="true")),
                        type="button",
                        className="btn btn-sm btn-outline-secondary",
                        title="Close",
                        **aria(label="Close"),
                        **data(dialog="close"),
                    ),
                ],
                className="hs-pane-title",
            ),
            html.P(
                "Save what this page shows as files. They are made for you alone: the server keeps none.",
                className="hs-hint",
            ),
            dcc.Store(ids.EXPORT_REQUEST),
            dcc.Store(ids.EXPORT_QUESTIONS),
            dcc.Store(ids.EXPORT_NAMES),
            dcc.Download(ids.EXPORT_FILE),
            html.Fieldset(
                [
                    html.Div(
                        [
                            _button("analysis", "Analysis (JSON)"),
                            _button("heads", "Heads (CSV)"),
                            html.Span(
                                "JSON: everything, with settings and versions. CSV: a table, for Excel and "
                                "other programs.",
                                className="hs-hint",
                            ),
                        ],
                        className="hs-export-row",
                    ),
                    html.Div(
                        [
                            html.H3("Figures on the page now", className="hs-subtitle"),
                            html.P("No figure is on the page now.", className="hs-hint hs-export-none"),
                            html.Ul([_figure_row(key, title) for key, title in FIGURES.items()]),
                        ],
                        id=ids.EXPORT_FIGURES,
                        className="hs-export-figures",
                    ),
                    _record(),
                ],
                id=ids.EXPORT,
                disabled=True,
                className="hs-export",
                **aria(labelledby="export-heading"),
            ),
            html.Div(id=ids.EXPORT_STATUS, className="hs-export-status", role="status"),
        ],
        id=ids.EXPORT_DRAWER,
        className="hs-drawer-dialog",
        **aria(labelledby="export-heading"),
    )


def included(title: str, kind: str, count: int) -> str:
    """Which answers a lab record takes along.

    Args:
        title: of the preset or the lesson.
        kind: "preset" or "lesson".
        count: how many questions it asks.
    """
    if not count:
        return ""
    what = "answer to the question" if count == 1 else f"answers to the {count} questions"
    return f"Your {what} of the {kind} “{title}” {'is' if count == 1 else 'are'} included."
