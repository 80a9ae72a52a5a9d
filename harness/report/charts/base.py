# SPDX-License-Identifier: BSD-3-Clause
"""Set what all charts share: look, frame, axes, the same bytes every time. Knows no run.

Colour, marker and line style all tell series apart: print and colour-blind readers lose nothing.
"""

from __future__ import annotations

import io
import math
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Iterator, Sequence

import matplotlib  # type: ignore[import]
from matplotlib.backends.backend_agg import FigureCanvasAgg  # type: ignore[import]
from matplotlib.figure import Figure  # type: ignore[import]
from matplotlib.lines import Line2D  # type: ignore[import]
from matplotlib.ticker import MaxNLocator  # type: ignore[import]

# Okabe and Ito's palette in an order that also differs in lightness; their yellow, which white
# paper swallows, is replaced by Tol's wine. Grey is kept for published figures. Any two looks
# differ in marker and dash.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#882255")
MARKERS = ("o", "s", "D", "^", "v", "P", "X", "*")
DASHES: tuple[Any, ...] = (
    "-", (0, (5, 1.6)), (0, (1, 1.2)), (0, (5, 1.2, 1, 1.2)), (0, (8, 2)),
    (0, (3, 1.2, 1, 1.2, 1, 1.2)), (0, (2.5, 1)), (0, (8, 1.2, 2, 1.2)))
GREY, GREY_MARKERS = "#767676", ("x", "+", "1", "2")

WIDTH_INCHES, DPI, HEIGHT = 3.5, 300, 2.1
# Margins in inches; the legend's rows and the note's lines add to the height of a figure.
LEFT, _RIGHT, _BOTTOM, _TOP, _TITLE = 0.6, 0.08, 0.41, 0.1, 0.16
_ROW, _NOTE_LINE, _CHARACTER, _HANDLE = 0.127, 0.095, 0.05, 0.42
_BANNER_LINE, _BANNER_MARGIN, _BANNER_WIDTH = 0.125, 0.04, 56
WARNING = "#b00000"
GRID = {"linewidth": 0.3, "color": "#cccccc"}

STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans", "font.size": 8, "axes.labelsize": 8, "xtick.labelsize": 7,
    "ytick.labelsize": 7, "legend.fontsize": 7, "axes.linewidth": 0.6, "xtick.major.width": 0.6,
    "ytick.major.width": 0.6, "xtick.minor.width": 0.4, "lines.linewidth": 1.2,
    "lines.markersize": 4.2, "axes.spines.top": False, "axes.spines.right": False,
    "hatch.linewidth": 0.6, "svg.hashsalt": "stackduel", "svg.fonttype": "path",
    "savefig.dpi": DPI, "figure.dpi": DPI, "axes.axisbelow": True,
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

    def draw(self, axes: Any, label: bool = True) -> None:
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
        if label:
            axes.set_xlabel(self.label)


def look(style: int) -> tuple[str, str, Any]:
    """Return colour, marker and dash number `style`."""
    return (COLOURS[style % len(COLOURS)], MARKERS[style % len(MARKERS)],
            DASHES[style % len(DASHES)])


def entry(label: str, colour: str = "black", marker: str = "", dash: Any = "",
          **more: Any) -> Line2D:
    """Return a legend's entry; a mark without a line, unless it has a dash."""
    return Line2D([], [], color=colour, marker=marker, linestyle=dash, label=label, **more)


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
    """Return {"png": bytes, "svg": bytes} without date or program version in them."""
    png, svg = io.BytesIO(), io.BytesIO()
    figure.savefig(png, format="png", metadata={"Software": None})
    figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    return {"png": png.getvalue(), "svg": svg.getvalue()}


def compact(value: float) -> str:
    """Return a load point short enough for an axis: 1000, 10k, 1M, 0.1."""
    for unit, factor in (("M", 1_000_000), ("k", 1000)):
        if value >= max(factor, 10_000) and value * 100 % factor == 0:
            return f"{value / factor:g}{unit}"
    return f"{value:.10g}"


def thousands(value: float, _: object = None) -> str:
    """Return a tick's label that is never long: 1000, 20k."""
    return f"{value / 1000:g}k" if abs(value) >= 10_000 else f"{value:g}"


def framed(entries: Sequence[Any], frame: Frame, heights: Sequence[float],
           widths: Sequence[float] = (1.0,), *, gap: float = 0.15, left: float = LEFT,
           above: float = 0.0, below: float = 0.0) -> tuple[Figure, list[list[Any]]]:
    """Return a figure and its axes by row and column, banner and legend above, the note below.

    No size is left to a layout engine: heights, gap, left, above and below are inches.
    """
    longest = max((len(entry.get_label()) for entry in entries), default=1)
    across = max(1, min(len(entries),
                        int((WIDTH_INCHES - 0.1) / (_HANDLE + _CHARACTER * longest))))
    warning = wrap(frame.banner, _BANNER_WIDTH) if frame.banner else []
    banner = _BANNER_LINE * len(warning) + _BANNER_MARGIN if warning else 0.0
    top = (banner + _TOP + _ROW * math.ceil(len(entries) / across) + above
           + (_TITLE if len(widths) > 1 else 0))
    lines = wrap(frame.note, 88)
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
                  bbox_to_anchor=(0.5, 1.0 - banner / total), frameon=False, borderaxespad=0.2,
                  labelspacing=0.3, columnspacing=1.2, handlelength=2.6, handletextpad=0.5)
    figure.text(0.02, 0.03 / total, "\n".join(lines), fontsize=5, color="#555555",
                linespacing=1.15)
    return figure, [[figure.add_subplot(grid[row, column]) for column in range(len(widths))]
                    for row in range(len(heights))]


def label_rows(rows: Sequence[Any], label: str) -> None:
    """Label the y axis of some rows once, in their middle."""
    rows[len(rows) // 2].set_ylabel(label, y=0.5 if len(rows) % 2 else 1.05)


def name_panel(axes: Any, title: str, size: float = 7) -> None:
    """Write what a panel is of inside it."""
    axes.text(0.012, 0.97, title, transform=axes.transAxes, fontsize=size, va="top")


def wrap(text: str, width: int) -> list[str]:
    """Return lines of at most `width` characters."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def log_axis(axes: Any, values: Sequence[float]) -> None:
    """Make the y axis logarithmic, around `values`."""
    low, high = (min(values) / 1.3, max(values) * 1.3) if values else (0.1, 10)
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    ticks = log_ticks(low, high)
    axes.set_yticks(ticks, [f"{tick:.10g}" if tick < 1e5 else f"{tick / 1e3:.10g}k"
                            for tick in ticks])
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
