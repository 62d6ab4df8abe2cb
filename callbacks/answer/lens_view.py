"""The view "Logit lens", read off the forward that is shown."""

from typing import Any

from dash import Dash, Input, Output, no_update

from callbacks.answer.next_token_view import NOTHING_YET
from callbacks.live.context import Request, find_shown
from components import ids
from components.answer.lens_view import lens_view
from components.answer.prediction_panel import no_prediction
from components.messages import sentence_of
from components.plots import theme_name
from utils.errors import UserFacingError
from utils.live.service import LiveService
from utils.models.prompts import token_label


class LensView:
    """The view's callback as a plain method.

    Args:
        service: the live entry point.
    """

    def __init__(self, service: LiveService) -> None:
        self.service = service

    def show(
        self,
        request: Request | None,
        position: str | None,
        target: str | None,
        against: str | None,
        theme: str | None,
    ) -> Any:
        """The watched token along the layers, all heads on."""
        shown = find_shown(self.service, request, (), None, position, target, against)
        if shown is None:
            return no_prediction(NOTHING_YET)
        loaded = shown.analysis.loaded
        asked = (loaded.name, shown.analysis.prompt.text, shown.position, shown.target, shown.against)
        try:
            lens, direct = self.service.writing.lens(*asked), self.service.writing.direct(*asked)
        except UserFacingError as error:
            return no_prediction(sentence_of(error))
        return lens_view(lens, direct, lambda token: token_label(loaded, token), theme_name(theme))


def register(app: Dash, view: LensView) -> None:
    """Add the view's callback to the app."""

    @app.callback(
        Output(ids.VIEW_LENS, "children"),
        Input(ids.REQUEST, "data"),
        Input(ids.POSITION, "value"),
        Input(ids.WATCH, "value"),
        Input(ids.AGAINST, "value"),
        Input(ids.VIEW, "value"),
        Input(ids.theme("live"), "data"),
    )
    def _(request, position, target, against, view_key, theme):
        return view.show(request, position, target, against, theme) if view_key == "lens" else no_update
