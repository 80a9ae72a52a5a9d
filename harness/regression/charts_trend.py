# SPDX-License-Identifier: BSD-3-Clause
"""The chart of a trend. Looks as charts.py has it; knows figures, no files."""

from __future__ import annotations

import math
from typing import Any

from matplotlib.figure import Figure  # type: ignore[import]
from matplotlib.lines import Line2D  # type: ignore[import]
from matplotlib.ticker import MaxNLocator  # type: ignore[import]

from harness.report.charts import base as charts
from harness.regression.trend import GAIN, UNITS, Line, Trend

_HEIGHT, _TICKS = 2.1, 6


def draw(found: Trend, note: str) -> Figure:
    """Runs at equal distances, in the order of time; a step is a line across, with the levels on both sides."""
    lines = charts.wrap(note, 88)
    entries = [Line2D([], [], color=charts.COLOURS[style % len(charts.COLOURS)], linestyle="-",
                      marker=charts.MARKERS[style % len(charts.MARKERS)], markersize=3.4,
                      label=f"{line.contender}/{line.over}" if line.over else line.contender)
               for style, line in enumerate(found.lines)]
    if any(line.course.steps for line in found.lines):
        entries.append(Line2D([], [], color="black", linewidth=0.8, linestyle=(0, (3, 2)), label="changed here"))
    if any(line.course.slope is not None for line in found.lines):
        entries.append(Line2D([], [], color="black", linewidth=0.8, linestyle=(0, (1, 1.5)), label="drift"))
    marked = any(line.course.steps for line in found.lines)
    top, bottom = 0.12 + 0.14 * math.ceil(len(entries) / 3) + (0.2 if marked else 0.04), 0.46 + 0.095 * len(lines)
    total = top + _HEIGHT + bottom
    figure = charts.canvas(total)
    left = 0.62 / charts.WIDTH_INCHES
    axes = figure.add_axes([left, bottom / total, 0.97 - left, _HEIGHT / total])
    order = {source.readings.run: place for place, source in enumerate(found.sources)}
    for style, line in enumerate(found.lines):
        _line(axes, line, order, style)
    values = [end for line in found.lines for place in line.places for end in (place.interval or (place.value,))]
    if found.metric == GAIN and min(values) / 1.1 <= 1 <= max(values) * 1.1:
        # farther away it would press the series flat
        axes.axhline(1, color="black", linewidth=0.8)
    if max(values) > 8 * min(values):
        axes.set_yscale("log")
        ticks = charts.log_ticks(min(values) / 1.2, max(values) * 1.2)
        axes.set_yticks(ticks, [charts.thousands(tick) for tick in ticks])
        axes.set_yticks([], minor=True)
    else:
        axes.yaxis.set_major_locator(MaxNLocator(6))
        axes.yaxis.set_major_formatter(charts.thousands)
    label = "Gain (throughput ratio)" if found.metric == GAIN else f"{found.metric} ({UNITS[found.metric]})"
    axes.set_ylabel(label, fontsize=7)
    _time_axis(axes, found)
    axes.grid(axis="y", linewidth=0.3, color="#cccccc")
    figure.legend(handles=entries, ncol=min(3, len(entries)), loc="upper center", bbox_to_anchor=(0.5, 1.0),
                  frameon=False, borderaxespad=0.2, labelspacing=0.3, columnspacing=1.2, handlelength=2.6,
                  handletextpad=0.5)
    figure.text(0.02, 0.03 / total, "\n".join(lines), fontsize=5, color="#555555", linespacing=1.15)
    return figure


def _line(axes: Any, line: Line, order: dict[str, int], style: int) -> None:
    colour, marker = charts.COLOURS[style % len(charts.COLOURS)], charts.MARKERS[style % len(charts.MARKERS)]
    xs = [order[place.run] for place in line.places]
    for x, place in zip(xs, line.places):
        low, high = place.interval or (place.value, place.value)
        axes.errorbar([x], [place.value], [[place.value - low], [high - place.value]], color=colour, marker=marker,
                      markersize=3.2, linewidth=0.7, capsize=1.2, capthick=0.7, linestyle="", zorder=3)
    ends = [0, *(step.at for step in line.course.steps), len(xs)]
    logs = [math.log(place.value) for place in line.places]
    for low, high in zip(ends, ends[1:]) if line.course.slope is None else ():
        mean = math.exp(math.fsum(logs[low:high]) / (high - low))
        axes.plot([xs[low] - 0.35, xs[high - 1] + 0.35], [mean, mean], color=colour, linewidth=1.3, alpha=0.6)
    if line.course.slope is not None:
        middle, centre = (len(xs) - 1) / 2, math.fsum(logs) / len(logs)
        axes.plot(xs, [math.exp(centre + line.course.slope * (place - middle)) for place in range(len(xs))],
                  color=colour, linewidth=1.3, linestyle=(0, (1, 1.5)))
    for number, step in enumerate(line.course.steps):
        between = (xs[step.at - 1] + xs[step.at]) / 2
        axes.axvline(between, color=colour, linewidth=0.8, linestyle=(0, (3, 2)))
        change = f"{100 * math.expm1(step.after - step.before):+.1f} %".replace("-", "−")
        axes.text(between, 1.01 + 0.055 * (style % 2), change, transform=axes.get_xaxis_transform(), fontsize=5.5,
                  ha="center", va="bottom", color=colour)


def _time_axis(axes: Any, found: Trend) -> None:
    count = len(found.sources)
    named = sorted({round(place * (count - 1) / max(1, min(_TICKS, count) - 1)) for place in range(min(_TICKS, count))})
    days = [found.sources[place].readings.started_at[5:16].replace("T", "\n") or str(place + 1) for place in named]
    axes.set_xticks(named, days, fontsize=6)
    axes.set_xticks(range(count), minor=True)
    axes.set_xlim(-0.6, count - 0.4)
    axes.set_xlabel("Run, by when it was started (UTC)", fontsize=7)
