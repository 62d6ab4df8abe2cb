"""The view "Logit lens": what the output layer would say after each layer, and what each layer adds."""

from collections.abc import Callable
from typing import Any

import plotly.graph_objects as go
from dash import html

from components.help_mark import marked
from components.plots import COLOURS, base_layout, graph, plain
from components.tables import number, scrolled_table
from utils.writing.attribution import DirectEffect
from utils.writing.lens import LogitLens


def lens_sentence(lens: LogitLens, label: Callable[[int], str]) -> str:
    """Where the watched token becomes the favourite."""
    name, depths = f"“{label(lens.target)}”", len(lens.layers) - 1
    if lens.settled is None:
        first = lens.first_favourite
        before = f" It was for a while, first after layer {first - 1}." if first else ""
        return f"{name} is not the model's favourite at its end.{before}"
    if lens.settled == 0:
        return f"{name} is the favourite from the embeddings on."
    where = f"after layer {lens.settled - 1}, {lens.settled} of {depths} layers up"
    return f"{name} becomes the favourite {where}, and stays it to the end."


def lens_figure(lens: LogitLens, direct: DirectEffect, label: Callable[[int], str], theme: str) -> go.Figure:
    """The logit (difference) along the layers as a line, and what each layer's heads and MLP add as bars."""
    colours = COLOURS[theme]
    layers = list(range(len(lens.layers) - 1))
    heads = direct.heads.sum(dim=1).tolist()
    figure = go.Figure()
    figure.add_trace(
        go.Bar(x=layers, y=heads, name="its heads add", marker_color=colours.clean, hovertemplate="%{y:+.2f}")
    )
    figure.add_trace(
        go.Bar(
            x=layers,
            y=direct.mlps.tolist(),
            name="its MLP adds",
            marker={"color": colours.ablated, "pattern": {"shape": "/"}},
            hovertemplate="%{y:+.2f}",
        )
    )
    figure.add_trace(
        go.Scatter(
            x=layers,
            y=[layer.logit for layer in lens.layers[1:]],
            customdata=[plain(label(layer.favourite)) for layer in lens.layers[1:]],
            mode="lines+markers",
            name="the lens after it",
            line={"color": colours.mark, "width": 2},
            hovertemplate="%{y:+.2f}, favourite %{customdata}",
        )
    )
    figure.update_layout(**base_layout(theme))
    figure.update_layout(
        barmode="relative", showlegend=True, legend={"orientation": "h", "y": 1.3}, hovermode="x unified"
    )
    figure.update_xaxes(title="layer")
    figure.update_yaxes(title="logits")
    return figure


def lens_view(lens: LogitLens, direct: DirectEffect, label: Callable[[int], str], theme: str) -> list[Any]:
    """The view.

    Args:
        lens: the watched token along the layers.
        direct: what each part adds at the end, on the same axis.
        label: shows a token id as text.
        theme: "light" or "dark".
    """
    rows = [
        html.Tr(
            [
                html.Th("embeddings" if not layer.depth else f"after layer {layer.depth - 1}", scope="row"),
                html.Td(html.Bdi(label(layer.favourite)), className="hs-token-cell"),
                number(f"{layer.favourite_probability:.0%}"),
                number(f"{layer.probability:.1%}"),
                number(str(layer.rank)),
                number(f"{layer.logit:+.2f}"),
            ]
        )
        for layer in lens.layers
    ]
    watched = f"“{label(lens.target)}”"
    return [
        html.P(lens_sentence(lens, label), className="hs-sentence"),
        marked(
            html.P(
                "The stream after each layer, read by the final norm and the output layer as they "
                "are: nothing is "
                "tuned for it, and in early layers it says little. The bars are in the scale of the "
                "last layer.",
                className="hs-hint",
            ),
            "logit_lens",
        ),
        graph("lens", figure=lens_figure(lens, direct, label, theme), style={"height": "230px"}),
        scrolled_table(
            "The favourite after each layer",
            ("", "favourite", "", watched, "rank", "logits"),
            rows,
            numbers=(2, 3, 4, 5),
            tall=True,
        ),
    ]
