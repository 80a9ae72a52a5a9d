# SPDX-License-Identifier: BSD-3-Clause
"""Charts of CPU time: every contender can be told from every other, in colour and in print."""

from __future__ import annotations

import io
from functools import partial
from typing import Any, Mapping

import matplotlib.image  # type: ignore[import]
import pytest

from harness.report.charts import base as charts
from harness.report.charts import cpu as charts_cpu
from harness.report.charts.base import Series

NAMES = [f"contender {number}" for number in range(8)]


def points(polling: int = 2) -> list[Mapping[str, Any]]:
    """The last ones poll."""
    def cell(number: int, connections: int) -> dict[str, Any]:
        figure = {"median": 1000.0 * (number + 1) + connections, "ci95": [900.0 * (number + 1), 1200.0 * (number + 1)]}
        burned = {"burned_cycles_per_request": figure} if number >= len(NAMES) - polling else {}
        return {"requests_per_core_second": figure, "cycles_per_request": figure, **burned}
    return [{"connections": connections, "contenders": {name: cell(n, connections) for n, name in enumerate(NAMES)}}
            for connections in (1, 8, 64)]


def make(of: list[Mapping[str, Any]], name: str, number: int, pick: charts_cpu.Pick) -> Series:
    picked = [pick(point["contenders"][name]) for point in of]
    return charts.series(name, number, [point["connections"] for point in of],
                         [charts.Value(centre, *(interval or (None, None))) for centre, interval in picked])


def drawn(of: list[Mapping[str, Any]]) -> dict[str, Any]:
    return dict(charts_cpu.figures(of, list(enumerate(NAMES)), partial(make, of), "A note."))


def looks(figure: Any) -> list[tuple[Any, Any, Any]]:
    """(colour, marker, dash) of each entry of the legend."""
    return [(line.get_color(), line.get_marker(), line._unscaled_dash_pattern) for line in figure.legends[0].get_lines()]


def test_eight_contenders_and_what_two_of_them_burned_differ_without_colour() -> None:
    with charts.styled():
        figures = drawn(points())
    assert list(figures) == ["efficiency", "cycles"]
    for name, count in (("efficiency", 8), ("cycles", 10)):
        entries = looks(figures[name])
        assert len(entries) == count == len({marker for _, marker, _ in entries})
        assert len({(colour, str(dash)) for colour, _, dash in entries}) == count
    labels = [text.get_text() for text in figures["cycles"].legends[0].get_texts()]
    assert labels[-2:] == ["contender 6, burned", "contender 7, burned"]


def test_they_stay_at_column_width() -> None:
    with charts.styled():
        for figure in drawn(points()).values():
            pixels = matplotlib.image.imread(io.BytesIO(charts.render(figure)["png"]), format="png")
            assert pixels.shape[1] == int(charts.WIDTH_INCHES * charts.DPI)


def test_without_figures_there_is_no_chart() -> None:
    empty: list[Mapping[str, Any]] = [{"connections": 1, "contenders": {name: {} for name in NAMES}}]
    assert drawn(empty) == {}


@pytest.mark.parametrize("count, numbered", [(3, False), (7, True)])
def test_many_bars_are_told_by_numbers_too(count: int, numbered: bool) -> None:
    bars = [charts_cpu.Bars(name, charts.COLOURS[n], ({"client": 1.0, "server": 2.0}, None)) for n, name in enumerate(NAMES[:count])]
    with charts.styled():
        figure = charts_cpu.cpu([1, 8], bars, "A note.")
    labels = [text.get_text() for text in figure.legends[0].get_texts()][:count]
    assert labels == [f"{n}  {name}" if numbered else name for n, name in enumerate(NAMES[:count], 1)]
    above = [text.get_text() for text in figure.axes[0].texts if text.get_text() != "×"]
    assert above == ([str(n) for n in range(1, count + 1)] if numbered else [])


def test_the_ceiling_is_a_thin_grey_line() -> None:
    of: list[Mapping[str, Any]] = [
        {"connections": 1, "client_ceiling": {"requests_per_sec": 10.0, "at_least": True}}, {"connections": 2},
        {"connections": 8, "client_ceiling": {"requests_per_sec": 80.0, "at_least": False}}]
    line, = charts_cpu.ceiling(of)
    assert line.colour == charts.GREY and line.published and line.connections == (1, 8)
    assert [bool(value.marker) for value in line.values] == [True, False]
    with charts.styled():
        figure = charts.throughput([charts.series("a", 0, [1, 8], [charts.Value(5e3), charts.Value(6e3)]), line], "")
    assert any(drawn.get_color() == charts.GREY and drawn.get_linewidth() < 1 for drawn in figure.axes[0].lines)
