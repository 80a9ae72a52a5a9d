# SPDX-License-Identifier: BSD-3-Clause
"""Short runs on each kind of stack, from a directory whose name has what a shell can name."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.tests.fixtures.odd_tree import git, odd_tree
from harness.tests.system.conftest import ROOT

PROGRAMS = ("epoll_server", "lwip_server", "on-lwip", "libstackduel_preload.so", "spinning", "libspin.so", "tsc_hz",
            "build-info.json")
SHORT = ("CONNECTIONS=1", "ROUNDS=1", "DURATION=1", "WARMUP=0", "ATTEMPTS=1", "CALIBRATE=no", "REPORT=no")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = odd_tree(tmp_path_factory.mktemp("any"))
    (found / "build").mkdir()
    for name in PROGRAMS:
        # a link would lead the launcher back to where its name is plain
        shutil.copy(ROOT / "build" / name, found / "build")
    return found


@pytest.mark.parametrize("words", [
    ("tap", "CONTENDERS=epoll,nginx,lwip"), ("shm", "CONTENDERS=epoll,lwip"), ("redis", "WORKLOAD=redis-set"),
    ("nginx", "LOAD_TOOL=h2load")], ids=["tap", "shm", "redis", "nginx"])
def test_a_run_from_there_is_valid_and_changes_nothing_tracked(tree: Path, words: tuple[str, ...]) -> None:
    done = subprocess.run(["./stackduel", "bench", *words, *SHORT], cwd=tree, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    run = max((tree / "results" / "runs").glob(f"*-{words[0]}*"))
    trials = [json.loads(line) for line in (run / "trials.jsonl").read_text().splitlines()]
    assert len(trials) == (2 if words[0] == "shm" else 3) and not any(trial.get("problems") for trial in trials)
    assert git(tree, "status", "--porcelain") == ""
