"""Tables as every page shows them: one look, a caption for screen readers, scrolled by keyboard too."""

from collections.abc import Collection, Sequence
from typing import Any

from dash import html

from components.attributes import aria


def number(text: Any) -> html.Td:
    """A cell with a number, as it is written, or a link that reads so."""
    return html.Td(text, className="hs-number")


def table(
    caption: str,
    titles: Sequence[Any],
    rows: Sequence[html.Tr],
    numbers: Collection[int] = (),
    look: str = "",
) -> html.Table:
    """A table with a row of titles.

    Args:
        caption: what it shows; read by screen readers alone, since a heading stands above.
        titles: one a column.
        rows: its body.
        numbers: which columns, from 0, have their title above numbers, to the right.
        look: more CSS classes.
    """
    return html.Table(
        [
            html.Caption(caption, className="visually-hidden"),
            html.Thead(
                html.Tr(
                    [
                        html.Th(title, scope="col", className="hs-number" if column in numbers else "")
                        for column, title in enumerate(titles)
                    ]
                )
            ),
            html.Tbody(list(rows)),
        ],
        className=f"hs-table {look}".strip(),
    )


def grid_table(caption: str, cells: Sequence[Sequence[Any]]) -> html.Table:
    """A number for every head, layers down and heads across.

    Args:
        caption: what the numbers are.
        cells: the numbers as they are written, by layer and head.
    """
    heads = len(cells[0])
    return table(
        caption,
        ["layer", *(f"H{head}" for head in range(heads))],
        [
            html.Tr([html.Th(f"L{layer}", scope="row"), *(number(text) for text in row)])
            for layer, row in enumerate(cells)
        ],
        numbers=range(1, heads + 1),
    )


def scroller(child: Any, label: str = "Table", tall: bool = False) -> html.Div:
    """A place in which something wide can be scrolled sideways, by keyboard too.

    Args:
        child: a wide table, say.
        label: what it is, for screen readers.
        tall: whether it is cut at the bottom as well.
    """
    return html.Div(
        child,
        className="hs-scroll hs-tall" if tall else "hs-scroll",
        tabIndex=0,
        role="group",
        **aria(label=label),
    )


def scrolled_table(
    caption: str,
    titles: Sequence[Any],
    rows: Sequence[html.Tr],
    numbers: Collection[int] = (),
    look: str = "",
    tall: bool = False,
) -> html.Div:
    """`table` in a `scroller` of the same name."""
    return scroller(table(caption, titles, rows, numbers, look), f"Table: {caption}", tall)
