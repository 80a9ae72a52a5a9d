# SPDX-License-Identifier: BSD-3-Clause
"""Has a run become worse than the runs before it? From readings to a verdict. Pure: the same runs, the same answer.

Each contender is tested for a fall of its rate, and for a rise of what its server spends on a request, against the
baseline; the baseline against every other contender (it must have fallen against all of them). What all contenders of a
run have in common is the machine's and no contender's: it is not tested. Tests of a contender pool its load points,
weighed by the busy part of its core, for that is the part of a round trip that a slower server makes longer; points
where the client's CPU was the limit tell nothing of the server's rate and are left out of it, not of its cost. Beside
them each of these points is tested alone.

False alarms of the whole gate, all tests together, are at most ALPHA: Holm's adjustment within the pooled tests, which
have POOLED of it, and within the tests of single points, which have the rest. The statistics are gate_stats.py's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Mapping, Sequence

import numpy as np

from harness.regression import compatibility as comparable
from harness.regression import change_test as gate_stats
from harness.analyse import stats
from harness.errors import UsageError
from harness.regression.change_test import Change, Variance, Weights
from harness.regression.noise_profile import Profile, workload
from harness.regression.paired_logs import COST, RATE, Readings, Table
from harness.analyse.stats import round_significant

ALPHA, POOLED = 0.05, 0.04
# percent: two standard deviations of what runs of the same programs are taken to differ by (gate_stats.py). Whatever is
# smaller may be where the linker has put things
THRESHOLD = 3.0
WORSE, BETTER, SAME, OTHER = "worse", "better", "no change", "other side"
# how much likelier one of two explanations must be
_ODDS = 19.0
_WORDS = {RATE: "rate", COST: "server cost a request"}


@dataclass(frozen=True)
class Test:
    """One contender against others. `points`: connections of those that it stands on; `change`: of -log cost for COST,
    so that a fall is for the worse in any case. `others`: all of them were fallen against; `over`: the one against
    which least."""

    figure: str
    contender: str
    others: tuple[str, ...]
    over: str
    points: tuple[int, ...]
    pooled: bool
    change: Change
    opposite: float = field(default=0.0)


@dataclass(frozen=True)
class _Sides:
    """The runs that are compared, and what is known of the noise."""

    base: Sequence[Readings]
    head: Readings
    profile: Profile | None

    def tables(self, figure: str, over: str, below: str) -> tuple[list[Table], Table]:
        sign = -1.0 if figure == COST else 1.0
        return [sign * run.ratio(figure, over, below) for run in self.base], sign * self.head.ratio(figure, over, below)

    def hollow(self, contender: str) -> frozenset[int]:
        """Where the client was its limit in any of the runs."""
        return self.head.hollow[contender].union(*(run.hollow[contender] for run in self.base))

    def weights(self, figure: str, contender: str) -> Weights:
        busy = np.mean([run.busy[contender] for run in (*self.base, self.head)], axis=0)
        hollow = self.hollow(contender) if figure == RATE else frozenset()
        return np.array([0.0 if point in hollow else share
                         for point, share in zip(self.head.plan.connections, busy)])

    def known(self, figure: str, over: str, below: str, weights: Weights, sd: float) -> list[Variance]:
        found = [Variance(sd ** 2, gate_stats.DEFAULT_FREEDOM)]
        own = self.profile.between(over, below, figure, self.head.plan.connections, weights,
                                   workload(self.head)) if self.profile else None
        return [*found, *([own] if own else [])]


def gate(base: Sequence[Readings], head: Readings, threshold: float = THRESHOLD,
         profile: Profile | None = None) -> dict[str, Any]:
    """The result, as gate.json has it (results/README.md). UsageError, with the reasons, where runs do not compare."""
    told = _check(base, head)
    sides = _Sides(base, head, profile)
    tests = [*_tests(sides, pooled=True), *_tests(sides, pooled=False)]
    if not tests:
        raise UsageError("the runs do not compare: no contender has, in all runs, two rounds with valid trials")
    rows = _judged(sides, tests, threshold)
    names = head.plan.contenders
    pooled = {(test.figure, test.contender) for test in tests if test.pooled}
    return {
        "schema": 1, "base": [run.run for run in base], "head": head.run, "wire": head.plan.wire,
        "workload": workload(head), "threshold_percent": threshold, "false_alarms_at_most": ALPHA,
        "passed": not any(row["result"] == WORSE for row in rows),
        "between_runs": _noise_said(sides), "differences": told,
        "not_tested": [_untested(sides, figure, name) for figure in (RATE, COST) for name in names
                       if (figure, name) not in pooled],
        "hollow": {name: sorted(sides.hollow(name)) for name in names if sides.hollow(name)},
        "tests": rows,
        "absolute_percent": {name: _absolute(sides, name) for name in names},
    }


def _check(base: Sequence[Readings], head: Readings) -> list[str]:
    """What the runs differ in that does not forbid."""
    if len({run.run for run in (*base, head)}) <= len(base):
        raise UsageError("gate needs a HEAD that is none of its BASE runs, and each BASE run once")
    told: list[str] = []
    for run in base:
        found = comparable.differences((run.plan, run.facts), (head.plan, head.facts))
        if found.forbidding:
            raise UsageError(f"runs {run.run} and {head.run} do not compare: {'; '.join(found.forbidding)}")
        told += [f"{run.run}: {each}" if len(base) > 1 else each for each in found.told]
    if len(head.plan.contenders) < 2:
        raise UsageError("the runs do not compare: with one contender alone, what the machine did cannot be told from "
                         "what the server did")
    return told


def _tests(sides: _Sides, pooled: bool) -> list[Test]:
    first, *rest = sides.head.plan.contenders
    points = sides.head.plan.connections
    found = []
    for figure in (RATE, COST) if pooled else (RATE,):
        for contender in sides.head.plan.contenders:
            weights = sides.weights(figure, contender)
            others = tuple(rest) if contender == first else (first,)
            each = [weights] if pooled else [gate_stats.one_point(len(points), place)
                                             for place in range(len(points)) if weights[place] > 0]
            found += [test for one in each for test in [_test(sides, figure, contender, others, one, pooled)] if test]
    return found


def _test(sides: _Sides, figure: str, contender: str, others: tuple[str, ...], weights: Weights,
          pooled: bool) -> Test | None:
    """None where some run has too few valid trials for it. A fall against all of `others` is as sure as the least."""
    points = tuple(point for point, weight in zip(sides.head.plan.connections, weights) if weight > 0)
    changes = {other: change for other in others
               for change in [_change(sides, figure, contender, other, weights, pooled)] if change}
    if not points or not changes:
        return None
    over = max(changes, key=lambda other: changes[other].p)
    return Test(figure, contender, tuple(changes), over, points, pooled, changes[over],
                max(1 - change.p for change in changes.values()))


def _change(sides: _Sides, figure: str, over: str, below: str, weights: Weights, pooled: bool) -> Change | None:
    if not (weights > 0).any():
        return None
    base, head = sides.tables(figure, over, below)
    sd = gate_stats.DEFAULT_RUN_SD if pooled else gate_stats.DEFAULT_POINT_SD
    return gate_stats.change(base, head, weights, sides.known(figure, over, below, weights, sd),
                             None if pooled else gate_stats.points_noise([*base, head]))


def _judged(sides: _Sides, tests: Sequence[Test], threshold: float) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for pooled, share in ((True, POOLED), (False, ALPHA - POOLED)):
        group = [test for test in tests if test.pooled == pooled]
        adjusted = [min(1.0, p * ALPHA / share) for p in stats.holm([test.change.p for test in group])]
        for test, p in zip(group, adjusted):
            result, told = _result(sides, test, p, threshold)
            level = share / len(group)
            ends = sorted(_percent(test.figure, end) for end in test.change.interval())
            rows.append({
                "figure": test.figure, "contender": test.contender, "over": list(test.others),
                "points": list(test.points), "pooled": pooled,
                "change_percent": round_significant(_percent(test.figure, test.change.estimate)),
                "ci95_percent": [round_significant(end) for end in ends],
                "p": round_significant(test.change.p), "p_adjusted": round_significant(p),
                "detectable_percent": round_significant(abs(_percent(test.figure, -test.change.detectable(level)))),
                "noise_percent": round_significant(100 * math.sqrt(test.change.noise)),
                "between_runs_percent": round_significant(100 * math.sqrt(test.change.between)),
                "result": result, "told": told})
    return rows


def _result(sides: _Sides, test: Test, p: float, threshold: float) -> tuple[str, str]:
    """The word, and what can be told of who it was."""
    percent = _percent(test.figure, test.change.estimate)
    beyond = abs(percent) > threshold
    if test.change.estimate < 0 and beyond and p < ALPHA:
        whose, why = _whose(sides, test)
        told = f"{_fallen(test, percent)}: {why}"
        first = sides.head.plan.contenders[0]
        # against the baseline it is a gain that fell, whoever of the two it was
        return (WORSE if test.contender != first or whose != OTHER else OTHER), told
    if test.change.estimate > 0 and beyond and test.opposite < ALPHA / 2:
        return BETTER, ""
    return SAME, ""


def _fallen(test: Test, percent: float) -> str:
    verb = "fell" if percent < 0 else "rose"
    name = f"{test.contender}/{test.over}" if len(test.others) == 1 else f"{test.contender} against every other"
    return f"{_WORDS[test.figure]} of {name} {verb} {abs(percent):.1f} %"


def _whose(sides: _Sides, test: Test) -> tuple[str, str]:
    """Who moved: (contender, OTHER or ""), and how that is known. "" where it cannot be told."""
    one, other = test.contender, test.over
    slower, faster = ("slower", "faster") if test.figure == RATE else ("dearer", "cheaper")
    if len(test.others) > 1:
        return one, f"{one} is {slower}, for it fell against {' and '.join(test.others)}"
    changed = [_reprogrammed(sides, name) for name in (one, other)]
    if changed == [True, False]:
        return one, f"{one} is {slower}: its program is another, that of {other} the same"
    if changed == [False, True]:
        return OTHER, f"{other} is {faster}: its program is another, that of {one} the same"
    shown = _by_hollow(sides, test) or _by_rates(sides, test)
    if shown:
        whose, how = shown
        return whose, f"{one} is {slower}: {how}" if whose == one else f"{other} is {faster}: {how}"
    return "", f"{one} is {slower} or {other} {faster}; which of the two cannot be told"


def _reprogrammed(sides: _Sides, name: str) -> bool | None:
    """Has the contender another program in HEAD than in every BASE? None where it is not known."""
    head = comparable.program(sides.head.facts, name)
    base = [comparable.program(run.facts, name) for run in sides.base]
    if head is None or None in base:
        return None
    return head not in base


def _by_hollow(sides: _Sides, test: Test) -> tuple[str, str] | None:
    """Where the client is the limit of one side, its server's speed does not show: there, a change of the ratio of
    rates is the other's. Asked of a change of cost, too: a server that became cheaper is faster there."""
    one, other = test.contender, test.over
    points = sides.head.plan.connections
    for still, moved in ((one, other), (other, one)):
        shut = frozenset.intersection(*(run.hollow[still] for run in (*sides.base, sides.head)))
        weights = sides.weights(RATE, moved) * np.array([point in shut for point in points])
        found = _change(sides, RATE, one, other, weights, pooled=True)
        if found and found.p < ALPHA:
            where = ", ".join(str(point) for point, weight in zip(points, weights) if weight > 0)
            said = f"the ratio of rates fell at {where} connections too, where the client was the limit of {still}"
            return (one if moved == one else OTHER), said
    return None


