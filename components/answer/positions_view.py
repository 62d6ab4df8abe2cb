"""The view "At every position": what the model expects after each token, clean beside ablated."""

from collections.abc import Callable, Sequence
from typing import Any

import plotly.graph_objects as go
from dash import html

from components.attributes import data
from components.plots import COLOURS, base_layout, graph, plain
from components.tables import scrolled_table
from utils.effects.positions import PositionRow, PositionView


def _loss(value: float | None) -> html.Td:
    return html.Td("–" if value is None else f"{value:.2f}", className="hs-number")


def _row(row: PositionRow, here: str, label: Callable[[int], str], ablated: bool, chosen: bool) -> html.Tr:
    cells: list[Any] = [
        html.Td(str(row.position), className="hs-number"),
        html.Th(
            html.Button(
                html.Bdi(here),
                className="hs-link-button hs-token-cell",
                title="Show the prediction after this token",
                **data(position=str(row.position)),
            ),
            scope="row",
        ),
        html.Td(
            [html.Bdi(label(row.clean_token)), f" {row.clean_probability:.0%}"], className="hs-token-cell"
        ),
    ]
    if ablated:
        changed = html.Strong(" changed", className="hs-changed") if row.changed else ""
        cells.append(
            html.Td(
                [html.Bdi(label(row.ablated_token)), f" {row.ablated_probability:.0%}", changed],
                className="hs-token-cell",
            )
        )
    cells.append(
        html.Td("–" if row.following is None else html.Bdi(label(row.following)), className="hs-token-cell")
    )
    cells.append(_loss(row.clean_loss))
    if ablated:
        cells.append(_loss(row.ablated_loss))
    return html.Tr(cells, className="hs-watched" if chosen else "")


def loss_figure(view: PositionView, labels: Sequence[str], ablated: bool, theme: str) -> go.Figure:
    """The loss at each position as a line, clean beside ablated."""
    colours = COLOURS[theme]
    rows = [row for row in view.rows if row.clean_loss is not None]
    positions = [row.position for row in rows]
    figure = go.Figure(
        go.Scatter(
            x=positions,
            y=[row.clean_loss for row in rows],
            name="clean",
            mode="lines+markers",
            line={"color": colours.clean},
            marker={"symbol": "circle"},
        )
    )
    if ablated:
        figure.add_trace(
            go.Scatter(
                x=positions,
                y=[row.ablated_loss for row in rows],
                name="ablated",
                mode="lines+markers",
                line={"color": colours.ablated, "dash": "dash"},
                marker={"symbol": "diamond"},
            )
        )
    figure.update_layout(**base_layout(theme))
    figure.update_layout(showlegend=ablated, legend={"orientation": "h", "y": 1.12})
    few = len(positions) <= 32
    figure.update_xaxes(
        title="after token",
        tickvals=positions if few else None,
        ticktext=[plain(labels[position][:10]) for position in positions] if few else None,
        showgrid=False,
    )
    figure.update_yaxes(title="loss (nats)", rangemode="tozero")
    return figure


def positions_sentence(view: PositionView, ablated: bool) -> str:
    """What the table comes to."""
    if view.clean_loss is None:
        return "With one token there is nothing to predict yet."
    if not ablated:
        return (
            f"The mean loss on this text is {view.clean_loss:.2f} nats a token: the lower, the better the "
            "model foresees what comes."
        )
    count = len(view.changed)
    changed = "nowhere" if not count else f"at {count} of {len(view.rows)} positions"
    return (
        f"With your heads ablated the model expects another token {changed}; its mean loss goes from "
        f"{view.clean_loss:.2f} to {view.ablated_loss or 0:.2f} nats a token."
    )


def positions_body(
    view: PositionView,
    labels: Sequence[str],
    label: Callable[[int], str],
    ablated: bool,
    chosen: int,
    theme: str,
) -> list[Any]:
    """The view.

    Args:
        view: the predictions.
        labels: the prompt's tokens as they are shown.
        label: shows a token id as text.
        ablated: whether heads are off.
        chosen: the position that the prediction panel shows.
        theme: "light" or "dark".
    """
    titles = [
        "#",
        "after token",
        "expects",
        *(["with heads ablated"] if ablated else []),
        "really comes",
        "loss",
    ]
    titles += ["loss, off"] if ablated else []
    return [
        html.P(positions_sentence(view, ablated), className="hs-sentence"),
        html.P(
            "The loss says how surprised the model is by the token that really comes (minus the logarithm "
            "of its probability). Click a token to see its whole prediction.",
            className="hs-hint",
        ),
        graph("positions", figure=loss_figure(view, labels, ablated, theme), style={"height": "240px"}),
        scrolled_table(
            "The prediction after every token",
            titles,
            [_row(row, labels[row.position], label, ablated, row.position == chosen) for row in view.rows],
            tall=True,
        ),
    ]
