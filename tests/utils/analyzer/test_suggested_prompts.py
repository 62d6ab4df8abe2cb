import pytest
import torch
from torch import Tensor

from utils.analyzer.suggested_prompts import (
    SUGGESTED_PROMPTS,
    RunPrompt,
    active_heads,
    beats_chance,
    choose_prompts,
    false_positive_rate,
)
from utils.heads import Head
from utils.roles.random_heads import MAX_ACTIVE
from utils.roles.scores import role_target

LONG_REPEAT = [0, *range(10, 22), *range(10, 22)]
FIRST, SECOND = Head(0, 0), Head(0, 1)
LISTED = [(FIRST, 0.9), (SECOND, 0.5)]


def _attention(tokens: list[int], *perfect: bool) -> Tensor:
    """One layer; each head is a perfect duplicate-token head or rests on the first token all the time."""
    n = len(tokens)
    attention = torch.zeros(1, len(perfect), n, n)
    for head, works in enumerate(perfect):
        for query in range(n):
            key = tokens.index(tokens[query]) if works else query
            attention[0, head, query, key if key != query else 0] = 1
    return attention


def _prompt(text: str, tokens: list[int], *perfect: bool) -> RunPrompt:
    return RunPrompt(text, tokens, _attention(tokens, *perfect))


def test_the_live_check_decides_who_wakes() -> None:
    assert active_heads("duplicate_token", LISTED, _prompt("a", LONG_REPEAT, True, False)) == [FIRST]
    assert active_heads("duplicate_token", LISTED, _prompt("a", LONG_REPEAT, True, True)) == [FIRST, SECOND]
    assert active_heads("duplicate_token", LISTED, _prompt("a", [0, *range(10, 30)], True, True)) == []


def test_prompts_that_wake_the_top_head_are_preferred() -> None:
    prompts = [
        _prompt("activates the second", LONG_REPEAT, False, True),
        _prompt("activates the top", LONG_REPEAT, True, False),
        _prompt("activates none", LONG_REPEAT, False, False),
    ]
    assert choose_prompts("duplicate_token", LISTED, prompts) == ["activates the top"]
    assert choose_prompts("duplicate_token", LISTED, prompts[::2]) == ["activates the second"]
    assert choose_prompts("duplicate_token", LISTED, prompts[2:]) == []


def test_the_first_three_are_taken_in_the_registrys_order() -> None:
    prompts = [_prompt(text, LONG_REPEAT, True, True) for text in "dbace"]
    assert choose_prompts("duplicate_token", LISTED, prompts) == list("dba")
    assert SUGGESTED_PROMPTS == 3


def test_nothing_is_suggested_without_heads_or_without_a_measure() -> None:
    prompts = [_prompt("a", LONG_REPEAT, True, True)]
    assert choose_prompts("duplicate_token", [], prompts) == []
    assert choose_prompts("other", LISTED, prompts) == []


def test_a_prompt_on_which_luck_is_enough_is_not_suggested() -> None:
    # One row counts, and one large weight in it is enough.
    short = [0, 9, 8, 7, 9]
    assert false_positive_rate("duplicate_token", short) >= MAX_ACTIVE
    assert not beats_chance("duplicate_token", short)
    assert choose_prompts("duplicate_token", LISTED, [_prompt("a", short, True, True)]) == []
    assert beats_chance("duplicate_token", LONG_REPEAT)


def test_spread_out_random_heads_are_diffuse_and_no_argument_against_a_prompt() -> None:
    assert false_positive_rate("diffuse", LONG_REPEAT) > 0.9
    assert beats_chance("diffuse", LONG_REPEAT)


def test_luck_is_another_in_a_windowed_layer() -> None:
    # Within a window a row's weights are few and large; what lies further back cannot be hit at all.
    tokens = [0, *range(10, 34)]
    assert false_positive_rate("previous_token", tokens, window=3) > 5 * false_positive_rate(
        "previous_token", tokens
    )
    assert (
        false_positive_rate("duplicate_token", LONG_REPEAT, window=3)
        == 0
        < false_positive_rate("duplicate_token", LONG_REPEAT)
    )
    assert false_positive_rate("previous_token", tokens, window=len(tokens)) == false_positive_rate(
        "previous_token", tokens
    )


def test_a_prompt_is_tried_with_the_windows_of_the_listed_heads() -> None:
    tokens = [0, 5, 4, 4, 3, 3, 3, 2, 1, 5, 5, 2]
    assert beats_chance("induction", tokens) and beats_chance("induction", tokens, windows=(None, 12, 1000))
    assert not beats_chance("induction", tokens, windows=(None, 6))
    # A head that looks at each target, and at the first token where there is none.
    targets = role_target("induction", tokens).mask.float()
    targets[targets.sum(-1) == 0, 0] = 1
    prompts = [RunPrompt("a", tokens, (targets / targets.sum(-1, keepdim=True))[None, None])]
    assert active_heads("induction", [(FIRST, 0.5)], prompts[0], windows=[6]) == [FIRST]
    assert choose_prompts("induction", [(FIRST, 0.5)], prompts) == ["a"]
    assert choose_prompts("induction", [(FIRST, 0.5)], prompts, windows=[6]) == []


@pytest.mark.parametrize("seed", [0, 1])
def test_luck_is_seeded(seed: int) -> None:
    shares = [false_positive_rate("positional", LONG_REPEAT[:6], count=200, seed=seed) for _ in range(2)]
    assert shares[0] == shares[1]
    assert 0 <= shares[0] < 0.5
