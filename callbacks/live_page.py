"""What the live page answers: run a prompt, choose a head, switch heads off; `live.py` wires it to the page.

What a user has chosen lives in stores in that user's browser; the server keeps nothing but bounded caches of
results. Each callback parses the stores, asks the one live entry point, and hands the answer to a component.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

from dash import html, no_update

from components import ids
from components.head_detail import detail_title, facts_view, heatmap, heatmap_height, pattern_table
from components.head_grid import head_grid
from components.messages import alert
from components.prediction_panel import chips, no_prediction, prediction_panel
from components.role_cards import no_catalog, role_cards
from components.token_strip import token_strip
from utils import head_facts
from utils.errors import UserFacingError
from utils.examples import Example
from utils.head_view import head_view_height, head_view_html
from utils.heads import Head, parse_head
from utils.live_analysis import LiveAnalysis, LiveService
from utils.prediction import compare, plain_sentence
from utils.prompts import count_tokens, token_label

NOTHING_YET = "Nothing is analyzed yet: type a prompt above and press Run."


class Request(TypedDict):
    """What one browser shows: the last prompt that could be analyzed, and on which model."""

    model: str
    prompt: str


def _parse_heads(names: Any, analysis: LiveAnalysis | None = None) -> list[Head]:
    """Heads from a store; names that mean nothing, or no head of this model, are left out."""
    heads: list[Head] = []
    for name in names or ():
        try:
            head = parse_head(str(name))
        except UserFacingError:
            continue
        geometry = analysis.loaded.geometry if analysis else None
        if geometry and not (head.layer < geometry.n_layers and head.head < geometry.n_heads):
            continue
        if head not in heads:
            heads.append(head)
    return sorted(heads)


class LivePage:
    """The callbacks of the live page, as plain methods that tests can call.

    Args:
        service: the live entry point.
        examples: in menu order.
    """

    def __init__(self, service: LiveService, examples: Sequence[Example]) -> None:
        self.service = service
        self.examples = examples

    def _analysis(self, request: Request | None) -> LiveAnalysis | None:
        """The analysis behind a request; None for no request, or one that a tampered store holds."""
        if not request:
            return None
        try:
            return self.service.analyze(str(request.get("model")), str(request.get("prompt")))
        except UserFacingError:
            return None

    def _problem(self, request: Request) -> Any:
        """Why a request cannot be shown: its model may have broken since it was made."""
        try:
            self.service.analyze(str(request.get("model")), str(request.get("prompt")))
        except UserFacingError as error:
            return alert(error)
        return None

    def request_prompt(
        self, trigger: Any, model: str, prompt: str | None, example: str | None, shown: Request | None
    ) -> tuple[Any, ...]:
        """Decide what to analyze.

        Args:
            trigger: id of what the user touched.
            model: the chosen model.
            prompt: the text in the box.
            example: the chosen example's number.
            shown: the request on show.

        Returns:
            request, text for the box, error to show, heads that are off, chosen example. A prompt that cannot
            be analyzed changes nothing but the error: what was typed and what was shown stay.
        """
        text, off, example_value = prompt or "", no_update, no_update
        if trigger == ids.EXAMPLES:
            if example is None or not str(example).isdecimal() or int(example) >= len(self.examples):
                return (no_update,) * 5
            text = self.examples[int(example)].prompt
            # The menu goes back to its placeholder, so that the same example can be chosen again.
            example_value = ""
        elif isinstance(trigger, dict):
            text = self._suggestion(model, trigger)
        elif trigger == ids.MODEL and shown and shown["model"] != model:
            off = []
        try:
            self.service.tokenize(model, text)
        except UserFacingError as error:
            box = no_update if text == prompt else text
            return no_update, box, alert(error), no_update, example_value
        box = no_update if text == prompt else text
        return Request(model=model, prompt=text), box, None, off, example_value

    def _suggestion(self, model: str, trigger: dict) -> str:
        catalog = self.service.catalog(model)
        category = catalog.categories.get(trigger["role"]) if catalog else None
        prompts = category.suggested_prompts if category else []
        number = trigger["number"]
        return prompts[number] if number < len(prompts) else ""

    def token_count(self, prompt: str | None, model: str) -> str:
        """How many tokens the text in the box has, and the cap."""
        cap = self.service.max_tokens
        try:
            count = count_tokens(self.service.store.get(model), prompt)
        except UserFacingError:
            return ""
        over = f" — {count - cap} too many" if count > cap else ""
        return f"{count} of at most {cap} tokens, the start token included{over}"

    def show_tokens(self, request: Request | None) -> list:
        """The token strip."""
        analysis = self._analysis(request)
        return token_strip(analysis.prompt) if analysis else []

    def show_roles(self, request: Request | None, off_names: list[str]) -> tuple[Any, Any]:
        """The role cards, and a notice where the request itself cannot be shown."""
        analysis, problem = self._analysis(request), None
        if analysis is None:
            if request:
                problem = self._problem(request)
            return [no_prediction(NOTHING_YET)], problem
        if analysis.catalog is None:
            return no_catalog(analysis.catalog_problem, analysis.loaded.name), None
        prompts = {role: category.suggested_prompts for role, category in analysis.catalog.categories.items()}
        off = _parse_heads(off_names, analysis)
        lookalikes = head_facts.lookalike_sentence(analysis.prompt)
        return role_cards(analysis.summary, prompts, off, lookalikes), None

    def choose_head(self, trigger: Any, request: Request | None, chosen: str | None) -> Any:
        """The head that the detail shows: the clicked one, else the kept one, else an interesting one."""
        if isinstance(trigger, dict):
            return trigger["head"]
        analysis = self._analysis(request)
        if analysis is None:
            return no_update
        if _parse_heads([chosen], analysis):
            return no_update
        return str(head_facts.interesting_head(analysis))

    def show_grid(self, request: Request | None, off_names: list[str], chosen: str | None) -> Any:
        """The grid of all heads."""
        analysis = self._analysis(request)
        if analysis is None:
            return no_prediction(NOTHING_YET)
        head = next(iter(_parse_heads([chosen], analysis)), None)
        geometry = analysis.loaded.geometry
        return head_grid(
            geometry.n_layers,
            geometry.n_heads,
            head_facts.cell_roles(analysis),
            head,
            _parse_heads(off_names, analysis),
        )

    def change_ablation(
        self, trigger: Any, request: Request | None, chosen: str | None, off_names: list[str]
    ) -> Any:
        """Which heads are off after a click on a head's switch, a role's, a chip or the clear button."""
        analysis = self._analysis(request)
        if analysis is None or trigger == ids.CLEAR:
            return []
        off = set(_parse_heads(off_names, analysis))
        if trigger == ids.TOGGLE_HEAD:
            off ^= set(_parse_heads([chosen], analysis))
        elif trigger["type"] == "chip":
            off -= set(_parse_heads([trigger["head"]]))
        else:
            listed = {
                Head(entry["layer"], entry["head"]) for entry in analysis.summary.get(trigger["role"], ())
            }
            off = off - listed if listed <= off else off | listed
        return [str(head) for head in sorted(off)]

    def show_prediction(
        self, request: Request | None, off_names: list[str], watched_text: str | None
    ) -> tuple[Any, Any, Any, bool]:
        """Chips, prediction panel, tokens that the watch box offers, whether there is nothing to clear."""
        analysis = self._analysis(request)
        if analysis is None or request is None:
            return chips([]), no_prediction(NOTHING_YET), [], True
        off = _parse_heads(off_names, analysis)
        loaded = analysis.loaded
        ablated = self.service.next_token_logits(request["model"], request["prompt"], off)
        watched = head_facts.token_of_text(loaded, watched_text)
        comparison = compare(analysis.logits, ablated, watched)

        def label(token: int) -> str:
            return token_label(loaded, token)

        sentence = plain_sentence(
            comparison,
            off,
            label(comparison.top.token).strip("·"),
            label(comparison.ablated_top.token).strip("·"),
        )
        options = [html.Option(value=label(row.token).lstrip("·")) for row in comparison.rows]
        return chips(off), prediction_panel(comparison, sentence, off, label), options, not off

    def show_detail(
        self, request: Request | None, chosen: str | None, off_names: list[str], theme: str | None
    ) -> tuple[Any, ...]:
        """Title, switch, facts, BertViz page and style, heatmap and style, table, pattern of a head."""
        analysis = self._analysis(request)
        heads = _parse_heads([chosen], analysis) if analysis else []
        if analysis is None or not heads:
            return (
                "Choose a head",
                "Switch off",
                None,
                "",
                {"height": "0"},
                no_update,
                no_update,
                None,
                None,
            )
        head = heads[0]
        pattern = analysis.attention[head.layer, head.head]
        labels = analysis.prompt.labels
        facts = head_facts.role_facts(analysis, head)
        pairs, pair_roles = head_facts.marked_pairs(analysis, head)
        colours = "dark" if theme == "dark" else "light"
        title = f"Marked: {pair_roles}" if pairs else ""
        is_off = head in _parse_heads(off_names, analysis)
        return (
            detail_title(head),
            f"Switch {head} {'on again' if is_off else 'off'}",
            facts_view(
                facts,
                head_facts.resting(analysis, head),
                analysis.attention.shape[0] * analysis.attention.shape[1],
            ),
            head_view_html(pattern, labels, head, dark=colours == "dark"),
            {"height": f"{head_view_height(len(labels))}px"},
            heatmap(pattern, labels, pairs, title, colours),
            {"height": heatmap_height(len(labels))},
            pattern_table(pattern, labels),
            {"rows": [[round(value, 3) for value in row] for row in pattern.tolist()], "head": str(head)},
        )
