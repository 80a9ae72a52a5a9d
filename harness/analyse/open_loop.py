# SPDX-License-Identifier: BSD-3-Clause
"""Analyse latency against offered load: percentiles, saturation, the knee, distributions. Pure.

Every percentile is of the requests that the schedule had for the interval, from when each was meant
to be sent. One that was never sent is slower than any that was answered: a percentile that falls on
such is unknown, and no smaller figure.

The knee is the highest load at which p99 is at most KNEE_FACTOR times what it is at low load:
Jain's usable capacity ("The Art of Computer Systems Performance Analysis", 1991, 3.3) with a limit
that fits every contender. A knee of largest curvature (Kneedle: Satopää et al. 2011) was not taken:
it moves with the range of loads that were measured, and two contenders of a run have different
ranges.
"""

from __future__ import annotations

import math
import random
from typing import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from harness.analyse.model import (
    Distribution, Figure, Interval, Knee, OfferedPoint, OpenContender, OpenLoopSummary, Saturation)
from harness.analyse import stats
from harness.analyse.stats import round_significant, rounded_interval
from harness.errors import UsageError
from harness.plan import LoadPoint, Plan
from harness.store import PERCENTILES, Facts, Histogram, OpenLoop, TrialRecord, merged, quantile

KNEE_FACTOR = 3.0
# of what the schedule had: with less answered there is no steady state
ANSWERED_SHARE = 0.99
# shares of a contender's saturation at which the whole distribution is told
SHARES = (0.5, 0.8)
_RESAMPLES = 1000
# places of a distribution for each factor ten of 1 / (1 - q)
_PER_DECADE = 12


# by offered rate, valid trials alone
Rounds = Mapping[int, Sequence[TrialRecord]]


def summarise(plan: Plan, facts: Facts, points: Sequence[LoadPoint],
              trials: Sequence[TrialRecord]) -> OpenLoopSummary | None:
    """Return what an open loop shows; None for a closed one.

    Raises UsageError on a record without its schedule.
    """
    if not any(point.offered_per_sec for point in points):
        return None
    arrivals = sorted({trial.open_loop.arrivals for trial in trials if trial.open_loop})
    by_name = {name: [trial for trial in trials if trial.contender == name]
               for name in plan.contenders}
    return OpenLoopSummary(
        connections=points[0].connections, arrivals=tuple(arrivals), knee_factor=KNEE_FACTOR,
        offered=tuple(point.offered_per_sec for point in points),
        contenders={name: _contender(name, facts, of, [
            point.offered_per_sec for point in points if plan.follows(name, point)])
            for name, of in by_name.items()})


def _schedule(trial: TrialRecord) -> OpenLoop:
    """Return what the client says of its schedule; counts are of its measured interval."""
    if trial.open_loop is None:
        raise UsageError(f"trial {trial.sequence} of {trial.contender}: not one of an open loop")
    return trial.open_loop


def _saturated(trial: TrialRecord) -> bool:
    """Tell whether more was offered than was answered, or what waits for a connection grew."""
    schedule = _schedule(trial)
    middle, end = schedule.backlog_middle, schedule.backlog_end
    # more than the connections themselves can hold for a moment
    growing = bool(middle) and end is not None and end > (middle or 0) + trial.point.connections
    return growing or _count(trial.latency_histogram_us) < ANSWERED_SHARE * schedule.intended


def _contender(name: str, facts: Facts, trials: Sequence[TrialRecord],
               rates: Sequence[int]) -> OpenContender:
    rounds: dict[int, list[TrialRecord]] = {rate: [] for rate in rates}
    invalid = dict.fromkeys(rates, 0)
    for trial in trials:
        rate = trial.point.offered_per_sec
        if trial.valid:
            rounds.setdefault(rate, []).append(trial)
        else:
            invalid[rate] = invalid.get(rate, 0) + 1
    points = [_point(rate, of, invalid.get(rate, 0)) for rate, of in rounds.items()]
    saturation = _saturation(name, facts, points)
    return OpenContender(saturation, _knee(rounds), tuple(points),
                         tuple(_distributions(rounds, points, saturation)))


