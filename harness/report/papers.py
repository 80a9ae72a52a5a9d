# SPDX-License-Identifier: BSD-3-Clause
"""Our figures beside those of one publication, load point by load point, and in what else the two differ. Pure.

A publication has single figures of other machines: nothing is tested here, and no ratio of ours to theirs is formed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Iterator, Mapping

from harness.report import paper_differences as differences
from harness.report import hardware as equipment
from harness.report import headline
from harness.report import format as words
from harness.plan.published import METRICS, Claim, Published
from harness.store.store import Run

Summary = Mapping[str, Any]
# whose table a run on a NIC is shown beside without being asked to
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
class Beside:
    """The table, its columns' names, and what differs: (what, ours, theirs). `claims`: (what was said, their figure,
    ours)."""

    other: Published
    ours: tuple[str, ...]
    theirs: tuple[str, ...]
    our_gains: tuple[str, ...]
    their_gains: tuple[str, ...]
    rows: tuple[Row, ...]
    differences: tuple[tuple[str, str, str], ...]
    claims: tuple[tuple[str, str, str], ...]


def beside(run: Run, summary: Summary, other: Published) -> Beside:
    baseline = summary["baseline"]
    names = [name for name in summary["contenders"] if not words.absent(summary, name)]
    ladder = headline.rungs(summary)
    # what a gain is over, by contender: of several kernel servers the best, and the baseline that others take
    gains = [(name, baseline) for name in names if name not in (ladder or (baseline,))] or [
        (name, baseline) for name in names if name != baseline]
    if len(ladder) > 1:
        gains = [(name, below) for name, _ in gains for below in (*([""] if name not in ladder else []), baseline)]
    points = {int(point["connections"]): point for point in summary["points"]}
    counts = sorted({*points, *other.connections}) if other.series else []
    return Beside(
        other=other, ours=tuple(names), theirs=tuple(series.label for series in other.series.values()),
        our_gains=tuple(words.pair(name, below) if below else f"{name} over the best kernel server"
                        for name, below in gains),
        their_gains=tuple(f"{other.series[name].label} over {other.series[other.baseline].label}"
                          for name in other.gains()),
        rows=tuple(_row(count, points.get(count), names, gains, other) for count in counts),
        differences=tuple(_differences(run, summary, other)),
        claims=tuple((f"“{claim.said}”", f"{words.number(claim.figure)} {claim.metric}", _claimed(summary, claim))
                     for claim in other.claims))


def _claimed(summary: Summary, claim: Claim) -> str:
    """The most that each contender had of what a claim is of, in a run whose workload measures that."""
    if summary["workload"]["name"] != METRICS[claim.metric]:
        return f"not measured by this run's workload ({summary['workload']['name']})"
    found = []
    for name in summary["contenders"]:
        cells = [(point["contenders"][name]["requests_per_sec"]["median"], point["connections"])
                 for point in summary["points"] if point["contenders"][name]["trials"]]
        # of the connections that stand, all that were held in a valid trial; else a rate
        held = claim.metric == "connections"
        most = max(((count if held else rate, count) for rate, count in cells), default=None)
        where = "" if held or not most else f" at {words.connections([most[1]])}"
        found.append(f"{name}: {words.number(most[0]) if most else words.NONE}{where}")
    return "; ".join(found)


def _row(count: int, point: Mapping[str, Any] | None, names: list[str], gains: list[tuple[str, str]],
         other: Published) -> Row:
    place = other.connections.index(count) if count in other.connections else None

    def theirs(figures: tuple[float | None, ...], show: Any) -> str:
        return words.NONE if place is None else str(show(figures[place]))
    return Row(
        count,
        tuple(words.NONE if point is None else words.number(point["contenders"][name]["requests_per_sec"]["median"])
              for name in names),
        tuple(theirs(series.requests_per_sec, words.number) for series in other.series.values()),
        tuple(_gain(point, *pair) for pair in gains),
        tuple(theirs(figures, words.ratio) for figures in other.gains().values()))


def _gain(point: Mapping[str, Any] | None, name: str, below: str) -> str:
    """Over the best kernel server where `below` is ""."""
    if point is None:
        return words.NONE
    entry = point["gain"][f"{name}/{below}"] if below else point["headline"].get(name)
    return words.gain(entry) if entry else words.NONE


def _differences(run: Run, summary: Summary, other: Published) -> Iterator[tuple[str, str, str]]:
    if other.method:
        yield from differences.differences(run.plan, run.facts, other)
        return
    card = equipment.server_card(run.facts)
    nic = f"; NIC: {equipment.card_in_short(card)}" if card else f"; wire {summary['wire']}, without a NIC"
    emulated = f"; {words.banner([summary])}" if words.banner([summary]) else ""
    yield "hardware", f"{equipment.system(run.facts)}{nic}{emulated}", other.hardware
    threads = max((int(trial.get("threads", 1)) for trial in run.old_trials), default=0)
    tool = str((run.facts.get("load_tool") or {}).get("name", words.NONE))
    yield "load", (f"{tool}, {summary['duration_seconds']:g} s a load point in each of {summary['rounds']} rounds, "
                   f"up to {words.counted(threads, 'thread')}; {words.workload(summary)}"), other.load
    yield "programs", ", ".join(words.label(summary, name) for name in summary["contenders"]), ", ".join(
        series.label for series in other.series.values())
