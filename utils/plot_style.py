"""Colours and layout of all Plotly figures, on the pages and in the study's files, light and dark."""

from colorsys import hls_to_rgb
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Colours:
    """One theme's colours.

    Attributes:
        ink: text and axes.
        paper: background.
        scale: the scale from little to much, Plotly's name of it or its colours.
        diverging: Plotly's name of the scale from less through none to more.
        mark: outlines that must be seen on the scale.
        clean: whatever is shown with all heads on.
        ablated: whatever is shown with heads ablated.
        series: lines that are told apart by marker and dash as well; blue, vermilion, green and purple after
            Okabe and Ito (https://jfly.uni-koeln.de/color/), which the colour-blind can tell apart,
            darkened or lightened until they stand out from the paper.
        grid: lines behind the data.
    """

    ink: str
    paper: str
    scale: str | list[list[float | str]]
    diverging: str | list[list[float | str]]
    mark: str
    clean: str
    ablated: str
    series: tuple[str, ...]
    grid: str


# Plotly's RdBu is white in the middle, which would glare on dark paper.
_DARK_DIVERGING: list[list[float | str]] = [[0, "#f08a62"], [0.5, "#2b3036"], [1, "#6db3e8"]]
# Plotly's Blues begin, turned round, with a strong blue: where little is, all would be blue.
_DARK_SCALE: list[list[float | str]] = [[0, "#2a2f35"], [0.5, "#3d7ab8"], [1, "#d6e8fb"]]
COLOURS = {
    "light": Colours(
        ink="#212529",
        paper="#ffffff",
        scale="Blues",
        diverging="RdBu",
        mark="#c2410c",
        clean="#2b6cb0",
        ablated="#c2410c",
        series=("#0072b2", "#c2500b", "#007a5a", "#a3457f"),
        grid="#dee2e6",
    ),
    "dark": Colours(
        ink="#dee2e6",
        paper="#212529",
        scale=_DARK_SCALE,
        diverging=_DARK_DIVERGING,
        mark="#f5a268",
        clean="#7db3ee",
        ablated="#f5a268",
        series=("#6db8ec", "#f2945a", "#3fcf9f", "#e6a0cb"),
        grid="#495057",
    ),
}


# Turned by this much of the circle of hues, each next colour is far from the ones before it.
_GOLDEN = 0.618034


def series_colour(theme: str, position: int) -> str:
    """The colour of the line at a place of a series, from 0; there is one for any number of lines."""
    series = COLOURS.get(theme, COLOURS["light"]).series
    if position < len(series):
        return series[position]
    further = position - len(series)
    # Two lightnesses by turns: hues alone soon come near to one of the first colours.
    lightness, saturation = ((0.7, 0.6), 0.95) if theme == "dark" else ((0.2, 0.36), 0.8)
    hue = (further * _GOLDEN + 0.66) % 1
    parts = hls_to_rgb(hue, lightness[further % 2], saturation)
    return "#" + "".join(f"{round(255 * part):02x}" for part in parts)


def base_layout(theme: str) -> dict[str, Any]:
    """Layout options for a figure in a theme ("light" or "dark"; anything else is light)."""
    colours = COLOURS.get(theme, COLOURS["light"])
    return {
        "paper_bgcolor": colours.paper,
        "plot_bgcolor": colours.paper,
        "font": {"color": colours.ink, "family": "system-ui, sans-serif", "size": 12},
        "margin": {"l": 10, "r": 10, "t": 10, "b": 10},
        "showlegend": False,
    }
