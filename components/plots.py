"""What the pages' Plotly figures share: the look (`utils.plot_style`), their toolbar, plain labels."""

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
from dash import dcc

from utils.plot_style import COLOURS, Colours, base_layout

__all__ = [
    "COLOURS",
    "Colours",
    "base_layout",
    "graph",
    "graph_config",
    "heads_figure",
    "plain",
    "score_scale",
    "theme_name",
]

# An axis with more layers or heads than this names every fourth.
MAX_TICKS = 16


def theme_name(theme: str | None) -> str:
    """The theme that is meant: "dark", or "light" for anything else."""
    return "dark" if theme == "dark" else "light"


def graph_config(name: str, toolbar: bool = True) -> Any:
    """Plotly's options for a figure: every figure of a page has these and no others.

    Its toolbar has one button, which saves the figure as SVG (PNG is on the page): one tab stop. The
    list is written out because Plotly adds buttons of its own by default, one of which sends the figure to a
    server ("Share chart"). `assets/figures.css` puts it below the figure, where no title is.

    Args:
        name: of the file that is saved.
        toolbar: whether there is one at all; a figure that nobody would save is better without.
    """
    return {
        "displaylogo": False,
        "displayModeBar": "hover" if toolbar else False,
        "modeBarButtons": [["toImage"]],
        "showLink": False,
        "showSendToCloud": False,
        "showEditInChartStudio": False,
        "showTips": False,
        "toImageButtonOptions": {"format": "svg", "filename": name},
    }


def graph(name: str, toolbar: bool = True, **properties: Any) -> dcc.Graph:
    """The place of a figure on a page.

    Args:
        name: of the file that its toolbar saves, after "headscope-".
        toolbar: as in `graph_config`.
        properties: more properties of the `Graph`: its id, figure, style.
    """
    return dcc.Graph(responsive=True, config=graph_config(f"headscope-{name}", toolbar), **properties)


def score_scale(theme: str, threshold: float) -> list[tuple[float, str]]:
    """A colour scale for scores from 0 to 1 on which it shows which of them reach a threshold.

    Below it colours are greys near the paper's; from it on they run through green and blue (after
    ColorBrewer's YlGnBu, which the colour-blind can read), so that middling scores are told apart too.

    Args:
        theme: "light" or "dark".
        threshold: between 0 and 1.
    """
    low, high = _SCORE_COLOURS[theme_name(theme)]
    at = min(max(threshold, 0.05), 0.9)
    # Plotly refuses what rounding takes beyond 1.
    rest = [min(1.0, at + (1 - at) * step / (len(high) - 1)) for step in range(len(high))]
    return [(0.0, low[0]), (at, low[1]), *zip(rest, high, strict=True)]


# Below the threshold from and to; from it on.
_SCORE_COLOURS = {
    "light": (("#f3f5f8", "#dde2e8"), ("#a9dcb8", "#41b6c4", "#225ea8", "#081d58")),
    "dark": (("#2a2f35", "#434b53"), ("#1f6f78", "#2f9fae", "#8fd8c0", "#ffffd9")),
}


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
    # A click chooses a head; a finger that moves over the figure scrolls the page.
    figure.update_layout(dragmode=False)
    axis = {"showgrid": False, "zeroline": False}
    figure.update_xaxes(title="head", range=[-0.5, heads - 0.5], dtick=ticks(heads), **axis)
    figure.update_yaxes(title="layer", range=[layers - 0.5, -0.5], dtick=layer_ticks or ticks(heads), **axis)
    return figure


def ticks(count: int) -> int:
    """Every how many of so many layers or heads one is named."""
    return 1 if count <= MAX_TICKS else 4
