# SPDX-License-Identifier: BSD-3-Clause
"""Compute statistics of lists of numbers. Knows nothing of trials, contenders or files.

The model behind the intervals: throughput varies from trial to trial by a factor, so its logarithm
is taken as normal and the trials as independent.

Few rounds say little of their own scatter, and the others of the same run say something of it. So
the variance of a gain is moderated (Smyth 2004, "Linear models and empirical Bayes methods for
assessing differential expression", Statistical Applications in Genetics and Molecular Biology 3):
drawn towards a prior that is estimated from the variances of all, and Student's t has the degrees
of freedom of both. Smyth's prior takes the true variances as drawn from one distribution with thin
tails. A load point three times as noisy as the rest is none of those, and its interval would cover
80 % in place of 95 %. So the prior counts at most PRIOR_SHARE of the degrees of freedom that
the rounds give: by simulation the interval then covers 95 % at the usual point and some 90 % at
such a one (tests/analyse/test_stats.py), and with two rounds it is half as wide as Student's.
"""

from __future__ import annotations

import functools
import math
import statistics
from dataclasses import dataclass
from typing import Sequence

import numpy as np
from numpy.typing import NDArray

SIGNIFICANT_DIGITS = 6
CONFIDENCE = 0.95
Table = NDArray[np.float64]
# two-sided, in the unit of its values: (low, high)
Interval = tuple[float, float]
# of a gain's own degrees of freedom, what a prior counts for at most; one with one counts as two
PRIOR_SHARE = 0.4
# of the usual variance, the least that is taken for one: equal values have no logarithm of theirs
_LEAST_VARIANCE = 1e-5


@dataclass(frozen=True)
class Variance:
    """An estimate, in squared units, that `freedom` degrees of freedom stand behind."""

    value: float
    freedom: float


NO_PRIOR = Variance(0.0, 0.0)


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


def t_interval(values: Sequence[float],
               prior: Variance = NO_PRIOR) -> tuple[float, Interval | None]:
    """Return the mean and its t interval, moderated by `prior`; `values` is not empty.

    Assumes that they are independent and normal; no interval with fewer than two.
    """
    mean, error = math.fsum(values) / len(values), _error(values, prior)
    if error is None:
        return mean, None
    half = quantile_of_t(error.freedom) * math.sqrt(error.value)
    return mean, (mean - half, mean + half)


def _error(values: Sequence[float], prior: Variance) -> Variance | None:
    """Return the variance of the mean; None with fewer than two values."""
    n = len(values)
    if n < 2:
        return None
    found = pooled_variance([Variance(statistics.variance(values), n - 1),
                             Variance(prior.value, held_freedom(prior, n - 1))])
    return Variance(found.value / n, found.freedom)


def pooled_variance(estimates: Sequence[Variance]) -> Variance:
    """Weigh each as much as its degrees of freedom. ValueError where none has any."""
    freedom = math.fsum(estimate.freedom for estimate in estimates)
    if freedom <= 0:
        raise ValueError("no degree of freedom")
    total = math.fsum(estimate.value * estimate.freedom for estimate in estimates)
    return Variance(total / freedom, freedom)


def log_t_interval(values: Sequence[float]) -> Interval | None:
    """Return Student's t interval of the mean logarithm, taken back by exp.

    `values` are positive. With log-normal ones the geometric mean is the median of what they are
    drawn from. None with fewer than two values.
    """
    return exp_interval(t_interval([math.log(value) for value in values])[1]) if values else None


def t_p_value(values: Sequence[float], prior: Variance = NO_PRIOR) -> float | None:
    """Return the two-sided p-value of the t test that the mean is 0.

    Below 0.05 exactly where t_interval() excludes 0. None with fewer than two values.
    """
    error = _error(values, prior)
    if error is None:
        return None
    mean = math.fsum(values) / len(values)
    if not error.value:
        return float(mean == 0)
    from scipy.special import stdtr
    return 2 * float(stdtr(error.freedom, -abs(mean) / math.sqrt(error.value)))


def noise_prior(tables: Sequence[Table]) -> Variance:
    """Return the prior for the variance of each column of any of the tables; NaN is no value.

    No freedom where fewer than two columns tell of theirs.
    """
    last = [[of[-1:] for of in _variances(table)] for table in tables]
    if not last:
        return NO_PRIOR
    values, freedoms = _priors(*(np.hstack(of) for of in zip(*last)))
    return Variance(float(values[0]), float(freedoms[0]))


def held_freedom(prior: Variance, freedom: float) -> float:
    """Return what a prior counts for beside `freedom` degrees of freedom of its own."""
    return min(prior.freedom, PRIOR_SHARE * max(2.0, freedom))


