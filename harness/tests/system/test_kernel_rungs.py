# SPDX-License-Identifier: BSD-3-Clause
"""The kernel's contenders on a real wire: servers of other make are proven, softirq is where it should be."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Iterator

import pytest

from harness.tests.system.conftest import ROOT
from harness.tests.system.test_bench import harness, processes, run_directory
from harness.tests.system.test_wire_root import snapshot as machine

ONE = ("--plan", "quick", "--set", "CONNECTIONS=8", "--set", "ROUNDS=1", "--set", "DURATION=1", "--set", "WARMUP=0",
       "--set", "CALIBRATE=no", "--set", "ATTEMPTS=1", "--no-report")
EPOLL = ROOT / "build/epoll_server"
BUSY_POLLS = EPOLL.exists() and b"busy-poll" in EPOLL.read_bytes()


@pytest.fixture(autouse=True)
def same_machine() -> Iterator[None]:
    before = machine(), processes()
    yield
    assert (machine(), processes()) == before


def measured(directory: Path, wire: str,
             *settings: str) -> tuple[dict[str, Any], dict[str, Any], dict[str, dict[str, Any]]]:
    """Plan, facts, and trials by contender, of which each is valid."""
    done = harness(directory, "bench", "--wire", wire, *ONE, *(word for each in settings for word in ("--set", each)))
    assert done.returncode == 0, done.stderr
    run = run_directory(directory)
    trials = [json.loads(line) for line in (run / "trials.jsonl").read_text().splitlines()]
    assert not any(trial.get("problems") for trial in trials), trials
    assert all(trial["requests"] > 0 for trial in trials)
    plan, facts = (json.loads((run / f"{name}.json").read_text()) for name in ("plan", "facts"))
    return plan, facts, {trial["contender"]: trial for trial in trials}


@pytest.mark.parametrize("workload", ["rps", "cps"])
def test_nginx_and_the_yardstick_are_checked_as_ours_are(tmp_path: Path, workload: str) -> None:
    plan, facts, trials = measured(tmp_path, "veth", f"WORKLOAD={workload}",
                                   "CONTENDERS=epoll,nginx,minimal,epoll-mt,nginx-mt")
    aside = {"epoll-mt", "nginx-mt", *(["minimal"] if workload == "cps" else [])}
    assert set(plan["not_applicable"]) == aside and set(trials) == {"epoll", "nginx", "minimal"} - aside
    counts = trials["nginx"]["reconcile"]
    assert counts["parsed"] is None
    assert counts["sent"] <= counts["answered"] <= counts["sent"] + counts["in_flight_limit"]
    assert facts["wire"]["contenders"]["nginx"]["counts"] == "/status"
    assert facts["wire"]["contenders"]["minimal"].get("counts") == "nothing"
    assert facts["versions"]["programs"]["nginx"].startswith("nginx version")
    if "minimal" in trials:
        assert trials["minimal"]["reconcile"]["answered"] is None


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one CPU")
@pytest.mark.parametrize("side", ["server", "client"])
def test_packets_are_processed_where_it_was_asked(tmp_path: Path, side: str) -> None:
    client, server = sorted(os.sched_getaffinity(0))[0], sorted(os.sched_getaffinity(0))[-1]
    _, facts, _ = measured(tmp_path, "tap", "CONTENDERS=epoll", f"SOFTIRQ={side}", f"SERVER_CPUS={server}",
                           f"CLIENT_CPUS={client}")
    ends = ["stackduel-server/server0", *(["stackduel-client/client0"] if side == "client" else [])]
    assert list(facts["softirq"]) == ends
    for entry in facts["softirq"].values():
        queue, text = entry["got"].split(", ")[0].split()
        assert queue == "rx-0" and int(text.replace(",", ""), 16) == 1 << (server if side == "server" else client)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one CPU")
def test_a_worker_on_each_core(tmp_path: Path) -> None:
    cpus = sorted(os.sched_getaffinity(0))[:2]
    plan, _, trials = measured(tmp_path, "veth", "CONTENDERS=epoll,nginx,nginx-mt", f"SERVER_CPUS={cpus[0]},{cpus[1]}")
    assert plan["contenders"][0] == "nginx-mt" and set(trials) == {"nginx-mt"}
    assert plan["not_applicable"]["nginx"] == {"code": "does-not-use-all-cores", "cores": 2}


@pytest.mark.skipif(not BUSY_POLLS, reason="epoll_server cannot busy-poll yet")
def test_a_veth_has_no_napi_ids(tmp_path: Path) -> None:
    plan, facts, _ = measured(tmp_path, "veth", "CONTENDERS=epoll,epoll-busypoll")
    assert "not_applicable" not in plan and facts["not_applicable"] == {"epoll-busypoll": {"code": "no-busy-polling", "interface": "server0"}}


def test_the_bridge_s_link_to_the_kernel_s_servers_is_made_once(tmp_path: Path) -> None:
    done = harness(tmp_path, "bench", "--wire", "tap", *ONE, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("ip -n stackduel-server link add server0 ") == 1
