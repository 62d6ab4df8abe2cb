"""The live page's wiring: which of `LivePage`'s answers follows which touch."""

from dash import ALL, Dash, Input, Output, State, ctx, no_update

from callbacks.live_page import LivePage
from components import ids


def register(app: Dash, page: LivePage) -> None:
    """Add the live page's callbacks to the app."""
    for_suggestions = {"type": "suggestion", "role": ALL, "number": ALL}

    @app.callback(
        Output(ids.REQUEST, "data"),
        Output(ids.PROMPT, "value"),
        Output(ids.ALERT, "children"),
        Output(ids.ABLATED, "data", allow_duplicate=True),
        Output(ids.EXAMPLES, "value"),
        Input(ids.RUN, "n_clicks"),
        Input(ids.EXAMPLES, "value"),
        Input(for_suggestions, "n_clicks"),
        Input(ids.MODEL, "value"),
        State(ids.PROMPT, "value"),
        State(ids.REQUEST, "data"),
        prevent_initial_call=True,
    )
    def _(clicks, example, suggestions, model, prompt, shown):
        # New suggestion buttons count as a change of their n_clicks; only a click has a value.
        if not any(part["value"] for part in ctx.triggered):
            return (no_update,) * 5
        return page.request_prompt(ctx.triggered_id, model, prompt, example, shown)

    app.callback(Output(ids.TOKEN_COUNT, "children"), Input(ids.PROMPT, "value"), Input(ids.MODEL, "value"))(
        page.token_count
    )
    app.callback(Output(ids.TOKENS, "children"), Input(ids.REQUEST, "data"))(page.show_tokens)
    app.callback(
        Output(ids.ROLES, "children"),
        Output(ids.NOTICE, "children"),
        Input(ids.REQUEST, "data"),
        Input(ids.ABLATED, "data"),
    )(page.show_roles)

    @app.callback(
        Output(ids.SELECTED, "data"),
        Input({"type": "head-cell", "head": ALL}, "n_clicks"),
        Input({"type": "head-link", "role": ALL, "head": ALL}, "n_clicks"),
        Input(ids.REQUEST, "data"),
        State(ids.SELECTED, "data"),
    )
    def _(cells, links, request, chosen):
        trigger = ctx.triggered_id
        if isinstance(trigger, dict) and not any(part["value"] for part in ctx.triggered):
            return no_update
        return page.choose_head(trigger, request, chosen)

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
        Output(ids.CHIPS, "children"),
        Output(ids.PREDICTION, "children"),
        Output(ids.WATCH_OPTIONS, "children"),
        Output(ids.CLEAR, "disabled"),
        Input(ids.REQUEST, "data"),
        Input(ids.ABLATED, "data"),
        Input(ids.WATCH, "value"),
    )(page.show_prediction)
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
        Input(ids.REQUEST, "data"),
        Input(ids.SELECTED, "data"),
        Input(ids.ABLATED, "data"),
        Input(ids.THEME, "data"),
    )(page.show_detail)
