# SPDX-License-Identifier: BSD-3-Clause
"""A trial: the order of its acts, its record, and everything that makes it invalid or an error."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, Sequence, cast

import pytest

from harness.errors import ContenderError
from harness.trial.probe_protocol import Http, expected_body, expected_response
from harness.host import Process, Result
from harness.plan import LoadPoint, load_plan, Plan, TrialSpec, Workload
from harness.provision.provision import Provisioned
from harness.tests.fixtures.serving_host import REQUESTS, LoadingProcess, ServingHost
from harness.store import (
    Clock, CpuTime, Interference, MachineUse, Note, Problem, Reconcile, TrialRecord, from_json, to_json)
from harness.trial import Outcome, run_trial
from harness.trial.observe.sampler import Watch
from harness.tests.fixtures.wires import bare_wire

WIRE = bare_wire("tap")
PLAN = load_plan("quick", WIRE, (0, 1), {"DURATION": "2"})
RPS = Workload("rps", "/", 1)


class Journal:
    def __init__(self, host: ServingHost) -> None:
        self._host = host

    def process(self, process: Process) -> None:
        self._host.act(f"journal {process.pid}")


def trial(host: ServingHost, raw: Path, contender: str = "lwip", plan: Plan = PLAN,
          earlier: Sequence[TrialRecord] = ()) -> Outcome:
    up = Provisioned(WIRE, True, "", cast(Any, Journal(host)))
    spec = TrialSpec(contender, LoadPoint(8), 2, 1)
    return run_trial(host, WIRE, plan, spec, 5, up, raw, earlier)


def problems(host: ServingHost, raw: Path) -> list[dict[str, Any]]:
    record = trial(host, raw).record
    assert record.valid is (not record.problems)
    return [{"code": note.code, **note.values} for note in record.problems]


def test_acts_come_in_the_order_that_proves_before_it_measures(tmp_path: Path) -> None:
    host = ServingHost()
    trial(host, tmp_path / "raw")
    client = "ip netns exec stackduel-client"
    wrk = f"spawn {client} taskset -c 0 wrk --threads 1 --connections 8 --duration"
    expected = [
        "spawn ip netns exec stackduel-bridge taskset -c 1 ", "journal 100",
        "run ip netns exec stackduel-bridge ip link show dev tap0",
        f"run {client} ip neighbour flush all", f"run {client} ping -c 1 -W 0.05 -n 198.18.0.3",
        "connect stackduel-client 198.18.0.3:80",
        f"{wrk} 1s", "journal 101", "signal 100 SIGUSR1", f"{wrk} 2s", "journal 102", "signal 100 SIGUSR1",
        "connect stackduel-client 198.18.0.3:80", "signal 100 SIGTERM",
    ]
    assert len(host.calls) == len(expected)
    for call, start in zip(host.calls, expected):
        assert call.startswith(start)
    assert host.alive == {}


def test_record_has_every_field_with_its_figures(tmp_path: Path) -> None:
    host = ServingHost()
    zero = {"rx_dropped": 0, "tx_dropped": 0, "rx_errors": 0, "tx_errors": 0}
    host.counters = {"stackduel-client": {"lo": zero, "client0": zero}, "stackduel-bridge": {"tap0": zero}}
    outcome = trial(host, tmp_path / "raw")
    assert outcome.ports == {"server": {"driver": "net_tap"}}
    record = outcome.record
    assert record.started_at.endswith("Z")
    assert record == TrialRecord(
        contender="lwip", point=LoadPoint(8), round=2, sequence=5, threads=1,
        started_at=record.started_at, duration_seconds=2.0, requests=REQUESTS, requests_per_sec=500.0,
        bytes=39 * REQUESTS, latency_us={"p50": 10, "p90": 10, "p99": 10, "p999": 10, "max": 10},
        latency_histogram_us=((10, REQUESTS),),
        errors={"connect": 0, "read": 0, "write": 0, "status": 0, "timeout": 0},
        reconcile=Reconcile(2 * REQUESTS + 2, 2 * REQUESTS + 2, 2 * REQUESTS + 2, 16),
        cpu_seconds={"0": CpuTime("client", user=1.0), "1": CpuTime("server", user=1.0)},
        load_tool="wrk", cpu_us_per_request=2000.0, cycles_per_request=0.5, busy_share=0.25,
        server={"requests_parsed": REQUESTS, "responses_sent": REQUESTS, "accepts": 9, "refused": 0,
                "errors_http": 0, "cycles_busy": 500},
        dropped={"stackduel-client/client0": {"rx": 0, "tx": 0},
                 "stackduel-bridge/tap0": {"rx": 0, "tx": 0}},
        machine=MachineUse(0.0, 0.0))
    line = json.dumps(to_json(record))
    assert from_json(TrialRecord, json.loads(line), "x") == record


def test_a_lower_clock_than_in_a_like_trial_before_disturbs(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = ServingHost()
    record = trial(host, tmp_path).record
    slow, fast = (replace(record, machine=MachineUse(0.0, 0.0, mhz=Clock(mhz, mhz))) for mhz in (900, 3000))
    elsewhere = replace(fast, contender="epoll"), replace(fast, point=LoadPoint(8, server_cores=2))
    monkeypatch.setattr(Watch, "machine", lambda _: MachineUse(0.0, 0.0, mhz=Clock(1000.0, 1000.0)))
    assert not trial(host, tmp_path / "a", earlier=(slow, *elsewhere)).record.disturbed
    assert trial(host, tmp_path / "b", earlier=(slow, fast)).record.disturbed == (
        Note(Interference.CLOCK, {"mhz": 1000.0, "before_mhz": 3000}),)


def test_the_axes_of_a_load_point_are_those_of_its_trial(tmp_path: Path) -> None:
    host = ServingHost()
    plan = replace(PLAN, server_cpus=(1, 2), server_cores=(1, 2), body_sizes=(1, 3700))
    at = LoadPoint(8, server_cores=1, body_size_bytes=3700)
    up = Provisioned(WIRE, True, "", cast(Any, Journal(host)))
    host.response = expected_response(Workload("rps", "/", 3700))
    host.report = lambda report: report.update(bytes=len(host.response) * report["requests"])
    record = run_trial(host, WIRE, plan, TrialSpec("epoll", at, 0, 1), 0, up, tmp_path).record
    server = next(call for call in host.calls if "epoll_server" in call)
    assert "taskset -c 1 " in server and "--body-size 3700" in server
    assert record.valid and record.point == at and record.cpu_seconds["1"].role == "server"


def test_drops_during_the_load_are_counted(tmp_path: Path) -> None:
    host = ServingHost()
    zero = {"rx_dropped": 0, "tx_dropped": 0, "rx_errors": 0, "tx_errors": 0}
    host.counters = {"stackduel-bridge": {"tap0": dict(zero)}}
    drops = iter((1, 5))  # warm-up, load

    def drop(wrk: LoadingProcess) -> None:
        host.counters["stackduel-bridge"]["tap0"]["tx_dropped"] = next(drops)
    host.on_load = drop
    assert trial(host, tmp_path).record.dropped == {"stackduel-bridge/tap0": {"rx": 0, "tx": 4}}


def test_no_warmup_means_one_load_and_half_the_limit(tmp_path: Path) -> None:
    host = ServingHost()
    record = trial(host, tmp_path, plan=load_plan("quick", WIRE, (0, 1), {"WARMUP": "0"})).record
    assert sum("wrk" in call for call in host.calls) == 1
    assert record.reconcile.sent == REQUESTS + 2 and record.reconcile.in_flight_limit == 8


def shift(host: ServingHost, **counts: int) -> Callable[[LoadingProcess], None]:
    """A load during which the server's counters grow by so much more."""
    def add(wrk: LoadingProcess) -> None:
        assert host.serving is not None
        if "2s" in wrk.argv:
            for key, count in counts.items():
                host.serving.counters[key] += count
    return add


