"""The view "Which heads matter": every head ablated alone, as a job with progress and cancel."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any

from dash import ALL, Dash, Input, Output, State, ctx, no_update

from callbacks.background import Background
from callbacks.clicks import only_drawn
from callbacks.live.context import Request, Shown, find_shown
from components import ids
from components.answer.effects_view import effects_body, effects_offer, interchange_body
from components.answer.prediction_panel import no_prediction
from components.messages import alert, sentence_of
from components.plots import theme_name
from components.progress import progress_view
from utils.effects.effect_map import EffectMap, EffectMapProgress, effect_map
from utils.effects.estimate import EffectEstimate, rank_correlation
from utils.effects.interchange_map import InterchangeMap, interchange_map
from utils.effects.measures import MEASURES, MeasureKey
from utils.effects.total_and_direct import HeadEffects
from utils.errors import UserFacingError
from utils.forward.interchange import Interchange
from utils.live.service import LiveService
from utils.models.prompts import token_label
from utils.runtime.jobs import Progress
from utils.teaching.presets import OpenPreset

# Each is four small tables; a class asks for a few.
MAX_CACHED = 500


class EffectsView:
    """The view's callbacks as plain methods.

    Args:
        service: the live entry point.
    """

    def __init__(self, service: LiveService) -> None:
        self.service = service
        self.effects: Background[EffectMap] = Background(MAX_CACHED, shared=service.shared(EffectMap))
        self.swaps: Background[InterchangeMap] = Background(MAX_CACHED, shared=service.shared(InterchangeMap))

    def _key(self, shown: Shown) -> Hashable:
        return (
            shown.analysis.loaded.name,
            shown.analysis.prompt.ids,
            shown.position,
            shown.target,
            shown.against,
            shown.mode,
        )

    def _compute(
        self,
        shown: Shown,
        progress: Progress,
        publish: Callable[[EffectMapProgress], None] = lambda so_far: None,
    ) -> EffectMap:
        return effect_map(
            shown.analysis.loaded,
            shown.analysis.prompt.ids,
            shown.target,
            shown.against,
            shown.position,
            shown.mode,
            progress,
            publish,
        )

    def estimate(self, shown: Shown) -> EffectEstimate | None:
        """A first-order estimate of the map, there at once; None where the model has none."""
        try:
            return self.service.writing.estimate(
                shown.analysis.loaded.name,
                shown.analysis.prompt.text,
                shown.position,
                shown.target,
                shown.against,
                shown.mode,
            )
        except UserFacingError:
            return None

    def swapped(self, shown: Shown) -> InterchangeMap | None:
        """The interchange map of what is shown, None where it is not there (yet)."""
        return self.swaps.get(self._key(shown)) if isinstance(shown.mode, Interchange) else None

    def _swap(self, shown: Shown, progress: Progress) -> InterchangeMap:
        assert isinstance(shown.mode, Interchange)
        return interchange_map(
            shown.analysis.loaded,
            shown.analysis.prompt.ids,
            shown.mode.ids,
            shown.target,
            shown.against,
            shown.position,
            progress=progress,
        )

    def _follow_swap(self, trigger: Any, shown: Shown, session_id: str) -> tuple[Any, Any, bool]:
        """As `show`, for interchange: how much of the logit difference each head alone brings back."""
        key, loaded = self._key(shown), shown.analysis.loaded
        if trigger == ids.EFFECTS_CANCEL:
            self.swaps.leave(key, session_id)
            return effects_offer(), None, True
        found = self.swaps.get(key)
        if found is None:
            view = self.swaps.follow(
                key,
                lambda progress: self._swap(shown, progress),
                session_id,
                again=trigger != ids.EFFECTS_TICK,
            )
            if view.error is not None:
                return alert(view.error), None, True
            if view.state == "cancelled":
                return effects_offer(), None, True
            if not view.ended:
                title = "Swapping every head's values, one by one"
                return progress_view(view, title, ids.EFFECTS_CANCEL), None, False
            found = self.swaps.get(key)
        body = None if found is None else interchange_body(found, lambda token: token_label(loaded, token))
        return None, body, True

    def known(self, shown: Shown) -> EffectMap | None:
        """The map of what is shown, None where it is not (all) there yet."""
        return self.effects.get(self._key(shown))

    def so_far(self, shown: Shown) -> EffectMap | None:
        """The map as far as it has come, NaN where a head is still to come; None where nobody has asked."""
        whole = self.known(shown)
        if whole is not None:
            return whole
        view = self.effects.view(self._key(shown))
        return view.partial.effects if view is not None and view.partial is not None else None

    def prepare(self, opened: OpenPreset) -> None:
        """Compute the map of a preset that shows it, and its estimate: opening it needs no forward."""
        state = opened.revealed
        if state.view != "effects":
            return
        request = Request(model=opened.model, prompt=opened.preset.prompt)
        shown = find_shown(self.service, request, (), state.mode, state.position, state.target, state.against)
        if shown is None or isinstance(shown.mode, Interchange):
            return
        self.estimate(shown)
        if self.effects.get(self._key(shown)) is None:
            self.effects.keep(self._key(shown), self._compute(shown, lambda what, done, total: None))

    def show(
        self,
        trigger: Any,
        request: Request | None,
        mode: str | None,
        position: str | None,
        target: str | None,
        against: str | None,
        measure: str | None,
        session_id: str,
        theme: str | None = None,
        second: str | None = None,
        fit: str | None = None,
    ) -> tuple[Any, Any, bool]:
        """State (progress, error, offer), body, whether the tick may rest.

        Args:
            trigger: id of what was touched.
            request: what is shown.
            mode: how heads are ablated.
            position: a token's number as a text, "last" for the last.
            target: text of the watched token.
            against: text of the second token.
            measure: key of the measure that the grid shows.
            session_id: the visit.
            theme: "light" or "dark".
            second: the second prompt of an interchange.
            fit: how it is made to fit.
        """
        shown = find_shown(self.service, request, (), mode, position, target, against, second, fit)
        if shown is None:
            return None, no_prediction("Nothing is analyzed yet: type a prompt above and press Run."), True
        if shown.problem is not None:
            return None, no_prediction(sentence_of(shown.problem)), True
        if isinstance(shown.mode, Interchange):
            return self._follow_swap(trigger, shown, session_id)
        key = self._key(shown)
        if trigger == ids.EFFECTS_CANCEL:
            self.effects.leave(key, session_id)
            return effects_offer(), None, True
        effects = self.effects.get(key)
        if effects is not None:
            loaded = shown.analysis.loaded
            target_label, other_label = (
                token_label(loaded, token).strip("·") for token in (effects.target, effects.other)
            )
            chosen: MeasureKey = "probability"
            for key in MEASURES:
                if key == measure:
                    chosen = key
            model, text = loaded.name, shown.analysis.prompt.text
            both: Sequence[HeadEffects] = ()
            if shown.analysis.stream is not None:
                both = self.service.writing.total_and_direct(model, text, effects)
            estimate = self.estimate(shown)
            correlation = None
            if estimate is not None and chosen in estimate.changes:
                correlation = rank_correlation(estimate, effects, chosen)
            body = effects_body(
                effects, chosen, target_label, other_label, both, correlation, theme_name(theme)
            )
            return None, body, True
        view = self.effects.follow(
            key,
            lambda progress: self._compute(shown, progress, progress.publish),
            session_id,
            again=trigger != ids.EFFECTS_TICK,
        )
        if view.state == "failed" and view.error is not None:
            return alert(view.error), None, True
        if view.state == "cancelled":
            return effects_offer(), None, True
        # The map shows the rows as they come; what stood below it is of another prompt or token, so it goes.
        return progress_view(view, "Switching off every head, one by one", ids.EFFECTS_CANCEL), None, False


def register(app: Dash, view: EffectsView) -> None:
    """Add the view's callbacks to the app."""

    @app.callback(
        Output(ids.EFFECTS_STATE, "children"),
        Output(ids.EFFECTS_BODY, "children"),
        Output(ids.EFFECTS_TICK, "disabled"),
        Output(ids.EFFECTS_ROWS, "data"),
        Input(ids.REQUEST, "data"),
        Input(ids.MODE, "value"),
        Input(ids.POSITION, "value"),
        Input(ids.WATCH, "value"),
        Input(ids.AGAINST, "value"),
        Input(ids.VIEW, "value"),
        Input(ids.MEASURE, "value"),
        Input(ids.EFFECTS_TICK, "n_intervals"),
        Input({"type": "effects-button", "does": ALL}, "n_clicks"),
        Input(ids.SECOND, "value"),
        Input(ids.FIT, "value"),
        Input(ids.theme("live"), "data"),
        State(ids.SESSION_ID, "data"),
        State(ids.EFFECTS_ROWS, "data"),
    )
    def _(
        request,
        mode,
        position,
        target,
        against,
        view_key,
        measure,
        ticks,
        clicks,
        second,
        fit,
        theme,
        session_id,
        rows,
    ):
        if only_drawn("effects-button"):
            return (no_update,) * 4
        if view_key != "effects":
            return no_update, no_update, True, no_update
        state, body, rests = view.show(
            ctx.triggered_id,
            request,
            mode,
            position,
            target,
            against,
            measure,
            session_id or "",
            theme,
            second,
            fit,
        )
        # The map is coloured anew when this changes.
        return state, body, rests, (rows or 0) + 1