def _by_rates(sides: _Sides, test: Test) -> tuple[str, str] | None:
    """By the rates themselves, if the drift of this machine is known from noise sessions: which of the two would need
    the smaller drift of the machine to explain it? Of normal densities with the drift's deviation."""
    names = sides.head.plan.contenders
    drift = sides.profile.drift(names, workload(sides.head)) if sides.profile and test.figure == RATE else None
    if drift is None or len(names) != 2:
        return None
    one, other = (_log_change(sides, name) for name in (test.contender, test.over))
    if one is None or other is None:
        return None
    # were it `one` alone, the machine's drift would be what `other` changed by
    log_odds = (one ** 2 - other ** 2) / (4 * max(drift.value, 1e-12))
    if abs(log_odds) < math.log(_ODDS):
        return None
    stayed, by = (test.over, other) if log_odds > 0 else (test.contender, one)
    said = f"the rate of {stayed} changed by {100 * math.expm1(by):+.1f} %, with a drift of this machine of " \
           f"{100 * math.sqrt(drift.value):.1f} % from session to session"
    return (test.contender if log_odds > 0 else OTHER), said


def _log_change(sides: _Sides, name: str) -> float | None:
    every = np.ones(len(sides.head.plan.connections))
    base = [gate_stats.run_mean(run.logs[RATE, name], every) for run in sides.base]
    found = gate_stats.run_mean(sides.head.logs[RATE, name], every) - math.fsum(base) / len(base)
    return found if math.isfinite(found) else None


