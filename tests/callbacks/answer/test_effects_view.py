"""The view of every head's effect, on the model whose heads are known by construction."""

import threading

import pytest

from callbacks.answer.effects_view import EffectsView
from callbacks.live.context import Request
from components import ids
from tests.fixtures.guides import NAME
from tests.fixtures.makers.hand_built import INDUCTION, PREVIOUS
from tests.fixtures.reading_trees import text_of
from utils.live.service import LiveService

REQUEST: Request = {"model": NAME, "prompt": "the cat sat on a mat. the cat s"}


@pytest.fixture
def view(built_service: LiveService) -> EffectsView:
    return EffectsView(built_service)


def finished(view: EffectsView, measure: str = "probability", mode: str = "zero", target: str | None = None):
    """The answer once the job is done."""
    pause = threading.Event()
    answer = view.show(ids.VIEW, REQUEST, mode, "", target, None, measure, "me")
    for _ in range(600):
        if answer[2]:
            return answer
        pause.wait(0.1)
        answer = view.show(ids.EFFECTS_TICK, REQUEST, mode, "", target, None, measure, "me")
    raise AssertionError("the effects were not computed")


def test_the_heads_of_the_circuit_matter_most(view: EffectsView):
    state, body, rests = finished(view)
    message = text_of(body)
    assert (state, rests) == (None, True)
    assert f"For “a” {INDUCTION} matters most" in message or f"For “a” {PREVIOUS} matters most" in message
    rows = message[message.index("The heads with the largest effects") :]
    first, second = sorted((rows.index(str(INDUCTION)), rows.index(str(PREVIOUS))))
    assert all(rows.index(other) > second for other in ("L0H1",) if other in rows)
    assert first < second


@pytest.mark.parametrize("measure", ["probability", "log_probability", "logit_difference", "kl", "nonsense"])
def test_every_measure_is_shown_without_another_run(view: EffectsView, measure: str):
    finished(view)
    view.effects.follow = None  # type: ignore[method-assign]
    state, body, rests = view.show(ids.MEASURE, REQUEST, "zero", "", None, None, measure, "me")
    assert (state, rests) == (None, True)
    assert "The map shows it" in text_of(body)


def test_the_watched_token_is_asked_for(view: EffectsView):
    assert "For “q”" in text_of(finished(view, target="q")[1]) or "for “q”" in text_of(
        finished(view, target="q")[1]
    )


def test_cancelling_offers_to_compute(view: EffectsView):
    view.show(ids.VIEW, REQUEST, "zero", "", None, None, "kl", "me")
    state, body, rests = view.show(ids.EFFECTS_CANCEL, REQUEST, "zero", "", None, None, "kl", "me")
    assert rests is True and body is None and "Compute" in text_of(state)
    state, body, rests = view.show(ids.EFFECTS_RUN, REQUEST, "zero", "", None, None, "kl", "me")
    assert rests is False or body is not None
    finished(view)


def test_nothing_yet(view: EffectsView):
    assert "Nothing is analyzed yet" in text_of(
        view.show(ids.VIEW, None, None, None, None, None, None, "me")[1]
    )
