# SPDX-License-Identifier: BSD-3-Clause
"""Draw a figure over runs, at equal distances in the order of time; a step is a line across."""

from __future__ import annotations

import math
from typing import Any

from matplotlib.figure import Figure

from harness.regression import GAIN, Trend, TrendLine
from harness.report.charts.base import HEIGHT, Frame, entry, framed, linear_axis, log_axis, look, tip
from harness.report.format import interval, number, signed

_TICKS, _STEP, _DRIFT = 6, (0, (3, 2)), (0, (1, 1.5))
_LOG_FROM = 8


def draw(found: Trend, label: str, frame: Frame) -> Figure:
    """Draw values with the intervals of their rounds, and the levels between changes."""
    looks = [_look(line, found) for line in found.lines]
    entries = [entry(f"{line.contender}/{line.over}".rstrip("/"), *own, "-", markersize=3.4)
               for line, own in zip(found.lines, looks)]
    stepped = any(line.changes for line in found.lines)
    if stepped:
        entries.append(entry("changed here", dash=_STEP, linewidth=0.8))
    if any(line.drift_percent is not None for line in found.lines):
        entries.append(entry("drift", dash=_DRIFT, linewidth=0.8))
    figure, ((axes,),) = framed(entries, frame, [HEIGHT], above=0.2 if stepped else 0.04,
                                below=0.06)
    order = {run.run: place for place, run in enumerate(found.runs)}
    for number, line in enumerate(found.lines):
        _line(axes, line, order, looks[number], 0.055 * (number % 2))
    values = [end for line in found.lines for value in line.values
              for end in (value.ci95 or (value.value,))]
    if found.metric == GAIN and min(values) / 1.1 <= 1 <= max(values) * 1.1:
        # farther away it would press the series flat
        axes.axhline(1, color="black", linewidth=0.8)
    if max(values) > _LOG_FROM * min(values):
        log_axis(axes, values)
    else:
        linear_axis(axes.yaxis, 6)
    axes.set_ylabel(label, fontsize=7)
    _time_axis(axes, found)
    return figure


def _look(line: TrendLine, found: Trend) -> tuple[str, str]:
    """Return colour and marker: a contender's, but the baseline's marker where it has several."""
    several = sum(other.contender == line.contender for other in found.lines) > 1
    return look(line.contender)[0], look(line.over if several else line.contender)[1]


def _line(axes: Any, line: TrendLine, order: dict[str, int], own: tuple[str, str],
          above: float) -> None:
    colour, marker = own
    xs = [order[value.run] for value in line.values]
    for x, value in zip(xs, line.values):
        low, high = value.ci95 or (value.value, value.value)
        mark, _, _ = axes.errorbar([x], [value.value], [[value.value - low], [high - value.value]],
                                   color=colour, marker=marker, markersize=3.2, linewidth=0.7,
                                   linestyle="", zorder=3)
        tip(mark, f"{line.contender}, {value.run}: {number(value.value)} {interval(value.ci95)}")
    logs = [math.log(value.value) for value in line.values]
    ends = [0, *(change.at for change in line.changes), len(xs)]
    for low, high in zip(ends, ends[1:]) if line.drift_percent is None else ():
        mean = math.exp(math.fsum(logs[low:high]) / (high - low))
        axes.plot([xs[low] - 0.35, xs[high - 1] + 0.35], [mean, mean], color=colour,
                  linewidth=1.3, alpha=0.6)
    if line.drift_percent is not None:
        middle, centre = (len(xs) - 1) / 2, math.fsum(logs) / len(logs)
        slope = math.log1p(line.drift_percent / 100) / max(1, len(xs) - 1)
        axes.plot(xs, [math.exp(centre + slope * (place - middle)) for place in range(len(xs))],
                  color=colour, linewidth=1.3, linestyle=_DRIFT)
    for change in line.changes:
        between = (xs[change.at - 1] + xs[change.at]) / 2
        axes.axvline(between, color=colour, linewidth=0.8, linestyle=_STEP)
        axes.text(between, 1.01 + above, signed(change.percent), fontsize=5.5,
                  transform=axes.get_xaxis_transform(), ha="center", va="bottom", color=colour)


def _time_axis(axes: Any, found: Trend) -> None:
    count = len(found.runs)
    most = min(_TICKS, count)
    named = sorted({round(place * (count - 1) / max(1, most - 1)) for place in range(most)})
    days = [found.runs[place].started_at[5:16].replace("T", "\n") or str(place + 1)
            for place in named]
    axes.set_xticks(named, days, fontsize=6)
    axes.set_xticks(range(count), minor=True)
    axes.set_xlim(-0.6, count - 0.4)
    axes.set_xlabel("Run, by when it was started (UTC)", fontsize=7)
