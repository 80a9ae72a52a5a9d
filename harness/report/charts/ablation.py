# SPDX-License-Identifier: BSD-3-Clause
"""Draw what each step of an ablation saves or costs, from none of them on, and left out alone."""

from __future__ import annotations

from typing import Any, Sequence

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from harness.analyse import OptimisationStep, Saving
from harness.report.charts.base import COLOURS, Frame, framed, linear_axis, tip
from harness.report.format import saved

TOTAL, SAVES, COSTS = "#767676", COLOURS[0], COLOURS[1]
_ROW_INCHES, _NAMES_INCHES, _ALONE = 0.165, 0.92, 0.36


def draw(plain: float, steps: Sequence[OptimisationStep], frame: Frame,
         priced: bool = False) -> Figure:
    """Draw the waterfall; `plain`: cycles a request with all of the steps left out.

    priced: what they cost is told, and not what they save
    """
    alone = [step.saved_alone.price if priced else step.saved_alone for step in steps]
    rows = len(steps) + 2
    entries = [Patch(facecolor=SAVES, label="saves"), Patch(facecolor=COSTS, label="costs"),
               Patch(facecolor=TOTAL, label="in all")]
    figure, ((left, right),) = framed(entries, frame, [rows * _ROW_INCHES], [1 - _ALONE, _ALONE],
                                      left=_NAMES_INCHES, share=False)
    heights = _steps(left, plain, steps)
    for place, step in enumerate(steps, 1):
        _bar(right, place, 0.0, step.name, step.saved_alone, leftwards=priced)
    right.axvline(0, color="black", linewidth=0.6)
    for axes, title, label, ticks in ((left, "added one by one", "Busy cycles per request", 5),
                                      (right, "waived alone" if priced else "left out alone",
                                       "Price" if priced else "Saved", 3)):
        axes.set_ylim(rows - 0.5, -0.5)
        axes.set_title(title)
        axes.grid(False, axis="y")
        axes.grid(True, axis="x")
        axes.tick_params(axis="y", length=0)
        linear_axis(axes.xaxis, ticks)
        axes.set_xlabel(label, fontsize=7)
    left.set_yticks(range(rows), ["none of them", *(step.name for step in steps), "all of them"])
    right.set_yticks(range(rows), [""] * rows)
    left.set_xlim(0, 1.08 * max(heights))
    right.set_xlim(*_reach(alone))
    return figure


def _steps(axes: Any, plain: float, steps: Sequence[OptimisationStep]) -> list[float]:
    """Draw the waterfall and return the heights it passes. A step without a figure is marked."""
    at = plain
    heights = [plain]
    axes.barh(0, plain, height=0.7, color=TOTAL)
    for place, step in enumerate(steps, 1):
        if step.saved.mean is not None:
            axes.plot([at, at], [place - 1.35, place - 0.35], color="black", linewidth=0.4)
        _bar(axes, place, at, step.name, step.saved, leftwards=True)
        at -= step.saved.mean or 0.0
        heights.append(at)
    axes.plot([at, at], [len(steps) - 0.35, len(steps) + 0.65], color="black", linewidth=0.4)
    axes.barh(len(steps) + 1, at, height=0.7, color=TOTAL)
    return heights


def _bar(axes: Any, place: int, start: float, name: str, saving: Saving,
         leftwards: bool = False) -> None:
    """Draw what is saved, from `start` on: to the right, or to the left, and a cost to the other side."""
    if saving.mean is None:
        axes.text(start, place, "×", ha="center", va="center", fontsize=7)
        return
    sign = -1 if leftwards else 1
    bar, = axes.barh(place, sign * saving.mean, left=start, height=0.7,
                     color=SAVES if saving.mean >= 0 else COSTS)
    tip(bar, f"{name}: {saved(saving)} cycles")
    if saving.ci95 is not None:
        axes.errorbar([start + sign * saving.mean], [place], color="black", linewidth=0.6,
                      xerr=[(saving.ci95[1] - saving.ci95[0]) / 2], fmt="none")


def _reach(savings: Sequence[Saving]) -> tuple[float, float]:
    """Return the ends of the axis of savings; of an interval at most three times the largest."""
    known = [saving for saving in savings if saving.mean is not None]
    most = 3 * max((abs(saving.mean or 0) for saving in known), default=0) or 1.0
    ends = [0.0, *(end for saving in known for end in (saving.mean or 0.0, *(saving.ci95 or ())))]
    low, high = max(-most, min(ends)), min(most, max(ends))
    margin = 0.06 * (high - low) or 1.0
    return low - margin, high + margin
