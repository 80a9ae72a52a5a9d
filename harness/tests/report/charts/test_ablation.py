# SPDX-License-Identifier: BSD-3-Clause
"""The chart of a ladder: what it shows, that it renders for every shape of data, and the same bytes twice."""

from __future__ import annotations

from typing import Any

import pytest

from harness.report.charts import base as charts
from harness.report.charts import ablation as waterfall
from harness.report.charts.ablation import Saving, Step

NONE = Saving(None)
SHAPES: dict[str, list[Step]] = {
    "usual": [Step("lookup", Saving(700, 650, 750), Saving(500, 400, 600)),
              Step("tx-in-place", Saving(-40, -90, 10), Saving(-20, -30, -10)), Step("request", NONE, NONE)],
    "wide intervals": [Step("lookup", Saving(700, -9e6, 9e6), Saving(5, -9e6, 9e6))],
    "one round": [Step("lookup", Saving(22_000), Saving(12_345))],
    "nothing": [Step("lookup", NONE, NONE), Step("pools", NONE, NONE)],
    "long": [Step(f"measure-{n}", Saving(1000 - 60 * n, 900 - 60 * n, 1100 - 60 * n), Saving(10 * n)) for n in range(15)],
}


def widths(axes: Any) -> list[tuple[float, float]]:
    """(from, to) of every bar, in the order of their rows."""
    return [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in axes.patches]


def test_each_step_begins_where_the_last_has_ended() -> None:
    with charts.styled():
        left, right = waterfall.draw(1000, SHAPES["usual"], "A note.").axes
        assert widths(left) == [(0, 1000), (1000, 300), (300, 340), (0, 340)]
        assert widths(right) == [(0, 500), (0, -20)]
        assert [text.get_text() for text in left.get_yticklabels()] == [
            "plain design", "lookup", "tx-in-place", "request", "all measures"]
        colours = [bar.get_facecolor() for bar in left.patches]
        assert colours[0] == colours[3] != colours[1] != colours[2]
        assert [text.get_text() for text in left.texts] == ["×"], "a step that was not measured is marked"


def test_an_interval_does_not_flatten_the_rest() -> None:
    with charts.styled():
        _, right = waterfall.draw(1000, SHAPES["wide intervals"], "").axes
        assert right.get_xlim()[1] < 20


@pytest.mark.parametrize("shape", SHAPES)
def test_texts_stay_inside_the_picture_and_tick_labels_apart(shape: str) -> None:
    with charts.styled():
        figure = waterfall.draw(24_000, SHAPES[shape], "A note that is long enough for two lines. " * 4)
        renderer = figure.canvas.get_renderer()
        figure.draw(renderer)
        box = figure.bbox
        labels = [text.get_window_extent(renderer) for axes in figure.axes for text in axes.get_xticklabels()
                  if text.get_text() and axes.get_xlim()[0] <= text.get_position()[0] <= axes.get_xlim()[1]]
        assert not any(a.overlaps(b) for n, a in enumerate(labels) for b in labels[n + 1:])
        texts = [*figure.texts, *(text for axes in figure.axes for text in (
            axes.xaxis.label, axes.title, *axes.get_yticklabels()))]
        for extent in [*labels, *(text.get_window_extent(renderer) for text in texts if text.get_text())]:
            assert box.x0 <= extent.x0 and extent.x1 <= box.x1 and box.y0 <= extent.y0 and extent.y1 <= box.y1


def test_the_same_bytes_twice() -> None:
    def once() -> dict[str, bytes]:
        with charts.styled():
            return charts.render(waterfall.draw(1000, SHAPES["usual"], "A note."))
    assert once() == once()
