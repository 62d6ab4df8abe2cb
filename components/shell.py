"""The frame around every page: header with the menu of pages, the place for the page, footer, help."""

from collections.abc import Sequence
from typing import Any

import dash_bootstrap_components as dbc
from dash import dcc, html

from components import ids
from components.addresses import address
from components.attributes import aria, data
from components.help_text import help_dialog
from utils.runtime.serving import MAX_BODY_BYTES


def _tool(icon: str, label: str, name: str, **more: Any) -> dbc.Button:
    """A button of the header: an icon, with its name where there is room."""
    return dbc.Button(
        [
            html.I(className=f"bi bi-{icon}", **aria(hidden="true")),
            html.Span(f" {label}", className="hs-tool-label"),
        ],
        id=name,
        size="sm",
        outline=True,
        color="secondary",
        title=label,
        **more,
    )


def _header(pages: Sequence[tuple[str, str]], prefix: str) -> html.Header:
    return html.Header(
        [
            html.H1(
                [html.I(className="bi bi-eye", **aria(hidden="true")), " HeadScope"],
                className="hs-brand",
            ),
            html.Button(
                html.I(className="bi bi-list", **aria(hidden="true")),
                id=ids.MENU_OPEN,
                type="button",
                className="btn btn-sm btn-outline-secondary hs-menu-open",
                **aria(label="Menu", expanded="false", controls=ids.MENU),
            ),
            html.Div(
                [
                    html.Nav(
                        [
                            dcc.Link(
                                label, id=ids.page_link(path), href=prefix + path, className="hs-nav-link"
                            )
                            for path, label in pages
                        ],
                        id=ids.NAV,
                        className="hs-nav",
                        **aria(label="Pages"),
                    ),
                    html.Div(
                        [
                            html.Span(id=ids.COPY_STATUS, className="hs-hint", role="status"),
                            _tool("link-45deg", "Copy link", ids.COPY_LINK),
                            _tool("question-circle", "How to read this page", ids.HELP_OPEN),
                            _tool("circle-half", "Light / dark", ids.THEME_SWITCH),
                        ],
                        className="hs-header-tools",
                    ),
                ],
                id=ids.MENU,
                className="hs-menu",
            ),
        ],
        className="hs-header",
    )


def _server_notices() -> list[Any]:
    """What is said of the server; shown by server.js."""
    return [
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
        html.Div(
            [
                html.Strong("The server does not answer. "),
                "What is shown is from before; what you typed and chose is kept, and the page goes on by "
                "itself when the server is back. ",
                html.Button(
                    "Try now",
                    type="button",
                    className="btn btn-sm btn-outline-danger",
                    **data(server="retry"),
                ),
            ],
            id=ids.SERVER_NOTICE,
            className="alert alert-danger hs-alert hs-server-notice",
            role="alert",
            hidden=True,
        ),
        html.Div(
            [html.Strong("The server is busy: "), html.Span(), " before you. The page goes on by itself."],
            id=ids.SERVER_BUSY,
            className="alert alert-info hs-alert hs-server-notice",
            role="status",
            hidden=True,
        ),
        html.Div(
            "The server is back.",
            id=ids.SERVER_BACK,
            className="alert alert-success hs-alert hs-server-notice",
            role="status",
            hidden=True,
        ),
    ]


def page_not_found(path: str) -> html.Div:
    """What stands where an address leads nowhere."""
    return html.Div(
        [
            html.H2("There is no such page", className="hs-title"),
            html.P(["Nothing is at ", html.Code(path[:80]), "."]),
            dcc.Link("Go to the live page", href=address("/")),
        ],
        className="hs-card",
    )


def shell(pages: Sequence[tuple[str, str]], prefix: str = "") -> html.Div:
    """The frame, before any page stands in it; the same for everyone, so that a browser may keep it.

    Args:
        pages: (path, label) of each in the menu.
        prefix: the path below which the app is served.
    """
    return html.Div(
        [
            dcc.Location(id=ids.LOCATION, refresh="callback-nav"),
            dcc.Store(ids.SESSION_ID, data=ids.NEW_SESSION),
            dcc.Store(ids.LAST_LIVE),
            html.A("Skip to the page", href=f"#{ids.PAGE}", className="visually-hidden-focusable"),
            _header(pages, prefix),
            *_server_notices(),
            html.Main(id=ids.PAGE, className="hs-main", tabIndex=-1),
            html.Footer(
                "Scores on test inputs do not tell all that a head does. Everything here is computed on "
                "this server; "
                "your text is not stored.",
                className="hs-footer hs-hint",
            ),
            help_dialog(prefix),
        ],
        className="hs-page",
    )
