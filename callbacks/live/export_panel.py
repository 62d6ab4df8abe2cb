"""The card "Export": makes the files that a student or a teacher saves. Nothing of them is kept."""

from collections.abc import Callable
from typing import Any, TypedDict

from dash import ALL, ClientsideFunction, Dash, Input, Output, State, dcc, no_update

from callbacks.answer.next_token_view import NOTHING_YET
from callbacks.live.context import SHOWN, Request, Shown, find_analysis, find_shown, parse_heads
from components import ids
from components.answer.effects_view import effects_sentence
from components.answer.random_sets_panel import random_sentence
from components.live.export_panel import FIGURES, LONGEST_LINE, included
from components.messages import alert
from utils.effects.effect_map import EffectMap
from utils.effects.measures import MEASURES
from utils.effects.prediction import Comparison, compare
from utils.effects.random_sets import RandomComparison
from utils.errors import UserFacingError
from utils.export.analysis_json import Chosen, export_analysis, export_text, file_name
from utils.export.heads_csv import heads_csv
from utils.export.lab_record import TITLE, Answer, LabRecord, make_record
from utils.export.record_formats import as_html, as_markdown
from utils.heads import Head
from utils.links.reading import LONGEST_QUERY
from utils.live.head_reading import read_head
from utils.live.map_views import map_view
from utils.live.service import LiveService
from utils.models.prompts import token_label
from utils.teaching.lessons import LessonSet
from utils.teaching.presets import PresetSet
from utils.writing.sentences import written_sentence

# By this Excel knows that a CSV file is UTF-8.
BYTE_ORDER_MARK = "\ufeff"
CANNOT_BE_SHOWN = "There is nothing to save: this prompt cannot be shown. The message above says why."
# An address is a query and the server's name.
LONGEST_LINK = LONGEST_QUERY + 300


class Held(TypedDict, total=False):
    """What the browser holds of the page; each as the callbacks of its own part take it."""

    request: Request | None
    off: list[str]
    mode: str | None
    position: str | None
    target: str | None
    against: str | None
    second: str | None
    fit: str | None
    head: str | None
    kind: str | None
    draws: str | None
    opened: dict[str, Any] | None
    author: str | None
    title: str | None
    notes: str | None


class ExportRequest(TypedDict):
    """A click on one of the buttons, made in the browser by export.js.

    Attributes:
        what: key of the button.
        link: address that shows the page again, "" where none can.
        answers: what was typed, by question.
    """

    what: str
    link: str
    answers: dict[str, str]


