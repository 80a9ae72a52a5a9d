# SPDX-License-Identifier: BSD-3-Clause
"""bench-app as its user has it, on both stacks: short runs of redis and nginx, to their reports."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.tests.system.conftest import ROOT


def bench(directory: Path, app: str, *settings: str) -> subprocess.CompletedProcess[str]:
    words = [word for setting in ("CONNECTIONS=8", "ROUNDS=1", "DURATION=1", "ATTEMPTS=1", *settings)
             for word in ("--set", setting)]
    return subprocess.run([sys.executable, "-m", "harness.tests.system.elsewhere", str(directory), "bench", "--wire", app,
                           "--plan", "quick", *words], cwd=ROOT, capture_output=True, text=True, timeout=300)


def records(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "trials.jsonl").read_text().splitlines()]


def assert_sound(run: Path, out: Path, app: str, limit: int, connections: tuple[int, ...] = (8,)) -> None:
    """Every trial is valid, and the server counted what its clients had, but for `limit` a connection and load."""
    trials = records(run)
    assert {trial["contender"] for trial in trials} == {
        f"{app}/kernel", f"{app}/spin", f"{app}/lwip"}
    assert len(trials) == 3 * len(connections)
    for trial in trials:
        assert not trial.get("problems"), trial
        counts = trial["reconcile"]
        assert 0 <= counts["answered"] - counts["sent"] <= limit * 2 * trial["point"]["connections"], counts
        assert trial["requests"] > 0 and trial["latency_us"]["p50"] > 0 and trial["cpu_us_per_request"] > 0
        assert (trial.get("busy_share") is None) == (trial["contender"] != f"{app}/lwip")
    summary = json.loads((out / run.name / "summary.json").read_text())
    assert [point["at"]["connections"] for point in summary["points"]] == list(connections)
    for point in summary["points"]:
        gain, = (gain for gain in point["gains"]
                 if (gain["contender"], gain["over"]) == (f"{app}/lwip", f"{app}/kernel"))
        assert gain["rounds"] == 1
    page = (out / run.name / "report.html").read_text()
    assert "Both ends differ, not only the server: " in page and f"make bench-app APP={app} WORKLOAD=" in page
    assert json.loads((run / "facts.json").read_text())["versions"]["programs"], "no version of a program of others"


def test_redis_on_both_stacks_from_set_to_the_comparison(tmp_path: Path) -> None:
    done = bench(tmp_path, "redis")
    assert done.returncode == 0, done.stderr
    runs = sorted((tmp_path / "runs").iterdir())
    assert [run.name[16:] for run in runs] == ["redis-set", "redis-get"]
    for run in runs:
        assert_sound(run, tmp_path / "out", "redis", 0)
        for raw in (run / "raw").iterdir():
            assert {"calibration.json", "warmup.json", "redis-benchmark.json"} <= {file.name for file in raw.iterdir()}
    page = (tmp_path / "out" / f"compare-{runs[0].name}-{runs[1].name}" / "compare.md").read_text()
    assert "gain redis/lwip over redis/kernel" in page and all(run.name in page for run in runs)


@pytest.mark.parametrize("settings", [["WORKLOAD=redis-get", "BODY_SIZE=20K", "WARMUP=0", "CONNECTIONS=1"]])
def test_one_workload_of_redis_with_values_of_many_segments(tmp_path: Path, settings: list[str]) -> None:
    done = bench(tmp_path, "redis", *settings)
    assert done.returncode == 0, done.stderr
    run, = (tmp_path / "runs").iterdir()
    assert_sound(run, tmp_path / "out", "redis", 0, (1,))
    assert all(trial["bytes"] == trial["requests"] * (len("$20480\r\n\r\n") + 20480) for trial in records(run))


@pytest.mark.parametrize("size", ["100K"])
def test_nginx_on_both_stacks(tmp_path: Path, size: str) -> None:
    done = bench(tmp_path, "nginx", f"BODY_SIZE={size}", "CONNECTIONS=1,8", "WARMUP=0")
    assert done.returncode == 0, done.stderr
    run, = (tmp_path / "runs").iterdir()
    assert_sound(run, tmp_path / "out", "nginx", 1, (1, 8))
    left = {file.name for raw in (run / "raw").iterdir() for file in raw.iterdir()}
    assert "nginx.conf" in left and "nginx.pid" not in left


@pytest.mark.parametrize("app", ["", "APP=memcached", "APP=tap"])
def test_another_program_is_refused(app: str) -> None:
    done = subprocess.run(["make", "-s", "-C", str(ROOT), "bench-app", "DRY_RUN=1", *app.split()], capture_output=True,
                          text=True)
    assert done.returncode == 2 and "which program? APP=redis or APP=nginx" in done.stderr


@pytest.mark.parametrize("app, trials", [("redis", 2), ("nginx", 1)])
def test_a_rehearsal_changes_nothing(app: str, trials: int) -> None:
    done = subprocess.run(["make", "-s", "-C", str(ROOT), "bench-app", f"APP={app}", "PLAN=quick", "DRY_RUN=1"],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("# between them: plan quick") == trials
