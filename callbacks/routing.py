"""Which page stands at which address: one row a page."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from dash import ALL, ClientsideFunction, Dash, Input, Output, State

from components import ids
from components.addresses import path_of
from components.shell import page_not_found


@dataclass(frozen=True)
class Page:
    """A page of the app.

    Attributes:
        key: what the operator calls it (`--pages`).
        path: its address.
        label: its name in the menu.
        layout: the page for a query ("?model=demo-gpt2"), which may hold anything.
        formerly: addresses that it had before, which still lead to it.
    """

    key: str
    path: str
    label: str
    layout: Callable[[str], Any]
    formerly: tuple[str, ...] = ()


def show_page(pages: Sequence[Page], path: str | None, query: str | None) -> tuple[Any, str]:
    """The page at an address, and its path, without a prefix, to mark it by in the menu.

    Args:
        pages: those that may be opened, in menu order.
        path: "/catalog".
        query: "?model=demo-gpt2" or "".
    """
    here = path_of(path or "/").rstrip("/") or "/"
    here = next((page.path for page in pages if here in page.formerly), here)
    for page in pages:
        if page.path == here:
            return page.layout(query or ""), here
    return page_not_found(here), here


def register(app: Dash, pages: Sequence[Page]) -> None:
    """Add the callbacks that follow the address."""
    app.callback(
        Output(ids.PAGE, "children"),
        Output(ids.PAGE, "data-here"),
        Input(ids.LOCATION, "pathname"),
        Input(ids.LOCATION, "search"),
    )(lambda path, query: show_page(pages, path, query))
    # The links of the menu stay as they were drawn, and what changes of them changes in the browser: a click
    # that falls between two drawings of a link is lost.
    app.clientside_callback(
        ClientsideFunction("headscope", "markPage"),
        Output({"type": "page-link", "path": ALL}, "href"),
        Input(ids.PAGE, "data-here"),
        State(ids.LAST_LIVE, "data"),
        State({"type": "page-link", "path": ALL}, "id"),
    )
