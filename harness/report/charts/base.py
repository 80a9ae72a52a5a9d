# SPDX-License-Identifier: BSD-3-Clause
"""Charts at column width, PNG and SVG, the same bytes every time. Knows series of numbers, no files, no runs.

Colour, marker and line style all tell series apart, so that print and colour-blind readers lose nothing. A `banner` is
what must be read before the figures, and cannot be cut off as a note can.
"""

from __future__ import annotations

import io
import math
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Iterator, Sequence

import matplotlib  # type: ignore[import]
from matplotlib.backends.backend_agg import FigureCanvasAgg  # type: ignore[import]
from matplotlib.figure import Figure  # type: ignore[import]
from matplotlib.lines import Line2D  # type: ignore[import]
from matplotlib.ticker import MaxNLocator  # type: ignore[import]

# Okabe and Ito's palette in an order that also differs in lightness, their yellow, which white paper swallows, replaced
# by Tol's wine; grey is kept for published figures. Any two looks differ in marker and dash.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#882255")
MARKERS = ("o", "s", "D", "^", "v", "P", "X", "*")
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.6)), (0, (1, 1.2)), (0, (5, 1.2, 1, 1.2)), (0, (8, 2)),
                           (0, (3, 1.2, 1, 1.2, 1, 1.2)), (0, (2.5, 1)), (0, (8, 1.2, 2, 1.2)))
GREY, GREY_MARKERS = "#767676", ("x", "+", "1", "2")
VERDICT_MARKERS = {"faster": "^", "slower": "v", "inconclusive": "o"}

WIDTH_INCHES, DPI = 3.5, 300
# Margins in inches; the legend's rows and the note's lines add to the height and take nothing from the axes.
_LEFT, _RIGHT, _BOTTOM, _TOP = 0.6, 0.08, 0.41, 0.1
_ROW, _NOTE_LINE = 0.127, 0.095
_CHARACTER, _HANDLE = 0.05, 0.42
_BANNER_LINE, _BANNER_MARGIN, _BANNER_WIDTH = 0.125, 0.04, 56
WARNING = "#b00000"
# of a line's width: what is read first, and what stands beside it
THICK, THIN = 1.8, 0.6
# from so many series on the panels of one chart stand below one another
_STACK_FROM = 5
# A wider spread gets a logarithmic axis: on a linear one the smaller series would lie on the floor.
_LOG_FROM = 30

STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans", "font.size": 8, "axes.labelsize": 8, "xtick.labelsize": 7,
    "ytick.labelsize": 7, "legend.fontsize": 7, "axes.linewidth": 0.6, "xtick.major.width": 0.6,
    "ytick.major.width": 0.6, "xtick.minor.width": 0.4, "lines.linewidth": 1.2, "lines.markersize": 4.2,
    "axes.spines.top": False, "axes.spines.right": False, "hatch.linewidth": 0.6,
    "svg.hashsalt": "stackduel", "svg.fonttype": "path",
    "savefig.dpi": DPI, "figure.dpi": DPI, "axes.axisbelow": True,
}


@dataclass(frozen=True)
class Value:
    """One point; `centre` None where nothing valid was measured. `hollow`: the client was the limit."""

    centre: float | None
    low: float | None = None
    high: float | None = None
    hollow: bool = False
    marker: str | None = None


@dataclass(frozen=True)
class Series:
    """One line: `values` in step with `connections`."""

    label: str
    colour: str
    marker: str
    dash: Any
    connections: tuple[int, ...]
    values: tuple[Value, ...]
    published: bool = False
    weight: float = 1.0


def series(label: str, style: int, connections: Sequence[int], values: Sequence[Value]) -> Series:
    """A series of ours in the look number `style`."""
    return Series(label, COLOURS[style % len(COLOURS)], MARKERS[style % len(MARKERS)],
                  DASHES[style % len(DASHES)], tuple(connections), tuple(values))


def overlay(label: str, style: int, connections: Sequence[int], figures: Sequence[float]) -> Series:
    """Somebody else's figures: grey, dashed, thin, without intervals."""
    dash = (0, (4, 2) if style % 2 else (1.5, 1.2))
    return Series(label, GREY, GREY_MARKERS[style % len(GREY_MARKERS)], dash, tuple(connections),
                  tuple(Value(figure) for figure in figures), published=True)


