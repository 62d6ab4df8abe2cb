"""Intervals and overlaps of the study: plain functions on numbers (docs/METHODS.md, section 4).

Every interval is a 95% one. Two are used: Wilson's for a share of samples, and the percentile bootstrap over
samples for a mean difference between two conditions that were run on the same samples. Where several samples
are of one company, the bootstrap draws companies (the cluster bootstrap: A. C. Cameron, J. B. Gelbach and D.
L. Miller 2008, Review of Economics and Statistics 90).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESAMPLES = 10_000
# The standard normal's 97.5th percentile, for Wilson's interval.
Z95 = 1.959963984540054
_TAILS = (2.5, 97.5)


@dataclass(frozen=True)
class Interval:
    """A mean with its 95% interval.

    Attributes:
        mean: the value itself.
        low: lower end.
        high: upper end.
    """

    mean: float
    low: float
    high: float


def paired_bootstrap(
    a: ArrayLike,
    b: ArrayLike,
    resamples: int = RESAMPLES,
    seed: int = 0,
    units: Sequence[int] | None = None,
) -> Interval:
    """The mean of a - b over samples, with the percentile bootstrap interval over samples and draws.

    Samples are drawn with replacement, a sample's values in `a` and `b` together: how hard a sample is
    cancels out. Where `b` is some draws of a random control, as many of these are drawn with replacement too
    in each resample: draws differ widely, and the interval says so.

    Args:
        a: a value a sample [n].
        b: a value a sample [n], or some draws a sample [draws, n].
        resamples: how often the samples are drawn anew.
        seed: of the resampling; the same seed and n give the same resamples.
        units: of which unit each sample is, numbered from 0; units are drawn, with all their samples. None
            where each sample is one.

    Raises:
        ValueError: no samples, or unlike numbers of them.
    """
    first = np.asarray(a, dtype=np.float64)
    second = np.asarray(b, dtype=np.float64)
    draws = second if second.ndim == 2 and len(second) else None
    if draws is not None:
        second = draws.mean(axis=0)
    if first.ndim != 1 or not len(first) or first.shape != second.shape:
        raise ValueError(
            "a must have shape (n,) with n > 0 and b (n,) or (draws, n). "
            f"Got {first.shape} and {second.shape}."
        )
    difference = first - second
    # All resamples in one product: means of thousands of tables are a matter of seconds.
    each = tuple(range(len(difference))) if units is None else tuple(units)
    counts = _resample_counts(each, resamples, seed)
    # Units differ in size, so resamples of them do.
    totals = counts.sum(axis=1)
    # Divided at the end: sums of right answers are whole numbers, and an end at 0 is 0 and not nearly so.
    if draws is None:
        means = counts @ difference / totals
    else:
        # Another stream than the samples', so that the two choices are independent.
        weights = _resample_counts(tuple(range(len(draws))), resamples, seed + 1)
        sums = len(draws) * (counts @ first) - ((counts @ draws.T) * weights).sum(axis=1)
        means = sums / (len(draws) * totals)
    low, high = np.percentile(means, _TAILS)
    return Interval(float(difference.mean()), float(low), float(high))


def mean_bootstrap(
    values: ArrayLike, resamples: int = RESAMPLES, seed: int = 0, units: Sequence[int] | None = None
) -> Interval:
    """The mean of `values`, [n] or [draws, n] (averaged over draws first), with its bootstrap interval."""
    array = np.asarray(values, dtype=np.float64)
    found = paired_bootstrap(np.zeros(array.shape[-1]), array, resamples, seed, units)
    return Interval(0.0 - found.mean, 0.0 - found.high, 0.0 - found.low)


@lru_cache(maxsize=8)
def _resample_counts(units: tuple[int, ...], resamples: int, seed: int) -> NDArray[np.float64]:
    """How often each sample comes up in each resample [resamples, n] when its units are drawn."""
    n = max(units) + 1
    drawn = np.random.default_rng(seed).integers(n, size=(resamples, n))
    counts = np.zeros((resamples, n))
    np.add.at(counts, (np.arange(resamples)[:, None], drawn), 1)
    counts = counts[:, list(units)]
    counts.setflags(write=False)
    return counts


def share_interval(successes: int, n: int) -> Interval:
    """The share successes / n with Wilson's interval (E. B. Wilson 1927, J. Am. Stat. Assoc. 22).

    It stays in [0, 1] and has a width at 0 and 1 too, where the samples' own spread would say there is none.

    Raises:
        ValueError: no samples, or more successes than samples.
    """
    if not 0 <= successes <= n or n < 1:
        raise ValueError(f"successes must be 0..n with n > 0. Got {successes} of {n}.")
    share = successes / n
    scale = 1 + Z95**2 / n
    middle = (share + Z95**2 / (2 * n)) / scale
    half = Z95 / scale * (share * (1 - share) / n + Z95**2 / (4 * n**2)) ** 0.5
    return Interval(share, max(0.0, middle - half), min(1.0, middle + half))
