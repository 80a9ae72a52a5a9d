# SPDX-License-Identifier: BSD-3-Clause
"""Our figures beside those of one publication, load point by load point, and in what else the two differ. Pure.

A publication has single figures of other machines: nothing is tested here, and no ratio of ours to theirs is formed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Iterator, Mapping

from harness import equipment, words
from harness.published import Published
from harness.store import Run

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
    """The table, its columns' names, and what differs: (what, ours, theirs)."""

    other: Published
    ours: tuple[str, ...]
    theirs: tuple[str, ...]
    our_gains: tuple[str, ...]
    their_gains: tuple[str, ...]
    rows: tuple[Row, ...]
    differences: tuple[tuple[str, str, str], ...]


def beside(run: Run, summary: Summary, other: Published) -> Beside:
    baseline = summary["baseline"]
    names = list(summary["contenders"])
    gains = [name for name in names if name != baseline]
    points = {int(point["connections"]): point for point in summary["points"]}
    counts = sorted({*points, *other.connections})
    return Beside(
        other=other, ours=tuple(names), theirs=tuple(series.label for series in other.series.values()),
        our_gains=tuple(words.pair(name, baseline) for name in gains),
        their_gains=tuple(f"{other.series[name].label} over {other.series[other.baseline].label}"
                          for name in other.gains()),
        rows=tuple(_row(count, points.get(count), names, gains, baseline, other) for count in counts),
        differences=tuple(_differences(run, summary, other)))


def _row(count: int, point: Mapping[str, Any] | None, names: list[str], gains: list[str], baseline: str,
         other: Published) -> Row:
    place = other.connections.index(count) if count in other.connections else None

    def theirs(figures: tuple[float, ...], show: Any) -> str:
        return words.NONE if place is None else str(show(figures[place]))
    return Row(
        count,
        tuple(words.NONE if point is None else words.number(point["contenders"][name]["requests_per_sec"]["median"])
              for name in names),
        tuple(theirs(series.requests_per_sec, words.number) for series in other.series.values()),
        tuple(words.NONE if point is None else words.gain(point["gain"][f"{name}/{baseline}"]) for name in gains),
        tuple(theirs(figures, words.ratio) for figures in other.gains().values()))


def _differences(run: Run, summary: Summary, other: Published) -> Iterator[tuple[str, str, str]]:
    card = equipment.server_card(run.facts)
    nic = f"; NIC: {equipment.card_in_short(card)}" if card else f"; wire {summary['wire']}, without a NIC"
    emulated = f"; {words.banner([summary])}" if words.banner([summary]) else ""
    yield "hardware", f"{equipment.system(run.facts)}{nic}{emulated}", other.hardware
    threads = max((int(trial.get("threads", 1)) for trial in run.trials), default=0)
    tool = str((run.facts.get("load_tool") or {}).get("name", words.NONE))
    yield "load", (f"{tool}, {summary['duration_seconds']:g} s a load point in each of {summary['rounds']} rounds, "
                   f"up to {words.counted(threads, 'thread')}; {words.workload(summary)}"), other.load
    yield "programs", ", ".join(words.label(summary, name) for name in summary["contenders"]), ", ".join(
        series.label for series in other.series.values())
