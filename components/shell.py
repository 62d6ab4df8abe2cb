"""The frame around every page: header with the menu of pages, the place for the page, footer, help."""

from collections.abc import Mapping, Sequence
from typing import Any

import dash_bootstrap_components as dbc
from dash import dcc, html

from components import ids
from components.attributes import aria, data
from components.help_text import help_dialog
from utils.runtime.serving import MAX_BODY_BYTES


def _header() -> html.Header:
    return html.Header(
        [
            html.H1(
                [html.I(className="bi bi-eye", **aria(hidden="true")), " HeadScope"],
                className="hs-brand",
            ),
            html.Span("what every attention head does on your sentence", className="hs-tagline"),
            html.Nav(id=ids.NAV, className="hs-nav", **aria(label="Pages")),
            html.Div(
                [
                    html.Span(id=ids.COPY_STATUS, className="hs-hint", role="status"),
                    dbc.Button(
                        [html.I(className="bi bi-link-45deg", **aria(hidden="true")), " Copy link"],
                        id=ids.COPY_LINK,
                        size="sm",
                        outline=True,
                        color="secondary",
                    ),
                    dbc.Button("How to read this page", id=ids.HELP_OPEN, size="sm", color="link"),
                    dbc.Button(
                        [html.I(className="bi bi-circle-half", **aria(hidden="true")), " Light / dark"],
                        id=ids.THEME_SWITCH,
                        size="sm",
                        outline=True,
                        color="secondary",
                    ),
                ],
                className="hs-header-tools",
            ),
        ],
        className="hs-header",
    )


def page_links(pages: Sequence[tuple[str, str]], here: str, queries: Mapping[str, str]) -> list[Any]:
    """The menu of pages.

    Args:
        pages: (path, label) of each.
        here: the path of the page that is shown.
        queries: what stands behind the path in a page's link, for those that have anything to go back to.
    """
    return [
        dcc.Link(
            label,
            href=path + (queries.get(path, "") if path != here else ""),
            # `pageTitle` in headscope.js marks it for screen readers: dcc.Link takes no aria-current.
            className="hs-nav-link" + (" hs-nav-here" if path == here else ""),
        )
        for path, label in pages
    ]


def page_not_found(path: str) -> html.Div:
    """What stands where an address leads nowhere."""
    return html.Div(
        [
            html.H2("There is no such page", className="hs-title"),
            html.P(["Nothing is at ", html.Code(path[:80]), "."]),
            dcc.Link("Go to the live page", href="/"),
        ],
        className="hs-card",
    )


def shell(session_id: str) -> html.Div:
    """The frame, before any page stands in it.

    Args:
        session_id: a name for this visit, by which it joins and leaves long work.
    """
    return html.Div(
        [
            dcc.Location(id=ids.LOCATION, refresh="callback-nav"),
            dcc.Store(ids.SESSION_ID, data=session_id),
            dcc.Store(ids.LAST_LIVE),
            html.A("Skip to the page", href=f"#{ids.PAGE}", className="visually-hidden-focusable"),
            _header(),
            # Shown by headscope.js.
            html.Div(
                [
                    html.Strong("That is more text than the server takes at once "),
                    f"({MAX_BODY_BYTES // 2**20} MB). Shorten it and try again; what you typed is kept.",
                ],
                id=ids.REQUEST_ALERT,
                className="alert alert-danger hs-alert",
                role="alert",
                hidden=True,
                **data(limit=str(MAX_BODY_BYTES)),
            ),
            html.Main(id=ids.PAGE, className="hs-main", tabIndex=-1),
            html.Footer(
                "Scores on test inputs do not tell all that a head does. Everything here is computed on "
                "this server; "
                "your text is not stored.",
                className="hs-footer hs-hint",
            ),
            help_dialog(),
        ],
        className="hs-page",
    )
