# SPDX-License-Identifier: BSD-3-Clause
"""Set what all charts share: look, frame, axes, the same bytes every time. Knows no run.

Colour, marker and line style all tell series apart: print and colour-blind readers lose nothing.
"""

from __future__ import annotations

import io
import math
import textwrap
from dataclasses import dataclass
from typing import Any, ContextManager, Iterator, Sequence

import matplotlib.style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator
from markupsafe import Markup

from harness.report.charts.looks import (
    COLOURS, DARK, DASHES, GREY, GREY_MARKERS, MARKERS, look)
from harness.report.charts.svg import inline, tip, titled

WIDTH_INCHES, DPI, HEIGHT = 3.5, 300, 2.1
# Margins in inches; the legend's rows and the note's lines add to the height of a figure.
LEFT, _RIGHT, _BOTTOM, _TOP, _TITLE = 0.6, 0.08, 0.41, 0.1, 0.16
_ROW, _NOTE_LINE, _CHARACTER, _HANDLE = 0.127, 0.095, 0.05, 0.42
_BANNER_LINE, _BANNER_MARGIN, _BANNER_WIDTH = 0.125, 0.04, 56
WARNING = "#b00000"
LINE_WIDTH, MARKER_SIZE = 1.2, 4.2

STYLE: dict[str, object] = {
    "font.family": "DejaVu Sans", "font.size": 8, "axes.labelsize": 8, "axes.titlesize": 7,
    "axes.titlepad": 3, "xtick.labelsize": 7, "ytick.labelsize": 7, "legend.fontsize": 7,
    "legend.frameon": False, "axes.linewidth": 0.6, "xtick.major.width": 0.6,
    "ytick.major.width": 0.6, "xtick.minor.width": 0.4, "lines.linewidth": LINE_WIDTH,
    "lines.markersize": MARKER_SIZE, "lines.markeredgewidth": 0.9, "errorbar.capsize": 1.5,
    "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True,
    "axes.grid": True, "axes.grid.axis": "y", "grid.linewidth": 0.3, "grid.color": "#cccccc",
    "hatch.linewidth": 0.6, "svg.hashsalt": "stackduel", "svg.fonttype": "none",
    "savefig.dpi": DPI, "figure.dpi": DPI,
}


@dataclass(frozen=True)
class Frame:
    """What stands around a chart.

    note: below it; stays when the chart is cut out of its report
    banner: above it, in red; cannot be cut off as a note can
    """

    note: str
    banner: str = ""


@dataclass(frozen=True)
class Scale:
    """The x axis: logarithmic, linear, or (where a value is 0) its values at equal distances."""

    label: str
    values: tuple[float, ...]
    logarithmic: bool

    @classmethod
    def of(cls, label: str, values: Sequence[float], linear: bool = False) -> Scale:
        """Return the scale that fits some values; `linear`: do not stretch small ones."""
        known = tuple(sorted(set(values)))
        return cls(label, known, not linear and known[0] > 0)

    @property
    def equal(self) -> bool:
        """Tell whether values stand at equal distances."""
        return not self.logarithmic and self.values[0] <= 0

    def place(self, value: float, shift: float = 0.0) -> float:
        """Return where a value stands, `shift` of a step aside."""
        if self.logarithmic:
            return value * math.exp2(shift)
        return (self.values.index(value) if self.equal else value) + shift

    def draw(self, axes: Any) -> None:
        """Set ticks at the load points, labelled as densely as they fit."""
        inches = float(axes.get_position().width * WIDTH_INCHES)
        places = [math.log2(value) if self.logarithmic else self.place(value)
                  for value in self.values]
        span = places[-1] - places[0]
        margin = span * 0.12 / (inches - 0.24) if span else 1.0
        ends = [places[0] - margin, places[-1] + margin]
        least = 0.25 * (span + 2 * margin) / inches
        named = [places[0]]
        for place in [places[-1], *places[1:-1]]:
            if all(abs(place - other) >= least for other in named):
                named.append(place)
        if self.logarithmic:
            axes.set_xscale("log", base=2)
            ends = [math.exp2(end) for end in ends]
        axes.set_xlim(*ends)
        ticks = {self.place(value): compact(value) for value, place in zip(self.values, places)
                 if place in named}
        axes.set_xticks(list(ticks), list(ticks.values()))
        axes.set_xticks([at for at in map(self.place, self.values) if at not in ticks], minor=True)
        axes.xaxis.set_minor_formatter("")


def entry(label: str, colour: str = "black", marker: str = "", dash: Any = "",
          **more: Any) -> Line2D:
    """Return a legend's entry; a mark without a line, unless it has a dash."""
    return Line2D([], [], color=colour, marker=marker, linestyle=dash, label=label, **more)


def styled() -> ContextManager[None]:
    """Draw and save inside this: the user's matplotlibrc has no say."""
    context: ContextManager[None] = matplotlib.style.context(["default", STYLE])
    return context


