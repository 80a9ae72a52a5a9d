# SPDX-License-Identifier: BSD-3-Clause
"""What stands first: charts by name, reservations by a fixed order."""

from __future__ import annotations

from harness.analyse import summarise
from harness.report.page import first_screen
from harness.store import Caveat, Note
from harness.tests.fixtures import runs


def test_every_reservation_has_its_rank_and_what_is_no_hardware_stands_first() -> None:
    assert sorted(first_screen.RANK) == sorted(Caveat)
    notes = [Note(code) for code in (Caveat.UNSEEN, Caveat.CLIENT_LIMIT, Caveat.WIRE, Caveat.EMULATED)]
    assert [note.code for note in first_screen.ranked(notes)] == [
        Caveat.EMULATED, Caveat.WIRE, Caveat.CLIENT_LIMIT, Caveat.UNSEEN]
    same = [Note(Caveat.CLIENT_LIMIT, {"points": (place,)}) for place in range(3)]
    assert first_screen.ranked(same) == same


def test_gain_and_throughput_stand_first_and_no_chart_is_lost() -> None:
    names = ("throughput", "latency", "cycles", "gain", "mine", "cpu", "factors")
    charts = {name: name for name in names}
    assert list(first_screen.first_charts(charts)) == ["gain", "throughput"]
    assert list(first_screen.more_charts(charts)) == ["factors", "latency", "cpu", "cycles", "mine"]
    assert list(first_screen.first_charts({"waterfall-1": "", "waterfall-64": "", "waterfall-128": ""})) == [
        "waterfall-1", "waterfall-64"]


def test_how_sure_is_the_widest_interval_of_a_headline_gain() -> None:
    summary = summarise(runs.made(rounds=4))
    intervals = [gain.ci95 for point in summary.points for gain in point.gains if gain.ci95]
    assert first_screen.widest(summary) == max(100 * ((high / low) ** 0.5 - 1) for low, high in intervals)
    assert first_screen.widest(summarise(runs.made(rounds=1))) is None
