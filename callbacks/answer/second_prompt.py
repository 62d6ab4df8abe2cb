"""The second prompt of an interchange: which tokens differ, and what could be done where its length does."""

from typing import Any

from dash import Dash, Input, Output

from callbacks.live.context import Request, find_analysis
from components import ids
from components.answer.card import FIT_LABELS
from components.messages import sentence_of
from utils.effects.second_prompt import FITS, Fit
from utils.errors import UserFacingError
from utils.forward.interchange import INTERCHANGE
from utils.live.service import LiveService
from utils.models.prompts import token_label


class SecondPrompt:
    """The callback as a plain method.

    Args:
        service: the live entry point.
    """

    def __init__(self, service: LiveService) -> None:
        self.service = service

    def show(
        self, request: Request | None, mode: str | None, second: str | None, fit: str | None
    ) -> tuple[Any, bool]:
        """What is said of the second prompt, and whether its boxes are hidden.

        Args:
            request: what is shown.
            mode: the ablation method.
            second: the second prompt.
            fit: how it is made to fit.
        """
        analysis, _ = find_analysis(self.service, request)
        if mode != INTERCHANGE or analysis is None:
            return "", True
        if not (second or "").strip():
            return "Type a second prompt: the chosen heads get the values that they have on it.", False
        chosen: Fit = "as_is"
        for known in FITS:
            chosen = known if known == fit else chosen
        model, loaded = analysis.loaded.name, analysis.loaded
        try:
            pair = self.service.writing.second_prompt(model, analysis.prompt.text, str(second), chosen)
        except UserFacingError as error:
            return sentence_of(error), False
        said = pair.sentence(
            [token_label(loaded, token) for token in pair.first],
            [token_label(loaded, token) for token in pair.second],
        )
        offers = [FIT_LABELS[offer] for offer in pair.offers]
        return f"{said} You can {' or '.join(offers)}." if offers else said, False


def register(app: Dash, prompt: SecondPrompt) -> None:
    """Add the callback to the app."""
    app.callback(
        Output(ids.SECOND_STATUS, "children"),
        Output(ids.SECOND_PLACE, "hidden"),
        Input(ids.REQUEST, "data"),
        Input(ids.MODE, "value"),
        Input(ids.SECOND, "value"),
        Input(ids.FIT, "value"),
    )(prompt.show)
