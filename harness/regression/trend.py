# SPDX-License-Identifier: BSD-3-Clause
"""One figure over many runs, in the order of time, and where it changed. Pure: no files, no clock."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Callable, Mapping, Sequence

import numpy as np
from scipy.special import stdtrit  # type: ignore[import]

from harness.regression import change_points as changes
from harness.regression import compatibility as comparable
from harness.regression import change_test as gate_stats
from harness.analyse import stats
from harness.regression.change_points import Course
from harness.errors import UsageError
from harness.regression.noise_profile import machine
from harness.regression.paired_logs import COST, RATE, Readings, Table
from harness.store.records import Trial
from harness.analyse.stats import round_significant

GAIN = "gain"
_PERMILLES = {"p50": 500, "p90": 900, "p99": 990, "p999": 999}
_OF_TRIALS: Mapping[str, Callable[[Trial], float | None]] = {
    "cycles_per_request": lambda trial: trial.cycles_per_request,
    "cpu_us_per_request": lambda trial: trial.cpu_us_per_request,
    **{name: lambda trial, permille=permille: stats.quantile(trial.latency_us, permille)  # type: ignore[misc]
       if trial.latency_us else None for name, permille in _PERMILLES.items()},
}
METRICS = (GAIN, RATE, COST, *_OF_TRIALS)
UNITS = {GAIN: "ratio", RATE: "requests/s", COST: "CPU seconds, or cycles, a request", "cycles_per_request": "cycles",
         "cpu_us_per_request": "µs of CPU time", **dict.fromkeys(_PERMILLES, "µs")}


@dataclass(frozen=True)
class Source:
    """One run as the trend reads it."""

    readings: Readings
    trials: Sequence[Trial]


@dataclass(frozen=True)
class Place:
    """The figure of one run, with its 95 % interval; None where the run's rounds are too few to have one."""

    run: str
    value: float
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Line:
    """One contender's figure over the runs that have it. `over`: of a gain, the baseline."""

    contender: str
    over: str
    places: tuple[Place, ...]
    course: Course


@dataclass(frozen=True)
class Trend:
    """`sources` by time. `point`: the load point, None for the geometric mean over `connections`."""

    metric: str
    point: int | None
    connections: tuple[int, ...]
    sources: tuple[Source, ...]
    lines: tuple[Line, ...]
    caveats: tuple[str, ...]


def trend(sources: Sequence[Source], metric: str = GAIN, point: int | None = None, contender: str = "",
          seed: int = 1) -> Trend:
    """Of each contender, or of one. UsageError on a figure, a point or a contender that the runs do not have, and on
    runs of different wires or workloads. With several lines the level of each is shared out, so that all together call
    a change where there is none with the probability changes.LEVEL at most."""
    if metric not in METRICS:
        raise UsageError(f"METRIC={metric}: there are: {', '.join(METRICS)}")
    by_time = tuple(sorted(sources, key=lambda source: (source.readings.started_at, source.readings.run)))
    connections = _connections([source.readings for source in by_time], point)
    names = _contenders([source.readings for source in by_time], metric, contender)
    found = [line for name in names
             for line in [_line(by_time, metric, connections, name, changes.LEVEL / len(names), seed)] if line.places]
    if not found:
        raise UsageError(f"METRIC={metric}: none of the runs has it")
    return Trend(metric, point, connections, by_time, tuple(found), tuple(_caveats([s.readings for s in by_time])))


def _connections(runs: Sequence[Readings], point: int | None) -> tuple[int, ...]:
    if len({run.run for run in runs}) < 2 or len({run.run for run in runs}) < len(runs):
        raise UsageError("trend needs two or more different runs")
    for what in ("wire", "workload"):
        values = [getattr(run.plan, what) for run in runs]
        if any(value != values[0] for value in values):
            other = next(run.run for run, value in zip(runs, values) if value != values[0])
            raise UsageError(f"trend: runs {runs[0].run} and {other} have different {what}s")
    shared = [each for each in runs[0].plan.connections if all(each in run.plan.connections for run in runs)]
    wanted = shared if point is None else [point] if point in shared else []
    if not wanted:
        raise UsageError("trend: the runs have no load point in common" if point is None else
                         f"POINT={point}: not measured in every run; there are: {', '.join(map(str, shared))}")
    return tuple(wanted)


