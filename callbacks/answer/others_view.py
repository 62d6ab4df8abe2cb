"""The view "Other heads": the role scores of all others, clean and ablated, beside random sets, as a job."""

from collections.abc import Hashable
from typing import Any

from dash import ALL, Dash, Input, Output, State, ctx, no_update

from callbacks.answer.next_token_view import NOTHING_YET
from callbacks.background import Background
from callbacks.clicks import only_drawn
from callbacks.live.context import SHOWN, Request, Shown, find_shown
from components import ids
from components.answer.others_view import others_view
from components.answer.prediction_panel import no_prediction
from components.messages import alert, sentence_of
from components.plain_html import to_html
from components.progress import progress_view
from utils.effects.changed_roles import RandomScores, random_scores
from utils.effects.prediction import name_heads
from utils.errors import UserFacingError
from utils.live.service import LiveService
from utils.roles.registry import ROLES
from utils.runtime.jobs import Progress

# Each holds every head's scores without twenty sets.
MAX_CACHED = 100
# A smaller change of a head's score is not told beside it.
MIN_TOLD = 0.02


def _key(shown: Shown) -> Hashable:
    return (shown.analysis.loaded.name, shown.analysis.prompt.ids, tuple(shown.off), shown.mode)


class OthersView:
    """The view's callbacks as plain methods.

    Args:
        service: the live entry point.
    """

    def __init__(self, service: LiveService) -> None:
        self.service = service
        self.random: Background[RandomScores] = Background(MAX_CACHED, shared=service.shared(RandomScores))

    def _compute(self, shown: Shown, progress: Progress) -> RandomScores:
        analysis = shown.analysis
        roles = list(analysis.scores.live)
        return random_scores(
            analysis.loaded, analysis.prompt.ids, shown.off, roles, shown.mode, progress=progress
        )

    def show(self, trigger: Any, shown: Shown | None, session_id: str) -> tuple[Any, Any, bool]:
        """State (progress, error), body, whether the tick may rest.

        Args:
            trigger: id of what was touched.
            shown: what the page is about.
            session_id: the visit.
        """
        if shown is None:
            return None, no_prediction(NOTHING_YET), True
        if shown.problem is not None:
            return None, no_prediction(sentence_of(shown.problem)), True
        if not shown.off:
            return None, no_prediction("Ablate a head to see what becomes of the others."), True
        model, text, key = shown.analysis.loaded.name, shown.analysis.prompt.text, _key(shown)
        random, state = self.random.get(key), None
        if trigger == ids.OTHERS_CANCEL:
            self.random.leave(key, session_id)
            state = no_prediction("The random sets were stopped.")
        elif random is None:
            view = self.random.follow(
                key,
                lambda progress: self._compute(shown, progress),
                session_id,
                again=trigger != ids.OTHERS_TICK,
            )
            if view.error is not None:
                state = alert(view.error)
            elif not view.ended:
                state = progress_view(view, "Random sets, for comparison", ids.OTHERS_CANCEL)
            random = self.random.get(key)
        changed = self.service.writing.changed(model, text, shown.off, shown.mode, random)
        draws = len(random.sets.sets) if random else 0
        waits = random is None and trigger != ids.OTHERS_CANCEL and state is not None
        return None if random else state, others_view(changed, name_heads(shown.off), draws), not waits

    def scores_without(
        self,
        request: Request | None,
        off: list[str],
        mode: str | None,
        second: str | None,
        fit: str | None,
    ) -> dict[str, list[str]]:
        """What became of the roles of the other heads, in words by head, for the map's cards and the lists.

        Args:
            request: what is shown.
            off: names of the ablated heads.
            mode: how they are ablated.
            second: the second prompt of an interchange.
            fit: how it is made to fit.
        """
        shown = find_shown(self.service, request, off, mode, second=second, fit=fit)
        if shown is None or not shown.off:
            return {}
        analysis = shown.analysis
        try:
            ablated = self.service.analyze_ablated(
                analysis.loaded.name, analysis.prompt.text, shown.off, shown.mode
            )
        except UserFacingError:
            return {}
        told: dict[str, list[str]] = {}
        for head, roles in analysis.by_head.items():
            for role, activity in roles.items():
                now = float(ablated.scores.live[role][head.layer, head.head])
                if head not in shown.off and abs(now - activity.live) >= MIN_TOLD:
                    name = ROLES[role].display_name.split(" (")[0].lower()
                    told.setdefault(str(head), []).append(f"{name} {activity.live:.2f} → {now:.2f}")
        return told


def register(app: Dash, view: OthersView) -> None:
    """Add the view's callbacks; what is told beside a head is shown by `assets/head_map.js`."""

    @app.callback(
        Output(ids.OTHERS_STATE, "children"),
        Output(ids.OTHERS_BODY, "data-html"),
        Output(ids.OTHERS_TICK, "disabled"),
        *(Input(*slot) for slot in SHOWN.values()),
        Input(ids.VIEW, "value"),
        Input(ids.OTHERS_TICK, "n_intervals"),
        Input({"type": "others-button", "does": ALL}, "n_clicks"),
        State(ids.SESSION_ID, "data"),
    )
    def _(request, off, mode, position, target, against, second, fit, view_key, ticks, clicks, session_id):
        if only_drawn("others-button"):
            return (no_update,) * 3
        if view_key != "others":
            return no_update, no_update, True
        shown = find_shown(view.service, request, off, mode, position, target, against, second, fit)
        state, body, rests = view.show(ctx.triggered_id, shown, session_id or "")
        return state, to_html(body), rests

    # After the headline, which waits for the same model.
    app.callback(
        Output(ids.ABLATED_SCORES, "data"),
        Input(ids.HEADLINE, "data-html"),
        State(ids.REQUEST, "data"),
        State(ids.ABLATED, "data"),
        State(ids.MODE, "value"),
        State(ids.SECOND, "value"),
        State(ids.FIT, "value"),
        prevent_initial_call=True,
    )(lambda headline, *shown: view.scores_without(*shown))
