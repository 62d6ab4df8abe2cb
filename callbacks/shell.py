"""The page's own tools: light and dark, the help dialog, what the token strip needs in the browser."""

from dash import ALL, ClientsideFunction, Dash, Input, Output, State

from components import ids


def register(app: Dash) -> None:
    """Add these callbacks; those named by ClientsideFunction are in `assets/headscope.js`."""
    app.clientside_callback(
        ClientsideFunction("headscope", "theme"),
        # A page without figures has no store: this output is always there, so that the button always works.
        Output(ids.PAGE, "data-theme"),
        Output({"type": "theme", "page": ALL}, "data"),
        Input(ids.THEME_SWITCH, "n_clicks"),
    )
    for box, store in ((ids.PROMPT, ids.TYPED), (ids.LAB_TEXT, ids.LAB_TYPED)):
        app.clientside_callback(
            ClientsideFunction("headscope", "typingPaused"),
            Output(store, "data"),
            Input(box, "value"),
            prevent_initial_call=True,
        )
    app.clientside_callback(
        ClientsideFunction("workbench", "showAnswerView"),
        Output(ids.VIEWS, "className"),
        Input(ids.VIEW, "value"),
    )
    app.clientside_callback(
        "function(clicks, open) { return clicks ? !open : open; }",
        Output(ids.HELP, "is_open"),
        Input(ids.HELP_OPEN, "n_clicks"),
        State(ids.HELP, "is_open"),
    )
