"""The lab's chosen head: where it looks from each token of the question, as heatmap, words and table."""

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
from dash import html

from components.plots import COLOURS, base_layout, plain
from components.tables import number, scrolled_table
from retrieval.lab.rows import HeadLook

# More names on the lower axis than this would lie on top of each other.
MAX_NAMES = 30
LONGEST_NAME = 12
TABLE_KEYS = 3
LAST = "the last token"


def _name(labels: Sequence[str], position: int) -> str:
    label = labels[position]
    return label if len(label) <= LONGEST_NAME else label[: LONGEST_NAME - 1] + "…"


def rows_figure(
    look: HeadLook, labels: Sequence[str], needle: tuple[int, int] | None, theme: str
) -> go.Figure:
    """The head's attention: a row a token of the question, a column a token of the prompt; the needle framed.

    Args:
        look: of the head.
        labels: what each token of the prompt is shown as.
        needle: its token span, None where it is not known.
        theme: "light" or "dark".
    """
    colours = COLOURS[theme]
    keys = look.rows.shape[1]
    heights = list(range(len(look.positions)))
    names = [plain(_name(labels, position)) for position in range(keys)]
    values = [
        [round(value, 4) if key <= position else None for key, value in enumerate(row)]
        for position, row in zip(look.positions, look.rows.tolist(), strict=True)
    ]
    figure = go.Figure(
        go.Heatmap(
            z=values,
            x=list(range(keys)),
            y=heights,
            text=[[f"{names[key]} ({key})" for key in range(keys)]] * len(heights),
            zmin=0,
            zmax=max(0.05, float(look.rows.max())),
            colorscale=colours.scale,
            hoverongaps=False,
            hovertemplate="from %{y}<br>to %{text}<br>%{z:.1%}<extra></extra>",
            colorbar={"title": {"text": "attention"}, "thickness": 10, "tickformat": ".0%"},
        )
    )
    if needle is not None:
        figure.add_shape(
            type="rect",
            x0=needle[0] - 0.5,
            x1=needle[1] - 0.5,
            y0=-0.5,
            y1=len(heights) - 0.5,
            line={"color": colours.mark, "width": 2},
        )
        figure.add_annotation(
            x=(needle[0] + needle[1] - 1) / 2,
            y=-0.5,
            yanchor="bottom",
            text="needle",
            showarrow=False,
            font={"color": colours.mark, "size": 12},
        )
    step = -(-keys // MAX_NAMES)
    ticks = list(range(0, keys, step))
    figure.update_layout(**base_layout(theme))
    figure.update_layout(
        font_size=11,
        margin_t=24,
        xaxis={
            "title": {"text": "key token (looked at)"},
            "tickvals": ticks,
            "ticktext": [names[key] for key in ticks],
            "tickangle": -60,
            "showgrid": False,
            "zeroline": False,
        },
        yaxis={
            "title": {"text": "query token (looks from)"},
            "tickvals": heights,
            "ticktext": _row_names(look, labels),
            "range": [len(heights) - 0.5, -0.5],
            "showgrid": False,
            "zeroline": False,
        },
    )
    return figure


def _row_names(look: HeadLook, labels: Sequence[str]) -> list[str]:
    names = [plain(_name(labels, position)) for position in look.positions]
    names[-1] += " (last)"
    return names


def rows_height(look: HeadLook) -> str:
    """CSS height of the figure."""
    return f"{140 + 20 * len(look.positions)}px"


def head_message(look: HeadLook) -> html.P:
    """How much of the head's attention lies on the needle, beside what even attention would put there."""
    if look.question_share is None or look.even_share is None or look.last_share is None:
        return html.P("There is no needle, so only the places can be shown.", className="hs-hint")
    times = look.question_share / look.even_share
    if 0.8 <= times <= 1.25:
        message = "about what even attention would put there"
    elif times >= 0.1:
        message = f"{times:.1f} times what even attention would put there"
    else:
        message = "far less than even attention would put there"
    return html.P(
        f"From the question {look.head} puts {look.question_share:.1%} of its attention on the needle, "
        f"{message} ({look.even_share:.1%}: the needle's share of what it can see). From the last token of "
        f"the prompt it is {look.last_share:.1%}.",
        className="hs-lab-status",
    )


def rows_table(look: HeadLook, labels: Sequence[str]) -> html.Div:
    """Where each token of the question looks most, for those who cannot or would not read a heatmap."""
    names = _row_names(look, labels)
    rows: list[Any] = []
    for index, (row, name) in enumerate(zip(look.rows, names, strict=True)):
        best = row[: look.positions[index] + 1].topk(min(TABLE_KEYS, look.positions[index] + 1))
        positions = ", ".join(
            f"{labels[key]} ({key}) {value:.0%}"
            for value, key in zip(best.values.tolist(), best.indices.tolist(), strict=True)
        )
        share = "–" if look.on_needle is None else f"{look.on_needle[index]:.1%}"
        rows.append(html.Tr([html.Th(html.Bdi(name), scope="row"), number(share), html.Td(positions)]))
    return scrolled_table(
        f"Where {look.head} looks most", ["looks from", "on the needle", "looks at"], rows, numbers=(1,)
    )
