# SPDX-License-Identifier: BSD-3-Clause
"""Statistics as pure functions on lists of numbers. Knows nothing of trials, contenders or files.

The model behind the intervals: throughput varies from trial to trial by a factor, so its logarithm is taken
as normal and the trials as independent. A gain is the mean over rounds of the log ratio within a round, for
what drifts from round to round (clock, neighbours on the host) acts on both contenders of a round alike.
"""

from __future__ import annotations

import functools
import math
import statistics
from typing import Iterable, NamedTuple, Sequence

SIGNIFICANT_DIGITS = 6


class Interval(NamedTuple):
    """A two-sided interval in the unit of its values; `low` <= `high`."""

    low: float
    high: float


def round_significant(value: float, digits: int = SIGNIFICANT_DIGITS) -> float:
    """`value` to `digits` significant digits, so that the last bits of a maths library never reach a file."""
    return float(f"{value:.{digits}g}")


def rounded_interval(interval: Interval | None) -> list[float] | None:
    """[low, high] as a file has them; None where there is none."""
    return None if interval is None else [round_significant(end) for end in interval]


def median(values: Sequence[float]) -> float:
    """The middle value, or the mean of the two middle ones; in the unit of `values`, which is not empty."""
    return float(statistics.median(values))


def merge_histograms(histograms: Iterable[Iterable[tuple[float, int]]]) -> list[tuple[float, int]]:
    """One histogram of (value, count) by ascending value; every response weighs the same."""
    merged: dict[float, int] = {}
    for histogram in histograms:
        for value, count in histogram:
            merged[value] = merged.get(value, 0) + count
    return sorted((value, count) for value, count in merged.items() if count > 0)