@contextmanager
def styled() -> Iterator[None]:
    """Draw and save inside this: the user's matplotlibrc has no say."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", matplotlib.MatplotlibDeprecationWarning)
        defaults = {key: value for key, value in matplotlib.rcParamsDefault.items()
                    if not key.startswith(("backend", "date.epoch", "toolbar", "interactive"))}
    with matplotlib.rc_context({**defaults, **STYLE}):
        yield


def render(figure: Figure) -> dict[str, bytes]:
    """{"png": bytes, "svg": bytes} without date or program version in them."""
    png, svg = io.BytesIO(), io.BytesIO()
    figure.savefig(png, format="png", metadata={"Software": None})
    figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    return {"png": png.getvalue(), "svg": svg.getvalue()}


def compact(count: int) -> str:
    """Of a number of connections, short enough for an axis: 1000, 10k, 1M."""
    for unit, factor in (("M", 1_000_000), ("k", 1000)):
        if count >= max(factor, 10_000) and count * 100 % factor == 0:
            return f"{count / factor:g}{unit}"
    return str(count)


def thousands(value: float, _: object = None) -> str:
    """A tick's label that is never long: 1000, 20k."""
    return f"{value / 1000:g}k" if abs(value) >= 10_000 else f"{value:g}"


def throughput(series: Sequence[Series], note: str, banner: str = "") -> Figure:
    """Requests per second against connections; intervals as bands."""
    known = _numbers(series)
    log = bool(known) and max(known) > _LOG_FROM * min(known)
    entries = _line_entries(series)
    figure, (axes,) = framed(entries, note, banner, height=2.1)
    _connections_axis(axes, series)
    scaled = [_scaled(one, 1e-3) for one in series]
    for one in scaled:
        _line(axes, one)
    axes.set_ylabel("Throughput (1000 requests/s)")
    if log:
        _log_axis(axes, [value / 1e3 for value in known])
    else:
        reach = [value for value in _numbers(series, intervals=True) if value <= 1.4 * max(known)]
        axes.set_ylim(0, 1.12 * max(reach) / 1e3 if known else 1)
        axes.yaxis.set_major_locator(MaxNLocator(6))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.grid(axis="y", linewidth=0.3, color="#cccccc")
    _mark_missing(axes, series)
    return figure


def gain(series: Sequence[Series], note: str, label: str, banner: str = "") -> Figure:
    """Ratio to the baseline by load point; `label` names the ratio. A series' marker is its own or, where its values
    have one, the verdict."""
    shown = {value.marker for one in series for value in one.values if value.centre is not None}
    judged = [one for one in series if any(value.marker for value in one.values)]
    entries = [Line2D([], [], color=one.colour, linestyle=one.dash, label=one.label, linewidth=_width(one),
                      marker="" if one in judged else one.marker, markersize=_marker_size(one)) for one in series]
    which = " (thick)" if any(one.weight < 1 for one in series) else ""
    entries += [Line2D([], [], color="black", linestyle="", marker=marker, label=f"{word}{which}")
                for word, marker in VERDICT_MARKERS.items() if marker in shown]
    entries += _extra_entries(series)
    figure, (axes,) = framed(entries, note, banner, height=2.1)
    _connections_axis(axes, series)
    axes.axhline(1, color="black", linewidth=0.8)
    own = [one for one in series if not one.published and one.weight >= 1]
    step = min(0.18, 0.45 / max(1, len(own)))
    for one in series:
        if one not in own:
            _line(axes, one)
    for number, one in enumerate(own):
        _line(axes, one, shift=2 ** (step * (number - (len(own) - 1) / 2)), band=False)
    _log_axis(axes, [1.0, *_numbers(series, intervals=True)])
    axes.set_ylabel(label)
    axes.grid(axis="y", linewidth=0.3, color="#cccccc")
    _mark_missing(axes, series)
    return figure


