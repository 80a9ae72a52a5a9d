# SPDX-License-Identifier: BSD-3-Clause
"""The chart of CPU time: every contender can be told from every other, in colour and in print."""

from __future__ import annotations

import pytest

from harness.report.charts import base as charts
from harness.report.charts import cpu as charts_cpu
from harness.report.charts.base import Frame

pytestmark = pytest.mark.png


@pytest.mark.parametrize("count, numbered", [(3, False), (7, True)])
def test_many_bars_are_told_by_numbers_too(count: int, numbered: bool) -> None:
    names = [f"contender {number}" for number in range(count)]
    bars = [charts_cpu.Bars(name, charts.COLOURS[n], ({"client": 1.0, "server": 2.0}, None))
            for n, name in enumerate(names)]
    with charts.styled():
        figure = charts_cpu.cpu({"": bars}, ["1", "8"], "Connections", Frame("A note."))
    labels = [text.get_text() for text in figure.legends[0].get_texts()][:count]
    assert labels == [f"{n}  {name}" if numbered else name for n, name in enumerate(names, 1)]
    above = [text.get_text() for text in figure.axes[0].texts if text.get_text() not in ("×", "")]
    assert above == ([str(n) for n in range(1, count + 1)] if numbered else [])


def test_rows_of_a_second_axis_share_their_height() -> None:
    rows = {f"{cores} server cores": [charts_cpu.Bars("c", "#0072B2", ({"client": 1.0 * cores},))]
            for cores in (1, 4)}
    with charts.styled():
        figure = charts_cpu.cpu(rows, ["64"], "Connections", Frame("A note."))
    assert len(figure.axes) == 2 and len({axes.get_ylim() for axes in figure.axes}) == 1
    assert [axes.texts[-1].get_text() for axes in figure.axes] == list(rows)
