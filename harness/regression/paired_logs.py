# SPDX-License-Identifier: BSD-3-Clause
"""The figures of a run that are set beside another run's: logarithms by round and load point. Pure.

The one place where gate, noise and trend read trials: what counts as a trial is decided here and in records.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from harness.analyse import summary as analyse
from harness.store import old_attempts as attempts
from harness.analyse import stats
from harness.analyse import bottleneck as verdict
from harness.errors import UsageError
from harness.plan import Plan
from harness.store.records import Contender, Trial, contender, read, text
from harness.store.store import Run

# rounds × points
Table = NDArray[np.float64]
RATE, COST = "requests_per_sec", "server_cost_per_request"


@dataclass(frozen=True)
class Readings:
    """Of one run. `logs`: by (figure, contender) the natural logarithm of each trial, rounds × points, NaN where there
    is no valid one. RATE in requests/s; COST is what the server's cores spend on a request: TSC cycles with work of a
    contender that polls, CPU seconds of the server's CPUs of another. `hollow`: by contender the load points where the
    client's CPU was the limit. `busy`: by contender, 0..1 for each point, the part of its core's time with work.
    """

    run: str
    started_at: str
    plan: Plan
    facts: Mapping[str, Any]
    logs: Mapping[tuple[str, str], Table]
    hollow: Mapping[str, frozenset[int]]
    busy: Mapping[str, tuple[float, ...]]

    @property
    def rounds(self) -> int:
        return len(next(iter(self.logs.values())))

    def ratio(self, figure: str, over: str, below: str) -> Table:
        """log(over / below) within each round, rounds × points."""
        return self.logs[figure, over] - self.logs[figure, below]


def trials(run: Run) -> list[Trial]:
    """The trials of a run that figures are made of: of several attempts the one that counts. Raises UsageError on a
    foreign record, and on a run of an open loop, whose rate is what was offered."""
    if run.plan.offered:
        raise UsageError(f"run {run.id} is of an open loop: its rates were given, there is nothing to compare")
    counting = attempts.counting(run.old_trials)
    return [read(record, number, run.plan)
            for number, (record, counts) in enumerate(zip(run.old_trials, counting), 1) if counts]


def readings(run: Run) -> Readings:
    """Raises UsageError on a run without a trial and on foreign files."""
    found = [trial for trial in trials(run) if trial.valid]
    if not found:
        raise UsageError(f"run {run.id} has no valid trial")
    summary = analyse.summarise(run.plan, run.facts, run.old_trials)
    contenders = [contender(name, run.facts) for name in run.plan.contenders]
    cells = {(trial.contender, trial.connections, trial.round): trial for trial in found}
    rounds = 1 + max(trial.round for trial in found)
    logs = {(figure, each.name): np.array([
        [_log(cells.get((each.name, point, round_)), figure, each) for point in run.plan.connections]
        for round_ in range(rounds)]) for figure in (RATE, COST) for each in contenders}
    limits = {point["connections"]: point["limit"] for point in summary["points"]}
    return Readings(
        run=run.id, started_at=text(run.facts, "started_at") if "started_at" in run.facts else "", plan=run.plan,
        facts=run.facts, logs=logs,
        hollow={each.name: frozenset(point for point in run.plan.connections
                                     if limits[point][each.name]["by"] == verdict.CLIENT_CPU) for each in contenders},
        busy={each.name: tuple(_busy(each, [trial for trial in found if (trial.contender, trial.connections) ==
                                            (each.name, point)]) for point in run.plan.connections)
              for each in contenders})


def _log(trial: Trial | None, figure: str, of: Contender) -> float:
    if trial is None:
        return math.nan
    value = trial.requests_per_sec if figure == RATE else _cost(trial, of)
    return math.log(value) if value and value > 0 else math.nan


def _cost(trial: Trial, of: Contender) -> float | None:
    """A core that polls is always busy: only its own count of cycles tells what a request costs."""
    if of.polls:
        return trial.cycles_per_request
    burned = trial.burned_seconds.get("server", 0.0)
    return burned / trial.use.requests if trial.use.requests else None


def _busy(of: Contender, cell: Sequence[Trial]) -> float:
    """Median over trials; 1 where a contender that polls does not count: then no point is known to say less."""
    if not cell:
        return 0.0
    if of.polls:
        counted = [trial.use.own_share for trial in cell if trial.use.own_share is not None]
        return stats.median(counted) if counted else 1.0
    shares = [max((core.share for core in trial.use.cores if "server" in core.role.split("+")), default=1.0)
              for trial in cell]
    return stats.median(shares)
