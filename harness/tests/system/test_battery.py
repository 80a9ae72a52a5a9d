# SPDX-License-Identifier: BSD-3-Clause
"""The battery as a user runs it, on a real wire, against a kernel's server and against lwIP."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Iterator

import pytest

from harness.store import Result, load_conformance
from harness.tests.system.conftest import ROOT
from harness.tests.system.test_wire_root import snapshot as machine

# those that end soon, one of each body, one that is alone and one that steers
QUICK = ("ack-to-closed-port", "rst-in-window", "mss-kept", "fast-retransmit", "half-close", "echo",
         "fragments-unfinished", "isn-differs-after-restart")


def _conformance(directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "harness.tests.system.elsewhere", str(directory), "conformance",
                           "--wire", "tap", *words], cwd=ROOT, text=True, capture_output=True, timeout=300)


@pytest.fixture
def untouched() -> Iterator[None]:
    before = machine()
    yield
    assert machine() == before


def test_the_kernel_keeps_what_it_must(untouched: None, tmp_path: Path) -> None:
    done = _conformance(tmp_path, "--contenders", "epoll", "--case", ",".join(QUICK))
    assert done.returncode == 0, done.stderr
    assert f"epoll: {len(QUICK)} kept, 0 missed, 0 not testable" in done.stdout
    found = load_conformance(Path(done.stdout.splitlines()[-1]))
    assert {name: outcome.result for name, outcome in found.contenders[0].outcomes.items()} == {
        name: Result.KEPT for name in QUICK}


def test_a_case_that_is_none_is_one_line(tmp_path: Path) -> None:
    done = _conformance(tmp_path, "--contenders", "epoll", "--case", "no-such")
    assert done.returncode == 2
    assert "no case 'no-such'" in done.stderr and len(done.stderr.splitlines()) == 1
