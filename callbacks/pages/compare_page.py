"""The page that compares: what is asked for, loading the models for it, the two sides, the link to them."""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from threading import Lock
from typing import Any

from dash import ALL, ClientsideFunction, Dash, Input, Output, State, ctx, no_update

from callbacks.clicks import clicked, only_drawn
from components import ids
from components.addresses import address
from components.compare.page import PAGE, PAIRS, cancelled, compare_layout, pair_state
from components.compare.view import SIDES, compare_view
from components.messages import alert
from components.progress import progress_view
from utils.compare.changed_heads import Compared, compare
from utils.compare.links import CompareState, from_query, to_query
from utils.errors import UserFacingError
from utils.links.page_links import to_query as live_query
from utils.links.page_state import PageState
from utils.links.reading import read_store
from utils.live.analysis import LiveAnalysis
from utils.live.service import LiveService
from utils.runtime.jobs import Jobs, Progress

# Answers that a job has left for the pages that wait for it.
MAX_CACHED = 32


def _live_link(model: str, prompt: str) -> str:
    """The address of the live page that shows a prompt; "" where no link can hold it."""
    try:
        return address("/" + live_query(PageState(model=model, prompt=prompt)))
    except UserFacingError:
        return ""


class ComparePage:
    """The callbacks of the page, as plain methods.

    Args:
        service: the live entry point.
    """

    def __init__(self, service: LiveService) -> None:
        self.service = service
        self.jobs = Jobs(workers=2, time_limit=None)
        self._answers: OrderedDict[CompareState, Compared] = OrderedDict()
        self._guard = Lock()

    def layout(self, query: str) -> Any:
        """The page as a link opens it, or on the first pair."""
        models = self.service.store.names()
        if not models:
            return compare_layout(models, None, self.service.max_tokens)
        state, problems = from_query(query, models, pair_state(0, models))
        return compare_layout(models, state, self.service.max_tokens, problems)

    def ask(
        self, trigger: Any, left_model: str, left: str | None, right_model: str, right: str | None
    ) -> CompareState | None:
        """What a touch asks for: the boxes as they are, swapped, with one prompt, or a pair worth comparing.

        Args:
            trigger: id of what was touched.
            left_model: as chosen.
            left: as typed.
            right_model: as chosen.
            right: as typed; nothing is the same as on the left.
        """
        if isinstance(trigger, dict):
            models, number = self.service.store.names(), trigger.get("number")
            if not models or not isinstance(number, int) or not 0 <= number < len(PAIRS):
                return None
            return pair_state(number, models)
        state = CompareState(left_model, left or "", right_model, right or "")
        if trigger == ids.COMPARE_SWAP:
            return CompareState(state.right_model, state.right, state.left_model, state.left)
        if trigger == ids.COMPARE_COPY or not state.right.strip():
            return replace(state, right=state.left)
        return state

    def _analyze(self, side: int, model: str, prompt: str) -> LiveAnalysis:
        with _side(side):
            return self.service.analyze(model, prompt)

    def _compare(self, state: CompareState) -> Compared:
        left, right = (self._analyze(side, *pair) for side, pair in enumerate(state.sides))
        return compare(left, right)

    def _work(self, state: CompareState, progress: Progress) -> None:
        """Load the models, one after the other, and leave the answer: the second may push the first out."""
        analyses = []
        for side, (model, prompt) in enumerate(state.sides):
            self.service.store.get(
                model, lambda what, done, total, name=model: progress(f"{name}: {what}", done, total)
            )
            analyses.append(self._analyze(side, model, prompt))
        answer = compare(*analyses)
        with self._guard:
            self._answers[state] = answer
            while len(self._answers) > MAX_CACHED:
                self._answers.popitem(last=False)

    def follow(self, trigger: Any, wanted: Any, session_id: str) -> tuple[Any, Any, Any, bool, Any]:
        """Compare at once where the models are loaded; else load them first.

        Args:
            trigger: id of what was touched, or of the tick or the store.
            wanted: what is to be compared.
            session_id: the visit.

        Returns:
            body, error to show, progress to show, whether the tick may rest, the query of what is shown. What
            was shown stays where the new comparison cannot be.
        """
        state = read_store(CompareState, wanted)
        if state is None:
            return no_update, no_update, None, True, no_update
        if isinstance(trigger, dict):
            self.jobs.leave(state, session_id)
            return no_update, None, cancelled(), True, no_update
        try:
            answer = self._answer(state, trigger, session_id)
        except UserFacingError as error:
            return no_update, alert(error), None, True, no_update
        if not isinstance(answer, Compared):
            return no_update, None, answer, False, no_update
        try:
            query = to_query(state)
        except UserFacingError:
            query = ""
        links = [_live_link(model, prompt) for model, prompt in state.sides]
        return compare_view(answer, links), None, None, True, query

    def _answer(self, state: CompareState, trigger: Any, session_id: str) -> Any:
        """The comparison, or the progress of what has to be loaded for it.

        Raises:
            UserFacingError: it cannot be made.
        """
        names = self.service.store.names()
        for side, (model, prompt) in enumerate(state.sides):
            if model not in names:
                raise UserFacingError(
                    f"{SIDES[side]} side: there is no such model.", f"Choose one of: {', '.join(names)}."
                )
            with _side(side):
                self.service.check_characters(prompt)
        if all(self.service.store.is_loaded(model) for model, _ in state.sides):
            return self._compare(state)
        view = self.jobs.view(state)
        if view is not None and view.state == "done":
            with self._guard:
                answer = self._answers.get(state)
            if answer is not None:
                return answer
        if view is None or (view.ended and (view.state != "failed" or trigger != ids.COMPARE_TICK)):
            view = self.jobs.start(state, lambda progress: self._work(state, progress), session_id)
        if view.error is not None:
            raise view.error
        models = " and ".join(dict.fromkeys(model for model, _ in state.sides))
        return progress_view(view, f"Loading {models}", ids.cancel_compare(PAGE))


