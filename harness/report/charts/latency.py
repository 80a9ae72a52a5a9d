# SPDX-License-Identifier: BSD-3-Clause
"""Charts of an open loop: latency against offered load, and whole distributions. Knows figures, no files, no runs.

Look and palette are charts.py's: colour, marker and line style all tell contenders apart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Sequence

from matplotlib.figure import Figure  # type: ignore[import]
from matplotlib.lines import Line2D  # type: ignore[import]
from matplotlib.ticker import MaxNLocator  # type: ignore[import]

from harness.report.charts import base as charts

_PANEL, _GAP, _LEFT, _BOTTOM, _ROW, _NOTE_LINE = 1.15, 0.2, 0.6, 0.41, 0.127, 0.095
_HANDLE, _CHARACTER = 0.48, 0.05
# an interval is drawn up to this factor of its point, lest two rounds flatten all else
_REACH = 3.0
_TICKS = ((1, "0"), (2, "50"), (10, "90"), (100, "99"), (1000, "99.9"), (10_000, "99.99"), (100_000, "99.999"),
          (1_000_000, "99.9999"), (10_000_000, "99.99999"))


@dataclass(frozen=True)
class Load:
    """One contender at one rate in a steady state; µs by percentile, None where it is not known. `intervals`: (low,
    high) of those that have one. `hollow`: the client was the limit.
    """

    offered: float
    latency_us: dict[str, float | None]
    intervals: dict[str, tuple[float, float]]
    hollow: bool = False


@dataclass(frozen=True)
class Knee:
    """Requests/s, with its 95 % interval where there is one, and p99 there."""

    offered: float
    p99_us: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Curve:
    """One contender, in the look number `style`. `saturation`: requests/s, None where it was not reached."""

    label: str
    style: int
    loads: tuple[Load, ...]
    knee: Knee | None
    saturation: float | None


@dataclass(frozen=True)
class Distribution:
    """(1 / (1 - q), µs) of one contender at one rate; `dash`: which of charts.DASHES."""

    label: str
    style: int
    dash: int
    points: tuple[tuple[float, float], ...]


def against_load(curves: Sequence[Curve], panels: Sequence[tuple[str, str]], note: str, banner: str = "") -> Figure:
    """One panel below another, (percentile, title) each, all on one axis of offered load."""
    entries = [Line2D([], [], color=_colour(one), linestyle=_dash(one), marker=_marker(one), label=one.label)
               for one in curves]
    if any(one.knee for one in curves):
        entries.append(Line2D([], [], color="black", linestyle="", marker="*", markersize=7, label="knee"))
    if any(one.saturation for one in curves):
        entries.append(Line2D([], [], color="black", linewidth=0.8, label="saturation"))
    if any(load.hollow for one in curves for load in one.loads):
        entries.append(Line2D([], [], color="black", linestyle="", marker="o", markerfacecolor="white",
                              label="hollow: client-bound"))
    figure, rows = _figure(entries, note, banner, len(panels))
    values = [value for one in curves for load in one.loads for value in load.latency_us.values() if value]
    values += [one.knee.p99_us for one in curves if one.knee]
    known = [load.offered for one in curves for load in one.loads]
    known += [one.saturation for one in curves if one.saturation]
    for axes, (key, title) in zip(rows, panels):
        for one in curves:
            _curve(axes, one, key)
        axes.set_xlim(0, 1.04 * max(known, default=1.0) / 1e3)
        axes.xaxis.set_major_locator(MaxNLocator(7))
        axes.tick_params(labelbottom=axes is rows[-1])
        _latencies(axes, values)
        axes.text(0.012, 0.95, title, transform=axes.transAxes, fontsize=8, va="top")
    rows[len(rows) // 2].set_ylabel("Latency (µs)")
    rows[-1].set_xlabel("Offered load (1000 requests/s)")
    return figure


def distributions(curves: Sequence[Distribution], note: str, banner: str = "") -> Figure:
    """Latency against 1 / (1 - q), named by q: what is rare is as wide as what is common."""
    entries = [Line2D([], [], color=charts.COLOURS[one.style % len(charts.COLOURS)], linestyle=charts.DASHES[one.dash],
                      marker=charts.MARKERS[one.style % len(charts.MARKERS)], markerfacecolor=_filling(one),
                      label=one.label) for one in curves]
    figure, (axes,) = _figure(entries, note, banner, 1, height=2.2)
    for one in curves:
        xs, ys = zip(*one.points)
        axes.plot(xs, ys, color=charts.COLOURS[one.style % len(charts.COLOURS)], linestyle=charts.DASHES[one.dash],
                  marker=charts.MARKERS[one.style % len(charts.MARKERS)], markersize=3.4, markeredgewidth=0.9,
                  markerfacecolor=_filling(one), markevery=(one.style + 3 * one.dash, 6))
    last = max(one.points[-1][0] for one in curves)
    ticks = [(at, name) for at, name in _TICKS if at <= last]
    axes.set_xscale("log")
    axes.set_xlim(1, 1.15 * last)
    axes.set_xticks([at for at, _ in ticks], [name for _, name in ticks])
    axes.set_xticks([], minor=True)
    _latencies(axes, [value for one in curves for _, value in one.points if value])
    axes.grid(axis="x", linewidth=0.3, color="#cccccc")
    axes.set_xlabel("Percentile (%)")
    axes.set_ylabel("Latency (µs)")
    return figure


def _curve(axes: Any, curve: Curve, key: str) -> None:
    colour = _colour(curve)
    known = [(load.offered / 1e3, value, load) for load in curve.loads for value in [load.latency_us.get(key)] if value]
    axes.plot([x for x, _, _ in known], [y for _, y, _ in known], color=colour, linestyle=_dash(curve))
    for x, y, load in known:
        if key in load.intervals:
            _interval(axes, x, y, load.intervals[key], colour)
        axes.plot([x], [y], linestyle="", marker=_marker(curve), color=colour,
                  markerfacecolor="white" if load.hollow else colour, markeredgewidth=0.9, zorder=3)
    if curve.saturation:
        axes.axvline(curve.saturation / 1e3, color=colour, linestyle=_dash(curve), linewidth=0.8)
    if curve.knee is not None and key == "p99":
        at = curve.knee
        if at.low is not None and at.high is not None:
            axes.plot([at.low / 1e3, at.high / 1e3], [at.p99_us] * 2, color=colour, linewidth=2.2, alpha=0.45,
                      solid_capstyle="butt")
        axes.plot([at.offered / 1e3], [at.p99_us], linestyle="", marker="*", markersize=8, color=colour,
                  markeredgecolor="black", markeredgewidth=0.5, zorder=4)


def _interval(axes: Any, x: float, y: float, ends: tuple[float, float], colour: str) -> None:
    """A bar; an end that is farther away than is drawn has no cap."""
    low, high = max(ends[0], y / _REACH), min(ends[1], y * _REACH)
    axes.plot([x, x], [low, high], color=colour, linewidth=0.7)
    caps = [shown for shown, end in zip((low, high), ends) if shown == end]
    axes.plot([x] * len(caps), caps, linestyle="", marker="_", markersize=3.5, markeredgewidth=0.7, color=colour)


def _latencies(axes: Any, values: Sequence[float]) -> None:
    low, high = (min(values) / 1.3, max(values) * 1.5) if values else (1.0, 1000.0)
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    ticks = charts.log_ticks(low, high)
    if len(ticks) > 5:
        ticks = [tick for tick in ticks if math.log10(tick).is_integer()]
    axes.set_yticks(ticks, [charts.compact(int(tick)) if tick >= 1 else f"{tick:g}" for tick in ticks])
    axes.set_yticks([], minor=True)
    axes.grid(axis="y", linewidth=0.3, color="#cccccc")


def _figure(entries: Sequence[Any], note: str, banner: str, panels: int,
            height: float = 0.0) -> tuple[Figure, list[Any]]:
    """Panels below one another, banner and legend above, the note below; all sizes in inches."""
    longest = max(len(entry.get_label()) for entry in entries)
    across = max(1, min(len(entries), int((charts.WIDTH_INCHES - 0.1) / (_HANDLE + _CHARACTER * longest))))
    above = charts.banner_inches(banner)
    top = above + 0.08 + _ROW * math.ceil(len(entries) / across)
    lines = charts.wrap(note, 88)
    bottom = _BOTTOM + _NOTE_LINE * len(lines)
    inside = height or panels * _PANEL + (panels - 1) * _GAP
    total = top + inside + bottom
    figure = charts.canvas(total)
    grid = figure.add_gridspec(panels, 1, left=_LEFT / charts.WIDTH_INCHES, right=0.98, bottom=bottom / total,
                               top=1 - top / total, hspace=_GAP / _PANEL if panels > 1 else 0.0)
    charts.draw_banner(figure, banner, total)
    figure.legend(handles=entries, ncol=across, loc="upper center", bbox_to_anchor=(0.5, 1.0 - above / total),
                  frameon=False, borderaxespad=0.2, labelspacing=0.3, columnspacing=1.2, handlelength=2.6,
                  handletextpad=0.5)
    figure.text(0.02, 0.03 / total, "\n".join(lines), fontsize=5, color="#555555", linespacing=1.15)
    return figure, [figure.add_subplot(grid[row, 0]) for row in range(panels)]


def _filling(one: Distribution) -> str:
    """Of a contender's second rate hollow: dashes alone are little in print."""
    return "white" if one.dash % 2 else charts.COLOURS[one.style % len(charts.COLOURS)]


def _colour(curve: Curve) -> str:
    return charts.COLOURS[curve.style % len(charts.COLOURS)]


def _marker(curve: Curve) -> str:
    return charts.MARKERS[curve.style % len(charts.MARKERS)]


def _dash(curve: Curve) -> Any:
    return charts.DASHES[curve.style % len(charts.DASHES)]
