"""The lab's chosen head: where it looks from each token of the question, as heatmap, words and table."""

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
from dash import html

from components.plots import COLOURS, base_layout, plain
from components.tables import number, scrolled_table
from retrieval.lab.rows import HeadLook

# Keys that are shown of a longer prompt, around the needle: of a thousand columns nobody could read one.
WINDOW = 32
# More names on the lower axis than this would lie on top of each other, on a phone too.
MAX_NAMES = 16
LONGEST_NAME = 14
TABLE_KEYS = 3
LAST = "the last token"


def _name(labels: Sequence[str], position: int) -> str:
    label = labels[position]
    return label if len(label) <= LONGEST_NAME else label[: LONGEST_NAME - 1] + "…"


def key_window(look: HeadLook, needle: tuple[int, int] | None) -> tuple[int, int]:
    """The keys [start, end) that the figure shows: all, or `WINDOW` of them around the needle.

    Without a needle they lie around the key that the head looks at most; a long needle is shown whole.
    """
    keys = look.rows.shape[1]
    if needle is None:
        best = int(look.looks.argmax())
        needle = (best, best + 1)
    width = min(keys, max(WINDOW, needle[1] - needle[0] + 8))
    start = min(max(0, (needle[0] + needle[1] - width) // 2), keys - width)
    return start, start + width


def rows_figure(
    look: HeadLook, labels: Sequence[str], needle: tuple[int, int] | None, theme: str
) -> go.Figure:
    """The head's attention: a row a token of the question, a column a token of the prompt; the needle framed.

    Of a long prompt the keys of `key_window` are shown.

    Args:
        look: of the head.
        labels: what each token of the prompt is shown as.
        needle: its token span, None where it is not known.
        theme: "light" or "dark".
    """
    colours = COLOURS[theme]
    start, end = key_window(look, needle)
    keys = range(start, end)
    heights = list(range(len(look.positions)))
    shown = look.rows[:, start:end]
    values = [
        [round(value, 4) if key <= position else None for key, value in zip(keys, row, strict=True)]
        for position, row in zip(look.positions, shown.tolist(), strict=True)
    ]
    figure = go.Figure(
        go.Heatmap(
            z=values,
            x=list(keys),
            y=heights,
            text=[[f"{plain(labels[key])} ({key})" for key in keys]] * len(heights),
            zmin=0,
            zmax=max(0.05, float(shown.max())),
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
    ticks = list(keys)[:: -(-len(keys) // MAX_NAMES)]
    figure.update_layout(**base_layout(theme))
    figure.update_layout(
        font_size=11,
        margin_t=24,
        dragmode=False,
        xaxis={
            "title": {"text": "key token (looked at)"},
            "tickvals": ticks,
            "ticktext": [plain(_name(labels, key)) for key in ticks],
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
    return f"{120 + 16 * len(look.positions)}px"


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


def window_message(look: HeadLook, labels: Sequence[str], needle: tuple[int, int] | None) -> html.P | None:
    """Which part of a long prompt the figure shows, and where the rest of the attention is; else None."""
    start, end = key_window(look, needle)
    keys = look.rows.shape[1]
    if end - start == keys:
        return None
    elsewhere = look.looks.clone()
    elsewhere[start:end] = 0
    most = int(elsewhere.argmax())
    return html.P(
        [
            f"Shown: tokens {start} to {end - 1} of {keys:,}. {float(elsewhere.sum()):.0%} of the question's "
            "attention is on others, most of it on “",
            html.Bdi(labels[most]),
            f"” ({most}): {float(elsewhere[most]):.0%}.",
        ],
        className="hs-hint",
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
