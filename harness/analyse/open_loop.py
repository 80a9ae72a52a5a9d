# SPDX-License-Identifier: BSD-3-Clause
"""Latency against offered load, from an open loop's records: percentiles, saturation, the knee. Pure; no chart.

Every percentile is of the requests that the schedule had for the interval, from when each was meant to be sent. One
that was never sent is slower than any that was answered: a percentile that falls on such is unknown, and no smaller
figure.

The knee is the highest load at which p99 is at most KNEE_FACTOR times what it is at low load: Jain's usable capacity
("The Art of Computer Systems Performance Analysis", 1991, 3.3) with a limit that fits every contender. A knee of
largest curvature (Kneedle: Satopää et al. 2011) was not taken: it moves with the range of loads that were measured, and
two contenders of one run have different ranges.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Any, Iterable, Mapping, Sequence

from harness.analyse import stats
from harness.errors import UsageError
from harness.plan import LoadPoint, Plan
from harness.store.records import Trial, finite

PERCENTILES = {"p50": 500, "p90": 900, "p99": 990, "p999": 999}
KNEE_FACTOR = 3.0
# of what the schedule had: with less answered there is no steady state
ANSWERED_SHARE = 0.99
# shares of a contender's saturation at which the whole distribution is told
SHARES = (0.5, 0.8)
_RESAMPLES = 1000
# places of a distribution for each factor ten of 1 / (1 - q)
_PER_DECADE = 12

Histogram = Sequence[tuple[float, int]]


@dataclass(frozen=True)
class Round:
    """One valid trial at one rate. Counts are of requests whose time lay in the interval; `lag`: (us, count), None of a
    client that does not know its own.
    """

    number: int
    requests_per_sec: float
    latency: Histogram
    intended: int
    unsent: int
    waited: int | None
    growing: bool
    lag: Histogram | None
    client_bound: bool

    @property
    def saturated(self) -> bool:
        """Was more offered than was answered, or did what waits grow?"""
        return self.growing or _count(self.latency) < ANSWERED_SHARE * self.intended


def summarise(plan: Plan, facts: Mapping[str, Any], trials: Sequence[Trial],
              records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """`open_loop` of summary.json; {} for a closed loop. `trials` and `records`: the same lines, read and as they are.

    Raises UsageError on a record without its schedule.
    """
    if not plan.offered:
        return {}
    rounds: dict[tuple[str, int], list[Round]] = {}
    invalid: dict[tuple[str, int], int] = {}
    for number, (trial, record) in enumerate(zip(trials, records), 1):
        key = (trial.contender, trial.offered)
        if trial.valid:
            rounds.setdefault(key, []).append(_round(trial, record, number, plan.connections[0]))
        else:
            invalid[key] = invalid.get(key, 0) + 1
    arrivals = sorted({str(record["open_loop"].get("arrivals")) for trial, record in zip(trials, records)
                       if trial.valid})
    return {
        "connections": plan.connections[0], "offered": list(plan.offered), "arrivals": arrivals,
        "knee_factor": KNEE_FACTOR,
        "contenders": {name: _contender(name, plan, facts, {rate: rounds.get((name, rate), []) for rate in plan.offered
                                                            if plan.follows(name, LoadPoint(plan.connections[0], rate))}, invalid)
                       for name in plan.contenders},
    }


def _round(trial: Trial, record: Mapping[str, Any], number: int, connections: int) -> Round:
    try:
        said = record["open_loop"]
        middle, end = said.get("backlog_middle"), said.get("backlog_end")
        lag, waited = said.get("send_lag_us"), said.get("waited")
        return Round(
            trial.round, trial.requests_per_sec, trial.latency_us, int(said["intended"]), int(said["unsent"]),
            None if waited is None else int(waited),
            # more than the connections themselves can hold for a moment
            middle is not None and end is not None and int(middle) > 0 and int(end) > int(middle) + connections,
            None if lag is None else tuple((finite(value), int(count)) for value, count in lag),
            said["client_bound"] is True)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"trials.jsonl:{number}: not a trial of an open loop ({error!r})") from None


def _contender(name: str, plan: Plan, facts: Mapping[str, Any], rounds: Mapping[int, Sequence[Round]],
               invalid: Mapping[tuple[str, int], int]) -> dict[str, Any]:
    points = [_point(rate, here, invalid.get((name, rate), 0)) for rate, here in rounds.items()]
    saturation = _saturation(name, facts, points)
    return {"saturation": saturation, "knee": _knee(rounds), "points": points,
            "distributions": _distributions(rounds, points, saturation)}


def _saturation(name: str, facts: Mapping[str, Any], points: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """What it can do: as closed-loop trials found it, or the most that it did at a rate that was too much for it."""
    table = facts.get("saturation")
    entry = table.get(name) if isinstance(table, Mapping) else None
    if isinstance(entry, Mapping):
        try:
            return {"requests_per_sec": stats.round_significant(finite(entry["requests_per_sec"])), "by": "closed loop",
                    "client_bound": entry.get("client_bound") is True}
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(f"facts.json: 'saturation' of {name} is not one ({error!r})") from None
    reached = [point for point in points if point["saturated"] and point["achieved"]["median"] is not None]
    if not reached:
        return None
    most = max(reached, key=lambda point: float(point["achieved"]["median"]))
    return {"requests_per_sec": most["achieved"]["median"], "by": "open loop", "client_bound": most["client_bound"]}


def _point(rate: int, rounds: Sequence[Round], invalid: int) -> dict[str, Any]:
    """One contender at one rate, all rounds together."""
    latency, intended = _merged(rounds)
    done = [each.requests_per_sec for each in rounds]
    lags = [each.lag for each in rounds if each.lag is not None]
    lag = stats.merge_histograms(lags)
    waited = [each.waited for each in rounds if each.waited is not None]
    return {
        "offered": rate,
        "achieved": {"median": stats.round_significant(stats.median(done)) if done else None,
                     "ci95": stats.rounded_interval(stats.log_t_interval(done))},
        "latency_us": {**{key: quantile(latency, intended, permille / 1000) for key, permille in PERCENTILES.items()},
                       "max": latency[-1][0] if latency and _count(latency) == intended else None},
        **{f"{key}_ci95": stats.rounded_interval(_spread(rounds, PERCENTILES[key] / 1000)) for key in ("p50", "p99")},
        "saturated": is_saturated(rounds) if rounds else False,
        "intended": intended, "unsent": sum(each.unsent for each in rounds),
        "waited_share": stats.round_significant(sum(waited) / intended) if waited and intended else None,
        "send_lag_us": {key: stats.quantile(lag, permille) for key, permille in
                        (("p50", 500), ("p99", 990), ("max", 1000))} if lag else None,
        "client_bound": any(each.client_bound for each in rounds),
        "rounds": len(rounds), "invalid": invalid,
    }


def is_saturated(rounds: Sequence[Round]) -> bool:
    """Were most rounds? One that was disturbed makes no steady state unsteady, though its percentiles are in all."""
    return 2 * sum(each.saturated for each in rounds) > len(rounds)


def quantile(histogram: Histogram, intended: int, share: float) -> float | None:
    """The latency that `share` (0 to 1) of the intended requests did not exceed, by nearest rank; None where that is
    one of those without an answer.
    """
    # answers may be a few more than a schedule at equal distances has by its rate
    total = max(intended, _count(histogram))
    rank, seen = math.ceil(round(share * total, 6)), 0
    for value, count in histogram:
        seen += count
        if seen >= rank > 0:
            return value
    return None


def _count(histogram: Histogram) -> int:
    return sum(count for _, count in histogram)


def _merged(rounds: Sequence[Round]) -> tuple[Histogram, int]:
    histogram = stats.merge_histograms(each.latency for each in rounds)
    return histogram, max(sum(each.intended for each in rounds), _count(histogram))


def _spread(rounds: Sequence[Round], share: float) -> stats.Interval | None:
    """Of a percentile over rounds: t interval of the mean logarithm; None where a round does not know it."""
    each = [quantile(one.latency, one.intended, share) for one in rounds]
    known = [value for value in each if value is not None and value > 0]
    return stats.log_t_interval(known) if len(known) == len(each) else None


# --- the knee -----------------------------------------------------------------------------------------------


def _knee(rounds: Mapping[int, Sequence[Round]]) -> dict[str, Any]:
    """`offered`: requests/s, None where it was not seen; `ci95`: of a bootstrap over rounds, None below two rounds or
    where it reaches beyond the rates; `limit_us`: what p99 is allowed.
    """
    measured = {rate: here for rate, here in rounds.items() if here}
    at, limit = knee([(rate, None if is_saturated(here) else _p99(here)) for rate, here in measured.items()])
    return {"offered": None if at is None else stats.round_significant(at, 4),
            "limit_us": None if limit is None else stats.round_significant(limit, 4),
            "ci95": _bootstrap(measured) if at is not None else None}


def _p99(rounds: Sequence[Round]) -> float | None:
    return quantile(*_merged(rounds), 0.99)


def knee(curve: Iterable[tuple[int, float | None]]) -> tuple[float | None, float | None]:
    """(the highest load at which p99 keeps to its limit, that limit) of (load, p99), ascending. None is a p99 that is
    not known: saturated, or it falls on requests without an answer.

    At low load p99 is the median of those up to half of the highest load in a steady state. Between two loads its
    logarithm is a straight line; towards one that is not known it is no line. (None, limit) when no load was too much.
    """
    points = list(curve)
    steady = [(rate, value) for rate, value in points if value is not None]
    if not steady:
        return None, None
    low = [value for rate, value in steady if rate <= steady[-1][0] / 2] or [steady[0][1]]
    limit = KNEE_FACTOR * stats.median(low)
    place = max((i for i, (_, value) in enumerate(points) if value is not None and value <= limit), default=None)
    if place is None or place == len(points) - 1:
        return None, limit
    (rate, value), (next_rate, next_value) = points[place], points[place + 1]
    if next_value is None or value is None or value <= 0:
        return float(rate), limit
    part = (math.log(limit) - math.log(value)) / (math.log(next_value) - math.log(value))
    return rate + part * (next_rate - rate), limit


def _bootstrap(rounds: Mapping[int, Sequence[Round]]) -> list[float] | None:
    """The 95 % interval of the knee when whole rounds are drawn again with replacement (percentile method)."""
    numbers = sorted({each.number for here in rounds.values() for each in here})
    if len(numbers) < 2:
        return None
    tables = {rate: _Table.of(here, numbers) for rate, here in rounds.items()}
    # a seed of its own: the same records give the same interval for ever
    draw = random.Random("knee")
    found: list[float] = []
    for _ in range(_RESAMPLES):
        weights = [0] * len(numbers)
        for place in draw.choices(range(len(numbers)), k=len(numbers)):
            weights[place] += 1
        at, limit = knee([(rate, value) for rate, table in tables.items() if table.has(weights)
                      for value in [table.p99(weights)]])
        # without a rate that was too much it is beyond them all, without one that was not below
        found.append(at if at is not None else math.inf if limit is not None else 0.0)
    found.sort()
    ends = [found[int(0.025 * _RESAMPLES)], found[int(0.975 * _RESAMPLES) - 1]]
    return [stats.round_significant(end, 4) for end in ends] if 0 < ends[0] and ends[1] < math.inf else None


@dataclass(frozen=True)
class _Table:
    """One rate's histograms side by side: `counts` has a row a round number (zeros where that round is missing) and a
    column a value, so that a resample is one product.
    """

    values: Any
    counts: Any
    intended: Any
    saturated: Any
    there: Any

    @classmethod
    def of(cls, rounds: Sequence[Round], numbers: Sequence[int]) -> "_Table":
        # whoever only measures needs no numpy
        import numpy
        values = sorted({value for each in rounds for value, _ in each.latency})
        column = {value: place for place, value in enumerate(values)}
        counts = numpy.zeros((len(numbers), len(values)), dtype=numpy.int64)
        intended, saturated, there = (numpy.zeros(len(numbers), dtype=numpy.int64) for _ in range(3))
        for each in rounds:
            row = numbers.index(each.number)
            for value, count in each.latency:
                counts[row, column[value]] = count
            intended[row] = max(each.intended, _count(each.latency))
            saturated[row], there[row] = each.saturated, 1
        return cls(numpy.array(values), counts, intended, saturated, there)

    def has(self, weights: Sequence[int]) -> bool:
        return bool(self.there @ weights)

    def p99(self, weights: Sequence[int]) -> float | None:
        """None where the resample is saturated, or does not know it."""
        if 2 * int(self.saturated @ weights) > int(self.there @ weights):
            return None
        sums, intended = (weights @ self.counts).cumsum(), int(self.intended @ weights)
        place = int(sums.searchsorted(math.ceil(round(0.99 * intended, 6))))
        return float(self.values[place]) if place < len(self.values) else None


# --- whole distributions -------------------------------------------------------------------------------------


def _distributions(rounds: Mapping[int, Sequence[Round]], points: Sequence[Mapping[str, Any]],
                   saturation: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """At the measured rate next to each of SHARES of its saturation: `curve` of [1 / (1 - q), us]."""
    steady = [int(point["offered"]) for point in points if point["rounds"] and not point["saturated"]]
    if saturation is None or not steady:
        return []
    found = {}
    for share in SHARES:
        wanted = share * float(saturation["requests_per_sec"])
        rate = min(steady, key=lambda rate: abs(rate - wanted))
        # nothing near it was measured
        if abs(rate - wanted) <= 0.1 * float(saturation["requests_per_sec"]):
            found[rate] = {"share": share, "offered": rate, "curve": curve(*_merged(rounds[rate]))}
    return list(found.values())


def curve(histogram: Histogram, intended: int) -> list[list[float]]:
    """[1 / (1 - q), us] of quantiles q at equal factors, up to the last that a request stands for."""
    if not intended:
        return []
    last = math.floor(_PER_DECADE * math.log10(intended))
    steps = [10 ** (place / _PER_DECADE) for place in range(last + 1)]
    known = [(step, quantile(histogram, intended, 1 - 1 / step) if step > 1 else histogram[0][0]) for step in steps]
    return [[stats.round_significant(step, 4), value] for step, value in known if value is not None]
