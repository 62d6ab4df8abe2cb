"""The lab's state and the link that restores it."""

import pytest

from retrieval.filings.tasks import TASKS
from retrieval.lab.state import OWN, LabPrompt, LabState, LabView, from_query, to_query
from utils.errors import UserFacingError
from utils.heads import Head

MODELS = ["demo-gpt2", "demo-llama"]


@pytest.mark.parametrize(
    "state",
    [
        LabState(LabPrompt("demo-gpt2")),
        *(LabState(LabPrompt("demo-llama", key, 192, 0, 7)) for key in TASKS),
        LabState(LabPrompt("demo-llama", seed=0), LabView("wu24", "catalog", Head(3, 15), 0, "mean")),
        LabState(LabPrompt("demo-gpt2", OWN, text="A <b> is B.\nSo.", asked="What? é", answer="B", needle=1)),
    ],
)
def test_a_link_restores_the_state(state: LabState):
    query = to_query(state)
    assert query.startswith("?v=1&model=")
    assert from_query(query, MODELS) == (state, [])
    assert from_query(query.removeprefix("?"), MODELS) == (state, [])


def test_a_link_holds_what_matters_alone():
    generated = to_query(LabState(LabPrompt("demo-gpt2", text="left over", asked="left over", needle=3)))
    assert "left" not in generated and "needle" not in generated
    own = to_query(LabState(LabPrompt("demo-gpt2", OWN, length=99, text="a b", asked="c")))
    assert "length" not in own and "seed" not in own


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("?model=../etc", "The model “../etc”"),
        ("?question=colour", "The question “colour”"),
        ("?length=many", "The length “many”"),
        ("?length=-1", "The length “-1”"),
        ("?depth=101", "The depth “101”"),
        ("?seed=1_0", "The seed “1_0”"),
        ("?method=best", "The method “best”"),
        ("?ranking=yours", "The ranking “yours”"),
        ("?head=banana", "The head “banana”"),
        ("?k=٣", "The number of heads (k)"),
        ("?mode=loud", "The ablation method (mode)"),
        ("?needle=x", "The needle “x”"),
        ("?question=own&asked=What", "a text of its own, but has none"),
        (f"?question=own&text={'a' * 8001}", "8,001 characters"),
        ("?colour=red", "mean nothing here"),
        ("?v=9", "another version"),
        ("?seed=1&seed=2", "more than once"),
        ("?text=%ff", "damaged"),
    ],
)
def test_what_is_wrong_in_a_link_is_told_and_the_rest_is_kept(query: str, message: str):
    state, problems = from_query(query, MODELS)
    assert any(message in problem for problem in problems)
    assert state.prompt.model == "demo-gpt2" and state.view.method == "qrhead"
    cached, problems = from_query(query + "&mode=mean", MODELS)
    assert cached.view.mode == "mean" or "mode=" in query


def test_a_text_that_no_link_can_hold_is_refused():
    with pytest.raises(UserFacingError, match="too long for a link"):
        to_query(LabState(LabPrompt("demo-gpt2", OWN, text="a" * 8001, asked="b")))
    with pytest.raises(UserFacingError, match="surrogate"):
        to_query(LabState(LabPrompt("demo-gpt2", OWN, text="a\ud800", asked="b")))
