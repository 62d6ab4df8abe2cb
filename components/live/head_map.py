"""All heads on one map: layers down, heads across; hue and letter tell the role, strength the activity.

Other views of the map (`utils.live.map_views`) colour the same cells in the browser (`assets/head_map.js`).
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import dash_bootstrap_components as dbc
from dash import html

from components import ids
from components.attributes import aria, data
from components.help_mark import help_mark
from components.roles import role_style
from components.tables import grid_table, scroller
from retrieval.rankings.methods import short_method_name
from utils.catalog.rankings import RETRIEVAL_METHOD
from utils.heads import Head
from utils.live.map_views import MAP_VIEWS, map_view
from utils.roles.activity import CellRole
from utils.roles.registry import ROLES

FAINTEST = 0.06
# A cell is a square of at most 23 pixels.
MAX_LETTERS = 2
# From so many more layers than heads on, the list of roles has room beside the map.
TALL = 1.6

# Beside the letters of the roles; it is measured on filings, not on the prompt, so it takes no colour.
RETRIEVAL_LETTER = "R"
_RETRIEVAL = short_method_name(RETRIEVAL_METHOD)


def _cell(head: Head, roles: list[CellRole], chosen: bool, off: bool, retrieval: int | None) -> html.Button:
    name = str(head)
    # The most telling first, whatever the scores: it gives the cell its hue, the others a letter.
    ordered = sorted(roles, key=lambda role: ROLES[role.key].telling_rank)
    facts = [
        f"{ROLES[role.key].display_name} {role.live:.2f}{' (active)' if role.active else ''}"
        for role in ordered
    ]
    facts = facts or ["no catalogued role"]
    if retrieval is not None:
        facts.append(f"retrieval head, number {retrieval} by {_RETRIEVAL} on the catalog's filings")
    if off:
        facts.append("ablated")
    main = ordered[0] if ordered else None
    style: dict[str, Any] = {}
    classes = ["hs-cell"]
    if main is not None:
        style = {"--strength": f"{max(FAINTEST, main.live):.2f}"} | role_style(ROLES[main.key])
        if main.active:
            classes.append("hs-cell-active")
    if chosen:
        classes.append("hs-cell-chosen")
    if off:
        classes.append("hs-cell-off")
    letters = "".join(ROLES[role.key].letter for role in ordered)
    if retrieval is not None:
        letters = letters[: MAX_LETTERS - 1] + RETRIEVAL_LETTER
    letters = letters[:MAX_LETTERS] or "·"
    return html.Button(
        letters,
        className=" ".join(classes),
        style=style or None,
        tabIndex=0 if chosen else -1,
        # The letters come first: a name must hold what is seen. The hover card shows the same.
        **aria(label=f"{letters} {name}, {'; '.join(facts)}", pressed="true" if chosen else "false"),
        # What a click chooses (`data-choose`) is the same; head_map.js sets it.
        **data(head=name),
        **(data(roles=" ".join(role.key for role in ordered)) if ordered else {}),
    )


def head_grid(
    layers: int,
    heads: int,
    roles: Mapping[Head, list[CellRole]],
    chosen: Head | None,
    off: Collection[Head],
    retrieval: Sequence[Head] = (),
) -> html.Div:
    """The cells, and what numbers their rows and columns.

    Args:
        layers: number of layers.
        heads: heads a layer.
        roles: the catalogued roles of each head that has any.
        chosen: the head that the detail shows.
        off: the ablated heads.
        retrieval: the retrieval heads, the best first.
    """
    positions = {head: position for position, head in enumerate(retrieval, start=1)}
    header = [html.Span(className="hs-axis")] + [html.Span(str(h), className="hs-axis") for h in range(heads)]
    rows = []
    for layer in range(layers):
        rows.append(html.Span(f"L{layer}", className="hs-axis"))
        for number in range(heads):
            head = Head(layer, number)
            rows.append(_cell(head, roles.get(head, []), head == chosen, head in off, positions.get(head)))
    return html.Div(
        [*header, *rows],
        className="hs-grid hs-map-tall" if layers > TALL * heads else "hs-grid",
        style={"--rows": str(layers), "--columns": str(heads)},
        role="group",
        **aria(label=f"{layers} layers of {heads} heads"),
        **data(columns=str(heads)),
    )


def map_menu(view: str | None) -> html.Div:
    """What the map is coloured by."""
    return html.Div(
        [
            dbc.Label("Colour by", html_for=ids.MAP_VIEW, className="mb-0"),
            dbc.Select(
                id=ids.MAP_VIEW,
                size="sm",
                options=[{"label": row.title, "value": key} for key, row in MAP_VIEWS.items()],
                value=map_view(view).key,
            ),
            help_mark("head_grid", "role", "active"),
        ],
        className="hs-map-menu",
    )


# What is said where the values of a view are not there.
_WAITING = {
    "direct": "It cannot be told apart on this model.",
    "effects": "It is being computed.",
    "interchange": "Choose interchange as ablation method, type a second prompt, and open “Which "
    "heads matter”.",
}


def map_note(key: str | None, drawn: Mapping[str, Any] | None) -> list[Any]:
    """What the colours of a view say: a sentence, and the scale where there is one.

    Args:
        key: the view.
        drawn: its values (`map_views.map_values`), None where there are none.
    """
    view = map_view(key)
    if view.values is None:
        return [
            html.Span(f"{view.description} Ring: active. Cross: ablated.", className="hs-map-says"),
        ]
    if drawn is None:
        return [
            html.Span(view.description, className="hs-map-says"),
            html.Span(
                _WAITING[view.needs]
                if view.needs
                else "This prompt, or this model's catalog, has no such values.",
                className="hs-map-says",
            ),
        ]
    largest, unit = drawn["largest"], drawn["unit"]
    estimates = (
        [html.Span("Striped cells are estimates (attribution patching) so far.", className="hs-map-says")]
        if "estimated" in drawn
        else []
    )
    low = f"-{largest:.2g}" if drawn["scale"] == "signed" else "0"
    return [
        html.Span(view.description, className="hs-map-says"),
        html.Span(
            [
                low,
                html.Span(className="hs-scale", **data(scale=drawn["scale"])),
                f"{largest:.2g} {unit}".strip(),
            ],
            className="hs-map-scale",
        ),
        *estimates,
    ]


def map_table(drawn: Mapping[str, Any] | None) -> Any:
    """The map's values as a table, None for a view that has none."""
    if drawn is None:
        return None
    written = [["–" if value is None else f"{value:.2f}" for value in row] for row in drawn["values"]]
    caption = f"{drawn['title']} of each head"
    return html.Details(
        [
            html.Summary("The map as a table"),
            scroller(grid_table(caption, written), f"Table: {caption}", True),
        ]
    )