@pytest.mark.parametrize("counts, expected", [
    ({"requests_parsed": 17}, [{"code": Problem.COUNTS_DIFFER, "sent": 2002, "counter": "parsed",
                                "count": 2019, "limit": 16}]),
    ({"requests_parsed": -1}, [{"code": Problem.COUNTS_DIFFER, "sent": 2002, "counter": "parsed",
                                "count": 2001, "limit": 16}]),
    ({"responses_sent": 17}, [{"code": Problem.COUNTS_DIFFER, "sent": 2002, "counter": "answered",
                               "count": 2019, "limit": 16}]),
    ({"responses_sent": -1}, [{"code": Problem.COUNTS_DIFFER, "sent": 2002, "counter": "answered",
                               "count": 2001, "limit": 16}]),
    ({"requests_parsed": 16, "responses_sent": 16}, []),
    ({"accepts": -1}, [{"code": Problem.CONNECTIONS_MISSING, "arrived": 7, "expected": 8}]),
    ({"refused": 2}, [{"code": Problem.REFUSED, "count": 2}]),
    ({"errors_http": 1}, [{"code": Problem.HTTP_ERRORS, "count": 1}]),
])
def test_counts_must_reconcile(tmp_path: Path, counts: dict[str, int],
                               expected: list[dict[str, Any]]) -> None:
    host = ServingHost()
    host.on_load = shift(host, **counts)
    assert problems(host, tmp_path) == expected


