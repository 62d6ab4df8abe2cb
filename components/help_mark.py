"""A small "?" beside a heading or a label, which tells a word of the glossary in place.

It is an HTML disclosure (details and summary), so keyboards and screen readers know it, and it works without
a script; `assets/glossary.js` only keeps it in sight and closes it by Escape.
"""

from typing import Any

from dash import html

from components.addresses import address
from components.attributes import aria, data
from components.plain_html import static
from components.terms import GLOSSARY
from utils.roles.registry import ROLES

GLOSSARY_PATH = "/glossary"


def term_link(key: str) -> str:
    """The address of a term in the glossary.

    Raises:
        KeyError: the glossary has no such term.
    """
    return address(f"{GLOSSARY_PATH}#{GLOSSARY[key].key}")


def help_mark(*keys: str) -> html.Div:
    """The mark, to stand beside the words that it explains (not inside a heading, a label or a button).

    Args:
        keys: of the glossary, at least one.

    Raises:
        KeyError: the glossary has no such term.
    """
    terms = [GLOSSARY[key] for key in keys]
    names = " and ".join(term.term for term in terms)
    mark = html.Details(
        [
            html.Summary("?", **aria(label=f"What does this mean: {names}?")),
            html.Div(
                [
                    html.Div(
                        [
                            html.Strong(term.term),
                            html.P(ROLES[term.key].explanation if term.key in ROLES else term.plain),
                            html.A(
                                "More in the glossary",
                                href=term_link(term.key),
                                title=term.term,
                                **data(page="glossary"),
                            ),
                        ],
                        className="hs-help-term",
                    )
                    for term in terms
                ],
                className="hs-help-box",
            ),
        ],
        className="hs-help",
    )
    return static(mark)


def marked(element: Any, *keys: str) -> html.Div:
    """A heading or a label with its mark beside it.

    Raises:
        KeyError: the glossary has no such term.
    """
    return html.Div([element, help_mark(*keys)], className="hs-title-row")
