"""The live page's wiring: which of `LivePage`'s answers follows which touch."""

from dash import ALL, Dash, Input, Output, State, ctx, no_update

from callbacks.live_context import set_known
from callbacks.live_page import LivePage
from components import ids
from components.live_layout import PAGE as LIVE


def register(app: Dash, page: LivePage) -> None:
    """Add the live page's callbacks to the app."""
    for_suggestions = {"type": "suggestion", "role": ALL, "number": ALL}

    @app.callback(
        Output(ids.REQUEST, "data"),
        Output(ids.PROMPT, "value"),
        Output(ids.ALERT, "children"),
        Output(ids.ABLATED, "data", allow_duplicate=True),
        Output(ids.WANTED, "data"),
        Input(ids.RUN, "n_clicks"),
        Input(for_suggestions, "n_clicks"),
        Input(ids.MODEL, "value"),
        State(ids.PROMPT, "value"),
        State(ids.REQUEST, "data"),
        prevent_initial_call=True,
    )
    def _(clicks, suggestions, model, prompt, shown):
        # New suggestion buttons count as a change of their n_clicks; only a click has a value.
        if not any(part["value"] for part in ctx.triggered):
            return (no_update,) * 5
        return page.request_prompt(ctx.triggered_id, model, prompt, shown)

    # What `set_known` sets here and in guide.py is no edge of the browser's graph of callbacks, which these
    # edges would close into circles.
    @app.callback(
        Output(ids.LOADING, "children"),
        Output(ids.LOAD_TICK, "disabled"),
        Input(ids.WANTED, "data"),
        Input(ids.LOAD_TICK, "n_intervals"),
        Input({"type": "cancel-load", "model": ALL}, "n_clicks"),
        State(ids.WHO, "data"),
    )
    def _(wanted, ticks, cancels, who):
        trigger = ctx.triggered_id
        if isinstance(trigger, dict) and not any(part["value"] for part in ctx.triggered):
            return (no_update,) * 2
        request, alert, progress, rests, waits = page.follow_load(trigger, wanted, who or "")
        set_known(
            {ids.REQUEST: ("data", request), ids.ALERT: ("children", alert), ids.WANTED: ("data", waits)}
        )
        return progress, rests

    @app.callback(
        Input(ids.analysis_done(LIVE), "data"),
        State(ids.REQUEST, "data"),
        prevent_initial_call=True,
    )
    def _(analyzed, request):
        # The same request again: every part of the page reads the new catalog.
        if request:
            set_known({ids.REQUEST: ("data", request)})

    app.callback(
        Output(ids.LINK_TOLD, "children"),
        Input(ids.REQUEST, "data"),
        State(ids.LOCATION, "search"),
        State(ids.LINK_TOLD, "children"),
        prevent_initial_call=True,
    )(page.late_link_problems)
    app.callback(Output(ids.TOKEN_COUNT, "children"), Input(ids.PROMPT, "value"), Input(ids.MODEL, "value"))(
        page.token_count
    )
    app.callback(Output(ids.TOKENS, "children"), Input(ids.REQUEST, "data"))(page.show_tokens)
    app.callback(
        Output(ids.ROLES, "children"),
        Output(ids.NOTICE, "children"),
        Output(ids.analysis_for(LIVE), "data"),
        Input(ids.REQUEST, "data"),
        Input(ids.ABLATED, "data"),
    )(page.show_roles)

    # A click on any head is handled in the browser (headscope.js, "data-choose").
    app.callback(Output(ids.SELECTED, "data"), Input(ids.REQUEST, "data"), State(ids.SELECTED, "data"))(
        page.choose_head
    )
    app.callback(
        Output(ids.GRID, "children"),
        Input(ids.REQUEST, "data"),
        Input(ids.ABLATED, "data"),
        # Another choice is marked in the browser (`page_tools`): a grid drawn anew would lose quick key
        # presses.
        State(ids.SELECTED, "data"),
    )(page.show_grid)

    @app.callback(
        Output(ids.ABLATED, "data"),
        Input(ids.TOGGLE_HEAD, "n_clicks"),
        Input({"type": "ablate-role", "role": ALL}, "n_clicks"),
        Input({"type": "chip", "head": ALL}, "n_clicks"),
        Input(ids.CLEAR, "n_clicks"),
        State(ids.REQUEST, "data"),
        State(ids.SELECTED, "data"),
        State(ids.ABLATED, "data"),
        prevent_initial_call=True,
    )
    def _(toggles, roles, chip_clicks, clears, request, chosen, off):
        if not any(part["value"] for part in ctx.triggered):
            return no_update
        return page.change_ablation(ctx.triggered_id, request, chosen, off)

    app.callback(
        Output(ids.DETAIL_TITLE, "children"),
        Output(ids.TOGGLE_HEAD, "children"),
        Output(ids.DETAIL_FACTS, "children"),
        Output(ids.BERTVIZ, "srcDoc"),
        Output(ids.BERTVIZ, "style"),
        Output(ids.HEATMAP, "figure"),
        Output(ids.HEATMAP, "style"),
        Output(ids.HEATMAP_TABLE, "children"),
        Output(ids.PATTERN, "data"),
        Output(ids.HEAD_VIEWS, "className"),
        Input(ids.REQUEST, "data"),
        Input(ids.SELECTED, "data"),
        Input(ids.ABLATED, "data"),
        Input(ids.theme(LIVE), "data"),
    )(page.show_detail)
