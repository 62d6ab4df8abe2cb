"""How the study's figures look: names, colours with markers, axes and panels."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from retrieval.filings.tasks import TASKS
from retrieval.rankings.methods import METHODS
from study.tables.columns import Row
from utils.plot_style import COLOURS, Colours, base_layout, series_colour

Tables = Mapping[str, Sequence[Row]]

MARKERS = ("circle", "square", "diamond", "triangle-up", "x", "star", "pentagon", "cross", "hexagram")
PANEL_HEIGHT = 300
# docs/METHODS.md looks at a quarter of the heads of a small model first.
COMPARED_SHARE = 0.25
_TOP, _BOTTOM = 78, 62
# The names of the tasks in figures; another task is called by its key.
_TASK_NAMES = {
    "inc_state": "incorporation state",
    "inc_year": "incorporation year",
    "employee_count": "employees",
    "hq_state": "headquarters state",
    "registrant_name": "registrant",
    "hq_city": "headquarters city",
    "ceo_lastname": "chief executive",
    "holders_of_record": "holders of record",
    "full_time_employees": "full-time employees",
}
_CONDITIONS = {
    "within": "top heads of the question",
    "across": "top heads of another question",
    "shared": "shared heads",
    "global": "global heads",
    "random_uniform": "random heads of any layer",
    "random_layer_matched": "random heads of the same layers",
}


@dataclass(frozen=True)
class Look:
    """How one line is distinguished from the others: never by colour alone."""

    colour: str
    marker: str
    dash: str


def colours_of(theme: str) -> Colours:
    """A theme's colours; anything but "dark" is light."""
    return COLOURS.get(theme, COLOURS["light"])


def prompts_of(row: Mapping[str, Any]) -> str:
    """The prompts of a row or a choice, in words: how long they are, and of what."""
    of = "" if row["data"] in (None, "generated") else f" of {row['data']} filings"
    return f"{row['length']} tokens{of}"


def compared_share(tables: Tables) -> float:
    """The share of all heads at which effects are compared: the claim's; a quarter without a claim."""
    return tables["claim"][0]["share"] if tables["claim"] else COMPARED_SHARE


def compared_k(rows: Sequence[Row], tables: Tables) -> int | None:
    """The k whose share of all heads is nearest to the compared one, the lesser of two; None without rows."""
    share, shares = compared_share(tables), {row["k"]: row["share"] for row in rows if row["k"]}
    return min(shares, key=lambda k: (abs(shares[k] - share), k)) if shares else None


def task_name(task: str) -> str:
    """A task's name in a few words."""
    return _TASK_NAMES.get(task, task.replace("_", " "))


def condition_name(condition: str) -> str:
    """What was ablated, in words."""
    return _CONDITIONS[condition]


def in_order(found: Iterable[Any], known: Iterable[Any]) -> list[Any]:
    """What was found, each once, in the order in which it is known; what is not known comes after it."""
    values = list(dict.fromkeys(found))
    first = [value for value in known if value in values]
    return first + [value for value in values if value not in first]


def methods_in(rows: Iterable[Row]) -> list[str]:
    """The methods of some rows, in the order of their registry."""
    return in_order((row["method"] for row in rows if row["method"] is not None), METHODS)


def tasks_in(rows: Iterable[Row], column: str = "question") -> list[str]:
    """The tasks of some rows, in the order of their registry."""
    return in_order((row[column] for row in rows), TASKS)


def method_look(method: str, theme: str) -> Look:
    """A method's colour and marker, the same in every figure."""
    position = list(METHODS).index(method) if method in METHODS else len(METHODS)
    return Look(series_colour(theme, position), MARKERS[position % len(MARKERS)], "solid")


def picked(rows: Iterable[Row], **wanted: Any) -> list[Row]:
    """The rows in which each of the named columns has the wanted value."""
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


def see_through(colour: str, share: float = 0.18) -> str:
    """A colour written "#rrggbb", so that the lines behind it are seen."""
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red},{green},{blue},{share})"


def panels(
    titles: Sequence[str], theme: str, title: str, columns: int | None = None, **options: Any
) -> tuple[go.Figure, list[tuple[int, int]]]:
    """An empty figure of one panel or some, row by row.

    Args:
        titles: of the panels; one panel has no title of its own.
        theme: "light" or "dark".
        title: the figure's own.
        columns: how many panels stand beside each other; all of them where it is not given.
        options: for plotly's `make_subplots`.

    Returns:
        The figure and each panel's row and column, from 1.
    """
    across = max(1, min(columns or len(titles), len(titles)))
    down = -(-len(titles) // across)
    height = _TOP + _BOTTOM + PANEL_HEIGHT * down
    options = {
        "horizontal_spacing": 0.10 if across > 2 else 0.12,
        "vertical_spacing": min(0.5, 110 / height) if down > 1 else 0,
        **options,
    }
    figure = make_subplots(
        rows=down, cols=across, subplot_titles=list(titles) if len(titles) > 1 else None, **options
    )
    ink = colours_of(theme).ink
    figure.update_layout(
        **{
            **base_layout(theme),
            # Plotly's own template is 7 kB in each figure.
            "template": go.layout.Template(),
            "title": {"text": title, "x": 0.01, "xanchor": "left", "font": {"size": 15}},
            "margin": {"l": 70, "r": 20, "t": _TOP, "b": _BOTTOM},
            "height": height,
            "hoverlabel": {"font": {"family": "system-ui, sans-serif"}},
        }
    )
    figure.update_annotations(font={"size": 12, "color": ink})
    return figure, [(position // across + 1, position % across + 1) for position in range(len(titles))]


def line_axes(figure: go.Figure, theme: str, **axes: dict[str, Any]) -> None:
    """Axes with lines behind the data; `x` and `y` are more options for them."""
    colours = colours_of(theme)
    plain = {"gridcolor": colours.grid, "zeroline": False, "linecolor": colours.ink, "ticks": "outside"}
    figure.update_xaxes(**{**plain, **axes.get("x", {})})
    figure.update_yaxes(**{**plain, **axes.get("y", {})})


def legend_below(figure: go.Figure) -> None:
    """The legend in a row below the panels, with room for it."""
    height = int(figure.to_dict()["layout"]["height"]) + 60
    figure.update_layout(
        showlegend=True,
        height=height,
        margin={"b": _BOTTOM + 60},
        legend={
            "orientation": "h",
            "x": 0,
            "y": -(_BOTTOM - 6) / (height - _TOP - _BOTTOM - 60),
            "yanchor": "top",
        },
    )


def heatmap_axes(figure: go.Figure, **axes: dict[str, Any]) -> None:
    """Axes of a heatmap: from the top down, without lines."""
    figure.update_xaxes(**{"showgrid": False, "zeroline": False, **axes.get("x", {})})
    figure.update_yaxes(
        **{"showgrid": False, "zeroline": False, "autorange": "reversed", **axes.get("y", {})}
    )


def ink_on(value: float | None, low: float, high: float, theme: str, diverging: bool = False) -> str:
    """The colour in which a number can be read on its cell of a heatmap from `low` to `high`."""
    colours = colours_of(theme)
    if value is None or high <= low:
        return colours.ink
    position = (value - low) / (high - low)
    strong = abs(position - 0.5) > 0.33 if diverging else position > 0.55
    # The strong end of a scale is dark in light mode and light in dark mode.
    return colours.paper if strong else colours.ink
