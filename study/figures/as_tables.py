"""A figure's numbers as tables, for who cannot see it: read from the figure itself, so that the two agree."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go


@dataclass(frozen=True)
class FigureTable:
    """One panel's or one line's numbers.

    Attributes:
        caption: what it shows.
        titles: of the columns.
        rows: cells as they are written, the first of each naming its row.
    """

    caption: str
    titles: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def figure_tables(figure: go.Figure) -> list[FigureTable]:
    """The numbers of a figure: a table a heatmap, one for all lines of a panel; bands and marks left out."""
    data = figure.to_dict()
    titles = _panel_titles(data["layout"])
    tables: list[FigureTable] = []
    lines: dict[str, list[dict[str, Any]]] = {}
    for trace in data["data"]:
        panel = trace.get("xaxis", "x")
        if trace["type"] == "heatmap":
            tables.append(_heatmap(trace, titles.get(panel, "")))
        elif trace.get("hoverinfo") != "skip":
            lines.setdefault(panel, []).append(trace)
    return tables + [_lines(traces, titles.get(panel, ""), data["layout"]) for panel, traces in lines.items()]


def _panel_titles(layout: dict[str, Any]) -> dict[str, str]:
    """The title over each panel, by its x axis: the titles stand in the order of the axes."""
    axes = sorted((key for key in layout if key.startswith("xaxis")), key=lambda key: int(key[5:] or 1))
    titles = [note["text"] for note in layout.get("annotations", ()) if note.get("xref") == "paper"]
    return {"x" + axis[5:]: title for axis, title in zip(axes, titles, strict=False)}


def _heatmap(trace: dict[str, Any], title: str) -> FigureTable:
    values = trace["z"]
    across = trace.get("x") or [str(position) for position in range(len(values[0]))]
    down = trace.get("y") or [str(position) for position in range(len(values))]
    rows = tuple(
        (str(name), *(_written(value) for value in line)) for name, line in zip(down, values, strict=True)
    )
    return FigureTable(title, ("", *(str(name) for name in across)), rows)


def _lines(traces: Sequence[dict[str, Any]], title: str, layout: dict[str, Any]) -> FigureTable:
    """Points of all lines, one below the other, with the ends of their intervals where they have some."""
    axis = layout.get("xaxis", {}).get("title", {}).get("text", "x")
    rows = []
    for trace in traces:
        name = trace.get("name", "")
        sideways = trace.get("error_x") is not None
        extra: Sequence[Sequence[Any]] = trace.get("customdata") or [()] * len(trace["x"])
        for x, y, more in zip(trace["x"], trace["y"], extra, strict=True):
            interval = f"{_written(more[0])} to {_written(more[1])}" if len(more) > 1 else ""
            if sideways:
                rows.append((f"{name}, {more[4]}", "", _written(x), interval))
            else:
                rows.append((name, _written(x), _written(y), interval))
    return FigureTable(
        title, ("", axis if not rows or rows[0][1] else "", "value", "95% interval"), tuple(rows)
    )


def _written(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
