"""The view "Other heads": whose role scores changed most without the ablated heads, beside random sets."""

from collections.abc import Sequence
from typing import Any

from dash import dcc, html

from components import ids
from components.attributes import data
from components.help_mark import marked
from components.tables import number, scrolled_table
from utils.effects.changed_roles import ChangedRole
from utils.roles.registry import ROLES

TICK_MS = 500


def others_places() -> list[Any]:
    """What the view needs before its callbacks have run."""
    return [
        dcc.Interval(ids.OTHERS_TICK, interval=TICK_MS, disabled=True),
        html.Div(id=ids.OTHERS_STATE, role="status"),
        html.Div(id=ids.OTHERS_BODY),
    ]


def others_view(changed: Sequence[ChangedRole], without: str, draws: int) -> list[Any]:
    """The heads that changed most.

    Args:
        changed: the most first.
        without: the ablated heads in words.
        draws: how many random sets they are compared with; 0 while these are being computed.
    """
    if not changed:
        return [
            html.P(
                f"No other head's role changes without {without}: no score that reaches a threshold "
                "moves by 0.05.",
                className="hs-sentence",
            )
        ]
    rows = [
        html.Tr(
            [
                html.Th(
                    html.Button(
                        str(one.head), type="button", className="hs-link-button", **data(choose=str(one.head))
                    ),
                    scope="row",
                ),
                html.Td(ROLES[one.role].display_name.split(" (")[0]),
                number(f"{one.clean:.2f}"),
                number(f"{one.ablated:.2f}"),
                number(f"{min(one.random):.2f} to {max(one.random):.2f}" if one.random else "…"),
                html.Td("" if one.beyond_chance is None else "beyond chance" if one.beyond_chance else ""),
            ]
        )
        for one in changed
    ]
    beyond = sum(bool(one.beyond_chance) for one in changed)
    control = (
        f" {draws} random sets of as many heads of the same layers: {beyond} of these {len(changed)} "
        "changes are "
        "larger than with 95% of them."
        if draws
        else ""
    )
    return [
        html.P(changed[0].sentence(without), className="hs-sentence"),
        marked(
            html.P(f"Later heads read what the ablated ones no longer write.{control}", className="hs-hint"),
            "others_without",
            "random_control",
        ),
        scrolled_table(
            "Other heads' roles, clean and without the ablated heads",
            ("head", "role", "clean", "without", "random sets", ""),
            rows,
            numbers=(2, 3, 4),
        ),
    ]
