# SPDX-License-Identifier: BSD-3-Clause
"""Read the figures of a run that are set beside another run's: by round and load point. Pure.

The one place where gate, noise and trend read trials.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping, Sequence

from harness.analyse import (
    METRICS, ContenderInfo, Context, PairedValue, Table, cores_of, gain_table, log_ratios, median,
    summarise)
from harness.plan import LoadPoint, Plan
from harness.store import Facts, LimitedBy, Run, TrialRecord, counted
from harness.errors import UsageError

# of the table of metrics
RATE, COST = "requests_per_sec", "server_cost_per_request"


@dataclass(frozen=True)
class Shape:
    """What is asked of a server."""

    name: str
    body_size_bytes: int


@dataclass(frozen=True)
class Readings:
    """What is read of one run.

    values: by (metric, contender), rounds × load points, NaN where there is no valid trial
    client_bound: by contender the load points where the client's CPU was the limit
    busy: by contender, 0 to 1 for each point, the part of its core's time with work
    """

    run: str
    started_at: str
    plan: Plan
    facts: Facts
    values: Mapping[tuple[str, str], Table]
    client_bound: Mapping[str, frozenset[LoadPoint]]
    busy: Mapping[str, tuple[float, ...]]

    @property
    def points(self) -> tuple[LoadPoint, ...]:
        """Return the run's load points, in the order of each table's columns."""
        return self.plan.load_points

    @property
    def rounds(self) -> int:
        """Return how many rounds the tables have."""
        return len(next(iter(self.values.values())))

    @property
    def workload(self) -> Shape:
        """Return what runs must have in common to share a noise profile."""
        return Shape(self.plan.workload.name, self.plan.workload.body_size_bytes)

    def ratio(self, metric: str, over: str, below: str) -> Table:
        """Return log(over / below) within each round, rounds × points."""
        return log_ratios(self.values[metric, over], self.values[metric, below])


def readings(run: Run) -> Readings:
    """Read a run. UsageError on one without a valid trial, on foreign files, and on an open loop.

    An open loop's rates were given: there is nothing to compare.
    """
    summary, points = summarise(run), run.plan.load_points
    if run.plan.offered:
        raise UsageError(f"run {summary.run} is of an open loop: its rates were given, there is "
                         "nothing to compare")
    valid = [trial for trial in counted(run.trials) if trial.valid]
    if not valid:
        raise UsageError(f"run {summary.run} has no valid trial")
    rounds = 1 + max(trial.round for trial in valid)
    cells = {name: [[trial for trial in valid if (trial.contender, trial.point) == (name, point)]
                    for point in points] for name in summary.contenders}
    return Readings(
        run=summary.run, started_at=run.facts.started_at, plan=run.plan,
        facts=run.facts,
        values={(key, name): gain_table(valid, name, points, rounds,
                                        _value(key, info, summary.tsc_hz))
                for key in METRICS for name, info in summary.contenders.items()},
        client_bound={name: frozenset(point.at for point in summary.points
                                      if point.cells[name].limit.by == LimitedBy.CLIENT_CPU)
                      for name in summary.contenders},
        busy={name: tuple(_busy(info, cell) for cell in cells[name])
              for name, info in summary.contenders.items()})


def _value(key: str, info: ContenderInfo, tsc_hz: int | None) -> PairedValue:
    context = Context(info.polls, tsc_hz)
    return lambda trial: METRICS[key].value(trial, context)


def _busy(info: ContenderInfo, cell: Sequence[TrialRecord]) -> float:
    """Return the median over trials; 1 where a contender that polls does not count.

    Then no point is known to say less.
    """
    if not cell:
        return 0.0
    if info.polls:
        counted_ = [trial.busy_share for trial in cell if trial.busy_share is not None]
        return median(counted_) if counted_ else 1.0
    return median([
        max((core.share for core in cores_of(trial) if "server" in core.role.split("+")),
            default=1.0) for trial in cell])
