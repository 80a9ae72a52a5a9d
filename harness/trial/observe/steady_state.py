# SPDX-License-Identifier: BSD-3-Clause
"""Find from the data when a load's throughput had settled. Pure; knows no machine and no file.

The rule is MSER (marginal standard error rule: White, "An effective truncation heuristic for bias
reduction in simulation output", Simulation 69(6), 1997): of a series of n values leave out the
first d, where d makes the squared standard error of the mean of the rest, sum((x - mean)^2) /
(n - d)^2, the least. More left out takes away the beginning, and loses values. A d in the second
half says that the series was too short for any (White, Cobb and Spratt, "A comparison of five
steady-state truncation heuristics for simulation", Winter Simulation Conference 2000); here d is
looked for up to the middle, and the middle itself is taken as that. Means of five values, as MSER-5
has, would make six of a trial of three seconds; a value here is the mean of some thousand requests
already.
"""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass
from statistics import fmean
from typing import Sequence

from harness.store import Note, Steady, Unsettled

INTERVAL_SECONDS = 0.1
# fewer have no middle to speak of
LEAST_VALUES = 8
# By how much a beginning may shift the mean of the measured interval: below what rounds differ by
# on any machine (3 % and more), so that it cannot decide a gain.
MOST_SHIFT = 0.02
# Of one half of the measured interval against the other: what a drift does to a mean is a quarter
# of it, and two halves of ten values of 5 % differ by 2.2 % by chance.
MOST_DRIFT = 0.05
# of the median: an interval with less carried no load
_IDLE = 0.01


@dataclass(frozen=True)
class Settled:
    """When throughput settled: `after_seconds` of load, None if never; and what is wrong with that.

    Unsettled.OWN_RAMP: the load settled late though the warm-up had, so that a longer one would not
    help.
    """

    after_seconds: float | None
    why: Note[Unsettled] | None = None


def rates(times: Sequence[float], totals: Sequence[float],
          interval: float = INTERVAL_SECONDS) -> list[float]:
    """Return what a growing counter grew by in a second, in each interval from its first sample on.

    `times` (s, ascending) are as late as they were; totals between two of them are interpolated. A
    last interval that is not whole is left out.
    """
    if len(times) < 2:
        return []
    count = math.floor((times[-1] - times[0]) / interval + 1e-6)
    grid = [_at(times[0] + place * interval, times, totals) for place in range(count + 1)]
    return [(after - before) / interval for before, after in zip(grid, grid[1:])]


def _at(time: float, times: Sequence[float], totals: Sequence[float]) -> float:
    """Return the total at `time`, on the line between the samples beside it.

    Not numpy.interp: a machine that only measures need not have numpy.
    """
    after = min(max(bisect.bisect_left(times, time), 1), len(times) - 1)
    begin, end = times[after - 1], times[after]
    part = min(1.0, (time - begin) / (end - begin)) if end > begin else 1.0
    return totals[after - 1] + part * (totals[after] - totals[after - 1])


@dataclass(frozen=True)
class Series:
    """Samples of a growing counter while a tool ran.

    times: s since it was started, ascending
    totals: at those times
    seconds: until it had ended
    """

    times: Sequence[float]
    totals: Sequence[float]
    seconds: float


