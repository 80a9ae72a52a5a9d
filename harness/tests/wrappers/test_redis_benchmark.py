# SPDX-License-Identifier: BSD-3-Clause
"""redis-benchmark as a load tool: recorded accounts, everything that is not one, and the program that runs it."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.errors import ContenderError
from harness.trial.load.base import Load, choose_tool
from harness.trial.load.redis_benchmark import (
    CALIBRATION_REQUESTS, MOST_REQUESTS, WRAPPER as REDIS_LOAD, RedisBenchmark)
from harness.plan import Workload

DATA = Path(__file__).parents[1] / "data"
SET, GET = ((DATA / f"redis-benchmark-{test}.json").read_text() for test in ("set", "get"))
TOOL = RedisBenchmark()


def load(test: str = "set", connections: int = 50, threads: int = 1, seconds: int = 3) -> Load:
    return Load("198.18.0.2", 6379, Workload(f"redis-{test}", "", 3), connections, threads, seconds)


def changed(old: str, new: str, **fields: float) -> str:
    data = json.loads(SET)
    assert old in data["text"]
    return json.dumps({**data, "text": data["text"].replace(old, new), **fields})


def test_set_and_get_are_two_workloads_of_one_tool() -> None:
    assert choose_tool(load("set").workload) is choose_tool(load("get").workload)
    assert choose_tool(load().workload).name == "redis-benchmark" and TOOL.in_flight(load()) == 0


def test_the_first_load_is_of_a_fixed_number(tmp_path: Path) -> None:
    command = TOOL.command(load("get", 8, 2, 0), tmp_path / "calibration.json", ["run-in", "-c"])
    assert command == [sys.executable, str(REDIS_LOAD), str(tmp_path / "calibration.json"), "run-in", "-c",
                       "redis-benchmark", "-h", "198.18.0.2", "-p", "6379", "-t", "get", "-c", "8", "--threads", "2",
                       "-d", "3", "-n", str(CALIBRATION_REQUESTS)]


def test_the_first_load_is_not_longer_for_large_values(tmp_path: Path) -> None:
    large = replace(load("get", 8, 1, 0), workload=Workload("redis-get", "", 4 << 20))
    assert TOOL.command(large, tmp_path / "calibration.json", [])[-1] == "64"
    assert TOOL.command(replace(large, connections=100), tmp_path / "calibration.json", [])[-1] == "100"


def test_each_load_is_as_long_as_the_one_before_it_had_the_rate_for(tmp_path: Path) -> None:
    def requests(name: str, seconds: int, connections: int = 50) -> int:
        return int(TOOL.command(load("set", connections, 1, seconds), tmp_path / name, [])[-1])
    with pytest.raises(ContenderError, match="no load from which the rate"):
        requests("warmup.json", 1)
    (tmp_path / "calibration.json").write_text(GET)
    assert requests("warmup.json", 1) == 84_888 and requests("redis-benchmark.json", 2) == 169_776
    (tmp_path / "warmup.json").write_text(SET)
    assert requests("warmup.json", 1) == 84_888, "an older report of its own is not the load before it"
    assert requests("redis-benchmark.json", 3) == 2_747_172
    assert requests("redis-benchmark.json", 3600) == MOST_REQUESTS
    (tmp_path / "warmup.json").write_text(changed("summary: 915723.88", "summary: 2.50", steady_seconds=413_907.2))
    assert requests("redis-benchmark.json", 2) == 50, "at least one a connection"


def test_a_recorded_account_is_read_whole() -> None:
    result = TOOL.parse(SET)
    assert (result.requests, result.bytes) == (1_034_768, 5 * 1_034_768)
    assert result.requests_per_sec == 915723.88
    assert result.duration_seconds == pytest.approx(1.13, abs=0.0005)
    assert result.errors == {}
    assert all("cpu0 " in text and "cpu1 " in text for text in asdict(result.proc_stat).values())
    assert TOOL.parse(GET).bytes == len("$3\r\nxxx\r\n") * 84_803


@pytest.mark.parametrize("text", [SET, GET])
def test_the_histogram_holds_every_request_and_its_percentiles_are_those_printed(text: str) -> None:
    result = TOOL.parse(text)
    printed = [round(float(word) * 1000) for word in json.loads(text)["text"].split()[-6:]]
    assert sum(count for _, count in result.latency_us) == result.requests
    assert list(result.latency_us) == sorted(result.latency_us)
    latency = result.percentiles_us
    assert [latency["p50"], latency["p99"], latency["max"]] == [printed[2], printed[4], printed[5]]
    assert latency["p90"] is not None and printed[2] <= latency["p90"] <= printed[3]
    assert latency["p999"] is not None and printed[4] <= latency["p999"] <= printed[5]


def test_two_tests_in_one_account_or_a_foreign_one_are_refused() -> None:
    with pytest.raises(ContenderError, match="no usable report"):
        TOOL.parse(changed("====== SET ======", "====== PING_INLINE ======"))


def without(key: str) -> str:
    return json.dumps({name: value for name, value in json.loads(SET).items() if name != key})


@pytest.mark.parametrize("text", [
    "", "{", "[]", "null", "{}", without("text"), without("proc_stat"), SET[:len(SET) // 2],
    changed("requests completed in", "requests"), changed("1034768 requests", "0 requests"),
    changed("throughput summary: 915723.88", "throughput summary: 0.00"), changed("bytes payload", "bytes"),
    changed("throughput summary: 915723.88", "throughput summary: nan"), changed("p99       max\n", "p99\n"),
])
def test_what_is_no_account_is_said_so(text: str) -> None:
    with pytest.raises(ContenderError, match="redis-benchmark wrote no usable report") as caught:
        TOOL.parse(text)
    assert "\n" not in str(caught.value)


def run(tmp_path: Path, script: str) -> tuple[subprocess.CompletedProcess[str], Any]:
    """wrappers/redis_benchmark.py with a shell script in the place of redis-benchmark; its report, None without one."""
    report = tmp_path / "report.json"
    done = subprocess.run([sys.executable, str(REDIS_LOAD), str(report), "sh", "-c", script], capture_output=True,
                          timeout=60)
    words = subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())
    return words, json.loads(report.read_text()) if report.exists() else None


def test_the_program_keeps_the_account_and_the_cpu_times_of_the_load(tmp_path: Path) -> None:
    script = r"""printf '\rSET: rps=0.0'; awk 'BEGIN { while (i < 3e6) i++ }'; printf '\r====== SET ======\n  x\n'
                 awk 'BEGIN { while (i < 3e6) i++ }'; echo end"""
    done, report = run(tmp_path, script)
    assert done.returncode == 0 and done.stdout == "\rSET: rps=0.0\r====== SET ======\n  x\nend\n"
    assert report["text"] == "====== SET ======\n  x\nend\n"
    before, after = (sum(map(int, report["proc_stat"][when].split("\n")[0].split()[1:])) for when in ("before", "after"))
    assert after > before and 0 < report["steady_seconds"] < 60


@pytest.mark.parametrize("rate, told", [("487992.42", 2.12), ("-35842.74", -28.87), ("inf", 0)])
def test_a_clock_that_was_set_meanwhile_is_not_believed(rate: str, told: float) -> None:
    result = TOOL.parse(changed("summary: 915723.88", f"summary: {rate}"))
    assert result.duration_seconds == 1.13 and result.requests_per_sec == pytest.approx(915_724, rel=0.001)
    assert result.told_seconds == pytest.approx(told, abs=0.005)
    assert TOOL.parse(SET).told_seconds is None


@pytest.mark.parametrize("script, code", [
    ("echo '====== SET ======'; exit 5", 5), ("echo nothing", 1), ("exit 0", 1), ("echo '======'; kill -9 $$", 9),
    ("echo 'Error from server: READONLY' >&2; exit 1", 1)])
def test_without_an_account_there_is_no_report(tmp_path: Path, script: str, code: int) -> None:
    done, report = run(tmp_path, script)
    assert (done.returncode, report) == (code, None)
    assert ("READONLY" in script) == ("READONLY" in done.stderr)


def test_the_launcher_s_refusal_keeps_its_code(tmp_path: Path) -> None:
    done, report = run(tmp_path, "echo 'on-lwip: no' >&2; exit 3")
    assert (done.returncode, report, done.stderr) == (3, None, "on-lwip: no\n")
