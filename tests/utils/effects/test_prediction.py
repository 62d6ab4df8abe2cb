"""The next token, clean beside ablated: numbers by hand, and the sentence."""

import math
import random

import pytest
import torch

from utils.effects.prediction import MAX_NEWCOMERS, TOP_K, Comparison, compare, name_heads, plain_sentence
from utils.heads import Head


def logits(*shares: float) -> torch.Tensor:
    """Logits of a distribution, off by a constant as a model's are."""
    return torch.tensor(shares).log() + 3.0


def test_numbers_by_hand() -> None:
    clean, ablated = logits(0.1, 0.6, 0.3), logits(0.5, 0.2, 0.3)
    result = compare(clean, ablated)
    assert [row.token for row in result.rows] == [1, 2, 0]
    top = result.top
    assert (top.clean, top.ablated) == (pytest.approx(0.6), pytest.approx(0.2))
    assert (top.clean_rank, top.ablated_rank) == (1, 3)
    assert top.change == pytest.approx(-0.4)
    assert result.ablated_top.token == 0
    assert [row.token for row in result.ablated_rows] == [0, 2, 1]
    assert (result.ablated_top.clean_rank, result.ablated_top.ablated_rank) == (3, 1)
    expected = 0.1 * math.log(0.1 / 0.5) + 0.6 * math.log(0.6 / 0.2) + 0.3 * math.log(0.3 / 0.3)
    assert result.kl == pytest.approx(expected, abs=1e-6)
    assert result.watched == top and result.rival == 2
    assert result.logit_difference == (
        pytest.approx(math.log(0.6 / 0.3), abs=1e-5),
        pytest.approx(math.log(0.2 / 0.3), abs=1e-5),
    )


def test_a_watched_token_is_compared_with_the_favourite() -> None:
    result = compare(logits(0.1, 0.6, 0.3), logits(0.5, 0.2, 0.3), watched=0)
    assert result.watched.token == 0 and result.rival == 1
    assert result.logit_difference == (
        pytest.approx(math.log(0.1 / 0.6), abs=1e-5),
        pytest.approx(math.log(0.5 / 0.2), abs=1e-5),
    )


def test_nothing_off_changes_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    clean = torch.randn(50, generator=generator)
    before = clean.clone()
    result = compare(clean, clean)
    assert result.kl == 0 and len(result.rows) == TOP_K
    assert all(row.change == 0 and row.clean_rank == row.ablated_rank for row in result.rows)
    assert [row.clean_rank for row in result.rows] == list(range(1, TOP_K + 1))
    assert torch.equal(clean, before)


def test_ranks_and_kl_agree_with_a_slow_reference() -> None:
    rng = random.Random(5)
    for _ in range(20):
        a, b = ([rng.gauss(0, 3) for _ in range(30)] for _ in range(2))
        result = compare(torch.tensor(a), torch.tensor(b))
        p, q = ([math.exp(x) / sum(map(math.exp, row)) for x in row] for row in (a, b))
        for row in result.rows:
            assert row.clean == pytest.approx(p[row.token], abs=1e-6)
            assert row.ablated == pytest.approx(q[row.token], abs=1e-6)
            assert row.clean_rank == 1 + sum(x > p[row.token] for x in p)
            assert row.ablated_rank == 1 + sum(x > q[row.token] for x in q)
        assert result.kl == pytest.approx(
            sum(x * math.log(x / y) for x, y in zip(p, q, strict=True)), rel=1e-5
        )
        assert result.kl >= 0


def test_newcomers_follow_the_clean_top_ten() -> None:
    clean = torch.arange(40.0).flip(0)
    ablated = torch.arange(40.0)
    result = compare(clean, ablated)
    tokens = [row.token for row in result.rows]
    assert tokens == [*range(10), 39, 38, 37, 36, 35]
    assert len(tokens) == TOP_K + MAX_NEWCOMERS and len(set(tokens)) == len(tokens)
    # The ablated favourite is always among the rows, and the ablated top ten is whole.
    assert result.ablated_top.token == 39 and result.ablated_top in result.rows
    assert [row.token for row in result.ablated_rows] == list(range(39, 29, -1))
    assert [row.ablated_rank for row in result.ablated_rows] == list(range(1, TOP_K + 1))


def test_a_small_vocabulary_has_fewer_rows() -> None:
    assert len(compare(logits(0.4, 0.6), logits(0.6, 0.4)).rows) == 2


def test_huge_logits_stay_numbers() -> None:
    result = compare(torch.tensor([1e4, 0.0, -1e4]), torch.tensor([-1e4, 0.0, 1e4]))
    assert math.isfinite(result.kl) and result.kl == pytest.approx(2e4)
    assert [row.clean for row in result.rows] == [1, 0, 0]


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(vocab,\)\. Got \(3,\) and \(4,\)"):
        compare(torch.zeros(3), torch.zeros(4))
    with pytest.raises(ValueError, match=r"Got \(2, 3\)"):
        compare(torch.zeros(2, 3), torch.zeros(2, 3))
    for watched in (-1, 3):
        with pytest.raises(ValueError, match=rf"\[0, 3\)\. Got {watched}"):
            compare(torch.zeros(3), torch.zeros(3), watched)


HEADS = [Head(4, 1), Head(2, 3), Head(2, 10), Head(0, 0)]


def test_heads_in_words() -> None:
    assert name_heads(HEADS[:1]) == "L4H1"
    assert name_heads(HEADS[:2]) == "L2H3 and L4H1"
    assert name_heads(HEADS[:3]) == "L2H3, L2H10 and L4H1"
    assert name_heads(HEADS) == "these 4 heads"


def sentence(clean: tuple[float, ...], ablated: tuple[float, ...], heads: list[Head]) -> str:
    comparison: Comparison = compare(logits(*clean), logits(*ablated))
    return plain_sentence(comparison, heads, "·mat", "·dog")


def test_the_sentence() -> None:
    assert sentence((0.61, 0.39), (0.61, 0.39), []) == "The model expects “·mat” next (61%)."
    assert sentence((0.61, 0.2, 0.19), (0.09, 0.61, 0.3), [Head(2, 3)]) == (
        "Without L2H3 the model no longer expects “·mat” (61% to 9%): now it is “·dog” (61%)."
    )
    assert sentence((0.61, 0.39), (0.617, 0.383), HEADS[:2]) == (
        "Without L2H3 and L4H1 the model still expects “·mat”, as before (61% to 62%)."
    )
    assert sentence((0.61, 0.39), (0.9, 0.1), HEADS) == (
        "Without these 4 heads the model expects “·mat” more than before: 61% to 90%."
    )
    assert sentence((0.9, 0.1), (0.6, 0.4), HEADS[:1]) == (
        "Without L4H1 the model expects “·mat” less than before: 90% to 60%."
    )
