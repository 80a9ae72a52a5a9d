# SPDX-License-Identifier: BSD-3-Clause
"""What a request costs, from the CPU time of a record to the summary."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.report import report
from harness.analyse.summary import summarise
from harness.analyse.cost import CPU_TIME, OWN_COUNTERS, Cost, figures
from harness.store.store import load_run
from harness.tests.fixtures import synthetic

GHZ = 2_000_000_000


def run(tmp_path: Path, tsc_hz: int | None = GHZ, **made: Any) -> tuple[Any, dict[str, Any], list[dict[str, Any]]]:
    stored = load_run(synthetic.write(tmp_path / "run", **made))
    if tsc_hz is not None:
        stored.facts["machine"]["tsc_hz"] = tsc_hz
    return stored.plan, stored.facts, stored.old_trials


def test_requests_for_each_second_that_all_cores_burned() -> None:
    found = figures([Cost(1000, 0.5, 0.2, None), Cost(3000, 0.5, 0.2, None), Cost(2000, 0.5, 0.2, None)], False, None)
    assert found["requests_per_core_second"]["median"] == 4000.0 and set(found) == {"requests_per_core_second"}


def test_a_contender_that_sleeps_has_cycles_from_its_cpu_time() -> None:
    found = figures([Cost(1000, 0.5, 0.1, None)], False, GHZ)
    assert found["cycles_per_request"] == {"median": 200_000.0, "ci95": None}
    assert found["cycles_from"] == CPU_TIME and "burned_cycles_per_request" not in found


def test_a_contender_that_polls_has_its_own_cycles_and_what_it_burned() -> None:
    found = figures([Cost(1000, 0.5, 0.1, 1500.0)], True, GHZ)
    assert found["cycles_per_request"]["median"] == 1500.0 and found["cycles_from"] == OWN_COUNTERS
    assert found["burned_cycles_per_request"]["median"] == 200_000.0
    uncounted = figures([Cost(1000, 0.5, 0.1, None)], True, GHZ)
    assert "cycles_per_request" not in uncounted and "burned_cycles_per_request" in uncounted


@pytest.mark.parametrize("cost", [Cost(0, 0.5, 0.1, None), Cost(10, 0.0, None, None)])
def test_without_requests_or_cpu_time_there_is_no_figure(cost: Cost) -> None:
    assert figures([cost], False, GHZ) == {}


def test_cores_that_client_and_server_share_have_no_cycles_of_the_server() -> None:
    assert set(figures([Cost(10, 0.5, None, None)], False, GHZ)) == {"requests_per_core_second"}


def test_the_summary_is_reckoned_from_cpu_seconds(tmp_path: Path) -> None:
    plan, facts, records = run(tmp_path, connections=(8,), rounds=1)
    cell = summarise(plan, facts, records)["points"][0]["contenders"]["epoll"]
    record = next(r for r in records if r["contender"] == "epoll")
    burned = [sum(cpu[state] for state in ("user", "system", "softirq")) for cpu in record["cpu_seconds"].values()]
    assert cell["requests_per_core_second"]["median"] == pytest.approx(record["requests"] / sum(burned), rel=1e-5)
    assert cell["cycles_per_request"]["median"] == pytest.approx(GHZ * burned[1] / record["requests"], rel=1e-5)


def test_interrupts_on_a_cpu_without_a_part_are_the_servers(tmp_path: Path) -> None:
    plan, facts, records = run(tmp_path, connections=(8,), rounds=1)
    before = summarise(plan, facts, records)["points"][0]["contenders"]["epoll"]
    for record in records:
        record["cpu_seconds"]["2"] = {"role": "other", "user": 1.5, "nice": 0.0, "system": 0.1, "idle": 0.0,
                                      "iowait": 0.0, "irq": 0.1, "softirq": 0.2, "steal": 0.5}
    summary = summarise(plan, facts, records)
    after = summary["points"][0]["contenders"]["epoll"]
    requests = next(r for r in records if r["contender"] == "epoll")["requests"]
    assert after["cycles_per_request"]["median"] - before["cycles_per_request"]["median"] == pytest.approx(
        GHZ * 0.3 / requests, rel=1e-3)
    assert set(after["cpu_us_per_request"]["by_role"]) == {"client", "server", "other"}
    assert any("CPUs without a part in the plan were at work" in caveat for caveat in summary["caveats"])
    # what the hypervisor took from a CPU that nobody measures with disturbed nobody
    assert not any("hypervisor" in caveat for caveat in summary["caveats"])


def test_runs_of_before_have_no_cycles_from_cpu_time_and_the_report_says_so(tmp_path: Path) -> None:
    plan, facts, records = run(tmp_path, tsc_hz=None, rounds=1)
    cells = summarise(plan, facts, records)["points"][0]["contenders"]
    assert "cycles_per_request" not in cells["epoll"] and "burned_cycles_per_request" not in cells["lwip"]
    assert cells["lwip"]["cycles_from"] == OWN_COUNTERS
    report.write(tmp_path / "run", tmp_path / "out")
    assert "there are no cycles from CPU time" in (tmp_path / "out" / "report.html").read_text()
