"""What ablating heads does: against controls, across questions, and each head by itself."""

from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go

from retrieval.rankings.methods import short_method_name
from study.figures.style import (
    Tables,
    colours_of,
    compared_k,
    heatmap_axes,
    ink_on,
    legend_below,
    line_axes,
    method_look,
    methods_in,
    panels,
    picked,
    prompts_of,
    task_name,
    tasks_in,
)
from utils.heads import parse_head

Choice = Mapping[str, Any]

_CONTROLS = {
    "random_layer_matched": "random heads of the same layers",
    "random_uniform": "random heads of any layers",
}


def _where(choice: Choice) -> dict[str, Any]:
    """The setting that is chosen, as columns."""
    return {name: choice[name] for name in ("model", "length", "data")}


def differences(tables: Tables, choice: Choice, theme: str) -> go.Figure:
    """Accuracy with top heads ablated minus random ones: a row per question, a panel per control."""
    rows = [row for row in picked(tables["differences"], **_where(choice), of="within") if row["k"]]
    k = compared_k(rows, tables)
    rows = picked(rows, k=k)
    questions, methods = tasks_in(rows), methods_in(rows)
    figure, positions = panels(
        [f"minus {name}" for name in _CONTROLS.values()],
        theme,
        f"Top {k} heads ablated, compared with {k} random heads: {choice['model']}, {prompts_of(choice)}",
        shared_yaxes=True,
    )
    spread = 0.5 / max(1, len(methods))
    for control, position in zip(_CONTROLS, positions, strict=True):
        for number, method in enumerate(methods):
            here = picked(rows, control=control, method=method)
            look = method_look(method, theme)
            figure.add_trace(
                go.Scatter(
                    x=[row["difference"] for row in here],
                    # Side by side: methods of one question do not cover each other.
                    y=[
                        questions.index(row["question"]) + (number - (len(methods) - 1) / 2) * spread
                        for row in here
                    ],
                    error_x={
                        "type": "data",
                        "symmetric": False,
                        "array": [row["high"] - row["difference"] for row in here],
                        "arrayminus": [row["difference"] - row["low"] for row in here],
                        "thickness": 2,
                        "width": 4,
                    },
                    customdata=[
                        [row["low"], row["high"], row["tested"], row["random"], task_name(row["question"])]
                        for row in here
                    ],
                    mode="markers",
                    marker={"symbol": look.marker, "color": look.colour, "size": 9},
                    name=short_method_name(method),
                    legendgroup=method,
                    showlegend=position == (1, 1),
                    hovertemplate="%{customdata[4]}: %{x:+.0%} (95% interval %{customdata[0]:+.0%} to "
                    "%{customdata[1]:+.0%}); top heads ablated %{customdata[2]:.0%}, random heads ablated "
                    "%{customdata[3]:.0%}<extra></extra>",
                ),
                row=position[0],
                col=position[1],
            )
    line_axes(
        figure,
        theme,
        x={
            "title": {"text": "difference in right answers"},
            "tickformat": "+.0%",
            "rangemode": "tozero",
            "zeroline": True,
            "zerolinecolor": colours_of(theme).ink,
            "zerolinewidth": 1,
        },
        y={
            "tickvals": list(range(len(questions))),
            "ticktext": [task_name(question) for question in questions],
            "range": [len(questions) - 0.5, -0.5],
            "showgrid": False,
        },
    )
    figure.update_layout(margin_l=140)
    legend_below(figure)
    return figure


