# SPDX-License-Identifier: BSD-3-Clause
"""h2load: its command line, the program that runs it (a stand-in for h2load on PATH), its report."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import ContenderError
from harness.plan import WORKLOADS
from harness.trial.load.base import Load
from harness.trial.load import h2load
from harness.trial.load.h2load import ROOT, TOOL

LOAD = Load("198.18.0.2", 80, WORKLOADS["rps"], 64, 2, 3)
# as h2load 1.52 prints it
PRINTED = """Main benchmark duration is started for thread #0.
Main benchmark duration is over for thread #0. Stopping all clients.

finished in 3.00s, 1.33 req/s, 52B/s
requests: {done} total, 6 started, 4 done, {good} succeeded, {failed} failed, 0 errored, 0 timeout
status codes: 3 2xx, 0 3xx, 0 4xx, {errors} 5xx
traffic: 156B (156) total, 60B (60) headers (space savings 0.00%), 4B (4) data
"""
STAND_IN = """#!/bin/sh
for word; do case $word in --log-file=*) log=${{word#*=}};; esac; done
printf '1\\t200\\t30\\n2\\t200\\t10\\n3\\t200\\t30\\n4\\t200\\t1500\\n5\\t-1\\t9\\n' > $log
cat <<'END'
{printed}END
exit {code}
"""


def run(directory: Path, code: int = 0, printed: str = "", **counts: int) -> tuple[int, Path]:
    counts = {"done": 4, "good": 4, "failed": 0, "errors": 0, **counts}
    program = directory / "h2load"
    program.write_text(STAND_IN.format(printed=printed or PRINTED.format(**counts), code=code))
    program.chmod(0o755)
    report = directory / "h2load.json"
    done = subprocess.run(TOOL.command(LOAD, report, []), timeout=60, capture_output=True, env={
        **os.environ, **TOOL.environment(report), "PATH": f"{directory}:{os.environ['PATH']}"})
    return done.returncode, report


def test_how_it_is_called() -> None:
    assert TOOL.command(LOAD, Path("/x/load.json"), ["on-lwip", "--"]) == [
        sys.executable, h2load.__file__, "/x/load.json", "/x/load.log", "3",
        "on-lwip", "--", "h2load", "--h1", "--clients", "64", "--threads", "2", "--duration", "3",
        "--log-file=/x/load.log", "http://198.18.0.2:80/"]
    assert TOOL.environment(Path("/x")) == {"PYTHONPATH": str(ROOT)} and TOOL.in_flight(LOAD) == 64


def test_what_it_logged_is_a_histogram_of_all_answers(tmp_path: Path) -> None:
    code, report = run(tmp_path)
    result = TOOL.parse(report.read_text())
    assert code == 0 and (result.requests, result.bytes, result.duration_seconds) == (4, 156, 3)
    assert result.latency_us == ((10, 1), (30, 2), (1500, 1)), "a request without an answer has no time"
    assert result.percentiles_us == {"p50": 30, "p90": 1500, "p99": 1500, "p999": 1500, "max": 1500}
    assert result.errors == {"status": 0, "failed": 0} and "cpu0 " in result.proc_stat.after
    assert not report.with_suffix(".log").exists()


def test_answers_that_are_errors_and_failures_are_told_apart(tmp_path: Path) -> None:
    _, report = run(tmp_path, good=1, failed=3, errors=2)
    assert TOOL.parse(report.read_text()).errors == {"status": 2, "failed": 1}


@pytest.mark.parametrize("code, printed", [(3, ""), (0, "no account of a load\n")])
def test_without_an_account_there_is_no_report(tmp_path: Path, code: int, printed: str) -> None:
    ended, report = run(tmp_path, code, printed)
    assert ended == (code or 1) and not report.exists()


@pytest.mark.parametrize("change", [{"requests": -1}, {"errors": {}}, {"latency_us": [[1]]}])
def test_what_is_no_report_is_said_so(tmp_path: Path, change: dict[str, object]) -> None:
    report = {"requests": 1, "bytes": 1, "duration_seconds": 1, "errors": {"status": 0, "failed": 0},
              "latency_us": [[1, 1]], "proc_stat": {"before": "", "after": ""}}
    assert TOOL.parse(json.dumps(report)).requests == 1
    with pytest.raises(ContenderError, match="^h2load wrote no usable report"):
        TOOL.parse(json.dumps({**report, **change}))
