"""What the lab shows of a reading: prompt and answer, rankings, the chosen head, the answer without heads."""

from typing import Any

from dash import html, no_update

from callbacks.lab.context import parse_view
from callbacks.lab.readings import LabReadings
from components import ids
from components.lab.ablation import off_view
from components.lab.head import head_message, rows_figure, rows_height, rows_table, window_message
from components.lab.page import PAGE, cancelled
from components.lab.rankings import (
    empty_figure,
    grid_height,
    method_message,
    score_grid,
    scores_table,
    top_list,
)
from components.lab.text import answer_view, prompt_facts, prompt_text, sentence_list
from components.messages import alert
from components.plain_html import to_html
from components.plots import theme_name
from components.progress import progress_view
from retrieval.lab.ablation import LabAblation
from retrieval.lab.agreement import agreement, scored_heads
from retrieval.lab.rows import look_of
from retrieval.lab.samples import own_sentences
from retrieval.rankings.methods import METHODS
from utils.catalog.rankings import rank_order
from utils.errors import UserFacingError

AGAIN = "Press Ablate and answer to try again."


class LabViews:
    """The views' callbacks as plain methods; texts and tables go out as HTML text.

    Args:
        readings: what has been read.
    """

    def __init__(self, readings: LabReadings) -> None:
        self.readings = readings

    def show_prompt(self, shown: Any) -> tuple[Any, Any, Any]:
        """The answer, facts about the prompt, the prompt."""
        reading = self.readings.shown(shown)
        if reading is None:
            return "", "", ""
        parts = (answer_view(reading), prompt_facts(reading), prompt_text(reading))
        return to_html(parts[0]), to_html(parts[1]), to_html(parts[2])

    def show_sentences(self, text: str | None, needle: Any) -> Any:
        """The sentences of the visitor's text, to choose the needle from."""
        document = (text or "").strip()
        chosen = needle if type(needle) is int else None
        try:
            return to_html(sentence_list(document, own_sentences(document), chosen))
        except UserFacingError as error:
            return to_html(html.P(str(error), className="hs-hint"))

    def show_method(self, shown: Any, method: Any, head: Any, theme: str | None) -> tuple[Any, ...]:
        """What the method says on this prompt and over the catalog's.

        Returns:
            words; grid of this prompt, grid of the catalog, the style of each; that of the place of the
            second; list of the first heads; table.
        """
        reading = self.readings.shown(shown)
        if reading is None:
            return (no_update,) * 8
        view, colours = parse_view(method, None, head, None, None), theme_name(theme)
        here = reading.rankings[view.method].scores
        catalog = self.readings.catalog(reading.prompt.model, view.method)
        there = None if catalog is None else catalog.scores
        alike = agreement(here, there) if here is not None and there is not None else None
        grids = [
            empty_figure(colours, "no ranking") if scores is None else score_grid(scores, view.head, colours)
            for scores in (here, there)
        ]
        some = here if here is not None else there
        style = {"height": grid_height(1 if some is None else len(some))}
        return (
            to_html(method_message(METHODS[view.method], reading.rankings[view.method], catalog, alike)),
            *grids,
            style,
            style,
            {} if there is not None else {"display": "none"},
            to_html(top_list(here, catalog, view.head)),
            to_html(scores_table(here, catalog)),
        )

    def show_head(self, shown: Any, head: Any, theme: str | None) -> tuple[Any, ...]:
        """Where the chosen head looks: words, figure and its style, table, shades of the text."""
        reading = self.readings.shown(shown)
        chosen = parse_view(None, None, head, None, None).head
        if reading is None or chosen is None:
            return (no_update,) * 5
        try:
            look = look_of(self.readings.rows(reading), chosen)
        except (IndexError, UserFacingError):
            return (no_update,) * 5
        needle = reading.encoded.spans.get("needle")
        return (
            to_html([head_message(look), window_message(look, reading.labels, needle)]),
            rows_figure(look, reading.labels, needle, theme_name(theme)),
            {"height": rows_height(look)},
            to_html(rows_table(look, reading.labels)),
            [round(value, 3) for value in look.looks.tolist()],
        )

    def show_off(
        self, trigger: Any, shown: Any, method: Any, ranking: Any, k: Any, mode: Any, session_id: str
    ) -> tuple[Any, Any, bool]:
        """Ablate the first k heads, and random ones, where that is asked for or has been.

        Returns:
            progress or error, what came of it, whether the tick may rest.
        """
        reading = self.readings.shown(shown)
        view = parse_view(method, ranking, None, k, mode)
        if reading is None or view.k is None:
            return None, no_update, True
        scores = reading.rankings[view.method].scores
        if view.ranking == "catalog":
            catalog = self.readings.catalog(reading.prompt.model, view.method)
            scores = None if catalog is None else catalog.scores
        if scores is None:
            where = "on this prompt" if view.ranking == "here" else "in the catalog"
            return None, f"{METHODS[view.method].name} has no ranking {where}: no head comes first.", True
        top = rank_order(scores)[: view.k]
        if isinstance(trigger, dict):
            self.readings.leave_ablation(reading, top, view.mode, session_id)
            return cancelled(AGAIN), "", True
        asked = trigger in (ids.LAB_OFF_RUN, ids.LAB_OFF_TICK)
        if not asked and not self.readings.ablates(reading, top, view.mode):
            # Other heads, or another prompt: what stands here is not about them.
            known = self.readings.known_ablation(reading, top, view.mode)
            return None, "" if known is None else to_html(off_view(known, scored_heads(scores))), True
        try:
            found = self.readings.ablation(
                reading, top, view.mode, session_id, again=trigger == ids.LAB_OFF_RUN
            )
        except UserFacingError as error:
            return alert(error), "", True
        if isinstance(found, LabAblation):
            return None, to_html(off_view(found, scored_heads(scores))), True
        if found.ended:
            return cancelled(AGAIN), "", True
        return (
            progress_view(found, "Answering with heads ablated", ids.cancel_lab_off(PAGE)),
            no_update,
            False,
        )
