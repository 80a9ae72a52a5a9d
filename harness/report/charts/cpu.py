# SPDX-License-Identifier: BSD-3-Clause
"""Charts of what a request costs in CPU time, and the line of the client's ceiling. Knows a summary's cells, no files."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Callable, Iterator, Mapping, Protocol, Sequence

import matplotlib  # type: ignore[import]
from matplotlib.patches import Patch  # type: ignore[import]

from harness.report.charts import base as charts
from harness.report.charts.base import Series, Value

Cell = Mapping[str, Any]
Pick = Callable[[Cell], tuple[float | None, Sequence[float] | None]]
CAPTIONS = {
    "efficiency": "Requests for each CPU second burned on all cores together: client, server, interrupts on any core, "
                  "polling included. Medians, with the 95 % interval as a band.",
    "cycles": "Cycles of the time stamp counter for one request on the server's cores. Busy: what a contender that "
              "polls counted itself while it had work; of one on the kernel's sockets, its cores' CPU time times the "
              "counter's frequency. Burned: all CPU time of a polling contender's cores, idle polls too. Medians, with the 95 % "
              "interval as a band. They are not the core's own cycles where its frequency changes.",
}
CEILING, OR_MORE = "client's ceiling", "↑: or more"
# of what a polling contender burned: its own colour, and a look that no contender has
_BURNED_DASH, _BURNED_MARKERS = (0, (1, 2)), ("+", "1", "2", "3")


@dataclass(frozen=True)
class Bars:
    """CPU time per request of one contender, by load point: parts of a stack by role, or None."""

    label: str
    colour: str
    parts: tuple[dict[str, float] | None, ...]


_PARTS = {"server": ("", 1.0, "server cores"), "client": ("//////", 0.35, "client cores"),
          "both": ("......", 0.6, "client and server cores"), "other": ("xxxxxx", 0.15, "interrupts on other cores")}
# more than so many are numbered
_PLAIN_BARS = 3


def cpu(connections: Sequence[int], bars: Sequence[Bars], note: str, banner: str = "") -> Any:
    """CPU time per request as stacked bars; numbered, since hatches tell parts, where colours alone would tell many."""
    numbered = len(bars) > _PLAIN_BARS
    entries = [Patch(facecolor=one.colour, edgecolor="black", linewidth=0.5,
                     label=f"{number}  {one.label}" if numbered else one.label) for number, one in enumerate(bars, 1)]
    shown = {role for one in bars for parts in one.parts for role in parts or ()}
    entries += [Patch(facecolor=(0.4, 0.4, 0.4, alpha), edgecolor="black", linewidth=0.5, hatch=hatch,
                      label=label) for role, (hatch, alpha, label) in _PARTS.items() if role in shown]
    figure, (axes,) = charts.framed(entries, note, banner, height=2.1)
    width = 0.8 / len(bars)
    for number, one in enumerate(bars):
        for place, parts in enumerate(one.parts):
            x = place - 0.4 + width * (number + 0.5)
            if parts is None:
                axes.text(x, 0, "×", ha="center", va="bottom", fontsize=7, color=one.colour)
            _stack(axes, x, width, one.colour, parts or {})
            if numbered and parts is not None:
                axes.annotate(str(number + 1), (x, math.fsum(parts.values())), (0, 0.8), textcoords="offset points",
                              ha="center", va="bottom", fontsize=4)
    axes.set_xlim(-0.6, len(connections) - 0.4)
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", linewidth=0.3, color="#cccccc")
    axes.set_xticks(range(len(connections)), [charts.compact(c) for c in connections],
                    rotation=45 if len(connections) > 12 else 0)
    axes.set_ylabel("CPU time (µs/request)")
    axes.set_xlabel("Connections")
    return figure


def _stack(axes: Any, x: float, width: float, colour: str, parts: dict[str, float]) -> None:
    bottom = 0.0
    for role, (hatch, alpha, _) in _PARTS.items():
        if role in parts:
            face = (*matplotlib.colors.to_rgb(colour), alpha)
            axes.bar(x, parts[role], width, bottom, facecolor=face, edgecolor="black", linewidth=0.5,
                     hatch=hatch)
            bottom += parts[role]


class Make(Protocol):
    """The series of one contender in the look of its number."""

    def __call__(self, name: str, number: int, pick: Pick) -> Series: ...


def figures(points: Sequence[Mapping[str, Any]], names: Sequence[tuple[int, str]], make: Make, note: str,
            banner: str = "") -> Iterator[tuple[str, Any]]:
    """(name, figure) of each chart that has anything to show; `names` with the number of each one's look."""
    def of(key: str) -> list[tuple[int, Series]]:
        return [(number, make(name, number, figure_of(key))) for number, name in names
                if any(key in point["contenders"][name] for point in points)]
    efficiency = [series for _, series in of("requests_per_core_second")]
    if efficiency:
        yield "efficiency", charts.against_connections(efficiency, "Requests per CPU second", note, banner)
    burned = [replace(series, label=f"{series.label}, burned", dash=_BURNED_DASH, published=True,
                      marker=_BURNED_MARKERS[place % len(_BURNED_MARKERS)])
              for place, (_, series) in enumerate(of("burned_cycles_per_request"))]
    cycles = [*(series for _, series in of("cycles_per_request")), *burned]
    if cycles:
        yield "cycles", charts.against_connections(cycles, "Cycles per request", note, banner)


def figure_of(key: str) -> Pick:
    """Median and interval of one key of a cell; nothing where the cell has it not."""
    def pick(cell: Cell) -> tuple[float | None, Sequence[float] | None]:
        figure = cell.get(key, {})
        return figure.get("median"), figure.get("ci95")
    return pick


def ceiling(points: Sequence[Mapping[str, Any]]) -> list[Series]:
    """A thin grey line through what the client can take, marked where it may be more; [] where that was not looked for.
    """
    found = [(point["connections"], point["client_ceiling"]) for point in points if "client_ceiling" in point]
    if not found:
        return []
    more = any(each["at_least"] for _, each in found)
    values = tuple(Value(each["requests_per_sec"], marker=r"$\uparrow$" if each["at_least"] else None)
                   for _, each in found)
    return [Series(f"{CEILING} ({OR_MORE})" if more else CEILING, charts.GREY, "", "-",
                   tuple(connections for connections, _ in found), values, published=True)]
