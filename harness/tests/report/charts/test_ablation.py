# SPDX-License-Identifier: BSD-3-Clause
"""The chart of the optimisations: what it shows, that it renders for every shape of data, and the same bytes twice."""

from __future__ import annotations

from typing import Any

import pytest

from harness.analyse import OptimisationStep, Saving
from harness.report.charts import ablation as waterfall
from harness.report.charts import base as charts
from harness.report.charts.base import Frame

pytestmark = pytest.mark.png

NONE = Saving(None, None, 0)


def saved(mean: float, low: float | None = None, high: float | None = None) -> Saving:
    return Saving(mean, None if low is None or high is None else (low, high), 3)


def step(name: str, added: Saving, alone: Saving) -> OptimisationStep:
    return OptimisationStep(name, "", None, added, alone)


SHAPES: dict[str, list[OptimisationStep]] = {
    "usual": [step("lookup", saved(700, 650, 750), saved(500, 400, 600)),
              step("tx-in-place", saved(-40, -90, 10), saved(-20, -30, -10)), step("request", NONE, NONE)],
    "wide intervals": [step("lookup", saved(700, -9e6, 9e6), saved(5, -9e6, 9e6))],
    "one round": [step("lookup", saved(22_000), saved(12_345))],
    "nothing": [step("lookup", NONE, NONE), step("pools", NONE, NONE)],
    "long": [step(f"optimisation-{n}", saved(1000 - 60 * n, 900 - 60 * n, 1100 - 60 * n), saved(10 * n)) for n in range(15)],
}


def widths(axes: Any) -> list[tuple[float, float]]:
    """(from, to) of every bar, in the order of their rows."""
    return [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in axes.patches]


def test_each_step_begins_where_the_last_has_ended() -> None:
    with charts.styled():
        left, right = waterfall.draw(1000, SHAPES["usual"], Frame("A note.")).axes
        assert widths(left) == [(0, 1000), (1000, 300), (300, 340), (0, 340)]
        assert widths(right) == [(0, 500), (0, -20)]
        assert [text.get_text() for text in left.get_yticklabels()] == [
            "none of them", "lookup", "tx-in-place", "request", "all of them"]
        colours = [bar.get_facecolor() for bar in left.patches]
        assert colours[0] == colours[3] != colours[1] != colours[2]
        assert [text.get_text() for text in left.texts] == ["×"], "a step that was not measured is marked"


def test_an_interval_does_not_flatten_the_rest() -> None:
    with charts.styled():
        _, right = waterfall.draw(1000, SHAPES["wide intervals"], Frame("")).axes
        assert right.get_xlim()[1] < 20


@pytest.mark.parametrize("shape", SHAPES)
def test_texts_stay_inside_the_picture_and_tick_labels_apart(shape: str) -> None:
    with charts.styled():
        figure = waterfall.draw(24_000, SHAPES[shape], Frame("A note that is long enough for two lines. " * 4))
        figure.draw_without_rendering()
        box = figure.bbox
        labels = [text.get_window_extent() for axes in figure.axes for text in axes.get_xticklabels()
                  if text.get_text() and axes.get_xlim()[0] <= text.get_position()[0] <= axes.get_xlim()[1]]
        assert not any(a.overlaps(b) for n, a in enumerate(labels) for b in labels[n + 1:])
        texts = [*figure.texts, *(text for axes in figure.axes for text in (
            axes.xaxis.label, axes.title, *axes.get_yticklabels()))]
        for extent in [*labels, *(text.get_window_extent() for text in texts if text.get_text())]:
            assert box.x0 <= extent.x0 and extent.x1 <= box.x1 and box.y0 <= extent.y0 and extent.y1 <= box.y1


def test_the_same_bytes_twice() -> None:
    def once() -> dict[str, bytes]:
        with charts.styled():
            return charts.render(waterfall.draw(1000, SHAPES["usual"], Frame("A note.")))
    assert once() == once()
