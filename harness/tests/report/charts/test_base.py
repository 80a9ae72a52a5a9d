# SPDX-License-Identifier: BSD-3-Clause
"""Charts: what they show, that they render for every shape of data, and the same bytes twice."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any, Sequence

import matplotlib
import matplotlib.image
import numpy
import pytest

from harness.report.charts import base as charts
from harness.report.charts import cpu as charts_cpu
from harness.report.charts import lines
from harness.report.charts.base import Frame, Scale
from harness.report.charts.lines import Panel, Series, Value

pytestmark = pytest.mark.png

NOTE = Frame("A note.")
# of eight that are measured together
NAMES = ("lwip", "epoll", "uring", "nginx", "epoll-spin", "epoll-spin-both", "epoll-busypoll", "plain")


def line(number: int, xs: Sequence[float], *values: Value) -> Series:
    return lines.series(f"contender {number}", NAMES[number], xs, values)


def scale(series: Sequence[Series], label: str = "Connections", linear: bool = False) -> Scale:
    return Scale.of(label, [x for one in series for x in one.xs], linear)


def throughput(series: Sequence[Series], frame: Frame = NOTE) -> Any:
    return lines.figures([Panel("", tuple(series))], scale(series), "Throughput (requests/s)", frame)


def cpu(frame: Frame, *parts: dict[str, float] | None) -> Any:
    return charts_cpu.cpu({"": [charts_cpu.Bars("c", "#0072B2", parts)]},
                          [str(n) for n in range(len(parts))], "Connections", frame)


SHAPES: dict[str, list[Series]] = {
    "one point": [line(0, [64], Value(5e4, 4e4, 6e4)), line(1, [64], Value(7e4, 6e4, 8e4, True, "^"))],
    "no interval": [line(0, [1, 8], Value(1e4), Value(2e4))],
    "a gap": [line(0, [1, 8, 64], Value(1e4, 9e3, 2e4), Value(None), Value(3e4, 2e4, 4e4))],
    "nothing": [line(0, [1, 8], Value(None), Value(None))],
    "wide": [line(0, [1, 2], Value(10, 1e-9, 1e12), Value(1e6, 9e5, 2e6))],
    "crowded": [line(0, [1, 2, 3, 5, 6, 7, 100, 1000, 1024], *[Value(1e4 * n) for n in range(1, 10)])],
    "a million": [line(0, [10 ** n for n in range(7)], *[Value(1e3 * 2 ** n, 900.0 * 2 ** n, 2e3 * 2 ** n)
                                                        for n in range(7)])],
    "overlay": [line(0, [1, 2], Value(1e4), Value(2e4)), lines.overlay("theirs", 0, [1, 4], [2e4, 9e5])],
}


def draw(series: Sequence[Series], frame: Frame = NOTE) -> list[Any]:
    panels = [Panel("", tuple(series))]
    parts = [{"client": 1.0, "server": 2.0}, None, {"both": 3.0}][:len(series[0].xs)]
    return [throughput(series, frame), lines.gain(panels, scale(series), "Gain", frame),
            lines.latency({"": [Panel("p50", tuple(series)), Panel("p99", tuple(series))]}, scale(series), frame),
            cpu(frame, *parts), lines.figures(panels, scale(series), "Cycles", frame)]


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
            return charts.render(throughput(SHAPES["no interval"]))["svg"]
    plain = once()
    with matplotlib.rc_context({"lines.linewidth": 9, "font.size": 30, "axes.facecolor": "red"}):
        assert once() == plain


def test_texts_stay_inside_the_picture_and_tick_labels_apart() -> None:
    with charts.styled():
        for shape in SHAPES.values():
            for figure in draw(shape):
                figure.draw_without_rendering()
                box = figure.bbox
                for axes in figure.axes:
                    labels = [text.get_window_extent() for text in axes.get_xticklabels()
                              if text.get_text()]
                    assert not any(a.overlaps(b) for n, a in enumerate(labels) for b in labels[n + 1:])
                    for text in (axes.xaxis.label, axes.yaxis.label):
                        extent = text.get_window_extent()
                        assert extent.x0 >= box.x0 and extent.y0 >= box.y0
                        assert extent.x1 <= box.x1 and extent.y1 <= box.y1
                legend = figure.legends[0].get_window_extent()
                assert legend.x0 >= box.x0 and legend.x1 <= box.x1
                assert legend.y0 >= max(axes.get_window_extent().y1 for axes in figure.axes)


def test_the_x_axis_is_log2_with_the_load_points_as_ticks() -> None:
    counts = [1, 2, 4, 8, 16, 32, 64, 128]
    with charts.styled():
        axes = throughput([line(0, counts, *[Value(float(c)) for c in counts])]).axes[0]
        assert [text.get_text() for text in axes.get_xticklabels()] == [str(count) for count in counts]
        assert axes.xaxis.get_transform().base == 2


def test_a_client_bound_point_is_hollow_and_said() -> None:
    with charts.styled():
        figure = throughput([line(0, [1, 2], Value(10.0), Value(20.0, hollow=True))])
        faces = [artist.get_markerfacecolor() for artist in figure.axes[0].lines
                 if artist.get_linestyle() == "None"]
        assert faces[:2] == [charts.look("lwip")[0], "white"]
        assert "hollow: client-bound" in [text.get_text() for text in figure.legends[0].get_texts()]


# of what Machado, Oliveira and Fernandes (2009) give for complete deuteranopia and protanopia, on linear RGB
DEUTERANOPIA = ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881))
PROTANOPIA = ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998))
SEEN = ((1, 0, 0), (0, 1, 0), (0, 0, 1))


def lightness(colour: str, eye: Sequence[Sequence[float]] = SEEN) -> float:
    """L* of CIELAB, 0 to 100, of a colour as that eye has it, or in grey print."""
    encoded = [int(colour[place:place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in encoded]
    seen = [min(1.0, max(0.0, sum(a * b for a, b in zip(row, linear)))) for row in eye]
    light: float = sum(a * b for a, b in zip((0.2126, 0.7152, 0.0722), seen))
    return float(116 * light ** (1 / 3) - 16 if light > 0.008856 else 903.3 * light)


def test_any_two_of_eight_series_differ_in_two_of_lightness_marker_and_dash() -> None:
    looks = [line(number, [1], Value(1.0)) for number in range(8)]
    for eye in (SEEN, DEUTERANOPIA, PROTANOPIA):
        for number, one in enumerate(looks):
            for other in looks[number + 1:]:
                apart = abs(lightness(one.colour, eye) - lightness(other.colour, eye)) >= 10
                assert apart + (one.marker != other.marker) + (str(one.dash) != str(other.dash)) >= 2
    assert len({one.colour for one in looks}) == 8


def test_a_series_stands_out_from_the_paper_and_from_published_figures() -> None:
    assert lightness("#ffffff") == pytest.approx(100) and lightness("#000000") == 0
    assert all(lightness(colour) <= 75 for colour in charts.COLOURS)
    assert not set(charts.MARKERS) & {*charts.GREY_MARKERS}
    assert charts.GREY not in charts.COLOURS


def test_what_is_read_first_is_drawn_thick_and_over_the_rest() -> None:
    thick = replace(line(7, [1, 2], Value(1.1, 1.0, 1.2, marker="^"), Value(1.2, 1.1, 1.3, marker="o")),
                    weight=lines.THICK)
    thin = replace(line(0, [1, 2], Value(1.3), Value(1.4)), weight=lines.THIN)
    with charts.styled():
        figure = lines.gain([Panel("", (thick, thin))], scale([thick]), "Gain", NOTE)
    drawn = {artist.get_color(): artist for artist in figure.axes[0].lines if artist.get_linestyle() != "None"
             and len(artist.get_path()) == 2 and artist.get_color() in (thick.colour, thin.colour)}
    assert drawn[thick.colour].get_linewidth() == 3 * drawn[thin.colour].get_linewidth()
    assert drawn[thick.colour].get_zorder() > drawn[thin.colour].get_zorder()
    legend = {text.get_text() for text in figure.legends[0].get_texts()}
    assert {"faster (thick)", "inconclusive (thick)"} <= legend


def test_panels_of_a_second_axis_stand_below_one_another_and_share_their_scale() -> None:
    panels = [Panel(f"{cores} server cores", (line(0, [1, 8], Value(1e4 * cores), Value(2e4)),))
              for cores in (1, 2, 4)]
    with charts.styled():
        figures = [lines.figures(panels, scale(panels[0].series), "Cycles", NOTE),
                   lines.gain(panels, scale(panels[0].series), "Gain", NOTE),
                   lines.latency({panel.title: [panel] for panel in panels}, scale(panels[0].series), NOTE)]
        for figure in figures:
            assert len({round(axes.get_position().x0, 6) for axes in figure.axes}) == 1
            assert len({axes.get_ylim() for axes in figure.axes}) == 1
            assert len(figure.legends[0].get_texts()) == 1
            assert [axes.get_xlabel() for axes in figure.axes] == ["", "", "Connections"]


@pytest.mark.parametrize("values, linear, kind, places", [
    ([1, 8, 64], False, "log", [1, 8, 64]), ([1, 2, 4], True, "linear", [1, 2, 4]),
    ([0, 0.1, 1], False, "linear", [0, 1, 2]), ([3700], False, "log", [3700])])
def test_the_x_axis_fits_its_values(values: list[float], linear: bool, kind: str, places: list[float]) -> None:
    series = [line(0, values, *[Value(1e4)] * len(values))]
    with charts.styled():
        figure = lines.figures([Panel("", tuple(series))], scale(series, "Loss (%)", linear), "Cycles", NOTE)
        axes = figure.axes[0]
        assert axes.get_xscale() == kind and axes.get_xlabel() == "Loss (%)"
        assert list(axes.get_xticks()) == places
        assert [text.get_text() for text in axes.get_xticklabels()] == [f"{value:g}" for value in values]


@pytest.mark.parametrize("low, high", [(0.9, 1.1), (0.3, 3), (0.01, 900), (50, 200_000), (0.999, 1.001)])
def test_log_ticks_are_round_inside_and_at_least_three(low: float, high: float) -> None:
    ticks = charts.log_ticks(low, high)
    assert len(ticks) >= 3 and ticks == sorted(set(ticks))
    assert all(low <= tick <= high for tick in ticks)


@pytest.mark.parametrize("count, text", [(1, "1"), (1000, "1000"), (1024, "1024"), (9999, "9999"), (10_000, "10k"),
                                         (16_384, "16384"), (100_000, "100k"), (1_000_000, "1M"), (1_500_000, "1.5M"),
                                         (10_000_000, "10M"), (0.1, "0.1")])
def test_connections_are_short_on_an_axis(count: float, text: str) -> None:
    assert charts.compact(count) == text


def test_a_collapse_gets_a_logarithmic_axis() -> None:
    with charts.styled():
        flat, steep = (draw([line(0, [1, 100], Value(1000.0), Value(last))])[-1].axes[0]
                       for last in (1300.0, 99_000.0))
        assert (flat.get_yscale(), steep.get_yscale()) == ("linear", "log")
        assert flat.get_ylim()[0] == 0


def test_a_banner_adds_to_the_height_and_moves_nothing_else() -> None:
    def inches(banner: str) -> list[tuple[float, float, float]]:
        found = []
        for figure in draw(SHAPES["a gap"], Frame("A note.", banner)):
            height = figure.get_size_inches()[1]
            box = figure.axes[0].get_position()
            found.append((height, box.y0 * height, box.y1 * height))
        return found
    with charts.styled():
        plain, short, long = (inches("NOT HARDWARE " * count) for count in (0, 1, 8))
    for figures in (short, long):
        assert [ends[1:] for ends in figures] == [pytest.approx(ends[1:]) for ends in plain]
        assert len({round(ends[0] - before[0], 6) for ends, before in zip(figures, plain)}) == 1
    assert long[0][0] > short[0][0] > plain[0][0]


def test_a_banner_is_drawn_in_its_colour_at_the_top() -> None:
    with charts.styled():
        picture = charts.render(throughput(SHAPES["a gap"], Frame("A note.", "NOT HARDWARE")))
    pixels = matplotlib.image.imread(io.BytesIO(picture["png"]), format="png")
    wanted = [int(charts.WARNING[place:place + 2], 16) / 255 for place in (1, 3, 5)]
    rows = numpy.any(numpy.all(abs(pixels[..., :3] - wanted) < 0.01, axis=2), axis=1)
    assert rows.any() and rows.nonzero()[0].max() < 0.2 * charts.DPI
