"""The view of the next token, on the model whose heads are known by construction."""

import pytest
from dash import no_update

from callbacks.answer.next_token_view import NextTokenView
from callbacks.live.context import Request
from tests.fixtures.guides import NAME
from tests.fixtures.makers.hand_built import INDUCTION, PREVIOUS
from tests.fixtures.reading_trees import text_of
from utils.heads import Head
from utils.live.service import LiveService

REPEATING = "the cat sat on a mat. the cat s"
REQUEST: Request = {"model": NAME, "prompt": REPEATING}


@pytest.fixture(scope="module")
def view(built_service: LiveService) -> NextTokenView:
    return NextTokenView(built_service)


@pytest.mark.parametrize("head", [INDUCTION, PREVIOUS])
def test_without_the_induction_circuit_the_pattern_is_no_longer_continued(view: NextTokenView, head: Head):
    # "the cat s" goes on with "a" as it did before; both heads of the circuit are needed.
    clean = text_of(view.show(REQUEST, [], None, "", None, None)[0])
    headline, table, facts, cause, options = view.show(REQUEST, [str(head)], "zero", "", None, None)
    assert "The model expects “a” next" in clean
    assert f"Without {head} the model no longer expects “a”" in text_of(headline)
    assert "ablated" in text_of(table) and "KL divergence" in text_of(facts) and options
    assert cause.startswith(f"{head} ablated: a ")


def test_a_watched_token_stands_against_another(view: NextTokenView):
    shown = view.show(REQUEST, [], "zero", "", "q", "z")
    panel = text_of(shown[2])
    assert shown[3].startswith("q ") and "no head is ablated" in shown[3]
    assert "Watching “q”" in panel and "Logit difference to “z”" in panel


def test_the_prediction_after_an_earlier_token(view: NextTokenView):
    # Position 15 is the "t" of "cat", second time: what followed it before is a space.
    labels = view.service.analyze(NAME, REPEATING).prompt.labels
    position = len(labels) - 3
    panel = text_of(view.show(REQUEST, [], "zero", str(position), None, None)[0])
    assert f"After “{labels[position]}”: The model expects" in panel
    assert panel != text_of(view.show(REQUEST, [], "zero", "", None, None)[0])
    last = str(len(labels) - 1)
    assert text_of(view.show(REQUEST, [], "zero", last, None, None)[0]) == text_of(
        view.show(REQUEST, [], "zero", "", None, None)[0]
    )


def test_mean_ablation_is_another_one(view: NextTokenView):
    zero, mean = (view.show(REQUEST, [str(PREVIOUS)], mode, "", None, None)[1] for mode in ("zero", "mean"))
    assert text_of(zero) != text_of(mean)


def test_a_new_request_drops_the_chosen_position_and_a_link_keeps_it(view: NextTokenView):
    options, value = view.offer_positions(REQUEST, None, "3")
    assert value == "3" and options[0]["value"] == "last" and len(options) == len(REPEATING) + 1
    assert view.offer_positions(REQUEST, options, "3")[1] == "last"
    for nonsense in ("999", "x", "-1", None):
        assert view.offer_positions(REQUEST, None, nonsense)[1] == "last"


def test_nothing_yet(view: NextTokenView):
    assert "Nothing is analyzed yet" in text_of(view.show(None, [], None, None, None, None)[1])
    assert view.show_chips(None, ["L0H0"])[1] is True
    assert view.offer_positions(None, None, "3") == (no_update, no_update)
    assert view.show_chips(REQUEST, ["L0H0", "nonsense"])[1] is False