@contextmanager
def _side(side: int) -> Iterator[None]:
    """Errors within name the side."""
    try:
        yield
    except UserFacingError as error:
        raise UserFacingError(f"{SIDES[side]} side: {error.message}", error.remedy) from error


def register(app: Dash, page: ComparePage) -> None:
    """Add the page's callbacks; those named by ClientsideFunction are in `assets/compare.js`."""
    boxes = (ids.COMPARE_LEFT_MODEL, ids.COMPARE_LEFT, ids.COMPARE_RIGHT_MODEL, ids.COMPARE_RIGHT)

    @app.callback(
        Output(ids.COMPARE_WANTED, "data"),
        *(Output(box, "value") for box in boxes),
        Input(ids.COMPARE_RUN, "n_clicks"),
        Input(ids.COMPARE_SWAP, "n_clicks"),
        Input(ids.COMPARE_COPY, "n_clicks"),
        Input({"type": "compare-example", "number": ALL}, "n_clicks"),
        *(State(box, "value") for box in boxes),
        prevent_initial_call=True,
    )
    def _(run, swap, copy, tries, left_model, left, right_model, right):
        if not clicked():
            return (no_update,) * 5
        state = page.ask(ctx.triggered_id, left_model, left, right_model, right)
        if state is None:
            return (no_update,) * 5
        return asdict(state), *asdict(state).values()

    @app.callback(
        Output(ids.COMPARE_BODY, "children"),
        Output(ids.COMPARE_ALERT, "children"),
        Output(ids.COMPARE_PROGRESS, "children"),
        Output(ids.COMPARE_TICK, "disabled"),
        Output(ids.COMPARE_LINK, "data"),
        Input(ids.COMPARE_WANTED, "data"),
        Input(ids.COMPARE_TICK, "n_intervals"),
        Input({"type": "cancel-compare", "page": ALL}, "n_clicks"),
        State(ids.SESSION_ID, "data"),
    )
    def _(wanted, ticks, cancels, session_id):
        if only_drawn("cancel-compare"):
            return (no_update,) * 5
        return page.follow(ctx.triggered_id, wanted, session_id or "")

    app.clientside_callback(
        ClientsideFunction("compare", "showLink"),
        Output(ids.COMPARE_BODY, "data-link"),
        Input(ids.COMPARE_LINK, "data"),
    )
