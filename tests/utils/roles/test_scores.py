"""Role scores against a slow reference straight from docs/METHODS.md, section 1, and its traps."""

import json
import math
import random
from collections.abc import Callable, Collection, Sequence

import pytest
import torch
from torch import Tensor

from utils.roles.random_heads import random_head_patterns
from utils.roles.registry import ROLES, pattern_roles
from utils.roles.role_score import NOTHING_REPEATS, TOO_CLOSE, TOO_SHORT, max_attention, sink_share
from utils.roles.scores import chance_level, role_score, role_target

BOS = 0
Keys = dict[int, list[int]]


def reference_keys(role: str, tokens: Sequence[int], special: Collection[int]) -> Keys:
    """{query: keys whose attention counts}, in the words of the table."""
    n = len(tokens)
    keys: Keys = {}
    for i in range(n):
        if role == "previous_token" and i >= 2:
            keys[i] = [i - 1]
        if role == "positional" and i >= 2:
            keys[i] = [0]
        if tokens[i] in special:
            continue
        if role == "induction":
            found = [j + 1 for j in range(i) if tokens[j] == tokens[i] and j + 2 < i]
            if found:
                keys[i] = found
        if role == "duplicate_token":
            found = [j for j in range(1, i) if tokens[j] == tokens[i]]
            if found:
                keys[i] = found
    return keys


def reference_score(
    role: str, attention: list[list[float]], tokens: Sequence[int], special: Collection[int]
) -> float:
    n = len(tokens)
    if n < 3:
        return 0.0
    if role == "diffuse":
        total = 0.0
        for i in range(2, n):
            row = attention[i][: i + 1]
            total += -sum(a * math.log(a) for a in row if a > 0) / math.log(i + 1)
        return total / (n - 2)
    keys = reference_keys(role, tokens, special)
    if not keys:
        return 0.0
    return sum(sum(attention[i][j] for j in found) for i, found in keys.items()) / len(keys)


def reference_chance(role: str, tokens: Sequence[int], special: Collection[int], window: int | None) -> float:
    keys = reference_keys(role, tokens, special)
    total = 0.0
    for i, found in keys.items():
        seen = i + 1 if window is None else min(i + 1, window)
        total += sum(1 / seen for j in found if i - j < seen)
    return total / len(keys)


def random_tokens(rng: random.Random) -> list[int]:
    """BOS and more tokens of a small vocabulary, so that much repeats, BOS and token 1 among it."""
    return [BOS, *(rng.choice([BOS, 1, *range(2, 10)]) for _ in range(rng.randint(2, 22)))]


def in_a_run(tokens: Sequence[int], special: Collection[int]) -> bool:
    """Whether all targets of induction hold the very token that is asked about (AAAA)."""
    keys = reference_keys("induction", tokens, special)
    return all(tokens[j] == tokens[i] for i, found in keys.items() for j in found)


@pytest.mark.parametrize("role", pattern_roles())
@pytest.mark.parametrize("special", [(), (BOS,), (BOS, 1)], ids=["none", "bos", "two"])
def test_scores_are_those_of_the_slow_reference(role: str, special: tuple[int, ...]) -> None:
    rng = random.Random(f"{role}{special}")
    applicable = 0
    for seed in range(25):
        tokens = random_tokens(rng)
        attention = random_head_patterns(len(tokens), 2.0, count=3, seed=seed).double()
        scores = role_score(role, attention, tokens, special)
        if role == "induction" and in_a_run(tokens, special):
            assert scores.tolist() == [0, 0, 0]
            continue
        expected = [reference_score(role, head, tokens, special) for head in attention.tolist()]
        assert scores.tolist() == pytest.approx(expected, abs=1e-6)
        applicable += role_target(role, tokens, special).applicable
        if role_target(role, tokens, special).applicable and role != "diffuse":
            for window in (None, 1, 3, 5, 100):
                expected_chance = reference_chance(role, tokens, special, window)
                assert chance_level(role, tokens, special, window) == pytest.approx(expected_chance)
    assert applicable >= 10


