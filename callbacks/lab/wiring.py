"""The retrieval lab's wiring: which of `LabPage`'s answers follows which touch."""

from dataclasses import asdict

from dash import ALL, ClientsideFunction, Dash, Input, Output, State, ctx, no_update

from callbacks.clicks import clicked, only_drawn
from callbacks.lab.page import LabPage
from callbacks.lab.views import LabViews
from components import ids
from components.lab.form import GENERATED
from components.lab.page import PAGE
from components.messages import alert
from components.plain_html import PLAIN
from utils.errors import UserFacingError


def register(app: Dash, page: LabPage, views: LabViews) -> None:
    """Add the page's callbacks; those named by ClientsideFunction are in `assets/lab.js`."""
    form = (
        (ids.LAB_MODEL, "value"),
        (ids.LAB_QUESTION, "value"),
        (ids.LAB_LENGTH, "value"),
        (ids.LAB_DEPTH, "value"),
        (ids.LAB_SEED, "value"),
        (ids.LAB_FILING, "value"),
        (ids.LAB_TEXT, "value"),
        (ids.LAB_ASKED, "value"),
        (ids.LAB_ANSWER, "value"),
        (ids.LAB_NEEDLE, "data"),
    )

    @app.callback(
        Output(ids.LAB_WANTED, "data"),
        Output(ids.LAB_SEED, "value"),
        Output(ids.LAB_FILING, "value", allow_duplicate=True),
        Output(ids.LAB_ALERT, "children", allow_duplicate=True),
        Input(ids.LAB_RUN, "n_clicks"),
        Input(ids.LAB_ANOTHER, "n_clicks"),
        *(State(*field) for field in form),
        prevent_initial_call=True,
    )
    def _(runs, others, *values):
        if not clicked():
            return (no_update,) * 4
        try:
            prompt = page.ask(ctx.triggered_id, *values)
        except UserFacingError as error:
            return no_update, no_update, no_update, alert(error)
        return asdict(prompt), prompt.seed, prompt.filing or GENERATED, None

    @app.callback(
        Output(ids.LAB_PROGRESS, "children"),
        Output(ids.LAB_ALERT, "children"),
        Output(ids.LAB_TICK, "disabled"),
        Output(ids.LAB_SHOWN, "data"),
        Output(ids.LAB_WRITING, PLAIN),
        Input(ids.LAB_WANTED, "data"),
        Input(ids.LAB_TICK, "n_intervals"),
        Input({"type": "cancel-lab", "page": ALL}, "n_clicks"),
        State(ids.SESSION_ID, "data"),
    )
    def _(wanted, ticks, cancels, session_id):
        if only_drawn("cancel-lab"):
            return (no_update,) * 5
        return page.follow(ctx.triggered_id, wanted, session_id or "")

    app.callback(
        Output(ids.LAB_WRITTEN, PLAIN),
        Output(ids.LAB_STATUS, PLAIN),
        Output(ids.LAB_TOKENS, PLAIN),
        Input(ids.LAB_SHOWN, "data"),
    )(views.show_prompt)
    app.callback(
        Output(ids.LAB_FILING, "options"),
        Output(ids.LAB_FILING, "value"),
        Input(ids.LAB_QUESTION, "value"),
        State(ids.LAB_FILING, "value"),
        prevent_initial_call=True,
    )(page.choose_filings)
    app.callback(
        Output(ids.LAB_SENTENCES, PLAIN), Input(ids.LAB_TYPED, "data"), Input(ids.LAB_NEEDLE, "data")
    )(views.show_sentences)
    app.callback(
        Output(ids.LAB_HEAD, "options"),
        Output(ids.LAB_HEAD, "value"),
        Output(ids.LAB_K, "max"),
        Output(ids.LAB_K, "value"),
        Input(ids.LAB_SHOWN, "data"),
        State(ids.LAB_METHOD, "value"),
        State(ids.LAB_HEAD, "value"),
        State(ids.LAB_K, "value"),
    )(page.controls)
    app.callback(
        Output(ids.LAB_METHOD_STATUS, PLAIN),
        Output(ids.LAB_SCORES, "figure"),
        Output(ids.LAB_CATALOG_SCORES, "figure"),
        Output(ids.LAB_SCORES, "style"),
        Output(ids.LAB_CATALOG_SCORES, "style"),
        Output(ids.LAB_CATALOG_PLACE, "style"),
        Output(ids.LAB_TOP, PLAIN),
        Output(ids.LAB_SCORES_TABLE, PLAIN),
        Input(ids.LAB_SHOWN, "data"),
        Input(ids.LAB_METHOD, "value"),
        Input(ids.LAB_HEAD, "value"),
        Input(ids.theme(PAGE), "data"),
    )(views.show_method)
    app.callback(
        Output(ids.LAB_HEAD_STATUS, PLAIN),
        Output(ids.LAB_ROWS, "figure"),
        Output(ids.LAB_ROWS, "style"),
        Output(ids.LAB_ROWS_TABLE, PLAIN),
        Output(ids.LAB_LOOKS, "data"),
        Input(ids.LAB_SHOWN, "data"),
        Input(ids.LAB_HEAD, "value"),
        Input(ids.theme(PAGE), "data"),
    )(views.show_head)

    @app.callback(
        Output(ids.LAB_OFF_PROGRESS, "children"),
        Output(ids.LAB_OFF, PLAIN),
        Output(ids.LAB_OFF_TICK, "disabled"),
        Input(ids.LAB_SHOWN, "data"),
        Input(ids.LAB_METHOD, "value"),
        Input(ids.LAB_RANKING, "value"),
        Input(ids.LAB_K, "value"),
        Input(ids.LAB_MODE, "value"),
        Input(ids.LAB_OFF_RUN, "n_clicks"),
        Input(ids.LAB_OFF_TICK, "n_intervals"),
        Input({"type": "cancel-lab-off", "page": ALL}, "n_clicks"),
        State(ids.SESSION_ID, "data"),
    )
    def _(shown, method, ranking, k, mode, runs, ticks, cancels, session_id):
        if only_drawn("cancel-lab-off"):
            return (no_update,) * 3
        # The slider tells its value when it is left, which may be by the click on the button.
        pressed = f"{ids.LAB_OFF_RUN}.n_clicks" in ctx.triggered_prop_ids
        trigger = ids.LAB_OFF_RUN if pressed else ctx.triggered_id
        return views.show_off(trigger, shown, method, ranking, k, mode, session_id or "")

    app.callback(
        Output(ids.LAB_LINK, "data"),
        Input(ids.LAB_SHOWN, "data"),
        Input(ids.LAB_METHOD, "value"),
        Input(ids.LAB_RANKING, "value"),
        Input(ids.LAB_HEAD, "value"),
        Input(ids.LAB_K, "value"),
        Input(ids.LAB_MODE, "value"),
    )(page.link)
    _register_in_browser(app)


def _register_in_browser(app: Dash) -> None:
    for output, inputs, function in (
        (Output(ids.LAB_FORM, "className"), Input(ids.LAB_QUESTION, "value"), "showForm"),
        (Output(ids.LAB_K_STATUS, "children"), Input(ids.LAB_K, "value"), "tellK"),
        (Output(ids.LAB_TOKENS, "data-head"), Input(ids.LAB_LOOKS, "data"), "shade"),
        (Output(ids.LAB_BODY, "className"), Input(ids.LAB_LOOKS, "data"), "waiting"),
        (Output(ids.LAB_FORM, "data-link"), Input(ids.LAB_LINK, "data"), "showLink"),
    ):
        app.clientside_callback(ClientsideFunction("lab", function), output, inputs)
    for grid in (ids.LAB_SCORES, ids.LAB_CATALOG_SCORES):
        app.clientside_callback(
            ClientsideFunction("lab", "pick"),
            Output(grid, "clickData"),
            Input(grid, "clickData"),
            prevent_initial_call=True,
        )
