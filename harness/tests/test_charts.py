# SPDX-License-Identifier: BSD-3-Clause
"""Charts: what they show, that they render for every shape of data, and the same bytes twice."""

from __future__ import annotations

import io
from typing import Any, Sequence

import matplotlib  # type: ignore[import]
import matplotlib.image  # type: ignore[import]
import pytest

from harness import charts
from harness.charts import Bars, Series, Value


def line(number: int, connections: Sequence[int], *values: Value) -> Series:
    return charts.series(f"contender {number}", number, connections, values)


SHAPES: dict[str, list[Series]] = {
    "one point": [line(0, [64], Value(5e4, 4e4, 6e4)), line(1, [64], Value(7e4, 6e4, 8e4, True, "^"))],
    "no interval": [line(0, [1, 8], Value(1e4), Value(2e4))],
    "a gap": [line(0, [1, 8, 64], Value(1e4, 9e3, 2e4), Value(None), Value(3e4, 2e4, 4e4))],
    "nothing": [line(0, [1, 8], Value(None), Value(None))],
    "wide": [line(0, [1, 2], Value(10, 1e-9, 1e12), Value(1e6, 9e5, 2e6))],
    "crowded": [line(0, [1, 2, 3, 5, 6, 7, 100, 1000, 1024], *[Value(1e4 * n) for n in range(1, 10)])],
    "a million": [line(0, [10 ** n for n in range(7)], *[Value(1e3 * 2 ** n, 900.0 * 2 ** n, 2e3 * 2 ** n)
                                                        for n in range(7)])],
    "overlay": [line(0, [1, 2], Value(1e4), Value(2e4)), charts.overlay("theirs", 0, [1, 4], [2e4, 9e5])],
}


def draw(series: Sequence[Series]) -> list[Any]:
    panels = [("p50", series), ("p99", series)]
    counts = series[0].connections
    parts = [{"client": 1.0, "server": 2.0}, None, {"both": 3.0}][:len(counts)]
    cycles = [one for one in series[:1] if any(value.centre is not None for value in one.values)]
    return [charts.throughput(series, "A note."), charts.gain(series, "A note.", "Gain"),
            charts.latency(panels, "A note."),
            charts.cpu(counts, [Bars("c", "#0072B2", tuple(parts))], cycles, ""), charts.cycles(series, "A note.")]


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_renders_at_column_width(shape: str) -> None:
    with charts.styled():
        for figure in draw(SHAPES[shape]):
            picture = charts.render(figure)
            pixels = matplotlib.image.imread(io.BytesIO(picture["png"]), format="png")
            assert pixels.shape[1] == int(charts.WIDTH_INCHES * charts.DPI)
            assert pixels[..., :3].min() < 0.5
            assert picture["svg"].startswith(b"<?xml") and b"</svg>" in picture["svg"]


def test_the_same_bytes_twice_and_no_date_or_program_in_them() -> None:
    def once() -> list[dict[str, bytes]]:
        with charts.styled():
            return [charts.render(figure) for figure in draw(SHAPES["a gap"])]
    first, second = once(), once()
    assert first == second
    for picture in first:
        assert b"dc:date" not in picture["svg"] and b"Matplotlib" not in picture["svg"]
        assert b"tEXt" not in picture["png"]


def test_the_users_own_style_has_no_say() -> None:
    def once() -> bytes:
        with charts.styled():
            return charts.render(charts.throughput(SHAPES["no interval"], ""))["svg"]
    plain = once()
    with matplotlib.rc_context({"lines.linewidth": 9, "font.size": 30, "axes.facecolor": "red"}):
        assert once() == plain


def test_texts_stay_inside_the_picture_and_tick_labels_apart() -> None:
    with charts.styled():
        for shape in SHAPES.values():
            for figure in draw(shape):
                renderer = figure.canvas.get_renderer()
                figure.draw(renderer)
                box = figure.bbox
                for axes in figure.axes:
                    labels = [text.get_window_extent(renderer) for text in axes.get_xticklabels()
                              if text.get_text()]
                    assert not any(a.overlaps(b) for n, a in enumerate(labels) for b in labels[n + 1:])
                    for text in (axes.xaxis.label, axes.yaxis.label):
                        extent = text.get_window_extent(renderer)
                        assert extent.x0 >= box.x0 and extent.y0 >= box.y0
                        assert extent.x1 <= box.x1 and extent.y1 <= box.y1
                legend = figure.legends[0].get_window_extent(renderer)
                assert legend.x0 >= box.x0 and legend.x1 <= box.x1
                assert legend.y0 >= max(axes.get_window_extent(renderer).y1 for axes in figure.axes)


