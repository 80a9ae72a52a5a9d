# SPDX-License-Identifier: BSD-3-Clause
"""Draw an open loop: latency against offered load, and whole distributions. Knows no run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Sequence

from matplotlib.figure import Figure

from harness.analyse import OfferedPoint, OpenContender
from harness.report.charts.base import (
    DASHES, HEIGHT, Frame, entry, framed, label_rows, linear_axis, log_axis, look, name_panel, tip)
from harness.report.format import number
from harness.report.charts.lines import Series, Value, line

_PANEL, _GAP = 1.15, 0.2
_TICKS = ((1, "0"), (2, "50"), (10, "90"), (100, "99"), (1000, "99.9"), (10_000, "99.99"),
          (100_000, "99.999"), (1_000_000, "99.9999"), (10_000_000, "99.99999"))


@dataclass(frozen=True)
class Curve:
    """One contender."""

    label: str
    name: str
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
    name: str
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
    entries = [entry(one.label, *look(one.name)) for one in curves]
    if any(one.knee_us for one in curves):
        entries.append(entry("knee", marker="*", markersize=7))
    if any(one.saturation for one in curves):
        entries.append(entry("saturation", dash="-", linewidth=0.8))
    if any(point.client_bound for point in points):
        entries.append(entry("hollow: client-bound", marker="o", markerfacecolor="white"))
    figure, grid = framed(entries, frame, [_PANEL] * len(panels), gap=_GAP)
    for (axes,), (key, title) in zip(grid, panels):
        name_panel(axes, title)
        for one in curves:
            _curve(axes, one, key)
    axes.set_xlim(0, 1.04 * max(known, default=1000.0))
    linear_axis(axes.xaxis, 7)
    axes.set_xlabel("Offered load (requests/s)")
    log_axis(axes, values)
    label_rows(grid, "Latency (µs)")
    return figure


def distributions(curves: Sequence[Whole], frame: Frame) -> Figure:
    """Draw latency against 1 / (1 - q), named by q: what is rare is as wide as what is common."""
    # a contender's second rate is hollow: dashes alone are little in print
    looks = [(colour, marker, DASHES[one.dash], "white" if one.dash % 2 else colour)
             for one in curves for colour, marker, _ in [look(one.name)]]
    entries = [entry(one.label, *kind, markerfacecolor=fill)
               for one, (*kind, fill) in zip(curves, looks)]
    figure, ((axes,),) = framed(entries, frame, [HEIGHT])
    for place, (one, (colour, marker, dash, fill)) in enumerate(zip(curves, looks)):
        axes.plot(*zip(*one.points), color=colour, linestyle=dash)
        for at, value in one.points[place % 6::6]:
            mark, = axes.plot([at], [value], color=colour, marker=marker, markerfacecolor=fill,
                              markersize=3.4)
            tip(mark, f"{one.label}, {100 * (1 - 1 / at):.7g} %: {number(value)} µs")
    last = max(one.points[-1][0] for one in curves)
    ticks = {at: name for at, name in _TICKS if at <= last}
    axes.set_xscale("log")
    axes.set_xlim(1, 1.15 * last)
    axes.set_xticks(list(ticks), list(ticks.values()))
    axes.set_xticks([], minor=True)
    axes.grid(axis="x")
    log_axis(axes, [value for one in curves for _, value in one.points if value])
    axes.set_xlabel("Percentile (%)")
    axes.set_ylabel("Latency (µs)")
    return figure


def _curve(axes: Any, curve: Curve, key: str) -> None:
    colour, _, dash = look(curve.name)
    known = [(point, value) for point in curve.steady if (value := point.latency_us.get(key))]
    values = []
    for point, value in known:
        low, high = {"p50": point.p50_ci95, "p99": point.p99_ci95}.get(key) or (None, None)
        values.append(Value(value, low, high, point.client_bound))
    line(axes, Series(curve.label, *look(curve.name),
                      tuple(point.offered for point, _ in known), tuple(values)), float, band=False)
    if curve.saturation:
        axes.axvline(curve.saturation, color=colour, linestyle=dash, linewidth=0.8)
    if key == "p99" and curve.knee_us is not None:
        if curve.of.knee.ci95:
            axes.plot(curve.of.knee.ci95, [curve.knee_us] * 2, color=colour, linewidth=2.2,
                      alpha=0.45, solid_capstyle="butt")
        axes.plot([curve.of.knee.offered], [curve.knee_us], linestyle="", marker="*",
                  markersize=8, color=colour, markeredgecolor="black", markeredgewidth=0.5,
                  zorder=4)
