# SPDX-License-Identifier: BSD-3-Clause
"""Measure what a machine calls a difference where there is none, and how small one it sees. Pure.

A noise run has each contender under two names (an A/A test). Its rounds are cut into comparisons of
as many rounds as the plan has, each at one load point, and each is judged as two contenders are in
a report. More comparisons are made of its own rounds with the two names exchanged by chance within
each round: then nothing can differ but by chance, whatever the rounds' distribution is (a
permutation test's null hypothesis).
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from statistics import median
from typing import Iterator, Mapping, Sequence

import numpy as np
from scipy.special import ncfdtrinc, stdtrit

from harness.analyse import Gain, Interval, Table, adjust, paired_gain, precise, round_significant
from harness.plan import LoadPoint, pairs
from harness.store import Verdict
from harness.errors import UsageError
from harness.regression import change_test
from harness.regression.paired_logs import RATE, Readings

SCHEMA = 2
# the share of comparisons that a 95 % interval calls a difference where there is none
NOMINAL = 0.05
# false alarms as many as these or more, at NOMINAL, in one of a hundred such sessions: then the
# rate is not nominal
UNLIKELY = 0.01
SIMULATED = 100
ROUNDS = (3, 5, 10, 20)
POWERS = (80, 90)


@dataclass(frozen=True)
class Alarms:
    """How many comparisons were called a difference, and how sure that share is."""

    comparisons: int
    alarms: int
    share: float | None = None
    ci95: Interval | None = None
    p: float = 1.0


@dataclass(frozen=True)
class Comparison:
    """A contender with itself, over one comparison's rounds at one load point."""

    contender: str
    at: LoadPoint
    first_round: int
    gain: Gain


@dataclass(frozen=True)
class Detectable:
    """The smallest change that a test sees, by number of rounds and power."""

    contender: str
    at: LoadPoint | None
    rounds_measured: int
    round_sd_percent: float
    detectable_percent: Mapping[int, Mapping[int, float]]


@dataclass(frozen=True)
class Drift:
    """The change of a contender's rate from the first round to the last, of a straight line."""

    contender: str
    percent: float | None = None
    ci95_percent: Interval | None = None


@dataclass(frozen=True)
class NoiseResult:
    """What noise.json holds (results/README.md)."""

    run: str
    wire: str
    contenders: tuple[str, ...]
    points: tuple[LoadPoint, ...]
    rounds: int
    duration_seconds: int
    nominal: float
    seed: int
    precision_percent: float
    measured: Alarms
    simulated: Alarms
    stopped: Alarms
    together: Alarms
    passed: bool
    comparisons: tuple[Comparison, ...]
    detectable: tuple[Detectable, ...]
    drift: tuple[Drift, ...]
    stopped_after_rounds: float | None = None


