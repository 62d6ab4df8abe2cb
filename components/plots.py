"""What all Plotly figures share: colours for light and dark, fonts, margins."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Colours:
    """One theme's colours.

    Attributes:
        ink: text and axes.
        paper: background.
        scale: Plotly's name of the scale from little to much.
        diverging: Plotly's name of the scale from less through none to more.
        mark: outlines that must be seen on the scale.
        clean: whatever is shown with all heads on.
        ablated: whatever is shown with heads off.
    """

    ink: str
    paper: str
    scale: str
    diverging: str | list[list[float | str]]
    mark: str
    clean: str
    ablated: str


# Plotly's RdBu is white in the middle, which would glare on dark paper.
_DARK_DIVERGING: list[list[float | str]] = [[0, "#f08a62"], [0.5, "#2b3036"], [1, "#6db3e8"]]
COLOURS = {
    "light": Colours("#212529", "#ffffff", "Blues", "RdBu", "#c2410c", "#2b6cb0", "#c2410c"),
    "dark": Colours("#dee2e6", "#212529", "Blues_r", _DARK_DIVERGING, "#f5a268", "#7db3ee", "#f5a268"),
}


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


def theme_name(theme: str | None) -> str:
    """The theme that is meant: "dark", or "light" for anything else."""
    return "dark" if theme == "dark" else "light"


def graph_config(name: str) -> Any:
    """What a figure's own toolbar offers: download as SVG under this file name; PNG is on the page."""
    return {"displaylogo": False, "toImageButtonOptions": {"format": "svg", "filename": name}}


def plain(text: str) -> str:
    """Text for Plotly, which reads a few HTML tags in labels: they are shown as they were typed."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
