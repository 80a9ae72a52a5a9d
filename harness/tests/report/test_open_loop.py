# SPDX-License-Identifier: BSD-3-Clause
"""The report of an open loop."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from harness.analyse import Summary
from harness.errors import UsageError
from harness.report import write_comparison, write_report
from harness.report.report import loaded, terminal_lines
from harness.report.templates import macro
from harness.tests.fixtures import synthetic_open
from harness.tests.report.test_report import Page


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    directory = tmp_path_factory.mktemp("open")
    write_report(synthetic_open.write(directory / "run"), directory / "out")
    return {file.name: file.read_bytes() for file in (directory / "out").iterdir()}


def summary(directory: Path, **options: Any) -> Summary:
    return loaded(synthetic_open.write(directory, **options))[1]


def test_the_page_has_rates_and_knees_and_no_gains(files: dict[str, bytes]) -> None:
    page = Page(files["report.html"].decode())
    assert "What limited each point" not in page.headings and "gain over" not in page.text
    assert files["summary.md"].decode().count("| steady |") == 14


def test_every_rate_of_every_contender_has_its_row(files: dict[str, bytes], tmp_path: Path) -> None:
    loop = summary(tmp_path).open_loop
    rows = list(csv.DictReader(files["summary.csv"].decode().splitlines()))
    assert loop and len(rows) == sum(len(one.points) for one in loop.contenders.values()) == 18
    point = next(point for point in loop.contenders["lwip"].points if point.offered == 20_000)
    row = next(row for row in rows if (row["contender"], row["offered"]) == ("lwip", "20000"))
    assert float(row["latency_p99_us"]) == point.latency_us["p99"] and row["saturated"] == "False"
    assert (float(row["latency_p99_ci95_low"]), float(row["latency_p99_ci95_high"])) == point.p99_ci95


@pytest.mark.png
def test_charts_are_there_and_the_same_each_time(files: dict[str, bytes], tmp_path: Path) -> None:
    assert {name for name in files if name.endswith(".png")} == {"offered.png", "percentiles.png"}
    write_report(synthetic_open.write(tmp_path / "run"), tmp_path / "out")
    assert all((tmp_path / "out" / name).read_bytes() == data for name, data in files.items())


def test_a_client_that_was_late_is_told(tmp_path: Path) -> None:
    found = summary(tmp_path, change={("epoll", 50_000): {"client_bound": True}})
    assert "50,000" in macro("headline.j2", "results", found)[0].split("¶")[-1]
    states = [line for line in macro("terminal.j2", "offered", found) if line.startswith("50,000")]
    assert [line.rpartition("¶")[2] for line in states] == ["steady, client-bound", "saturated"]


def test_a_terminal_gets_the_rates_and_the_knees(tmp_path: Path) -> None:
    lines = terminal_lines(*loaded(synthetic_open.write(tmp_path)))
    assert lines[0].split()[:3] == ["offered/s", "contender", "achieved"]
    assert sum("saturated" in line for line in lines) == 4
    assert lines[-2].startswith("lwIP on DPDK (net_tap) ") and "40,000 requests/s at most" in lines[-2]


def test_an_incomplete_run_is_reported(tmp_path: Path) -> None:
    run = synthetic_open.write(tmp_path)
    trials = (run / "trials.jsonl").read_text().splitlines(keepends=True)
    (run / "trials.jsonl").write_text("".join(trials[:1]))
    found = loaded(run)[1]
    note, = (note for note in found.caveats if note.code == "incomplete")
    assert (note.values["done"], note.values["planned"]) == (1, 54)
    assert macro("headline.j2", "results", found)[1].endswith("has no valid trial.")
    assert write_report(run, tmp_path / "out")


def test_it_is_not_compared_with_others(tmp_path: Path) -> None:
    runs = [synthetic_open.write(tmp_path / name) for name in "ab"]
    with pytest.raises(UsageError, match="is of an open loop"):
        write_comparison(runs, tmp_path / "out")