@pytest.mark.parametrize("kind", ["connect", "read", "write", "status", "timeout"])
@pytest.mark.parametrize("phase, duration_us", [("load", 2_000_000), ("warm-up", 1_000_000)])
def test_errors_of_wrk_make_a_trial_invalid(tmp_path: Path, kind: str, phase: str,
                                            duration_us: int) -> None:
    host = ServingHost()

    def spoil(report: dict[str, Any]) -> None:
        if report["duration_us"] == duration_us:
            report["errors"][kind] = 3
    host.report = spoil
    assert problems(host, tmp_path) == [
        {"code": Problem.LOAD_ERRORS, "phase": phase, "kind": kind, "count": 3}]


@pytest.mark.parametrize("told_us, told", [(3_000_000, 3.0), (-28_000_000, -28.0)])
@pytest.mark.parametrize("phase, seconds", [("load", 2), ("warm-up", 1)])
def test_a_clock_that_jumps_makes_a_trial_invalid(tmp_path: Path, phase: str, seconds: int, told_us: int,
                                                  told: float) -> None:
    host = ServingHost()

    def jump(report: dict[str, Any]) -> None:
        if report["duration_us"] == seconds * 1_000_000:
            report["duration_us"] = told_us
    host.report = jump
    assert problems(host, tmp_path / "a") == [
        {"code": Problem.CLOCK_JUMPED, "phase": phase, "told_seconds": told, "seconds": seconds}]
    record = trial(host, tmp_path / "b").record
    assert (record.duration_seconds, record.requests_per_sec) == (2.0, 500.0)


@pytest.mark.parametrize("size", [REQUESTS * 39 - 1, (REQUESTS + 8) * 39 + 1])
def test_wrong_bytes_make_a_trial_invalid(tmp_path: Path, size: int) -> None:
    host = ServingHost()

    def spoil(report: dict[str, Any]) -> None:
        if report["duration_us"] == 2_000_000:
            report["bytes"] = size
    host.report = spoil
    assert problems(host, tmp_path) == [
        {"code": Problem.WRONG_BYTES, "requests": REQUESTS, "size": 39, "bytes": size}]


@pytest.mark.parametrize("requests, size", [(0, 16000), (3, 16000), (3, 29600)])
def test_a_load_too_short_for_an_answer_on_each_connection_says_what_helps(
        tmp_path: Path, requests: int, size: int) -> None:
    host = ServingHost()
    plan = replace(PLAN, body_sizes=(3700,))
    host.response = expected_response(Workload("rps", "/", 3700))

    def spoil(report: dict[str, Any]) -> None:
        report.update(bytes=len(host.response) * report["requests"])
        if report["duration_us"] == 2_000_000:
            report.update(requests=requests, bytes=size)
    host.report = spoil
    up = Provisioned(WIRE, True, "", cast(Any, Journal(host)))
    at = LoadPoint(8, body_size_bytes=3700)
    record = run_trial(host, WIRE, plan, TrialSpec("epoll", at, 0, 1), 0, up, tmp_path).record
    short = [note for note in record.problems if note.code is Problem.LOAD_TOO_SHORT]
    assert short == ([] if size == 29600 else [Note(Problem.LOAD_TOO_SHORT, {
        "seconds": 2.0, "turn_seconds": 3.7, "connections": 8})])
    assert Problem.NOTHING_ANSWERED not in {note.code for note in record.problems}


