"""What the live page answers: run a prompt, choose a head, ablate heads; `wiring.py` wires it.

What a user has chosen lives in stores in that user's browser; the server keeps nothing but bounded caches of
results. Each callback parses the stores, asks the one live entry point, and hands the answer to a component.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from dash import no_update

from callbacks.answer.next_token_view import NOTHING_YET
from callbacks.live.context import Request, find_analysis, parse_heads
from callbacks.live.guide import Guide
from components import ids
from components.answer.prediction_panel import no_prediction
from components.live.layout import live_layout
from components.live.role_cards import no_catalog, role_cards
from components.messages import alert, link_notice
from components.plain_html import to_html
from components.progress import progress_view
from utils.errors import UserFacingError
from utils.links.page_links import from_query
from utils.links.page_state import PageState, fit
from utils.live import head_facts
from utils.live.analysis import LiveAnalysis
from utils.live.service import LiveService
from utils.live.vendor_files import content_hash
from utils.models.prompts import check_characters, count_tokens, lookalike_sentence, max_characters
from utils.models.store import ModelStore
from utils.roles.registry import ROLES
from utils.runtime.jobs import Jobs, Progress
from utils.teaching.presets import FIRST_PROMPT


def _load(store: ModelStore, model: str, progress: Progress) -> None:
    store.get(model, progress)


class LivePage:
    """The callbacks of the live page, as plain methods that tests can call.

    Args:
        service: the live entry point.
        guide: the presets and lessons.
        problems: what the operator should know; shown above the page.
    """

    def __init__(self, service: LiveService, guide: Guide, problems: Sequence[str] = ()) -> None:
        self.service = service
        self.guide = guide
        self.problems = problems
        # A large model may have to be fetched first.
        self.loads = Jobs(workers=2, time_limit=None)

    def layout(self, query: str) -> Any:
        """The page as a link opens it, or with the first example of the first model.

        Args:
            query: of the address; what is wrong in it is reported on the page, the rest is shown.
        """
        link, problems = from_query(query)
        models = self.service.store.names()
        link, unfit = fit(link, models)
        problems += unfit
        presets = self.guide.presets.presets.presets
        model = link.model or (models[0] if models else None)
        example = next((preset for preset in presets if not preset.model or model in preset.model), None)
        if link == PageState() and not problems and example is not None:
            link = PageState(preset=example.key)
        state, unfit = self.guide.open(link)
        problems += unfit
        model = state.model or model
        first = example.prompt if example else FIRST_PROMPT
        state = replace(state, model=model, prompt=state.prompt or first)
        ready = model is not None and self.service.store.is_loaded(model)
        if model is not None and ready:
            try:
                analysis = self.service.analyze(model, state.prompt or "")
            except UserFacingError as error:
                problems.append(str(error))
                state = replace(state, prompt=first)
            else:
                geometry, tokens = analysis.loaded.geometry, len(analysis.prompt.ids)
                state, unfit = fit(state, models, geometry, tokens)
                problems += unfit
        return live_layout(models, presets, state, ready, self.service.max_tokens, self.problems, problems)

    def late_link_problems(self, request: Request | None, query: str | None, message: Any) -> Any:
        """What is wrong with a link that could be known only once its model was loaded.

        Args:
            request: what is shown now.
            query: of the address that the page was opened by.
            message: the notice about the link so far.
        """
        state, problems = from_query(query or "")
        analysis = self._analysis(request)
        if analysis is None or state.prompt != analysis.prompt.text:
            return no_update
        models = self.service.store.names()
        problems += fit(state, models, analysis.loaded.geometry, len(analysis.prompt.ids))[1]
        return no_update if message or not problems else link_notice(problems)

    def _analysis(self, request: Request | None) -> LiveAnalysis | None:
        return find_analysis(self.service, request)[0]

    def request_prompt(
        self, trigger: Any, model: str, prompt: str | None, shown: Request | None
    ) -> tuple[Any, ...]:
        """Decide what to analyze.

        Args:
            trigger: id of what the user touched.
            model: the chosen model.
            prompt: the text in the box.
            shown: the request on show.

        Returns:
            request, text for the box, error to show, heads that are off, request that waits for its
            model. A prompt that cannot be analyzed changes nothing but the error: what was typed and
            what was shown stay.
        """
        text, off = prompt or "", no_update
        if isinstance(trigger, dict):
            text = self._suggestion(model, trigger)
        elif trigger == ids.MODEL and shown and shown["model"] != model:
            off = []
        box = no_update if text == prompt else text
        store = self.service.store
        try:
            self.service.check_characters(text)
        except UserFacingError as error:
            return no_update, box, alert(error), no_update, None
        if model in store.names() and not store.is_loaded(model):
            return no_update, box, None, off, Request(model=model, prompt=text)
        try:
            self.service.tokenize(model, text)
        except UserFacingError as error:
            return no_update, box, alert(error), no_update, None
        return Request(model=model, prompt=text), box, None, off, None

    def suggested_head(self, request: Request | None, role: str) -> str | None:
        """The head that shows what a suggested prompt is for: the role's most active one on it."""
        analysis = self._analysis(request)
        listed = analysis.listed.get(role, ()) if analysis else ()
        return str(max(listed, key=lambda activity: activity.live).head) if listed else None

    def preset_is_over(self, opened: Any, prompt: str) -> bool:
        """Whether a preset is open that is about another prompt: its target, answer and heads go with it.

        Args:
            opened: what is open.
            prompt: the one that is run.
        """
        key = opened.get("preset") if isinstance(opened, dict) else None
        if not key:
            return False
        try:
            return self.guide.presets.presets.get(str(key)).prompt != prompt
        except UserFacingError:
            return True

    def follow_load(
        self, trigger: Any, wanted: Request | None, session_id: str
    ) -> tuple[Any, Any, Any, bool, Any]:
        """Load the model of a request that waits for it, and let the request through when it is there.

        Args:
            trigger: id of what was touched, or of the tick or the store.
            wanted: the request that waits.
            session_id: the visit.

        Returns:
            request, error to show, progress to show, whether the tick may rest, request that still waits.
        """
        if not wanted:
            return no_update, no_update, None, True, no_update
        model, store = str(wanted["model"]), self.service.store
        if isinstance(trigger, dict):
            self.loads.leave(model, session_id)
            return no_update, None, None, True, None
        if not store.is_loaded(model):
            view = self.loads.view(model)
            if view is None or view.state == "cancelled" or (view.ended and trigger == ids.WANTED):
                view = self.loads.start(model, lambda progress: _load(store, model, progress), session_id)
            if not view.ended:
                cancel = ids.cancel_load(model)
                return no_update, no_update, progress_view(view, f"Loading {model}", cancel), False, no_update
            if view.error is not None:
                return no_update, alert(view.error), None, True, None
        # Loaded; or loaded and dropped again for another model, in which case this call loads it.
        try:
            self.service.tokenize(model, str(wanted["prompt"]))
        except UserFacingError as error:
            return no_update, alert(error), None, True, None
        return Request(model=model, prompt=str(wanted["prompt"])), None, None, True, None

    def _suggestion(self, model: str, trigger: dict) -> str:
        catalog = self.service.catalog(model)
        category = catalog.categories.get(trigger["role"]) if catalog else None
        prompts = category.suggested_prompts if category else []
        number = trigger["number"]
        return prompts[number] if number < len(prompts) else ""

    def token_count(self, prompt: str | None, model: str) -> str:
        """How many tokens the text in the box has, and the cap; characters where it is far too long."""
        try:
            loaded = self.service.store.get(model)
        except UserFacingError:
            return ""
        cap = min(self.service.max_tokens, loaded.context_length)
        try:
            check_characters(prompt or "", max_characters(cap))
            count = count_tokens(loaded, prompt)
        except UserFacingError as error:
            return error.message
        included = "" if loaded.bos_id is None else ", the start token included"
        over = f" — {count - cap} too many" if count > cap else ""
        return f"{count} of at most {cap} tokens{included}{over}"

    def update_roles(
        self, request: Request | None, off_names: list[str], drawn: Any, toggled: bool
    ) -> tuple[Any, ...]:
        """What of the role cards has to go to the browser, as HTML text.

        Args:
            request: what is shown.
            off_names: names of the ablated heads.
            drawn: what the cards in the browser are drawn for, as this method gave it.
            toggled: whether nothing but the ablated heads has changed since.

        Returns:
            A card for each role (`no_update` where it stays as it is), what stands in their place where
            there are none, a notice, the model that needs an analysis, and what is drawn now.
        """
        lasting = self._lasting_parts(request)
        there = isinstance(drawn, dict) and lasting is not None and drawn.get("lasting") == lasting
        parts, notice, unanalyzed = self.show_roles(request, off_names, there)
        now = {"request": request, "ablated": off_names, "lasting": lasting}
        cards = {getattr(part, "data-role", None): part for part in parts}
        texts = [to_html(cards[role]) if role in cards else "" for role in ROLES]
        note = "" if len(cards) > 1 else to_html(parts)
        if toggled and isinstance(drawn, dict) and drawn.get("request") == request and len(cards) > 1:
            before = self.show_roles(request, drawn.get("ablated") or [], there)[0]
            earlier = {getattr(part, "data-role", None): to_html(part) for part in before}
            texts = [
                no_update if text == earlier.get(role) else text
                for role, text in zip(ROLES, texts, strict=True)
            ]
            return texts, no_update, no_update, no_update, now
        return texts, note, notice, unanalyzed, now

    def _lasting_parts(self, request: Request | None) -> str | None:
        """A name for what the cards say on every text; None where there are none."""
        analysis = self._analysis(request)
        if analysis is None or analysis.catalog is None:
            return None
        prompts = [category.suggested_prompts for category in analysis.catalog.categories.values()]
        return content_hash(json.dumps([analysis.loaded.name, prompts]).encode())

    def show_roles(
        self, request: Request | None, off_names: list[str], there: bool = False
    ) -> tuple[Any, Any, str | None]:
        """The role cards, a notice where the request cannot be shown, the model that needs an analysis.

        Args:
            request: what is shown.
            off_names: names of the ablated heads.
            there: whether the browser has the cards of this model already.
        """
        analysis, error = find_analysis(self.service, request)
        if analysis is None:
            return [no_prediction(NOTHING_YET)], alert(error) if error else None, None
        if analysis.catalog is None:
            off = parse_heads(off_names, analysis)
            message = no_catalog(analysis.catalog_problem, analysis.unlisted, off)
            return message, None, analysis.loaded.name
        prompts = {role: category.suggested_prompts for role, category in analysis.catalog.categories.items()}
        off = parse_heads(off_names, analysis)
        lookalikes = lookalike_sentence(analysis.prompt)
        notes = {"positional": head_facts.resting_sentence(analysis)}
        cards = role_cards(
            analysis.listed, prompts, off, lookalikes, analysis.unlisted, analysis.carrying, notes, there
        )
        return cards, None, None

    def choose_head(self, request: Request | None, chosen: str | None) -> Any:
        """The head that the detail shows after a new request: the kept one, else an interesting one."""
        analysis = self._analysis(request)
        if analysis is None or parse_heads([chosen], analysis):
            return no_update
        return str(head_facts.interesting_head(analysis))

    def change_ablation(
        self, trigger: Any, request: Request | None, chosen: str | None, off_names: list[str]
    ) -> Any:
        """Which heads are off after a click on a head's switch, a role's, a chip or the clear button."""
        analysis = self._analysis(request)
        if analysis is None or trigger == ids.CLEAR:
            return []
        off = set(parse_heads(off_names, analysis))
        if trigger == ids.TOGGLE_HEAD:
            off ^= set(parse_heads([chosen], analysis))
        elif trigger["type"] == "chip":
            off -= set(parse_heads([trigger["head"]]))
        else:
            listed = {activity.head for activity in analysis.listed.get(trigger["role"], ())}
            off = off - listed if listed <= off else off | listed
        return [str(head) for head in sorted(off)]
