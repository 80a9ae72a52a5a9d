# SPDX-License-Identifier: BSD-3-Clause
"""The kernel ladder as a reader reads it: which server is the best where, by how much, and the gain over each. Pure.

Knows the summary, no files and no page.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping

from harness.report import headline
from harness.report import format as words

Summary = Mapping[str, Any]


@dataclass(frozen=True)
class Row:
    """One load point. Texts; NONE where nothing valid was measured. `headline`: (contender, gain over the best rung,
    its verdict); `over`: what is not on the kernel's sockets over each rung; `worth`: each rung but the baseline over
    it, both as (ratio, interval).
    """

    connections: int
    best: str
    rate: str
    headline: tuple[tuple[str, str, str], ...]
    over: tuple[tuple[str, str], ...]
    worth: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Ladder:
    """`pairs`, `worths`: the names of the columns of `over` and `worth`; `sentences`: of each rung that is measured,
    where it is the best and by how much over the baseline; `absent`: of each that is not, why."""

    baseline: str
    pairs: tuple[str, ...]
    worths: tuple[str, ...]
    rows: tuple[Row, ...]
    sentences: tuple[str, ...]
    absent: tuple[str, ...]


def ladder(summary: Summary) -> Ladder | None:
    """None for a run without a ladder: with one kernel server or none, or with an open loop, which is of rates."""
    every = headline.rungs(summary)
    if len(every) < 2 or "ablation" in summary or "open_loop" in summary:
        return None
    rungs = [name for name in every if not words.absent(summary, name)]
    others = [name for name in summary["contenders"] if name not in every and not words.absent(summary, name)]
    baseline = str(summary["baseline"])
    worths = [name for name in rungs if name != baseline]
    return Ladder(
        baseline=baseline,
        pairs=tuple(words.pair(name, rung) for name in others for rung in rungs),
        worths=tuple(words.pair(name, baseline) for name in worths),
        rows=tuple(Row(
            connections=point["connections"], best=point["best_kernel"] or words.NONE,
            rate=_rate(point),
            headline=tuple((name, words.gain(entry), str(entry["verdict"]))
                           for name, entry in point["headline"].items()),
            over=tuple(_gain(point, f"{name}/{rung}") for name in others for rung in rungs),
            worth=tuple(_gain(point, f"{name}/{baseline}") for name in worths)) for point in summary["points"]),
        sentences=tuple(_sentence(summary, name) for name in rungs),
        absent=tuple(f"{why}." for name in summary["contenders"] if (why := words.absent(summary, name))))


def _rate(point: Mapping[str, Any]) -> str:
    best = point["best_kernel"]
    return words.number(point["contenders"][best]["requests_per_sec"]["median"] if best else None)


def _gain(point: Mapping[str, Any], key: str) -> tuple[str, str]:
    entry = point["gain"][key]
    return ((words.NONE, "") if entry["ratio"] is None else
            (words.bounded(entry), words.interval(entry["ci95"], words.ratio)))


def _sentence(summary: Summary, name: str) -> str:
    """Where a rung is the best, and how far from the baseline it goes: its best point, and its worst where that is
    another."""
    where = headline.best_at(summary).get(name)
    parts = [f"the best at {headline.connections(where)}" if where else "nowhere the best"]
    if name != summary["baseline"]:
        known = sorted(((entry, point["connections"]) for point in summary["points"]
                        if (entry := point["gain"][f"{name}/{summary['baseline']}"])["ratio"] is not None),
                       key=lambda pair: float(pair[0]["ratio"]))
        ends = known[:1] if len(known) == 1 else [*known[-1:], *known[:1]]
        parts.append(" and ".join(f"{words.gain(entry)} {summary['baseline']} at {words.thousands(count)}"
                                  for entry, count in ends) if ends else "without a valid trial")
    return f"{name}, {words.label(summary, name)}: {', '.join(parts)}."
