# SPDX-License-Identifier: BSD-3-Clause
"""Compare a run with a publication: figures by number of connections, and what differs. Pure.

A publication has single figures of other machines: nothing is tested, and no ratio of ours to
theirs is formed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Iterator, Mapping, Sequence

from harness.analyse import Summary
from harness.plan import METHOD, METRICS, NOT_STATED, Claim, Plan, Published, schedule
from harness.store import Run
from harness.report.baselines import baselines, measured, others
from harness.report.format import number, ratio, with_interval
from harness.report.hardware import Facts
from harness.report.templates import macro

KINDS = ("ours", "theirs", "our gain", "their gain")
# the publication that a run on a NIC is compared with in any case
SEED = "tinyhttpd-lwip-dpdk"


@dataclass(frozen=True)
class Column:
    """Figures of one name by number of connections; kind: of KINDS."""

    kind: str
    name: str
    texts: Mapping[int, str]


@dataclass(frozen=True)
class Comparison:
    """A run and a publication.

    connections: of the rows
    differences: (what, ours, theirs)
    claims: (what they say, their figure, ours)
    """

    other: Published
    connections: tuple[int, ...]
    columns: tuple[Column, ...]
    differences: tuple[tuple[str, str, str], ...]
    claims: tuple[tuple[str, str, str], ...]


def compare(run: Run, summary: Summary, other: Published) -> Comparison:
    """Set a run beside a publication; load points by their connections alone."""
    counts = {*other.connections, *(point.at.connections for point in summary.points)}
    columns = [*_our_columns(summary), *_their_columns(other)]
    return Comparison(
        other, tuple(sorted(counts)) if other.series else (),
        tuple(sorted(columns, key=lambda column: KINDS.index(column.kind))),
        tuple(differences(run.plan, run.facts.raw, other) if other.method else
              ((what, macro("papers.j2", what, run.facts.raw, run, summary)[0], theirs)
               for what, theirs in _theirs(other))),
        tuple((f"“{claim.said}”", f"{number(claim.figure)} {claim.metric}",
               _claimed(summary, claim)) for claim in other.claims))


def _our_columns(summary: Summary) -> Iterator[Column]:
    points = {point.at.connections: point for point in reversed(summary.points)}
    for name in measured(summary):
        yield Column("ours", name, {
            count: number(point.cells[name].median("requests_per_sec"))
            for count, point in points.items()})
    for name, below in _gains(summary):
        known = {count: point.gain(name, below) if below else summary.headline(point).get(name)
                 for count, point in points.items()}
        yield Column("our gain", macro("papers.j2", "over", name, below)[0], {
            count: with_interval(gain) for count, gain in known.items() if gain})


def _their_columns(other: Published) -> Iterator[Column]:
    def texts(values: Sequence[float | None],
              show: Callable[[float | None], str]) -> dict[int, str]:
        return dict(zip(other.connections, map(show, values)))
    for one in other.series.values():
        yield Column("theirs", one.label, texts(one.requests_per_sec, number))
    for name, ratios in other.gains().items():
        over, = macro("papers.j2", "over", other.series[name].label,
                      other.series[other.baseline].label)
        yield Column("their gain", over, texts(ratios, ratio))


def differences(plan: Plan, facts: Facts, other: Published) -> Iterator[tuple[str, str, str]]:
    """Yield (what, ours, theirs) of everything that METHOD names.

    `facts`: as far as there are any; a plan that was not run has those of the machine alone.
    """
    most = max((spec.threads for spec in schedule(plan)), default=0)
    for key, what in METHOD.items():
        ours, = macro("papers.j2", "ours", key, plan, facts, most)
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


def _claimed(summary: Summary, claim: Claim) -> str:
    """Return the most each contender had of what a claim is of, if the workload measures that."""
    if summary.workload != METRICS[claim.metric]:
        return macro("papers.j2", "other_workload", summary)[0]
    # of the connections that stand, all that were held in a valid trial; else a rate
    held = claim.metric == "connections"
    most = {name: [(point.at.connections if held else rate, point) for point in summary.points
                   if (rate := point.cells[name].median("requests_per_sec")) is not None]
            for name in measured(summary)}
    return macro("papers.j2", "most", summary, most, held)[0]
