# SPDX-License-Identifier: BSD-3-Clause
"""Charts and tables follow the sweep: any axis is the x axis, a second one gives a panel for each of its values."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from typing import Any, Sequence

import pytest

from harness.analyse import Ceiling, summarise
from harness.plan import LoadPoint
from harness.report.figures import draw, figure, grouped, lines, scale_of
from harness.report.format import places
from harness.report.report import build
from harness.report.tables import summary_table
from harness.store import Run
from harness.tests.fixtures import runs

SWEEPS: dict[str, tuple[list[LoadPoint], dict[str, Any]]] = {
    "cores": ([LoadPoint(64, server_cores=cores) for cores in (1, 2, 4)],
              {"connections": (64,), "server_cpus": (1, 2, 3, 4), "server_cores": (1, 2, 4)}),
    "body": ([LoadPoint(64, body_size_bytes=size) for size in (1, 3700, 65536)],
             {"connections": (64,), "body_sizes": (1, 3700, 65536)}),
    "loss": ([LoadPoint(64, impairment=loss) for loss in ("", "loss 0.1%", "loss 1%")],
             {"connections": (64,), "impairments": ("", "loss 0.1%", "loss 1%")})}


def moved(points: Sequence[LoadPoint], plan: dict[str, Any]) -> Run:
    """A made-up run whose load points are these."""
    like = runs.made(connections=tuple(2 ** place for place in range(len(points))))
    places_ = dict(zip(like.plan.connections, points))
    run = runs.changed(like, lambda trial: replace(trial, point=places_[trial.point.connections]))
    return replace(run, planned=replace(run.plan, **plan))


@pytest.mark.parametrize("word, label, xs, shown", [
    ("cores", "Server cores", (1, 2, 4), "4"), ("body", "Body size (bytes)", (1, 3700, 65536), "65536"),
    ("loss", "Packet loss in each direction (%)", (0, 0.1, 1), "0.1")])
def test_the_x_axis_is_the_axis_of_the_sweep(word: str, label: str, xs: tuple[float, ...], shown: str) -> None:
    summary = summarise(moved(*SWEEPS[word]))
    drawn = lines(summary, "lwip", "lwip", figure("lwip", "requests_per_sec"))
    scale = scale_of(places(summary).axis, grouped(drawn))
    assert (scale.label, scale.values) == (label, xs)
    (title, series), = drawn
    assert title == "" and series.xs == xs
    for _, chart in draw(summary, "", []):
        assert label in [axes.get_xlabel() for axes in chart.axes]
    rows = list(csv.DictReader(summary_table(summary).decode().splitlines()))
    column = {"cores": "server_cores", "body": "body_size_bytes", "loss": "loss"}[word]
    assert [row[column] for row in rows[::2]] == [f"{x:g}" for x in xs] and rows[0]["connections"] == "64"


def test_a_second_axis_gives_a_panel_for_each_value() -> None:
    points = [LoadPoint(connections, body_size_bytes=size) for connections in (1, 64) for size in (1, 3700)]
    run = moved(points, {"connections": (1, 64), "body_sizes": (1, 3700)})
    summary = summarise(run)
    panels = grouped([one for name in summary.contenders
                      for one in lines(summary, name, name, figure(name, "requests_per_sec"))])
    assert [panel.title for panel in panels] == ["a body of 1 byte", "a body of 3700 bytes"]
    assert all(series.xs == (1, 64) for panel in panels for series in panel.series)
    assert {name: len(drawn.axes) for name, drawn in draw(summary, "", [])} == {
        "throughput": 2, "gain": 2, "latency": 6, "cpu": 2, "efficiency": 2, "cycles": 2}
    page = build(run, summary, [])["report.html"].decode()
    assert re.findall(r"<th>(64, a body of \d+ bytes?)</th>", page)[:2] == [
        "64, a body of 1 byte", "64, a body of 3700 bytes"]


def test_many_contenders_stand_below_one_another_and_have_a_look_each() -> None:
    names = ("epoll", "uring", "nginx", "minimal", "epoll-mt", "nginx-mt", "epoll-busypoll", "lwip")
    drawn = dict(draw(summarise(runs.made(contenders=names)), "", []))
    assert len({axes.get_position().x0 for axes in drawn["latency"].axes}) == 1 and len(drawn["latency"].axes) == 3
    entries = [(line.get_color(), line.get_marker(), str(line._unscaled_dash_pattern))
               for line in drawn["efficiency"].legends[0].get_lines()]
    own = entries[:len(names)]
    assert len({marker for _, marker, _ in own}) == len({(colour, dash) for colour, _, dash in own}) == len(names)


def test_what_a_polling_contender_burned_has_a_line_and_a_look_of_its_own() -> None:
    run = runs.made()
    run = runs.told(run, machine={"tsc_hz": 2_300_000_000})
    drawn = dict(draw(summarise(run), "", []))
    labels = [text.get_text() for text in drawn["cycles"].legends[0].get_texts()]
    assert labels[:3] == ["kernel TCP (epoll)", "lwIP on DPDK (net_tap)", "lwIP on DPDK (net_tap), burned"]
    looks = {(line.get_color(), line.get_marker()) for line in drawn["cycles"].legends[0].get_lines()[:3]}
    assert len(looks) == 3


@pytest.mark.parametrize("counter, called, axis, caveat", [
    ("cntvct_el0", "icks of the generic timer", "Timer ticks per request", True),
    ("tsc", "of the time stamp counter", "Cycles per request", False)])
def test_what_a_processor_counts_is_called_by_its_name(counter: str, called: str, axis: str, caveat: bool) -> None:
    run = runs.told(runs.made(), machine={"cycle_counter": counter, "tsc_hz": 25_000_000})
    summary = summarise(run)
    assert axis in [text.get_text() for text in dict(draw(summary, "", []))["cycles"].texts] + [
        one.get_ylabel() for one in dict(draw(summary, "", []))["cycles"].axes]
    pages = build(run, summary, [])
    html = pages["report.html"].decode()
    assert html.count(called) >= 2
    assert ("generic timer (cntvct_el0, 25" in html) == caveat


def test_the_ceiling_is_a_thin_grey_line_marked_where_it_may_be_more() -> None:
    summary = summarise(runs.made())
    points = tuple(replace(point, ceiling=Ceiling(5e5, "canned", at_least=point.at.connections == 1, evidence=()))
                   for point in summary.points)
    drawn = dict(draw(replace(summary, points=points), "", []))["throughput"]
    assert any(line.get_color() == "#767676" and line.get_linewidth() < 1 for line in drawn.axes[0].lines)
    markers = [line.get_marker() for line in drawn.axes[0].lines]
    assert r"$\uparrow$" in markers