def transfer(tables: Tables, choice: Choice, theme: str) -> go.Figure:
    """The heads of one question (down) off while another is asked (across): the change in right answers."""
    rows = picked(tables["transfer"], **_where(choice), method=choice["method"], ranked_on=choice["data"])
    k = compared_k(rows, tables)
    rows = picked(rows, k=k)
    sources, questions = tasks_in(rows, "source"), tasks_in(rows)
    figure, _ = panels(
        [""],
        theme,
        f"Heads of one question, asked another: top {k} of {choice['model']}, "
        f"{short_method_name(choice['method'])}, {prompts_of(choice)}",
    )
    cells = {(row["source"], row["question"]): row for row in rows}
    table = [[cells.get((source, question)) for question in questions] for source in sources]
    figure.add_trace(
        go.Heatmap(
            z=[[row["change"] if row else None for row in line] for line in table],
            x=[task_name(task) for task in questions],
            y=[task_name(task) for task in sources],
            customdata=[
                [[row["low"], row["high"]] if row else [None, None] for row in line] for line in table
            ],
            zmin=-1,
            zmax=1,
            colorscale=colours_of(theme).diverging,
            xgap=2,
            ygap=2,
            colorbar={"title": {"text": "change"}, "tickformat": "+.0%", "thickness": 12},
            hovertemplate="heads of %{y}, asked %{x}: %{z:+.0%} (95% interval %{customdata[0]:+.0%} to "
            "%{customdata[1]:+.0%})<extra></extra>",
        )
    )
    for line, source in zip(table, sources, strict=True):
        for row, task in zip(line, questions, strict=True):
            if row:
                figure.add_annotation(
                    x=task_name(task),
                    y=task_name(source),
                    text=f"{row['change']:+.0%}",
                    showarrow=False,
                    font={"color": ink_on(row["change"], -1, 1, theme, diverging=True)},
                )
    heatmap_axes(figure, x={"title": {"text": "question asked"}}, y={"title": {"text": "heads of"}})
    figure.update_layout(margin_l=160, height=440)
    return figure


def single_heads(tables: Tables, choice: Choice, theme: str) -> go.Figure:
    """Each head ablated by itself; a panel a question, layers down and heads across."""
    rows = picked(tables["single_heads"], **_where(choice))
    questions = tasks_in(rows)
    figure, positions = panels(
        [task_name(question) for question in questions],
        theme,
        f"Each head ablated by itself: {choice['model']}, {prompts_of(choice)}",
        columns=2,
    )
    for question, position in zip(questions, positions, strict=True):
        here = picked(rows, question=question)
        heads = [parse_head(row["head"]) for row in here]
        layers, width = max(h.layer for h in heads) + 1, max(h.head for h in heads) + 1
        found = dict(zip(heads, here, strict=True))
        table = [[found.get((layer, head)) for head in range(width)] for layer in range(layers)]  # pyright: ignore
        figure.add_trace(
            go.Heatmap(
                z=[[row["change"] if row else None for row in line] for line in table],
                customdata=[
                    [[row["head"], row["low"], row["high"]] if row else ["", None, None] for row in line]
                    for line in table
                ],
                coloraxis="coloraxis",
                xgap=1,
                ygap=1,
                name=task_name(question),
                hovertemplate="without %{customdata[0]}: %{z:+.0%} (95% interval %{customdata[1]:+.0%} to "
                "%{customdata[2]:+.0%})<extra></extra>",
            ),
            row=position[0],
            col=position[1],
        )
        sure = [head for head, row in found.items() if row["low"] > 0 or row["high"] < 0]
        figure.add_trace(
            go.Scatter(
                x=[head.head for head in sure],
                y=[head.layer for head in sure],
                mode="markers",
                marker={
                    "symbol": "circle-open",
                    "size": 9,
                    "color": [ink_on(found[head]["change"], -1, 1, theme, diverging=True) for head in sure],
                    "line": {"width": 2},
                },
                hoverinfo="skip",
                name=f"interval without 0: {task_name(question)}",
            ),
            row=position[0],
            col=position[1],
        )
    heatmap_axes(figure, x={"title": {"text": "head"}}, y={"title": {"text": "layer"}, "dtick": 1})
    figure.update_layout(
        coloraxis={
            "colorscale": colours_of(theme).diverging,
            "cmin": -1,
            "cmax": 1,
            "colorbar": {"title": {"text": "change"}, "tickformat": "+.0%", "thickness": 12},
        }
    )
    return figure
