# SPDX-License-Identifier: BSD-3-Clause
"""Draw lines over a sweep: throughput, gain, latency, any figure. Knows numbers, no run."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Callable, Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from harness.report.charts.base import (
    GREY, GREY_MARKERS, HEIGHT, LINE_WIDTH, MARKER_SIZE, Frame, Scale, entry, framed, label_rows,
    linear_axis, log_axis, look, name_panel, tip)
from harness.report.format import interval, number

VERDICT_MARKERS = {"faster": "^", "slower": "v", "inconclusive": "o"}
# of a line's width: what is read first, what stands beside it, what is no contender's own
THICK, THIN, PALE = 1.8, 0.6, 0.75
# a wider spread gets a logarithmic axis: on a linear one the smaller series would lie on the floor
_LOG_FROM = 30


@dataclass(frozen=True)
class Value:
    """One point; centre: None without a valid trial; hollow: the client was the limit."""

    centre: float | None
    low: float | None = None
    high: float | None = None
    hollow: bool = False
    marker: str | None = None

    def words(self, lead: str) -> str:
        """Return the value with its interval, as it is shown on hover."""
        ends = (self.low, self.high) if self.low is not None and self.high is not None else None
        return " ".join(filter(None, (f"{lead}: {number(self.centre)}", interval(ends),
                                      "client-bound" if self.hollow else "")))


@dataclass(frozen=True)
class Series:
    """One line: `values` in step with `xs`."""

    label: str
    colour: str
    marker: str
    dash: Any
    xs: tuple[float, ...]
    values: tuple[Value, ...]
    weight: float = 1.0

    @property
    def width(self) -> float:
        """Return the width of the line, in points."""
        return LINE_WIDTH * self.weight

    @property
    def size(self) -> float:
        """Return the size of its markers, in points; of a star more, whose rays are thin."""
        size = MARKER_SIZE * (0.8 if self.weight < 1 else 1)
        return size * (1.4 if self.marker == "*" else 1)


@dataclass(frozen=True)
class Panel:
    """Some series in one pair of axes, and what they have in common."""

    title: str
    series: tuple[Series, ...]


def series(label: str, name: str, xs: Sequence[float], values: Sequence[Value]) -> Series:
    """Return a series in the look of the contender `name`."""
    return Series(label, *look(name), tuple(xs), tuple(values))


def overlay(label: str, style: int, xs: Sequence[float],
            figures: Sequence[float | None]) -> Series:
    """Return figures that are no contender's: grey, dashed, thin, without intervals."""
    dash = (0, (4, 2) if style % 2 else (1.5, 1.2))
    return Series(label, GREY, GREY_MARKERS[style % len(GREY_MARKERS)], dash, tuple(xs),
                  tuple(Value(figure) for figure in figures), PALE)


def figures(panels: Sequence[Panel], scale: Scale, label: str, frame: Frame) -> Figure:
    """Draw one figure of each contender, `label` with its unit; intervals as bands."""
    every = _every(panels)
    known = _numbers(every)
    figure, grid = _axes([[panel] for panel in panels], _entries(every), scale, frame, label)
    for (axes,), panel in zip(grid, panels):
        name_panel(axes, panel.title)
        for one in panel.series:
            line(axes, one, scale.place)
    if known and max(known) > _LOG_FROM * min(known):
        log_axis(grid[0][0], known)
    else:
        reach = [value for value in _numbers(every, True) if value <= 1.4 * max(known)]
        axes.set_ylim(0, 1.12 * max(reach) if known else 1)
        linear_axis(axes.yaxis, 6)
    return figure


def gain(panels: Sequence[Panel], scale: Scale, label: str, frame: Frame) -> Figure:
    """Draw ratios to a baseline; the marker is a value's own (the verdict), or its series'."""
    every = _every(panels)
    shown = {value.marker for one in every for value in one.values if value.centre is not None}
    judged = [one for one in every if any(value.marker for value in one.values)]
    which = " (thick)" if any(one.weight > 1 for one in every) else ""
    verdicts = [entry(f"{word}{which}", marker=marker) for word, marker in VERDICT_MARKERS.items()
                if marker in shown]
    figure, grid = _axes([[panel] for panel in panels], _entries(every, judged, verdicts), scale,
                         frame, label)
    for (axes,), panel in zip(grid, panels):
        name_panel(axes, panel.title)
        axes.axhline(1, color="black", linewidth=0.8)
        own = [one for one in panel.series if one.weight >= 1]
        step = min(0.18, 0.45 / max(1, len(own)))
        for one in panel.series:
            if one not in own:
                line(axes, one, scale.place)
        for number, one in enumerate(own):
            shift = step * (number - (len(own) - 1) / 2)
            line(axes, one, partial(scale.place, shift=shift), band=False)
    log_axis(grid[0][0], [1.0, *_numbers(every, True)])
    return figure


