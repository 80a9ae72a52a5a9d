# SPDX-License-Identifier: BSD-3-Clause
"""CPU time, drops and counters between two samples."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.trial.observe import cpu as collect
from harness.trial.observe.cpu import ProcStat
from harness.errors import ContenderError
from harness.store import CpuTime

STAT = """cpu  300 3 200 1000 50 7 90 11 40 0
cpu0 100 1 100 500 25 3 45 5 20 0
cpu1 200 2 100 500 25 4 45 6 20 0
intr 12345 0 9
"""
LATER = """cpu  0 0 0 0 0 0 0 0 0 0
cpu0 250 1 150 480 24 3 95 15 20 0
cpu1 400 2 100 500 25 4 45 6 20 0
"""


def test_proc_stat_is_read_in_seconds_by_cpu_and_without_the_sum() -> None:
    times = collect.parse_proc_stat(STAT)
    assert sorted(times) == [0, 1]
    assert times[0] == {"user": 1.0, "nice": 0.01, "system": 1.0, "idle": 5.0, "iowait": 0.25, "irq": 0.03,
                        "softirq": 0.45, "steal": 0.05}


def test_a_recorded_proc_stat_has_every_state() -> None:
    data = json.loads((Path(__file__).parents[2] / "data" / "wrk.json").read_text())
    times = collect.parse_proc_stat(data["proc_stat"]["after"])
    assert all(tuple(states) == collect.STATES for states in times.values()) and len(times) == 2


def test_cpu_seconds_have_roles_and_never_run_backwards() -> None:
    spent = collect.cpu_seconds(ProcStat(STAT, LATER), (0,), (1,))
    assert spent["0"] == CpuTime("client", user=1.5, system=0.5, softirq=0.5, steal=0.1)
    assert spent["1"].role == "server" and spent["1"].user == 2.0


def test_a_shared_cpu_has_both_roles_and_counts_once() -> None:
    spent = collect.cpu_seconds(ProcStat(STAT, LATER), (0,), (0,))
    assert spent["0"].role == "client+server"
    assert collect.cpu_us_per_request(spent, 1000) == 2500.0


def test_a_cpu_without_a_part_is_there_and_its_interrupts_alone_count() -> None:
    spent = collect.cpu_seconds(ProcStat(STAT, LATER), (1,), (1,))
    assert list(spent) == ["0", "1"] and spent["0"].role == "other"
    # CPU 0 burned 2.5 s, of which 0.5 s are soft interrupts
    alone = collect.cpu_us_per_request({"1": spent["1"]}, 1000)
    assert alone is not None and collect.cpu_us_per_request(spent, 1000) == alone + 500.0


def test_a_cpu_without_a_part_that_vanished_is_left_out() -> None:
    gone = "\n".join(line for line in LATER.splitlines() if not line.startswith("cpu0"))
    assert list(collect.cpu_seconds(ProcStat(STAT, gone), (1,), (1,))) == ["1"]


def test_cpu_that_vanished_is_said_so() -> None:
    with pytest.raises(ContenderError, match="no line for CPU 7"):
        collect.cpu_seconds(ProcStat(STAT, LATER), (0,), (7,))


def test_cpu_per_request_is_what_all_cores_burned_without_idle_and_steal() -> None:
    spent = {"0": CpuTime("client", user=1.0, nice=0.5, system=0.25, irq=0.05, softirq=0.2,
                          steal=9.0, idle=9.0, iowait=9.0), "1": CpuTime("server", user=2.0)}
    assert collect.cpu_us_per_request(spent, 1_000_000) == 4.0
    assert collect.cpu_us_per_request(spent, 0) is None


def test_dropped_counts_drops_and_errors_by_interface() -> None:
    zero = {"rx_dropped": 0, "tx_dropped": 0, "rx_errors": 0, "tx_errors": 0}
    before = {"a/x": {**zero, "rx_dropped": 5, "tx_errors": 1}}
    after = {"b/new": {**zero, "tx_dropped": 2}, "a/x": {**zero, "rx_dropped": 7, "tx_errors": 4}}
    assert collect.dropped(before, after) == {"a/x": {"rx": 2, "tx": 3}, "b/new": {"rx": 0, "tx": 2}}


def test_cycles_per_request_only_where_counted() -> None:
    assert collect.cycles_per_request({"cycles_busy": 3001, "requests_parsed": 10}) == 300.1
    assert collect.cycles_per_request(None) is None
    assert collect.cycles_per_request({"requests_parsed": 10}) is None
    assert collect.cycles_per_request({"cycles_busy": 5, "requests_parsed": 0}) is None
    assert collect.cycles_per_request({"cycles_busy": 5, "requests_parsed": 0}, 4) is None


def test_a_program_under_the_library_works_above_the_stack() -> None:
    counters = {"cycles_busy": 500, "cycles_away": 300, "cycles_idle": 9999}
    assert collect.cycles_per_request(counters, 10) == 80
    assert collect.cycles_per_request(counters) is None
    assert collect.busy_share(counters, 1000, 2.0) == 0.4


def test_busy_share_is_over_the_loads_duration() -> None:
    assert collect.busy_share({"cycles_busy": 500}, 1000, 2.0) == 0.25
    assert collect.busy_share({"cycles_busy": 5000}, 1000, 2.0) == 1.0
    assert collect.busy_share(None, 1000, 2.0) is None
    assert collect.busy_share({"requests_parsed": 5}, 1000, 2.0) is None
    assert collect.busy_share({"cycles_busy": 5}, None, 2.0) is None
    assert collect.busy_share({"cycles_busy": 5}, 0, 2.0) is None


STATUS = "Name:\tx\nVmRSS:\t    1200 kB\nRssAnon:\t 1 kB\nHugetlbPages:\t    4096 kB\n"


def test_what_a_server_holds() -> None:
    assert collect.memory(STATUS, None) == {"resident_bytes": 1200 << 10, "hugepage_bytes": 4096 << 10}
    assert collect.memory(STATUS, "MemFree: 1 kB\nSlab:     77 kB\n")["kernel_bytes"] == 77 << 10


@pytest.mark.parametrize("status, meminfo, key", [("VmRSS:\t1 kB\n", None, "HugetlbPages"), (STATUS, "", "Slab")])
def test_a_kernel_that_does_not_tell(status: str, meminfo: str | None, key: str) -> None:
    with pytest.raises(ContenderError, match=f"does not tell {key}"):
        collect.memory(status, meminfo)


def test_only_what_changed_is_kept() -> None:
    before, after = {"a": 5, "b": 7, "c": 1}, {"b": 7, "a": 9, "c": 0, "d": 2, "e": 0}
    assert collect.changed(before, after) == {"a": 4, "c": -1, "d": 2}


def test_a_client_elsewhere_has_its_machine_before_each_cpu() -> None:
    assert set(collect.cpu_seconds(ProcStat(STAT, LATER), (0,), (), "u@two")) == {"u@two/0", "u@two/1"}