class ExportPanel:
    """The card's callbacks as plain methods.

    Args:
        service: the live entry point.
        effects: the effect map of what is shown, None where it was not computed.
        random_sets: the comparison with random sets (kind, draws) of what is shown, likewise.
        presets: whose questions a record answers.
        lessons: likewise.
    """

    def __init__(
        self,
        service: LiveService,
        effects: Callable[[Shown], EffectMap | None],
        random_sets: Callable[[Shown, str | None, str | None], RandomComparison | None],
        presets: PresetSet,
        lessons: LessonSet,
    ) -> None:
        self.service = service
        self.effects = effects
        self.random_sets = random_sets
        self.presets = presets
        self.lessons = lessons

    def show(self, request: Request | None) -> tuple[bool, str]:
        """Whether the buttons are disabled, and why."""
        if find_analysis(self.service, request)[0] is not None:
            return False, ""
        return True, CANNOT_BE_SHOWN if request else NOTHING_YET

    def _guide(self, opened: dict[str, Any] | None) -> tuple[str, str, list[str]]:
        """Title and kind of the preset or lesson that is open, and its questions; "" for none."""
        opened = opened or {}
        try:
            if opened.get("preset"):
                preset = self.presets.get(str(opened["preset"]))
                return preset.title, "preset", [preset.question] if preset.question else []
            if opened.get("lesson"):
                lesson = self.lessons.get(str(opened["lesson"]))
                export_request = [step.question for step in lesson.steps if step.question]
                return lesson.title, "lesson", list(dict.fromkeys(export_request))
        except UserFacingError:
            pass  # a link that names none of them; the page says so
        return "", "", []

    def questions(self, opened: dict[str, Any] | None) -> tuple[list[str], str]:
        """The questions whose answers a lab record takes along, and a sentence about them."""
        title, kind, questions = self._guide(opened)
        return questions, included(title, kind, len(questions))

    def figures(
        self, request: Request | None, chosen: str | None, measure: str | None, shown_map: str | None = None
    ) -> dict[str, dict[str, str]]:
        """The name of the file and the title of each figure."""
        if not request:
            return {}
        model = str(request.get("model"))
        head = next((str(head) for head in parse_heads([chosen])), "")
        view = map_view(shown_map)
        row = next((row for row in MEASURES.values() if row.key == measure), MEASURES["probability"])
        measured = f", {row.label[0].lower()}{row.label[1:]}" if view.needs == "effects" else ""
        parts = {"headscope-head": f"head-{head}" if head else "head"}
        titles = {
            "headscope-head": f"{head}: where each token looks",
            "headscope-map": f"All heads: {view.title[0].lower()}{view.title[1:]}{measured}",
        }
        return {
            key: {
                "name": file_name(model, parts.get(key, key.removeprefix("headscope-")), "").rstrip("."),
                "title": f"{titles.get(key, title)} ({model})",
            }
            for key, title in FIGURES.items()
        }

    def download(self, export_request: ExportRequest | None, held: Held) -> tuple[Any, Any]:
        """The file that was asked for, and what is said about it.

        Args:
            export_request: the click; None for none.
            held: what the page shows.
        """
        if not export_request:
            return no_update, no_update
        shown = find_shown(
            self.service,
            held.get("request"),
            held.get("off"),
            held.get("mode"),
            held.get("position"),
            held.get("target"),
            held.get("against"),
            held.get("second"),
            held.get("fit"),
        )
        if shown is None:
            return no_update, self.show(held.get("request"))[1]
        model, what = shown.analysis.loaded.name, export_request.get("what")
        try:
            if what == "analysis":
                text, name, kind = self._json(shown, export_request, held), "analysis", "json"
            elif what == "heads":
                text, name, kind = BYTE_ORDER_MARK + heads_csv(shown.analysis, shown.off), "heads", "csv"
            elif what == "markdown":
                text, name, kind = as_markdown(self._record(shown, export_request, held)), "lab-record", "md"
            elif what == "html":
                text, name, kind = as_html(self._record(shown, export_request, held)), "lab-record", "html"
            else:
                return no_update, no_update
        except UserFacingError as error:
            return no_update, alert(error)
        saved = file_name(model, name, kind)
        return dcc.send_string(text, saved), f"Saved as {saved}."

    def _chosen(self, shown: Shown, export_request: ExportRequest) -> Chosen:
        link = export_request.get("link")
        cached = link if isinstance(link, str) and len(link) <= LONGEST_LINK else ""
        return Chosen(frozenset(shown.off), shown.mode, shown.position, cached)

    def _comparison(self, shown: Shown) -> Comparison:
        clean, ablated = shown.logits(self.service, []), shown.logits(self.service, shown.off)
        return compare(clean, ablated, shown.target, shown.against)

    def _json(self, shown: Shown, export_request: ExportRequest, held: Held) -> str:
        return export_text(
            export_analysis(
                self.service,
                shown.analysis,
                self._chosen(shown, export_request),
                shown.target,
                shown.against,
                effect_map=self.effects(shown),
                random_sets=self._random(shown, held),
            )
        )

    def _random(self, shown: Shown, held: Held) -> RandomComparison | None:
        return self.random_sets(shown, held.get("kind"), held.get("draws")) if shown.off else None

    def _record(self, shown: Shown, export_request: ExportRequest, held: Held) -> LabRecord:
        guide, _, questions = self._guide(held.get("opened"))
        answers = export_request.get("answers") or {}
        return make_record(
            shown.analysis,
            self._chosen(shown, export_request),
            self._comparison(shown),
            findings=self._findings(shown, held),
            answers=[
                Answer(question, str(answers[question])) for question in questions if answers.get(question)
            ],
            notes=held.get("notes") or "",
            title=_line(held.get("title")) or (f"{TITLE}: {guide}" if guide else TITLE),
            author=_line(held.get("author")),
        )

    def _written(self, shown: Shown, head: Head) -> str:
        """What the chosen head does with what it attends to."""
        model, text = shown.analysis.loaded.name, shown.analysis.prompt.text
        reading = self.service.writing.reading(model, text, head, shown.position, shown.target, shown.against)
        return written_sentence(shown.analysis.loaded, reading)

    def _findings(self, shown: Shown, held: Held) -> list[str]:
        """What the page says in words besides the prediction: the chosen head, and what was computed."""

        def label(token: int) -> str:
            return token_label(shown.analysis.loaded, token).strip("·")

        heads = parse_heads([held.get("head")], shown.analysis)
        findings = [read_head(shown.analysis, head).sentence for head in heads]
        effects, compared = self.effects(shown), self._random(shown, held)
        if heads and shown.analysis.stream is not None:
            findings.append(self._written(shown, heads[0]))
        if compared is not None:
            findings.append(random_sentence(compared, label(compared.target)))
        if effects is not None:
            findings.append(effects_sentence(effects, label(effects.target)))
        return findings


