"""Intervals against scipy, overlaps against counting."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from retrieval.rankings.overlap import chance_jaccard, jaccard, top_size
from study.tables.intervals import mean_bootstrap, paired_bootstrap, share_interval


@pytest.mark.parametrize(("successes", "n"), [(0, 25), (1, 25), (13, 25), (25, 25), (1, 1), (400, 1000)])
def test_share_interval_is_wilsons(successes: int, n: int) -> None:
    ours = share_interval(successes, n)
    theirs = stats.binomtest(successes, n).proportion_ci(0.95, method="wilson")
    assert ours.mean == successes / n
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


@pytest.mark.parametrize(("successes", "n"), [(2, 1), (-1, 5), (0, 0)])
def test_share_interval_wants_samples(successes: int, n: int) -> None:
    with pytest.raises(ValueError, match="successes"):
        share_interval(successes, n)


def test_paired_bootstrap_is_the_percentile_bootstrap() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.normal(0.3, 1, 40), rng.normal(0, 1, 40)
    ours = paired_bootstrap(a, b, resamples=20_000, seed=1)
    theirs = stats.bootstrap(
        (a - b,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(2)
    ).confidence_interval
    assert ours.mean == pytest.approx(float(np.mean(a - b)))
    # Both are random: ends of 20,000 resamples agree to about a hundredth of the width.
    assert ours.low == pytest.approx(theirs.low, abs=0.03)
    assert ours.high == pytest.approx(theirs.high, abs=0.03)


def test_paired_bootstrap_of_two_samples_is_counted_by_hand() -> None:
    # Resampled means of [0, 1]: 0, 0.5, 0.5, 1, each way with probability 1/4.
    interval = paired_bootstrap([0, 1], [0, 0], resamples=10_000, seed=0)
    assert (interval.mean, interval.low, interval.high) == (0.5, 0.0, 1.0)


def test_pairing_cancels_how_hard_a_sample_is() -> None:
    hard = np.array([0, 1] * 10)
    paired = paired_bootstrap(hard, hard)
    assert (paired.mean, paired.low, paired.high) == (0, 0, 0)
    assert mean_bootstrap(hard).high - mean_bootstrap(hard).low > 0.3


def test_draws_are_resampled_too() -> None:
    # Two draws that differ in everything: a resample has one of them twice, the other twice, or both.
    a, draws = np.ones(50), np.array([np.ones(50), np.zeros(50)])
    found = paired_bootstrap(a, draws, seed=5)
    assert (found.mean, found.low, found.high) == (0.5, 0.0, 1.0)
    averaged = paired_bootstrap(a, draws.mean(axis=0), seed=5)
    assert (averaged.low, averaged.high) == (0.5, 0.5)
    # Draws that agree add nothing.
    rng = np.random.default_rng(1)
    one, other = rng.integers(2, size=30), rng.integers(2, size=30)
    assert paired_bootstrap(one, [other] * 5) == paired_bootstrap(one, other)
    assert mean_bootstrap([one] * 3) == mean_bootstrap(one)


def test_resampled_draws_and_samples_are_counted_by_hand() -> None:
    # One sample, three draws of 0, 0, 1: the mean of three drawn with replacement is binomial / 3.
    found = paired_bootstrap([0], [[0], [0], [1]], resamples=100_000)
    assert found.mean == pytest.approx(-1 / 3)
    chances = stats.binom(3, 1 / 3)
    assert (found.low, found.high) == pytest.approx((-chances.ppf(0.975) / 3, -chances.ppf(0.025) / 3))


def test_samples_of_one_company_are_drawn_together() -> None:
    # Two companies, four samples of one and one of the other: resamples hold the first alone, both, or the
    # second alone, with means 1, 4/5 and 0.
    found = paired_bootstrap([1, 1, 1, 1, 0], [0] * 5, units=[0, 0, 0, 0, 1])
    assert (found.mean, found.low, found.high) == (0.8, 0.0, 1.0)
    # Samples that are alike within their companies say no more than one of each.
    values, several = np.array([1, 0, 1, 1, 0, 1, 0, 1]), 3
    units = np.repeat(np.arange(len(values)), several)
    repeated = paired_bootstrap(np.repeat(values, several), np.zeros(len(units)), units=units.tolist())
    once = paired_bootstrap(values, np.zeros(len(values)))
    assert (repeated.low, repeated.high) == pytest.approx((once.low, once.high))
    # With draws of a control too.
    draws = np.array([np.zeros(len(values)), np.ones(len(values))])
    both = paired_bootstrap(
        np.repeat(values, several), np.repeat(draws, several, axis=1), units=units.tolist()
    )
    single = paired_bootstrap(values, draws)
    assert (both.mean, both.low, both.high) == pytest.approx((single.mean, single.low, single.high))


def test_each_sample_for_itself_is_the_plain_bootstrap() -> None:
    rng = np.random.default_rng(1)
    one, other = rng.integers(2, size=30), rng.integers(2, size=(5, 30))
    assert paired_bootstrap(one, other, units=list(range(30))) == paired_bootstrap(one, other)


def test_the_same_seed_gives_the_same_interval() -> None:
    a, b = [1, 1, 0, 1, 0], [0, 1, 0, 0, 0]
    assert paired_bootstrap(a, b, seed=7) == paired_bootstrap(a, b, seed=7)
    # The sample size and the seed alone make the resamples, so turning the two round mirrors the interval.
    there, back = paired_bootstrap(a, b, seed=7), paired_bootstrap(b, a, seed=7)
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low))


@pytest.mark.parametrize(("a", "b"), [([], []), ([1], [1, 0]), ([[1, 0]], [1, 0]), ([1, 0], [[1], [0]])])
def test_paired_bootstrap_wants_as_many_of_both(a: list, b: list) -> None:
    with pytest.raises(ValueError, match="shape"):
        paired_bootstrap(a, b)


def test_jaccard() -> None:
    assert jaccard("abc", "bcd") == 2 / 4
    assert jaccard("ab", "ab") == 1
    assert jaccard("ab", "cd") == 0
    with pytest.raises(ValueError, match="empty"):
        jaccard("", "")


@pytest.mark.parametrize(("total", "k"), [(5, 2), (6, 4), (4, 4), (7, 1)])
def test_chance_jaccard_is_the_mean_over_all_pairs_of_sets(total: int, k: int) -> None:
    sets = list(itertools.combinations(range(total), k))
    mean = math.fsum(jaccard(one, other) for one in sets for other in sets) / len(sets) ** 2
    assert chance_jaccard(total, k) == pytest.approx(mean, abs=1e-12)


def test_chance_jaccard_of_a_large_model() -> None:
    ways = [math.comb(50, m) * math.comb(974, 50 - m) for m in range(51)]
    mean = sum(Fraction(m * way, 100 - m) for m, way in enumerate(ways)) / math.comb(1024, 50)
    assert chance_jaccard(1024, 50) == pytest.approx(float(mean), rel=1e-12)
    with pytest.raises(ValueError, match="total"):
        chance_jaccard(10, 11)


def test_overlaps_are_taken_over_the_top_50_or_fifth() -> None:
    assert [top_size(total) for total in (4, 64, 250, 1024)] == [1, 12, 50, 50]