@pytest.mark.parametrize("role", pattern_roles())
def test_leading_axes_may_be_anything(role: str) -> None:
    tokens = [BOS, 3, 4, 5, 3, 4, 5]
    attention = random_head_patterns(7, 1.0, count=6, seed=1)
    expected = role_score(role, attention, tokens, {BOS})
    for shape in ((6,), (2, 3), (1, 3, 2)):
        scores = role_score(role, attention.view(*shape, 7, 7), tokens, {BOS})
        assert scores.shape == shape
        torch.testing.assert_close(scores.flatten(), expected)
    assert role_score(role, attention[0], tokens, {BOS}).shape == ()


def _looks_at(tokens: Sequence[int], keys: Callable[[int], Sequence[int]]) -> Tensor:
    """A head that spreads each row over `keys(query)`, or looks at the first token where there are none."""
    attention = torch.zeros(len(tokens), len(tokens))
    for i in range(len(tokens)):
        chosen = [j for j in keys(i) if 0 <= j <= i] or [0]
        attention[i, chosen] = 1 / len(chosen)
    return attention


CONTRACT_TOKENS = [BOS, 11, 12, 13, 14, 11, 12, 13, 14, 11]
# One case a role: the pattern of a head that does nothing else.
PERFECT: dict[str, Callable[[int], Sequence[int]]] = {
    "previous_token": lambda i: [i - 1],
    "induction": lambda i: [j for j in (i - 3, i - 7) if j > 1],
    "duplicate_token": lambda i: [j for j in (i - 4, i - 8) if j > 0],
    "positional": lambda i: [0],
    "diffuse": lambda i: range(i + 1),
}


def test_every_measured_role_has_its_case() -> None:
    assert (
        set(PERFECT)
        == set(pattern_roles())
        == {key for key, role in ROLES.items() if role.measured and not role.by_output}
    )


@pytest.mark.parametrize("role", pattern_roles())
def test_contract_of_a_role(role: str) -> None:
    tokens = list(CONTRACT_TOKENS)
    attention = random_head_patterns(len(tokens), 4.0, count=12, seed=2).view(3, 4, 10, 10)
    before = attention.clone()
    scores = role_score(role, attention, tokens, {BOS})
    assert scores.shape == (3, 4) and scores.dtype == attention.dtype
    assert bool(scores.isfinite().all()) and float(scores.min()) >= 0 and float(scores.max()) <= 1
    assert torch.equal(attention, before) and tokens == CONTRACT_TOKENS
    assert torch.equal(scores, role_score(role, attention, tokens, {BOS}))
    target = role_target(role, tokens, {BOS})
    json.dumps({"scores": scores.tolist(), "pairs": target.pairs, "rows": target.rows}, allow_nan=False)
    assert target.applicable and target.reason == "" and target.rows > 0
    assert all(0 <= j <= i < len(tokens) for i, j in target.pairs)
    assert target.rows == len({i for i, _ in target.pairs})
    perfect = role_score(role, _looks_at(tokens, PERFECT[role]), tokens, {BOS})
    assert float(perfect) == pytest.approx(1, abs=1e-6)
    # The other roles' perfect heads are clearly not this role's.
    for other in set(PERFECT) - {role}:
        assert float(role_score(role, _looks_at(tokens, PERFECT[other]), tokens, {BOS})) < 0.8
    # Not applicable: zeros of the same shape, and a reason.
    short = role_score(role, attention[..., :2, :2], tokens[:2], {BOS})
    assert short.shape == (3, 4) and not bool(short.any())
    assert role_target(role, tokens[:2]).reason == TOO_SHORT