def _absolute(sides: _Sides, name: str) -> float | None:
    found = _log_change(sides, name)
    return None if found is None else round_significant(100 * math.expm1(found))


def _percent(figure: str, log: float) -> float:
    """Of the figure itself: a cost was turned round."""
    return 100 * math.expm1(-log if figure == COST else log)


def _untested(sides: _Sides, figure: str, name: str) -> str:
    if figure == RATE and not (sides.weights(RATE, name) > 0).any():
        return f"{name}: the client's CPU was the limit at every load point, so its rate would not show a slower server"
    return f"{name}: its {_WORDS[figure]} is not known in two rounds of every run"


def _noise_said(sides: _Sides) -> dict[str, Any]:
    """What the variance between runs was taken from."""
    sessions = len(sides.profile.sessions) if sides.profile else 0
    first, *rest = sides.head.plan.contenders
    of = {f"{name}/{first}": found.freedom for name in rest
          for found in [sides.profile.between(name, first, RATE, sides.head.plan.connections,
                                              np.ones(len(sides.head.plan.connections)), workload(sides.head))
                        if sides.profile else None] if found}
    return {"default_percent": round_significant(100 * gate_stats.DEFAULT_RUN_SD),
            "default_point_percent": round_significant(100 * gate_stats.DEFAULT_POINT_SD),
            "default_freedom": gate_stats.DEFAULT_FREEDOM, "base_runs": len(sides.base), "noise_sessions": sessions,
            "freedom_from_sessions": of}
