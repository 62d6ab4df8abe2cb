"""The column of the chosen head: title, Ablate, a sentence, and one figure or its scores."""

import dash_bootstrap_components as dbc
from dash import dcc, html

from components import ids
from components.attributes import aria, data
from components.help_mark import help_mark
from components.plots import graph
from utils.links.page_state import HEAD_VIEWS, PageState


def _options() -> html.Div:
    """What both figures have: the first token hidden, and for long prompts a window that moves."""
    return html.Div(
        [
            dbc.Checkbox(id=ids.HIDE_FIRST, label="Hide first token", value=False),
            help_mark("resting", "head_view", "heatmap", "attention_pattern"),
            html.Div(
                [
                    html.Button(
                        html.I(className=f"bi bi-chevron-{side}", **aria(hidden="true")),
                        id=ids.window_button(does),
                        type="button",
                        className="btn btn-sm btn-outline-secondary",
                        title=title,
                        **aria(label=title),
                    )
                    for does, side, title in (
                        ("back", "left", "Earlier tokens"),
                        ("on", "right", "Later tokens"),
                    )
                ]
                + [html.Span(id=ids.WINDOW_STATUS, className="hs-hint")],
                id=ids.WINDOW_PLACE,
                className="hs-window",
                hidden=True,
            ),
            html.Span(id=ids.FIGURE_STATUS, className="hs-hint"),
        ],
        className="hs-figure-options",
    )


def head_panel(state: PageState) -> html.Section:
    """The column before its callbacks have run.

    Args:
        state: what the page shows.
    """
    view = state.head_view or next(iter(HEAD_VIEWS))
    return html.Section(
        [
            html.Div(
                [
                    html.H2(id=ids.DETAIL_TITLE, className="hs-title"),
                    dbc.Button("Ablate", id=ids.TOGGLE_HEAD, size="sm", color="danger", outline=True),
                    html.Button(
                        html.I(className="bi bi-x-lg", **aria(hidden="true")),
                        type="button",
                        className="btn btn-sm btn-outline-secondary hs-sheet-close",
                        title="Back to the map",
                        **aria(label="Close the head"),
                        **data(sheet="close"),
                    ),
                ],
                className="hs-pane-title hs-head-title",
            ),
            html.P(id=ids.DETAIL_SENTENCE, className="hs-sentence", role="status"),
            dbc.RadioItems(
                id=ids.HEAD_VIEW,
                options=[{"label": row.title, "value": key} for key, row in HEAD_VIEWS.items()],
                value=view,
                inline=True,
                class_name="hs-tabs",
                input_class_name="btn-check",
                label_class_name="hs-tab",
                label_checked_class_name="hs-tab-here",
            ),
            html.Div(
                [
                    _options(),
                    html.Div(
                        # A frame of its own for each head: one that is fed again would be a step of Back.
                        html.Div(html.Div(id=ids.BERTVIZ, className="hs-lines"), className="hs-figure"),
                        id=ids.PART_BERTVIZ,
                        className="hs-head-view",
                    ),
                    html.Div(
                        [
                            html.Div(
                                # Saved by "Export": a toolbar would lie over the labels.
                                graph("head", toolbar=False, id=ids.HEATMAP, className="hs-square"),
                                className="hs-figure",
                            ),
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
                        className="hs-head-view",
                    ),
                    html.Div(id=ids.DETAIL_FACTS, className="hs-head-view"),
                    html.Div(id=ids.DETAIL_WRITES, className="hs-head-view"),
                ],
                id=ids.HEAD_VIEWS_PLACE,
                className=f"hs-head-views hs-head-shows-{view}",
            ),
            dcc.Store(ids.WINDOW),
            dcc.Store(ids.LINES),
        ],
        className="hs-pane hs-pane-head",
        **aria(label="The chosen head"),
    )
