# SPDX-License-Identifier: BSD-3-Clause
"""Compute statistics of lists of numbers. Knows nothing of trials, contenders or files.

The model behind the intervals: throughput varies from trial to trial by a factor, so its logarithm
is taken as normal and the trials as independent.
"""

from __future__ import annotations

import functools
import math
import statistics
from typing import Sequence

import numpy as np
from numpy.typing import NDArray

SIGNIFICANT_DIGITS = 6
CONFIDENCE = 0.95
Table = NDArray[np.float64]
# two-sided, in the unit of its values: (low, high)
Interval = tuple[float, float]


def round_significant(value: float, digits: int = SIGNIFICANT_DIGITS) -> float:
    """Round, so that the last bits of a maths library never reach a file."""
    return float(f"{value:.{digits}g}")


def rounded_interval(interval: Interval | None) -> Interval | None:
    """Return an interval as a file has it."""
    return interval and (round_significant(interval[0]), round_significant(interval[1]))


def exp_interval(interval: Interval | None) -> Interval | None:
    """Return the interval of what `interval` is of the logarithm of."""
    return interval and (math.exp(interval[0]), math.exp(interval[1]))


def median(values: Sequence[float]) -> float:
    """Return the middle value, or the mean of the two middle ones; `values` is not empty."""
    return float(statistics.median(values))


def t_interval(values: Sequence[float]) -> tuple[float, Interval | None]:
    """Return the mean and its Student's t interval; `values` is not empty.

    Assumes that they are independent and normal; no interval with fewer than two.
    """
    mean, n = math.fsum(values) / len(values), len(values)
    if n < 2:
        return mean, None
    half = quantile_of_t(n - 1) * statistics.stdev(values) / math.sqrt(n)
    return mean, (mean - half, mean + half)


def log_t_interval(values: Sequence[float]) -> Interval | None:
    """Return Student's t interval of the mean logarithm, taken back by exp.

    `values` are positive. With log-normal ones the geometric mean is the median of what they are
    drawn from. None with fewer than two values.
    """
    return exp_interval(t_interval([math.log(value) for value in values])[1]) if values else None


def t_p_value(values: Sequence[float]) -> float | None:
    """Return the two-sided p-value of Student's t test that the mean is 0.

    Below 0.05 exactly where t_interval() excludes 0. None with fewer than two values.
    """
    if len(values) < 2:
        return None
    if min(values) == max(values):
        return float(values[0] == 0)
    from scipy.stats import ttest_1samp
    return float(ttest_1samp(values, 0).pvalue)


def half_widths(table: Table, least: int) -> Table:
    """Return half of each column's t interval after every number of rows, 0 to all.

    Rows + 1 by columns; infinite where a column has fewer than `least` values. NaN is no value.
    """
    known = np.isfinite(table)
    centred = np.where(known, table - np.nanmean(table, axis=0), 0.0)
    start = np.zeros((1, table.shape[1]))
    counts = np.vstack([start, known.cumsum(axis=0)])
    sums = np.vstack([start, centred.cumsum(axis=0)])
    squares = np.vstack([start, (centred ** 2).cumsum(axis=0)])
    enough = counts >= max(2, least)
    n = np.where(enough, counts, 2.0)
    errors = np.sqrt((squares - sums ** 2 / n).clip(0) / (n - 1) / n)
    quantiles = np.array([0.0, *(quantile_of_t(freedom) for freedom in range(1, len(counts) + 1))])
    widths: Table = np.where(enough, quantiles[n.astype(int) - 1] * errors, np.inf)
    return widths


def holm(p_values: Sequence[float]) -> list[float]:
    """Return adjusted p-values, in the order of `p_values`.

    Calling those below a level different makes one false call among all of them with at most that
    probability, however the tests depend on one another. Holm's step-down procedure (Scandinavian
    Journal of Statistics 6, 1979): never less powerful than Bonferroni's.
    """
    adjusted, reached = [0.0] * len(p_values), 0.0
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    for rank, place in enumerate(order):
        reached = max(reached, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = reached
    return adjusted


def disputed(logs: Sequence[float]) -> bool:
    """Tell whether t_interval() excludes 0 where the bootstrap, rather too narrow, does not."""
    ours = t_interval(logs)[1] if logs else None
    if ours is None or ours[0] <= 0 <= ours[1]:
        return False
    check = bootstrap_interval(logs, seed=1)
    return check is not None and check[0] <= 0 <= check[1]


# with fewer values the resampled means are so few, and so close, that a check by them is none
LEAST_TO_RESAMPLE = 5
_RESAMPLES = 9999


def bootstrap_interval(values: Sequence[float], seed: int) -> Interval | None:
    """Return the BCa bootstrap interval of the mean, which assumes no distribution.

    Only a cross-check of t_interval(), which is the method: resampling n values can show no more
    than they hold, so with few of them its interval is too narrow (Efron and Tibshirani, An
    Introduction to the Bootstrap, 1993, chapter 14). On normal values a nominal 95 % covers some
    71 % at n = 3, 85 % at 5 and 90 % at 10, where t covers 95 % at each; t is also what Georges,
    Buytaert and Eeckhout (2007) and, for more rounds, Kalibera and Jones (2013, "Rigorous
    benchmarking in reasonable time") take. What tells is thus one disagreement: t excludes 0, and
    even this does not.

    None with fewer than LEAST_TO_RESAMPLE, or where BCa has none, as of equal values. The same for
    the same seed.
    """
    if len(values) < LEAST_TO_RESAMPLE or min(values) == max(values):
        return None
    from scipy.stats import bootstrap
    found = bootstrap((np.asarray(values),), np.mean, confidence_level=CONFIDENCE, method="BCa",
                      n_resamples=_RESAMPLES, random_state=np.random.default_rng(seed))
    low, high = map(float, found.confidence_interval)
    return (low, high) if math.isfinite(low) and math.isfinite(high) else None


@functools.lru_cache(maxsize=None)
def quantile_of_t(freedom: int, probability: float = 0.5 + CONFIDENCE / 2) -> float:
    """Return a quantile of Student's t distribution with `freedom` degrees of it."""
    # whoever only measures needs no interval, and scipy takes long to import
    from scipy.special import stdtrit
    return float(stdtrit(freedom, probability))
