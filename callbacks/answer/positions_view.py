"""The view "At every position": wiring and the class behind it."""

from typing import Any

from dash import Dash, Input, Output, no_update

from callbacks.answer.next_token_view import NOTHING_YET
from callbacks.live.context import Request, find_shown
from components import ids
from components.answer.positions_view import positions_body
from components.answer.prediction_panel import no_prediction
from components.plots import theme_name
from utils.effects.positions import view_positions
from utils.live.service import LiveService
from utils.models.prompts import token_label


class PositionsView:
    """The view's callback as a plain method.

    Args:
        service: the live entry point.
    """

    def __init__(self, service: LiveService) -> None:
        self.service = service

    def show(
        self,
        request: Request | None,
        off_names: list[str],
        mode: str | None,
        position: str | None,
        theme: str | None,
        second: str | None = None,
        fit: str | None = None,
    ) -> Any:
        """The prediction after every token, clean beside ablated."""
        shown = find_shown(self.service, request, off_names, mode, position, second=second, fit=fit)
        if shown is None:
            return no_prediction(NOTHING_YET)
        loaded, prompt = shown.analysis.loaded, shown.analysis.prompt
        clean = self.service.position_logits(loaded.name, prompt.text)
        ablated = self.service.position_logits(loaded.name, prompt.text, shown.off, shown.mode)
        view = view_positions(prompt.ids, clean, ablated)
        return positions_body(
            view,
            prompt.labels,
            lambda token: token_label(loaded, token),
            bool(shown.off),
            shown.position,
            theme_name(theme),
        )


def register(app: Dash, view: PositionsView) -> None:
    """Add the view's callback to the app; a click on a token is handled in the browser (headscope.js)."""

    @app.callback(
        Output(ids.VIEW_POSITIONS, "children"),
        Input(ids.REQUEST, "data"),
        Input(ids.ABLATED, "data"),
        Input(ids.MODE, "value"),
        Input(ids.POSITION, "value"),
        Input(ids.VIEW, "value"),
        Input(ids.theme("live"), "data"),
        Input(ids.SECOND, "value"),
        Input(ids.FIT, "value"),
    )
    def _(request, off, mode, position, view_key, theme, second, fit):
        if view_key != "positions":
            return no_update
        return view.show(request, off, mode, position, theme, second, fit)
