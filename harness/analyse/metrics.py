# SPDX-License-Identifier: BSD-3-Clause
"""Define the metrics: one row each. Summary, CSV, trend and results/README.md are made from it.

Adding a metric is adding a row (and a chart, if it is to have one).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Callable, Mapping, Sequence

from harness.analyse.model import Cell, Figure
from harness.analyse import stats
from harness.analyse import trial_use
from harness.analyse.stats import round_significant
from harness.store import PERCENTILES, TrialRecord, merged, quantile

OWN_COUNTERS, CPU_TIME = "own counters", "cpu time"


class Better(StrEnum):
    """Which way a metric is better."""

    HIGHER = "higher"
    LOWER = "lower"


@dataclass(frozen=True)
class Context:
    """What a metric needs beside the record. tsc_hz: of the cycle counter; None: unknown."""

    polls: bool
    tsc_hz: int | None = None


Value = Callable[[TrialRecord, Context], float | None]


@dataclass(frozen=True)
class Metric:
    """One row.

    value: of one trial; None where it is not known
    chart: the name of the chart that shows it, "" for none
    permille: of a percentile, which a cell takes of all trials' histograms together
    of_trials: only in a trend, and not in a summary, as its unit depends on the contender
    """

    key: str
    unit: str
    better: Better
    doc: str
    value: Value
    chart: str = ""
    permille: int = 0
    of_trials: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the names of its columns in a CSV."""
        if self.permille:
            return (f"latency_{self.key}_us",)
        return f"{self.key}_median", f"{self.key}_ci95_low", f"{self.key}_ci95_high"

    def cells(self, cell: Cell) -> tuple[float | None, ...]:
        """Return the values of its columns."""
        if self.permille:
            return (cell.latency_us[self.key],)
        figure = cell.figures.get(self.key, Figure(None))
        return figure.median, *(figure.ci95 or (None, None))


def _per_request(seconds: float | None, trial: TrialRecord, of: Context) -> float | None:
    if not of.tsc_hz or not seconds or not trial.requests:
        return None
    return of.tsc_hz * seconds / trial.requests


def _core_rate(trial: TrialRecord, _: Context) -> float | None:
    seconds = trial_use.core_seconds(trial)
    return trial.requests / seconds if seconds > 0 and trial.requests else None


def _joules(trial: TrialRecord, _: Context) -> float | None:
    return trial.energy_joules / trial.requests if trial.energy_joules and trial.requests else None


def _cycles(trial: TrialRecord, of: Context) -> float | None:
    if trial.cycles_per_request or of.polls:
        return trial.cycles_per_request
    return _per_request(trial_use.server_seconds(trial), trial, of)


def _burned_cycles(trial: TrialRecord, of: Context) -> float | None:
    return _per_request(trial_use.server_seconds(trial), trial, of) if of.polls else None


def _memory(trial: TrialRecord, _: Context) -> float | None:
    return float(sum(trial.memory.values())) if trial.memory else None


def _percentile(name: str, permille: int) -> Metric:
    def value(trial: TrialRecord, _: Context) -> float | None:
        histogram = trial.latency_histogram_us
        return quantile(histogram, permille) if histogram else None
    return Metric(name, "µs", Better.LOWER, f"latency, {permille / 10:g} % by nearest rank", value,
                  "latency", permille)


METRICS: Mapping[str, Metric] = {metric.key: metric for metric in (
    Metric("requests_per_sec", "1/s", Better.HIGHER, "requests answered in the load's time",
           lambda trial, _: trial.requests_per_sec, "throughput"),
    *(_percentile(name, permille) for name, permille in PERCENTILES.items()),
    Metric("cpu_us_per_request", "µs", Better.LOWER,
           "CPU time burned on all cores for a request, with interrupts on CPUs without a part",
           lambda trial, _: trial.cpu_us_per_request, "cpu"),
    Metric("requests_per_core_second", "1/s", Better.HIGHER,
           "requests by the CPU time burned on all cores together", _core_rate, "efficiency"),
    Metric("joules_per_request", "J", Better.LOWER,
           "energy of all processor packages of this machine in the load, its idle draw included, "
           "for a request; absent where the machine does not tell", _joules),
    Metric("cycles_per_request", "counter cycles", Better.LOWER,
           "of a contender that counts its busy cycles these (`cycles_from`: own counters); of one "
           "that sleeps CPU time of the server's cores, and interrupts of those without a part, × "
           "`tsc_hz` (cpu time). Not the core's own cycles where its frequency changes", _cycles,
           "cycles"),
    Metric("burned_cycles_per_request", "counter cycles", Better.LOWER,
           "from the CPU time of a contender that polls, idle polls included", _burned_cycles,
           "cycles"),
    Metric("connections_per_sec", "1/s", Better.HIGHER, "connections opened",
           lambda trial, _: trial.connections_per_sec, "connections"),
    Metric("memory_bytes", "bytes", Better.LOWER,
           "what the server held when its load had ended and all connections stood", _memory,
           "memory"),
    Metric("server_cost_per_request", "counter cycles, or CPU s", Better.LOWER,
           "cycles with work of a contender that polls, CPU time of the server's cores of another",
           lambda trial, of: trial_use.cost(trial, of.polls), of_trials=True),
)}


def figures(trials: Sequence[TrialRecord], of: Context) -> dict[str, Figure]:
    """Return the figures of a cell from its valid trials, by key; what is not known is absent."""
    found = {}
    for metric in METRICS.values():
        known = [value for trial in trials if not (metric.permille or metric.of_trials)
                 if (value := metric.value(trial, of)) is not None]
        if known:
            interval = stats.log_t_interval(known) if min(known) > 0 else None
            found[metric.key] = Figure(round_significant(stats.median(known)),
                                       stats.rounded_interval(interval))
    return found


def latency(trials: Sequence[TrialRecord]) -> dict[str, float | None]:
    """Return percentiles of all valid trials together, so that a bad round shows."""
    histogram = merged(trial.latency_histogram_us for trial in trials)
    return {name: quantile(histogram, permille) if histogram else None
            for name, permille in PERCENTILES.items()}
