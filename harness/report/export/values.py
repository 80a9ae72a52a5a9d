# SPDX-License-Identifier: BSD-3-Clause
"""List the figures of a summary one by one, each with what it is of. Knows no format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator, Mapping

from harness.analyse import METRICS, Better, Interval, OpenLoopSummary, Summary
from harness.report.format import by_name, phrase, thousands
from harness.report.tables import at, axes
from harness.store import PERCENTILES

GAIN, ACHIEVED = "gain", "achieved_requests_per_sec"


@dataclass(frozen=True)
class Value:
    """A figure with its interval, as summary.json has it.

    place: its load point in words; labels: the same by name, as in the columns of summary.csv
    over: of a gain, the other contender
    """

    contender: str
    place: str
    labels: Mapping[str, float]
    key: str
    unit: str
    better: Better
    doc: str
    estimate: float
    ci95: Interval | None = None
    over: str = ""


def values(summary: Summary) -> Iterator[Value]:
    """Yield every figure that is known; of an open loop those of its rates."""
    if summary.open_loop:
        yield from _offered(summary.open_loop)
        return
    columns = axes([summary])
    for point in summary.points:
        labels = dict(zip(columns, at(columns, point.at)))
        place = ", ".join(phrase(axis, [thousands(axis.value(point.at))])
                          for axis in columns.values())
        for name, cell in point.cells.items():
            for metric in METRICS.values():
                estimate, *ci95 = (None,) if metric.of_trials else metric.cells(cell)
                if estimate is not None:
                    low, high = ci95 or (None, None)
                    yield Value(name, place, labels, metric.key, metric.unit, metric.better,
                                metric.doc, estimate,
                                None if low is None or high is None else (low, high))
        for gain in point.gains:
            if gain.ratio is not None:
                yield Value(gain.contender, place, labels, GAIN, "×", Better.HIGHER,
                            "ratio of two contenders' requests per second, paired by round",
                            gain.ratio, gain.ci95, gain.over)


def _offered(loop: OpenLoopSummary) -> Iterator[Value]:
    connections, rate = by_name(("connections", "rate"))
    for name, contender in loop.contenders.items():
        for point in contender.points:
            labels = {"connections": loop.connections, "offered": point.offered}
            place = ", ".join((phrase(connections, [thousands(loop.connections)]),
                               phrase(rate, [thousands(point.offered)])))
            if point.achieved.median is not None:
                yield Value(name, place, labels, ACHIEVED, "1/s", Better.HIGHER,
                            "requests answered of those offered", point.achieved.median,
                            point.achieved.ci95)
            known = {"p50": point.p50_ci95, "p99": point.p99_ci95}
            for key in PERCENTILES:
                if (latency := point.latency_us.get(key)) is not None:
                    metric = METRICS[key]
                    yield Value(name, place, labels, key, metric.unit, metric.better, metric.doc,
                                latency, known.get(key))
