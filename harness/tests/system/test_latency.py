# SPDX-License-Identifier: BSD-3-Clause
"""Latency against offered load as a user measures it, on each kind of client that there is.

Every test ends with the machine as it was.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from harness.analyse import summarise
from harness.store import load_run
from harness.tests.system.test_bench import harness, one_line, records, run_directory, same_machine

__all__ = ["same_machine"]

SHORT = ("--set", "CONNECTIONS=8", "--set", "ROUNDS=1", "--set", "DURATION=1", "--set", "WARMUP=0",
         "--set", "CONTENDERS=epoll,lwip", "--set", "ATTEMPTS=1", "--set", "REPORT=no")


@pytest.mark.parametrize("wire, tool, report", [("tap", "openload", "yes"), ("shm", "openload", "no"),
                                                ("shm-loadgen", "loadgen", "no")])
def test_given_rates_end_with_a_report(tmp_path: Path, wire: str, tool: str, report: str) -> None:
    done = harness(tmp_path, "latency", "--wire", wire, "--rates", "500,1000", *SHORT, "--set", f"REPORT={report}")
    assert done.returncode == 0, done.stderr
    run = run_directory(tmp_path)
    trials = records(tmp_path)
    assert sorted((trial.contender, trial.point.offered_per_sec, trial.problems) for trial in trials) == [
        (name, rate, ()) for name in ("epoll", "lwip") for rate in (500, 1000)]
    intended = set()
    for trial in trials:
        # Poisson arrivals vary, by three standard deviations and more once in a thousand runs
        rate, schedule, median = trial.point.offered_per_sec, trial.open_loop, trial.latency_us["p50"]
        # loadgen has what came due while its core was another's, at the interval's end, as unsent
        assert schedule and rate - 5 * rate ** 0.5 < schedule.intended
        assert schedule.intended - schedule.unsent < rate + 5 * rate ** 0.5
        assert schedule.measured + schedule.unsent >= 0.9 * rate and median and median > 0
        if rate == 1000:
            intended.add(schedule.intended)
    assert len(intended) == 1 or tool == "loadgen", "both contenders are asked at the same times"
    facts = json.loads((run / "facts.json").read_text())
    assert facts["load_tool"]["name"] == tool and "saturation" not in facts
    open_loop = summarise(load_run(run)).open_loop
    assert open_loop is not None
    assert {name: [point.offered for point in entry.points] for name, entry in open_loop.contenders.items()} == {
        "epoll": [500, 1000], "lwip": [500, 1000]}
    if report == "yes":
        summary = json.loads((run / "summary.json").read_text())
        assert set(summary["open_loop"]["contenders"]) == {"epoll", "lwip"}
        assert {"report.html", "summary.md", "summary.csv"} <= set(os.listdir(tmp_path / "out" / run.name))


def test_saturation_is_found_and_the_rates_with_it(tmp_path: Path) -> None:
    done = harness(tmp_path, "latency", "--wire", "tap", "--loads", "50", *SHORT)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("saturation of ") == 2
    facts = json.loads((run_directory(tmp_path) / "facts.json").read_text())
    can = {name: entry["requests_per_sec"] for name, entry in facts["saturation"].items()}
    assert all(len(entry["trials"]) == 3 for entry in facts["saturation"].values()) and min(can.values()) > 100
    assert load_run(run_directory(tmp_path)).plan.offered[-1] == pytest.approx(max(can.values()) / 2, rel=0.01)


@pytest.mark.parametrize("arguments, word", [
    (("--wire", "tap", "--rates", "0"), "RATES=0"), (("--wire", "tap", "--set", "CONNECTIONS=1,8"), "at one number")])
def test_silly_values(tmp_path: Path, arguments: tuple[str, ...], word: str) -> None:
    done = harness(tmp_path, "latency", *arguments)
    assert done.returncode == 2 and word in one_line(done.stderr)
