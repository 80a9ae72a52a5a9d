# SPDX-License-Identifier: BSD-3-Clause
"""Reports of runs with our own load generator: what a connection costs, and what each measure saves.

Golden files anew, after a change that was meant: `python3 -m harness.tests.report.test_loadgen_report`.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any, Callable

import pytest

from harness.plan import ablation as ladder
from harness.report import report
from harness.cli import report as show
from harness.tests.fixtures import synthetic_own
from harness.tests.report.test_report import GOLDEN, Page

RUNS: dict[str, Callable[[Path], Path]] = {"scale": synthetic_own.scale, "ablate": synthetic_own.climb}
KINDS = ("json", "md", "csv")


def written(directory: Path, run: Path) -> dict[str, bytes]:
    report.write(run, directory / "out")
    return {file.name: file.read_bytes() for file in (directory / "out").iterdir()}


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    """Every file of the golden reports, written once: charts take their time."""
    directory = tmp_path_factory.mktemp("golden")
    return {name: written(directory / name, make(directory / name / "run")) for name, make in RUNS.items()}


def summary_of(files: dict[str, bytes]) -> Any:
    return json.loads(files["summary.json"])


def analysed(run: Path) -> Any:
    """The summary alone, without charts."""
    return report.loaded(run)[1]


@pytest.mark.parametrize("name", RUNS)
def test_golden(reports: dict[str, dict[str, bytes]], name: str) -> None:
    for kind in KINDS:
        assert reports[name][f"summary.{kind}"] == (GOLDEN / f"{name}.{kind}").read_bytes(), kind


def test_what_a_connection_costs(reports: dict[str, dict[str, bytes]]) -> None:
    files = reports["scale"]
    points = {point["connections"]: point["contenders"] for point in summary_of(files)["points"]}
    assert points[1]["lwip"]["memory_bytes"].keys() == {"median"}, "nothing to compare it with"
    assert points[1_000_000]["lwip"]["memory_bytes"]["per_connection"] == pytest.approx(550, abs=0.1)
    assert points[1_000_000]["epoll"]["memory_bytes"]["per_connection"] == pytest.approx(4024, abs=0.1)
    assert points[1000]["lwip"]["bytes_per_connection"] == {"pcb": 400, "session": 120, "total": 520}
    assert "bytes_per_connection" not in points[1000]["epoll"]
    low, high = points[1000]["lwip"]["cycles_per_request"]["ci95"]
    assert low < points[1000]["lwip"]["cycles_per_request"]["median"] < high
    text = Page(files["report.html"].decode()).text
    assert "not measured beyond 1000 connections: it would never end" in text and "What a request and a connection cost the server" in text
    assert "an idle connection takes, of lwIP: pcb 400 + session 120 = 520 bytes" in text
    assert "every byte of every answer was right" in text and "before and after the load" not in text
    assert {"cycles.png", "cycles.svg", "cpu.png", "throughput.png", "gain.png"} <= set(files)


def test_a_contender_that_is_not_measured_somewhere_is_not_missing_there(tmp_path: Path) -> None:
    run, summary = report.loaded(synthetic_own.scale(tmp_path))
    last = summary["points"][-1]
    assert last["contenders"]["plain"]["not_measured"] == "beyond 1000 connections: it would never end"
    assert last["limit"]["plain"] == {"by": "unknown", "evidence": "Not measured beyond 1000 connections: it would never end."}
    assert not any("incomplete" in caveat for caveat in summary["caveats"])
    series = {one.label: one for one in [report.throughput_series(summary, name, 0) for name in run.plan.contenders]}
    assert series["lwIP, plain"].connections == (1, 1000) and series["lwIP"].connections == (1, 1000, 1_000_000)
    assert report.gain_series(summary, "plain", 0).connections == (1, 1000)


@pytest.mark.parametrize("client, busy, by, bound", [
    (0.25, 0.5, "connections", None), (0.4, 0.5, "client cpu", "lower"), (0.4, 0.97, "server cpu", None),
    (0.96, 0.97, "client cpu", "both")])
def test_a_busy_load_generator_is_a_limit_unless_the_server_was_saturated(tmp_path: Path, client: float, busy: float,
                                                                         by: str, bound: str | None) -> None:
    summary = analysed(synthetic_own.scale(tmp_path, client, busy))
    point = summary["points"][1]
    assert point["limit"]["lwip"]["by"] == by and point["gain"]["lwip/epoll"]["bound"] == bound
    assert f"{client:.0%}".replace("%", " %") in point["limit"]["lwip"]["evidence"]


def test_what_each_measure_saves(reports: dict[str, dict[str, bytes]]) -> None:
    files = reports["ablate"]
    (point,) = summary_of(files)["ablation"]
    assert point["connections"] == 64
    saved = {row["name"]: row for row in point["measures"]}
    assert list(saved) == ["lookup", "pools", "batch"]
    for name, expected in synthetic_own.SAVES.items():
        for way in ("saved", "saved_alone"):
            low, high = saved[name][way]["ci95"]
            assert low < expected < high and saved[name][way]["rounds"] == 3
    whole = sum(row["saved"]["mean"] for row in point["measures"])
    assert point["plain"] - whole == pytest.approx(point["all"], abs=0.1)
    assert set(files) == {"report.html", "summary.json", "summary.md", "summary.csv", "waterfall.png", "waterfall.svg"}
    page = Page(files["report.html"].decode()).text
    assert "a request costs the plain design" in page and "lookup (connections found in a table) saves" in page


def test_a_ladder_with_missing_trials(tmp_path: Path) -> None:
    files = written(tmp_path, synthetic_own.climb(tmp_path / "run", {("+pools", 0), ("+pools", 1), ("+pools", 2),
                                                                      ("-lookup", 1), ("-lookup", 2)}))
    saved = {row["name"]: row for row in summary_of(files)["ablation"][0]["measures"]}
    assert saved["pools"]["saved"] == saved["batch"]["saved"] == {"mean": None, "ci95": None, "rounds": 0}
    assert saved["lookup"]["saved_alone"]["rounds"] == 1 and saved["lookup"]["saved_alone"]["ci95"] is None
    assert "| pools | – | – |" in files["summary.md"].decode()
    lines = show.gains(summary_of(files))
    assert lines[0].startswith("64 connections, busy cycles a request of the plain design: ") and len(lines) == 5


def test_without_its_plain_design_there_is_no_waterfall(tmp_path: Path) -> None:
    files = written(tmp_path, synthetic_own.climb(tmp_path / "run", {(ladder.PLAIN, n) for n in range(3)}))
    assert not any(name.startswith("waterfall") for name in files)
    assert "no valid trial of the plain design or of all measures" in files["summary.md"].decode()


def golden() -> None:
    for name, make in RUNS.items():
        with tempfile.TemporaryDirectory() as directory:
            files = written(Path(directory), make(Path(directory) / "run"))
        for kind in KINDS:
            (GOLDEN / f"{name}.{kind}").write_bytes(files[f"summary.{kind}"])


if __name__ == "__main__":
    golden()