def test_not_one_answer_is_a_problem_and_no_division(tmp_path: Path) -> None:
    host = ServingHost()
    host.report = lambda report: report.update(requests=0, bytes=0, latency_us=[])
    record = trial(host, tmp_path).record
    assert not record.valid and Note(Problem.NOTHING_ANSWERED) in record.problems
    assert record.cpu_us_per_request is None and record.requests_per_sec == 0
    assert set(record.latency_us.values()) == {None}


@pytest.mark.parametrize("response, words", [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nX", "differs from byte 38: b'X' instead of b'0'"),
    (b"HTTP/1.1 200 ok\r\nContent-Length: 1\r\n\r\n0", "differs from byte 13"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n00", "differs from byte 39"),
    (b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 1\r\n\r\n0", "differs from byte 17"),
])
def test_a_wrong_byte_makes_a_trial_invalid(tmp_path: Path, response: bytes, words: str) -> None:
    host = ServingHost()
    host.response = response
    found = problems(host, tmp_path)
    assert [(each["code"], each["when"]) for each in found] == [
        (Problem.WRONG_ANSWER, "before"), (Problem.WRONG_ANSWER, "after")]
    assert words in found[0]["what"] and words in found[1]["what"]


@pytest.mark.parametrize("response, words", [
    (b"", "closed the connection after 0 bytes"),
    (b"HTTP/1.1 200 OK\r\nContent-Le", "closed the connection after 27 bytes"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n0", "closed the connection after 39 bytes"),
    (b"x" * 70000, "no end of head"),
])
def test_half_an_answer_is_an_error(tmp_path: Path, response: bytes, words: str) -> None:
    host = ServingHost()
    host.response = response
    with pytest.raises(ContenderError) as caught:
        trial(host, tmp_path)
    assert words in str(caught.value) and "198.18.0.3:80" in str(caught.value)
    assert host.alive == {} and not any("wrk" in call for call in host.calls)


def test_a_body_is_compared_to_the_last_byte() -> None:
    body = expected_body(3700)
    assert body[:24] == b"0000000\n0000001\n0000002\n" and len(body) == 3700
    assert expected_body(0) == b"" and expected_body(1) == b"0" and len(expected_body(8)) == 8
    workload = Workload("rps", "/", 3700)
    whole = expected_response(workload)
    assert Http().compare(whole, workload, True) == ""
    assert "differs from byte" in Http().compare(whole[:-1] + b"x", workload, True)
    assert f"({len(whole) - 1} bytes, expected {len(whole)})" in Http().compare(whole[:-1], workload, True)


def test_a_foreign_server_must_give_status_and_body_only() -> None:
    head = b"HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Length: 1\r\n\r\n"
    assert Http().compare(head + b"0", RPS, False) == ""
    assert "differs from byte 0" in Http().compare(head + b"1", RPS, False)
    assert "is not 200" in Http().compare(b"HTTP/1.1 404 Not Found\r\nContent-Length: 1\r\n\r\n0", RPS, False)


@pytest.mark.parametrize("entry, words", [
    ("02:00:00:00:00:99", "is at 02:00:00:00:00:99 and not at 02:53:44:00:00:03: somebody else"),
    ("", "is at no MAC"),
])
def test_somebody_elses_mac_is_an_error(tmp_path: Path, entry: str, words: str) -> None:
    host = ServingHost()
    del host.neighbours["198.18.0.3"]
    if entry:
        host.neighbours["198.18.0.3"] = entry
    with pytest.raises(ContenderError, match=words):
        trial(host, tmp_path)
    assert host.alive == {} and not any(call.startswith("connect ") for call in host.calls)


def test_no_answer_to_a_ping_is_an_error_after_waits_that_grow_to_a_second(tmp_path: Path) -> None:
    host = ServingHost()
    host.answers[("ip", "netns", "exec", "stackduel-client", "ping")] = Result(1, "", "")
    with pytest.raises(ContenderError, match="'lwip' does not answer a ping at 198.18.0.3"):
        trial(host, tmp_path)
    waits = [call.split(" -W ")[1].split()[0] for call in host.calls if "ping" in call]
    assert waits == ["0.05", "0.1", "0.2", "0.4", "1", "1"] and host.alive == {}
    assert sum("neighbour flush" in call for call in host.calls) == len(waits)


def test_a_contender_that_dies_under_load_ends_the_trial(tmp_path: Path) -> None:
    host = ServingHost()

    def die(wrk: LoadingProcess) -> None:
        assert host.serving is not None
        host.serving.code = -11
        (tmp_path / "lwip.stderr").write_text("double free\n")
        wrk.hangs = True
    host.on_load = die
    with pytest.raises(ContenderError, match="was killed by SIGSEGV under load; its last words: double free"):
        trial(host, tmp_path)
    assert host.processes[-1].argv[0] == "wrk" and host.processes[-1].code is not None


@pytest.mark.parametrize("code, said, words", [
    (1, "unable to connect to 198.18.0.3:80\n\n", r"wrk failed \(exit 1\): unable to connect"),
    (-6, "", r"wrk failed \(exit -6\): it said nothing"),
])
def test_a_load_tool_that_fails_is_an_error(tmp_path: Path, code: int, said: str, words: str) -> None:
    host = ServingHost()

    def fail(wrk: LoadingProcess) -> None:
        (tmp_path / "warmup.stderr").write_text(said)
        wrk.code = code
    host.on_load = fail
    with pytest.raises(ContenderError, match=words):
        trial(host, tmp_path)
    assert host.alive == {}


def test_a_load_tool_that_writes_no_report_is_an_error(tmp_path: Path) -> None:
    host = ServingHost()
    host.on_load = lambda wrk: (tmp_path / "warmup.json").unlink()
    with pytest.raises(ContenderError, match=r"wrk failed \(exit 0\)"):
        trial(host, tmp_path)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))])
