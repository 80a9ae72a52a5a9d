# SPDX-License-Identifier: BSD-3-Clause
"""Define TrialRecord, one line of trials.jsonl (schema 2), complete when trial/ returns it.

What each field means: results/README.md. None: not known, or not of this kind of trial.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Iterable, Mapping, Sequence

from harness.plan import LoadPoint
from harness.store.codes import Interference, Note, Problem, Unsettled

SCHEMA = 2
# the role of a CPU that has no part in the plan
OTHER = "other"
# ascending values, each with its count
Histogram = tuple[tuple[float, int], ...]
# by name, in parts of a thousand
PERCENTILES: Mapping[str, int] = {"p50": 500, "p90": 900, "p99": 990, "p999": 999, "max": 1000}


@dataclass(frozen=True)
class Clock:
    """Lowest and highest frequency seen, MHz."""

    min: float
    max: float


@dataclass(frozen=True)
class MachineUse:
    """The plan's CPUs here from just before the load to just after it; shares are 0 to 1."""

    steal_share: float
    others_share: float
    others_most: str | None = None
    mhz: Clock | None = None
    throttled: int | None = None
    pressure_cpu_some_share: float | None = None


@dataclass(frozen=True)
class Steady:
    """Throughput in each interval of warm-up and load; when it settled, s from the beginning."""

    interval_seconds: float
    warmup_intervals: int
    requests_per_sec: tuple[float, ...]
    settled_after_seconds: float | None
    own_ramp: bool = False


@dataclass(frozen=True)
class Reconcile:
    """Answers that clients had, requests that the server parsed and answered (None: unknown)."""

    sent: int
    parsed: int | None
    answered: int | None
    in_flight_limit: int


@dataclass(frozen=True)
class EndCount:
    """What one end sent, the other received, and how many may be missing."""

    sent: int
    received: int
    limit: int


@dataclass(frozen=True)
class CpuTime:
    """CPU seconds of one CPU in the load; `role`: client, server, client+server, other."""

    role: str
    user: float = 0.0
    nice: float = 0.0
    system: float = 0.0
    idle: float = 0.0
    iowait: float = 0.0
    irq: float = 0.0
    softirq: float = 0.0
    steal: float = 0.0

    @property
    def interrupts(self) -> float:
        return self.irq + self.softirq

    @property
    def burned(self) -> float:
        # neither waiting nor taken away by the hypervisor
        return self.user + self.nice + self.system + self.irq + self.softirq

    @property
    def counted(self) -> float:
        """Burned for the load. Of a CPU without a part in the plan interrupts alone.

        The kernel may process the load's packets on any CPU, while every program of the load, and
        vhost-net's thread, is kept to the plan's. What else runs there is others' work.
        """
        return self.interrupts if self.role == OTHER else self.burned


@dataclass(frozen=True)
class ClientPart:
    """What one of several clients elsewhere had of a load; `began_seconds` after the first."""

    connections: int
    threads: int
    requests: int
    bytes: int
    duration_seconds: float
    requests_per_sec: float
    latency_us: Mapping[str, float | None]
    began_seconds: float


@dataclass(frozen=True)
class OpenLoop:
    """What an open-loop client says of its schedule; None where the client does not tell."""

    arrivals: str
    intended: int
    measured: int
    unsent: int
    client_bound: bool
    unsent_oldest_us: float | None = None
    waited: int | None = None
    reconnects: int | None = None
    backlog_middle: int | None = None
    backlog_end: int | None = None
    backlog_longest: int | None = None
    send_lag_us: Histogram | None = None
    busy_share: float | None = None


@dataclass(frozen=True)
class TrialRecord:
    """One attempt at one contender at one load point in one round."""

    contender: str
    point: LoadPoint
    round: int
    sequence: int
    threads: int
    started_at: str
    duration_seconds: float
    requests: int
    requests_per_sec: float
    bytes: int
    latency_us: Mapping[str, float | None]
    latency_histogram_us: Histogram
    errors: Mapping[str, int]
    reconcile: Reconcile
    cpu_seconds: Mapping[str, CpuTime]
    attempt: int = 0
    load_tool: str = ""
    problems: tuple[Note[Problem], ...] = ()
    disturbed: tuple[Note[Interference], ...] = ()
    unsettled: Note[Unsettled] | None = None
    energy_joules: float | None = None
    cpu_us_per_request: float | None = None
    cycles_per_request: float | None = None
    busy_share: float | None = None
    client_busy_share: float | None = None
    client_bound: bool | None = None
    connections_per_sec: float | None = None
    ends: Mapping[str, EndCount] | None = None
    server: Mapping[str, int] | None = None
    client: Mapping[str, int] | None = None
    dropped: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    xstats: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    emulated: str = ""
    memory: Mapping[str, int] | None = None
    bytes_per_connection: Mapping[str, int] | None = None
    clients: Mapping[str, ClientPart] = field(default_factory=dict)
    machine: MachineUse | None = None
    steady: Steady | None = None
    open_loop: OpenLoop | None = None

    @property
    def valid(self) -> bool:
        """Tell whether every check passed and something was answered: 0 has no logarithm."""
        return not self.problems and self.requests_per_sec > 0

    @property
    def key(self) -> tuple[str, LoadPoint, int]:
        """Return what all attempts at one trial share."""
        return self.contender, self.point, self.round


def quantile(histogram: Sequence[tuple[float, int]], permille: int) -> float:
    """Return the nearest-rank quantile: the value of rank ceil(permille * N / 1000).

    Always a value that was observed. `permille` is 1 to 1000 (the maximum), an integer so that no
    rounding of 0.999 * N moves the rank. ValueError when the histogram is empty.
    """
    total = sum(count for _, count in histogram)
    if total <= 0 or not 1 <= permille <= 1000:
        raise ValueError(f"no quantile {permille}/1000 of {total} values")
    rank = -(-permille * total // 1000)
    for value, count in histogram:
        rank -= count
        if rank <= 0:
            break
    return value


def merged(histograms: Iterable[Sequence[tuple[float, int]]]) -> Histogram:
    counts: dict[float, int] = {}
    for histogram in histograms:
        for value, count in histogram:
            counts[value] = counts.get(value, 0) + count
    return tuple(sorted(counts.items()))


def rounded(histogram: Sequence[tuple[float, int]]) -> Histogram:
    """Round values from 1000 on to 3 significant digits, and put equal ones together."""
    def near(value: float) -> float:
        if value < 1000:
            return value
        step = 10 ** (len(str(int(value))) - 3)
        return float(int(value + step // 2) // step * step)
    return merged([[(near(value), count) for value, count in histogram]])
