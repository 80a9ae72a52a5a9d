# SPDX-License-Identifier: BSD-3-Clause
"""Several runs laid over one another."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.report import write_comparison
from harness.report.compare import short_names
from harness.report.report import loaded
from harness.tests.fixtures import synthetic
from harness.tests.report.test_report import Page, contents

ALL = {"compare.html", "compare.md", "compare.csv", "throughput.png", "throughput.svg", "gain.png",
       "gain.svg"}


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    """Two runs that share some load points, and one with a contender more."""
    return [synthetic.write(tmp_path / "a", run="a", connections=(1, 8, 64)),
            synthetic.write(tmp_path / "b", run="b", connections=(1, 64, 128), seed=2),
            synthetic.write(tmp_path / "c", run="c", connections=(8,), contenders=("epoll", "lwip", "uring"))]


def test_every_run_and_point_has_its_row(runs: list[Path], tmp_path: Path) -> None:
    files = write_comparison(runs, tmp_path / "out")
    assert {file.name for file in files} == ALL
    rows = list(csv.DictReader((tmp_path / "out" / "compare.csv").open()))
    assert len(rows) == 2 * 3 + 2 * 3 + 3
    assert {(row["run"], row["wire"]) for row in rows} == {("a", "tap"), ("b", "tap"), ("c", "tap")}
    markdown = (tmp_path / "out" / "compare.md").read_text()
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    assert len(lines) == 2 + 3 + 3 + 1 and len({line.count("|") for line in lines}) == 1
    assert lines[2].startswith("| 1 | a |") and lines[3].startswith("| 1 | b |")


@pytest.mark.png
def test_twice_the_same_bytes(runs: list[Path], tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_comparison(runs, tmp_path / name, ["tinyhttpd-lwip-dpdk"])
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert not any(str(tmp_path).encode() in data for data in contents(tmp_path / "one").values())


def test_the_page_stands_alone_and_says_what_is_not_tested(runs: list[Path], tmp_path: Path) -> None:
    write_comparison(runs, tmp_path / "out")
    page = Page((tmp_path / "out" / "compare.html").read_text())
    assert 'make compare RUNS="a b c"' in page.text
    assert len(page.pictures) == 2 and all(address.startswith("#") for address in page.addresses)


def test_different_wires_and_workloads_are_said(runs: list[Path], tmp_path: Path) -> None:
    for name, changes in (("plan.json", {"wire": "shm", "workload": {"name": "rps", "path": "/",
                                                                     "body_size_bytes": 3700}}),):
        path = runs[1] / name
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    write_comparison(runs[:2], tmp_path / "out")
    text = Page((tmp_path / "out" / "compare.html").read_text()).text
    assert "2 runs on different wires (tap and shm)" in text
    assert "rps, body of 1 byte and rps, body of 3,700 bytes" in text


def test_runs_of_one_contender_have_no_gain_chart(tmp_path: Path) -> None:
    alone = [synthetic.write(tmp_path / name, run=name, contenders=("lwip",)) for name in "ab"]
    files = write_comparison(alone, tmp_path / "out")
    assert {file.name for file in files} == ALL - {"gain.png", "gain.svg"}


def test_runs_that_sweep_different_axes_have_no_chart_in_common(runs: list[Path], tmp_path: Path) -> None:
    plan = json.loads((runs[0] / "plan.json").read_text())
    for place, axis in enumerate(({"connections": [64], "server_cpus": [1, 2], "server_cores": [1, 2]},
                                  {"connections": [1, 64]})):
        (runs[place] / "plan.json").write_text(json.dumps({**plan, **axis}))
        (runs[place] / "trials.jsonl").write_text("")
    with pytest.raises(UsageError, match="sweep different axes"):
        write_comparison(runs[:2], tmp_path / "out")


@pytest.mark.parametrize("which", [[], [0], [0, 0], [0, 1, 0]])
def test_fewer_than_two_different_runs_are_refused(runs: list[Path], tmp_path: Path,
                                                   which: list[int]) -> None:
    with pytest.raises(UsageError, match="compare needs two or more different runs"):
        write_comparison([runs[number] for number in which], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("workloads, names", [
    ([("bandwidth", 3700), ("bandwidth", 65536)], ["3,700 bytes", "65,536 bytes"]),
    ([("conns", 1), ("turns", 1)], ["conns", "turns"]), ([("rps", 1), ("rps", 1)], ["run-0", "run-1"]),
    ([("rps", 1), ("rps", 2), ("cps", 2)], ["run-0", "run-1", "run-2"])])
def test_a_run_goes_by_the_shortest_name_that_tells_it_apart(workloads: list[tuple[str, int]], names: list[str],
                                                            tmp_path: Path) -> None:
    like = loaded(synthetic.write(tmp_path / "run"))[1]
    summaries = [replace(like, run=f"run-{place}", workload=name, body_size_bytes=size)
                 for place, (name, size) in enumerate(workloads)]
    assert list(short_names(summaries).values()) == names
    elsewhere = [replace(summary, wire=f"w{place}") for place, summary in enumerate(summaries)]
    assert list(short_names(elsewhere)) == list(short_names(elsewhere).values())
