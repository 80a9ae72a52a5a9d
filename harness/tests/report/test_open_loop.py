# SPDX-License-Identifier: BSD-3-Clause
"""The report of an open loop.

Golden files anew, after a change that was meant: `python3 -m harness.tests.report.test_open_loop`.
"""

from __future__ import annotations
import json
import tempfile
from pathlib import Path
from typing import Any
import pytest
from harness.report import compare
from harness.analyse import open_loop as openloop
from harness.report import open_loop as openloop_report
from harness.report import report
from harness.cli import report as show
from harness.errors import UsageError
from harness.analyse.open_loop import knee
from harness.tests.fixtures import synthetic_open
from harness.tests.report.test_report import GOLDEN, Page


KINDS = ("json", "md", "csv")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    directory = tmp_path_factory.mktemp("open")
    report.write(synthetic_open.write(directory / "run"), directory / "out")
    return {file.name: file.read_bytes() for file in (directory / "out").iterdir()}


def summary(directory: Path, **options: Any) -> Any:
    return report.loaded(synthetic_open.write(directory, **options))[1]


@pytest.mark.parametrize("kind", KINDS)
def test_golden(files: dict[str, bytes], kind: str) -> None:
    assert files[f"summary.{kind}"] == (GOLDEN / f"openloop.{kind}").read_bytes()


def test_the_page_says_what_a_percentile_is(files: dict[str, bytes]) -> None:
    text = Page(files["report.html"].decode()).text
    for words in ("counted from when a request was meant to be sent", "waited for a free connection",
                  "own delay in sending", "unlike wrk", "The knee is the highest load at which p99 is at most 3 times"):
        assert words in text, words
    assert "What limited each point" not in text and "gain over" not in text
    assert files["summary.md"].decode().count("| steady |") == 14


def test_charts_are_there_and_the_same_each_time(files: dict[str, bytes], tmp_path: Path) -> None:
    assert {name for name in files if name.endswith(".png")} == {"offered.png", "percentiles.png"}
    report.write(synthetic_open.write(tmp_path / "run"), tmp_path / "out")
    assert all((tmp_path / "out" / name).read_bytes() == data for name, data in files.items())


def test_a_client_that_was_late_is_said(tmp_path: Path) -> None:
    change = {("epoll", 50_000): {"client_bound": True}}
    said = summary(tmp_path, change=change)
    first = openloop_report.headlines(said)[0]
    assert any("The client was late itself at 50,000 requests/s" in detail for detail in first.details)
    assert [row["state"] for row in openloop_report.table(said) if row["offered"] == 50_000] == [
        "steady, client-bound", "saturated"]


def test_a_terminal_gets_the_rates_and_the_knees(tmp_path: Path) -> None:
    lines = show.gains(summary(tmp_path))
    assert lines[0].split()[:3] == ["offered/s", "contender", "achieved"]
    assert sum("saturated" in line for line in lines) == 4
    assert lines[-1].startswith("lwIP on DPDK (net_tap) takes ")
    assert "and answers 40,000 requests/s at most" in lines[-1]


def test_an_incomplete_run_is_reported(tmp_path: Path) -> None:
    run = synthetic_open.write(tmp_path)
    trials = (run / "trials.jsonl").read_text().splitlines(keepends=True)
    (run / "trials.jsonl").write_text("".join(trials[:1]))
    said = report.loaded(run)[1]
    assert "The run is incomplete: it has 1 of 54 trials." in said["caveats"]
    assert "lwIP on DPDK (net_tap) has no valid trial." in [each.sentence for each in openloop_report.headlines(said)]
    assert report.write(run, tmp_path / "out")


def test_it_is_not_compared_with_others(tmp_path: Path) -> None:
    runs = [synthetic_open.write(tmp_path / name) for name in "ab"]
    with pytest.raises(UsageError, match="is of an open loop"):
        compare.write(runs, tmp_path / "out")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as there:
        report.write(synthetic_open.write(Path(there) / "run"), Path(there) / "out")
        for kind_ in KINDS:
            (GOLDEN / f"openloop.{kind_}").write_bytes((Path(there) / "out" / f"summary.{kind_}").read_bytes())
