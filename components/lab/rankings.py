"""The lab's rankings: every head's score on this prompt and over the catalog's, and what they share."""

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
from dash import html
from torch import Tensor

from components.attributes import aria, data
from components.plots import COLOURS, base_layout, heads_figure, ticks
from components.tables import number, scrolled_table
from retrieval.lab.agreement import Agreement, scored_heads
from retrieval.lab.reading import PromptRanking
from retrieval.rankings.methods import RankingMethod
from utils.catalog.rankings import CatalogRanking, rank_order
from utils.heads import Head

TOP = 10
# Rows of the table; a large model has a thousand heads.
MAX_ROWS = 128


def empty_figure(theme: str, message: str) -> go.Figure:
    """A figure that says why it shows nothing."""
    figure = go.Figure()
    figure.update_layout(**base_layout(theme))
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    figure.add_annotation(
        text=message, showarrow=False, font={"size": 13}, xref="paper", yref="paper", x=0.5, y=0.5
    )
    return figure


def score_grid(scores: Tensor, chosen: Head | None, theme: str) -> go.Figure:
    """Every head's score, layers down and heads across; the chosen head has a frame.

    Args:
        scores: [layer, head].
        chosen: the head that is looked at.
        theme: "light" or "dark".
    """
    layers, heads = scores.shape
    colours = COLOURS[theme]
    least, most = min(0.0, float(scores.min())), max(1e-9, float(scores.max()))
    scale: dict[str, Any] = {"zmin": 0.0, "zmax": most, "colorscale": colours.scale}
    if least < -0.05 * most:
        # A calibrated score may lie below 0: the head looks there less than under an empty question.
        bound = max(-least, most)
        scale = {"zmin": -bound, "zmax": bound, "colorscale": colours.diverging}
    figure = heads_figure(
        [[round(value, 4) for value in row] for row in scores.tolist()],
        theme,
        "score",
        layer_ticks=ticks(layers),
        customdata=[[str(Head(layer, head)) for head in range(heads)] for layer in range(layers)],
        hovertemplate="%{customdata}: %{z:.3f}<extra></extra>",
        **scale,
    )
    if chosen is not None and chosen.layer < layers and chosen.head < heads:
        figure.add_shape(
            type="rect",
            x0=chosen.head - 0.5,
            x1=chosen.head + 0.5,
            y0=chosen.layer - 0.5,
            y1=chosen.layer + 0.5,
            line={"color": colours.mark, "width": 3},
        )
    # Two grids and a list stand side by side.
    figure.update_traces(colorbar={"title": None, "thickness": 6, "nticks": 4, "tickfont": {"size": 9}})
    figure.update_xaxes(dtick=4, tickangle=0)
    figure.update_layout(clickmode="event", font_size=11, margin={"l": 36, "r": 4, "t": 6, "b": 34})
    return figure


def grid_height(layers: int) -> str:
    """CSS height of the grid of so many layers."""
    return f"{max(200, min(370, 90 + 28 * layers))}px"


def method_message(
    method: RankingMethod, here: PromptRanking, catalog: CatalogRanking | None, alike: Agreement | None
) -> list[Any]:
    """What the method does, what it says here, and how that agrees with the catalog."""
    message: list[Any] = [
        html.P([f"{method.explanation} ", html.Small(method.source, className="hs-hint")]),
    ]
    if here.problem:
        message.append(html.P(here.problem, className="hs-lab-note"))
    if here.control:
        message.append(html.P(here.control, className="hs-hint"))
    if catalog is None:
        message.append(
            html.P("The catalog of this model has no ranking by this method.", className="hs-hint")
        )
    else:
        questions = ", ".join(catalog.questions)
        asked = f"{len(catalog.questions)} questions" if len(catalog.questions) > 3 else questions
        message.append(
            html.P(
                f"The catalog's ranking is the mean over {catalog.samples:,} samples ({asked}).",
                className="hs-hint",
            )
        )
    if alike is not None:
        correlation = (
            "" if alike.correlation is None else f"Rank correlation (Spearman) {alike.correlation:.2f}. "
        )
        message.append(
            html.P(
                f"{correlation}Of the {alike.top} heads at the top of each (a tenth of all), {alike.shared} "
                f"{'is' if alike.shared == 1 else 'are'} in both; by chance it would be "
                f"{alike.by_chance:.1f}.",
                className="hs-fact",
            )
        )
    return message


def top_list(scores: Tensor | None, catalog: CatalogRanking | None, chosen: Head | None) -> list[Any]:
    """The first heads of the ranking on this prompt as buttons, with their place in the catalog's."""
    if scores is None:
        return []
    positions = {} if catalog is None else {head: at for at, head in enumerate(catalog.order, start=1)}
    scored = scored_heads(scores)
    items = [
        html.Li(
            [
                html.Button(
                    str(head),
                    className="hs-lab-head",
                    **data(pick=str(head)),
                    **aria(pressed="true" if head == chosen else "false"),
                ),
                html.Span(f"{float(scores[head.layer, head.head]):.3f}", className="hs-lab-score"),
                html.Small(f"catalog: {positions[head]}" if positions else "", className="hs-hint"),
            ]
        )
        for head in rank_order(scores)[:TOP]
    ]
    message: list[Any] = [html.Ol(items, className="hs-lab-top", **aria(label="The first ten heads here"))]
    if scored < TOP:
        heads = (
            "No head has" if not scored else "Only 1 head has" if scored == 1 else f"Only {scored} heads have"
        )
        message.append(
            html.P(
                f"{heads} a score above 0; the {'rest stand' if scored else 'list stands'} in order of layer "
                "and head.",
                className="hs-hint",
            )
        )
    return message


def scores_table(scores: Tensor | None, catalog: CatalogRanking | None) -> list[Any]:
    """The numbers of both grids, by rank on this prompt (by the catalog's where there is none here)."""
    first = scores if scores is not None else None if catalog is None else catalog.scores
    if first is None:
        return [html.P("There is nothing to list.", className="hs-hint")]
    columns: Sequence[Tensor | None] = (scores, None if catalog is None else catalog.scores)
    ranks = [
        {} if table is None else {head: at for at, head in enumerate(rank_order(table), start=1)}
        for table in columns
    ]

    def cells(head: Head) -> list[html.Td]:
        return [
            number(text)
            for table, rank in zip(columns, ranks, strict=True)
            for text in (
                ("–", "–")
                if table is None
                else (f"{float(table[head.layer, head.head]):.4f}", str(rank[head]))
            )
        ]

    rows = [html.Tr([html.Th(str(head), scope="row"), *cells(head)]) for head in rank_order(first)[:MAX_ROWS]]
    titles = ["head", "score here", "rank here", "score, catalog", "rank, catalog"]
    parts: list[Any] = [scrolled_table("Scores of the heads", titles, rows, numbers=range(1, 5), tall=True)]
    if first.numel() > MAX_ROWS:
        parts.append(html.P(f"The first {MAX_ROWS} of {first.numel():,} heads.", className="hs-hint"))
    return parts