def spread(points: Sequence[int], rounds: int, comparisons: int) -> tuple[list[int], int]:
    """Return (load points, rounds in all) of the run that has at least so many comparisons.

    All points as often as it takes, or fewer points, from first to last, where they are more than
    the comparisons.
    """
    if comparisons >= len(points):
        return list(points), rounds * -(-comparisons // len(points))
    step = (len(points) - 1) / max(1, comparisons - 1)
    return [points[round(place * step)] for place in range(comparisons)], rounds


def analyse(found: Readings, rounds: int, precision: float = 0, seed: int = 1) -> NoiseResult:
    """Judge a noise run. UsageError on one without second names, or too short.

    `rounds`: of one comparison. `precision`: as a plan has it, percent, 0 for none: then as many
    comparisons again are simulated that go on until they are so narrow.
    """
    both_names = pairs(found.plan.contenders)
    if not both_names:
        raise UsageError(f"run {found.run} has no contender under two names: it is not a noise run")
    real = list(_real(found, both_names, rounds))
    if not real:
        raise UsageError(f"run {found.run} has no comparison of {rounds} rounds whose trials are "
                         "valid")
    cells = [known for pair in both_names for logs in found.ratio(RATE, *pair).T
             if len(known := logs[np.isfinite(logs)]) > 1]
    simulated = [compared(logs) for logs in exchanged(cells, rounds, random.Random(seed))]
    sequential = list(_sequential(cells, rounds, max(rounds, found.rounds), precision,
                                  random.Random(seed))) if precision else []
    judged = [row.gain for row in real], simulated, list(map(compared, sequential))
    measured, drawn, stopped = (alarms(sum(map(called, gains)), len(gains)) for gains in judged)
    together = alarms(sum(part.alarms for part in (measured, drawn, stopped)),
                      sum(part.comparisons for part in (measured, drawn, stopped)))
    return NoiseResult(
        run=found.run, wire=found.plan.wire, contenders=tuple(first for _, first in both_names),
        points=found.points, rounds=rounds, duration_seconds=found.plan.duration_seconds,
        nominal=NOMINAL, seed=seed, precision_percent=precision, measured=measured,
        simulated=drawn, stopped=stopped, together=together, passed=together.p >= UNLIKELY,
        stopped_after_rounds=median(map(len, sequential)) if sequential else None,
        comparisons=tuple(real),
        detectable=tuple(row for pair in both_names for row in _detectable(found, *pair, rounds)),
        drift=tuple(_drift(name, found.values[RATE, name]) for name in found.plan.contenders))


def _real(found: Readings, both_names: Sequence[tuple[str, str]],
          rounds: int) -> Iterator[Comparison]:
    """Yield every whole comparison of the run."""
    for again, first in both_names:
        logs = found.ratio(RATE, again, first)
        for place, point in enumerate(found.points):
            for start in range(0, found.rounds - rounds + 1, rounds):
                block = logs[start:start + rounds, place]
                if np.isfinite(block).sum() > 1:
                    yield Comparison(first, point, start, compared(block, again, first))


def compared(logs: Table, contender: str = "", over: str = "") -> Gain:
    """Judge a comparison as a report does: a family of its own, as no other is tested with it."""
    return adjust([paired_gain(contender, over, logs)])[0]


def called(found: Gain) -> bool:
    """Tell whether a comparison was called a difference."""
    return found.verdict != Verdict.INCONCLUSIVE


def exchanged(cells: Sequence[Table], rounds: int, dice: random.Random) -> Iterator[Table]:
    """Yield SIMULATED comparisons, spread evenly over `cells`, each the log ratios of one.

    Rounds of theirs by lot, each with its two trials exchanged or not.
    """
    for number in range(SIMULATED if cells else 0):
        cell = cells[number % len(cells)]
        drawn = dice.sample(list(cell), min(rounds, len(cell)))
        yield np.array([log if dice.random() < 0.5 else -log for log in drawn])


def _sequential(cells: Sequence[Table], rounds: int, most: int, precision: float,
                dice: random.Random) -> Iterator[Table]:
    """Yield as exchanged(), drawn round by round until the stopping rule has enough, or `most`."""
    for number in range(SIMULATED if cells else 0):
        cell, drawn = list(cells[number % len(cells)]), list[float]()
        while len(drawn) < most and not (
                len(drawn) >= rounds
                and precise(np.array(drawn)[:, None], precision)):
            log = dice.choice(cell)
            drawn.append(-log if dice.random() < 0.5 else log)
        yield np.array(drawn)


def alarms(count: int, comparisons: int) -> Alarms:
    """Return how sure a share of alarms is."""
    if not comparisons:
        return Alarms(0, 0)
    # takes long to import, and every report would wait for it
    from scipy.stats import binomtest
    test = binomtest(count, comparisons, NOMINAL, alternative="greater")
    ends = binomtest(count, comparisons).proportion_ci(0.95, method="exact")
    return Alarms(comparisons, count, round_significant(count / comparisons),
                  (round_significant(float(ends.low)), round_significant(float(ends.high))),
                  round_significant(float(test.pvalue)))


def _detectable(found: Readings, again: str, first: str, rounds_of_one: int) -> Iterator[Detectable]:
    """Yield one for each load point, and one for the mean over all of them."""
    table = found.ratio(RATE, again, first)
    known = np.any(np.isfinite(table), axis=0)
    for place in (*np.flatnonzero(known), None):
        weights = known.astype(float) if place is None else \
            change_test.one_point(len(known), place)
        noise = change_test.round_noise(table, weights)
        sd = math.sqrt(noise.value)
        if noise.freedom:
            yield Detectable(
                first, None if place is None else found.points[place], int(noise.freedom) + 1,
                round_significant(100 * sd), {count: {
                    power: round_significant(detectable(sd, count, power / 100))
                    for power in POWERS} for count in sorted({*ROUNDS, rounds_of_one})})


def detectable(sd: float, rounds: int, power: float) -> float:
    """Return the smallest change, percent, that a two-sided t test at NOMINAL sees so often.

    `sd`: of one round's log ratio. `rounds` is 2 or more. The square of a noncentral t is a
    noncentral F, whose one tail is both of t's: no difference of far tails is taken.
    """
    critical = float(stdtrit(rounds - 1, 1 - NOMINAL / 2))
    shift = math.sqrt(ncfdtrinc(1, rounds - 1, 1 - power, critical ** 2))
    return 100 * math.expm1(shift * sd / math.sqrt(rounds))


def _drift(name: str, rates: Table) -> Drift:
    """Fit the line through the means of the rounds' rates."""
    table = np.log(rates[:, np.isfinite(rates).any(axis=0)])
    centred = table - np.nanmean(table, axis=0, keepdims=True)
    rows = np.flatnonzero(np.isfinite(centred).any(axis=1))
    if len(rows) < 3:
        return Drift(name)
    from scipy.stats import linregress
    line = linregress(rows, np.nanmean(centred[rows], axis=1))
    reach = float(rows[-1] - rows[0])
    half = float(stdtrit(len(rows) - 2, 0.975)) * line.stderr
    centre, low, high = (round_significant(100 * math.expm1(slope * reach))
                         for slope in (line.slope, line.slope - half, line.slope + half))
    return Drift(name, centre, (low, high))