def test_the_x_axis_is_log2_with_the_load_points_as_ticks() -> None:
    counts = [1, 2, 4, 8, 16, 32, 64, 128]
    with charts.styled():
        axes = charts.throughput([line(0, counts, *[Value(float(c)) for c in counts])], "").axes[0]
        assert [text.get_text() for text in axes.get_xticklabels()] == [str(count) for count in counts]
        assert axes.xaxis.get_transform().base == 2


def test_a_client_bound_point_is_hollow_and_said() -> None:
    with charts.styled():
        figure = charts.throughput([line(0, [1, 2], Value(10.0), Value(20.0, hollow=True))], "")
        faces = [artist.get_markerfacecolor() for artist in figure.axes[0].lines
                 if artist.get_linestyle() == "None"]
        assert faces[:2] == [charts.COLOURS[0], "white"]
        assert "hollow: client-bound" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_series_differ_in_more_than_colour() -> None:
    looks = [line(number, [1], Value(1.0)) for number in range(7)]
    assert len({one.colour for one in looks}) == len({one.marker for one in looks}) == 7
    assert len({(str(one.dash), one.marker) for one in looks}) == 7


@pytest.mark.parametrize("low, high", [(0.9, 1.1), (0.3, 3), (0.01, 900), (50, 200_000), (0.999, 1.001)])
def test_log_ticks_are_round_inside_and_at_least_three(low: float, high: float) -> None:
    ticks = charts.log_ticks(low, high)
    assert len(ticks) >= 3 and ticks == sorted(set(ticks))
    assert all(low <= tick <= high for tick in ticks)


@pytest.mark.parametrize("count, text", [(1, "1"), (1000, "1000"), (1024, "1024"), (9999, "9999"), (10_000, "10k"),
                                         (16_384, "16384"), (100_000, "100k"), (1_000_000, "1M"), (1_500_000, "1.5M"),
                                         (10_000_000, "10M")])
def test_connections_are_short_on_an_axis(count: int, text: str) -> None:
    assert charts.compact(count) == text


def test_a_collapse_gets_a_logarithmic_axis() -> None:
    with charts.styled():
        flat, steep = (charts.cycles([line(0, [1, 100], Value(1000.0), Value(last))], "").axes[0]
                       for last in (1300.0, 99_000.0))
        assert (flat.get_yscale(), steep.get_yscale()) == ("linear", "log")
        assert flat.get_ylim()[0] == 0


def test_a_banner_adds_to_the_height_and_moves_nothing_else() -> None:
    def inches(banner: str) -> list[list[float]]:
        series = SHAPES["a gap"]
        figures = [charts.throughput(series, "A note.", banner), charts.gain(series, "A note.", "Gain", banner),
                   charts.latency([("p50", series)], "A note.", banner), charts.cycles(series, "A note.", banner),
                   charts.cpu([1], [Bars("c", "#0072B2", ({"both": 3.0},))], [], "A note.", banner)]
        found = []
        for figure in figures:
            height = figure.get_size_inches()[1]
            box = figure.axes[0].get_position()
            found.append([height - charts.banner_inches(banner), box.y0 * height, box.y1 * height])
        return found
    with charts.styled():
        plain = inches("")
        assert charts.banner_inches("") == 0
        for banner in ("NOT HARDWARE", "NOT HARDWARE " * 8):
            assert inches(banner) == [pytest.approx(each) for each in plain]
        assert charts.banner_inches("NOT HARDWARE " * 8) > charts.banner_inches("NOT HARDWARE") > 0


def test_a_banner_is_drawn_in_its_colour_at_the_top() -> None:
    with charts.styled():
        picture = charts.render(charts.throughput(SHAPES["a gap"], "A note.", "NOT HARDWARE"))
    pixels = matplotlib.image.imread(io.BytesIO(picture["png"]), format="png")
    wanted = [int(charts.WARNING[place:place + 2], 16) / 255 for place in (1, 3, 5)]
    rows = (abs(pixels[..., :3] - wanted) < 0.01).all(axis=2).any(axis=1)
    assert rows.any() and rows.nonzero()[0].max() < charts.banner_inches("NOT HARDWARE") * charts.DPI
