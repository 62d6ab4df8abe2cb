"""The curves of a training over its tokens: loss, accuracy on repeated sequences, each role's best score.

The slider's place is not in the figures: the page draws a line over them, which costs no drawing anew.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import plotly.graph_objects as go

from components.plots import COLOURS, base_layout
from utils.formation.history import HALF, History
from utils.roles.registry import ROLES

MILLION = 1e6
# Fixed, so that the three time axes stand below each other and the page can draw the slider over them.
MARGINS = {"l": 58, "r": 10, "t": 18, "b": 38}
# How far the time axis goes on beyond its ends, as a share of it.
EDGE = 0.012
# Lines are told apart by their dashes as well as by their colours.
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")


@dataclass(frozen=True)
class Line:
    """One line of a figure, and of the legend below it.

    Attributes:
        key: what the log calls it.
        label: what the page calls it.
        light: colour in the light theme.
        dark: colour in the dark theme.
        dash: one of `DASHES`.
        letter: written along the line and in its legend; "" for a line that has none.
    """

    key: str
    label: str
    light: str
    dark: str
    dash: str
    letter: str = ""


_LOSSES: Mapping[str, tuple[str, str, str]] = MappingProxyType(
    {
        "prose": ("simple prose", "#1f6fb2", "#6db3f2"),
        "repeated": ("repeated random sequences", "#b3440f", "#f4a261"),
        "word_lists": ("word lists", "#7a3e9d", "#c79bea"),
        "filings": ("questions about filings", "#3d6b1f", "#9bd16f"),
        "chat": ("questions in the chat template", "#9c1f55", "#f29abf"),
    }
)
_OTHER = ("#5c636a", "#adb5bd")
# The figure and the legend name it.
ACCURACY = "repeated"


def loss_lines(history: History) -> list[Line]:
    """A line a kind of text."""
    lines = []
    for number, key in enumerate(history.losses):
        label, light, dark = _LOSSES.get(key, (key.replace("_", " "), *_OTHER))
        lines.append(Line(key, label, light, dark, DASHES[number % len(DASHES)]))
    return lines


def place_of(history: History, index: int) -> float:
    """Where a checkpoint stands on the time axis, as a share of its length."""
    return (history.tokens[index] / max(1, history.tokens[-1]) + EDGE) / (1 + 2 * EDGE)


def role_lines(history: History) -> list[Line]:
    """A line a role, in the registry's order."""
    keys = [key for key in ROLES if key in history.best_scores]
    return [
        Line(
            key,
            ROLES[key].display_name,
            ROLES[key].color,
            ROLES[key].color_dark,
            DASHES[number % len(DASHES)],
            ROLES[key].letter,
        )
        for number, key in enumerate(keys)
    ]


def _figure(history: History, theme: str, title: str) -> go.Figure:
    figure = go.Figure()
    figure.update_layout(**base_layout(theme))
    figure.update_layout(template=None, hovermode="x unified", dragmode=False, margin=MARGINS)
    colours = COLOURS[theme]
    axis = {"gridcolor": "rgba(128, 128, 128, 0.28)", "zeroline": False, "fixedrange": True}
    figure.update_xaxes(
        range=[-EDGE * history.tokens[-1] / MILLION, (1 + EDGE) * history.tokens[-1] / MILLION],
        title={"text": "million tokens", "standoff": 4},
        **axis,
    )
    figure.update_yaxes(title={"text": title, "standoff": 6}, **axis)
    figure.update_layout(
        hoverlabel={"bgcolor": colours.paper, "font": {"color": colours.ink}, "namelength": -1},
        shapes=[
            {
                "type": "rect",
                "xref": "x",
                "yref": "paper",
                "x0": scaffold.start / MILLION,
                "x1": scaffold.end / MILLION,
                "y0": 0,
                "y1": 1,
                "line": {"width": 0},
                "fillcolor": "rgba(128, 128, 128, 0.25)",
                "layer": "below",
            }
            for scaffold in history.scaffolds
        ],
    )
    for scaffold in history.scaffolds:
        figure.add_annotation(
            text="scaffold",
            x=(scaffold.start + scaffold.end) / 2 / MILLION,
            yref="paper",
            y=1,
            yanchor="bottom",
            showarrow=False,
            font={"size": 10},
        )
    return figure


def _add(
    figure: go.Figure, history: History, line: Line, values: Sequence[float], theme: str, form: str
) -> None:
    colour = line.dark if theme == "dark" else line.light
    figure.add_trace(
        go.Scatter(
            x=[tokens / MILLION for tokens in history.tokens],
            y=list(values),
            mode="lines",
            name=line.label,
            line={"color": colour, "width": 2, "dash": line.dash},
            hovertemplate=f"%{{y:{form}}}",
        )
    )


def _add_letters(figure: go.Figure, history: History, lines: Sequence[Line], theme: str) -> None:
    """Write each line's letter along it, each at places of its own."""
    count, apart = len(history.tokens), len(lines) + 1
    for number, line in enumerate(lines):
        positions = [
            round(count * (0.45 + 0.55 * (number + 1) / apart)) - 1,
            round(count * (number + 1) / 16),
        ]
        for position in positions:
            if not 0 <= position < count:
                continue
            figure.add_annotation(
                x=history.tokens[position] / MILLION,
                y=history.best_scores[line.key][position],
                text=f"<b>{line.letter}</b>",
                showarrow=False,
                font={"size": 11, "color": line.dark if theme == "dark" else line.light},
                bgcolor=COLOURS[theme].paper,
                borderpad=1,
            )


def loss_figure(history: History, theme: str) -> go.Figure:
    """Loss in nats a token, a line a kind of text."""
    figure = _figure(history, theme, "loss (nats a token)")
    for line in loss_lines(history):
        _add(figure, history, line, history.losses[line.key], theme, ".2f")
    figure.update_yaxes(rangemode="tozero")
    return figure


def accuracy_line() -> Line:
    """The line of accuracy."""
    label, light, dark = _LOSSES[ACCURACY]
    return Line(ACCURACY, label, light, dark, "solid")


def accuracy_figure(history: History, theme: str) -> go.Figure:
    """Accuracy on repeated random sequences; a thin line at one half."""
    figure = _figure(history, theme, "accuracy")
    _add(figure, history, accuracy_line(), history.repeated_accuracy, theme, ".0%")
    figure.add_hline(y=HALF, line={"width": 1, "dash": "dot", "color": COLOURS[theme].ink})
    figure.update_yaxes(range=[-0.03, 1.03], tickformat=".0%", dtick=0.25)
    return figure


def score_figure(history: History, theme: str) -> go.Figure:
    """Each role's best score; the best head need not be the same one all along."""
    figure = _figure(history, theme, "best score")
    lines = role_lines(history)
    for line in lines:
        _add(figure, history, line, history.best_scores[line.key], theme, ".2f")
    _add_letters(figure, history, lines, theme)
    figure.update_yaxes(range=[-0.03, 1.06], dtick=0.25)
    return figure
