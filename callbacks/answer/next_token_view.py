"""The model's answer after one token: headline, next tokens clean beside ablated, and the chips above."""

from typing import Any

from dash import Dash, Input, Output, State, html, no_update

from callbacks.live.context import SHOWN, Request, find_analysis, find_shown, set_known
from components import ids
from components.answer.card import LAST
from components.answer.prediction_panel import (
    cause_and_effect,
    chips,
    no_prediction,
    prediction_facts,
    prediction_table,
)
from components.plain_html import PLAIN, as_html
from utils.effects.prediction import compare, plain_sentence
from utils.live.service import LiveService
from utils.models.prompts import token_label

NOTHING_YET = "Nothing is analyzed yet: type a prompt above and press Run."


class NextTokenView:
    """The view's callbacks as plain methods.

    Args:
        service: the live entry point.
    """

    def __init__(self, service: LiveService) -> None:
        self.service = service

    def show_chips(self, request: Request | None, off_names: list[str]) -> tuple[Any, bool]:
        """The chips of what is off, and whether there is nothing to clear."""
        shown = find_shown(self.service, request, off_names)
        off = shown.off if shown else []
        return chips(off), not off

    def offer_positions(
        self, request: Request | None, offered: list[Any] | None, chosen: str | None
    ) -> tuple[Any, Any]:
        """The positions that can be chosen; the first request keeps a link's choice, a new one drops it."""
        analysis, _ = find_analysis(self.service, request)
        if analysis is None:
            return no_update, no_update
        last = len(analysis.prompt.ids) - 1
        options = [{"label": "the whole prompt", "value": LAST}]
        options += [
            {"label": f"{index} {label}", "value": str(index)}
            for index, label in enumerate(analysis.prompt.labels[:-1])
        ]
        cached = chosen if not offered and str(chosen).isdecimal() and int(str(chosen)) < last else None
        return options, cached or LAST

    def show(
        self,
        request: Request | None,
        off_names: list[str],
        mode: str | None,
        position: str | None,
        target: str | None,
        against: str | None,
        second: str | None = None,
        fit: str | None = None,
    ) -> tuple[Any, ...]:
        """Headline, table, figures, cause and effect in a few words, the tokens that the two boxes offer."""
        shown = find_shown(self.service, request, off_names, mode, position, target, against, second, fit)
        if shown is None:
            return None, no_prediction(NOTHING_YET), [], "", []
        loaded = shown.analysis.loaded
        clean, ablated = shown.logits(self.service, []), shown.logits(self.service, shown.off)
        comparison = compare(clean, ablated, shown.target, shown.against)

        def label(token: int) -> str:
            return token_label(loaded, token)

        sentence = plain_sentence(
            comparison,
            shown.off,
            label(comparison.top.token).strip("·"),
            label(comparison.ablated_top.token).strip("·"),
        )
        if not shown.last:
            sentence = f"After “{shown.analysis.prompt.labels[shown.position]}”: {sentence}"
        options = [html.Option(value=label(row.token).lstrip("·")) for row in comparison.rows]
        return (
            html.P(sentence, className="hs-sentence"),
            prediction_table(comparison, shown.off, label),
            prediction_facts(comparison, shown.off, label),
            cause_and_effect(comparison, shown.off, label),
            options,
        )


def register(app: Dash, view: NextTokenView) -> None:
    """Add the view's callbacks to the app."""
    app.callback(
        Output(ids.CHIPS, PLAIN),
        Output(ids.CLEAR, "disabled"),
        Input(ids.REQUEST, "data"),
        Input(ids.ABLATED, "data"),
    )(as_html(view.show_chips, 0))

    @app.callback(
        Output(ids.POSITION, "options"),
        Input(ids.REQUEST, "data"),
        State(ids.POSITION, "options"),
        State(ids.POSITION, "value"),
    )
    def _(request, offered, chosen):
        options, value = view.offer_positions(request, offered, chosen)
        # No output, which all that depends on the position would wait for: mostly it stays as it is.
        if value != chosen:
            set_known({ids.POSITION: ("value", value)})
        return options

    app.callback(
        Output(ids.HEADLINE, PLAIN),
        Output(ids.PREDICTION, PLAIN),
        Output(ids.PREDICTION_FACTS, PLAIN),
        Output(ids.CAUSE, "children"),
        Output(ids.TOKEN_OPTIONS, PLAIN),
        *(Input(*slot) for slot in SHOWN.values()),
    )(as_html(view.show, 0, 1, 2, 4))
