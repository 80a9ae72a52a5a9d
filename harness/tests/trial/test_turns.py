# SPDX-License-Identifier: BSD-3-Clause
"""Loads that take turns: who is at work when, on a fake host, and what pauses do to the figures of wrk."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from harness.cli.bench import bench
from harness.errors import UsageError
from harness.plan import Plan, Workload, load_plan, load_wire, with_devices, with_self_comparisons
from harness.run import RunRequest
from harness.store import Histogram
from harness.tests.fixtures.serving_host import AT_WORK_SECONDS, LoadingProcess, REQUESTS, ServingHost, only_run
from harness.trial.load.base import Load, LoadResult, Pauses
from harness.trial.load.wrk import TOOL, corrected, uncorrected
from harness.trial.observe.cpu import ProcStat, cpu_seconds, in_all

TINY = {"CONNECTIONS": "8", "ROUNDS": "2", "CALIBRATE": "no", "CONTENDERS": "epoll,nginx,lwip"}


def run(host: ServingHost, directory: Path, resume: str = "", **settings: str) -> Any:
    order = RunRequest("tap", "" if resume else "quick", {} if resume else {**TINY, **settings}, resume=resume)
    bench(order, host, directory, directory / "out")
    return only_run(directory).trials


def planned(name: str, **settings: str) -> Plan:
    wire = with_self_comparisons(load_wire(name), ["lwip#2"])
    return load_plan("quick", wire, (0, 1), {"CONTENDERS": "epoll,lwip", **settings})


# --- turns --------------------------------------------------------------------------------------


class Watching(ServingHost):
    """Notes which loads, and which servers that poll, are at work at each look at the bytes received."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[list[int], list[str]]] = []

    def _bytes(self, pid: int) -> str:
        loads = [item.pid for item in self.processes if isinstance(item, LoadingProcess) and item.at_work]
        polling = [item.argv[0] for item in self.processes if item.argv[0].endswith("lwip_server")
                   and item.code is None and item.signals[-1:] != [19]]
        self.seen.append((loads, polling))
        return super()._bytes(pid)


class Stolen(ServingHost):
    """Its hypervisor takes CPU time at each look at the bytes received."""

    stolen = 0

    def _bytes(self, pid: int) -> str:
        self.stolen += 10_000
        self.files["/proc/stat"] = "".join(f"cpu{cpu} 0 0 0 0 0 0 0 {self.stolen} 0 0\n" for cpu in (0, 1))
        return super()._bytes(pid)


def test_one_load_is_at_work_at_a_time_and_who_polls_only_in_its_turn(tmp_path: Path, shown: list[Path]) -> None:
    host = Watching()
    before = host.state()
    trials = run(host, tmp_path)
    assert len(trials) == 6 and all(trial.valid for trial in trials) and host.state() == before
    assert max(len(loads) for loads, _ in host.seen) == 1
    names = {item.pid: item.argv for item in host.processes}
    for loads, polling in host.seen:
        of_lwip = [pid for pid in loads if "198.18.0.3" in names[pid][-1]]
        assert len(loads) == 0 or bool(polling) == bool(of_lwip)


def test_each_load_has_as_many_turns_and_ends_with_its_report(tmp_path: Path, shown: list[Path]) -> None:
    host = ServingHost()
    run(host, tmp_path, ROUNDS="1", TURN="250")
    loads = [item for item in host.processes if isinstance(item, LoadingProcess) and "3600s" in item.argv]
    assert len(loads) == 3
    for load in loads:
        names = [number for number in load.signals if number in (18, 19, 2)]
        assert names == [19, 18] * 3 + [2] and load.code == 0


def test_a_load_has_its_own_time_and_its_own_answers(tmp_path: Path, shown: list[Path]) -> None:
    host = ServingHost()
    for trial in run(host, tmp_path):
        assert trial.requests == REQUESTS and trial.load_tool == "wrk"
        assert 0 < trial.duration_seconds <= AT_WORK_SECONDS


