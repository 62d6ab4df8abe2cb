"""The live check of one head: its score, when it is active, and the words that say why."""

import math
from typing import Any

import pytest
from torch import Tensor

from tests.fixtures.activity import activities, heads_of_one_layer, role_input
from tests.fixtures.made_patterns import BOS, PLAIN, TOKENS, induction, looks_at, previous, uniform
from utils.head_detection import verify_head_activation
from utils.heads import Head
from utils.roles.random_heads import random_head_patterns
from utils.roles.registry import ROLES, pattern_roles
from utils.roles.role_score import TOO_CLOSE, TOO_SHORT
from utils.roles.scores import chance_level, role_score

# verify_head_activation -------------------------------------------------------------------------------


@pytest.mark.parametrize("role", pattern_roles())
def test_live_and_catalog_scores_are_one_definition(role: str) -> None:
    attention = random_head_patterns(9, 2.0, count=1, seed=4)[0]
    info = {"layer": 1, "head": 2, "score": 0.7, "special_ids": [BOS]}
    expected = float(role_score(role, attention, TOKENS, {BOS}))
    assert verify_head_activation(attention, TOKENS, info, role) == pytest.approx(expected, abs=1e-6)
    assert verify_head_activation(attention.tolist(), TOKENS, info, role) == pytest.approx(expected, abs=1e-6)
    assert verify_head_activation(attention.double().numpy(), tuple(TOKENS), info, role) == pytest.approx(
        expected, abs=1e-6
    )
    assert verify_head_activation(attention.requires_grad_(), TOKENS, info, role) == pytest.approx(
        expected, abs=1e-6
    )


def test_a_perfect_head_scores_one_and_the_score_is_a_plain_number() -> None:
    score = verify_head_activation(induction(TOKENS), TOKENS, {"layer": 0, "head": 0}, "induction")
    assert type(score) is float and score == 1
    # float16 rounding may push a sum past 1; the score stays within [0, 1].
    over = previous(TOKENS) * 1.001
    assert verify_head_activation(over, TOKENS, {"layer": 0, "head": 0}, "previous_token") == 1


def test_special_ids_come_with_the_head() -> None:
    tokens = [BOS, 5, 6, BOS, 5, 7, BOS]
    sink = looks_at(tokens, lambda i: 3 if i > 3 else 0)
    record = {"layer": 0, "head": 0}
    assert verify_head_activation(sink, tokens, record, "duplicate_token") > 0
    assert verify_head_activation(sink, tokens, record | {"special_ids": {BOS}}, "duplicate_token") == 0


