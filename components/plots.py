"""What the pages' Plotly figures share: the look (`utils.plot_style`), their toolbar, plain labels."""

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from utils.plot_style import COLOURS, Colours, base_layout

__all__ = ["COLOURS", "Colours", "base_layout", "graph_config", "heads_figure", "plain", "theme_name"]

# An axis with more layers or heads than this names every fourth.
MAX_TICKS = 16


def theme_name(theme: str | None) -> str:
    """The theme that is meant: "dark", or "light" for anything else."""
    return "dark" if theme == "dark" else "light"


def graph_config(name: str) -> Any:
    """What a figure's own toolbar offers: download as SVG under this file name; PNG is on the page."""
    return {"displaylogo": False, "toImageButtonOptions": {"format": "svg", "filename": name}}


def plain(text: str) -> str:
    """Text for Plotly, which reads a few HTML tags in labels: they are shown as they were typed."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def heads_figure(
    values: Sequence[Sequence[float]], theme: str, title: str, layer_ticks: int | None = None, **trace: Any
) -> go.Figure:
    """A value of each head as a heatmap, layers down and heads across.

    Args:
        values: [layer][head].
        theme: "light" or "dark".
        title: of the colour bar.
        layer_ticks: every how many layers one is named; by default as heads are.
        trace: more options for Plotly's `Heatmap`: the scale, what is shown on hovering.
    """
    layers, heads = len(values), len(values[0])
    figure = go.Figure(
        go.Heatmap(
            z=values,
            x=list(range(heads)),
            y=list(range(layers)),
            xgap=2,
            ygap=2,
            colorbar={"title": {"text": title}, "thickness": 10},
            **trace,
        )
    )
    figure.update_layout(**base_layout(theme))
    axis = {"showgrid": False, "zeroline": False}
    figure.update_xaxes(title="head", range=[-0.5, heads - 0.5], dtick=ticks(heads), **axis)
    figure.update_yaxes(title="layer", range=[layers - 0.5, -0.5], dtick=layer_ticks or ticks(heads), **axis)
    return figure


def ticks(count: int) -> int:
    """Every how many of so many layers or heads one is named."""
    return 1 if count <= MAX_TICKS else 4
