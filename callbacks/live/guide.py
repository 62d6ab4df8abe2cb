"""Presets and lessons on the live page: opening one, the reveal, the steps. Progress stays in the browser."""

from dataclasses import dataclass, replace
from typing import Any

from dash import ALL, ClientsideFunction, Dash, Input, Output, State, ctx, no_update

from callbacks.clicks import clicked
from callbacks.live.context import Request, find_analysis, set_known
from components import ids
from components.guide.panel import lesson_card, lesson_finished, preset_card
from components.live.layout import PAGE as LIVE
from components.plots import theme_name
from utils.errors import UserFacingError
from utils.links.page_links import to_query
from utils.links.page_state import PageState
from utils.live.service import LiveService
from utils.teaching.lesson_acts import completed, condition
from utils.teaching.lessons import LessonSet, begins_anew, state_at
from utils.teaching.prepared_presets import PreparedPresets
from utils.teaching.presets import choose_model


@dataclass(frozen=True)
class Step:
    """What a click on the panel leads to; None is what stays as it is.

    Attributes:
        opened: the store of what is open.
        state: what the page shows from now on.
        go: the query of the page that is opened anew instead.
    """

    opened: dict[str, Any] | None = None
    state: PageState | None = None
    go: str | None = None


class Guide:
    """The panel's callbacks as plain methods.

    Args:
        service: the live entry point.
        presets: the presets, prepared or being prepared.
        lessons: the lessons.
    """

    def __init__(self, service: LiveService, presets: PreparedPresets, lessons: LessonSet) -> None:
        self.service = service
        self.presets = presets
        self.lessons = lessons

    def open(self, link: PageState) -> tuple[PageState, list[str]]:
        """What the page shows for a link that names a preset or a lesson, and what is wrong with it.

        What the link says besides stands over what the preset or the lesson says.
        """
        models = self.service.store.names()
        try:
            if link.preset is not None:
                opened = self.presets.open(link.preset, link.model, models)
                # What it is made for goes before the model that happens to be chosen.
                return replace(link, model=opened.model).over(opened.asked), []
            if link.lesson is not None:
                lesson = self.lessons.get(link.lesson)
                model = choose_model(lesson.model, lesson.title, link.model, models)
                link, number = replace(link, model=model), link.step or 1
                state, problems = state_at(
                    lesson, number, self.presets.presets, model, self.service.catalog_by_name(model)
                )
                return link.over(state), problems
        except UserFacingError as error:
            return replace(link, preset=None, lesson=None, step=None), [str(error)]
        return link, []

    def show(self, opened: dict[str, Any] | None, request: Request | None, theme: str | None) -> Any:
        """The panel for what is open; nothing where nothing is."""
        opened = opened or {}
        try:
            if opened.get("preset"):
                return self._show_preset(opened, request, theme_name(theme))
            if opened.get("lesson"):
                lesson = self.lessons.get(str(opened["lesson"]))
                if opened.get("finished"):
                    return lesson_finished(lesson)
                return lesson_card(lesson, int(opened.get("step") or 1), bool(opened.get("done")), ())
        except UserFacingError:
            pass  # the link's problems are shown where the page was opened
        return None

    def _show_preset(self, opened: dict[str, Any], request: Request | None, theme: str) -> Any:
        model = request["model"] if request else None
        found = self.presets.open(str(opened["preset"]), model)
        revealed = bool(opened.get("revealed")) or not found.asks
        effect = None
        if revealed and request is not None and found.model == request["model"]:
            effect = self.presets.effect(found)
        return preset_card(found.preset, found.problems, revealed, effect, theme)

    def press(self, button: str, opened: dict[str, Any] | None, request: Request | None) -> Step:
        """A click on one of the panel's buttons."""
        opened = opened or {}
        if button == "close":
            return Step(opened={})
        try:
            if opened.get("preset") and button == "reveal":
                model = request["model"] if request else None
                found = self.presets.open(str(opened["preset"]), model)
                return Step({**opened, "revealed": True}, found.revealed)
            if opened.get("lesson"):
                return self._move(button, opened, request)
        except UserFacingError:
            pass
        return Step()

    def _move(self, button: str, opened: dict[str, Any], request: Request | None) -> Step:
        lesson = self.lessons.get(str(opened["lesson"]))
        number = int(opened.get("step") or 1)
        if button == "answer":
            return Step({**opened, "done": True})
        to = number - 1 if button == "back" else number + 1
        if to < 1:
            return Step()
        if to > len(lesson.steps):
            return Step({**opened, "done": True, "finished": True})
        if button == "back" or begins_anew(lesson.step(to)):
            model = request["model"] if request else None
            return Step(go=to_query(PageState(model=model, lesson=lesson.key, step=to)))
        target = lesson.step(to).target
        return Step(
            {"lesson": lesson.key, "step": to}, PageState(target=target) if target is not None else None
        )

    def check(
        self,
        act: str | None,
        opened: dict[str, Any] | None,
        request: Request | None,
        head: str | None,
        off: list[str],
        view: str | None,
    ) -> dict[str, Any] | None:
        """The store of what is open, with the lesson's step done; None where that is not the case.

        Args:
            act: what the student has just done, a key of `lesson_acts.ACTS`, None for another thing.
            opened: what is open.
            request: what is shown.
            head: the head that the student chose.
            off: heads that are off.
            view: the view that is shown.
        """
        if not opened or not opened.get("lesson") or opened.get("done"):
            return None
        analysis, _ = find_analysis(self.service, request)
        if analysis is None:
            return None
        event: dict[str, Any] = {"act": act, "head": head, "off": off, "view": view}
        if analysis.catalog is not None:
            event["active"] = [
                role
                for role, heads in analysis.listed.items()
                if any(activity.is_active for activity in heads)
            ]
        try:
            step = self.lessons.get(str(opened["lesson"])).step(int(opened.get("step") or 1))
            needed = condition(step.act, analysis.catalog, analysis.loaded.name)
        except UserFacingError:
            return None
        return {**opened, "done": True} if completed(needed, event) else None