def test_what_disturbs_one_has_all_run_again(tmp_path: Path, shown: list[Path]) -> None:
    trials = run(Stolen(), tmp_path, ROUNDS="1", CONTENDERS="epoll,nginx", ATTEMPTS="2")
    names = [trial.contender for trial in trials[:2]]
    assert {*names} == {"epoll", "nginx"} and all(trial.disturbed for trial in trials)
    assert [(trial.contender, trial.attempt) for trial in trials] == [(name, n) for n in (0, 1) for name in names]


def test_a_run_that_is_killed_leaves_nobody_paused(tmp_path: Path, shown: list[Path]) -> None:
    host = ServingHost()
    before = host.state()

    def interrupt(wrk: LoadingProcess) -> None:
        if "3600s" in wrk.argv:
            raise KeyboardInterrupt
    host.on_load = interrupt
    with pytest.raises(BaseException, match="interrupted"):
        run(host, tmp_path)
    assert host.state() == before and host.alive == {}
    again = ServingHost()
    assert len(run(again, tmp_path, resume=only_run(tmp_path).id)) == 6


# --- who takes turns ----------------------------------------------------------------------------


def test_turns_are_the_rule_where_loads_can_be_paused() -> None:
    assert planned("tap").turn_ms == 100 and planned("tap", TURN="30").turn_ms == 30
    assert planned("tap", TURN="0").turn_ms == 0 and planned("tap", CONTENDERS="lwip,lwip#2").turn_ms == 100


@pytest.mark.parametrize("wire, settings, why", [
    ("tap", {"RESTART": "trial"}, "contenders are started for each trial"),
    ("tap", {"CONTENDERS": "epoll"}, "there is one contender alone"),
    ("nginx", {"CONTENDERS": "nginx/kernel,nginx/lwip"}, "a program on the library cannot tell a pause from its own work"),
    ("redis", {"CONTENDERS": "redis/kernel,redis/lwip"}, "workload 'redis-set' has a load tool that cannot be paused"),
    ("tap", {"LOAD_TOOL": "h2load"}, "load tool h2load cannot be paused"),
    ("tap", {"BODY_SIZE": "1M", "CONNECTIONS": "8"}, "answers are so long that a turn's do not arrive in it"),
    ("shm-loadgen", {}, "contenders are started for each trial")])
def test_elsewhere_loads_come_one_after_the_other_and_to_ask_for_turns_is_an_error(
        wire: str, settings: dict[str, str], why: str) -> None:
    assert planned(wire, **settings).turn_ms == 0
    with pytest.raises(UsageError, match=f"TURN=100: no turns on wire '{wire}': {why}"):
        planned(wire, **settings, TURN="100")


def test_each_that_drives_a_tap_has_its_own() -> None:
    wire = load_wire("tap")
    names = ["lwip", "epoll", "floor"] if "floor" in wire.contenders else ["lwip", "epoll"]
    assert with_devices(wire, names[:2]) is wire
    two = with_devices(with_self_comparisons(wire, ["lwip#2"]), ["lwip", "epoll", "lwip#2"])
    first, second = two.contenders["lwip"], two.contenders["lwip#2"]
    assert first == wire.contenders["lwip"] and not first.excludes(second) and first.excludes(first)
    ends = [(item.endpoint.interface, item.endpoint.address, item.endpoint.mac, item.endpoint.kernel_mac)
            for item in (first, second)]
    assert ends == [("tap0", "198.18.0.3/24", "02:53:44:00:00:03", "02:53:44:00:01:03"),
                    ("tap1", "198.18.0.4/24", "02:53:44:00:00:04", "02:53:44:00:01:04")]
    assert two.hugepage_count == 2 * wire.hugepage_count
    words = second.command({"eal_memory": "", "port": "80", "body_size": "1", "max_connections": "9", "server_cores": "1"})
    assert "--vdev=net_tap0,iface=tap1,mac=02:53:44:00:01:04" in words and "198.18.0.4" in words