def _contenders(runs: Sequence[Readings], metric: str, asked: str) -> list[str]:
    known = list(dict.fromkeys(name for run in runs for name in run.plan.contenders))
    first = runs[-1].plan.contenders[0]
    names = [name for name in known if metric != GAIN or name != first]
    if asked and asked not in names:
        raise UsageError(f"CONTENDER={asked}: there are: {', '.join(names) or 'none'}")
    return [asked] if asked else names


def _line(sources: Sequence[Source], metric: str, connections: Sequence[int], name: str, level: float,
          seed: int) -> Line:
    over = sources[-1].readings.plan.contenders[0] if metric == GAIN else ""
    places = [place for source in sources for place in [_place(source, metric, connections, name, over)] if place]
    return Line(name, over, tuple(places), changes.course([math.log(place.value) for place in places], level, seed))


def _place(source: Source, metric: str, connections: Sequence[int], name: str, over: str) -> Place | None:
    run = source.readings
    if name not in run.plan.contenders or (over and over not in run.plan.contenders):
        return None
    table = run.ratio(RATE, name, over) if metric == GAIN else run.logs[metric, name] if metric in (RATE, COST) \
        else _table(source, _OF_TRIALS[metric], name)
    weights = np.array([1.0 if point in connections else 0.0 for point in run.plan.connections])
    mean = gate_stats.run_mean(table, weights)
    if not math.isfinite(mean):
        return None
    noise = gate_stats.round_noise(table, weights)
    if noise.freedom < 1:
        return Place(run.run, math.exp(mean), None)
    half = float(stdtrit(noise.freedom, 0.975)) * math.sqrt(noise.value / (noise.freedom + 1))
    return Place(run.run, math.exp(mean), (math.exp(mean - half), math.exp(mean + half)))


def _table(source: Source, value: Callable[[Trial], float | None], name: str) -> Table:
    """Logarithms, as Readings has them."""
    cells = {(trial.connections, trial.round): found for trial in source.trials
             if trial.valid and trial.contender == name for found in [value(trial)] if found}
    return np.array([[math.log(cells[point, round_]) if (point, round_) in cells else math.nan
                      for point in source.readings.plan.connections] for round_ in range(source.readings.rounds)])


def _caveats(runs: Sequence[Readings]) -> list[str]:
    found = ["Runs are set side by side that were made at different times: beside what was changed between them, a "
             "step may be the machine's. Of the gain, what the machine does to both contenders is gone."]
    machines = [machine(run.facts) for run in runs]
    if any(each != machines[0] for each in machines):
        found.append("The runs were made on different machines.")
    kernels = list(dict.fromkeys(comparable.fact(run.facts, "kernel.release") for run in runs))
    if len(kernels) > 1:
        found.append(f"The runs had different kernels: {', '.join(map(str, kernels))}.")
    if len({run.plan.duration_seconds for run in runs}) > 1:
        found.append("The trials of the runs lasted differently long.")
    return found


def to_json(found: Trend) -> dict[str, Any]:
    """trend.json (results/README.md)."""
    return {
        "schema": 1, "metric": found.metric, "unit": UNITS[found.metric], "point": found.point,
        "connections": list(found.connections), "caveats": list(found.caveats),
        "runs": [{"run": source.readings.run, "started_at": source.readings.started_at, **revision(source.readings)}
                 for source in found.sources],
        "lines": [{
            "contender": line.contender, "over": line.over or None,
            "values": [{"run": place.run, "value": round_significant(place.value),
                        "ci95": [round_significant(end) for end in place.interval] if place.interval else None}
                       for place in line.places],
            "changes": [{"run": line.places[step.at].run, "previous_run": line.places[step.at - 1].run,
                         "before": round_significant(math.exp(step.before)),
                         "after": round_significant(math.exp(step.after)),
                         "percent": round_significant(100 * math.expm1(step.after - step.before)),
                         "p": round_significant(step.p)} for step in line.course.steps],
            "drift_percent": None if line.course.slope is None else round_significant(
                100 * math.expm1(line.course.slope * (len(line.places) - 1))),
        } for line in found.lines]}


def revision(run: Readings) -> dict[str, Any]:
    """Of the program that a run was made with; None where it is not known."""
    return {"revision": comparable.fact(run.facts, "git.revision"), "dirty": comparable.fact(run.facts, "git.dirty")}