def register(app: Dash, guide: Guide) -> None:
    """Add the panel's callbacks to the app; those named by ClientsideFunction are in `assets/guide.js`."""
    app.callback(
        Output(ids.GUIDE, "children"),
        Input(ids.OPENED, "data"),
        Input(ids.REQUEST, "data"),
        Input(ids.theme(LIVE), "data"),
    )(guide.show)

    @app.callback(
        Output(ids.GO, "data"),
        Input({"type": "guide-button", "does": ALL}, "n_clicks"),
        State(ids.OPENED, "data"),
        State(ids.REQUEST, "data"),
        prevent_initial_call=True,
    )
    def _(clicks, opened, request):
        trigger: Any = ctx.triggered_id
        if not clicked():
            return no_update
        step = guide.press(trigger["does"], opened, request)
        state = step.state or PageState()
        shown = Request(model=state.model, prompt=state.prompt) if state.model and state.prompt else None

        def or_stays(value: Any) -> Any:
            return no_update if value is None else value

        off = None if state.ablated is None else [str(head) for head in sorted(state.ablated)]
        set_known(
            {
                ids.REQUEST: ("data", or_stays(shown if shown != request else None)),
                ids.PROMPT: ("value", or_stays(state.prompt)),
                ids.SELECTED: ("data", or_stays(str(state.head) if state.head else None)),
                ids.ABLATED: ("data", or_stays(off)),
                ids.MODE: ("value", or_stays(state.mode)),
                ids.WATCH: ("value", or_stays(state.target)),
                ids.VIEW: ("value", or_stays(state.view)),
                ids.OPENED: ("data", or_stays(step.opened)),
            }
        )
        return or_stays(step.go)

    @app.callback(
        Input(ids.REQUEST, "data"),
        Input(ids.CHOSEN, "data"),
        Input(ids.ABLATED, "data"),
        Input(ids.VIEW, "value"),
        Input(ids.HOVERED, "data"),
        State(ids.OPENED, "data"),
        prevent_initial_call=True,
    )
    def _(request, head, off, view, hovered, opened):
        acts = {ids.REQUEST: "run", ids.HOVERED: "hover_token"}
        chosen = head if ctx.triggered_id == ids.CHOSEN else None
        done = guide.check(acts.get(str(ctx.triggered_id)), opened, request, chosen, off, view)
        if done is not None:
            set_known({ids.OPENED: ("data", done)})

    app.clientside_callback(
        ClientsideFunction("headscope", "go"), Output(ids.GO, "data-gone"), Input(ids.GO, "data")
    )
    app.clientside_callback(
        ClientsideFunction("headscope", "openExample"),
        Output(ids.EXAMPLES, "data-opened"),
        Input(ids.EXAMPLES, "value"),
        State(ids.MODEL, "value"),
    )
    app.clientside_callback(
        ClientsideFunction("headscope", "keepLesson"),
        Output(ids.GUIDE, "data-cached"),
        Input(ids.OPENED, "data"),
    )
