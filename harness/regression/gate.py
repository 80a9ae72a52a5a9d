# SPDX-License-Identifier: BSD-3-Clause
"""Judge whether a run has become worse than the runs before it. Pure: same runs, same answer.

Each contender is tested for a fall of its rate, and for a rise of what its server spends on a
request, against the baseline; the baseline against every other contender (it must have fallen
against all of them). What all contenders of a run have in common is the machine's and no
contender's: it is not tested. Tests of a contender pool its load points, weighed by the busy part
of its core, for that is the part of a round trip that a slower server makes longer; points where
the client's CPU was the limit tell nothing of the server's rate and are left out of it, not of its
cost. Beside them each of these points is tested alone.

False alarms of the whole gate, all tests together, are at most ALPHA: Holm's adjustment within the
pooled tests, which have POOLED of it, and within the tests of single points, which have the rest.
The statistics are change_test.py's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Iterator, Mapping, Sequence

import numpy as np

from harness.analyse import Table, Variance, holm, round_significant
from harness.plan import LoadPoint
from harness.errors import UsageError
from harness.regression import change_test, compatibility
from harness.regression.change_test import Change, Weights
from harness.regression.compatibility import Difference
from harness.regression.noise_profile import Profile
from harness.regression.paired_logs import COST, RATE, Readings, Shape

SCHEMA = 2
ALPHA, POOLED = 0.05, 0.04
# percent: two standard deviations of what runs of the same programs are taken to differ by.
# Whatever is smaller may be where the linker has put things
THRESHOLD = 3.0


class Result(StrEnum):
    """What a test says."""

    WORSE = "worse"
    BETTER = "better"
    SAME = "no-change"
    OTHER = "other-side"                # it fell because the other became better


class Reason(StrEnum):
    """How it is known whose change it is."""

    FELL_AGAINST_ALL = "fell-against-all"
    PROGRAM = "other-program"           # that program is another, the other's the same
    CLIENT_BOUND = "client-bound"       # it changed where the client was the other's limit, too
    UNKNOWN = "unknown"


class NotTested(StrEnum):
    """Why something could not be tested."""

    CLIENT_BOUND = "client-bound"       # at every load point
    TOO_FEW_ROUNDS = "too-few-rounds"   # not known in two rounds of every run


@dataclass(frozen=True)
class GateTest:
    """One contender against others, and whose change it was."""

    figure: str
    contender: str
    over: tuple[str, ...]
    least_over: str
    points: tuple[LoadPoint, ...]
    pooled: bool
    change_percent: float
    ci95_percent: tuple[float, float]
    p: float
    p_adjusted: float
    detectable_percent: float
    noise_percent: float
    between_runs_percent: float
    result: Result
    whose: str = ""
    reason: Reason | None = None
    whose_points: tuple[LoadPoint, ...] = ()


@dataclass(frozen=True)
class Untested:
    """A figure of a contender that could not be tested."""

    figure: str
    contender: str
    why: NotTested


@dataclass(frozen=True)
class BetweenRuns:
    """What the variance between runs was taken from."""

    default_percent: float
    default_point_percent: float
    default_freedom: int
    base_runs: int
    noise_sessions: int
    freedom_from_sessions: Mapping[str, float]


@dataclass(frozen=True)
class GateResult:
    """What gate.json holds (results/README.md)."""

    base: tuple[str, ...]
    head: str
    wire: str
    workload: Shape
    threshold_percent: float
    false_alarms_at_most: float
    passed: bool
    between_runs: BetweenRuns
    differences: Mapping[str, tuple[Difference, ...]]
    not_tested: tuple[Untested, ...]
    client_bound: Mapping[str, tuple[LoadPoint, ...]]
    tests: tuple[GateTest, ...]
    absolute_percent: Mapping[str, float | None]


@dataclass(frozen=True)
class _Test:
    """`change`: of -log cost for COST, so that a fall is for the worse in any case."""

    figure: str
    contender: str
    others: tuple[str, ...]
    over: str
    points: tuple[LoadPoint, ...]
    pooled: bool
    change: Change
    opposite: float

    def percent(self, log: float) -> float:
        """Return a change of the figure itself: a cost was turned round."""
        return 100 * math.expm1(-log if self.figure == COST else log)


@dataclass(frozen=True)
class _Sides:
    """The runs that are compared, and what is known of the noise."""

    base: Sequence[Readings]
    head: Readings
    profile: Profile | None

    @property
    def runs(self) -> tuple[Readings, ...]:
        return (*self.base, self.head)

    def tables(self, figure: str, over: str, below: str) -> tuple[list[Table], Table]:
        sign = -1.0 if figure == COST else 1.0
        *base, head = (sign * run.ratio(figure, over, below) for run in self.runs)
        return base, head

    def client_bound(self, contender: str) -> frozenset[LoadPoint]:
        """Return where the client was its limit in any of the runs."""
        return frozenset().union(*(run.client_bound[contender] for run in self.runs))

    def weights(self, figure: str, contender: str) -> Weights:
        weights: Weights = np.mean([run.busy[contender] for run in self.runs], axis=0)
        bound = self.client_bound(contender) if figure == RATE else frozenset()
        counts: Weights = np.array([point not in bound for point in self.head.points], float)
        return weights * counts

    def between(self, figure: str, over: str, below: str, weights: Weights) -> Variance | None:
        return self.profile.between(over, below, figure, self.head, weights) \
            if self.profile else None

    def change(self, figure: str, over: str, below: str, weights: Weights,
               pooled: bool) -> Change | None:
        """Return a change; None where some run has too few valid trials for it."""
        if not (weights > 0).any():
            return None
        base, head = self.tables(figure, over, below)
        sd = change_test.DEFAULT_RUN_SD if pooled else change_test.DEFAULT_POINT_SD
        own = self.between(figure, over, below, weights)
        known = [Variance(sd ** 2, change_test.DEFAULT_FREEDOM), *([own] if own else [])]
        noise = None if pooled else change_test.points_noise([*base, head])
        return change_test.change(base, head, weights, known, noise)


def judge(base: Sequence[Readings], head: Readings, threshold: float = THRESHOLD,
          profile: Profile | None = None) -> GateResult:
    """Judge HEAD by BASE. UsageError, with the reasons, where runs do not compare."""
    notable = _check(base, head)
    sides = _Sides(base, head, profile)
    tests = [*_tests(sides, pooled=True), *_tests(sides, pooled=False)]
    if not tests:
        raise UsageError("the runs do not compare: no contender has, in all runs, two rounds with "
                         "valid trials")
    results = tuple(_judged(sides, tests, threshold))
    names = head.plan.compared
    pooled = {(test.figure, test.contender) for test in tests if test.pooled}
    return GateResult(
        base=tuple(run.run for run in base), head=head.run, wire=head.plan.wire,
        workload=head.workload, threshold_percent=threshold, false_alarms_at_most=ALPHA,
        passed=not any(row.result == Result.WORSE for row in results),
        between_runs=_between_runs(sides), differences=notable,
        not_tested=tuple(Untested(figure, name, _why(sides, figure, name))
                         for figure in (RATE, COST) for name in names
                         if (figure, name) not in pooled),
        client_bound={name: tuple(sorted(bound)) for name in names
                      if (bound := sides.client_bound(name))},
        tests=results, absolute_percent={name: _absolute(sides, name) for name in names})


def _check(base: Sequence[Readings], head: Readings) -> dict[str, tuple[Difference, ...]]:
    """Return by base run what it differs in from HEAD that does not forbid."""
    if len({run.run for run in (*base, head)}) <= len(base):
        raise UsageError("gate needs a HEAD that is none of its BASE runs, and each BASE run once")
    notable = {}
    for run in base:
        found = compatibility.differences((run.plan, run.facts), (head.plan, head.facts))
        if found.forbidding:
            raise UsageError(f"runs {run.run} and {head.run} do not compare: "
                             f"{'; '.join(map(str, found.forbidding))}")
        notable[run.run] = found.notable
    if len(head.plan.compared) < 2:
        raise UsageError("the runs do not compare: with one contender alone, what the machine did "
                         "cannot be told from what the server did")
    return notable


def _tests(sides: _Sides, pooled: bool) -> Iterator[_Test]:
    first, *rest = sides.head.plan.compared
    count = len(sides.head.points)
    for figure in (RATE, COST) if pooled else (RATE,):
        for contender in (first, *rest):
            others = tuple(rest) if contender == first else (first,)
            weights = sides.weights(figure, contender)
            each_alone = (change_test.one_point(count, place) for place in np.flatnonzero(weights))
            for weighed in [weights] if pooled else each_alone:
                if test := _test(sides, figure, contender, others, weighed, pooled):
                    yield test


def _test(sides: _Sides, figure: str, contender: str, others: tuple[str, ...], weights: Weights,
          pooled: bool) -> _Test | None:
    """Test for a fall against all of `others`: it is as sure as the least."""
    points = tuple(point for point, weight in zip(sides.head.points, weights) if weight > 0)
    changes = {other: change for other in others
               if (change := sides.change(figure, contender, other, weights, pooled))}
    if not changes:
        return None
    over = max(changes, key=lambda other: changes[other].p)
    return _Test(figure, contender, tuple(changes), over, points, pooled, changes[over],
                 max(1 - change.p for change in changes.values()))


def _judged(sides: _Sides, tests: Sequence[_Test], threshold: float) -> Iterator[GateTest]:
    for pooled, share in ((True, POOLED), (False, ALPHA - POOLED)):
        group = [test for test in tests if test.pooled == pooled]
        adjusted = holm([test.change.p for test in group])
        for test, p in zip(group, adjusted):
            yield _result(sides, test, min(1.0, p * ALPHA / share), threshold, share / len(group))


def _result(sides: _Sides, test: _Test, p: float, threshold: float, level: float) -> GateTest:
    change = test.change
    percent = test.percent(change.estimate)
    low, high = sorted(round_significant(test.percent(end)) for end in change.interval())
    result, whose, reason, where = Result.SAME, "", None, tuple[LoadPoint, ...]()
    if abs(percent) > threshold:
        if change.estimate < 0 and p < ALPHA:
            whose, reason, where = _whose(sides, test)
            # against the baseline it is a gain that fell, whoever of the two it was
            other = test.contender == sides.head.plan.contenders[0] and whose == test.over
            result = Result.OTHER if other else Result.WORSE
        elif change.estimate > 0 and test.opposite < ALPHA / 2:
            result = Result.BETTER
    return GateTest(
        test.figure, test.contender, test.others, test.over, test.points, test.pooled,
        change_percent=round_significant(percent), ci95_percent=(low, high),
        p=round_significant(change.p), p_adjusted=round_significant(p),
        detectable_percent=round_significant(abs(test.percent(-change.detectable(level)))),
        noise_percent=round_significant(100 * math.sqrt(change.noise)),
        between_runs_percent=round_significant(100 * math.sqrt(change.between)),
        result=result, whose=whose, reason=reason, whose_points=where)


def _whose(sides: _Sides, test: _Test) -> tuple[str, Reason, tuple[LoadPoint, ...]]:
    """Return who moved, and how that is known; "" where it cannot be told."""
    one, other = test.contender, test.over
    if len(test.others) > 1:
        return one, Reason.FELL_AGAINST_ALL, ()
    changed = [_reprogrammed(sides, name) for name in (one, other)]
    if changed in ([True, False], [False, True]):
        return (one if changed[0] else other), Reason.PROGRAM, ()
    # Where the client is the limit of one side, its server's speed does not show: there, a change
    # of the ratio of rates is the other's. Asked of a change of cost, too.
    for still, moved in ((one, other), (other, one)):
        shut = frozenset.intersection(*(run.client_bound[still] for run in sides.runs))
        weights = sides.weights(RATE, moved) * np.array([at in shut for at in sides.head.points])
        found = sides.change(RATE, one, other, weights, pooled=True)
        if found and found.p < ALPHA:
            return moved, Reason.CLIENT_BOUND, tuple(
                point for point, weight in zip(sides.head.points, weights) if weight > 0)
    return "", Reason.UNKNOWN, ()


def _reprogrammed(sides: _Sides, name: str) -> bool | None:
    """Tell whether HEAD has another program of it than every BASE; None where that is unknown."""
    *base, head = (compatibility.program(run.facts, name) for run in sides.runs)
    return None if head is None or None in base else head not in base


def _absolute(sides: _Sides, name: str) -> float | None:
    every = np.ones(len(sides.head.points))
    *base, head = (change_test.run_mean(np.log(run.values[RATE, name]), every)
                   for run in sides.runs)
    found = head - math.fsum(base) / len(base)
    return round_significant(100 * math.expm1(found)) if math.isfinite(found) else None


def _why(sides: _Sides, figure: str, name: str) -> NotTested:
    bound = figure == RATE and not (sides.weights(RATE, name) > 0).any()
    return NotTested.CLIENT_BOUND if bound else NotTested.TOO_FEW_ROUNDS


def _between_runs(sides: _Sides) -> BetweenRuns:
    first, *rest = sides.head.plan.compared
    every = np.ones(len(sides.head.points))
    return BetweenRuns(
        default_percent=round_significant(100 * change_test.DEFAULT_RUN_SD),
        default_point_percent=round_significant(100 * change_test.DEFAULT_POINT_SD),
        default_freedom=change_test.DEFAULT_FREEDOM, base_runs=len(sides.base),
        noise_sessions=len(sides.profile.sessions) if sides.profile else 0,
        freedom_from_sessions={f"{name}/{first}": found.freedom for name in rest
                               if (found := sides.between(RATE, name, first, every))})
