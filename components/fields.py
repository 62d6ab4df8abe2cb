"""Fields of forms with their labels."""

from collections.abc import Mapping

import dash_bootstrap_components as dbc
from dash import html


def menu(label: str, name: str, options: Mapping[str, str], value: str | None) -> html.Div:
    """A menu below its label.

    Args:
        label: what is chosen.
        name: the menu's id.
        options: what is shown for each value.
        value: the one that is chosen.
    """
    return html.Div(
        [
            dbc.Label(label, html_for=name),
            dbc.Select(
                id=name,
                options=[{"label": shown, "value": key} for key, shown in options.items()],
                value=value,
            ),
        ]
    )
