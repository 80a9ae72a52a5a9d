# SPDX-License-Identifier: BSD-3-Clause
"""Compare a run with a publication: figures by number of connections, and what differs. Pure.

A publication has single figures of other machines: nothing is tested, and no ratio of ours to
theirs is formed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Iterator, Mapping, Sequence

from harness.analyse import Point, Summary
from harness.plan import METHOD, METRICS, NOT_STATED, Claim, Plan, Published, schedule
from harness.store import Run
from harness.report import hardware
from harness.report.baselines import baselines, measured, others
from harness.report.format import NONE, number, ratio, with_interval
from harness.report.templates import macro

Facts = Mapping[str, Any]
# the publication that a run on a NIC is compared with in any case
SEED = "tinyhttpd-lwip-dpdk"


@dataclass(frozen=True)
class Row:
    """One number of connections. Texts; NONE where one of the two has no such load point."""

    connections: int
    ours: tuple[str, ...]
    theirs: tuple[str, ...]
    our_gains: tuple[str, ...]
    their_gains: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """A run and a publication.

    ours, theirs, our_gains, their_gains: names of the columns of `rows`
    differences: (what, ours, theirs)
    claims: (what they say, their figure, ours)
    """

    other: Published
    ours: tuple[str, ...]
    theirs: tuple[str, ...]
    our_gains: tuple[str, ...]
    their_gains: tuple[str, ...]
    rows: tuple[Row, ...]
    differences: tuple[tuple[str, str, str], ...]
    claims: tuple[tuple[str, str, str], ...]


def compare(run: Run, summary: Summary, other: Published) -> Comparison:
    """Set a run beside a publication; load points by their connections alone."""
    names, gains = measured(summary), _gains(summary)
    points: dict[int, Point] = {}
    for point in summary.points:
        points.setdefault(point.at.connections, point)
    counts = sorted({*points, *other.connections}) if other.series else []
    return Comparison(
        other=other, ours=tuple(names), theirs=tuple(one.label for one in other.series.values()),
        our_gains=tuple(macro("papers.j2", "over", *pair)[0] for pair in gains),
        their_gains=tuple(
            macro("papers.j2", "over", other.series[name].label,
                  other.series[other.baseline].label)[0] for name in other.gains()),
        rows=tuple(_row(summary, count, points.get(count), gains, other) for count in counts),
        differences=tuple(
            differences(run.plan, run.facts.raw, other) if other.method else
            ((what, macro("papers.j2", what, run, summary, hardware)[0], theirs)
             for what, theirs in _theirs(other))),
        claims=tuple((f"“{claim.said}”", f"{number(claim.figure)} {claim.metric}",
                      _claimed(summary, claim)) for claim in other.claims))


def differences(plan: Plan, facts: Facts, other: Published) -> Iterator[tuple[str, str, str]]:
    """Yield (what, ours, theirs) of everything that METHOD names.

    `facts`: as far as there are any; a plan that was not run has those of the machine alone.
    """
    most = max((spec.threads for spec in schedule(plan)), default=0)
    for key, what in METHOD.items():
        ours, = macro("papers.j2", "ours", key, plan, facts, most, hardware)
        yield what, ours, other.method.get(key, NOT_STATED)


def _theirs(other: Published) -> Iterator[tuple[str, str]]:
    """Yield what a publication without a method says of itself."""
    yield from (("hardware", other.hardware), ("load", other.load))
    yield "programs", ", ".join(one.label for one in other.series.values())


def _gains(summary: Summary) -> list[tuple[str, str]]:
    """Return (contender, over whom) of the gains to show; "": over the best kernel server."""
    first, kernel = summary.baseline, baselines(summary)
    names = others(summary) or [name for name in measured(summary) if name != first]
    if len(kernel) < 2:
        return [(name, first) for name in names]
    return [(name, below) for name in names
            for below in (*([""] if name not in kernel else []), first)]


def _row(summary: Summary, count: int, point: Point | None, gains: Sequence[tuple[str, str]],
         other: Published) -> Row:
    place = other.connections.index(count) if count in other.connections else None

    def theirs(figures: Sequence[float | None], show: Callable[[float | None], str]) -> str:
        return NONE if place is None else show(figures[place])
    return Row(
        count,
        tuple(number(point.cells[name].median("requests_per_sec")) if point else NONE
              for name in measured(summary)),
        tuple(theirs(one.requests_per_sec, number) for one in other.series.values()),
        tuple(_gain(summary, point, *pair) for pair in gains),
        tuple(theirs(figures, ratio) for figures in other.gains().values()))


def _gain(summary: Summary, point: Point | None, name: str, below: str) -> str:
    if point is None:
        return NONE
    found = point.gain(name, below) if below else summary.headline(point).get(name)
    return with_interval(found) if found else NONE


def _claimed(summary: Summary, claim: Claim) -> str:
    """Return the most each contender had of what a claim is of, if the workload measures that."""
    if summary.workload != METRICS[claim.metric]:
        return macro("papers.j2", "other_workload", summary)[0]
    # of the connections that stand, all that were held in a valid trial; else a rate
    held = claim.metric == "connections"
    most = {name: [(point.at.connections if held else rate, point) for point in summary.points
                   if (rate := point.cells[name].median("requests_per_sec")) is not None]
            for name in summary.contenders}
    return macro("papers.j2", "most", summary, most, held)[0]
