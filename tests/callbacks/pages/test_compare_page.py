"""The page that compares as plain functions, on the bundled models."""

import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from dash import no_update

from callbacks.pages.compare_page import ComparePage
from components import ids
from components.compare.page import PAGE, PAIRS, pair_state
from tests.fixtures.reading_trees import find, text_of
from utils.compare.links import CompareState, from_query
from utils.errors import UserFacingError
from utils.links.reading import read_store
from utils.live.service import LiveService
from utils.models.sources import BUNDLED, REAL_MODEL
from utils.models.store import ModelStore
from utils.runtime.jobs import Progress

REPEATS = "The king gave the boy a golden ring, and the boy took the golden"
GOES_ON = "The king gave the boy a golden ring, and his sister took some silver"
STATE = CompareState("demo-gpt2", REPEATS, "demo-gpt2", GOES_ON)
SMALL = ["demo-gpt2", "demo-llama"]
MODELS = [REAL_MODEL, *SMALL]


def words_of(tree: Any) -> str:
    """Only what is read, without the tree around it."""
    if isinstance(tree, str):
        return tree
    if isinstance(tree, list | tuple):
        return " ".join(words_of(part) for part in tree)
    return words_of(getattr(tree, "children", None) or [])


@pytest.fixture(scope="module")
def page(service: LiveService) -> ComparePage:
    for name in MODELS:
        service.store.get(name)
    return ComparePage(service)


def shown(page: ComparePage, state: CompareState) -> Any:
    body, error, progress, rests, query = page.follow(ids.COMPARE_WANTED, asdict(state), "me")
    assert (error, progress, rests) == (None, None, True)
    assert from_query(query, MODELS, STATE) == (state, [])
    return body


def card(body: Any, role: str) -> Any:
    for part in body:
        for piece in part._traverse():
            if getattr(piece, "data-role", None) == role:
                return piece
    raise AssertionError(role)


def test_two_prompts_on_one_model(page: ComparePage):
    body = shown(page, STATE)
    message = words_of(body)
    assert "Active on one side alone: induction on the left." in message
    assert "“·ring”" in message
    induction = card(body, "induction")
    assert getattr(induction, "data-changed") == "true"
    assert "changed:  active on the left alone" in words_of(induction)
    assert getattr(card(body, "previous_token"), "data-changed") == "false"
    assert "A role on test inputs is not all that a head does." in message


def test_the_heads_numbers_are_those_of_the_two_analyses(page: ComparePage):
    body = shown(page, STATE)
    left = page.service.analyze("demo-gpt2", REPEATS)
    for entry in left.listed["induction"]:
        name = str(entry.head)
        message = words_of(card(body, "induction"))
        assert f"{name}" in message and f"{entry.live:.2f}" in message


def test_one_prompt_on_two_models(page: ComparePage):
    state = CompareState("demo-gpt2", REPEATS, "demo-llama", REPEATS)
    message = words_of(shown(page, state))
    assert "Left: demo-gpt2" in message and "Right: demo-llama" in message
    assert "Two models have no head in common" in message
    assert "Heads that change most" not in message


def test_each_side_opens_in_the_live_page(page: ComparePage):
    links = [
        piece.href
        for part in shown(page, STATE)
        for piece in part._traverse()
        if getattr(piece, "href", "/glossary").startswith("/?")
    ]
    assert links == [
        "/?v=2&model=demo-gpt2&prompt=" + REPEATS.replace(" ", "+"),
        "/?v=2&model=demo-gpt2&prompt=" + GOES_ON.replace(" ", "+"),
    ]


def test_the_pairs_are_offered_on_the_real_model(page: ComparePage):
    for number in range(len(PAIRS)):
        state = page.ask(ids.compare_example(number), "x", "x", "x", "x")
        assert state is not None and state.left_model == REAL_MODEL
        assert state == pair_state(number, MODELS)


@pytest.mark.parametrize("models", [MODELS, SMALL], ids=["real", "small"])
@pytest.mark.parametrize("number", range(len(PAIRS)))
def test_every_pair_worth_comparing_differs(page: ComparePage, number: int, models: list[str]):
    state = pair_state(number, models)
    message = words_of(shown(page, state))
    assert "so nothing differs" not in message
    # On one model a role becomes active on one side alone; two models may well do the same.
    assert PAIRS[number].right is None or "Active on one side alone:" in message


def test_pairs_make_do_with_one_model():
    assert pair_state(3, ["only"]).right_model == "only"


def test_what_a_touch_asks_for(page: ComparePage):
    boxes = ("demo-gpt2", "a", "demo-llama", "b")
    assert page.ask(ids.COMPARE_RUN, *boxes) == CompareState(*boxes)
    assert page.ask(ids.COMPARE_SWAP, *boxes) == CompareState("demo-llama", "b", "demo-gpt2", "a")
    assert page.ask(ids.COMPARE_COPY, *boxes) == CompareState("demo-gpt2", "a", "demo-llama", "a")
    assert page.ask(ids.COMPARE_RUN, "demo-gpt2", "a", "demo-llama", " ") == CompareState(
        "demo-gpt2", "a", "demo-llama", "a"
    )
    assert page.ask(ids.compare_example(99), *boxes) is None


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (CompareState("demo-gpt2", "", "demo-gpt2", "x y z"), "Left side: "),
        (CompareState("demo-gpt2", "x y z", "demo-gpt2", "a\ud800"), "Right side: "),
        (CompareState("demo-gpt2", "x y z", "demo-llama", "word " * 200), "Right side: "),
        (CompareState("../../etc", "x y z", "demo-llama", "x"), "Left side: there is no such model."),
    ],
)
def test_what_cannot_be_compared_is_told_and_what_was_shown_stays(
    page: ComparePage, state: CompareState, message: str
):
    body, error, progress, rests, query = page.follow(ids.COMPARE_WANTED, asdict(state), "me")
    assert (body, progress, rests, query) == (no_update, None, True, no_update)
    assert message in words_of(error)