def quantile(histogram: Sequence[tuple[float, int]], permille: int) -> float:
    """The nearest-rank quantile of a merged histogram: the value of rank ceil(permille * N / 1000).

    Always a value that was observed. `permille` is 1 to 1000
    (1000: the maximum), an integer so that no rounding of 0.999 * N moves the rank. Unit: that of the values.
    Raises ValueError when the histogram is empty.
    """
    total = sum(count for _, count in histogram)
    if total <= 0 or not 1 <= permille <= 1000:
        raise ValueError(f"no quantile {permille}/1000 of {total} values")
    rank = -(-permille * total // 1000)
    seen = 0
    for value, count in histogram:
        seen += count
        if seen >= rank:
            break
    return value


def geometric_mean(values: Sequence[float]) -> float:
    """exp of the mean logarithm; `values` must be positive and not empty."""
    return math.exp(math.fsum(math.log(value) for value in values) / len(values))


def log_t_interval(values: Sequence[float], confidence: float = 0.95) -> Interval | None:
    """Student's t interval of the mean logarithm, taken back by exp: an interval of the geometric mean.

    In the unit of `values`, which must be positive. Assumes that they are independent and log-normal; then
    the geometric mean is the median of what they are drawn from. None with fewer than two values.
    """
    n = len(values)
    if n < 2:
        return None
    logs = [math.log(value) for value in values]
    centre = math.fsum(logs) / n
    deviation = math.sqrt(math.fsum((log - centre) ** 2 for log in logs) / (n - 1))
    half = quantile_of_t(n - 1, 0.5 + confidence / 2) * deviation / math.sqrt(n)
    return Interval(math.exp(centre - half), math.exp(centre + half))


def paired_gain(pairs: Sequence[tuple[float, float]]) -> tuple[float, Interval | None]:
    """(ratio, its 95 % interval) of pairs (numerator, denominator), one pair a round; positive, not empty.

    The ratio is the geometric mean of the ratios within each round; the interval assumes that these are
    independent and log-normal, and is None with fewer than two rounds. Swapping the sides inverts everything.
    """
    ratios = [numerator / denominator for numerator, denominator in pairs]
    return geometric_mean(ratios), log_t_interval(ratios)


def paired_difference(pairs: Sequence[tuple[float, float]], confidence: float = 0.95) -> tuple[float, Interval | None]:
    """(mean of before - after, its interval) of pairs (before, after), one pair a round; not empty.

    Student's t interval: it assumes that the differences are independent and normal, and is None with fewer than two.
    """
    differences = [before - after for before, after in pairs]
    n = len(differences)
    mean = math.fsum(differences) / n
    if n < 2:
        return mean, None
    deviation = math.sqrt(math.fsum((each - mean) ** 2 for each in differences) / (n - 1))
    half = quantile_of_t(n - 1, 0.5 + confidence / 2) * deviation / math.sqrt(n)
    return mean, Interval(mean - half, mean + half)


def log_t_p_value(ratios: Sequence[float]) -> float | None:
    """Two-sided p-value of Student's t test that the mean log ratio is 0: below 0.05 exactly where log_t_interval()
    excludes 1. `ratios` are positive, one a round; None with fewer than two. Same assumptions as the interval.
    """
    n = len(ratios)
    if n < 2:
        return None
    logs = [math.log(ratio) for ratio in ratios]
    mean = math.fsum(logs) / n
    error = math.sqrt(math.fsum((log - mean) ** 2 for log in logs) / (n - 1) / n)
    if error == 0:
        return 1.0 if mean == 0 else 0.0
    from scipy.special import stdtr  # type: ignore[import]
    return min(1.0, 2 * float(stdtr(n - 1, -abs(mean) / error)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values, in the order of `p_values`: calling those below a level different makes one false call among
    all of them with at most that probability, however the tests depend on one another.

    Holm's step-down procedure (Scandinavian Journal of Statistics 6, 1979): never less powerful than Bonferroni's.
    """
    adjusted, reached = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda each: p_values[each])):
        reached = max(reached, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = reached
    return adjusted


def disputed(ratios: Sequence[float]) -> bool:
    """Does log_t_interval() exclude 1 where bootstrap_interval(), which is rather too narrow, does not?"""
    ours = log_t_interval(ratios)
    if ours is None or ours.low <= 1 <= ours.high:
        return False
    check = bootstrap_interval(ratios, seed=1)
    return check is not None and check.low <= 1 <= check.high


# with fewer values the resampled means are so few, and so close to one another, that a check by them is none
LEAST_TO_RESAMPLE = 5
_RESAMPLES = 9999


def bootstrap_interval(values: Sequence[float], seed: int, confidence: float = 0.95) -> Interval | None:
    """The BCa bootstrap interval of the geometric mean, which assumes no distribution; the same for the same seed.

    Only a cross-check of log_t_interval(), which is the method: resampling n values can show no more than they hold, so
    with few of them its interval is too narrow (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter
    14). On normal logarithms a nominal 95 % covers some 71 % at n = 3, 85 % at 5 and 90 % at 10, where t covers 95 % at
    each; t is also what Georges, Buytaert and Eeckhout (2007) and, for more rounds, Kalibera and Jones (2013, "Rigorous
    benchmarking in reasonable time") take. What tells is thus one disagreement: t excludes 1, and even this does not.

    `values` are positive. None with fewer than LEAST_TO_RESAMPLE, or where BCa has none, as of equal values.
    """
    if len(values) < LEAST_TO_RESAMPLE or min(values) == max(values):
        return None
    import numpy
    from scipy.stats import bootstrap  # type: ignore[import]
    logs = numpy.log(numpy.asarray(values, dtype=float))
    found = bootstrap((logs,), numpy.mean, confidence_level=confidence, n_resamples=_RESAMPLES, method="BCa",
                      random_state=numpy.random.default_rng(seed)).confidence_interval
    low, high = float(found.low), float(found.high)
    return Interval(math.exp(low), math.exp(high)) if math.isfinite(low) and math.isfinite(high) else None


@functools.lru_cache(maxsize=None)
def quantile_of_t(freedom: int, probability: float) -> float:
    """Of Student's t distribution with `freedom` degrees of it."""
    # whoever only measures needs no interval, and scipy takes long to import
    from scipy.special import stdtrit
    return float(stdtrit(freedom, probability))
