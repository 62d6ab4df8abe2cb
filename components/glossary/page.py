"""The glossary: every term of the glossary with an anchor, a box to filter them, and the sources."""

from collections.abc import Sequence
from typing import Any

import dash_bootstrap_components as dbc
from dash import dcc, html

from components import ids
from components.attributes import aria, data
from components.help_mark import term_link
from components.roles import role_style
from components.section import section
from components.terms import GLOSSARY, terms_of
from utils.glossary.term import GROUPS, Term
from utils.roles.registry import ROLES

PAGE = "glossary"


def glossary_layout() -> html.Div:
    """The page; what is typed into the box is followed in the browser (`assets/glossary.js`)."""
    return html.Div(
        [
            section(
                "Glossary",
                "What the field's words mean, in plain ones. The “?” beside headings leads here.",
                html.Div(
                    [
                        html.Div(
                            [
                                dbc.Label("Find a word", html_for=ids.GLOSSARY_FILTER),
                                dbc.Input(
                                    id=ids.GLOSSARY_FILTER,
                                    type="search",
                                    placeholder="induction, chance, KL…",
                                    autocomplete="off",
                                    maxlength=60,
                                ),
                            ],
                            className="hs-glossary-find",
                        ),
                        html.P(
                            f"{len(GLOSSARY)} words",
                            id=ids.GLOSSARY_STATUS,
                            className="hs-hint",
                            role="status",
                        ),
                    ],
                    className="hs-menu-row",
                ),
                html.Nav(
                    [
                        html.A(title, href=f"#{_group_id(key)}", className="hs-go")
                        for key, title in GROUPS.items()
                    ],
                    className="hs-goes",
                    **aria(label="Groups of words"),
                ),
                html.P(
                    "A role is a name for what a head does on test inputs; it is not all that the head does.",
                    className="hs-fact",
                ),
                name="glossary",
            ),
            html.Div([_group(key, title) for key, title in GROUPS.items()], id=ids.GLOSSARY_LIST),
            _sources(),
        ],
        className="hs-page-body hs-glossary",
    )


def word_id(key: str) -> str:
    """The id of a term's element, which `assets/glossary.js` scrolls to for /glossary#key."""
    return f"word-{key}"


def _group_id(key: str) -> str:
    return f"terms-{key}"


def _group(key: str, title: str) -> html.Section:
    return html.Section(
        [
            html.H2(title, id=_group_id(key), className="hs-title", tabIndex=-1),
            html.Dl([_term(term) for term in terms_of(key)], className="hs-word-list"),
        ],
        className="hs-card hs-word-group",
        **aria(labelledby=_group_id(key)),
    )


def _term(term: Term) -> html.Div:
    role = ROLES.get(term.key)
    swatch = (
        [html.Span(role.letter, className="hs-swatch", style=role_style(role), title="letter in the grids")]
        if role
        else []
    )
    more = [text for text in (role.explanation if role else "", term.more) if text]
    return html.Div(
        [
            html.Dt(
                [
                    *swatch,
                    term.term,
                    html.A(
                        "#",
                        href=f"#{term.key}",
                        className="hs-word-anchor",
                        **aria(label=f"Link to {term.term}"),
                    ),
                ]
            ),
            html.Dd(term.plain),
            *(html.Dd(text, className="hs-hint") for text in more),
            *([html.Dd(f"Source: {term.see}.", className="hs-hint hs-word-source")] if term.see else []),
        ],
        # The address has the bare key; ids of other pages must not be met with here.
        id=word_id(term.key),
        className="hs-word",
        tabIndex=-1,
        **data(word=" ".join((term.term, term.plain, *more, term.see)).lower()),
    )


def sources() -> dict[str, list[Term]]:
    """Every paper that the glossary names, with the terms that it is named for, by the alphabet."""
    found: dict[str, list[Term]] = {}
    for term in GLOSSARY.values():
        if term.see:
            found.setdefault(term.see, []).append(term)
    return dict(sorted(found.items()))


def _sources() -> html.Section:
    return section(
        "Sources",
        "The papers that these words, and the facts about them, come from.",
        html.Ul(
            [
                html.Li([paper, ": ", *_links(terms)], className="hs-source")
                for paper, terms in sources().items()
            ],
            className="hs-sources",
        ),
        name="sources",
    )


def _links(terms: Sequence[Term]) -> list[Any]:
    parts: list[Any] = []
    for term in terms:
        parts += [", ", dcc.Link(term.term, href=term_link(term.key))]
    return parts[1:]
