"""The token strip: the prompt's tokens, and what a click on one chooses (`assets/token_strip.js`)."""

from dash import ClientsideFunction, Dash, Input, Output

from callbacks.live.context import Request, find_analysis
from components import ids
from components.live.token_strip import token_strip
from components.plain_html import PLAIN, as_html
from utils.live.service import LiveService


class TokenStrip:
    """The strip's callback as a plain method.

    Args:
        service: the live entry point.
    """

    def __init__(self, service: LiveService) -> None:
        self.service = service

    def show(self, request: Request | None) -> list:
        """One item a token; none where nothing is shown."""
        analysis, _ = find_analysis(self.service, request)
        return token_strip(analysis.prompt) if analysis else []


def register(app: Dash, strip: TokenStrip) -> None:
    """Add the strip's callbacks; those named by ClientsideFunction are in `assets/token_strip.js`."""
    app.callback(Output(ids.TOKENS, PLAIN), Input(ids.REQUEST, "data"))(as_html(strip.show))
    app.clientside_callback(
        ClientsideFunction("tokens", "keepPattern"),
        Output(ids.TOKENS, "data-head"),
        Input(ids.PATTERN, "data"),
    )
    app.clientside_callback(
        ClientsideFunction("tokens", "pin"),
        Output(ids.TOKENS, "data-pinned"),
        Input(ids.POSITION, "value"),
    )
