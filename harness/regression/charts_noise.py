# SPDX-License-Identifier: BSD-3-Clause
"""The chart of a noise run: each comparison of a contender with itself, and how small a change can be seen.

Looks as charts.py has it; knows figures, no files, no runs.
"""

from __future__ import annotations

import math
from typing import Any, Mapping, Sequence

from matplotlib.figure import Figure  # type: ignore[import]
from matplotlib.lines import Line2D  # type: ignore[import]
from matplotlib.ticker import MaxNLocator  # type: ignore[import]

from harness.report.charts import base as charts
from harness.analyse import bottleneck as verdict

_GRID = {"linewidth": 0.3, "color": "#cccccc"}
_HEIGHT, _GAP = 1.75, 0.62
# of percent, what a single wild interval may ask of the axis, by the median of all
_WILD = 6.0


def draw(found: Mapping[str, Any], note: str) -> Figure:
    """`found`: of noise.analyse."""
    lines = charts.wrap(note, 88)
    bottom, top = 0.41 + 0.095 * len(lines), 0.42
    total = top + 2 * _HEIGHT + _GAP + bottom
    figure = charts.canvas(total)
    grid = figure.add_gridspec(2, 1, left=0.6 / charts.WIDTH_INCHES, right=0.97, bottom=bottom / total,
                               top=1 - top / total, hspace=_GAP / _HEIGHT)
    upper, lower = figure.add_subplot(grid[0]), figure.add_subplot(grid[1])
    _comparisons(upper, found)
    _detectable(lower, found["detectable"])
    entries = [Line2D([], [], color=charts.COLOURS[place], marker=charts.MARKERS[place], linestyle="", label=name)
               for place, name in enumerate(found["contenders"])]
    if any(row["verdict"] != verdict.INCONCLUSIVE for row in found["comparisons"]):
        entries.append(Line2D([], [], color="black", marker="o", markerfacecolor="none", markersize=8, linestyle="",
                              label="called a difference"))
    figure.legend(handles=entries, ncol=len(entries), loc="upper center", bbox_to_anchor=(0.5, 1.0), frameon=False,
                  borderaxespad=0.2, columnspacing=1.2, handletextpad=0.5)
    figure.text(0.02, 0.03 / total, "\n".join(lines), fontsize=5, color="#555555", linespacing=1.15)
    return figure


def _comparisons(axes: Any, found: Mapping[str, Any]) -> None:
    """Side by side at their load point."""
    rows, points = found["comparisons"], found["connections"]
    most = max(sum(row["connections"] == point for row in rows) for point in points)
    seen = dict.fromkeys(points, 0)
    reach = []
    for row in rows:
        x = points.index(row["connections"]) + 0.8 * ((seen[row["connections"]] + 0.5) / most - 0.5)
        seen[row["connections"]] += 1
        style = found["contenders"].index(row["contender"])
        centre = _percent(row["ratio"])
        low, high = (_percent(end) for end in row["ci95"])
        reach.append(max(abs(low), abs(high)))
        axes.errorbar([x], [centre], [[centre - low], [high - centre]], color=charts.COLOURS[style],
                      marker=charts.MARKERS[style], markersize=3, linewidth=0.7, capsize=1.2, capthick=0.7)
        if row["verdict"] != verdict.INCONCLUSIVE:
            axes.plot([x], [centre], marker="o", markerfacecolor="none", markeredgecolor="black", markersize=8)
    axes.axhline(0, color="black", linewidth=0.8)
    limit = 1.08 * min(max(reach), _WILD * sorted(reach)[len(reach) // 2])
    axes.set_ylim(-limit, limit)
    axes.set_xlim(-0.6, len(points) - 0.4)
    axes.set_xticks(range(len(points)), [charts.compact(point) for point in points])
    axes.yaxis.set_major_formatter(_signed)
    axes.yaxis.set_major_locator(MaxNLocator(7))
    axes.set_ylabel("Against itself (%)")
    axes.set_xlabel("Connections", labelpad=1)
    axes.set_title(f"{len(rows)} comparisons of a contender with itself", fontsize=7, pad=3)
    axes.grid(axis="y", **_GRID)


def _detectable(axes: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    """Power of 80 %: each load point a thin line, all of them together a bold one."""
    names = list(dict.fromkeys(row["contender"] for row in rows))
    counts = sorted({int(count) for row in rows for count in row["detectable_percent"]})
    values = []
    for row in rows:
        style, whole = names.index(row["contender"]), row["connections"] is None
        line = [row["detectable_percent"][str(count)]["80"] for count in counts]
        values += line
        axes.plot(counts, line, color=charts.COLOURS[style], linewidth=1.6 if whole else 0.5,
                  linestyle=charts.DASHES[style], alpha=1 if whole else 0.55,
                  marker=charts.MARKERS[style] if whole else "", markersize=3.4)
    handles = [Line2D([], [], color="#444444", linewidth=1.6, label="mean of all load points"),
               Line2D([], [], color="#444444", linewidth=0.5, label="each alone")]
    axes.legend(handles=handles, loc="upper right", frameon=False, fontsize=6, handlelength=2.2)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.set_xticks([], minor=True)
    ticks = charts.log_ticks(min(values) / 1.2, max(values) * 1.2)
    axes.set_ylim(min(values) / 1.2, max(values) * 1.2)
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_yticks([], minor=True)
    axes.set_xlabel("Rounds")
    axes.set_ylabel("Smallest change seen (%)")
    axes.set_title("seen in 8 of 10 cases, 5 % two-sided", fontsize=7, pad=3)
    axes.grid(axis="y", **_GRID)


def _percent(ratio: float) -> float:
    return 100 * (ratio - 1)


def _signed(value: float, _: object = None) -> str:
    return "0" if math.isclose(value, 0, abs_tol=1e-9) else f"{value:+g}".replace("-", "−")