def test_whatever_ends_a_trial_no_process_stays(tmp_path: Path, error: BaseException) -> None:
    host = ServingHost()

    def interrupt(wrk: LoadingProcess) -> None:
        raise error
    host.on_load = interrupt
    with pytest.raises(type(error)):
        trial(host, tmp_path)
    assert host.alive == {}


def test_words_and_reports_of_all_programs_stay(tmp_path: Path) -> None:
    trial(ServingHost(), tmp_path / "raw", contender="epoll")
    assert sorted(path.name for path in (tmp_path / "raw").iterdir()) == [
        "epoll.stderr", "epoll.stdout", "warmup.json", "warmup.stderr", "warmup.stdout", "wrk.json",
        "wrk.stderr", "wrk.stdout"]
    assert json.loads((tmp_path / "raw" / "wrk.json").read_text())["requests"] == REQUESTS


@pytest.mark.parametrize("phase, seconds", [("warm-up", 1), ("load", 2)])
def test_a_load_tool_that_does_not_end_makes_a_trial_invalid(tmp_path: Path, phase: str, seconds: int,
                                                             monkeypatch: pytest.MonkeyPatch) -> None:
    host, waited = ServingHost(), LoadingProcess.wait

    def wait(process: LoadingProcess, timeout: float) -> int:
        if f"{seconds}s" in process.argv and process.code is None:
            raise TimeoutError
        return waited(process, timeout)
    monkeypatch.setattr(LoadingProcess, "wait", wait)
    first, *counts = problems(host, tmp_path)
    assert first == {"code": Problem.OVERDUE, "phase": phase, "what": f"wrk did not end within {seconds + 30} s"}
    assert {problem["code"] for problem in counts} <= {Problem.COUNTS_DIFFER, Problem.CONNECTIONS_MISSING}
