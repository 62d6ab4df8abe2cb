"""The live page's state in the address bar, and the link to copy."""

from typing import Any

from dash import ClientsideFunction, Dash, Input, Output

from callbacks.live.context import Request, parse_heads
from components import ids
from utils.effects.second_prompt import FITS
from utils.errors import UserFacingError
from utils.forward.ablation import ABLATION_METHODS
from utils.forward.interchange import INTERCHANGE
from utils.links.page_links import to_query
from utils.links.page_state import HEAD_VIEWS, VIEWS, PageState
from utils.live.map_views import DEFAULT_MAP_VIEW, MAP_VIEWS


def link_query(
    request: Request | None,
    chosen: str | None,
    off: Any,
    mode: str | None,
    position: str | None,
    target: str | None,
    against: str | None,
    view: str | None,
    opened: dict[str, Any] | None,
    head_view: str | None = None,
    shown_map: str | None = None,
    second: str | None = None,
    fit: str | None = None,
) -> str:
    """The query that restores what the page shows; "" where it shows nothing or no link can hold it.

    Args:
        request: model and prompt.
        chosen: the chosen head's name.
        off: names of the heads that are off.
        mode: how they are ablated.
        position: a token's number, "last" for the last.
        target: text of the watched token.
        against: text of the second token.
        view: key of the view.
        opened: the preset or the lesson step that the page was opened with.
        head_view: key of what is shown of the chosen head.
        shown_map: key of what the map is coloured by.
        second: the second prompt of an interchange.
        fit: how it is made as long as the prompt.
    """
    if not request:
        return ""
    # A preset or a lesson has its own say in what the link leaves out: then the link says all.
    opened = opened or {}
    state = PageState(
        model=str(request["model"]),
        prompt=str(request["prompt"]),
        head=next(iter(parse_heads([chosen])), None),
        ablated=frozenset(parse_heads(off)) or (frozenset() if opened else None),
        mode=mode if mode in ABLATION_METHODS and (opened or mode != "zero") else None,
        second=(second or None) if mode == INTERCHANGE else None,
        fit=next((known for known in FITS if known == fit and mode == INTERCHANGE and fit != "as_is"), None),
        position=int(position) if position and str(position).isdecimal() else None,
        target=target or None,
        against=against or None,
        view=view if view in VIEWS and (opened or view != "next") else None,
        # As where the page begins unless it is said.
        head_view=head_view if head_view in HEAD_VIEWS and head_view != next(iter(HEAD_VIEWS)) else None,
        map_view=shown_map if shown_map in MAP_VIEWS and shown_map != DEFAULT_MAP_VIEW else None,
        preset=opened.get("preset"),
        lesson=opened.get("lesson"),
        step=opened.get("step"),
    )
    try:
        return to_query(state)
    except UserFacingError:
        return ""


def register(app: Dash) -> None:
    """Add the callbacks; those named by ClientsideFunction are in `assets/headscope.js`."""
    app.callback(
        Output(ids.LINK, "data"),
        Input(ids.REQUEST, "data"),
        Input(ids.SELECTED, "data"),
        Input(ids.ABLATED, "data"),
        Input(ids.MODE, "value"),
        Input(ids.POSITION, "value"),
        Input(ids.WATCH, "value"),
        Input(ids.AGAINST, "value"),
        Input(ids.VIEW, "value"),
        Input(ids.OPENED, "data"),
        Input(ids.HEAD_VIEW, "value"),
        Input(ids.MAP_VIEW, "value"),
        Input(ids.SECOND, "value"),
        Input(ids.FIT, "value"),
    )(link_query)
    app.clientside_callback(
        ClientsideFunction("headscope", "showLink"),
        Output(ids.LAST_LIVE, "data"),
        Input(ids.LINK, "data"),
    )
    app.clientside_callback(
        ClientsideFunction("headscope", "copyLink"),
        Output(ids.COPY_STATUS, "children"),
        Input(ids.COPY_LINK, "n_clicks"),
        prevent_initial_call=True,
    )
