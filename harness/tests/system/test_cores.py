# SPDX-License-Identifier: BSD-3-Clause
"""lwip_server on two cores, and lwip_server asleep: that both cores serve, and that nothing is missed in sleep."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from contextlib import ExitStack
from typing import Any, Iterator

import pytest

from harness.trial.server import Running
from harness.tests.system.conftest import ROOT, TestBed
from harness.tests.system.test_servers import GET, OK, read_exactly, wait_for

CPUS = sorted(os.sched_getaffinity(0))
# one CPU is enough for the test, two make it faster
TWO_LCORES = (f"--lcores=0@{CPUS[0]},1@{CPUS[-1]}",)
CONNECTIONS = 100
NOT_SUMS = {"core", "lcore", "tsc_hz"}


def ask(connection: socket.socket) -> None:
    connection.sendall(GET)
    assert read_exactly(connection, len(OK)) == OK


def counters_of(running: Running) -> dict[str, Any]:
    assert running.snapshot() is not None
    counters: dict[str, Any] = json.loads(running.lines()[-1])
    return counters


def assert_sums(counters: dict[str, Any]) -> None:
    cores = counters["cores"]
    for key in cores[0].keys() - NOT_SUMS:
        assert counters[key] == sum(core[key] for core in cores), key


@pytest.fixture
def two_cores(bed: TestBed, request: pytest.FixtureRequest) -> Iterator[Running]:
    with bed.server("lwip", "--cores", "2", "--idle", request.param, eal=TWO_LCORES) as running:
        yield running


@pytest.mark.parametrize("two_cores", ["poll", "intr"], indirect=True)
def test_both_cores_serve_and_their_counters_add_up(bed: TestBed, two_cores: Running) -> None:
    with ExitStack() as stack:
        connections = [stack.enter_context(bed.connect(two_cores)) for _ in range(CONNECTIONS)]
        for _ in range(3):
            for connection in connections:
                ask(connection)
        counters = counters_of(two_cores)
    assert [core["core"] for core in counters["cores"]] == [0, 1]
    assert [core["lcore"] for core in counters["cores"]] == [0, 1]
    assert_sums(counters)
    assert counters["accepts"] == CONNECTIONS
    assert counters["requests_parsed"] == counters["responses_sent"] == 3 * CONNECTIONS
    for core in counters["cores"]:
        # a core that has a connection has all that it says
        assert core["accepts"] > 0
        assert core["requests_parsed"] == 3 * core["accepts"]
        assert core["tx_packets"] > core["responses_sent"]
    assert counters["handed_over"] == counters["taken_over"]
    assert counters["rx_dropped"] == counters["tx_dropped"] == 0
    assert counters["port"]["tx_queues"] == 2
    assert counters["port"]["steering"] == "software"
    closed = wait_for(two_cores, lambda now: now["closes"] == CONNECTIONS, 10)
    assert closed["closes"] == CONNECTIONS


@pytest.mark.parametrize("options", [(), ("--cores", "2")], ids=["one core", "two cores"])
def test_an_idle_server_sleeps_and_is_woken_by_a_packet(bed: TestBed, options: tuple[str, ...]) -> None:
    with bed.server("lwip", "--idle", "intr", *options, eal=TWO_LCORES) as running:
        wait_for(running, lambda now: now["sleeps"] > 0, 10)
        before = counters_of(running)
        time.sleep(2)
        after = counters_of(running)
        # lwIP looks after its ARP table once a second
        assert after["sleeps"] > before["sleeps"]
        # one that polls takes millions of turns in that time; each sleep is followed by a few
        assert after["polls_idle"] - before["polls_idle"] < 100_000
        assert after["cycles_asleep"] - before["cycles_asleep"] > after["cycles_idle"] - before["cycles_idle"]
        for _ in range(5):
            with bed.connect(running) as connection:
                ask(connection)
            time.sleep(0.2)
        answered = counters_of(running)
        assert answered["requests_parsed"] == 5
        assert answered["wakeups"] > after["wakeups"]
        assert_sums(answered)
        # falls asleep, and is stopped by the fixture
        sleeps = int(answered["sleeps"])
        wait_for(running, lambda now: now["sleeps"] > sleeps, 10)


def refused(*words: str) -> tuple[int, str]:
    eal = ("--no-huge", "-m", "64", "--no-pci", "--no-shconf", "--no-telemetry", "--file-prefix=stackduel-refused",
           "--log-level=error")
    result = subprocess.run([ROOT / "build/lwip_server", *eal, *words], capture_output=True, text=True, timeout=30)
    return result.returncode, result.stderr


def test_more_cores_than_lcores_are_refused() -> None:
    code, words = refused(f"--lcores=0@{CPUS[0]}", "--vdev=net_ring0", "--", "--cores", "2")
    assert (code, words) == (2, "lwip_server: --cores 2, but EAL has 1 lcore: give it more with -l or --lcores\n")


def test_a_port_without_interrupts_is_refused() -> None:
    code, words = refused(f"--lcores=0@{CPUS[0]}", "--vdev=net_ring0", "--", "--idle", "intr", "--mbufs", "2047")
    assert code == 3
    assert words == "lwip_server: --idle=intr: net_ring has no receive interrupts; leave it at poll\n"