def test_other_and_what_does_not_apply_score_zero() -> None:
    head = {"layer": 0, "head": 0}
    assert verify_head_activation(uniform(TOKENS), TOKENS, head, "other") == 0
    assert verify_head_activation(uniform(PLAIN), PLAIN, head, "induction") == 0
    for role in ROLES:
        assert verify_head_activation([[1.0]], [5], head, role) == 0
        assert verify_head_activation([[1.0, 0.0], [0.5, 0.5]], [5, 5], head, role) == 0


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([[1.0, 0.0], [0.5, 0.5]], r"\(query, key\)=\(3, 3\)\. Got \(2, 2\)"),
        ([[[1.0, 0, 0]] * 3], r"Got \(1, 3, 3\)"),
        ([1.0, 0.0, 0.0], r"Got \(3,\)"),
        ([[1.0, 0, 0], [0.5, 0.5, 0]], r"Got \(2, 3\)"),
        ([[1.0, 0, 0], [0.5, 0.5]], "must hold numbers"),
        ([["a", "b", "c"]] * 3, "must hold numbers"),
        (None, "must hold numbers"),
        ([[9.0, 0, 0], [3, 4, 0], [1, 2, 3]], "sum to more than 1"),
        ([[1.0, 0, 0], [0.5, 0.5, 0], [-1, 1, 1]], "anything below 0"),
        ([[1.0, 0, 0], [0.5, 0.5, 0], [float("nan")] * 3], "sum to more than 1"),
    ],
)
def test_what_is_no_pattern_is_refused(weights: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        verify_head_activation(weights, [5, 6, 7], {"layer": 0, "head": 0}, "positional")


def test_rows_left_out_by_hand_are_taken_as_they_are() -> None:
    """A matrix with just the rows that count: what is not there scores nothing."""
    pattern = [[0.0] * 4, [0.0] * 4, [0, 1.0, 0, 0], [0, 0, 0.5, 0]]
    head = {"layer": 0, "head": 0}
    assert verify_head_activation(pattern, [5, 6, 7, 8], head, "previous_token") == pytest.approx(0.75)


def test_an_unknown_role_is_refused_with_the_list() -> None:
    with pytest.raises(ValueError, match=r"previous_token, induction, .*other\. Got 'binding'"):
        verify_head_activation([[1.0]], [5], {"layer": 0, "head": 0}, "binding")


# When a head is active --------------------------------------------------------------------------------


def test_half_of_the_catalog_score_or_of_the_threshold_is_needed() -> None:
    """A long text, so that chance is far away: then the share of the larger of the two decides."""
    tokens = [BOS, *range(10, 110)]
    asked = role_input("previous_token", tokens, {BOS})
    assert asked.chance_bound() < 0.2
    assert ROLES["previous_token"].threshold == 0.4
    assert asked.needed(0.9) == pytest.approx(0.45)
    assert asked.needed(0.3) == asked.needed(0.0) == pytest.approx(max(0.2, asked.chance_bound()))
    assert asked.is_active(0.45, 0.9, checked=1.0) and not asked.is_active(0.449, 0.9, checked=1.0)


@pytest.mark.parametrize("role", ["previous_token", "induction", "duplicate_token", "positional"])
def test_luck_needs_more_where_few_positions_count(role: str) -> None:
    asked = role_input(role, TOKENS, {BOS})
    chance, rows = chance_level(role, TOKENS, {BOS}), asked.target.rows
    by_chance = chance + max(0.15, 1.64 * math.sqrt(chance * (1 - chance) / rows))
    assert asked.chance_bound() == pytest.approx(by_chance)
    assert asked.needed(0.0) == pytest.approx(max(0.5 * ROLES[role].threshold, by_chance))
    assert not asked.is_active(by_chance - 0.001, 0.0, checked=1.0)


def test_the_term_for_few_positions_is_the_larger_one_where_it_matters() -> None:
    few = role_input("induction", [BOS, 5, 6, 7, 5], {BOS})
    assert few.target.rows == 1 and few.chance == pytest.approx(1 / 5)
    assert few.chance_bound() == pytest.approx(0.2 + 1.64 * 0.4)
    many = role_input("previous_token", [BOS, *range(1, 200)], {BOS})
    assert many.chance_bound() == pytest.approx(many.chance + 0.15)


def test_a_role_that_does_not_apply_is_never_active() -> None:
    asked = role_input("induction", PLAIN, {BOS})
    assert not asked.is_active(1.0, 0.0, checked=1.0)
    assert asked.chance_bound() == 0 and math.isnan(asked.chance)


def test_diffuse_is_judged_by_entropy_and_peak() -> None:
    asked = role_input("diffuse", PLAIN)
    threshold = ROLES["diffuse"].threshold
    assert math.isnan(asked.chance) and asked.needed(0.99) == threshold
    assert asked.is_active(threshold, 0.99, checked=0.5)
    assert not asked.is_active(threshold - 0.01, 0.1, checked=0.2)
    assert not asked.is_active(0.9, 0.9, checked=0.51)
    # The peak of any other role's head does not matter.
    assert role_input("positional", PLAIN).is_active(1.0, 0.9, checked=1.0)


def test_a_windowed_layer_has_a_chance_of_its_own() -> None:
    everything, near = role_input("previous_token", PLAIN), role_input("previous_token", PLAIN, window=2)
    assert near.chance == pytest.approx(0.5) and everything.chance < 0.3
    assert near.chance_bound() > everything.chance_bound()


# The words --------------------------------------------------------------------------------------------


def reason(role: str, tokens: list[int], attention: Tensor, catalog_score: float = 0.9) -> str:
    listed = {role: [(Head(0, 0), catalog_score)]}
    return activities(attention[None, None], tokens, listed, {BOS})[role][0].reason


def test_an_inactive_head_says_that_it_rests() -> None:
    tokens = [BOS, *range(10, 30)]
    rests = looks_at(tokens, lambda i: i, share=0.01)
    assert (
        reason("induction", tokens, rests)
        == "nothing repeats in your text; it rests on the first token (99%)"
    )
    assert (
        reason("previous_token", tokens, rests)
        == "scores 0.00 on your text, 0.45 would count; it rests on the first token (99%)"
    )
    # A head that does not rest does not say so, and for the first-token role resting is the job.
    assert reason("induction", tokens, previous(tokens)) == "nothing repeats in your text"
    assert reason("positional", tokens, rests) == "scores 0.99 on your text"
    short = [BOS, 5, 6]
    sink = looks_at(short, lambda i: 0)
    assert reason("positional", short, sink) == "too few places to tell it from chance"
    assert "; it rests on the first token (100%)" in reason("diffuse", short, sink)


def test_reasons_of_what_does_not_apply() -> None:
    close = [BOS, 5, 6, 5, 6]
    assert reason("induction", close, previous(close)) == TOO_CLOSE
    assert reason("induction", [BOS, 5], previous([BOS, 5])) == TOO_SHORT


def test_little_evidence_is_said() -> None:
    tokens = [BOS, 5, 6, 7, 5]
    copies = looks_at(tokens, lambda i: 2 if i == 4 else 0)
    assert (
        reason("induction", tokens, copies)
        == "scores 1.00 on your text (little evidence: only 1 place to look at)"
    )
    assert reason("induction", tokens, uniform(tokens)).endswith(
        " (little evidence: only 1 place to look at)"
    )
    two = [*tokens, 6]
    copies = looks_at(two, lambda i: i - 2 if i > 3 else 0)
    assert reason("induction", two, copies).endswith("(little evidence: only 2 places to look at)")
    assert "evidence" not in reason("induction", TOKENS, induction(TOKENS))


def test_where_no_score_could_count_it_says_so() -> None:
    """One position with three keys: a head that looks at nothing but its target may still be chance."""
    asked = role_input("previous_token", [BOS, 5, 6], {BOS})
    assert asked.target.rows == 1 and asked.needed(0.9) > 1
    assert reason("previous_token", [BOS, 5, 6], previous([BOS, 5, 6])) == (
        "too few places to tell it from chance"
    )


def test_a_diffuse_head_with_a_peak_says_what_is_wrong() -> None:
    # Half on one token, the rest spread thin over many: high entropy and a peak of more than half.
    n = 60
    tokens = [BOS, *range(10, 9 + n)]
    peaked = 0.4 * uniform(tokens)
    peaked[:, 0] += 0.6
    asked = role_input("diffuse", tokens)
    assert "so it is not spread out" in asked.explain(0.8, 0.9, checked=0.61, sink=0.1)
    assert asked.explain(0.8, 0.9, 0.61, 0.61) == (
        "one token takes 61% of its attention, so it is not spread out; it rests on the first token (61%)"
    )
    assert reason("diffuse", tokens, uniform(tokens)) == "scores 1.00 on your text"
    assert reason("diffuse", tokens, previous(tokens)).startswith(
        "scores 0.00 on your text, 0.55 would count"
    )


def test_the_reason_agrees_with_the_verdict() -> None:
    """Over many random heads and texts, only an inactive head comes with what would count."""
    for seed in range(6):
        tokens = TOKENS if seed % 2 else [*TOKENS, *range(20, 26), *TOKENS[1:]]
        patterns = random_head_patterns(len(tokens), 3.0, count=40, seed=seed)[None]
        listed = {role: heads_of_one_layer(40, 0.2) for role in pattern_roles()}
        for entries in activities(patterns, tokens, listed, {BOS}).values():
            for entry in entries:
                inactive = any(word in entry.reason for word in ("would count", "too few", "not spread out"))
                assert entry.is_active is not inactive
                assert entry.is_active is (
                    entry.live >= (entry.needed or 0) and "one token" not in entry.reason
                )
