# SPDX-License-Identifier: BSD-3-Clause
"""Follow one figure over many runs, in the order of time, and find where it changed. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Iterator, Sequence

import numpy as np
from scipy.special import stdtrit

from harness.analyse import METRICS, Interval, Table, round_significant
from harness.plan import LoadPoint
from harness.store import Note
from harness.errors import UsageError
from harness.regression import change_points, change_test
from harness.regression.noise_profile import machine
from harness.regression.paired_logs import RATE, Readings

SCHEMA = 2
GAIN = "gain"
# by name, the unit
FIGURES = {GAIN: "ratio", **{key: metric.unit for key, metric in METRICS.items()}}


class TrendCaveat(StrEnum):
    """What the runs differ in, so that a step may be that and not what was changed."""

    MACHINES = "different-machines"
    KERNELS = "different-kernels"       # releases
    DURATIONS = "different-durations"   # seconds


@dataclass(frozen=True)
class TrendRun:
    """A run and the revision of the program that made it; None: not known."""

    run: str
    started_at: str
    revision: str | None = None
    dirty: bool | None = None


@dataclass(frozen=True)
class TrendValue:
    """The figure of one run; the interval of its own rounds, None where they are too few."""

    run: str
    value: float
    ci95: Interval | None = None


@dataclass(frozen=True)
class TrendChange:
    """A step between two runs."""

    at: int
    run: str
    previous_run: str
    before: float
    after: float
    percent: float
    p: float


@dataclass(frozen=True)
class TrendLine:
    """One contender's figure over the runs that have it."""

    contender: str
    over: str
    values: tuple[TrendValue, ...]
    changes: tuple[TrendChange, ...] = ()
    drift_percent: float | None = None


@dataclass(frozen=True)
class Trend:
    """What trend.json holds (results/README.md)."""

    metric: str
    unit: str
    wire: str
    workload: str
    points: tuple[LoadPoint, ...]
    runs: tuple[TrendRun, ...]
    lines: tuple[TrendLine, ...]
    caveats: tuple[Note[TrendCaveat], ...]


def follow(runs: Sequence[Readings], metric: str = GAIN, connections: int | None = None,
           contender: str = "", seed: int = 1) -> Trend:
    """Follow each contender, or one; at all load points that the runs share, or at one.

    UsageError on a figure, a point or a contender that the runs do not have, and on runs of
    different wires or workloads. With several lines the level of each is shared out, so that all
    together call a change where there is none with the probability change_points.LEVEL at most.
    """
    if metric not in FIGURES:
        raise UsageError(f"METRIC={metric}: there are: {', '.join(FIGURES)}")
    by_time = sorted(runs, key=lambda run: (run.started_at, run.run))
    points, names = _points(by_time, connections), _contenders(by_time, metric, contender)
    level = change_points.LEVEL / len(names)
    lines = [_line(by_time, metric, points, name, level, seed) for name in names]
    lines = [line for line in lines if line.values]
    if not lines:
        raise UsageError(f"METRIC={metric}: none of the runs has it")
    plan = by_time[-1].plan
    return Trend(
        metric, FIGURES[metric], plan.wire, plan.workload.name, points,
        tuple(TrendRun(run.run, run.started_at, run.facts.git.revision,
                       run.facts.git.dirty) for run in by_time),
        tuple(lines), tuple(_caveats(by_time)))


def _points(runs: Sequence[Readings], connections: int | None) -> tuple[LoadPoint, ...]:
    names = [run.run for run in runs]
    if len({*names}) < max(2, len(names)):
        raise UsageError("trend needs two or more different runs")
    for what in ("wire", "workload"):
        values = [getattr(run.plan, what) for run in runs]
        for name, value in zip(names, values):
            if value != values[0]:
                raise UsageError(f"trend: runs {names[0]} and {name} have different {what}s")
    shared = [point for point in runs[0].points if all(point in run.points for run in runs)]
    wanted = [point for point in shared if connections in (None, point.connections)]
    if not shared:
        raise UsageError("trend: the runs have no load point in common")
    if not wanted:
        raise UsageError(f"POINT={connections}: not measured in every run; there are: "
                         f"{', '.join(str(point.connections) for point in shared)}")
    return tuple(wanted)


def _contenders(runs: Sequence[Readings], metric: str, asked: str) -> list[str]:
    known = list(dict.fromkeys(name for run in runs for name in (
        run.plan.compared if metric == GAIN else run.plan.contenders)))
    names = [name for name in known if metric != GAIN or name != runs[-1].plan.contenders[0]]
    if asked and asked not in names:
        raise UsageError(f"CONTENDER={asked}: there are: {', '.join(names) or 'none'}")
    return [asked] if asked else names


def _line(runs: Sequence[Readings], metric: str, points: Sequence[LoadPoint], name: str,
          level: float, seed: int) -> TrendLine:
    over = runs[-1].plan.contenders[0] if metric == GAIN else ""
    values = [value for run in runs if (value := _value(run, metric, points, name, over))]
    course = change_points.course([math.log(value.value) for value in values], level, seed)
    changes = [TrendChange(
        step.at, values[step.at].run, values[step.at - 1].run,
        round_significant(math.exp(step.before)), round_significant(math.exp(step.after)),
        round_significant(100 * math.expm1(step.after - step.before)), round_significant(step.p))
        for step in course.steps]
    drift = None if course.slope is None else round_significant(
        100 * math.expm1(course.slope * (len(values) - 1)))
    return TrendLine(name, over, tuple(values), tuple(changes), drift)


def _value(run: Readings, metric: str, points: Sequence[LoadPoint], name: str,
           over: str) -> TrendValue | None:
    if not {name, over or name} <= {*run.plan.contenders}:
        return None
    table: Table = run.ratio(RATE, name, over) if over else np.log(run.values[metric, name])
    weights = np.array([1.0 if point in points else 0.0 for point in run.points])
    mean = change_test.run_mean(table, weights)
    if not math.isfinite(mean):
        return None
    noise, interval = change_test.round_noise(table, weights), None
    if noise.freedom >= 1:
        half = float(stdtrit(noise.freedom, 0.975)) * math.sqrt(noise.value / (noise.freedom + 1))
        interval = (round_significant(math.exp(mean - half)),
                    round_significant(math.exp(mean + half)))
    return TrendValue(run.run, round_significant(math.exp(mean)), interval)


def _caveats(runs: Sequence[Readings]) -> Iterator[Note[TrendCaveat]]:
    if any(machine(run.facts) != machine(runs[0].facts) for run in runs):
        yield Note(TrendCaveat.MACHINES)
    kernels = tuple(dict.fromkeys(str(run.facts.kernel.release) for run in runs))
    if len(kernels) > 1:
        yield Note(TrendCaveat.KERNELS, {"releases": kernels})
    durations = tuple(dict.fromkeys(run.plan.duration_seconds for run in runs))
    if len(durations) > 1:
        yield Note(TrendCaveat.DURATIONS, {"seconds": durations})
