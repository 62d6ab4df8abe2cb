"""Accuracy against how many heads are off: the tested heads solid, random heads dashed."""

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from retrieval.rankings.methods import short_method_name
from study.figures.style import (
    Look,
    Tables,
    colours_of,
    condition_name,
    legend_below,
    line_axes,
    methods_in,
    panels,
    picked,
    prompts_of,
    see_through,
    task_name,
    tasks_in,
)
from study.tables.columns import Row

Choice = Mapping[str, Any]

_ACCURACY = "answers that are right"
_HEADS_OFF = "ablated heads (k)"


def _looks(theme: str) -> dict[str, Look]:
    blue, red, green, purple = colours_of(theme).series
    return {
        "within": Look(blue, "circle", "solid"),
        "shared": Look(green, "diamond", "solid"),
        "global": Look(purple, "triangle-up", "solid"),
        "random_layer_matched": Look(red, "square", "dash"),
        "random_uniform": Look(colours_of(theme).ink, "x", "dot"),
    }


def accuracy_curve(tables: Tables, choice: Choice, theme: str) -> go.Figure:
    """One model x method x question; a panel a length and kind of filings."""
    rows = picked(tables["accuracy"], **{name: choice[name] for name in ("model", "method", "question")})
    prompts = {(row["length"], row["data"]): prompts_of(row) for row in rows}
    settings = sorted(prompts, key=lambda setting: (setting[0], str(setting[1])))
    figure, positions = panels(
        [prompts[setting] for setting in settings],
        theme,
        f"{task_name(choice['question']).capitalize()}: {choice['model']}, "
        f"{short_method_name(choice['method'])}",
    )
    for (length, data), position in zip(settings, positions, strict=True):
        here = picked(rows, length=length, data=data)
        _within_and_controls(figure, position, here, theme, first=position == (1, 1))
    _finish(figure, theme)
    return figure


def accuracy_grid(tables: Tables, choice: Choice, theme: str) -> go.Figure:
    """One model at one length: a row a method, a column a question."""
    rows = picked(tables["accuracy"], model=choice["model"], length=choice["length"], data=choice["data"])
    methods, questions = methods_in(rows), tasks_in(rows)
    figure, positions = panels(
        [f"{short_method_name(method)}: {task_name(q)}" for method in methods for q in questions],
        theme,
        f"Answers of {choice['model']} with heads ablated, prompts of {prompts_of(choice)}",
        columns=len(questions),
        horizontal_spacing=0.05,
    )
    pairs = [(method, question) for method in methods for question in questions]
    for (method, question), position in zip(pairs, positions, strict=True):
        here = picked(rows, method=method, question=question)
        _within_and_controls(figure, position, here, theme, first=position == (1, 1))
    _finish(figure, theme)
    figure.update_annotations(font_size=11)
    # Each axis is named at the outer panels alone.
    for row, column in positions:
        if column > 1:
            figure.update_yaxes(title="", row=row, col=column)
        if row < len(methods):
            figure.update_xaxes(title="", row=row, col=column)
    return figure


def general_heads(tables: Tables, choice: Choice, theme: str) -> go.Figure:
    """A question's own heads beside shared and global ones and the controls; a panel a question."""
    rows = picked(
        tables["accuracy"], **{name: choice[name] for name in ("model", "method", "length", "data")}
    )
    questions = tasks_in(rows)
    figure, positions = panels(
        [task_name(question) for question in questions],
        theme,
        f"Own, shared and global heads: {choice['model']}, {short_method_name(choice['method'])}, "
        f"{prompts_of(choice)}",
        columns=2,
    )
    for question, position in zip(questions, positions, strict=True):
        here = picked(rows, question=question)
        for condition in ("within", "shared", "global"):
            _line(figure, position, _tested(here, condition), condition, theme, first=position == (1, 1))
        control = _control(here, "random_layer_matched")
        _line(figure, position, control, "random_layer_matched", theme, first=position == (1, 1))
    _finish(figure, theme)
    return figure


def _tested(rows: Sequence[Row], condition: str) -> list[Row]:
    """A tested condition's rows; curves of shared and global heads begin at the clean accuracy too."""
    found = [row for row in rows if row["condition"] == condition and row["k"]]
    start = [row for row in rows if row["condition"] == "within" and not row["k"]][:1]
    return start + sorted(found, key=lambda row: row["k"]) if found else []


def _control(rows: Sequence[Row], condition: str) -> list[Row]:
    found = [row for row in rows if row["condition"] == condition and row["of"] in ("within", None)]
    return sorted(found, key=lambda row: row["k"])


def _within_and_controls(
    figure: go.Figure, position: tuple[int, int], rows: Sequence[Row], theme: str, first: bool
) -> None:
    for control in ("random_uniform", "random_layer_matched"):
        _line(figure, position, _control(rows, control), control, theme, first)
    _line(figure, position, _tested(rows, "within"), "within", theme, first)


def _line(
    figure: go.Figure, position: tuple[int, int], rows: Sequence[Row], condition: str, theme: str, first: bool
) -> None:
    """One curve with its 95% interval as a band; it stands in the legend once."""
    if not rows:
        return
    look = _looks(theme)[condition]
    ks = [row["k"] for row in rows]
    figure.add_trace(
        go.Scatter(
            x=ks + ks[::-1],
            y=[row["high"] for row in rows] + [row["low"] for row in rows[::-1]],
            fill="toself",
            fillcolor=see_through(look.colour),
            line={"width": 0},
            mode="lines",
            hoverinfo="skip",
            showlegend=False,
            legendgroup=condition,
            name=f"95% interval: {condition_name(condition)}",
        ),
        row=position[0],
        col=position[1],
    )
    figure.add_trace(
        go.Scatter(
            x=ks,
            y=[row["accuracy"] for row in rows],
            customdata=[[row["low"], row["high"], row["n"], _draws(row)] for row in rows],
            mode="lines+markers",
            line={"color": look.colour, "dash": look.dash, "width": 2},
            marker={"symbol": look.marker, "size": 7, "color": look.colour},
            name=condition_name(condition),
            legendgroup=condition,
            showlegend=first,
            hovertemplate="k = %{x}: %{y:.0%} (95% interval %{customdata[0]:.0%} to %{customdata[1]:.0%}, "
            "%{customdata[2]} samples%{customdata[3]})<extra></extra>",
        ),
        row=position[0],
        col=position[1],
    )


def _draws(row: Row) -> str:
    if row["draws"] in (None, 1) or row["draw_low"] is None:
        return ""
    return f", {row['draws']} draws from {row['draw_low']:.0%} to {row['draw_high']:.0%}"


def _finish(figure: go.Figure, theme: str) -> None:
    line_axes(
        figure,
        theme,
        x={"title": {"text": _HEADS_OFF}, "rangemode": "tozero"},
        y={"title": {"text": _ACCURACY}, "range": [-0.03, 1.03], "tickformat": ".0%"},
    )
    legend_below(figure)
    # The tested heads are drawn last, over the others, and named first.
    figure.update_layout(legend_traceorder="reversed")
