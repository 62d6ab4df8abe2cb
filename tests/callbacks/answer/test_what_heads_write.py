"""The views of what heads write: who writes it, the lens, the others, the second prompt, one head's own."""

import threading
from typing import Any

import pytest

from callbacks.answer.direct_view import DirectView
from callbacks.answer.effects_view import EffectsView
from callbacks.answer.lens_view import LensView
from callbacks.answer.others_view import OthersView
from callbacks.answer.second_prompt import SecondPrompt
from callbacks.live.context import Request, find_shown
from callbacks.live.head_map import HeadMap
from callbacks.live.head_panel import HeadPanel
from components import ids
from tests.fixtures.reading_trees import find, text_of
from utils.live.service import LiveService
from utils.models.store import ModelStore

MODEL = "demo-gpt2"
PROMPT = "The king gave the boy a golden ring, and the boy took the golden"
OTHER = "The king gave the boy a silver ring, and the boy took the golden"
REQUEST: Request = {"model": MODEL, "prompt": PROMPT}


@pytest.fixture(scope="module")
def service() -> LiveService:
    service = LiveService(ModelStore())
    service.store.get(MODEL)
    return service


def finished(call: Any) -> Any:
    """The answer of a view once its job is done."""
    pause = threading.Event()
    for _ in range(600):
        answer = call()
        if answer[2]:
            return answer
        pause.wait(0.1)
    raise AssertionError("the job did not end")


def test_who_writes_it_adds_up_to_the_models_logit(service: LiveService) -> None:
    view = DirectView(service)
    parts = view.show(REQUEST, None, " ring", None)
    direct = service.writing.direct(MODEL, PROMPT, None, service.token(service.store.get(MODEL), " ring"))
    best = direct.strongest(1)[0]
    assert f"{direct.logit:+.2f} logits" in text_of(parts) and str(best) in text_of(parts)
    # Each head leads to its own column "Writes".
    buttons = [part for part in find(parts, "hs-link-button") if getattr(part, "data-show", "") == "writes"]
    assert next(getattr(button, "data-choose") for button in buttons) == str(best)
    numbers = [float(text_of(row.children[2])) for row in find_rows(parts)]
    assert sum(numbers[:-1]) == pytest.approx(numbers[-1], abs=0.1)
    assert "Nothing is analyzed yet" in text_of(view.show(None, None, None, None))


def find_rows(parts: Any) -> list[Any]:
    """The rows of the first table's body."""
    table: Any = find(parts, "hs-table")[0]
    return table.children[2].children


def test_the_lens_ends_at_the_prediction(service: LiveService) -> None:
    parts = LensView(service).show(REQUEST, None, " ring", None, "dark")
    lens = service.writing.lens(MODEL, PROMPT, None, service.token(service.store.get(MODEL), " ring"))
    assert lens.layers[-1].favourite == lens.target
    assert "becomes the favourite after layer" in text_of(parts[0]) or "from the embeddings on" in text_of(
        parts[0]
    )
    rows = find_rows(parts)
    assert len(rows) == len(lens.layers) and "·ring" in text_of(rows[-1])


def test_the_other_heads_are_told_beside_random_sets(service: LiveService) -> None:
    view = OthersView(service)
    shown = find_shown(service, REQUEST, ["L0H0", "L0H1"], "zero")
    assert "Ablate a head" in text_of(view.show(None, find_shown(service, REQUEST, []), "me")[1])
    _, first, rests = view.show(None, shown, "me")
    assert text_of(first) and (rests or "…" in text_of(first))
    state, body, _ = finished(lambda: view.show(ids.OTHERS_TICK, shown, "me"))
    changed = service.writing.changed(MODEL, PROMPT, shown.off if shown else [], "zero")
    assert state is None and ("20 random sets" in text_of(body)) == bool(changed)
    told = view.scores_without(REQUEST, ["L0H0", "L0H1"], "zero", None, None)
    assert not set(told) & {"L0H0", "L0H1"} and all("→" in text for texts in told.values() for text in texts)
    assert view.scores_without(REQUEST, [], "zero", None, None) == {}


def test_a_second_prompt_says_what_differs_and_what_fits(service: LiveService) -> None:
    prompt = SecondPrompt(service)
    assert prompt.show(REQUEST, "zero", None, None) == ("", True)
    assert "Type a second prompt" in prompt.show(REQUEST, "interchange", " ", None)[0]
    said, hidden = prompt.show(REQUEST, "interchange", OTHER, None)
    assert not hidden and "·golden" in said and "·silver" in said and "differ" in said
    assert "align it" in prompt.show(REQUEST, "interchange", OTHER + " ring", None)[0]
    wrong = find_shown(service, REQUEST, ["L1H2"], "interchange", second="A cat")
    assert wrong is not None and wrong.problem is not None and wrong.off == []


def test_interchange_is_shown_on_the_map_and_as_a_table(service: LiveService) -> None:
    effects = EffectsView(service)
    view = HeadMap(service, effects)

    def show() -> Any:
        return effects.show(
            ids.EFFECTS_TICK, REQUEST, "interchange", None, " ring", None, None, "me", "light", OTHER, None
        )

    asked = (REQUEST, "recovered", None, "interchange", None, " ring", None, OTHER, None)
    assert view.show_values(*asked)[0] is None
    state, body, _ = finished(show)
    if state is not None:
        pytest.fail(text_of(state))
    assert "recovered" in text_of(body) and "bring back" in text_of(body)
    drawn = view.show_values(*asked)[0]
    assert drawn["scale"] == "signed" and len(drawn["values"]) == 4


def test_estimates_stand_until_the_exact_effects_are_there(service: LiveService) -> None:
    effects = EffectsView(service)
    view = HeadMap(service, effects)
    asked = (REQUEST, "effect", "probability", "zero", None, None, None)
    before = view.show_values(*asked)[0]
    assert all(all(row) for row in before["estimated"])
    finished(lambda: effects.show(ids.EFFECTS_TICK, REQUEST, "zero", None, None, None, "probability", "me"))
    assert "estimated" not in view.show_values(*asked)[0]
    body = effects.show(ids.VIEW, REQUEST, "zero", None, None, None, "probability", "me")[1]
    assert "Spearman" in text_of(body) and "Total beside direct" in text_of(body)


def test_one_head_says_where_it_copied_from_and_what_it_promotes(service: LiveService) -> None:
    panel = HeadPanel(service)
    direct = service.writing.direct(MODEL, PROMPT)
    head = direct.strongest(1)[0]
    written = panel.show_writes(REQUEST, str(head), None, None, None)
    message = text_of(written)
    assert f"number 1 of {direct.heads.numel()} heads" in message
    assert "attends to" in message and "promotes" in message and "suppresses" in message
    sources = service.writing.sources(MODEL, PROMPT, head)
    strongest = int(sources.abs().argmax())
    assert getattr(find(written, "hs-token-button")[0], "data-source") == str(strongest)
    assert panel.show_writes(None, None, None, None, None) is None