def _line(text: Any) -> str:
    return str(text or "").strip()[:LONGEST_LINE]


def register(app: Dash, panel: ExportPanel) -> None:
    """Add the card's callbacks to the app; those named by ClientsideFunction are in `assets/export.js`."""
    app.callback(
        Output(ids.EXPORT, "disabled"),
        Output(ids.EXPORT_STATUS, "children"),
        Input(ids.REQUEST, "data"),
    )(panel.show)
    app.callback(
        Output(ids.EXPORT_QUESTIONS, "data"),
        Output(ids.EXPORT_INCLUDED, "children"),
        Input(ids.OPENED, "data"),
    )(panel.questions)
    app.callback(
        Output(ids.EXPORT_NAMES, "data"),
        Input(ids.REQUEST, "data"),
        Input(ids.SELECTED, "data"),
        Input(ids.MEASURE, "value"),
        Input(ids.MAP_VIEW, "value"),
    )(panel.figures)
    app.clientside_callback(
        ClientsideFunction("headscope", "keepFigureNames"),
        Output(ids.EXPORT_FIGURES, "data-named"),
        Input(ids.EXPORT_NAMES, "data"),
    )
    app.clientside_callback(
        ClientsideFunction("headscope", "askExport"),
        Output(ids.EXPORT_REQUEST, "data"),
        Input({"type": "export", "what": ALL}, "n_clicks"),
        State(ids.LINK, "data"),
        State(ids.EXPORT_QUESTIONS, "data"),
        prevent_initial_call=True,
    )
    app.callback(
        output=(
            Output(ids.EXPORT_FILE, "data"),
            Output(ids.EXPORT_STATUS, "children", allow_duplicate=True),
        ),
        inputs={"export_request": Input(ids.EXPORT_REQUEST, "data")},
        state={
            "held": {
                **{name: State(*index) for name, index in SHOWN.items()},
                "head": State(ids.SELECTED, "data"),
                "kind": State(ids.RANDOM_KIND, "value"),
                "draws": State(ids.RANDOM_DRAWS, "value"),
                "opened": State(ids.OPENED, "data"),
                "author": State(ids.RECORD_AUTHOR, "value"),
                "title": State(ids.RECORD_TITLE, "value"),
                "notes": State(ids.RECORD_NOTES, "value"),
            }
        },
        prevent_initial_call=True,
    )(panel.download)
