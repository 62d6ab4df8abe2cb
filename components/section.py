"""A card with a heading, as every page is made of."""

from typing import Any

from dash import html

from components.attributes import aria
from components.help_mark import help_mark


def section(
    title: str,
    hint: str,
    *children: Any,
    name: str,
    term: str | tuple[str, ...] = (),
    look: str = "hs-card",
) -> html.Section:
    """One card.

    Args:
        title: its heading.
        hint: a sentence below it, on how to read it.
        children: what stands in it.
        name: makes the heading's id, by which screen readers name the card.
        term: key of the glossary's word, or words, that a mark beside the heading explains.
        look: its class; "hs-pane" for one that scrolls inside itself.
    """
    heading = f"{name}-heading"
    message = html.H2(title, id=heading, className="hs-title")
    terms = (term,) if isinstance(term, str) else term
    return html.Section(
        [
            html.Div(
                [
                    html.Div([message, help_mark(*terms)], className="hs-title-row") if terms else message,
                    html.P(hint, className="hs-hint"),
                ],
                className="hs-section-head",
            ),
            *children,
        ],
        className=look,
        **aria(labelledby=heading),
    )
