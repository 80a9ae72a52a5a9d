# SPDX-License-Identifier: BSD-3-Clause
"""Draw CPU time per request as stacked bars, by load point and contender. Knows no run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Mapping, Sequence

import matplotlib
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from harness.report.charts.base import HEIGHT, Frame, framed, label_rows, name_panel, tip
from harness.report.format import number

# by role: hatch, opacity and label
_PARTS = {"server": ("", 1.0, "server cores"), "client": ("//////", 0.35, "client cores"),
          "both": ("......", 0.6, "client and server cores"),
          "other": ("xxxxxx", 0.15, "interrupts on other cores")}
# more bars than these are numbered: hatches tell parts, and colours alone would tell many
_PLAIN_BARS = 3


@dataclass(frozen=True)
class Bars:
    """One contender. parts: by load point µs by role; None without a valid trial."""

    label: str
    colour: str
    parts: tuple[Mapping[str, float] | None, ...]


def cpu(rows: Mapping[str, Sequence[Bars]], names: Sequence[str], label: str,
        frame: Frame) -> Figure:
    """Draw rows of bars by their titles; `names`: of the load points, `label`: of their axis."""
    every = [one for bars in rows.values() for one in bars]
    first = next(iter(rows.values()))
    numbered = len(first) > _PLAIN_BARS
    entries = [Patch(facecolor=one.colour, edgecolor="black", linewidth=0.5,
                     label=f"{number}  {one.label}" if numbered else one.label)
               for number, one in enumerate(first, 1)]
    shown = {role for one in every for parts in one.parts for role in parts or ()}
    entries += [Patch(facecolor=(0.4, 0.4, 0.4, alpha), edgecolor="black", linewidth=0.5,
                      hatch=hatch, label=text)
                for role, (hatch, alpha, text) in _PARTS.items() if role in shown]
    heights = [HEIGHT if len(rows) == 1 else 1.4] * len(rows)
    figure, grid = framed(entries, frame, heights)
    highest = max((math.fsum(parts.values()) for one in every for parts in one.parts if parts),
                  default=1.0)
    for (axes,), (title, bars) in zip(grid, rows.items()):
        name_panel(axes, title)
        for place, one in enumerate(bars):
            _contender(axes, one, names, (place, len(bars)), numbered)
    axes.set_xlim(-0.6, len(names) - 0.4)
    # with room for the title of a row
    axes.set_ylim(0, (1.08 if len(rows) == 1 else 1.3) * highest)
    axes.set_xticks(range(len(names)), names, rotation=45 if len(names) > 12 else 0)
    axes.set_xlabel(label)
    label_rows(grid, "CPU time (µs/request)")
    return figure


def _contender(axes: Any, bars: Bars, names: Sequence[str], which: tuple[int, int],
               numbered: bool) -> None:
    own, count = which
    width = 0.8 / count
    for place, parts in enumerate(bars.parts):
        x = place - 0.4 + width * (own + 0.5)
        if parts is None:
            axes.text(x, 0, "×", ha="center", va="bottom", fontsize=7, color=bars.colour)
            continue
        bottom = 0.0
        for role in filter(parts.get, _PARTS):
            hatch, alpha, text = _PARTS[role]
            face = (*matplotlib.colors.to_rgb(bars.colour), alpha)
            bar, = axes.bar(x, parts[role], width, bottom, facecolor=face, edgecolor="black",
                            linewidth=0.5, hatch=hatch)
            tip(bar, f"{bars.label}, {names[place]}: {text} {number(parts[role])} µs")
            bottom += parts[role]
        if numbered:
            axes.annotate(str(own + 1), (x, bottom), (0, 0.8), fontsize=4,
                          textcoords="offset points", ha="center", va="bottom")
