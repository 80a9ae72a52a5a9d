# SPDX-License-Identifier: BSD-3-Clause
"""Compare contenders: log ratios, each gain with interval and test, all of a run judged together.

The one place where a ratio of throughputs is made: the stopping rule, the summary, the gate and the
noise runs take it from here. A gain is the mean over rounds of the log ratio within a round, for
what drifts from round to round (clock, neighbours on the host) acts on both contenders alike.

Of twenty gains that are none, each tested at 5 %, one is expected to look like one. So "faster" and
"slower" are words for a whole run. Two families are judged apart, each by Holm's adjustment at 5 %:
the headline gains, and all others. In either the chance that any word is false is 5 % at most,
whatever the gains have in common; that one is false anywhere in the run, 10 %. So a headline does
not lose its word to the number of kernel servers beside it. A gatekeeper, which tests the rest with
what the headline passes on (Westfall and Krishen 2001; Dmitrienko, Tamhane and Wiens 2008), would
keep 5 % for the run, and say nothing of the rest as soon as no headline is a difference.

The headline of a contender that is no kernel baseline is its gain over the best of these: of those
measured at the point, the one with the highest median. It is picked by the very trials that it is
compared with, so where several are alike it is the one that chance has favoured: the headline is
then too small, on average, and its interval does not cover that choice. It errs towards the kernel,
never towards the other side (tests/analyse/test_gain.py shows by how much): with four kernel
servers alike at eight points, "faster" is false somewhere in 1 run of 40 at most, "slower" in 1 of 13.

Where the contender polls, "the best of these" is the best that polls as it does, at the same ends: a
gain over one that sleeps is worth polling times worth of bypass, and factors() tells these apart.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np

from harness.analyse.model import (
    Cell, ContenderInfo, Distance, Factors, Gain, Point)
from harness.analyse import stats
from harness.analyse.stats import Interval, Table, Variance, round_significant
from harness.plan import LoadPoint
from harness.store import Bound, TrialRecord, Verdict

LEVEL = 0.05
METHOD, ADJUSTMENT = "moderated-t-log-paired", "holm-headline-and-rest"
Value = Callable[[TrialRecord], float | None]


def rate(trial: TrialRecord) -> float:
    """Return a trial's throughput, requests/s."""
    return trial.requests_per_sec


def table(trials: Iterable[TrialRecord], contender: str, points: Sequence[LoadPoint], rounds: int,
          value: Value = rate) -> Table:
    """Return a figure of a contender's valid trials, rounds × points; NaN where there is none."""
    places = {point: place for place, point in enumerate(points)}
    found = np.full((rounds, len(points)), math.nan)
    for trial in trials:
        if trial.contender == contender and trial.valid and trial.round < rounds:
            figure = value(trial)
            if figure and figure > 0 and trial.point in places:
                found[trial.round, places[trial.point]] = figure
    return found


def log_ratios(over: Table, below: Table) -> Table:
    """Return the logarithms of the ratios within each round; NaN where one side has none."""
    logs: Table = np.log(over) - np.log(below)
    return logs


def gain(contender: str, over: str, logs: Table, bound: Bound | None = None,
         prior: Variance = stats.NO_PRIOR) -> Gain:
    """Return one gain from the log ratios of its rounds; `bound` as bottleneck.gain_bound().

    `prior`: what all gains of the run say of the scatter, stats.noise_prior().
    """
    known = [float(value) for value in logs if math.isfinite(value)]
    if not known:
        return Gain(contender, over, None, None, Verdict.INCONCLUSIVE, 0)
    mean, ends = stats.t_interval(known, prior)
    interval = stats.exp_interval(ends)
    p = stats.t_p_value(known, prior)
    return Gain(contender, over, round_significant(math.exp(mean)),
                stats.rounded_interval(interval), judge(interval, bound), len(known), bound,
                None if p is None else round_significant(p), disputed=stats.disputed(known, prior))


def distance(logs: Iterable[float], bound: Bound | None = None,
             prior: Variance = stats.NO_PRIOR) -> Distance:
    """Return a ratio that nothing is concluded from, of its logarithms by round."""
    known = [float(value) for value in logs if math.isfinite(value)]
    if not known:
        return Distance(None, None, 0, bound)
    mean, ends = stats.t_interval(known, prior)
    return Distance(round_significant(math.exp(mean)),
                  stats.rounded_interval(stats.exp_interval(ends)), len(known), bound)


def judge(interval: Interval | None, bound: Bound | None) -> Verdict:
    """Call a gain faster or slower only when its whole interval and `bound` bear it out.

    Of "at least 0.8" the truth may be above 1, of "at most 1.2" below it.
    """
    if interval is None or bound == Bound.BOTH:
        return Verdict.INCONCLUSIVE
    low, high = interval
    if low > 1 and bound != Bound.UPPER:
        return Verdict.FASTER
    if high < 1 and bound != Bound.LOWER:
        return Verdict.SLOWER
    return Verdict.INCONCLUSIVE