@pytest.mark.parametrize("kept", [None, 3, [], {"left": "x"}, {**asdict(STATE), "left": None}])
def test_a_tampered_store_shows_nothing(page: ComparePage, kept: Any):
    assert read_store(CompareState, kept) is None
    assert page.follow(ids.COMPARE_WANTED, kept, "me") == (no_update, no_update, None, True, no_update)


def test_a_link_opens_the_page_and_nonsense_in_it_is_told(page: ComparePage):
    opened = page.layout("?v=1&left_model=demo-llama&left=hello+there&right=bye")
    assert find(opened, value="hello there") and find(opened, value="bye")
    assert "not read as a whole" not in text_of(opened)
    broken = page.layout("?left_model=%2e%2e%2fetc&right=bye")
    assert "not read as a whole" in text_of(broken) and find(broken, value="bye")


def test_without_a_model_the_page_says_so(tmp_path: Path):
    page = ComparePage(LiveService(ModelStore((tmp_path,))))
    assert "There is no model to use" in words_of(page.layout("?left=x"))


class HeldStore(ModelStore):
    """The bundled models, whose loading waits until the test lets it go on."""

    def __init__(self) -> None:
        super().__init__((BUNDLED,))
        self.go_on = threading.Event()
        self.ended = threading.Event()

    def get(self, name: str, progress: Progress = lambda what, done, total: None) -> Any:
        progress("reading", 1, 2)
        assert self.go_on.wait(60)
        try:
            progress("reading", 2, 2)
            return super().get(name, progress)
        finally:
            self.ended.set()


def test_models_that_are_not_loaded_are_loaded_first():
    store = HeldStore()
    page = ComparePage(LiveService(store))
    state = CompareState("demo-gpt2", REPEATS, "demo-llama", REPEATS)
    body, error, progress, rests, _ = page.follow(ids.COMPARE_WANTED, asdict(state), "me")
    assert (body, error, rests) == (no_update, None, False)
    assert "Loading demo-gpt2 and demo-llama" in words_of(progress)
    store.go_on.set()
    page.jobs.wait(state, 120)
    body, error, progress, rests, query = page.follow(ids.COMPARE_TICK, asdict(state), "me")
    assert (error, progress, rests) == (None, None, True)
    assert "right=" in query and "Right: demo-llama" in words_of(body)


def test_two_models_that_do_not_fit_beside_each_other_are_compared_all_the_same():
    store = ModelStore((BUNDLED,), memory_budget=1)
    page = ComparePage(LiveService(store))
    state = CompareState("demo-gpt2", REPEATS, "demo-llama", REPEATS)
    page.follow(ids.COMPARE_WANTED, asdict(state), "me")
    page.jobs.wait(state, 120)
    assert [store.is_loaded(name) for name in MODELS].count(True) == 1
    body = page.follow(ids.COMPARE_TICK, asdict(state), "me")[0]
    assert "Right: demo-llama" in words_of(body)


def test_leaving_a_load_ends_it():
    store = HeldStore()
    page = ComparePage(LiveService(store))
    state = CompareState("demo-gpt2", REPEATS, "demo-llama", REPEATS)
    page.follow(ids.COMPARE_WANTED, asdict(state), "me")
    answer = page.follow(ids.cancel_compare(PAGE), asdict(state), "me")
    assert answer[3] is True and "cancelled" in words_of(answer[2])
    store.go_on.set()
    page.jobs.wait(state, 120)
    assert not any(store.is_loaded(name) for name in MODELS)


def test_a_load_that_fails_is_told_and_tried_again_on_request(monkeypatch: pytest.MonkeyPatch):
    page = ComparePage(LiveService(ModelStore()))
    calls = []

    def fail(name: str, progress: Any = None) -> Any:
        calls.append(name)
        raise UserFacingError("It is broken.", "Mend it.")

    monkeypatch.setattr(page.service.store, "get", fail)
    page.follow(ids.COMPARE_WANTED, asdict(STATE), "me")
    page.jobs.wait(STATE, 60)
    body, error, _, rests, _ = page.follow(ids.COMPARE_TICK, asdict(STATE), "me")
    assert (body, rests) == (no_update, True)
    assert "It is broken." in words_of(error)
    page.follow(ids.COMPARE_WANTED, asdict(STATE), "me")
    page.jobs.wait(STATE, 60)
    assert len(calls) == 2


@pytest.mark.parametrize("model", ["demo-gpt2", "demo-llama-instruct"])
def test_a_prompt_that_is_far_too_long_starts_no_job(model: str):
    page = ComparePage(LiveService(ModelStore()))
    state = CompareState(model, REPEATS, model, "a" * 10**6)
    body, error, progress, rests, _ = page.follow(ids.COMPARE_WANTED, asdict(state), "me")
    assert (body, progress, rests) == (no_update, None, True)
    assert "Right side: The prompt has 1,000,000 characters and at most 12,800 are read." in words_of(error)
    assert page.jobs.view(state) is None
