# SPDX-License-Identifier: BSD-3-Clause
"""Wires with our own load generator: every workload, many connections, each optimisation in turn.

Every test ends with the machine as it was: no namespace, process, hugepage, socket or file in /run more.
"""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Iterator

import pytest

from harness.tests.system.conftest import ROOT
from harness.store import TrialRecord
from harness.tests.system.test_bench import harness, one_line, processes, records, run_directory, started
from harness.tests.system.test_wire_root import snapshot

ONE = ("--plan", "quick", "--set", "ROUNDS=1", "--set", "DURATION=1", "--set", "WARMUP=0",
       "--set", "ATTEMPTS=1", "--set", "REPORT=no")


def machine() -> object:
    return snapshot(), processes(), sorted(Path("/run/dpdk").glob("stackduel*"))


@pytest.fixture(autouse=True)
def same_machine() -> Iterator[None]:
    before = machine()
    yield
    assert machine() == before


def bench(directory: Path, wire: str, *settings: str) -> tuple[TrialRecord, ...]:
    """The trials of one short run, each of which must count."""
    done = harness(directory, "bench", "--wire", wire, *ONE, *(word for each in settings for word in ("--set", each)))
    assert done.returncode == 0, done.stderr
    trials = records(directory)
    assert trials and not any(trial.problems for trial in trials)
    return trials


def test_the_same_client_for_kernel_lwip_and_the_floor(tmp_path: Path) -> None:
    trials = bench(tmp_path, "shm-loadgen", "CONNECTIONS=1,64")
    assert sorted((t.contender, t.point.connections) for t in trials) == [
        (name, count) for name in ("epoll", "epoll-spin", "floor", "lwip") for count in (1, 64)]
    for trial in trials:
        counts = trial.reconcile
        assert counts.parsed and counts.answered and counts.sent <= counts.parsed == counts.answered <= counts.sent + counts.in_flight_limit
        assert trial.client_busy_share and 0 < trial.client_busy_share <= 1
        assert trial.memory and sum(trial.memory.values()) > 1 << 20
        assert ("kernel_bytes" in trial.memory) == trial.contender.startswith("epoll")
    facts = json.loads((run_directory(tmp_path) / "facts.json").read_text())
    assert facts["load_tool"]["name"] == "loadgen" and facts["ports"]["lwip"]["driver"] == "net_virtio_user"
    assert facts["ports"]["lwip client"]["driver"] == "net_vhost"
    assert facts["ports"]["epoll client"]["driver"] == "net_af_packet"
    assert set(facts["binaries"]["programs"]) == {
        "build/epoll_server", "build/lwip_server", "build/floor_server", "build/loadgen"}
    offloads = facts["offloads"]["stackduel-server/server0"]
    assert "tx-checksumming" not in offloads and "tcp-segmentation-offload" not in offloads


def test_a_connection_for_each_request(tmp_path: Path) -> None:
    for trial in bench(tmp_path, "shm-loadgen", "WORKLOAD=cps", "CONNECTIONS=16"):
        assert trial.connections_per_sec == pytest.approx(trial.requests_per_sec, rel=0.1)
        assert trial.server and trial.server["accepts"] > 100


def test_a_connection_for_each_request_of_wrk(tmp_path: Path) -> None:
    for trial in bench(tmp_path, "tap", "WORKLOAD=cps", "CONNECTIONS=8", "CONTENDERS=epoll,lwip"):
        assert trial.server and trial.server["accepts"] > 100 and trial.server["accepts"] >= trial.requests - 8


def test_large_bodies(tmp_path: Path) -> None:
    for trial in bench(tmp_path, "shm-loadgen", "WORKLOAD=bandwidth", "BODY_SIZE=64K", "CONNECTIONS=8"):
        assert trial.bytes >= trial.requests * 65536 > 0


def assert_few_asked(trials: tuple[TrialRecord, ...], *connections: int) -> None:
    assert sorted((t.contender, t.point.connections) for t in trials) == [
        (name, count) for name in ("epoll", "floor", "lwip", "plain") for count in connections]
    for trial in trials:
        assert trial.client and trial.client["active"] == min(64, trial.point.connections)
        assert trial.connections_per_sec is None or trial.connections_per_sec > 0


def test_few_of_many_connections_are_asked_in_turn(tmp_path: Path) -> None:
    assert_few_asked(bench(tmp_path, "scale", "WORKLOAD=turns", "CONNECTIONS=2000"), 2000)


def test_many_connections_of_which_few_are_asked(tmp_path: Path) -> None:
    trials = bench(tmp_path, "scale", "WORKLOAD=conns", "CONNECTIONS=10,2000", "REPORT=yes")
    assert_few_asked(trials, 10, 2000)
    out = tmp_path / "out" / run_directory(tmp_path).name
    rows = list(csv.DictReader((out / "summary.csv").open()))
    assert all(float(row["memory_bytes_median"]) > 0 for row in rows) and (out / "cycles.png").is_file()
    plain = json.loads((run_directory(tmp_path) / "facts.json").read_text())["wire"]["contenders"]["plain"]
    assert plain["without"] == ["lookup", "timers", "pools"] and plain["most_connections"] == 10_000


def test_some_rungs_of_the_ladder(tmp_path: Path) -> None:
    trials = bench(tmp_path, "ablate", "CONTENDERS=plain,+request,-request", "CONNECTIONS=8",
                   "REPORT=yes")
    assert all(trial.cycles_per_request and trial.cycles_per_request > 0 for trial in trials)
    out = tmp_path / "out" / run_directory(tmp_path).name
    (point,) = json.loads((out / "summary.json").read_text())["ablation"]
    first = point["optimisations"][0]
    assert first["name"] == "request" and first["saved"]["rounds"] == 1
    assert (out / "waterfall.png").is_file() and not (out / "throughput.png").is_file()


def test_a_load_generator_that_is_killed_ends_the_run_with_it_kept(tmp_path: Path) -> None:
    run = started(tmp_path, "bench", "--wire", "shm-loadgen", *ONE, "--set", "CONTENDERS=lwip", "--set", "DURATION=5",
                  "--set", "CONNECTIONS=1,8", trials=1)
    deadline = time.monotonic() + 30
    while not (found := loadgens()):
        assert run.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(found[0], signal.SIGKILL)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 4 and "1 of 2 trials are kept" in one_line(said), said


def loadgens() -> list[int]:
    """Pids of the load generator in the client's namespace."""
    listed = subprocess.run(["ip", "netns", "pids", "stackduel-lwip-client"], capture_output=True, text=True)
    return [int(pid) for pid in listed.stdout.split()
            if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(str(ROOT / "build/loadgen").encode())]
