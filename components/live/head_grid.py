"""All heads on one grid: layers down, heads across; hue and letter tell the role, strength the activity."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from dash import html

from components.attributes import aria, data
from components.roles import role_style
from retrieval.rankings.methods import short_method_name
from utils.catalog.rankings import RETRIEVAL_METHOD
from utils.heads import Head
from utils.roles.activity import CellRole
from utils.roles.registry import ROLES

FAINTEST = 0.06


# Beside the letters of the roles; it is measured on filings, not on the prompt, so it takes no colour.
RETRIEVAL_LETTER = "R"
_RETRIEVAL = short_method_name(RETRIEVAL_METHOD)


def _cell(head: Head, roles: list[CellRole], chosen: bool, off: bool, retrieval: int | None) -> html.Button:
    name = str(head)
    # The most telling first, whatever the scores: it gives the cell its hue, the others a letter.
    ordered = sorted(roles, key=lambda role: ROLES[role.key].telling_rank)
    message = "; ".join(
        f"{ROLES[role.key].display_name} {role.live:.2f}{' (active)' if role.active else ''}"
        for role in ordered
    )
    message = message or "no catalogued role"
    if retrieval is not None:
        message += f"; retrieval head, number {retrieval} by {_RETRIEVAL} on the catalog's filings"
    main = ordered[0] if ordered else None
    style: dict[str, Any] = {"--strength": f"{FAINTEST if main is None else max(FAINTEST, main.live):.3f}"}
    classes = ["hs-cell"]
    if main is not None:
        style |= role_style(ROLES[main.key])
        if main.active:
            classes.append("hs-cell-active")
    if chosen:
        classes.append("hs-cell-chosen")
    if off:
        classes.append("hs-cell-off")
    letters = "".join(ROLES[role.key].letter for role in ordered)
    letters = letters + (RETRIEVAL_LETTER if retrieval is not None else "") or "·"
    return html.Button(
        letters,
        className=" ".join(classes),
        style=style,
        title=f"{name}: {message}{'; ablated' if off else ''}",
        tabIndex=0 if chosen else -1,
        # The letters come first: a name must hold what is seen. A string costs the browser far less than a
        # hidden part in each of so many cells.
        **aria(
            label=f"{letters} {name}, {message}{', ablated' if off else ''}",
            pressed="true" if chosen else "false",
        ),
        **data(head=name, choose=name),
    )


def head_grid(
    layers: int,
    heads: int,
    roles: Mapping[Head, list[CellRole]],
    chosen: Head | None,
    off: Collection[Head],
    retrieval: Sequence[Head] = (),
) -> html.Div:
    """The grid and its legend.

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
    legend = [
        html.Span(
            [html.Span(role.letter, className="hs-swatch"), role.display_name],
            className="hs-legend-item",
            style=role_style(role),
        )
        for role in ROLES.values()
        if role.measured
    ]
    if retrieval:
        legend.append(
            html.Span(
                [html.Span(RETRIEVAL_LETTER, className="hs-swatch"), "Retrieval (on filings)"],
                className="hs-legend-item",
                title=f"Among the first tenth of the heads by {_RETRIEVAL} on the catalog's filings; not "
                "measured on your text",
            )
        )
    return html.Div(
        [
            html.Div(
                [*header, *rows],
                className="hs-grid",
                style={"gridTemplateColumns": f"2rem repeat({heads}, minmax(0, 1fr))"},
                role="group",
                **aria(label=f"{layers} layers of {heads} heads"),
                **data(columns=str(heads)),
            ),
            html.Div(
                [
                    *legend,
                    html.Span("ring: active here", className="hs-hint"),
                    html.Span("crossed out: ablated", className="hs-hint"),
                ],
                className="hs-legend",
            ),
        ]
    )
