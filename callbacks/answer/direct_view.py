"""The view "Who writes it": direct logit attribution of the watched token, from the forward that is shown."""

from typing import Any

from dash import Dash, Input, Output, no_update

from callbacks.answer.next_token_view import NOTHING_YET
from callbacks.live.context import Request, find_shown
from components import ids
from components.answer.direct_view import direct_view
from components.answer.prediction_panel import no_prediction
from components.messages import sentence_of
from components.plain_html import PLAIN, to_html
from utils.errors import UserFacingError
from utils.live.service import LiveService
from utils.models.prompts import token_label


class DirectView:
    """The view's callback as a plain method.

    Args:
        service: the live entry point.
    """

    def __init__(self, service: LiveService) -> None:
        self.service = service

    def show(
        self, request: Request | None, position: str | None, target: str | None, against: str | None
    ) -> Any:
        """The heads that write the watched token, all heads on."""
        shown = find_shown(self.service, request, (), None, position, target, against)
        if shown is None:
            return no_prediction(NOTHING_YET)
        loaded, text = shown.analysis.loaded, shown.analysis.prompt.text
        try:
            direct = self.service.writing.direct(
                loaded.name, text, shown.position, shown.target, shown.against
            )
        except UserFacingError as error:
            return no_prediction(sentence_of(error))
        return direct_view(direct, lambda token: token_label(loaded, token))


def register(app: Dash, view: DirectView) -> None:
    """Add the view's callback to the app."""

    @app.callback(
        Output(ids.VIEW_DIRECT, PLAIN),
        Input(ids.REQUEST, "data"),
        Input(ids.POSITION, "value"),
        Input(ids.WATCH, "value"),
        Input(ids.AGAINST, "value"),
        Input(ids.VIEW, "value"),
    )
    def _(request, position, target, against, view_key):
        return to_html(view.show(request, position, target, against)) if view_key == "direct" else no_update