@pytest.mark.parametrize("role", pattern_roles())
@pytest.mark.parametrize("n", [0, 1, 2])
def test_fewer_than_three_tokens_tell_nothing(role: str, n: int) -> None:
    tokens = [5] * n
    target = role_target(role, tokens)
    assert not target.applicable and target.reason == TOO_SHORT
    assert target.rows == 0 and target.pairs == () and target.mask.shape == (n, n)
    assert float(role_score(role, torch.ones(n, n), tokens)) == 0
    assert math.isnan(chance_level(role, tokens))


def test_rows_0_and_1_do_not_count() -> None:
    """Row 0 can only look at itself: counted, it would be a gift to every head."""
    tokens = [BOS, 1, 2, 3]
    first = torch.zeros(4, 4)
    first[:, 0] = 1
    forced = first.clone()
    forced[2:] = torch.eye(4)[2:]
    assert float(role_score("positional", first, tokens)) == 1
    assert float(role_score("positional", forced, tokens)) == 0
    assert float(role_score("previous_token", first, tokens)) == 0
    assert {i for i, _ in role_target("diffuse", tokens).pairs} == {2, 3}


def test_entropy_is_measured_by_what_a_row_can_see() -> None:
    """Divided by log n, uniform attention would stay well under 1."""
    n = 12
    uniform = torch.ones(n, n).tril() / torch.arange(1, n + 1)[:, None]
    assert float(role_score("diffuse", uniform, range(n))) == pytest.approx(1, abs=1e-6)
    two = _looks_at(range(n), lambda i: [0, i])
    expected = sum(math.log(2) / math.log(i + 1) for i in range(2, n)) / (n - 2)
    assert float(role_score("diffuse", two, range(n))) == pytest.approx(expected, abs=1e-6)


def test_a_first_token_sink_is_no_duplicate_head() -> None:
    """Token 0 comes again, and the head only rests on the first position."""
    tokens = [7, 1, 2, 7, 3, 7]
    sink = _looks_at(tokens, lambda i: [0])
    assert float(role_score("duplicate_token", sink, tokens)) == 0
    assert role_target("duplicate_token", tokens).pairs == ((5, 3),)
    # The only earlier copy is the first token: nothing to be told apart from a sink.
    assert role_target("duplicate_token", [7, 1, 2, 7]).reason == NOTHING_REPEATS


@pytest.mark.parametrize("tokens", [[5, 6, 5, 6], [5, 5, 5, 5], [5, 5, 5, 5, 5, 5], [1, 5, 5], [1, 5, 2, 5]])
@pytest.mark.parametrize("start", [[], [BOS]], ids=["bare", "with BOS"])
def test_what_repeats_too_close_is_no_test_of_induction(tokens: list[int], start: list[int]) -> None:
    target = role_target("induction", [*start, *tokens], {BOS})
    assert target.reason == TOO_CLOSE and target.pairs == ()
    previous = _looks_at([*start, *tokens], lambda i: [i - 1])
    assert float(role_score("induction", previous, [*start, *tokens], {BOS})) == 0


def test_induction_targets_follow_the_earlier_copy_and_stay_clear_of_the_previous_token() -> None:
    tokens = [BOS, 5, 6, 5, 6, 5, 8]
    assert role_target("induction", tokens, {BOS}).pairs == ((5, 2),)
    assert role_target("induction", [4, 5, 6, 4], {BOS}).pairs == ((3, 1),)  # j = 0 is allowed
    assert role_target("duplicate_token", tokens, {BOS}).pairs == ((3, 1), (4, 2), (5, 1), (5, 3))


@pytest.mark.parametrize("role", ["induction", "duplicate_token"])
def test_special_tokens_repeat_nothing(role: str) -> None:
    tokens = [BOS, 5, 6, BOS, 7, 8, BOS]
    assert role_target(role, tokens, {BOS}).reason == NOTHING_REPEATS
    assert role_target(role, tokens).applicable
    mixed = [BOS, 5, 9, 6, BOS, 5, 9, BOS]
    assert {mixed[i] for i, _ in role_target(role, mixed, {BOS}).pairs} == {5, 9}
    assert role_target(role, mixed, {BOS, 5, 9}).reason == NOTHING_REPEATS