# --- the figures of wrk ---------------------------------------------------------------------------


def test_a_histogram_is_as_it_was_before_wrk_corrected_it() -> None:
    dice = random.Random(7)
    raw: dict[float, int] = {}
    for _ in range(3000):
        value = float(round(dice.lognormvariate(6, 1)))
        raw[value] = raw.get(value, 0) + 1
    for _ in range(40):
        value = float(dice.randint(100_000, 260_000))
        raw[value] = raw.get(value, 0) + 1
    for interval in (150, 900, 5000):
        told = corrected(raw, interval)
        assert sum(told.values()) > sum(raw.values())
        assert uncorrected(told, interval) == raw
    assert corrected(raw, 0) == raw == uncorrected(raw, 0)


def test_wrk_adds_those_that_would_have_been_sent_meanwhile() -> None:
    """As stats_correct of wrk 4.1: for 1,000 us with one each 300 us, at 700 and 400, but not at 100."""
    assert corrected({1000: 2}, 300) == {1000: 2, 700: 2, 400: 2}
    assert corrected({599: 1}, 300) == {599: 1} and corrected({600: 1}, 300) == {600: 1}


def result_of(latency: dict[float, int], requests: int, seconds: float) -> LoadResult:
    told: Histogram = tuple(sorted(latency.items()))
    return LoadResult(requests, requests * 39, seconds, {}, told, ProcStat("", ""))


def test_what_was_under_way_in_a_pause_is_in_no_latency_and_the_pauses_in_no_time() -> None:
    load = Load("198.18.0.2", 80, Workload("rps", "/", 1), connections=8, threads=1, seconds=1, held_up=True)
    # 10,000 requests in 1 s at work and 1 s of pauses: 9 of 100 ms or more, one request a connection in each
    raw: dict[float, int] = {800.0: 9_900, 1600.0: 28, 101_000.0: 40, 111_000.0: 32}
    told = corrected(raw, round(2_000_000 / (10_000 // 8)))
    result = TOOL.unpaused(result_of(told, 10_000, 2.0), load, Pauses(9, 1.0, 0.1))
    assert (result.requests, result.duration_seconds) == (10_000, 1.0) and result.requests_per_sec == 10_000
    assert max(value for value, _ in result.latency_us) == 1600
    assert dict(result.latency_us)[800.0] >= 9_900


def test_more_long_answers_than_pauses_explain_stay() -> None:
    load = Load("198.18.0.2", 80, Workload("rps", "/", 1), connections=8, threads=1, seconds=1, held_up=True)
    told = corrected({800.0: 9_900, 250_000.0: 100}, round(2_000_000 / (10_000 // 8)))
    result = TOOL.unpaused(result_of(told, 10_000, 2.0), load, Pauses(9, 1.0, 0.1))
    assert dict(result.latency_us)[250_000.0] == 100 - 9 * 8


def test_a_load_that_is_paused_lasts_until_it_is_told_to_end() -> None:
    load = Load("198.18.0.2", 80, Workload("rps", "/", 1), connections=8, threads=1, seconds=1, held_up=True)
    words = TOOL.command(load, Path("x"), [])
    assert words[words.index("--duration") + 1] == "3600s" and words[words.index("--timeout") + 1] == "10s"


# --- CPU time -------------------------------------------------------------------------------------


def test_cpu_time_of_turns_adds_up_and_what_is_between_them_is_not_in_it() -> None:
    def stat(user: int, system: int) -> str:
        return f"cpu  0 0 0 0 0 0 0 0 0 0\ncpu0 {user} 0 {system} 5 0 0 0 0 0 0\n"
    turns = [ProcStat(stat(100, 0), stat(110, 1)), ProcStat(stat(500, 7), stat(520, 9))]
    spent = cpu_seconds(in_all(turns), [0], [])["0"]
    assert (spent.user, spent.system) == (0.3, 0.03)
    assert cpu_seconds(in_all(turns[:1]), [0], []) == cpu_seconds(turns[0], [0], [])
