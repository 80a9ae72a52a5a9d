# SPDX-License-Identifier: BSD-3-Clause
"""Define Summary, what summary.json (schema 2) holds: figures and codes, no sentence.

Meanings: results/README.md. All figures have 6 significant digits. None: no valid trial, or not
known. An interval is (low, high).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Mapping

from harness.analyse.stats import Interval
from harness.plan import OF_OBLIGATIONS, OF_OPTIMISATIONS, LoadPoint
from harness.store import (
    Attempts, Bound, Caveat, Evidence, Interference, InterferenceCount, LimitedBy, NotMeasured,
    Note, Severity, StoppedBy, Unsettled, Verdict)

SCHEMA = 2


@dataclass(frozen=True)
class Figure:
    """A median over valid trials, and the t interval of the mean logarithm."""

    median: float | None
    ci95: Interval | None = None


@dataclass(frozen=True)
class ContenderInfo:
    """A contender of the run."""

    label: str
    stack: str
    client: str
    polls: bool
    client_polls: bool
    baseline: bool
    limit: bool = False
    not_measured: Note[NotMeasured] | None = None


@dataclass(frozen=True)
class Gain:
    """The ratio of two contenders' throughputs, paired by round, with its interval and verdict."""

    contender: str
    over: str
    ratio: float | None
    ci95: Interval | None
    verdict: Verdict
    rounds: int
    bound: Bound | None = None
    p: float | None = None
    p_adjusted: float | None = None
    disputed: bool = False


@dataclass(frozen=True)
class Distance:
    """A ratio, paired by round, with its interval; None where no round has both."""

    ratio: float | None
    ci95: Interval | None
    rounds: int
    bound: Bound | None = None


@dataclass(frozen=True)
class Factors:
    """What a gain over a kernel that sleeps is made of: gain = by_polling × by_bypass.

    sleeping: of the kernel baselines that sleep, the one with the highest median there
    polling: the same of those that poll as the contender does
    gain: contender / sleeping; by_polling: polling / sleeping; by_bypass: contender / polling; all
    three over the rounds in which all three were measured
    """

    contender: str
    sleeping: str
    polling: str
    gain: Distance
    by_polling: Distance
    by_bypass: Distance


@dataclass(frozen=True)
class FloorFactor:
    """How far a contender is from a limit, 1 at the limit itself.

    throughput: the limit's by the contender's
    cycles: a request's of the contender by the limit's
    """

    contender: str
    limit: str
    throughput: Distance
    cycles: Distance


@dataclass(frozen=True)
class Limit:
    """What bound a contender at a load point, and by which evidence."""

    by: LimitedBy
    evidence: tuple[Note[Evidence], ...]


@dataclass(frozen=True)
class Ceiling:
    """The most that the client was seen to do.

    at_least: it can do more, for it was not what held the answerer back
    raised: that is a contender's, which had more than the cheapest answerer
    """

    requests_per_sec: float
    contender: str
    at_least: bool
    evidence: tuple[Note[Evidence], ...]
    raised: bool = False


@dataclass(frozen=True)
class Cell:
    """One contender at one load point; figures: by key of the metric table."""

    trials: int
    invalid: int
    errors: int
    figures: Mapping[str, Figure]
    latency_us: Mapping[str, float | None]
    cpu_by_role: Mapping[str, float] | None
    limit: Limit
    cycles_from: str | None = None
    memory_per_connection: float | None = None
    bytes_per_connection: Mapping[str, int] | None = None
    not_measured: Note[NotMeasured] | None = None

    def median(self, key: str) -> float | None:
        """Return a figure's median; None where it is not known."""
        return self.figures[key].median if key in self.figures else None


@dataclass(frozen=True)
class Point:
    """One load point.

    best_kernel: the kernel baseline with the highest median there
    headline_over: by contender that is no kernel baseline, the best of those that poll, or sleep,
    as it does; where there is none, of all
    factors: of each contender that polls, where one kernel baseline sleeps and one polls as it does
    """

    at: LoadPoint
    cells: Mapping[str, Cell]
    gains: tuple[Gain, ...]
    best_kernel: str | None = None
    ceiling: Ceiling | None = None
    headline_over: Mapping[str, str] = field(default_factory=dict)
    factors: tuple[Factors, ...] = ()
    floor_factors: tuple[FloorFactor, ...] = ()

    def gain(self, contender: str, over: str) -> Gain | None:
        """Return the gain of one contender over another; None where there is none."""
        return next((gain for gain in self.gains
                     if (gain.contender, gain.over) == (contender, over)), None)

    def floor_factor(self, contender: str, limit: str) -> FloorFactor | None:
        """Return how far a contender is from a limit; None where one of the two is not measured."""
        return next((factor for factor in self.floor_factors
                     if (factor.contender, factor.limit) == (contender, limit)), None)


@dataclass(frozen=True)
class Statistics:
    """How the run was measured and judged."""

    method: str
    confidence: float
    seed: int
    rounds_done: int
    stopped_by: StoppedBy
    precision_percent: float
    budget_seconds: int
    family: int
    adjustment: str
    headline_family: int = 0
    widest_percent: float | None = None
    median_percent: float | None = None
    rounds_needed: int | None = None