def kernel_baselines(contenders: Mapping[str, ContenderInfo]) -> list[str]:
    """Return the kernel's servers in the plan's order, where the run's baseline is one of them."""
    names = [name for name, info in contenders.items() if info.baseline]
    return names if names[:1] == list(contenders)[:1] else []


def pairs(contenders: Mapping[str, ContenderInfo]) -> list[tuple[str, str]]:
    """Return (contender, over) of every gain of a run.

    Each contender over the baseline, and what is no kernel baseline over each of these.
    """
    first, *rest = contenders
    kernels = kernel_baselines(contenders)
    return [(name, over) for name in rest
            for over in ([first] if name in kernels or not kernels else kernels)]


def best_kernel(contenders: Mapping[str, ContenderInfo], cells: Mapping[str, Cell],
                fits: Callable[[ContenderInfo], bool] = lambda _: True) -> str | None:
    """Return the kernel baseline with the highest median at a load point, of those that fit.

    None without one.
    """
    medians = [(median, name) for name in kernel_baselines(contenders) if len(contenders) > 1
               and fits(contenders[name])
               if (median := cells[name].median("requests_per_sec")) is not None]
    return max(medians, key=lambda entry: entry[0], default=(None, None))[1]


def polls_alike(one: ContenderInfo, other: ContenderInfo) -> bool:
    """Tell whether two contenders poll at the same ends."""
    return (one.polls, one.client_polls) == (other.polls, other.client_polls)


def headline_over(contenders: Mapping[str, ContenderInfo],
                  cells: Mapping[str, Cell]) -> dict[str, str]:
    """Return by contender that is no kernel baseline the one that its headline gain is over."""
    best = best_kernel(contenders, cells)
    return {name: best_kernel(contenders, cells, partial(polls_alike, info)) or best
            for name, info in contenders.items() if best and not info.baseline}


def factors(contenders: Mapping[str, ContenderInfo], cells: Mapping[str, Cell],
            rates: Mapping[str, Table], prior: Variance) -> Iterator[Factors]:
    """Yield a load point's gains over a kernel that sleeps in factors.

    `rates`: there, by round; `prior` as of gain().
    """
    sleeping = best_kernel(contenders, cells, lambda info: not info.polls)
    for name, info in contenders.items():
        polling = best_kernel(contenders, cells, partial(polls_alike, info))
        if info.baseline or not info.polls or not polling or not sleeping:
            continue
        by_polling = log_ratios(rates[polling], rates[sleeping])
        by_bypass = log_ratios(rates[name], rates[polling])
        complete = np.isfinite(by_polling + by_bypass)
        if complete.any():
            worth, own = by_polling[complete], by_bypass[complete]
            yield Factors(name, sleeping, polling, distance(worth + own, prior=prior),
                          distance(worth, prior=prior), distance(own, prior=prior))



def adjust(gains: Sequence[Gain]) -> list[Gain]:
    """Judge gains together: give each its adjusted p, and take back verdicts it does not bear out.

    The family is every gain that has a `p`. Judged again with more gains it starts anew from `p`,
    and a verdict that was taken back stays so: more gains never make one of them surer.
    """
    adjusted = iter(stats.holm([gain.p for gain in gains if gain.p is not None]))
    judged = []
    for item in gains:
        p = None if item.p is None else round_significant(next(adjusted))
        verdict = item.verdict if p is None or p < LEVEL else Verdict.INCONCLUSIVE
        judged.append(replace(item, p_adjusted=p, verdict=verdict))
    return judged


def headline_pairs(point: Point) -> frozenset[tuple[str, str]]:
    """Return (contender, over) of the gains that a report of the point begins with.

    Those over the best kernel baseline that polls alike, and where that one polls over the best
    that sleeps.
    """
    return frozenset([*point.headline_over.items(),
                      *((item.contender, item.sleeping) for item in point.factors)])


def families(points: Sequence[Point]) -> tuple[list[Gain], list[Gain]]:
    """Return the headline gains of a run, and the rest; without any headline all are the first."""
    headline, rest = list[Gain](), list[Gain]()
    for point in points:
        first = headline_pairs(point)
        for item in point.gains:
            (headline if (item.contender, item.over) in first else rest).append(item)
    return (headline, rest) if headline else (rest, [])


def adjust_points(points: Sequence[Point]) -> tuple[Point, ...]:
    """Judge the gains of all load points: the headline ones together, and the rest together."""
    judged = {id(item): after for family in families(points)
              for item, after in zip(family, adjust(family))}
    return tuple(replace(point, gains=tuple(judged[id(item)] for item in point.gains))
                 for point in points)
