# SPDX-License-Identifier: BSD-3-Clause
"""The chart of a ladder of measures: what each saves, from the plain design down. Knows figures, no files, no runs.

Looks as charts.py has it; beside each step, what leaving out that measure alone costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Sequence

from matplotlib.figure import Figure  # type: ignore[import]
from matplotlib.patches import Patch  # type: ignore[import]
from matplotlib.ticker import MaxNLocator  # type: ignore[import]

from harness.report.charts import base as charts

TOTAL, SAVES, COSTS = "#767676", charts.COLOURS[0], charts.COLOURS[1]
_ROW_INCHES, _NAMES_INCHES, _BESIDE = 0.165, 0.92, 0.36


@dataclass(frozen=True)
class Saving:
    """Cycles a request, with its 95 % interval; all None where it was not measured."""

    mean: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Step:
    """One measure: added in its place, and left out alone."""

    name: str
    added: Saving
    alone: Saving


def draw(plain: float, steps: Sequence[Step], note: str, banner: str = "") -> Figure:
    """`plain`: cycles a request with all measures left out."""
    lines = charts.wrap(note, 88)
    rows = len(steps) + 2
    above = charts.banner_inches(banner)
    top, bottom = above + 0.36, 0.41 + 0.095 * len(lines)
    total = top + rows * _ROW_INCHES + bottom
    figure = charts.canvas(total)
    grid = figure.add_gridspec(1, 2, left=_NAMES_INCHES / charts.WIDTH_INCHES, right=0.97, bottom=bottom / total,
                               top=1 - top / total, wspace=0.08, width_ratios=[1 - _BESIDE, _BESIDE])
    left = figure.add_subplot(grid[0, 0])
    right = figure.add_subplot(grid[0, 1])
    reached = _climb(left, plain, steps)
    for place, step in enumerate(steps, 1):
        _bar(right, place, 0.0, step.alone)
    right.axvline(0, color="black", linewidth=0.6)
    for axes, title in ((left, "added one by one"), (right, "left out alone")):
        axes.set_ylim(rows - 0.5, -0.5)
        axes.set_title(title, fontsize=7, pad=3)
        axes.grid(axis="x", linewidth=0.3, color="#cccccc")
        axes.tick_params(axis="y", length=0)
    left.set_yticks(range(rows), ["plain design", *(step.name for step in steps), "all measures"])
    right.set_yticks(range(rows), [""] * rows)
    left.set_xlim(0, 1.08 * max([plain, *reached]))
    right.set_xlim(*_reach([step.alone for step in steps]))
    for axes, most in ((left, 5), (right, 3)):
        axes.xaxis.set_major_locator(MaxNLocator(most))
        axes.xaxis.set_major_formatter(charts.thousands)
    left.set_xlabel("Busy cycles per request", fontsize=7)
    right.set_xlabel("Saved", fontsize=7)
    entries = [Patch(facecolor=SAVES, label="saves"), Patch(facecolor=COSTS, label="costs"),
               Patch(facecolor=TOTAL, label="in all")]
    charts.draw_banner(figure, banner, total)
    figure.legend(handles=entries, ncol=3, loc="upper center", bbox_to_anchor=(0.5, 1.0 - above / total),
                  frameon=False, borderaxespad=0.2, columnspacing=1.2, handlelength=1.4, handletextpad=0.5)
    figure.text(0.02, 0.03 / total, "\n".join(lines), fontsize=5, color="#555555", linespacing=1.15)
    return figure


def _climb(axes: Any, plain: float, steps: Sequence[Step]) -> list[float]:
    """The waterfall; returns the heights it passes. A step that was not measured changes nothing, and is marked."""
    at = plain
    reached = [plain]
    axes.barh(0, plain, height=0.7, color=TOTAL)
    for place, step in enumerate(steps, 1):
        if step.added.mean is None:
            axes.text(at, place, "×", ha="center", va="center", fontsize=7)
            continue
        _bar(axes, place, at, step.added, downwards=True)
        axes.plot([at, at], [place - 1.35, place - 0.35], color="black", linewidth=0.4)
        at -= step.added.mean
        reached.append(at)
    axes.plot([at, at], [len(steps) - 0.35, len(steps) + 0.65], color="black", linewidth=0.4)
    axes.barh(len(steps) + 1, at, height=0.7, color=TOTAL)
    return reached


def _bar(axes: Any, place: int, start: float, saving: Saving, downwards: bool = False) -> None:
    """What is saved, from `start` on: towards fewer cycles, or to the right."""
    if saving.mean is None:
        axes.text(start, place, "×", ha="center", va="center", fontsize=7)
        return
    sign = -1 if downwards else 1
    axes.barh(place, sign * saving.mean, left=start, height=0.7, color=SAVES if saving.mean >= 0 else COSTS)
    if saving.low is not None and saving.high is not None:
        half = (saving.high - saving.low) / 2
        axes.errorbar([start + sign * saving.mean], [place], xerr=[half], color="black", linewidth=0.6, capsize=1.5,
                      capthick=0.6, fmt="none")


def _reach(savings: Sequence[Saving]) -> tuple[float, float]:
    """What the axis of savings must show; of an interval at most three times the largest of them."""
    known = [saving for saving in savings if saving.mean is not None]
    most = 3 * max((abs(saving.mean or 0) for saving in known), default=0) or 1.0
    ends = [0.0, *(end for saving in known for end in (saving.mean, saving.low, saving.high) if end is not None)]
    low, high = max(-most, min(ends)), min(most, max(ends))
    margin = 0.06 * (high - low) or 1.0
    return low - margin, high + margin
