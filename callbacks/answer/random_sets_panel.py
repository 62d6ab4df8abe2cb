"""The heads that are off against random sets of as many heads, computed in the background when asked."""

from collections.abc import Hashable
from typing import Any

from dash import ALL, Dash, Input, Output, State, ctx, no_update

from callbacks.background import Background
from callbacks.clicks import only_drawn
from callbacks.live.context import SHOWN, Shown, find_shown
from components import ids
from components.answer.prediction_panel import no_prediction
from components.answer.random_sets_panel import random_body
from components.messages import alert
from components.plots import theme_name
from components.progress import progress_view
from utils.effects.random_sets import DRAWS, MAX_DRAWS, RandomComparison, SetKind, compare_with_random
from utils.live.service import LiveService
from utils.models.prompts import token_label
from utils.runtime.jobs import Progress

MAX_CACHED = 500


def _draws(kind: str | None, draws: str | None) -> tuple[SetKind, int]:
    return (
        "uniform" if kind == "uniform" else "layer-matched",
        MAX_DRAWS if draws == str(MAX_DRAWS) else DRAWS,
    )


def _key(shown: Shown, kind: str | None, draws: str | None) -> Hashable:
    run = shown.analysis.loaded.name, shown.analysis.prompt.ids, tuple(shown.off), shown.mode
    return *run, shown.position, shown.target, shown.against, *_draws(kind, draws)


class RandomSetsPanel:
    """The panel's callbacks as plain methods.

    Args:
        service: the live entry point.
    """

    def __init__(self, service: LiveService) -> None:
        self.service = service
        self.results: Background[RandomComparison] = Background(
            MAX_CACHED, shared=service.shared(RandomComparison)
        )

    def _compute(self, shown: Shown, kind: SetKind, draws: int, progress: Progress) -> RandomComparison:
        return compare_with_random(
            shown.analysis.loaded,
            shown.analysis.prompt.ids,
            shown.off,
            shown.target,
            shown.against,
            shown.position,
            shown.mode,
            kind,
            draws,
            progress=progress,
        )

    def known(self, shown: Shown, kind: str | None, draws: str | None) -> RandomComparison | None:
        """The comparison of what is shown, None where nobody has asked for it yet; arguments as in `show`."""
        return self.results.get(_key(shown, kind, draws))

    def show(
        self,
        trigger: Any,
        shown: Shown | None,
        kind: str | None,
        draws: str | None,
        theme: str | None,
        session_id: str,
    ) -> tuple[Any, Any, bool]:
        """State (progress, error, what to do), body, whether the tick may rest.

        Args:
            trigger: id of what was touched.
            shown: what the page is about.
            kind: how random sets are drawn.
            draws: how many, as a text.
            theme: "light" or "dark".
            session_id: the visit.
        """
        if shown is None or not shown.off:
            return no_prediction("Ablate a head first."), None, True
        loaded = shown.analysis.loaded
        chosen, count = _draws(kind, draws)
        key = _key(shown, kind, draws)
        if trigger == ids.RANDOM_CANCEL:
            self.results.leave(key, session_id)
            return no_prediction("Stopped."), None, True
        result = self.results.get(key)
        if result is not None:
            label = token_label(loaded, result.target).strip("·")
            return None, random_body(result, label, theme_name(theme)), True
        under_way = self.results.view(key)
        if trigger not in (ids.RANDOM_RUN, ids.RANDOM_TICK) and (under_way is None or under_way.ended):
            # Another set, token or prompt: what stood here is not about it.
            return None, None, True
        view = self.results.follow(
            key,
            lambda progress: self._compute(shown, chosen, count, progress),
            session_id,
            again=trigger == ids.RANDOM_RUN,
        )
        if view.error is not None:
            return alert(view.error), None, True
        if view.state == "cancelled":
            return no_prediction("Stopped."), None, True
        return progress_view(view, "Switching off random sets", ids.RANDOM_CANCEL), None, False


def register(app: Dash, panel: RandomSetsPanel) -> None:
    """Add the panel's callbacks to the app."""

    @app.callback(
        Output(ids.RANDOM_STATE, "children"),
        Output(ids.RANDOM_BODY, "children"),
        Output(ids.RANDOM_TICK, "disabled"),
        *(Input(*index) for index in SHOWN.values()),
        Input(ids.RANDOM_KIND, "value"),
        Input(ids.RANDOM_DRAWS, "value"),
        Input(ids.RANDOM_RUN, "n_clicks"),
        Input(ids.RANDOM_TICK, "n_intervals"),
        Input({"type": "random-button", "does": ALL}, "n_clicks"),
        Input(ids.theme("live"), "data"),
        Input(ids.VIEW, "value"),
        State(ids.SESSION_ID, "data"),
    )
    def _(
        request,
        off,
        mode,
        position,
        target,
        against,
        second,
        fit,
        kind,
        draws,
        run,
        ticks,
        clicks,
        theme,
        view_key,
        session_id,
    ):
        if only_drawn("random-button"):
            return (no_update,) * 3
        if view_key != "random":
            return no_update, no_update, True
        shown = find_shown(panel.service, request, off, mode, position, target, against, second, fit)
        return panel.show(ctx.triggered_id, shown, kind, draws, theme, session_id or "")
