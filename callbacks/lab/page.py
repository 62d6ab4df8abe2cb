"""The retrieval lab: what is asked and how far it is, the controls that come with it, the link to it."""

from dataclasses import asdict, replace
from typing import Any

from dash import no_update

from callbacks.lab.context import parse_view, whole
from callbacks.lab.readings import LabReadings
from callbacks.lab.study_card import LabStudy
from components import ids
from components.lab.form import GENERATED, filing_options
from components.lab.page import PAGE, cancelled, lab_layout
from components.lab.text import writing_view
from components.messages import alert
from components.plain_html import to_html
from components.progress import progress_view
from retrieval.lab.ablation import most_heads, suitable_k
from retrieval.lab.reading import LabReading
from retrieval.lab.state import LabPrompt, LabState, from_query, to_query
from retrieval.rankings.methods import METHODS
from utils.catalog.rankings import rank_order
from utils.errors import UserFacingError
from utils.heads import Head
from utils.links.reading import read_store

AGAIN = "Press Read and answer to try again."


class LabPage:
    """The callbacks of the page, as plain methods; what is shown of a reading is `lab_views`.

    Args:
        readings: what has been read.
        study: the study's figures.
    """

    def __init__(self, readings: LabReadings, study: LabStudy) -> None:
        self.readings = readings
        self.study = study

    def layout(self, query: str) -> Any:
        """The page as a link opens it, or on the first question."""
        models = self.readings.service.store.names()
        methods = {key: method.name for key, method in METHODS.items()}
        if not models:
            return lab_layout(models, None, methods, {}, {})
        state, problems = from_query(query, models)
        figures, study_problem = self.study.menu()
        return lab_layout(models, state, methods, figures, self.readings.filings, study_problem, problems)

    def ask(
        self,
        trigger: Any,
        model: str,
        question: str,
        length: Any,
        depth: Any,
        seed: Any,
        filing: str | None,
        text: str | None,
        asked: str | None,
        answer: str | None,
        needle: Any,
    ) -> LabPrompt:
        """What the form asks for, the next filing where that button was pressed (a real one by the menu).

        Raises:
            UserFacingError: a box for a number holds none.
        """
        first = LabPrompt(model, question)
        prompt = LabPrompt(
            model=model,
            question=question,
            length=whole(length, "The length", None),
            depth=whole(depth, "The depth", first.depth) or 0,
            seed=whole(seed, "The filing's number", first.seed) or 0,
            filing="" if filing in (None, GENERATED) else filing,
            text=text or "",
            asked=asked or "",
            answer=answer or "",
            needle=needle if type(needle) is int and needle >= 0 else None,
        )
        if trigger != ids.LAB_ANOTHER:
            return prompt
        if not prompt.real:
            return replace(prompt, seed=prompt.seed + 1)
        names = [option["value"] for option in self.filings(question)][1:]
        at = names.index(prompt.filing) + 1 if prompt.filing in names else 0
        return replace(prompt, filing=names[at % len(names)] if names else "")

    def filings(self, question: str | None) -> list[Any]:
        """The menu of filings that answer a question."""
        return filing_options(self.readings.filings, question or "")

    def choose_filings(self, question: str | None, filing: str | None) -> tuple[Any, Any]:
        """That menu, and the filing that stays chosen in it."""
        options = self.filings(question)
        values = [option["value"] for option in options]
        return options, filing if filing in values else GENERATED

    def follow(self, trigger: Any, wanted: Any, session_id: str) -> tuple[Any, Any, bool, Any, Any]:
        """Read what is asked for.

        Args:
            trigger: id of what was touched, or of the tick or the store.
            wanted: what is asked for.
            session_id: the visit.

        Returns:
            progress to show, error to show, whether the tick may rest, what is shown now, the answer while it
            is being written. What was shown stays where the new prompt cannot be read.
        """
        prompt = read_store(LabPrompt, wanted)
        if prompt is None:
            return None, None, True, no_update, ""
        if isinstance(trigger, dict):
            self.readings.leave(prompt, session_id)
            return cancelled(AGAIN), None, True, no_update, ""
        try:
            found = self.readings.follow(prompt, session_id, again=trigger != ids.LAB_TICK)
        except UserFacingError as error:
            return None, alert(error), True, no_update, ""
        if isinstance(found, LabReading):
            return None, None, True, asdict(prompt), ""
        if found.ended:
            return cancelled(AGAIN), None, True, no_update, ""
        view = progress_view(found, f"Reading with {prompt.model}", ids.cancel_lab(PAGE))
        writing = to_html(writing_view(found.partial)) if found.partial else ""
        return view, None, False, no_update, writing

    def controls(self, shown: Any, method: Any, head: Any, k: Any) -> tuple[Any, Any, Any, Any]:
        """The menu of heads with the chosen one, and the slider's end with its place."""
        reading = self.readings.shown(shown)
        if reading is None:
            return no_update, no_update, no_update, no_update
        loaded = self.readings.service.store.get(reading.prompt.model)
        geometry, view = loaded.geometry, parse_view(method, None, head, k, None)
        names = [
            str(Head(layer, number))
            for layer in range(geometry.n_layers)
            for number in range(geometry.n_heads)
        ]
        scores = reading.rankings[view.method].scores
        first = str(rank_order(scores)[0]) if scores is not None else names[0]
        most = most_heads(loaded)
        return (
            [{"label": name, "value": name} for name in names],
            str(view.head) if str(view.head) in names else first,
            most,
            suitable_k(loaded) if view.k is None else min(view.k, most),
        )

    def link(self, shown: Any, method: Any, ranking: Any, head: Any, k: Any, mode: Any) -> Any:
        """The query that restores what is shown; None where nothing is, or no link can hold it."""
        reading = self.readings.shown(shown)
        if reading is None:
            return None
        try:
            return to_query(LabState(reading.prompt, parse_view(method, ranking, head, k, mode)))
        except UserFacingError:
            return None
