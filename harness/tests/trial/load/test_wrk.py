# SPDX-License-Identifier: BSD-3-Clause
"""wrk's command line and its report: recorded ones, and everything that is not one."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from harness.errors import ContenderError
from harness.store import rounded
from harness.trial.load.base import Load, choose_tool
from harness.trial.load.wrk import SCRIPT, Wrk
from harness.plan import Workload, WORKLOADS

LOAD = Load("198.18.0.2", 80, Workload("rps", "/", 1), 64, 4, 3)
RECORDED = (Path(__file__).parents[2] / "data" / "wrk.json").read_text()


def test_command_names_threads_connections_seconds_and_the_script() -> None:
    assert Wrk().command(LOAD, Path("/x/wrk.json"), ["run-in", "-c"]) == [
        "run-in", "-c", "wrk", "--threads", "4", "--connections", "64", "--duration", "3s", "--script", str(SCRIPT),
        "http://198.18.0.2:80/"]
    assert SCRIPT.is_file()


def test_report_goes_to_the_file_that_the_script_looks_for() -> None:
    assert Wrk().environment(Path("/x/wrk.json")) == {"STACKDUEL_WRK_JSON": "/x/wrk.json"}
    assert 'os.getenv("STACKDUEL_WRK_JSON")' in SCRIPT.read_text()


def test_a_recorded_report_is_read_whole() -> None:
    result = Wrk().parse(RECORDED)
    assert (result.requests, result.bytes) == (77718, 3031002)
    assert result.bytes == result.requests * 39
    assert result.duration_seconds == 1.001527
    assert result.requests_per_sec == 77599.51
    assert result.errors == {"connect": 0, "read": 0, "write": 0, "status": 0, "timeout": 0}
    assert sum(count for _, count in result.latency_us) >= result.requests
    assert list(result.latency_us) == sorted(result.latency_us)
    assert all("cpu0 " in text and "cpu1 " in text for text in asdict(result.proc_stat).values())


def test_percentiles_are_of_the_histogram() -> None:
    result = Wrk().parse(changed(latency_us=[[1, 50], [5, 40], [9, 9], [200, 1]]))
    assert result.percentiles_us == {"p50": 1, "p90": 5, "p99": 9, "p999": 200, "max": 200}


def test_no_answer_has_no_percentile() -> None:
    result = Wrk().parse(changed(requests=0, bytes=0, latency_us=[]))
    assert result.requests_per_sec == 0
    assert set(result.percentiles_us.values()) == {None}


def changed(**fields: Any) -> str:
    return json.dumps({**json.loads(RECORDED), **fields})


@pytest.mark.parametrize("text", [
    "", "{", "[]", "null", "{}", changed(requests=-1), changed(requests=1.5), changed(requests=True),
    changed(errors={"connect": 0}), changed(latency_us=[[1]]), changed(latency_us=[[1, -2]]),
    changed(proc_stat=None), changed(steady_seconds=None),
    RECORDED[:len(RECORDED) // 2],
])
def test_what_is_no_report_is_said_so(text: str) -> None:
    with pytest.raises(ContenderError, match="wrk wrote no usable report") as caught:
        Wrk().parse(text)
    assert "\n" not in str(caught.value)


def test_a_load_that_took_no_time_is_refused() -> None:
    with pytest.raises(ContenderError, match="its duration is 0"):
        Wrk().parse(changed(steady_seconds=0))


@pytest.mark.parametrize("told", [2_001_527, 701_527, 0, -28_998_473, 18_446_744_073_680_000_000])
def test_a_clock_that_was_set_meanwhile_is_not_believed(told: int) -> None:
    result = Wrk().parse(changed(duration_us=told))
    assert (result.duration_seconds, result.told_seconds) == (1.01, told / 1e6)
    assert result.requests_per_sec == round(77718 / 1.01, 2)
    assert Wrk().parse(changed(duration_us=1_100_000)).told_seconds is None


@pytest.mark.parametrize("connections, size, seconds, patient, timeout", [
    (64, 1, 3, False, None), (64, 65536, 3, False, None), (32, 64 << 20, 5, False, 6), (1, 64 << 20, 5, False, 6),
    (64, 1, 3, True, 4), (64, 1, 1, True, 2), (32, 64 << 20, 600, False, 120), (64, 1, 600, True, 120)])
def test_the_time_out_follows_the_load(connections: int, size: int, seconds: int, patient: bool,
                                       timeout: int | None) -> None:
    words = Wrk().command(Load("198.18.0.2", 80, Workload("rps", "/", size), connections, 1, seconds, patient),
                          Path("/x"), [])
    assert (words[words.index("--timeout") + 1] if "--timeout" in words else None) == (timeout and f"{timeout}s")


def test_rounding_keeps_counts_order_and_three_digits() -> None:
    histogram = [(999, 1), (1000, 2), (1004, 3), (1005, 4), (1014, 5), (9996, 6), (123456, 7), (123499, 8)]
    assert rounded(histogram) == ((999, 1), (1000, 5), (1010, 9), (10000, 6), (123000, 15))
    assert rounded([]) == ()


def test_a_connection_for_each_request_is_asked_for_by_its_header() -> None:
    load = Load("198.18.0.2", 80, WORKLOADS["cps"], 8, 1, 3)
    words = Wrk().command(load, Path("/x/wrk.json"), [])
    assert words[-3:] == ["--header", "Connection: close", "http://198.18.0.2:80/"]
    assert choose_tool(load.workload).name == "wrk" and Wrk().in_flight(load) == 8


def test_parts_of_microseconds_stay_and_long_times_are_rounded() -> None:
    assert rounded([(1.25, 3), (999.9, 1), (1000.4, 2), (1004.9, 1), (12345.6, 1)]) == (
        (1.25, 3), (999.9, 1), (1000, 3), (12300, 1))
