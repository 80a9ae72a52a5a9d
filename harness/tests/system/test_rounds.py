# SPDX-License-Identifier: BSD-3-Clause
"""Contenders that stay up for a round, as a user runs them: who started when, what each burned, and who is left."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest

from harness.host.host import stat_fields
from harness.provision.journal import PATH
from harness.tests.system.conftest import of_this_shard
from harness.tests.system.test_bench import (
    SHORT, harness, processes, records, run_directory, same_machine, started)

__all__ = ["same_machine"]
ROUNDS = ("--set", "CONTENDERS=epoll,nginx,lwip", "--set", "ROUNDS=2")


def lwip_servers() -> dict[int, tuple[str, int]]:
    """Return state and ticks of CPU time, by pid, of the servers on lwIP of this shard."""
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and b"lwip_server" in (entry / "cmdline").read_bytes() and of_this_shard(entry):
                fields = stat_fields((entry / "stat").read_text())
                found[int(entry.name)] = fields[0], int(fields[11]) + int(fields[12])
        except OSError:
            continue
    return found


def paused() -> list[int]:
    return [pid for pid, (state, _) in lwip_servers().items() if state == "T"]


def test_each_is_started_once_a_round_serves_all_points_and_burns_nothing_out_of_its_turn(tmp_path: Path) -> None:
    run = started(tmp_path, "bench", "--wire", "tap", *SHORT, *ROUNDS, trials=0)
    seen: list[dict[int, tuple[str, int]]] = [{}]
    still = 0
    while run.poll() is None:
        seen.append(lwip_servers())
        for pid, (state, ticks) in seen[-1].items():
            before = seen[-2].get(pid, ("", 0))
            if before[0] == state == "T":
                still += 1
                assert ticks == before[1], "it burned its core out of its turn"
        time.sleep(0.02)
    assert run.returncode == 0, run.communicate()
    # a program that only looks at the server's file has its name among its words too
    assert still > 20 and len({pid for servers in seen for pid, (state, _) in servers.items() if state == "T"}) == 2
    trials = records(tmp_path)
    assert len(trials) == 12 and all(trial.valid for trial in trials), [trial.problems for trial in trials]
    raw = run_directory(tmp_path) / "raw"
    for name in ("epoll", "nginx", "lwip"):
        assert len(list(raw.glob(f"*/{name}.stdout"))) == 2, "its words are where it was started"
    for ready, *counts in (path.read_text().splitlines() for path in raw.glob("*/lwip.stdout")):
        # of two trials: around each load and at each end, before the second, and the server's last
        parsed = [json.loads(line)["requests_parsed"] for line in counts]
        assert ready.startswith("READY ") and len(parsed) == 8 and parsed == sorted(parsed)
        assert parsed[3] == parsed[2] and parsed[-1] == parsed[-2], "nothing came between its trials"


def test_one_that_is_paused_is_ended_after_the_harness_was_killed(tmp_path: Path) -> None:
    before = processes()
    run = started(tmp_path, "bench", "--wire", "tap", *SHORT, *ROUNDS, "--set", "CONNECTIONS=1,2,4,8", trials=3)
    deadline = time.monotonic() + 30
    while not paused():
        assert time.monotonic() < deadline and run.poll() is None
        time.sleep(0.01)
    run.send_signal(signal.SIGKILL)
    run.communicate()
    assert Path(PATH).exists()
    restored = harness(tmp_path, "restore")
    assert restored.returncode == 0, restored.stderr
    assert processes() == before and paused() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_round_leaves_nobody_paused(tmp_path: Path, number: signal.Signals) -> None:
    run = started(tmp_path, "bench", "--wire", "tap", *SHORT, *ROUNDS, trials=4)
    run.send_signal(number)
    _, stderr = run.communicate(timeout=30)
    assert run.returncode == 130 and "RESUME=" in stderr
    assert paused() == []
