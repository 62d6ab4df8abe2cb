"""How the next token is chosen: by the probabilities, and alike where the random numbers are alike."""

import math
from collections import Counter

import pytest
import torch

from utils.effects.sampling import MAX_SEED, WritingOptions, check_options, choose
from utils.errors import UserFacingError

LOGITS = torch.tensor([0.5, 0.3, 0.15, 0.05]).log() + 4
DRAWS = 4000


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def shares(options: WritingOptions, logits: torch.Tensor = LOGITS) -> list[float]:
    generator = rng()
    counts = Counter(choose(logits, options, generator) for _ in range(DRAWS))
    return [counts[token] / DRAWS for token in range(len(logits))]


def assert_shares(found: list[float], expected: list[float]) -> None:
    for share, probability in zip(found, expected, strict=True):
        # Five standard deviations.
        assert abs(share - probability) <= 5 * math.sqrt(probability * (1 - probability) / DRAWS)


def test_greedy_takes_the_likeliest_and_the_first_of_equals() -> None:
    assert choose(LOGITS.flip(0), WritingOptions(), rng()) == 3
    assert choose(torch.zeros(4), WritingOptions(), rng()) == 0


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_draws_follow_the_softmax_at_the_temperature(temperature: float) -> None:
    expected = (LOGITS / temperature).softmax(-1).tolist()
    assert_shares(shares(WritingOptions(temperature=temperature)), expected)


def test_top_k_draws_from_the_likeliest_by_their_shares() -> None:
    assert_shares(shares(WritingOptions(temperature=1.0, top_k=2)), [5 / 8, 3 / 8, 0, 0])
    assert shares(WritingOptions(temperature=1.0, top_k=1)) == [1, 0, 0, 0]
    assert shares(WritingOptions(temperature=1.0, top_k=99)) == shares(WritingOptions(temperature=1.0))


def test_a_low_temperature_is_nearly_greedy() -> None:
    assert shares(WritingOptions(temperature=0.01)) == [1, 0, 0, 0]


def test_alike_dice_choose_alike_unless_the_scores_differ() -> None:
    options = WritingOptions(temperature=1.0)
    one, other, third = rng(7), rng(7), rng(8)
    changed = LOGITS + torch.tensor([0.0, 0.3, 0.0, 0.0])
    first = [choose(LOGITS, options, one) for _ in range(500)]
    second = [choose(changed, options, other) for _ in range(500)]
    # With the same noise only draws that go over to the token that gained can differ.
    assert all(a == b or b == 1 for a, b in zip(first, second, strict=True))
    assert 0 < sum(a != b for a, b in zip(first, second, strict=True)) < 100
    assert first != [choose(LOGITS, options, third) for _ in range(500)]


@pytest.mark.parametrize(
    "options",
    [
        WritingOptions(new_tokens=0),
        WritingOptions(new_tokens=201),
        WritingOptions(temperature=-1),
        WritingOptions(temperature=1e-9),
        WritingOptions(temperature=math.nan),
        WritingOptions(temperature=math.inf),
        WritingOptions(top_k=0),
        WritingOptions(seed=-1),
        WritingOptions(seed=MAX_SEED + 1),
    ],
    ids=str,
)
def test_options_outside_their_bounds_are_refused(options: WritingOptions) -> None:
    with pytest.raises(UserFacingError, match=r"cannot be .* Choose"):
        check_options(options)


def test_options_at_their_bounds_are_taken() -> None:
    check_options(WritingOptions(200, 5.0, 1, MAX_SEED))
    check_options(WritingOptions(1, 0.01, 10**9, 0))
