"""What the pages' Plotly figures share: the look (`utils.plot_style`), their toolbar, plain labels."""

from typing import Any

from utils.plot_style import COLOURS, Colours, base_layout

__all__ = ["COLOURS", "Colours", "base_layout", "graph_config", "plain", "theme_name"]


def theme_name(theme: str | None) -> str:
    """The theme that is meant: "dark", or "light" for anything else."""
    return "dark" if theme == "dark" else "light"


def graph_config(name: str) -> Any:
    """What a figure's own toolbar offers: download as SVG under this file name; PNG is on the page."""
    return {"displaylogo": False, "toImageButtonOptions": {"format": "svg", "filename": name}}


def plain(text: str) -> str:
    """Text for Plotly, which reads a few HTML tags in labels: they are shown as they were typed."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