def render(figure: Figure) -> dict[str, bytes]:
    """Return {"png": bytes, "svg": bytes} without date or program version in them."""
    png, svg = io.BytesIO(), io.BytesIO()
    for text in figure.findobj(Text):
        # a dollar of a label begins no formula
        text.set_parse_math(False)
    figure.savefig(png, format="png", metadata={"Software": None})
    figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    return {"png": png.getvalue(), "svg": titled(svg.getvalue())}


def pictures(drawn: Iterator[tuple[str, Figure]]) -> tuple[dict[str, bytes], dict[str, Markup]]:
    """Return the files of some charts, and by name each as a part of a page."""
    with styled():
        every = {name: render(figure) for name, figure in drawn}
    files = {f"{name}.{kind}": data for name, kinds in every.items()
             for kind, data in kinds.items()}
    return files, {name: Markup(inline(name, kinds["svg"])) for name, kinds in every.items()}


def compact(value: float, _: object = None) -> str:
    """Return a value short enough for an axis: 1000, 10k, 1M, 0.1."""
    text = f"{value:.10g}"
    for unit, factor in (("k", 1000), ("M", 1_000_000)):
        if abs(value) >= max(factor, 10_000) and round(100 * value) % factor == 0:
            text = f"{value / factor:g}{unit}"
    return text.replace("-", "−")


def framed(entries: Sequence[Any], frame: Frame, heights: Sequence[float],
           widths: Sequence[float] = (1.0,), *, gap: float = 0.15, left: float = LEFT,
           above: float = 0.0, below: float = 0.0, share: bool = True) -> tuple[Figure, Any]:
    """Return a figure and its axes by row and column, banner and legend above, the note below.

    No size is left to a layout engine: heights, gap, left, above and below are inches.
    share: all axes are alike; what is set of one of them holds for all
    """
    longest = max((len(entry.get_label()) for entry in entries), default=1)
    across = max(1, min(len(entries),
                        int((WIDTH_INCHES - 0.1) / (_HANDLE + _CHARACTER * longest))))
    warning = _wrapped(frame.banner, _BANNER_WIDTH)
    banner = _BANNER_LINE * len(warning) + _BANNER_MARGIN if warning else 0.0
    top = (banner + _TOP + _ROW * math.ceil(len(entries) / across) + above
           + (_TITLE if len(widths) > 1 else 0))
    lines = _wrapped(frame.note, 88)
    bottom = _BOTTOM + _NOTE_LINE * len(lines) + below
    inside = math.fsum(heights) + gap * (len(heights) - 1)
    total = top + inside + bottom
    figure = Figure(figsize=(WIDTH_INCHES, total))
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(
        len(heights), len(widths), left=left / WIDTH_INCHES, right=1 - _RIGHT / WIDTH_INCHES,
        bottom=bottom / total, top=1 - top / total, height_ratios=heights, width_ratios=widths,
        hspace=gap * len(heights) / math.fsum(heights), wspace=0.1)
    if warning:
        figure.text(0.5, 1 - _BANNER_MARGIN / total, "\n".join(warning), fontsize=7, color=WARNING,
                    weight="bold", ha="center", va="top", linespacing=1.15)
    figure.legend(handles=entries, ncol=across, loc="upper center",
                  bbox_to_anchor=(0.5, 1.0 - banner / total), borderaxespad=0.2,
                  labelspacing=0.3, columnspacing=1.2, handlelength=2.6, handletextpad=0.5)
    figure.text(0.02, 0.03 / total, "\n".join(lines), fontsize=5, color="#555555",
                linespacing=1.15)
    return figure, grid.subplots(squeeze=False, sharex=share, sharey=share)


def label_rows(grid: Any, label: str) -> None:
    """Label the y axis of all rows once, in their middle."""
    grid[len(grid) // 2][0].set_ylabel(label, y=0.5 if len(grid) % 2 else 1.05)


def name_panel(axes: Any, title: str, size: float = 7) -> None:
    """Write what a panel is of inside it."""
    axes.text(0.012, 0.97, title, transform=axes.transAxes, fontsize=size, va="top")


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)


def linear_axis(axis: Any, most: int) -> None:
    """Give a linear axis at most so many round ticks, and one more."""
    axis.set_major_locator(MaxNLocator(most, steps=(1, 2, 2.5, 5, 10)))
    axis.set_major_formatter(compact)


def log_axis(axes: Any, values: Sequence[float]) -> None:
    """Make the y axis logarithmic, around `values`."""
    low, high = (min(values) / 1.3, max(values) * 1.3) if values else (0.1, 10)
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    ticks = log_ticks(low, high)
    axes.set_yticks(ticks, [compact(tick) for tick in ticks])
    axes.set_yticks([], minor=True)


def log_ticks(low: float, high: float) -> list[float]:
    """Return round numbers within [low, high] for a logarithmic axis: at least three."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7)):
        ticks = [step * 10.0 ** decade for decade in decades for step in steps]
        inside = [float(f"{tick:.3g}") for tick in ticks if low <= tick <= high]
        if len(inside) >= 3:
            return inside
    return [float(f"{tick:.6g}") for tick in MaxNLocator(5).tick_values(low, high)
            if low <= tick <= high]