def of_load(series: Series, duration: float, interval: float = INTERVAL_SECONDS) -> list[float]:
    """Return what the counter grew by in a second, in each interval whole within the tool's load.

    The load has `duration` s. When it began is not told, but it can have begun no later than leaves
    room for it before the tool's end, nor ended later than if it had begun at once; what lies
    between the two is the load's whenever it began. Where a tool waited before its load (for an
    answer to its first SYN), it began in the first interval that carried some.
    """
    values = rates(series.times, series.totals, interval)
    busy = sorted(value for value in values if value > 0)
    if not busy:
        return []
    latest = max(0.0, series.seconds - duration)
    earliest, begin = 0.0, series.times[0]
    for value in values:
        if value >= _IDLE * busy[len(busy) // 2] or begin + interval > latest:
            break
        begin += interval
        earliest = begin
    latest = min(latest, begin + interval)
    return [value for place, value in enumerate(values)
            if series.times[0] + place * interval >= latest - 1e-6
            and series.times[0] + (place + 1) * interval <= earliest + duration + 1e-6]


def mser(values: Sequence[float]) -> int:
    """Return how many of the first values to leave out, 0 to the middle; the first of equals."""
    if not values:
        raise ValueError("no values")
    best, least = 0, math.inf
    count, total, squares = 0, 0.0, 0.0
    # about the mean, lest squares of large numbers cancel; from the end, one pass
    centre = math.fsum(values) / len(values)
    rounding = 1e-12 * centre * centre
    scores: dict[int, float] = {}
    for place in range(len(values) - 1, -1, -1):
        value = values[place] - centre
        count, total, squares = count + 1, total + value, squares + value * value
        scores[place] = max(0.0, squares - total * total / count) / (count * count)
    for place in range(len(values) // 2 + 1):
        if scores[place] < least - rounding:
            best, least = place, scores[place]
    return best


def judge(warmup: Sequence[float], load: Sequence[float],
          interval: float = INTERVAL_SECONDS) -> Settled | None:
    """Judge the throughput in each interval of warm-up and load; None of too few values.

    What came before it settled counts only by what it does to the measured figure: a trial is at
    fault where the measured interval's mean is off by MOST_SHIFT of what it settled to, or still
    drifts by MOST_DRIFT, and more than its values scatter.
    """
    values = [*warmup, *load]
    if len(values) < LEAST_VALUES or len(load) < LEAST_VALUES // 2 or not any(load):
        return None
    cut = mser(values)
    settled, inside = round(cut * interval, 3), cut - len(warmup)
    # the rule only leaves out a beginning: that the rest is of one piece is asked here, of all
    # where it found none
    kept = load if cut == len(values) // 2 else load[max(0, inside):]
    first, second = kept[:len(kept) // 2], kept[-(len(kept) // 2):]
    if _differ(first, second, MOST_DRIFT):
        change = fmean(second) / fmean(first) - 1 if fmean(first) > 0 else 1.0
        return Settled(None, Note(Unsettled.NEVER, {"change": round(change, 4)}))
    rest = values[cut:]
    shift = fmean(load) / fmean(rest) - 1 if inside > 0 else 0.0
    if abs(shift) <= MOST_SHIFT or not _differ(load[:inside], rest, MOST_SHIFT):
        return Settled(settled)
    # the last third of the warm-up was as fast as what the load settled to
    own = len(warmup) >= 3 and not _differ(warmup[-(len(warmup) // 3):], rest, MOST_SHIFT)
    return Settled(settled, Note(Unsettled.OWN_RAMP if own else Unsettled.LATE, {
        "seconds": round(inside * interval, 3), "shift": round(shift, 4)}))


def _differ(some: Sequence[float], others: Sequence[float], least: float) -> bool:
    """Tell whether two means are apart by `least` of the larger, and by three standard errors."""
    apart = abs(fmean(some) - fmean(others))
    spread = math.fsum((value - fmean(values)) ** 2
                       for values in (some, others) for value in values)
    freedom = max(1, len(some) + len(others) - 2)
    error = math.sqrt(spread / freedom * (1 / len(some) + 1 / len(others)))
    return apart > least * max(fmean(some), fmean(others)) and apart > 3 * error


def steadiness(warmup: Sequence[float], load: Sequence[float], interval: float = INTERVAL_SECONDS
               ) -> tuple[Steady | None, Note[Unsettled] | None]:
    """Return a record's `steady` and `unsettled`; None of too few values, or if it was steady."""
    settled = judge(warmup, load, interval)
    if settled is None:
        return None, None
    own_ramp = settled.why is not None and settled.why.code is Unsettled.OWN_RAMP
    return Steady(interval, len(warmup), tuple(float(f"{value:.6g}") for value in (*warmup, *load)),
                  settled.after_seconds, own_ramp), settled.why
