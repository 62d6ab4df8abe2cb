"""One head's attention pattern as a square heatmap, and as a table."""

from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go
from dash import html
from torch import Tensor

from components.plots import COLOURS, base_layout, plain
from components.tables import table

MAX_AXIS_LABEL = 9
TABLE_KEYS = 3
# With more tokens than this every second, third or so is named: the others' labels would overlap.
MAX_NAMED = 32
# A longer prompt can be looked at through a window of so many tokens.
WINDOW = 48


@dataclass(frozen=True)
class Window:
    """The tokens of a prompt that a figure shows, `start` to `stop` - 1."""

    start: int
    stop: int

    @property
    def names(self) -> list[int]:
        """The positions whose tokens are named on an axis."""
        step = -(-(self.stop - self.start) // MAX_NAMED)
        return list(range(self.start, self.stop, step))


def window_of(length: int, start: int | None) -> Window:
    """The window that begins at a token, or all of the prompt.

    Args:
        length: tokens of the prompt.
        start: the first token shown; None for all of them.
    """
    if start is None or length <= WINDOW:
        return Window(0, length)
    first = min(max(start, 0), length - WINDOW)
    return Window(first, first + WINDOW)


def without_first(attention: Tensor) -> Tensor:
    """The pattern without the first token, which many heads rest on; its own row stays.

    Args:
        attention: [query, key]; not modified.
    """
    hidden = attention.clone()
    hidden[1:, 0] = 0.0
    return hidden


def largest_after_first(attention: Tensor) -> float:
    """The largest attention from any token but the first to any key but the first; 1 where there is none."""
    rest = attention[1:, 1:]
    return max(float(rest.max()), 1e-3) if rest.numel() else 1.0


def _axis_labels(labels: Sequence[str]) -> list[str]:
    return [
        f"{label if len(label) <= MAX_AXIS_LABEL else label[: MAX_AXIS_LABEL - 1] + '…'} {index}"
        for index, label in enumerate(labels)
    ]


def heatmap(
    attention: Tensor,
    labels: Sequence[str],
    pairs: Sequence[tuple[int, int]],
    title: str,
    theme: str,
    hide_first: bool = False,
    start: int | None = None,
    row: int | None = None,
) -> go.Figure:
    """A head's pattern as a heatmap.

    Args:
        attention: [query, key].
        labels: what each token is shown as.
        pairs: (query, key) positions to mark: those that make a role active.
        title: says what the marks are; empty without marks.
        theme: "light" or "dark".
        hide_first: leave out the first key and scale the colours to the rest.
        start: first token of the window that is shown; None for the whole prompt.
        row: the pinned query token, whose row is framed; None for none.
    """
    colours = COLOURS[theme]
    length = len(labels)
    window = window_of(length, start)
    names = [plain(label) for label in _axis_labels(labels)]
    positions = list(range(window.start, window.stop))
    hidden = 1 if hide_first and length > 1 else 0
    values = [
        [
            round(weight, 4) if key <= query and (key >= hidden or query == 0) else None
            for key, weight in enumerate(attention[query].tolist())
            if window.start <= key < window.stop
        ]
        for query in positions
    ]
    # Where every token has its tick, the ticks name the two of a cell; else each cell has to.
    all_named = len(window.names) == len(positions)
    told = ("%{y}", "%{x}") if all_named else ("%{customdata[0]}", "%{customdata[1]}")
    figure = go.Figure(
        go.Heatmap(
            z=values,
            x=positions,
            y=positions,
            customdata=None
            if all_named
            else [[[names[query], names[key]] for key in positions] for query in positions],
            zmin=0,
            zmax=largest_after_first(attention) if hidden else 1,
            colorscale=colours.scale,
            xgap=1 if len(positions) <= MAX_NAMED else 0,
            ygap=1 if len(positions) <= MAX_NAMED else 0,
            hoverongaps=False,
            hovertemplate=f"from {told[0]}<br>to {told[1]}<br>%{{z:.1%}}<extra></extra>",
            showscale=False,
        )
    )
    marked = [pair for pair in pairs if all(window.start <= position < window.stop for position in pair)]
    if marked:
        figure.add_trace(
            go.Scatter(
                x=[key for _, key in marked],
                y=[query for query, _ in marked],
                mode="markers",
                marker={
                    "symbol": "square-open",
                    "size": 11 if len(positions) <= MAX_NAMED else 6,
                    "color": colours.mark,
                    "line": {"width": 2},
                },
                name=title,
                hoverinfo="skip",
                showlegend=False,
            )
        )
    named = window.names
    edges = [window.start - 0.5, window.stop - 0.5]
    axis = {
        "tickmode": "array",
        "tickvals": named,
        "ticktext": [names[position] for position in named],
        "showgrid": False,
        "zeroline": False,
        "ticks": "",
        "fixedrange": True,
        "automargin": True,
    }
    figure.update_layout(**base_layout(theme))
    figure.update_layout(
        xaxis={**axis, "range": edges, "tickangle": -90, "side": "top"},
        yaxis={**axis, "range": edges[::-1]},
        font_size=11 if len(named) <= 24 else 9,
        margin={"l": 76, "r": 6, "t": 76, "b": 6},
        dragmode=False,
    )
    # Plotly's own template is a third of what a head sends; all that this figure shows of it is set above.
    figure.update_layout(template=None)
    if row is not None and window.start <= row < window.stop:
        figure.add_shape(
            type="rect",
            x0=edges[0],
            x1=row + 0.5,
            y0=row - 0.5,
            y1=row + 0.5,
            line={"color": colours.ablated, "width": 2},
        )
    return figure


def pattern_table(attention: Tensor, labels: Sequence[str]) -> html.Table:
    """Where each token looks most, for those who cannot or would not read a heatmap."""
    rows = []
    for query, label in enumerate(labels):
        best = attention[query, : query + 1].topk(min(TABLE_KEYS, query + 1))
        positions = ", ".join(
            f"{labels[key]} ({key}) {value:.0%}"
            for value, key in zip(best.values.tolist(), best.indices.tolist(), strict=True)
        )
        rows.append(
            html.Tr(
                [
                    html.Td(str(query), className="hs-number"),
                    html.Th(html.Bdi(label), scope="row"),
                    html.Td(positions),
                ]
            )
        )
    return table("The three places that each token looks at most", ("#", "looks from", "looks at"), rows)