def latency(rows: Mapping[str, Sequence[Panel]], scale: Scale, frame: Frame) -> Figure:
    """Draw µs on one logarithmic axis: rows by their titles, of panels side by side."""
    every = _every([panel for panels in rows.values() for panel in panels])
    first = next(iter(rows))
    figure, grid = _axes(list(rows.values()), _entries(every), scale, frame, "Latency (µs)")
    for row, (title, panels) in zip(grid, rows.items()):
        name_panel(row[0], title, 5 if len(row) > 1 else 7)
        for axes, panel in zip(row, panels):
            for one in panel.series:
                line(axes, one, scale.place, band=False)
            axes.set_title(panel.title if title == first else "")
    log_axis(grid[0][0], _numbers(every))
    return figure


def _axes(rows: Sequence[Sequence[Panel]], entries: Sequence[Any], scale: Scale, frame: Frame,
          label: str) -> tuple[Figure, Any]:
    """Return a figure with axes for some rows of panels, which share both axes."""
    columns = len(rows[0])
    heights = [HEIGHT if len(rows) == 1 else 1.4] * len(rows)
    figure, grid = framed(entries, frame, heights, [1.0] * columns)
    scale.draw(grid[0][0])
    grid[-1][columns // 2].set_xlabel(scale.label)
    label_rows(grid, label)
    return figure, grid


def _entries(series: Sequence[Series], unmarked: Sequence[Series] = (),
             more: Sequence[Any] = ()) -> list[Any]:
    """Return the entries of a legend, each label once, `more` before those of single values."""
    first = list({one.label: one for one in reversed(series)}.values())[::-1]
    entries = [entry(one.label, one.colour, "" if one in unmarked else one.marker, one.dash,
                     linewidth=one.width, markersize=one.size) for one in first]
    own = [value for one in series for value in one.values]
    if any(value.hollow and value.centre is not None for value in own):
        more = [*more, entry("hollow: client-bound", marker="o", markerfacecolor="white")]
    if any(value.centre is None for value in own):
        more = [*more, entry("no valid trial", marker="x")]
    return [*entries, *more]


def _every(panels: Sequence[Panel]) -> list[Series]:
    return [one for panel in panels for one in panel.series]


def _numbers(series: Sequence[Series], intervals: bool = False) -> list[float]:
    """Return every value that the axis must show; of an interval at most a factor 3."""
    known = []
    for value in (value for one in series for value in one.values):
        if value.centre is not None:
            known.append(value.centre)
            if intervals and value.low is not None and value.high is not None:
                known += [max(value.low, value.centre / 3), min(value.high, value.centre * 3)]
    return known


def line(axes: Any, series: Series, place: Callable[[float], float], band: bool = True) -> None:
    """Draw line and markers, the interval as a band, or as a bar where a band has no width.

    place: where a value stands on the x axis
    """
    if not series.xs:
        return
    xs = np.array([place(x) for x in series.xs])
    ys, lows, highs = np.array([(value.centre, value.low, value.high) for value in series.values],
                               float).T
    front = 0.5 if series.weight > 1 else 0.0
    axes.plot(xs, ys, color=series.colour, linestyle=series.dash, linewidth=series.width,
              zorder=2 + front)
    barred = ~np.isnan(lows)
    if band:
        axes.fill_between(xs, lows, highs, color=series.colour, alpha=0.2, linewidth=0)
        beside = np.pad(barred, 1)
        barred &= ~(beside[:-2] | beside[2:])
    reach = np.array([ys - lows, highs - ys]).clip(0)
    axes.errorbar(xs[barred], ys[barred], reach[:, barred], color=series.colour, linewidth=0.9,
                  fmt="none")
    for x, at, value in zip(xs, series.xs, series.values):
        if value.centre is None:
            axes.plot([x], [0.03], linestyle="", marker="x", color=series.colour, markersize=5,
                      transform=axes.get_xaxis_transform(), clip_on=False)
        else:
            mark, = axes.plot([x], [value.centre], linestyle="", color=series.colour,
                              marker=value.marker or series.marker, markersize=series.size,
                              markerfacecolor="white" if value.hollow else series.colour,
                              zorder=3 + front)
            tip(mark, value.words(f"{series.label}, {number(at)}"))
