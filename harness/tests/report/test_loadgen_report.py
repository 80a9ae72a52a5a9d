# SPDX-License-Identifier: BSD-3-Clause
"""Reports of runs with our own load generator: what a connection costs, and what each optimisation saves."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, Callable

import pytest

from harness.analyse import Summary
from harness.plan import ablation
from harness.report import write_report
from harness.report.charts.base import GREY
from harness.report.figures import figure, gain_lines, limit_lines, lines
from harness.report.report import loaded, terminal_lines
from harness.tests.fixtures import synthetic_own
from harness.tests.report.test_report import Page

RUNS: dict[str, Callable[[Path], Path]] = {"scale": synthetic_own.scale, "ablate": synthetic_own.climb,
                                          "floor": synthetic_own.floor}


def written(directory: Path, run: Path) -> dict[str, bytes]:
    write_report(run, directory / "out")
    return {file.name: file.read_bytes() for file in (directory / "out").iterdir()}


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    """Every file of the golden reports, written once: charts take their time."""
    directory = tmp_path_factory.mktemp("golden")
    return {name: written(directory / name, make(directory / name / "run")) for name, make in RUNS.items()}


def analysed(run: Path) -> Summary:
    """The summary alone, without charts."""
    return loaded(run)[1]


def test_what_a_connection_costs(reports: dict[str, dict[str, bytes]], tmp_path: Path) -> None:
    files, summary = reports["scale"], analysed(synthetic_own.scale(tmp_path))
    points = {point.at.connections: point.cells for point in summary.points}
    assert points[1]["lwip"].memory_per_connection is None, "nothing to compare it with"
    assert points[1_000_000]["lwip"].memory_per_connection == pytest.approx(550, abs=0.1)
    assert points[1_000_000]["epoll"].memory_per_connection == pytest.approx(4024, abs=0.1)
    assert points[1000]["lwip"].bytes_per_connection == {"pcb": 400, "session": 120, "total": 520}
    assert points[1000]["epoll"].bytes_per_connection is None
    text = Page(files["report.html"].decode()).text
    assert "pcb 400 + session 120 = 520 bytes" in text and "beyond 1000 connections: it would never end" in text
    assert "every byte of every answer" in text and "before and after the load" not in text
    assert {"cycles.png", "cycles.svg", "cpu.png", "throughput.png", "gain.png"} <= set(files)
    rows = list(csv.DictReader(files["summary.csv"].decode().splitlines()))
    row = next(row for row in rows if (row["connections"], row["contender"]) == ("1000000", "lwip"))
    assert float(row["memory_bytes_per_connection"]) == pytest.approx(550, abs=0.1)
    assert row["bytes_per_connection_reported"] == "520"


def test_a_limit_is_a_line_and_a_table_and_no_contender(reports: dict[str, dict[str, bytes]], tmp_path: Path) -> None:
    files, run = reports["floor"], synthetic_own.floor(tmp_path)
    summary = analysed(run)
    assert not any("floor" in series.label for gains in gain_lines(summary).values() for _, series in gains[0])
    page = Page(files["report.html"].decode()).text
    assert "floor (a limit, not a contender): answers in place" in page
    rows = list(csv.DictReader(files["floor.csv"].decode().splitlines()))
    assert [(row["connections"], row["contender"], row["limit"]) for row in rows] == [
        ("1", "epoll", "floor"), ("1", "lwip", "floor"), ("1000", "epoll", "floor"), ("1000", "lwip", "floor")]
    assert float(rows[1]["cycles_factor"]) == pytest.approx(2, rel=0.05)
    assert float(rows[1]["throughput_factor"]) == pytest.approx(2, rel=0.1)
    for key in ("requests_per_sec", "cycles_per_request"):
        (_, drawn), = limit_lines(summary, key)
        assert (drawn.label, drawn.colour, drawn.xs) == ("floor (a limit, not a contender)", GREY, (1, 1000))
    assert not any("floor" in line for line in terminal_lines(*loaded(run)))
    assert not any("floor" in str(note.values) for note in summary.caveats)
    assert "floor.csv" not in reports["scale"]


def test_a_contender_that_is_not_measured_somewhere_is_not_missing_there(tmp_path: Path) -> None:
    summary = analysed(synthetic_own.scale(tmp_path))
    cell = summary.points[-1].cells["plain"]
    assert cell.not_measured and cell.not_measured.code == "beyond-most-connections"
    assert cell.not_measured.values["connections"] == 1000
    assert [note.code for note in cell.limit.evidence] == ["not-measured"]
    assert "incomplete" not in [note.code for note in summary.caveats]

    def xs(name: str) -> tuple[float, ...]:
        (_, series), = lines(summary, name, name, figure(name, "requests_per_sec"))
        return series.xs
    assert xs("plain") == (1, 1000) and xs("lwip") == (1, 1000, 1_000_000)
    drawn = {series.label: series for _, series in gain_lines(summary)["gain"][0]}
    assert drawn["lwIP, plain"].xs == (1, 1000)


@pytest.mark.parametrize("client, busy, by, bound", [
    (0.25, 0.5, "connections", None), (0.4, 0.5, "client cpu", "lower"), (0.4, 0.97, "server cpu", None),
    (0.96, 0.97, "client cpu", "both")])
def test_a_busy_load_generator_is_a_limit_unless_the_server_was_saturated(tmp_path: Path, client: float, busy: float,
                                                                         by: str, bound: str | None) -> None:
    point = analysed(synthetic_own.scale(tmp_path, client, busy)).points[1]
    gain, limit = point.gain("lwip", "epoll"), point.cells["lwip"].limit
    assert gain and (limit.by, gain.bound) == (by, bound)
    assert client in [note.values.get("share") for note in limit.evidence]


def test_what_each_optimisation_saves(reports: dict[str, dict[str, bytes]], tmp_path: Path) -> None:
    files = reports["ablate"]
    point, = analysed(synthetic_own.climb(tmp_path)).ablation
    assert point.at.connections == 64
    rows = {row.name: row for row in point.optimisations}
    assert list(rows) == ["lookup", "pools", "batch"]
    for name, expected in synthetic_own.SAVES.items():
        for saving in (rows[name].saved, rows[name].saved_alone):
            assert saving.ci95 and saving.ci95[0] < expected < saving.ci95[1] and saving.rounds == 3
    whole = sum(row.saved.mean or 0 for row in point.optimisations)
    assert point.plain and point.all == pytest.approx(point.plain - whole, abs=0.1)
    assert set(files) == {"report.html", "summary.json", "summary.md", "summary.csv", "waterfall.png", "waterfall.svg"}
    page = Page(files["report.html"].decode()).text
    assert all(name in page for name in rows) and "connections found in a table" in page


def test_optimisations_with_missing_trials(tmp_path: Path) -> None:
    run = synthetic_own.climb(tmp_path / "run", {("+pools", 0), ("+pools", 1), ("+pools", 2), ("-lookup", 1),
                                                 ("-lookup", 2)})
    files = written(tmp_path, run)
    rows = {row.name: row for row in analysed(run).ablation[0].optimisations}
    assert all((rows[name].saved.mean, rows[name].saved.rounds) == (None, 0) for name in ("pools", "batch"))
    assert rows["lookup"].saved_alone.rounds == 1 and rows["lookup"].saved_alone.ci95 is None
    assert "| pools | – | – |" in files["summary.md"].decode()
    shown = terminal_lines(*loaded(run))
    assert len(shown) == 5 and shown[0].startswith("64 connections")


def test_without_its_plain_design_there_is_no_waterfall(tmp_path: Path) -> None:
    files = written(tmp_path, synthetic_own.climb(tmp_path / "run", {(ablation.PLAIN, n) for n in range(3)}))
    assert not any(name.startswith("waterfall") for name in files) and files["summary.md"]
