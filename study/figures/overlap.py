"""Which heads the rankings have in common, and in which layers they lie."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from statistics import fmean
from typing import Any

import plotly.graph_objects as go

from retrieval.rankings.methods import short_method_name
from retrieval.rankings.overlap import chance_jaccard, jaccard, layer_counts, relative_depths
from study.figures.style import (
    MARKERS,
    Tables,
    colours_of,
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
from study.tables.columns import Row
from utils.heads import Head, parse_head
from utils.plot_style import series_colour

Choice = Mapping[str, Any]

# What rankings of the same prompts have in common.
_SAME_PROMPTS = ("task", "length", "data")
# All that Plotly has: bars are never told apart by colour alone.
_PATTERNS = ("", "/", ".", "x", "\\", "-", "|", "+")


def heads_of(row: Row) -> list[Head]:
    """The heads of a row of the table `tops`."""
    return [parse_head(name) for name in row["heads"]]


def scored_heads(row: Row) -> list[Head]:
    """The heads of a row of `tops` whose score is above 0.

    The others stand there for the top's size alone, in the order of layers: they say nothing of where heads
    lie.
    """
    return heads_of(row)[: row["k"] - row["unscored"]]


def mean_overlap(pairs: Sequence[tuple[Row, Row]]) -> float | None:
    """Mean Jaccard overlap of pairs of rows of `tops`; None without pairs."""
    return fmean(jaccard(one["heads"], other["heads"]) for one, other in pairs) if pairs else None


def chance_of(row: Row) -> float:
    """The overlap of two random sets as large as this row of `tops`."""
    return chance_jaccard(row["n_layers"] * row["n_heads"], row["k"])


def method_pairs(rows: Sequence[Row], one: str, other: str) -> list[tuple[Row, Row]]:
    """Rows of `tops` of two methods on the same task, model and length."""
    return [
        (row, match)
        for row in picked(rows, method=one)
        for match in picked(
            rows, method=other, **{name: row[name] for name in _SAME_PROMPTS}, model=row["model"]
        )
    ]


def _overlap_heatmap(
    figure: go.Figure,
    position: tuple[int, int],
    names: Sequence[str],
    values: Sequence[Sequence[float | None]],
    theme: str,
    bar: str = "overlap",
) -> None:
    """A square of overlaps, each written into its cell."""
    figure.add_trace(
        go.Heatmap(
            z=values,
            x=list(names),
            y=list(names),
            coloraxis="coloraxis",
            xgap=1,
            ygap=1,
            hovertemplate="%{y} and %{x}: %{z:.2f}<extra></extra>",
        ),
        row=position[0],
        col=position[1],
    )
    for i, line in enumerate(values):
        for j, value in enumerate(line):
            figure.add_annotation(
                x=j,
                y=i,
                text="–" if value is None else f"{value:.2f}",
                showarrow=False,
                font={"size": 10, "color": ink_on(value, 0, 1, theme)},
                row=position[0],
                col=position[1],
            )
    figure.update_layout(
        coloraxis={
            "colorscale": colours_of(theme).scale,
            "cmin": 0,
            "cmax": 1,
            "colorbar": {"title": {"text": bar}, "thickness": 12},
        }
    )


def question_overlap(tables: Tables, choice: Choice, theme: str) -> go.Figure:
    """How many top heads two questions share; a panel a method."""
    rows = picked(tables["tops"], model=choice["model"], length=choice["length"], data=choice["data"])
    methods = methods_in(rows)
    figure, positions = panels(
        [short_method_name(method) for method in methods],
        theme,
        f"Heads that questions share: top {rows[0]['k']} of {choice['model']}, {prompts_of(choice)}; "
        f"random heads would share {chance_of(rows[0]):.2f}",
        columns=2,
        horizontal_spacing=0.22,
        vertical_spacing=0.2,
    )
    for method, position in zip(methods, positions, strict=True):
        here = picked(rows, method=method)
        tasks = tasks_in(here, "task")
        by_task = {row["task"]: row["heads"] for row in here}
        values = [[jaccard(by_task[one], by_task[other]) for other in tasks] for one in tasks]
        _overlap_heatmap(figure, position, [task_name(task) for task in tasks], values, theme)
    heatmap_axes(figure, x={"tickangle": -40})
    down = max(row for row, _ in positions)
    figure.update_layout(height=140 + 420 * down, margin={"l": 140, "b": 110})
    return figure


def method_overlap(tables: Tables, choice: Choice, theme: str) -> go.Figure:
    """How many top heads two methods share, mean over the questions."""
    rows = picked(tables["tops"], model=choice["model"], length=choice["length"], data=choice["data"])
    methods = methods_in(rows)
    figure, positions = panels(
        [""],
        theme,
        f"Heads that methods share, mean over questions: top {rows[0]['k']} of {choice['model']}, "
        f"{prompts_of(choice)}; random heads would share {chance_of(rows[0]):.2f}",
    )
    values = [[mean_overlap(method_pairs(rows, one, other)) for other in methods] for one in methods]
    _overlap_heatmap(figure, positions[0], [short_method_name(method) for method in methods], values, theme)
    heatmap_axes(figure)
    figure.update_layout(height=440, margin_l=150)
    return figure


def layer_distribution(tables: Tables, choice: Choice, theme: str) -> go.Figure:
    """How scored top heads spread over layers, mean over the questions; dashed where they would be even."""
    rows = picked(tables["tops"], model=choice["model"], length=choice["length"], data=choice["data"])
    layers = rows[0]["n_layers"]
    figure, _ = panels(
        [""],
        theme,
        f"Layers of the scored heads in the top {rows[0]['k']}, mean over questions: {choice['model']}, "
        f"{prompts_of(choice)}",
    )
    for number, method in enumerate(methods_in(rows)):
        tops = [heads for row in picked(rows, method=method) if (heads := scored_heads(row))]
        if not tops:
            continue
        shares = [
            fmean(layer_counts(heads).get(layer, 0) / len(heads) for heads in tops) for layer in range(layers)
        ]
        look = method_look(method, theme)
        figure.add_trace(
            go.Bar(
                x=list(range(layers)),
                y=shares,
                name=short_method_name(method),
                marker={
                    "color": look.colour,
                    "pattern": {"shape": _PATTERNS[number % len(_PATTERNS)], "solidity": 0.35},
                },
                hovertemplate="layer %{x}: %{y:.0%} of these heads<extra></extra>",
            )
        )
    figure.add_trace(
        go.Scatter(
            x=[-0.5, layers - 0.5],
            y=[1 / layers] * 2,
            mode="lines",
            line={"dash": "dash", "color": colours_of(theme).ink, "width": 1},
            name="evenly spread",
            hovertemplate="evenly spread: %{y:.0%}<extra></extra>",
        )
    )
    line_axes(
        figure,
        theme,
        x={"title": {"text": "layer"}, "showgrid": False, "dtick": 1 if layers <= 16 else 4},
        y={"title": {"text": "share of these heads"}, "tickformat": ".0%", "rangemode": "tozero"},
    )
    figure.update_layout(barmode="group")
    legend_below(figure)
    return figure


def model_pairs(rows: Sequence[Row], one: str, other: str) -> list[tuple[Row, Row]]:
    """Rows of `tops` of two models of one shape, on the same task and method, at the lengths both have."""
    return [
        (row, match)
        for row in picked(rows, model=one)
        for match in picked(
            rows, model=other, **{name: row[name] for name in _SAME_PROMPTS}, method=row["method"]
        )
        if (row["n_layers"], row["n_heads"]) == (match["n_layers"], match["n_heads"])
    ]


def model_comparison(tables: Tables, choice: Choice, theme: str) -> go.Figure:
    """Models of one shape by the heads they share, all of them by depth; one method."""
    rows = picked(tables["tops"], method=choice["method"])
    models = list(dict.fromkeys(row["model"] for row in rows))
    chances = {
        round(chance_of(row), 2)
        for one, other in combinations(models, 2)
        for row, _ in model_pairs(rows, one, other)
    }
    message = (
        f"; random heads would share {' or '.join(f'{c:.2f}' for c in sorted(chances))}" if chances else ""
    )
    figure, positions = panels(
        ["heads in common, mean over questions", "depth of the scored top heads"],
        theme,
        f"Models compared: {short_method_name(choice['method'])}{message}",
        horizontal_spacing=0.26,
    )
    values = [[mean_overlap(model_pairs(rows, one, other)) for other in models] for one in models]
    _overlap_heatmap(figure, positions[0], models, values, theme)
    figure.update_layout(coloraxis_colorbar={"x": 0.385, "title": {"text": ""}})
    for number, model in enumerate(models):
        here = picked(rows, model=model)
        depths = [depth for row in here for depth in relative_depths(scored_heads(row), row["n_layers"])]
        if not depths:
            continue
        layers = here[0]["n_layers"]
        steps = [layer / max(1, layers - 1) for layer in range(layers)]
        figure.add_trace(
            go.Scatter(
                x=steps,
                y=[sum(depth <= step + 1e-9 for depth in depths) / len(depths) for step in steps],
                mode="lines+markers",
                line={
                    "color": series_colour(theme, number),
                    "dash": ("solid", "dash", "dot", "dashdot")[number % 4],
                    "shape": "hv",
                },
                marker={"symbol": MARKERS[number % 4], "size": 9},
                name=model,
                hovertemplate="%{y:.0%} of the scored top heads at depth %{x:.2f} or less<extra></extra>",
            ),
            row=1,
            col=2,
        )
    figure.update_xaxes(showgrid=False, tickangle=-30, row=1, col=1)
    figure.update_yaxes(showgrid=False, autorange="reversed", row=1, col=1)
    grid = colours_of(theme).grid
    figure.update_xaxes(title="relative depth (0 first layer, 1 last)", gridcolor=grid, row=1, col=2)
    figure.update_yaxes(
        title="share of scored top heads so far",
        tickformat=".0%",
        range=[0, 1.03],
        gridcolor=grid,
        row=1,
        col=2,
    )
    legend_below(figure)
    # Room for the models' names, which stand aslant under the heatmap.
    height = int(figure.to_dict()["layout"]["height"]) + 40
    figure.update_layout(margin={"l": 150, "b": 172}, height=height, legend_y=-0.38)
    return figure
