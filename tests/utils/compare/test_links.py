"""Links to two prompts side by side."""

import pytest

from utils.compare.links import CompareState, from_query, to_query
from utils.errors import UserFacingError

MODELS = ("demo-gpt2", "demo-llama")
FIRST = CompareState("demo-gpt2", "one", "demo-gpt2", "two")


@pytest.mark.parametrize(
    "state",
    [
        CompareState("demo-gpt2", "The cat, the cat", "demo-llama", "The cat, the cat"),
        CompareState("demo-llama", "a & b = c? 100% #1\nnext line", "demo-gpt2", "<b>שלום</b> + é 😀"),
    ],
)
def test_a_link_restores_what_it_was_made_from(state: CompareState):
    assert from_query(to_query(state), MODELS, FIRST) == (state, [])


def test_a_link_is_readable():
    state = CompareState("demo-gpt2", "The cat sat", "demo-llama", "A dog")
    assert to_query(state) == "?v=1&left_model=demo-gpt2&left=The+cat+sat&right_model=demo-llama&right=A+dog"


def test_what_the_right_side_does_not_say_is_as_on_the_left():
    state, problems = from_query("?v=1&left_model=demo-llama&left=hello", MODELS, FIRST)
    assert (state, problems) == (CompareState("demo-llama", "hello", "demo-llama", "hello"), [])
    assert from_query("left=hello&right_model=demo-llama", MODELS, FIRST)[0] == CompareState(
        "demo-gpt2", "hello", "demo-llama", "hello"
    )


def test_an_empty_link_shows_the_first_pair():
    assert from_query("", MODELS, FIRST) == (FIRST, [])


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (
            "?left_model=../etc&left=x",
            "The left model “../etc” in this link is not here: choose one of demo-gpt2",
        ),
        ("?right=%ff&left=x", "The right prompt in this link is damaged"),
        ("?left=x&left=y", "The left prompt stands in this link more than once"),
        ("?left=x&nonsense=1", "parts that mean nothing here (“nonsense”)"),
        ("?v=9&left=x", "another version of HeadScope"),
        ("?left=x&right=" + "y" * 8001, "it has 8,001 characters"),
    ],
)
def test_nonsense_is_said_and_the_rest_is_shown(query: str, message: str):
    state, problems = from_query(query, MODELS, FIRST)
    assert any(message in problem for problem in problems), problems
    assert len(problems) == 1
    assert state == CompareState("demo-gpt2", "x", "demo-gpt2", "x")


@pytest.mark.parametrize("query", ["?" + "x" * 20_000, "?&&&==", "????", "?left=%00%ED%A0%80", "?left_model"])
def test_a_link_of_nothing_but_nonsense_shows_the_first_pair(query: str):
    assert from_query(query, MODELS, FIRST)[0] == FIRST


def test_without_models_a_link_says_so():
    assert "there is no model here" in from_query("?left_model=x", (), FIRST)[1][0]


def test_prompts_that_no_link_can_hold_are_refused():
    with pytest.raises(UserFacingError, match="too long for a link"):
        to_query(CompareState("demo-gpt2", "x" * 9000, "demo-gpt2", "y" * 9000))
    with pytest.raises(UserFacingError, match="half of a character"):
        to_query(CompareState("demo-gpt2", "a\ud800", "demo-gpt2", "b"))