def _saturation(name: str, facts: Facts,
                points: Sequence[OfferedPoint]) -> Saturation | None:
    """Return what it can do: by closed-loop trials, or the most at a rate that was too much."""
    entry = facts.saturation.get(name)
    if entry:
        return Saturation(round_significant(entry.requests_per_sec), "closed loop",
                          entry.client_bound)
    most = max((point for point in points if point.saturated and point.achieved.median is not None),
               key=lambda point: point.achieved.median or 0.0, default=None)
    if most is None:
        return None
    return Saturation(most.achieved.median or 0.0, "open loop", most.client_bound)


def _point(rate: int, rounds: Sequence[TrialRecord], invalid: int) -> OfferedPoint:
    """Return one contender at one rate, all rounds together."""
    latency, intended = _merged(rounds)
    done = [item.requests_per_sec for item in rounds]
    told = list(map(_schedule, rounds))
    lag = merged(item.send_lag_us for item in told if item.send_lag_us is not None)
    waited = [item.waited for item in told if item.waited is not None]
    return OfferedPoint(
        offered=rate,
        achieved=Figure(round_significant(stats.median(done)) if done else None,
                        rounded_interval(stats.log_t_interval(done))),
        latency_us={**{key: intended_quantile(latency, intended, permille / 1000)
                       for key, permille in PERCENTILES.items() if key != "max"},
                    "max": latency[-1][0] if latency and _count(latency) == intended else None},
        p50_ci95=_spread(rounds, 0.5), p99_ci95=_spread(rounds, 0.99),
        saturated=bool(rounds) and is_saturated(rounds),
        intended=intended, unsent=sum(item.unsent for item in told),
        waited_share=round_significant(sum(waited) / intended) if waited and intended else None,
        send_lag_us={key: quantile(lag, PERCENTILES[key]) for key in ("p50", "p99", "max")}
        if lag else None,
        client_bound=any(item.client_bound for item in told),
        rounds=len(rounds), invalid=invalid)


def is_saturated(rounds: Sequence[TrialRecord]) -> bool:
    """Tell whether most rounds were: one that was disturbed makes no steady state unsteady."""
    return 2 * sum(map(_saturated, rounds)) > len(rounds)


def intended_quantile(histogram: Sequence[tuple[float, int]], intended: int, share: float) -> float | None:
    """Return the latency that `share` (0 to 1) of the intended requests did not exceed.

    By nearest rank; None where that is one of those without an answer.
    """
    # answers may be a few more than a schedule at equal distances has by its rate
    rank = math.ceil(round(share * max(intended, _count(histogram)), 6))
    seen = 0
    for value, count in histogram:
        seen += count
        if seen >= rank > 0:
            return value
    return None


def _count(histogram: Sequence[tuple[float, int]]) -> int:
    return sum(count for _, count in histogram)


def _merged(rounds: Sequence[TrialRecord]) -> tuple[Histogram, int]:
    histogram = merged(item.latency_histogram_us for item in rounds)
    return histogram, max(sum(_schedule(item).intended for item in rounds), _count(histogram))


def _spread(rounds: Sequence[TrialRecord], share: float) -> Interval | None:
    """Return the t interval of a percentile over rounds; None where a round does not know it."""
    known = [value for item in rounds if (value := intended_quantile(*_merged([item]), share))]
    return rounded_interval(stats.log_t_interval(known)) if len(known) == len(rounds) else None


# --- the knee ---------------------------------------------------------------------------------


def _knee(rounds: Rounds) -> Knee:
    measured = {rate: of for rate, of in rounds.items() if of}
    at, limit = knee([(rate, None if is_saturated(of) else intended_quantile(*_merged(of), 0.99))
                      for rate, of in measured.items()])
    return Knee(None if at is None else round_significant(at, 4),
                None if limit is None else round_significant(limit, 4),
                None if at is None else _bootstrap(measured))


def knee(curve: Iterable[tuple[int, float | None]]) -> tuple[float | None, float | None]:
    """Return (the highest load at which p99 keeps to its limit, that limit).

    `curve`: (load, p99), ascending; None is a p99 that is not known: saturated, or it falls on
    requests without an answer. At low load p99 is the median of those up to half of the highest
    load in a steady state. Between two loads its logarithm is a straight line; towards one that is
    not known it is no line. (None, limit) when no load was too much.
    """
    points = list(curve)
    steady = [(rate, value) for rate, value in points if value is not None]
    if not steady:
        return None, None
    low = [value for rate, value in steady if rate <= steady[-1][0] / 2] or [steady[0][1]]
    limit = KNEE_FACTOR * stats.median(low)
    place = max((i for i, (_, value) in enumerate(points) if value is not None and value <= limit),
                default=None)
    if place is None or place == len(points) - 1:
        return None, limit
    (rate, value), (next_rate, next_value) = points[place], points[place + 1]
    if next_value is None or value is None or value <= 0:
        return float(rate), limit
    part = math.log(limit / value) / math.log(next_value / value)
    return rate + part * (next_rate - rate), limit