@dataclass(frozen=True)
class UnsettledTrial:
    """A valid trial that counts and had not settled."""

    contender: str
    at: LoadPoint
    round: int
    why: Note[Unsettled]


@dataclass(frozen=True)
class Steadiness:
    """Whether throughput had settled, over the valid trials that count."""

    sampled: int
    unsettled: int
    never: int
    settled_after_seconds: Mapping[str, float] | None = None
    unseen: tuple[str, ...] = ()
    warmup_seconds: int | None = None
    trials: tuple[UnsettledTrial, ...] = ()


@dataclass(frozen=True)
class Saving:
    """Mean of paired differences in cycles a request, with Student's t interval."""

    mean: float | None
    ci95: Interval | None
    rounds: int

    @property
    def price(self) -> Saving:
        """Return it as a cost: with the other sign."""
        if self.mean is None:
            return self
        return Saving(-self.mean, self.ci95 and (-self.ci95[1], -self.ci95[0]), self.rounds)


@dataclass(frozen=True)
class OptimisationStep:
    """One optimisation of the lwIP server."""

    name: str
    what: str
    cycles_per_request: float | None
    saved: Saving
    saved_alone: Saving


@dataclass(frozen=True)
class Ablation:
    """The optimisations of the lwIP server one by one, at one load point.

    of: "obligations", whose price is what they save, negative
    """

    at: LoadPoint
    plain: float | None
    all: float | None
    optimisations: tuple[OptimisationStep, ...]
    of: str = OF_OPTIMISATIONS

    @property
    def priced(self) -> bool:
        """Tell whether its steps cost, so that the figures told are what they cost."""
        return self.of == OF_OBLIGATIONS


@dataclass(frozen=True)
class Saturation:
    """What a contender can do at most. by: closed loop, or open loop."""

    requests_per_sec: float
    by: str
    client_bound: bool


@dataclass(frozen=True)
class Knee:
    """The highest load at which p99 keeps to limit_us; None where no load was too much."""

    offered: float | None
    limit_us: float | None
    ci95: Interval | None


@dataclass(frozen=True)
class OfferedPoint:
    """One contender at one offered rate, all rounds together."""

    offered: int
    achieved: Figure
    latency_us: Mapping[str, float | None]
    p50_ci95: Interval | None
    p99_ci95: Interval | None
    saturated: bool
    intended: int
    unsent: int
    waited_share: float | None
    send_lag_us: Mapping[str, float | None] | None
    client_bound: bool
    rounds: int
    invalid: int


@dataclass(frozen=True)
class Distribution:
    """A whole distribution at the rate next to a share of saturation: (1 / (1 - q), us)."""

    share: float
    offered: int
    curve: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class OpenContender:
    """One contender of an open loop."""

    saturation: Saturation | None
    knee: Knee
    points: tuple[OfferedPoint, ...]
    distributions: tuple[Distribution, ...]


@dataclass(frozen=True)
class OpenLoopSummary:
    """Latency against offered load."""

    connections: int
    offered: tuple[int, ...]
    arrivals: tuple[str, ...]
    knee_factor: float
    contenders: Mapping[str, OpenContender]


@dataclass(frozen=True)
class Missed:
    """An obligation that a contender misses; rfc: where it is demanded."""

    case: str
    severity: Severity
    rfc: str


@dataclass(frozen=True)
class Obligations:
    """How many obligations of TCP and IP a contender keeps, and which it misses, the worst first.

    record: in which it was tested, on which wire
    """

    kept: int
    not_testable: int
    missed: tuple[Missed, ...]
    record: str
    wire: str


@dataclass(frozen=True)
class Summary:
    """Everything a report of one run is made from, beside its facts and its plan.

    obligations: of the contenders that were tested
    """

    run: str
    wire: str
    workload: str
    body_size_bytes: int
    rounds: int
    duration_seconds: int
    baseline: str
    sweep: tuple[str, ...]
    contenders: Mapping[str, ContenderInfo]
    points: tuple[Point, ...]
    statistics: Statistics
    caveats: tuple[Note[Caveat], ...]
    tap: str = ""
    impairment: str = ""
    softirq: str = ""
    emulated: str = ""
    cycle_counter: str = "tsc"
    tsc_hz: int | None = None
    attempts: Attempts | None = None
    steadiness: Steadiness | None = None
    ablation: tuple[Ablation, ...] = ()
    open_loop: OpenLoopSummary | None = None
    obligations: Mapping[str, Obligations] = field(default_factory=dict)

    def headline(self, point: Point) -> Mapping[str, Gain]:
        """Return by contender that is no kernel baseline its gain over the best of these there
        that polls as it does.

        That one is picked by the trials it is compared with, so the ratio errs towards the
        kernel, and its interval does not cover the choice (gain.py).
        """
        return {gain.contender: gain for gain in point.gains
                if point.headline_over.get(gain.contender) == gain.over}
