"""What one Run and one click compute and send, counted on a bundled model."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest
from dash import no_update
from tokenizers import Tokenizer

from callbacks.answer.next_token_view import NextTokenView
from callbacks.live.context import Request
from callbacks.live.guide import Guide
from callbacks.live.head_map import HeadMap
from callbacks.live.head_panel import HeadPanel
from callbacks.live.page import LivePage
from callbacks.live.token_strip import TokenStrip
from components import ids
from tests.fixtures.forward_counter import ForwardCount, counting_forwards
from utils.links.page_state import HEAD_VIEWS
from utils.live.service import LiveService
from utils.models.loading import LoadedModel
from utils.models.store import ModelStore
from utils.roles.registry import ROLES, measured_roles
from utils.roles.role_score import RoleTarget
from utils.runtime.jobs import Progress
from utils.teaching.lessons import LessonSet
from utils.teaching.prepared_presets import PreparedPresets
from utils.teaching.presets import PresetSet

MODEL = "demo-gpt2"
PROMPT = "The king gave the boy a golden ring, and the boy took the golden"
REQUEST: Request = {"model": MODEL, "prompt": PROMPT}


@dataclass
class Counted:
    """How often the prompt was tokenized, each role's target was built, and the model ran."""

    tokenized: list[str] = field(default_factory=list)
    targets: Counter[str] = field(default_factory=Counter)
    forwards: ForwardCount = field(default_factory=ForwardCount)


class CountingTokenizer:
    """A tokenizer that notes what it encodes."""

    def __init__(self, tokenizer: Tokenizer, seen: list[str]) -> None:
        self._tokenizer, self._seen = tokenizer, seen

    def encode(self, text: str, **options: Any) -> Any:
        self._seen.append(text)
        return self._tokenizer.encode(text, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)


class CountingStore(ModelStore):
    """The bundled models, whose tokenizers note what they encode."""

    def __init__(self, seen: list[str]) -> None:
        super().__init__()
        self._seen, self._counting = seen, dict[str, LoadedModel]()

    def get(self, name: str, progress: Progress = lambda what, done, total: None) -> LoadedModel:
        loaded = super().get(name, progress)
        if name not in self._counting:
            tokenizer = cast(Tokenizer, CountingTokenizer(loaded.text_tokenizer, self._seen))
            self._counting[name] = replace(loaded, text_tokenizer=tokenizer)
        return self._counting[name]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counted]:
    counts = Counted()
    for key in measured_roles():
        score = ROLES[key].score
        assert score is not None

        def target(*asked: Any, key: str = key, built: Any = score.target) -> RoleTarget:
            counts.targets[key] += 1
            return built(*asked)

        monkeypatch.setitem(ROLES, key, replace(ROLES[key], score=replace(score, target=target)))
    with counting_forwards() as forwards:
        counts.forwards = forwards
        yield counts


@pytest.fixture
def page(counted: Counted) -> LivePage:
    service = LiveService(CountingStore(counted.tokenized))
    service.store.get(MODEL)
    return LivePage(service, Guide(service, PreparedPresets(PresetSet(), service, ()), LessonSet()))


def show_all(page: LivePage, head: str, ablated: list[str]) -> None:
    """Every part of the page that follows the request."""
    TokenStrip(page.service).show(REQUEST)
    page.update_roles(REQUEST, ablated, None, toggled=False)
    page.choose_head(REQUEST, None)
    view_of_map = HeadMap(page.service)
    view_of_map.show_grid(REQUEST, ablated, head)
    view_of_map.show_values(REQUEST, "live-induction", None, "zero", None, None, None)
    panel = HeadPanel(page.service)
    panel.show_switch(REQUEST, head, ablated)
    panel.show_head(REQUEST, head)
    for shown in HEAD_VIEWS:
        panel.show_figure(REQUEST, head, shown, False, None, None, "light")
    view = NextTokenView(page.service)
    view.show_chips(REQUEST, ablated)
    view.show(REQUEST, ablated, "zero", None, None, None)


def test_one_run_tokenizes_and_runs_once_and_builds_each_target_once(
    page: LivePage, counted: Counted
) -> None:
    assert page.request_prompt(ids.RUN, MODEL, PROMPT, None)[0] == REQUEST
    show_all(page, "L1H2", [])
    assert counted.tokenized.count(PROMPT) <= 2 and set(counted.tokenized) == {PROMPT}
    assert counted.forwards.passes == 1
    # No layer of demo-gpt2 has a window, so there is one distinct window. The kinds of positions that a
    # head's sentence is made of use two of the targets again.
    assert (
        counted.targets["previous_token"] == counted.targets["positional"] == counted.targets["diffuse"] == 1
    )
    assert counted.targets["induction"] == counted.targets["duplicate_token"] == 1


def test_a_role_toggle_tokenizes_nothing_and_sends_what_changed_alone(
    page: LivePage, counted: Counted
) -> None:
    page.request_prompt(ids.RUN, MODEL, PROMPT, None)
    show_all(page, "L1H2", [])
    cards = page.update_roles(REQUEST, [], None, toggled=False)
    assert all(cards[0])
    counted.tokenized.clear()
    counted.targets.clear()
    before = counted.forwards.passes
    ablated = page.change_ablation(ids.ablate_role("duplicate_token"), REQUEST, "L1H2", [])
    texts, *others, drawn = page.update_roles(REQUEST, ablated, cards[-1], toggled=True)
    changed = {role for role, text in zip(ROLES, texts, strict=True) if text is not no_update}
    analysis = page.service.analyze(MODEL, PROMPT)
    touched = {
        role
        for role in ROLES
        if {str(activity.head) for activity in analysis.listed.get(role, ())} & set(ablated)
        or (role in analysis.unlisted and {str(h.head) for h in analysis.unlisted[role].heads} & set(ablated))
    }
    # 'other' has no bars, so nothing of its card changes.
    assert changed == touched - {"other"} != set(ROLES)
    assert others == [no_update] * 3 and drawn == {**cards[-1], "ablated": ablated}
    assert HeadPanel(page.service).show_switch(REQUEST, "L1H2", ablated) == "Ablate L1H2"
    NextTokenView(page.service).show(REQUEST, ablated, "zero", None, None, None)
    assert counted.tokenized == [] and not counted.targets
    assert counted.forwards.passes == before + 1


def test_cards_drawn_for_another_request_are_sent_whole(page: LivePage) -> None:
    drawn = {"request": {"model": MODEL, "prompt": "a"}, "ablated": []}
    assert no_update not in page.update_roles(REQUEST, [], drawn, toggled=True)[0]
    assert no_update not in page.update_roles(REQUEST, [], "nonsense", toggled=True)[0]


def test_a_run_sends_of_the_cards_what_depends_on_the_text(page: LivePage) -> None:
    page.request_prompt(ids.RUN, MODEL, PROMPT, None)
    *first, drawn = page.update_roles(REQUEST, [], None, toggled=False)
    again = page.update_roles(REQUEST, [], drawn, toggled=False)[0]
    whole, rest = "".join(first[0]), "".join(again)
    assert ROLES["induction"].description in whole and ROLES["induction"].description not in rest
    assert rest.count("data-kept") == whole.count('id="about-') + whole.count('id="prompts-') > len(ROLES)
    # Another model's cards are none of this one's.
    other = page.update_roles(REQUEST, [], {**drawn, "lasting": "another"}, toggled=False)[0]
    assert other == first[0]
