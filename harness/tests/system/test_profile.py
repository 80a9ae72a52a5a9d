# SPDX-License-Identifier: BSD-3-Clause
"""A real profile of two stacks on a TAP: whose TCP is where, and that nothing stays behind."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from harness.host import LocalHost
from harness.provision import restore
from harness.run import RunRequest, profile
from harness.store import ContenderProfile
from harness.tests.system.conftest import ROOT, of_this_shard

PROFILES = ROOT / "results" / "profiles"
SHORT = {"CONTENDERS": "epoll,lwip", "CONNECTIONS": "16", "DURATION": "2", "WARMUP": "0"}


def symbols(of: ContenderProfile, layer: str, dso: str) -> set[str]:
    return {frame.symbol for frame in of.frames if (frame.layer, frame.dso) == (layer, dso)}


def test_the_kernels_tcp_is_under_epoll_and_lwips_in_lwip(tmp_path: Path) -> None:
    said: list[str] = []
    found = profile(RunRequest("tap", "quick", SHORT), LocalHost(), said.append, tmp_path)
    epoll, lwip = found.contenders
    assert not epoll.load.problems and not lwip.load.problems, said
    for item in (epoll, lwip):
        total = sum(item.cycles_per_request.values())
        assert total == pytest.approx(item.load.cycles / item.load.requests, rel=0.01)
        assert item.unknown_share < 0.05, item.unknown
    assert epoll.cycles_per_request["tcp"] > 0 and "polling" not in epoll.cycles_per_request
    assert {"tcp_sendmsg_locked", "tcp_recvmsg_locked"} & symbols(epoll, "tcp", "kernel")
    assert lwip.cycles_per_request["tcp"] > 0 and lwip.cycles_per_request["polling"] > 0
    assert symbols(lwip, "tcp", "lwip_server"), "symbols of a build with -flto"
    files = {path.name for path in (tmp_path / "profiles" / found.id).iterdir()}
    assert files == {"facts.json", "profile.json", "raw"}
    assert not list((tmp_path / "profiles" / found.id / "raw").glob("*.data")), "samples are not kept"
    assert restore(LocalHost()) == []


def test_a_killed_profile_leaves_no_perf_behind(tmp_path: Path) -> None:
    before = set(PROFILES.glob("*"))
    words = [f"{key}={value}" for key, value in {**SHORT, "DURATION": "30"}.items()]
    run = subprocess.Popen(["./stackduel", "profile", "tap", "PLAN=quick", *words], cwd=ROOT,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while not _perfs():
            assert run.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
        run.send_signal(signal.SIGKILL)
        run.wait(10)
        restore(LocalHost())
        assert not _perfs() and restore(LocalHost()) == []
    finally:
        run.kill()
        for path in set(PROFILES.glob("*")) - before:
            shutil.rmtree(path)


def _perfs() -> list[Path]:
    """Return processes of this shard that record."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            if words[:2] == [b"perf", b"record"] and of_this_shard(process):
                found.append(process)
        except OSError:
            pass
    return found


@pytest.mark.parametrize("words, what", [
    (["CONNECTIONS=1,2"], "one load point"), (["ROUNDS=2"], "ROUNDS is not a setting of profile"),
    (["--run", "nobody"], "no profile 'nobody'")])
def test_what_makes_no_sense_is_one_line(words: list[str], what: str) -> None:
    done = subprocess.run(["./stackduel", "profile", "tap", *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and what in done.stderr and done.stderr.count("\n") == 1
