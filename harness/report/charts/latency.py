# SPDX-License-Identifier: BSD-3-Clause
"""Draw an open loop: latency against offered load, and whole distributions. Knows no run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Sequence

from matplotlib.figure import Figure  # type: ignore[import]
from matplotlib.ticker import MaxNLocator  # type: ignore[import]

from harness.analyse import OfferedPoint, OpenContender
from harness.report.charts.base import (
    DASHES, GRID, HEIGHT, Frame, compact, entry, framed, log_ticks, look)

_PANEL, _GAP = 1.15, 0.2
# an interval is drawn up to this factor of its point, lest two rounds flatten all else
_REACH = 3.0
_TICKS = ((1, "0"), (2, "50"), (10, "90"), (100, "99"), (1000, "99.9"), (10_000, "99.99"),
          (100_000, "99.999"), (1_000_000, "99.9999"), (10_000_000, "99.99999"))


@dataclass(frozen=True)
class Curve:
    """One contender in the look number `style`."""

    label: str
    style: int
    of: OpenContender

    @property
    def steady(self) -> list[OfferedPoint]:
        """Return the rates with a steady state."""
        return [point for point in self.of.points if point.rounds and not point.saturated]

    @property
    def saturation(self) -> float | None:
        """Return requests/s; None where it was not reached."""
        return self.of.saturation.requests_per_sec if self.of.saturation else None

    @property
    def knee_us(self) -> float | None:
        """Return p99 at the knee, as measured or as it may be between two rates; None: no knee."""
        if self.of.knee.offered is None:
            return None
        measured = (point.latency_us["p99"] for point in self.steady
                    if point.offered == self.of.knee.offered)
        return next(measured, None) or self.of.knee.limit_us


@dataclass(frozen=True)
class Whole:
    """(1 / (1 - q), µs) of one contender at one rate; `dash`: which of DASHES."""

    label: str
    style: int
    dash: int
    points: tuple[tuple[float, float], ...]


def against_load(curves: Sequence[Curve], panels: Sequence[tuple[str, str]],
                 frame: Frame) -> Figure:
    """Draw one panel below another, (percentile, title) each, all on one axis of offered load."""
    points = [point for one in curves for point in one.steady]
    known = [*(float(point.offered) for point in points),
             *(one.saturation for one in curves if one.saturation)]
    values = [*(value for point in points for value in point.latency_us.values() if value),
              *(one.knee_us for one in curves if one.knee_us)]
    entries = [entry(one.label, *look(one.style)) for one in curves]
    if any(one.knee_us for one in curves):
        entries.append(entry("knee", marker="*", markersize=7))
    if any(one.saturation for one in curves):
        entries.append(entry("saturation", dash="-", linewidth=0.8))
    if any(point.client_bound for point in points):
        entries.append(entry("hollow: client-bound", marker="o", markerfacecolor="white"))
    figure, grid = framed(entries, frame, [_PANEL] * len(panels), gap=_GAP)
    for (axes,), (key, title) in zip(grid, panels):
        for one in curves:
            _curve(axes, one, key)
        axes.set_xlim(0, 1.04 * max(known, default=1.0) / 1e3)
        axes.xaxis.set_major_locator(MaxNLocator(7))
        axes.tick_params(labelbottom=axes is grid[-1][0])
        _latencies(axes, values)
        axes.text(0.012, 0.95, title, transform=axes.transAxes, fontsize=8, va="top")
    grid[len(grid) // 2][0].set_ylabel("Latency (µs)")
    grid[-1][0].set_xlabel("Offered load (1000 requests/s)")
    return figure


def distributions(curves: Sequence[Whole], frame: Frame) -> Figure:
    """Draw latency against 1 / (1 - q), named by q: what is rare is as wide as what is common."""
    # a contender's second rate is hollow: dashes alone are little in print
    looks = [(colour, marker, DASHES[one.dash], "white" if one.dash % 2 else colour)
             for one in curves for colour, marker, _ in [look(one.style)]]
    entries = [entry(one.label, *kind, markerfacecolor=fill)
               for one, (*kind, fill) in zip(curves, looks)]
    figure, ((axes,),) = framed(entries, frame, [HEIGHT])
    for one, (colour, marker, dash, fill) in zip(curves, looks):
        axes.plot(*zip(*one.points), color=colour, marker=marker, linestyle=dash,
                  markerfacecolor=fill, markersize=3.4, markeredgewidth=0.9,
                  markevery=(one.style + 3 * one.dash, 6))
    last = max(one.points[-1][0] for one in curves)
    ticks = {at: name for at, name in _TICKS if at <= last}
    axes.set_xscale("log")
    axes.set_xlim(1, 1.15 * last)
    axes.set_xticks(list(ticks), list(ticks.values()))
    axes.set_xticks([], minor=True)
    _latencies(axes, [value for one in curves for _, value in one.points if value])
    axes.grid(axis="x", **GRID)
    axes.set_xlabel("Percentile (%)")
    axes.set_ylabel("Latency (µs)")
    return figure


def _curve(axes: Any, curve: Curve, key: str) -> None:
    colour, marker, dash = look(curve.style)
    known = [(point.offered / 1e3, value, point) for point in curve.steady
             if (value := point.latency_us.get(key))]
    axes.plot([x for x, _, _ in known], [y for _, y, _ in known], color=colour, linestyle=dash)
    for x, y, point in known:
        ends = {"p50": point.p50_ci95, "p99": point.p99_ci95}.get(key)
        if ends:
            _interval(axes, x, y, ends, colour)
        axes.plot([x], [y], linestyle="", marker=marker, color=colour, markeredgewidth=0.9,
                  markerfacecolor="white" if point.client_bound else colour, zorder=3)
    if curve.saturation:
        axes.axvline(curve.saturation / 1e3, color=colour, linestyle=dash, linewidth=0.8)
    if key == "p99" and curve.knee_us is not None and curve.of.knee.offered is not None:
        knee, height = curve.of.knee, curve.knee_us
        if knee.ci95:
            axes.plot([end / 1e3 for end in knee.ci95], [height] * 2, color=colour, linewidth=2.2,
                      alpha=0.45, solid_capstyle="butt")
        axes.plot([curve.of.knee.offered / 1e3], [height], linestyle="", marker="*",
                  markersize=8, color=colour, markeredgecolor="black", markeredgewidth=0.5,
                  zorder=4)


def _interval(axes: Any, x: float, y: float, ends: tuple[float, float], colour: str) -> None:
    """Draw a bar; an end that is farther away than is drawn has no cap."""
    low, high = max(ends[0], y / _REACH), min(ends[1], y * _REACH)
    axes.plot([x, x], [low, high], color=colour, linewidth=0.7)
    caps = [shown for shown, end in zip((low, high), ends) if shown == end]
    axes.plot([x] * len(caps), caps, linestyle="", marker="_", markersize=3.5,
              markeredgewidth=0.7, color=colour)


def _latencies(axes: Any, values: Sequence[float]) -> None:
    low, high = (min(values) / 1.3, max(values) * 1.5) if values else (1.0, 1000.0)
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    ticks = log_ticks(low, high)
    if len(ticks) > 5:
        ticks = [tick for tick in ticks if math.log10(tick).is_integer()]
    axes.set_yticks(ticks, [compact(int(tick)) if tick >= 1 else f"{tick:g}" for tick in ticks])
    axes.set_yticks([], minor=True)
    axes.grid(axis="y", **GRID)