@pytest.mark.parametrize("role", ["induction", "duplicate_token"])
def test_no_repetition_no_score(role: str) -> None:
    tokens = [BOS, *range(20, 32)]
    assert role_target(role, tokens, {BOS}).reason == NOTHING_REPEATS
    assert not bool(role_score(role, random_head_patterns(13, 4.0, count=5), tokens, {BOS}).any())


def test_chance_by_hand() -> None:
    tokens = [BOS, 5, 6, 7, 5, 6]
    # Induction: row 4 looks at one of 5 keys, row 5 at one of 6.
    assert chance_level("induction", tokens, {BOS}) == pytest.approx((1 / 5 + 1 / 6) / 2)
    assert chance_level("previous_token", tokens) == pytest.approx((1 / 3 + 1 / 4 + 1 / 5 + 1 / 6) / 4)
    # With a window of 3 keys, row 4 sees 2 to 4: its target at 2 is the last one inside.
    assert chance_level("induction", tokens, {BOS}, window=3) == pytest.approx((1 / 3 + 1 / 3) / 2)
    assert chance_level("duplicate_token", tokens, {BOS}, window=3) == 0
    assert chance_level("positional", tokens, window=3) == pytest.approx((1 / 3 + 0 + 0 + 0) / 4)
    assert chance_level("previous_token", tokens, window=1) == 0
    assert math.isnan(chance_level("diffuse", tokens))
    assert math.isnan(chance_level("induction", [BOS, 1, 2, 3], {BOS}))


@pytest.mark.parametrize("role", [role for role in pattern_roles() if role != "diffuse"])
def test_chance_is_the_score_of_uniform_attention(role: str) -> None:
    tokens = [BOS, 5, 6, 7, 5, 6, 9, 5, 6, 7]
    uniform = torch.ones(10, 10).tril() / torch.arange(1, 11)[:, None]
    assert float(role_score(role, uniform, tokens, {BOS})) == pytest.approx(chance_level(role, tokens, {BOS}))


def test_resting_and_peak() -> None:
    attention = torch.tensor([[1.0, 0, 0, 0], [0.9, 0.1, 0, 0], [0.6, 0.3, 0.1, 0], [0.2, 0.1, 0.4, 0.3]])
    assert float(sink_share(attention)) == pytest.approx(0.4)
    assert float(max_attention(attention)) == pytest.approx(0.4)
    both = torch.stack((attention, torch.eye(4)))
    assert sink_share(both).tolist() == pytest.approx([0.4, 0])
    assert max_attention(both).tolist() == pytest.approx([0.4, 1])


@pytest.mark.parametrize("n", [1, 2])
def test_resting_and_peak_of_a_very_short_text_are_numbers(n: int) -> None:
    """The page shows them for any prompt, and JSON knows no NaN."""
    pattern = torch.eye(n).expand(2, 3, n, n)
    assert sink_share(pattern).tolist() == [[0.0] * 3] * 2
    assert max_attention(pattern).tolist() == [[1.0] * 3] * 2


def test_errors_give_expected_and_actual() -> None:
    with pytest.raises(ValueError, match=r"\(\.\.\., query, key\)=\(\.\.\., 4, 4\)\. Got \(3, 4, 5\)\."):
        role_score("induction", torch.zeros(3, 4, 5), [1, 2, 3, 4])
    with pytest.raises(ValueError, match=r"Got \(4,\)\."):
        role_score("induction", torch.zeros(4), [1, 2, 3, 4])
    for call in (
        lambda: role_target("other", [1, 2, 3]),
        lambda: role_score("other", torch.eye(3), [1, 2, 3]),
        lambda: chance_level("other", [1, 2, 3]),
    ):
        with pytest.raises(ValueError, match=r"role must be one of previous_token, .*Got 'other'\."):
            call()