def _bootstrap(rounds: Rounds) -> Interval | None:
    """Return the 95 % interval of the knee when whole rounds are drawn again with replacement.

    Percentile method. None below two rounds, or where it reaches beyond the rates.
    """
    numbers = sorted({item.round for of in rounds.values() for item in of})
    if len(numbers) < 2:
        return None
    tables = {rate: _Table(of, numbers) for rate, of in rounds.items()}
    # a seed of its own: the same records give the same interval for ever
    draw = random.Random("knee")
    found: list[float] = []
    for _ in range(_RESAMPLES):
        drawn = draw.choices(range(len(numbers)), k=len(numbers))
        weights = np.bincount(drawn, minlength=len(numbers))
        at, limit = knee([(rate, table.p99(weights)) for rate, table in tables.items()
                          if table.has(weights)])
        # without a rate that was too much it is beyond them all, without one that was not below
        found.append(at if at is not None else math.inf if limit is not None else 0.0)
    found.sort()
    low, high = found[int(0.025 * _RESAMPLES)], found[int(0.975 * _RESAMPLES) - 1]
    if low <= 0 or high == math.inf:
        return None
    return round_significant(low, 4), round_significant(high, 4)


class _Table:
    """One rate's histograms side by side, so that a resample is one product.

    `counts` has a row a round number (zeros where that round is missing) and a column a value.
    """

    def __init__(self, rounds: Sequence[TrialRecord], numbers: Sequence[int]) -> None:
        self.values = sorted({value for item in rounds for value, _ in item.latency_histogram_us})
        column = {value: place for place, value in enumerate(self.values)}
        self.counts = np.zeros((len(numbers), len(self.values)), dtype=np.int64)
        self.intended, self.saturated, self.there = np.zeros((3, len(numbers)), dtype=np.int64)
        for item in rounds:
            row = numbers.index(item.round)
            for value, count in item.latency_histogram_us:
                self.counts[row, column[value]] = count
            self.intended[row] = _merged([item])[1]
            self.saturated[row], self.there[row] = _saturated(item), 1

    def has(self, weights: NDArray[np.int64]) -> bool:
        return bool(self.there @ weights)

    def p99(self, weights: NDArray[np.int64]) -> float | None:
        """Return the resample's p99; None where it is saturated, or does not know it."""
        if 2 * int(self.saturated @ weights) > int(self.there @ weights):
            return None
        sums, intended = (weights @ self.counts).cumsum(), int(self.intended @ weights)
        place = int(sums.searchsorted(math.ceil(round(0.99 * intended, 6))))
        return float(self.values[place]) if place < len(self.values) else None


# --- whole distributions ----------------------------------------------------------------------


def _distributions(rounds: Rounds, points: Sequence[OfferedPoint],
                   saturation: Saturation | None) -> list[Distribution]:
    """Return those at the measured rate next to each of SHARES of its saturation."""
    steady = [point.offered for point in points if point.rounds and not point.saturated]
    if saturation is None or not steady:
        return []
    found = {}
    for share in SHARES:
        wanted = share * saturation.requests_per_sec
        rate = min(steady, key=lambda rate: abs(rate - wanted))
        # nothing near it was measured
        if abs(rate - wanted) <= 0.1 * saturation.requests_per_sec:
            found[rate] = Distribution(share, rate, tuple(curve(*_merged(rounds[rate]))))
    return list(found.values())


def curve(histogram: Sequence[tuple[float, int]], intended: int) -> list[tuple[float, float]]:
    """Return (1 / (1 - q), us) at equal factors, up to the last that a request stands for."""
    if not intended:
        return []
    last = math.floor(_PER_DECADE * math.log10(intended))
    steps = [10 ** (place / _PER_DECADE) for place in range(last + 1)]
    known = [(step, intended_quantile(histogram, intended, 1 - 1 / step) if step > 1 else histogram[0][0])
             for step in steps]
    return [(round_significant(step, 4), value) for step, value in known if value is not None]
