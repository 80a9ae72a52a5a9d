# SPDX-License-Identifier: BSD-3-Clause
"""Charts of what a request costs in CPU time, and the line of the client's ceiling. Knows a summary's cells, no files."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Callable, Iterator, Mapping, Protocol, Sequence

from harness import charts
from harness.charts import Series, Value

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
