# SPDX-License-Identifier: BSD-3-Clause
"""Find the result of a run: gains grouped by verdict, over the best kernel server. No sentence.

Where a run has several kernel servers the headline is against the best of them at each load point,
and never against one that the reader would have to know to be the weak one. The sentences stand in
templates/headline.j2.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Sequence

from harness.analyse import Gain, Summary
from harness.plan import LoadPoint
from harness.store import Bound, Verdict

At = tuple[LoadPoint, Gain]


class Why(StrEnum):
    """Why a gain is inconclusive."""

    TOO_FEW = "too-few-rounds"
    SPANS_ONE = "spans-one"
    CLIENT_LIMIT = "client-limit"
    ADJUSTED = "chance"


@dataclass(frozen=True)
class Group:
    """The gains with one verdict and one reason; shown: the smallest and the largest."""

    verdict: Verdict
    why: Why | None
    points: tuple[LoadPoint, ...]
    shown: tuple[At, ...]


@dataclass(frozen=True)
class Line:
    """One pair over all load points: those that have a gain."""

    over: str
    below: str
    gains: tuple[At, ...]

    @property
    def ratios(self) -> tuple[float, ...]:
        """Return the smallest ratio and the largest; one, or none, where there are no more."""
        known = sorted({gain.ratio for _, gain in self.gains if gain.ratio is not None})
        return tuple(dict.fromkeys((known[0], known[-1]))) if known else ()

    def with_verdict(self, verdict: str) -> list[LoadPoint]:
        """Return where it has this verdict."""
        return [at for at, gain in self.gains if gain.verdict == verdict]

    def with_bound(self, bound: str = "") -> list[LoadPoint]:
        """Return where the client made it this bound; where any, without one."""
        return [at for at, gain in self.gains if gain.bound and bound in ("", gain.bound)]

    def ordered(self) -> list[At]:
        """Return the gains, the smallest first."""
        return sorted(self.gains, key=lambda item: item[1].ratio or 0.0)

    def groups(self) -> list[Group]:
        """Return the gains by verdict and reason."""
        found: dict[tuple[Verdict, Why | None], list[At]] = {}
        for at, gain in self.ordered():
            found.setdefault((gain.verdict, why(gain)), []).append((at, gain))
        order = [(Verdict.FASTER, None), (Verdict.SLOWER, None),
                 *((Verdict.INCONCLUSIVE, reason) for reason in Why)]
        return [Group(*key, tuple(item[0] for item in self.gains if item in items),
                      tuple(dict.fromkeys((items[0], items[-1])))) for key in order
                if (items := found.get(key))]


def label(summary: Summary, name: str) -> str:
    """Return a contender's label."""
    return summary.contenders[name].label


def measured(summary: Summary) -> list[str]:
    """Return the contenders that are measured at some load point, the baseline first."""
    return [name for name, info in summary.contenders.items()
            if not info.limit and not absent(summary, name)]


def limits(summary: Summary) -> list[str]:
    """Return what is measured as a limit."""
    return [name for name, info in summary.contenders.items()
            if info.limit and not absent(summary, name)]


def absent(summary: Summary, name: str) -> bool:
    """Tell whether a contender is measured at no load point at all."""
    cells = [point.cells[name] for point in summary.points if name in point.cells]
    return (summary.contenders[name].not_measured is not None
            or bool(cells) and all(cell.not_measured for cell in cells))


def kernel_servers(summary: Summary) -> list[str]:
    """Return the kernel baselines, in the plan's order; [] where the baseline is none of them."""
    return [name for name, info in summary.contenders.items() if info.baseline]


def baselines(summary: Summary) -> list[str]:
    """Return the kernel baselines that are measured."""
    return [name for name in kernel_servers(summary) if not absent(summary, name)]


def others(summary: Summary) -> list[str]:
    """Return the measured contenders that are no baseline: of several kernel servers none is."""
    return [name for name in measured(summary)
            if name not in (baselines(summary) or [summary.baseline])]


def both_ended(summary: Summary) -> list[str]:
    """Return the contenders whose gain is of both ends: their client's stack differs, too."""
    client = summary.contenders[summary.baseline].client
    return [name for name, info in summary.contenders.items() if info.client != client]


def best_at(summary: Summary, over: str = "") -> dict[str, list[LoadPoint]]:
    """Return for each kernel server that is the best somewhere, where; `over`: for that contender's
    headline."""
    found: dict[str, list[LoadPoint]] = {}
    for point in summary.points:
        best = point.headline_over.get(over) if over else point.best_kernel
        if best is not None:
            found.setdefault(best, []).append(point.at)
    return found


def polls_like(summary: Summary, name: str) -> bool:
    """Tell whether a contender polls, and its headline is over kernel servers that poll alike."""
    return any(one.contender == name for point in summary.points for one in point.factors)


def line(summary: Summary, over: str, below: str) -> Line:
    """Return a pair's gains; `below` "": over the best kernel server of each load point."""
    gains = [(point.at, point.gain(over, below) if below else summary.headline(point).get(over))
             for point in summary.points]
    return Line(over, below, tuple((at, gain) for at, gain in gains
                                   if gain is not None and gain.ratio is not None))


def headlines(summary: Summary) -> list[Line]:
    """Return the gain of each contender, over the best kernel server or the baseline.

    [] for one contender alone, and for kernel servers alone where there are more than two of them.
    """
    kernel = baselines(summary)
    if kernel not in ([], [summary.baseline]) and others(summary):
        return [line(summary, name, "") for name in others(summary)]
    if len(kernel) > 2:
        return []
    return [line(summary, name, summary.baseline)
            for name in measured(summary) if name != summary.baseline]


def why(gain: Gain) -> Why | None:
    """Return why a gain is inconclusive; None where it is not."""
    if gain.verdict != Verdict.INCONCLUSIVE:
        return None
    if gain.ci95 is None:
        return Why.TOO_FEW
    low, high = gain.ci95
    if low <= 1 <= high:
        return Why.SPANS_ONE
    # a bound on the right side of 1 is no reason
    against = {Bound.BOTH: True, Bound.LOWER: high < 1, Bound.UPPER: low > 1}
    return Why.CLIENT_LIMIT if gain.bound and against[gain.bound] else Why.ADJUSTED


def emulated(summaries: Sequence[Summary]) -> list[str]:
    """Return what played the part of the NIC in some runs; [] on hardware and software wires."""
    return sorted({summary.emulated for summary in summaries if summary.emulated})
