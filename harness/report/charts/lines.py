# SPDX-License-Identifier: BSD-3-Clause
"""Draw lines over a sweep: throughput, gain, latency, any figure. Knows numbers, no run."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Callable, Mapping, Sequence

from matplotlib.figure import Figure  # type: ignore[import]
from matplotlib.ticker import MaxNLocator  # type: ignore[import]

from harness.report.charts.base import (
    GREY, GREY_MARKERS, GRID, HEIGHT, STYLE, Frame, Scale, entry, framed, label_rows,
    log_axis, look, name_panel, thousands)

VERDICT_MARKERS = {"faster": "^", "slower": "v", "inconclusive": "o"}
# of a line's width: what is read first, and what stands beside it
THICK, THIN = 1.8, 0.6
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


@dataclass(frozen=True)
class Series:
    """One line: `values` in step with `xs`."""

    label: str
    colour: str
    marker: str
    dash: Any
    xs: tuple[float, ...]
    values: tuple[Value, ...]
    published: bool = False
    weight: float = 1.0


@dataclass(frozen=True)
class Panel:
    """Some series in one pair of axes, and what they have in common."""

    title: str
    series: tuple[Series, ...]


def series(label: str, style: int, xs: Sequence[float], values: Sequence[Value]) -> Series:
    """Return a series of ours in the look number `style`."""
    return Series(label, *look(style), tuple(xs), tuple(values))


def overlay(label: str, style: int, xs: Sequence[float], figures: Sequence[float]) -> Series:
    """Return somebody else's figures: grey, dashed, thin, without intervals."""
    dash = (0, (4, 2) if style % 2 else (1.5, 1.2))
    return Series(label, GREY, GREY_MARKERS[style % len(GREY_MARKERS)], dash, tuple(xs),
                  tuple(Value(figure) for figure in figures), published=True)


def throughput(panels: Sequence[Panel], scale: Scale, frame: Frame) -> Figure:
    """Draw requests per second; intervals as bands."""
    panels = [replace(panel, series=tuple(_scaled(one, 1e-3) for one in panel.series))
              for panel in panels]
    return _figures(panels, scale, "Throughput (1000 requests/s)", frame)


def figures(panels: Sequence[Panel], scale: Scale, label: str, frame: Frame) -> Figure:
    """Draw one figure of each contender, `label` with its unit; intervals as bands."""
    return _figures(panels, scale, label, frame, thousands)


def _figures(panels: Sequence[Panel], scale: Scale, label: str, frame: Frame,
             show: Callable[[float, object], str] = lambda value, _: f"{value:g}") -> Figure:
    every = _every(panels)
    known = _numbers(every)
    figure, rows = _stacked(panels, _line_entries(every), frame)
    for axes, panel in zip(rows, panels):
        _panel(axes, panel, scale, axes is rows[-1])
        for one in panel.series:
            _line(axes, one, scale)
        if known and max(known) > _LOG_FROM * min(known):
            log_axis(axes, known)
        else:
            reach = [value for value in _numbers(every, True) if value <= 1.4 * max(known)]
            axes.set_ylim(0, 1.12 * max(reach) if known else 1)
            axes.yaxis.set_major_locator(MaxNLocator(6, steps=(1, 2, 2.5, 5, 10)))
            axes.yaxis.set_major_formatter(show)
    label_rows(rows, label)
    return figure


def gain(panels: Sequence[Panel], scale: Scale, label: str, frame: Frame) -> Figure:
    """Draw ratios to a baseline; the marker is a value's own (the verdict), or its series'."""
    every = _every(panels)
    shown = {value.marker for one in every for value in one.values if value.centre is not None}
    judged = [one for one in every if any(value.marker for value in one.values)]
    entries = [entry(one.label, one.colour, "" if one in judged else one.marker, one.dash,
                     linewidth=_width(one), markersize=_marker_size(one)) for one in _first(every)]
    which = " (thick)" if any(one.weight < 1 for one in every) else ""
    entries += [entry(f"{word}{which}", marker=marker) for word, marker in VERDICT_MARKERS.items()
                if marker in shown]
    figure, rows = _stacked(panels, entries + _extra_entries(every), frame)
    for axes, panel in zip(rows, panels):
        _panel(axes, panel, scale, axes is rows[-1])
        axes.axhline(1, color="black", linewidth=0.8)
        own = [one for one in panel.series if not one.published and one.weight >= 1]
        step = min(0.18, 0.45 / max(1, len(own)))
        for one in panel.series:
            if one not in own:
                _line(axes, one, scale)
        for number, one in enumerate(own):
            _line(axes, one, scale, step * (number - (len(own) - 1) / 2), band=False)
        log_axis(axes, [1.0, *_numbers(every, True)])
    label_rows(rows, label)
    return figure


