# SPDX-License-Identifier: BSD-3-Clause
"""Draw a noise run: comparisons of a contender with itself, the smallest change that is seen."""

from __future__ import annotations

from typing import Any, Sequence

from matplotlib.figure import Figure

from harness.regression import Detectable, NoiseResult
from harness.store import Verdict
from harness.report.charts.base import Frame, Scale, entry, framed, linear_axis, log_axis, look, tip
from harness.report.format import signed

_HEIGHT, _GAP, _TITLE = 1.75, 0.62, 0.18
# of percent, what a single wild interval may ask of the axis, by the median of all
_WILD = 6.0


def draw(found: NoiseResult, names: Sequence[str], label: str, frame: Frame) -> Figure:
    """Draw both panels; `names`: of found.points, `label`: of their axis."""
    entries = [entry(name, *look(name)[:2]) for name in found.contenders]
    if any(row.gain.verdict != Verdict.INCONCLUSIVE for row in found.comparisons):
        entries.append(entry("called a difference", marker="o", markerfacecolor="none",
                             markersize=8))
    figure, ((upper,), (lower,)) = framed(entries, frame, [_HEIGHT, _HEIGHT], gap=_GAP,
                                          above=_TITLE, share=False)
    _comparisons(upper, found)
    upper.set_xticks(range(len(names)), names)
    upper.set_xlabel(label, labelpad=1)
    _detectable(lower, found.detectable)
    return figure


def _comparisons(axes: Any, found: NoiseResult) -> None:
    """Draw the comparisons side by side at their load point."""
    rows = [row for row in found.comparisons if row.gain.ratio and row.gain.ci95]
    most = max(sum(row.at == point for row in rows) for point in found.points)
    seen = dict.fromkeys(found.points, 0)
    reach = []
    for row in rows:
        x = found.points.index(row.at) + 0.8 * ((seen[row.at] + 0.5) / most - 0.5)
        seen[row.at] += 1
        low, centre, high = sorted(100 * (end - 1) for end in (row.gain.ratio or 1.0,
                                                               *(row.gain.ci95 or ())))
        reach.append(max(abs(low), abs(high)))
        colour, marker, _ = look(row.contender)
        mark, _, _ = axes.errorbar([x], [centre], [[centre - low], [high - centre]], color=colour,
                                   marker=marker, markersize=3, linewidth=0.7)
        tip(mark, f"{row.contender}: {signed(centre)}")
        if row.gain.verdict != Verdict.INCONCLUSIVE:
            axes.plot([x], [centre], marker="o", markerfacecolor="none", markersize=8,
                      markeredgecolor="black")
    axes.axhline(0, color="black", linewidth=0.8)
    limit = 1.08 * min(max(reach), _WILD * sorted(reach)[len(reach) // 2])
    axes.set_ylim(-limit, limit)
    axes.set_xlim(-0.6, len(found.points) - 0.4)
    linear_axis(axes.yaxis, 7)
    axes.set_ylabel("Against itself (%)")
    axes.set_title(f"{len(rows)} comparisons of a contender with itself")


def _detectable(axes: Any, rows: Sequence[Detectable]) -> None:
    """Draw power 80 %: each load point a thin line, all of them together a bold one."""
    counts = sorted({count for row in rows for count in row.detectable_percent})
    values = []
    for row in rows:
        colour, marker, dash = look(row.contender)
        line = [row.detectable_percent[count][80] for count in counts]
        values += line
        whole = row.at is None
        axes.plot(counts, line, color=colour, linestyle=dash, linewidth=1.6 if whole else 0.5,
                  alpha=1 if whole else 0.55, marker=marker if whole else "", markersize=3.4)
    handles = [entry(label, "#444444", dash="-", linewidth=width)
               for width, label in ((1.6, "mean of all load points"), (0.5, "each alone"))]
    axes.legend(handles=handles, loc="upper right", fontsize=6, handlelength=2.2)
    Scale.of("Rounds", counts).draw(axes)
    axes.set_xlabel("Rounds")
    log_axis(axes, values)
    axes.set_ylabel("Smallest change seen (%)")
    axes.set_title("seen in 8 of 10 cases, 5 % two-sided")