def latency(panels: Sequence[tuple[str, Sequence[Series]]], note: str, banner: str = "") -> Figure:
    """One panel a percentile, in µs, all on one logarithmic axis; side by side, or of many series below one another."""
    every = [one for _, series in panels for one in series]
    stacked = len(panels[0][1]) >= _STACK_FROM
    figure, places = framed(_line_entries(panels[0][1]), note, banner, height=1.5 * len(panels) if stacked else 2.1,
                             **{"rows" if stacked else "columns": len(panels)})
    for axes, (title, series) in zip(places, panels):
        _connections_axis(axes, series, label=False)
        for one in series:
            _line(axes, one, band=False)
        _log_axis(axes, _numbers(every))
        axes.grid(axis="y", linewidth=0.3, color="#cccccc")
        _mark_missing(axes, series)
        if stacked:
            axes.set_ylabel(f"{title} (µs)")
            axes.tick_params(labelbottom=axes is places[-1])
        else:
            axes.set_title(title, fontsize=8, pad=3)
            axes.tick_params(labelleft=axes is places[0])
    if not stacked:
        places[0].set_ylabel("Latency (µs)")
    places[-1 if stacked else len(places) // 2].set_xlabel("Connections")
    return figure


def against_connections(series: Sequence[Series], label: str, note: str, banner: str = "") -> Figure:
    """One figure of each contender, `label` with its unit, against connections; intervals as bands."""
    known = _numbers(series)
    figure, (axes,) = framed(_line_entries(series), note, banner, height=2.1)
    _connections_axis(axes, series)
    for one in series:
        _line(axes, one)
    axes.set_ylabel(label)
    if known and max(known) > _LOG_FROM * min(known):
        _log_axis(axes, known)
    else:
        axes.set_ylim(0, 1.12 * max(known) if known else 1)
        axes.yaxis.set_major_locator(MaxNLocator(6))
    axes.yaxis.set_major_formatter(thousands)
    axes.grid(axis="y", linewidth=0.3, color="#cccccc")
    _mark_missing(axes, series)
    return figure


def framed(entries: Sequence[Any], note: str, banner: str, height: float, rows: int = 1,
            columns: int = 1) -> tuple[Figure, list[Any]]:
    """Axes of `height` inches in all, banner and legend above, the note below; no size is left to a layout engine."""
    longest = max(len(entry.get_label()) for entry in entries)
    across = max(1, min(len(entries), int((WIDTH_INCHES - 0.1) / (_HANDLE + _CHARACTER * longest))))
    above = banner_inches(banner)
    top = above + _TOP + _ROW * math.ceil(len(entries) / across) + (0.16 if columns > 1 else 0)
    lines = wrap(note, 88)
    bottom = _BOTTOM + _NOTE_LINE * len(lines)
    total = top + height + bottom
    figure = canvas(total)
    grid = figure.add_gridspec(rows, columns, left=_LEFT / WIDTH_INCHES, right=1 - _RIGHT / WIDTH_INCHES,
                               bottom=bottom / total, top=1 - top / total, hspace=0.1, wspace=0.1)
    draw_banner(figure, banner, total)
    figure.legend(handles=entries, ncol=across, loc="upper center", bbox_to_anchor=(0.5, 1.0 - above / total),
                  frameon=False, borderaxespad=0.2, labelspacing=0.3, columnspacing=1.2, handlelength=2.6,
                  handletextpad=0.5)
    figure.text(0.02, 0.03 / total, "\n".join(lines), fontsize=5, color="#555555", linespacing=1.15)
    return figure, [figure.add_subplot(grid[row, column]) for row in range(rows) for column in range(columns)]


def canvas(height: float) -> Figure:
    """An empty figure of column width; `height` in inches."""
    figure = Figure(figsize=(WIDTH_INCHES, height))
    FigureCanvasAgg(figure)
    return figure


def banner_inches(banner: str) -> float:
    """What a banner takes at the top of a figure."""
    return _BANNER_LINE * len(wrap(banner, _BANNER_WIDTH)) + _BANNER_MARGIN if banner else 0.0


def draw_banner(figure: Figure, banner: str, height: float) -> None:
    """What nobody may overlook, across the top of a figure of `height` inches; nothing for ""."""
    if banner:
        figure.text(0.5, 1 - _BANNER_MARGIN / height, "\n".join(wrap(banner, _BANNER_WIDTH)), fontsize=7, color=WARNING,
                    weight="bold", ha="center", va="top", linespacing=1.15)


def wrap(text: str, width: int) -> list[str]:
    """Lines of at most `width` characters, for a note below a chart."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def _numbers(series: Sequence[Series], intervals: bool = False) -> list[float]:
    """Every value that the axis must show; of an interval at most a factor 3, lest it flatten the rest."""
    known = []
    for one in series:
        for value in one.values:
            if value.centre is not None:
                known.append(value.centre)
                if intervals and value.low is not None and value.high is not None:
                    known += [max(value.low, value.centre / 3), min(value.high, value.centre * 3)]
    return known


def _scaled(series: Series, factor: float) -> Series:
    def times(number: float | None) -> float | None:
        return None if number is None else number * factor
    values = tuple(replace(value, centre=times(value.centre), low=times(value.low), high=times(value.high))
                   for value in series.values)
    return replace(series, values=values)


def _line(axes: Any, series: Series, shift: float = 1.0, band: bool = True) -> None:
    """One series: line, markers (hollow or not), interval as a band, or a bar where a band has no width."""
    xs = [c * shift for c in series.connections]
    ys = [math.nan if v.centre is None else v.centre for v in series.values]
    lows = [math.nan if v.low is None else v.low for v in series.values]
    highs = [math.nan if v.high is None else v.high for v in series.values]
    axes.plot(xs, ys, color=series.colour, linestyle=series.dash, linewidth=_width(series),
              zorder=2.5 if series.weight > 1 else None)
    if band:
        axes.fill_between(xs, lows, highs, color=series.colour, alpha=0.2, linewidth=0)
    for place, (x, value) in enumerate(zip(xs, series.values)):
        if value.centre is None:
            continue
        alone = all(math.isnan(y) for y in lows[max(0, place - 1):place] + lows[place + 1:place + 2])
        if value.low is not None and value.high is not None and (alone or not band):
            reach = [[max(0.0, value.centre - value.low)], [max(0.0, value.high - value.centre)]]
            axes.errorbar([x], [value.centre], reach, color=series.colour, linewidth=0.9, capsize=2,
                          capthick=0.9, fmt="none")
        axes.plot([x], [value.centre], linestyle="", marker=value.marker or series.marker,
                  color=series.colour, markerfacecolor="white" if value.hollow else series.colour,
                  markeredgewidth=0.9, markersize=_marker_size(series), zorder=3.5 if series.weight > 1 else 3)


def _width(series: Series) -> float:
    """Of its line, in points."""
    return 0.9 if series.published else float(STYLE["lines.linewidth"]) * series.weight


def _marker_size(series: Series) -> float:
    """In points; of a star more, whose rays are thin."""
    size = 3.6 if series.published else float(STYLE["lines.markersize"]) * (0.8 if series.weight < 1 else 1)
    return size * (1.4 if series.marker == "*" else 1)


def _connections_axis(axes: Any, series: Sequence[Series], label: bool = True) -> None:
    """A log2 axis with ticks at the load points, labelled as densely as they fit."""
    points = sorted({c for one in series for c in one.connections})
    inches = axes.get_position().width * WIDTH_INCHES
    span = math.log2(points[-1] / points[0])
    margin = span * 0.12 / (inches - 0.24) if span else 1.0
    axes.set_xscale("log", base=2)
    axes.set_xlim(points[0] / 2 ** margin, points[-1] * 2 ** margin)
    least = 0.25 * (span + 2 * margin) / inches
    named = [points[0]]
    for point in [points[-1], *points[1:-1]]:
        if all(abs(math.log2(point / other)) >= least for other in named):
            named.append(point)
    named.sort()
    axes.set_xticks(named, [compact(point) for point in named])
    axes.set_xticks([point for point in points if point not in named], minor=True)
    axes.xaxis.set_minor_formatter("")
    if label:
        axes.set_xlabel("Connections")


def _log_axis(axes: Any, values: Sequence[float]) -> None:
    low, high = (min(values) / 1.3, max(values) * 1.3) if values else (0.1, 10)
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    ticks = log_ticks(low, high)
    axes.set_yticks(ticks, [f"{tick:.10g}" if tick < 1e5 else f"{tick / 1e3:.10g}k" for tick in ticks])
    axes.set_yticks([], minor=True)


def log_ticks(low: float, high: float) -> list[float]:
    """Round numbers within [low, high] for a logarithmic axis: at least three, whatever the span."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7)):
        ticks = [step * 10.0 ** decade for decade in decades for step in steps]
        inside = [float(f"{tick:.3g}") for tick in ticks if low <= tick <= high]
        if len(inside) >= 3:
            return inside
    return [float(f"{tick:.6g}") for tick in MaxNLocator(5).tick_values(low, high) if low <= tick <= high]


def _mark_missing(axes: Any, series: Sequence[Series]) -> None:
    """A cross at the foot of the axes where a series has no valid trial."""
    for one in series:
        xs = [c for c, value in zip(one.connections, one.values) if value.centre is None]
        axes.plot(xs, [0.03] * len(xs), linestyle="", marker="x", color=one.colour, markersize=5,
                  transform=axes.get_xaxis_transform(), clip_on=False)


def _line_entries(series: Sequence[Series]) -> list[Any]:
    return [Line2D([], [], color=one.colour, linestyle=one.dash, marker=one.marker, label=one.label,
                   markersize=_marker_size(one)) for one in series] + _extra_entries(series)


def _extra_entries(series: Sequence[Series]) -> list[Any]:
    own = [value for one in series for value in one.values]
    entries = []
    if any(value.hollow and value.centre is not None for value in own):
        entries.append(Line2D([], [], color="black", linestyle="", marker="o", markerfacecolor="white",
                              label="hollow: client-bound"))
    if any(value.centre is None for value in own):
        entries.append(Line2D([], [], color="black", linestyle="", marker="x", label="no valid trial"))
    return entries