def half_widths(table: Table, least: int) -> Table:
    """Return half of each column's interval after every number of rows, 0 to all.

    Moderated by the columns of `table`, as far as the rows go. Rows + 1 by columns; infinite where
    a column has fewer than `least` values. NaN is no value.
    """
    from scipy.special import stdtrit
    variances, own = _variances(table)
    value, freedom = moderated(variances, own)
    half = stdtrit(freedom, 0.5 + CONFIDENCE / 2) * np.sqrt(value / (own + 1))
    widths: Table = np.where(own + 1 >= max(2, least), half, np.inf)
    return widths


def forecast(table: Table, rows: int) -> Table:
    """Return half of each column's interval after so many rows in all, if its scatter stays.

    Infinite for a column with fewer than two values.
    """
    from scipy.special import stdtrit
    variances, own = (of[-1:] for of in _variances(table))
    value, freedom = moderated(variances, own)
    quantile = stdtrit(freedom - own + rows - 1, 0.5 + CONFIDENCE / 2)
    widths: Table = np.where(own > 0, quantile * np.sqrt(value / rows), np.inf)[0]
    return widths


def moderated(variances: Table, freedom: Table) -> tuple[Table, Table]:
    """Draw each variance of a row towards the row's prior; return the values, and their freedom.

    Those without any freedom stay without a meaning.
    """
    values, prior = (found[:, None] for found in _priors(variances, freedom))
    held = np.minimum(prior, PRIOR_SHARE * np.maximum(freedom, 2))
    both = np.where(freedom > 0, freedom + held, 1.0)
    return (freedom * np.where(freedom > 0, variances, 0) + held * values) / both, both


def _variances(table: Table) -> tuple[Table, Table]:
    """Return each column's variance, and its freedom, after every number of rows, 0 to all."""
    known = np.isfinite(table)
    counts = np.vstack([np.zeros((1, table.shape[1])), known.cumsum(axis=0)])
    middle = np.where(known, table, 0.0).sum(axis=0) / np.maximum(1, counts[-1])
    centred = np.where(known, table - middle, 0.0)
    sums, squares = (np.vstack([np.zeros((1, table.shape[1])), of.cumsum(axis=0)])
                     for of in (centred, centred ** 2))
    freedom = np.maximum(counts - 1, 0)
    variances = (squares - sums ** 2 / np.maximum(1, counts)).clip(0) / np.maximum(1, freedom)
    return variances, freedom


def _priors(variances: Table, freedom: Table) -> tuple[Table, Table]:
    """Return Smyth's prior of each row of variances: its value and its degrees of freedom.

    His estimate by moments of the log variances. It never counts for more than what all but one of
    the variances stand for.
    """
    from scipy.special import digamma, polygamma
    used = freedom > 0
    count = used.sum(axis=1)
    in_order = np.sort(np.where(used, variances, np.inf), axis=1)
    usual = np.take_along_axis(in_order, np.maximum(0, count - 1)[:, None] // 2, axis=1)[:, 0]
    told = (count > 1) & (usual > 0)
    if not told.any():
        return np.zeros(len(count)), np.zeros(len(count))
    n, half = np.maximum(2, count), np.where(used, freedom, 1.0) / 2
    floor = np.where(told, usual, 1.0)[:, None] * _LEAST_VARIANCE
    logs = np.log(np.maximum(variances, floor)) - digamma(half) + np.log(half)
    mean = (logs * used).sum(axis=1) / n
    spread = (((logs - mean[:, None]) * used) ** 2).sum(axis=1) / (n - 1)
    excess = spread - (polygamma(1, half) * used).sum(axis=1) / n
    prior = _inverse_trigamma(np.maximum(excess, 1e-6))
    value = np.exp(mean + np.where(excess > 0, digamma(prior) - np.log(prior), 0.0))
    most = freedom.sum(axis=1) * (n - 1) / n
    return (np.where(told, value, 0.0),
            np.where(told, np.minimum(np.where(excess > 0, 2 * prior, np.inf), most), 0.0))


def _inverse_trigamma(values: Table) -> Table:
    """Return x with trigamma(x) = value, by Newton's method as Smyth (2004, appendix) has it."""
    from scipy.special import polygamma
    found = 0.5 + 1 / values
    for _ in range(10):
        at = polygamma(1, found)
        found = found + at * (1 - at / values) / polygamma(2, found)
    return found


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


def disputed(logs: Sequence[float], prior: Variance = NO_PRIOR) -> bool:
    """Tell whether t_interval() excludes 0 where the bootstrap, rather too narrow, does not."""
    ours = t_interval(logs, prior)[1] if logs else None
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
def quantile_of_t(freedom: float, probability: float = 0.5 + CONFIDENCE / 2) -> float:
    """Return a quantile of Student's t distribution with `freedom` degrees of it."""
    # whoever only measures needs no interval, and scipy takes long to import
    from scipy.special import stdtrit
    return float(stdtrit(freedom, probability))
