"""The view "Continuations": two texts written token by token in the background, shown as they grow."""

from collections.abc import Hashable
from typing import Any

from dash import ALL, Dash, Input, Output, State, ctx, no_update

from callbacks.answer.next_token_view import NOTHING_YET
from callbacks.background import Background
from callbacks.clicks import only_drawn
from callbacks.live.context import Request, Shown, find_shown
from components import ids
from components.answer.continuations_view import continuations_body
from components.answer.prediction_panel import no_prediction
from components.messages import alert
from components.progress import progress_view
from utils.effects.continuation import ContinuationPair, PairGenerator
from utils.effects.sampling import NEW_TOKENS, WritingOptions, check_options
from utils.errors import UserFacingError
from utils.forward.interchange import INTERCHANGE
from utils.live.service import LiveService
from utils.runtime.jobs import Progress
from utils.runtime.locked_cache import LockedCache

MAX_CACHED = 300


def read_options(tokens: Any, temperature: Any, top_k: Any, seed: Any) -> WritingOptions:
    """The options as they stand in the boxes; an empty box is the default.

    Raises:
        UserFacingError: a number outside its bounds, or no number.
    """
    try:
        options = WritingOptions(
            NEW_TOKENS if tokens in (None, "") else int(tokens),
            0.0 if temperature in (None, "") else float(temperature),
            None if top_k in (None, "") else int(top_k),
            0 if seed in (None, "") else int(seed),
        )
    except (TypeError, ValueError, OverflowError):
        raise UserFacingError("One of the boxes holds no number.", "Correct it, or leave it empty.") from None
    check_options(options)
    return options


class ContinuationsView:
    """The view's callbacks as plain methods.

    Args:
        service: the live entry point.
    """

    def __init__(self, service: LiveService) -> None:
        self.service = service
        self.texts: Background[ContinuationPair] = Background(
            MAX_CACHED, shared=service.shared(ContinuationPair)
        )
        # What is being written, for those who watch it grow.
        self._generators: LockedCache[Hashable, PairGenerator] = LockedCache(MAX_CACHED)

    def _compute(self, key: Hashable, shown: Shown, options: WritingOptions, progress: Progress) -> Any:
        loaded = shown.analysis.loaded
        method = "mean" if shown.mode == "mean" else "zero"
        generator = PairGenerator(loaded, shown.analysis.prompt.ids, shown.off, method, options)
        self._generators[key] = generator
        return generator.finish(progress)

    def show(
        self,
        trigger: Any,
        request: Request | None,
        off_names: list[str],
        mode: str | None,
        boxes: tuple[Any, Any, Any, Any],
        session_id: str,
    ) -> tuple[Any, Any, bool]:
        """State (progress, error), texts, whether the tick may rest.

        Args:
            trigger: id of what was touched.
            request: what is shown.
            off_names: heads that are off.
            mode: how.
            boxes: new tokens, temperature, top-k and seed as the boxes hold them.
            session_id: the visit.
        """
        if mode == INTERCHANGE and off_names:
            # What is written goes beyond the second prompt's end.
            return no_prediction("Continuations need zero or mean ablation."), None, True
        shown = find_shown(self.service, request, off_names, mode)
        if shown is None:
            return None, no_prediction(NOTHING_YET), True
        try:
            options = read_options(*boxes)
        except UserFacingError as error:
            return alert(error), None, True
        key = (
            shown.analysis.loaded.name,
            shown.analysis.prompt.ids,
            tuple(shown.off),
            shown.mode if shown.off else "zero",
            options,
        )
        if trigger == ids.WRITE_CANCEL:
            self.texts.leave(key, session_id)
            generator = self._generators.get(key)
            body = continuations_body(generator.pair, bool(shown.off)) if generator else None
            return no_prediction("Stopped."), body, True
        pair = self.texts.get(key)
        if pair is not None:
            return None, continuations_body(pair, bool(shown.off)), True
        view = self.texts.follow(
            key,
            lambda progress: self._compute(key, shown, options, progress),
            session_id,
            again=trigger != ids.WRITE_TICK,
        )
        if view.error is not None:
            return alert(view.error), None, True
        if view.state == "cancelled":
            return no_prediction("Stopped."), no_update, True
        generator = self._generators.get(key)
        body = continuations_body(generator.pair, bool(shown.off)) if generator else None
        return progress_view(view, "Writing", ids.WRITE_CANCEL), body, False


def register(app: Dash, view: ContinuationsView) -> None:
    """Add the view's callbacks to the app."""

    @app.callback(
        Output(ids.WRITE_STATE, "children"),
        Output(ids.WRITE_BODY, "children"),
        Output(ids.WRITE_TICK, "disabled"),
        Input(ids.REQUEST, "data"),
        Input(ids.ABLATED, "data"),
        Input(ids.MODE, "value"),
        Input(ids.VIEW, "value"),
        Input(ids.WRITE, "n_clicks"),
        Input(ids.WRITE_TICK, "n_intervals"),
        Input({"type": "write-button", "does": ALL}, "n_clicks"),
        State(ids.WRITE_TOKENS, "value"),
        State(ids.WRITE_TEMPERATURE, "value"),
        State(ids.WRITE_TOP_K, "value"),
        State(ids.WRITE_SEED, "value"),
        State(ids.SESSION_ID, "data"),
    )
    def _(request, off, mode, view_key, write, ticks, clicks, tokens, temperature, top_k, seed, session_id):
        if only_drawn("write-button"):
            return (no_update,) * 3
        if view_key != "continuations":
            return no_update, no_update, True
        return view.show(
            ctx.triggered_id, request, off, mode, (tokens, temperature, top_k, seed), session_id or ""
        )
