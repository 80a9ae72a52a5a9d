# SPDX-License-Identifier: BSD-3-Clause
"""One look a contender: the same in every run, told apart from the others', on white and on a dark page."""

from __future__ import annotations

from itertools import combinations

import pytest

from harness.analyse import summarise
from harness.plan import load_wire, wire_names
from harness.report.charts.base import COLOURS, DARK, GREY, MARKERS, look
from harness.report.figures import draw
from harness.tests.fixtures import runs


def contrast(one: str, other: str) -> float:
    """Of WCAG 2."""
    def luminance(colour: str) -> float:
        encoded = [int(colour[place:place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in encoded]
        return float(sum(a * b for a, b in zip((0.2126, 0.7152, 0.0722), linear)))
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_every_colour_stands_out_from_a_white_and_from_a_dark_page() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert {*DARK} == {*COLOURS, GREY} and len({*DARK.values()}) == len(DARK)
    assert all(contrast(light, "#ffffff") >= 3 and contrast(dark, "#16181c") >= 3 for light, dark in DARK.items())


def test_every_contender_of_the_project_has_a_look_that_no_other_has() -> None:
    # an ablation draws no line a contender
    looks = {name: look(name) for wire in map(load_wire, wire_names()) if not wire.ablation for name in wire.contenders}
    assert {"lwip", "epoll", "uring", "nginx", "plain"} <= {*looks}
    for (one, first), (other, second) in combinations(looks.items(), 2):
        if one.startswith(("nginx/", "redis/")) or other.startswith(("nginx/", "redis/")):
            continue
        assert (first[0] != second[0]) + (first[1] != second[1]) + (str(first[2]) != str(second[2])) >= 2


def test_a_variant_has_the_colour_of_what_it_is_a_variant_of_and_not_its_marker() -> None:
    for variant, of in (("lwip@base", "lwip"), ("lwip-slow", "lwip"), ("nginx/lwip", "lwip"),
                        ("epoll-spin+x", "epoll-spin"), ("nginx-mt (again)", "nginx-mt")):
        assert look(variant)[0] == look(of)[0]
        assert (look(variant)[1:] != look(of)[1:]) == ("/" not in variant)
    assert look("lwipper")[1] in MARKERS and look("mine") == look("mine") != look("other")


def test_a_contender_has_its_look_whichever_others_are_measured() -> None:
    def drawn(*names: str) -> dict[str, tuple[str, str]]:
        chart = dict(draw(summarise(runs.made(contenders=names)), "", []))["throughput"]
        return {text.get_text(): (line.get_color(), line.get_marker()) for line, text in
                zip(chart.legends[0].get_lines(), chart.legends[0].get_texts())}
    one, other = drawn("epoll", "uring", "nginx", "lwip"), drawn("nginx", "lwip", "minimal", "epoll")
    assert all(one[name] == other[name] == look(name)[:2] for name in ("epoll", "nginx", "lwip"))