def latency(rows: Mapping[str, Sequence[Panel]], scale: Scale, frame: Frame) -> Figure:
    """Draw µs on one logarithmic axis: rows by their titles, of panels side by side."""
    every = _every([panel for panels in rows.values() for panel in panels])
    columns = len(next(iter(rows.values())))
    heights = [HEIGHT if len(rows) == 1 else 1.5] * len(rows)
    figure, grid = framed(_line_entries(every), frame, heights, [1.0] * columns)
    for places, (title, panels) in zip(grid, rows.items()):
        bottom = places is grid[-1]
        for column, (axes, panel) in enumerate(zip(places, panels)):
            scale.draw(axes, bottom and column == columns // 2)
            for one in panel.series:
                _line(axes, one, scale, band=False)
            log_axis(axes, _numbers(every))
            axes.grid(axis="y", **GRID)
            _mark_missing(axes, panel.series, scale)
            axes.tick_params(labelbottom=bottom, labelleft=column == 0)
            if places is grid[0]:
                axes.set_title(panel.title, fontsize=8, pad=3)
        places[0].set_ylabel("Latency (µs)" if columns > 1 else f"{title} (µs)")
        if columns > 1:
            name_panel(places[0], title, 5)
    return figure


def _line_entries(series: Sequence[Series]) -> list[Any]:
    """Return the entries of a legend, each label once."""
    return [entry(one.label, one.colour, one.marker, one.dash, markersize=_marker_size(one))
            for one in _first(series)] + _extra_entries(series)


def _stacked(panels: Sequence[Panel], entries: Sequence[Any],
             frame: Frame) -> tuple[Figure, list[Any]]:
    """Return one row of axes a panel."""
    height = HEIGHT if len(panels) == 1 else 1.4
    figure, rows = framed(entries, frame, [height] * len(panels))
    return figure, [row[0] for row in rows]


def _panel(axes: Any, panel: Panel, scale: Scale, bottom: bool) -> None:
    """Draw what is around the lines of a panel."""
    scale.draw(axes, bottom)
    axes.tick_params(labelbottom=bottom)
    axes.grid(axis="y", **GRID)
    name_panel(axes, panel.title)
    _mark_missing(axes, panel.series, scale)


def _every(panels: Sequence[Panel]) -> list[Series]:
    return [one for panel in panels for one in panel.series]


def _first(series: Sequence[Series]) -> list[Series]:
    """Return the first series of each label."""
    return list({one.label: one for one in reversed(series)}.values())[::-1]


def _numbers(series: Sequence[Series], intervals: bool = False) -> list[float]:
    """Return every value that the axis must show; of an interval at most a factor 3."""
    known = []
    for value in (value for one in series for value in one.values):
        if value.centre is not None:
            known.append(value.centre)
            if intervals and value.low is not None and value.high is not None:
                known += [max(value.low, value.centre / 3), min(value.high, value.centre * 3)]
    return known


def _scaled(series: Series, factor: float) -> Series:
    def times(number: float | None) -> float | None:
        return None if number is None else number * factor
    return replace(series, values=tuple(
        replace(value, centre=times(value.centre), low=times(value.low), high=times(value.high))
        for value in series.values))


def _line(axes: Any, series: Series, scale: Scale, shift: float = 0.0, band: bool = True) -> None:
    """Draw line and markers, the interval as a band, or as a bar where a band has no width."""
    if not series.xs:
        return
    xs = [scale.place(x, shift) for x in series.xs]
    ys, lows, highs = ([math.nan if number is None else number for number in numbers] for numbers
                       in zip(*((value.centre, value.low, value.high) for value in series.values)))
    front = 0.5 if series.weight > 1 else 0.0
    axes.plot(xs, ys, color=series.colour, linestyle=series.dash, linewidth=_width(series),
              zorder=2 + front)
    if band:
        axes.fill_between(xs, lows, highs, color=series.colour, alpha=0.2, linewidth=0)
    for place, (x, value) in enumerate(zip(xs, series.values)):
        if value.centre is None:
            continue
        beside = lows[max(0, place - 1):place] + lows[place + 1:place + 2]
        if (value.low is not None and value.high is not None
                and (not band or all(map(math.isnan, beside)))):
            reach = [[max(0.0, value.centre - value.low)], [max(0.0, value.high - value.centre)]]
            axes.errorbar([x], [value.centre], reach, color=series.colour, linewidth=0.9,
                          capsize=2, capthick=0.9, fmt="none")
        axes.plot([x], [value.centre], linestyle="", marker=value.marker or series.marker,
                  color=series.colour, markeredgewidth=0.9, markersize=_marker_size(series),
                  markerfacecolor="white" if value.hollow else series.colour, zorder=3 + front)


def _width(series: Series) -> float:
    """Return the width of its line, in points."""
    return 0.9 if series.published else float(STYLE["lines.linewidth"]) * series.weight


def _marker_size(series: Series) -> float:
    """Return points; of a star more, whose rays are thin."""
    size = 3.6 if series.published else float(STYLE["lines.markersize"]) * (
        0.8 if series.weight < 1 else 1)
    return size * (1.4 if series.marker == "*" else 1)


def _mark_missing(axes: Any, series: Sequence[Series], scale: Scale) -> None:
    """Draw a cross at the foot of the axes where a series has no valid trial."""
    for one in series:
        xs = [scale.place(x) for x, value in zip(one.xs, one.values) if value.centre is None]
        if xs:
            axes.plot(xs, [0.03] * len(xs), linestyle="", marker="x", color=one.colour,
                      markersize=5, transform=axes.get_xaxis_transform(), clip_on=False)


def _extra_entries(series: Sequence[Series]) -> list[Any]:
    own = [value for one in series for value in one.values]
    entries = []
    if any(value.hollow and value.centre is not None for value in own):
        entries.append(entry("hollow: client-bound", marker="o", markerfacecolor="white"))
    if any(value.centre is None for value in own):
        entries.append(entry("no valid trial", marker="x"))
    return entries
