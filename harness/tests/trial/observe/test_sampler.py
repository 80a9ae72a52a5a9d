# SPDX-License-Identifier: BSD-3-Clause
"""What is read of the machine around a load and while it lasts, on machines that lack any of it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.store import Unsettled
from harness.trial.observe import sampler as sampling
from harness.plan import load_plan
from harness.trial.observe.sampler import Watch, clocks, interface_bytes, sample
from harness.tests.fixtures.fake_host import FakeHost
from harness.tests.fixtures.serving_host import REQUESTS, STAT, LoadingProcess, ServingHost, write_counters
from harness.tests.trial.observe.test_interference import stat
from harness.tests.trial.test_trial import WIRE, trial
from harness.plan import load_wire
from harness.plan import Contender

DEV = ("Inter-|   Receive                                                |  Transmit\n"
       " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop\n"
       "    lo:      5       1    0    0    0     0          0         0       5       1    0    0\n"
       "client0: {0}      12    0    0    0     0          0         0    777       9    0    0\n")
CPU = "/sys/devices/system/cpu"


def process(host: FakeHost, pid: int, text: str) -> None:
    host.directories.add(f"/proc/{pid}")
    host.files[f"/proc/{pid}/stat"] = text


def test_a_sample_has_all_that_the_machine_tells() -> None:
    host, own = FakeHost(), os.getpid()
    # in a process namespace of its own this process may have any number, 7 too
    other = own + 2
    host.files["/proc/stat"] = STAT.format(300)
    process(host, own, stat(own, "python3", 1, (50, 0, 150, 0)))
    process(host, own + 1, stat(own + 1, "wrk", own, (100, 0, 0, 0)))
    process(host, other, stat(other, "cc1", 1, (25, 0, 0, 0)))
    host.directories.add(f"/proc/{own + 3}")
    for cpu in (0, 1):
        host.files[f"{CPU}/cpu{cpu}/thermal_throttle/core_throttle_count"] = "2\n"
    host.files[f"{CPU}/cpu0/thermal_throttle/package_throttle_count"] = "1\n"
    host.files["/proc/pressure/cpu"] = "some avg10=0.00 avg60=0.00 avg300=0.00 total=2500000\n"
    seen = sample(host, (0, 1))
    assert seen.work.ours == 3.0 and seen.work.others == {other: ("cc1", 0.25)}
    assert seen.throttled == 5 and seen.pressure_seconds == 2.5 and seen.cpus[1]["user"] == 3.0
    assert host.calls == []


def test_a_machine_that_tells_little_is_sampled_all_the_same() -> None:
    host = FakeHost()
    host.files["/proc/stat"] = STAT.format(0)
    seen = sample(host, (0,))
    assert (seen.throttled, seen.pressure_seconds, seen.work.others) == (None, None, {})


@pytest.mark.parametrize("files, mhz", [
    ({f"{CPU}/cpu0/cpufreq/scaling_cur_freq": "2400000\n", f"{CPU}/cpu1/cpufreq/scaling_cur_freq": "3100500\n",
      "/proc/cpuinfo": "processor\t: 0\ncpu MHz\t\t: 1.0\n"}, [2400.0, 3100.5]),
    ({"/proc/cpuinfo": "processor\t: 0\ncpu MHz\t\t: 2596.148\n\nprocessor\t: 1\ncpu MHz\t\t: 2000.000\n\n"
                       "processor\t: 2\ncpu MHz\t\t: 1.0\n"}, [2596.148, 2000.0]),
    ({"/proc/cpuinfo": "processor\t: 0\nBogoMIPS\t: 50.00\n"}, []), ({}, [])])
def test_clocks(files: dict[str, str], mhz: list[float]) -> None:
    host = FakeHost()
    host.files.update(files)
    assert clocks(host, (0, 1)) == mhz


def test_bytes_of_an_interface_in_the_namespace_of_a_process() -> None:
    host = FakeHost()
    assert interface_bytes(host, 9, "client0", 0) is None
    host.files["/proc/9/net/dev"] = DEV.format(123456)
    assert interface_bytes(host, 9, "client0", 0) == 123456 and interface_bytes(host, 9, "client0", 8) == 777
    # before `ip netns exec` has entered it, a process is in ours
    assert interface_bytes(host, 9, "client1", 0) is None


@pytest.mark.parametrize("wire, contender, counted", [
    ("tap", "epoll", ("client0", 0, False)), ("tap", "lwip", ("client0", 0, False)),
    ("afpacket", "lwip", ("client0", 0, False)), ("shm", "epoll", ("client0", 0, False)),
    ("shm", "lwip", ("", 0, False)),
    ("shm-loadgen", "epoll", ("server0", 8, True)), ("shm-loadgen", "lwip", ("", 0, False))])
def test_where_answers_are_counted(wire: str, contender: str, counted: tuple[str, int, bool]) -> None:
    assert sampling._counted(load_wire(wire).contenders[contender], False) == counted


def test_with_clients_elsewhere_the_servers_end_is_counted_where_its_kernel_has_one() -> None:
    contenders = load_wire("tap").contenders
    assert sampling._counted(contenders["epoll"], True) == ("server0", 8, True)
    assert sampling._counted(contenders["lwip"], True)[0] == ""


def watch(host: FakeHost, raw: Path, contender: Contender = WIRE.contenders["epoll"]) -> Watch:
    return Watch(host, contender, (0, 1), 55, raw)


def test_ticks_that_come_at_once_are_one(tmp_path: Path) -> None:
    host = FakeHost()
    host.files["/proc/9/net/dev"] = DEV.format(1)
    looking = watch(host, tmp_path)
    tick = looking.tick("wrk")
    tick(9)
    tick(9)
    looking.ended("wrk")
    assert len(looking.series("wrk").times) == 1 and looking.series("never").times == []


def test_a_program_under_the_library_is_followed_by_its_counters(tmp_path: Path) -> None:
    host = FakeHost()
    looking = watch(host, tmp_path, load_wire("shm").contenders["lwip"])
    tick = looking.tick("wrk")
    tick(9)
    write_counters(tmp_path / "wrk.counters", {"bytes_received": 4711})
    tick(9)
    assert list(looking.series("wrk").totals) == [4711]


def followed(host: ServingHost, monkeypatch: pytest.MonkeyPatch, grow: Any) -> None:
    """Each wrk is waited for 32 times, a tenth of a second each by the clock that the watch reads."""
    now, sent = [100.0], [0]
    monkeypatch.setattr("harness.trial.observe.sampler.time.monotonic", lambda: now[0])

    def tick(wrk: LoadingProcess) -> None:
        now[0] += 0.1
        sent[0] += grow(wrk, 32 - wrk.ticks)
        host.files[f"/proc/{wrk.pid}/net/dev"] = DEV.format(sent[0])
    host.ticks, host.on_tick = 32, tick
    # its load lasts as long as it is waited for
    host.report = lambda report: report.update(duration_us=3_200_000, steady_seconds=3.2)


def test_a_trials_throughput_is_followed_in_requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = ServingHost()
    followed(host, monkeypatch, lambda wrk, place: 5000)
    record = trial(host, tmp_path).record
    assert record.steady and record.steady.interval_seconds == 0.1 and record.steady.settled_after_seconds == 0.0
    assert record.steady.requests_per_sec == pytest.approx([REQUESTS / 3.2] * 62, rel=1e-3)
    assert record.steady.warmup_intervals == 31 and record.unsettled is None


def test_a_trial_that_settles_late_is_told_of_and_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = ServingHost()
    followed(host, monkeypatch, lambda wrk, place: 5000 if "2s" in wrk.argv and place > 8 else 500)
    record = trial(host, tmp_path).record
    assert record.valid and record.unsettled and record.unsettled.code is Unsettled.NEVER
    assert float(str(record.unsettled.values["change"])) > 0


def test_without_a_counter_on_the_way_nothing_is_said(tmp_path: Path) -> None:
    host = ServingHost()
    host.ticks = 32
    assert trial(host, tmp_path).record.steady is None


def test_on_a_machine_with_one_cpu_it_counts_once(tmp_path: Path) -> None:
    host, plan = ServingHost(), load_plan("quick", WIRE, (0,), {"DURATION": "2"})
    machine = trial(host, tmp_path, plan=replace(plan, client_cpus=(0,), server_cpus=(0,))).record.machine
    assert machine and machine.steal_share == 0.0
