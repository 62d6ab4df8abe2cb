"""Which page stands at which address: one row a page."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from dash import ClientsideFunction, Dash, Input, Output, State

from components import ids
from components.addresses import path_of
from components.shell import page_links, page_not_found


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


def show_page(
    pages: Sequence[Page], path: str | None, query: str | None, last_live: str | None = None
) -> tuple[Any, Any]:
    """The page at an address, and the menu with that page marked.

    Args:
        pages: those that may be opened, in menu order.
        path: "/catalog".
        query: "?model=demo-gpt2" or "".
        last_live: the query of what the live page showed last, to go back to.
    """
    here = path_of(path or "/").rstrip("/") or "/"
    here = next((page.path for page in pages if here in page.formerly), here)
    links = page_links([(page.path, page.label) for page in pages], here, {"/": last_live or ""})
    for page in pages:
        if page.path == here:
            return page.layout(query or ""), links
    return page_not_found(here), links


def register(app: Dash, pages: Sequence[Page]) -> None:
    """Add the callbacks that follow the address."""
    app.callback(
        Output(ids.PAGE, "children"),
        Output(ids.NAV, "children"),
        Input(ids.LOCATION, "pathname"),
        Input(ids.LOCATION, "search"),
        State(ids.LAST_LIVE, "data"),
    )(lambda path, query, last_live: show_page(pages, path, query, last_live))
    app.clientside_callback(
        ClientsideFunction("headscope", "pageTitle"),
        Output(ids.PAGE, "data-title"),
        Input(ids.NAV, "children"),
    )
