# SPDX-License-Identifier: BSD-3-Clause
"""Statistics as pure functions on lists of numbers. Knows nothing of trials, contenders or files.

The model behind the intervals: throughput varies from trial to trial by a factor, so its logarithm is taken
as normal and the trials as independent. A gain is the mean over rounds of the log ratio within a round, for
what drifts from round to round (clock, neighbours on the host) acts on both contenders of a round alike.
"""

from __future__ import annotations

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
    half = _quantile_of_t(n - 1, 0.5 + confidence / 2) * deviation / math.sqrt(n)
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
    half = _quantile_of_t(n - 1, 0.5 + confidence / 2) * deviation / math.sqrt(n)
    return mean, Interval(mean - half, mean + half)


def _quantile_of_t(freedom: int, probability: float) -> float:
    """Of Student's t distribution."""
    # whoever only measures needs no interval, and scipy takes long to import
    from scipy.special import stdtrit  # type: ignore[import]
    return float(stdtrit(freedom, probability))
