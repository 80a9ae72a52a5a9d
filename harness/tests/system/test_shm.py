# SPDX-License-Identifier: BSD-3-Clause
"""The wire of shared memory as a user runs it, and everything that can go wrong at either of its ends.

Every test ends with the machine as it was: no namespace, process, hugepage, socket or file in /run more.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Callable, Iterator

import pytest

from harness.trial.client import Client
from harness.host import LocalHost
from harness.provision.journal import DIRECTORY, PATH
from harness.plan import load_plan
from harness.trial.probe import prove_answer
from harness.provision.provision import provisioned
from harness.provision.links import socket_path
from harness.tests.system.conftest import ROOT, TestBed
from harness.tests.system.test_bench import (SHORT, altered_wire, harness, one_line, processes, records,
                                             run_directory, started, stored, words)
from harness.tests.system.test_wire_root import snapshot
from harness.tests.fixtures.wires import bare_wire

LWIP = bare_wire("shm").contenders["lwip"]
ONE = (*SHORT, "--set", "CONTENDERS=lwip", "--set", "CONNECTIONS=8")
NR = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"


def machine() -> object:
    return snapshot(), processes(), sorted(Path("/run/dpdk").glob("stackduel*"))


@pytest.fixture(autouse=True)
def same_machine() -> Iterator[None]:
    before = machine()
    yield
    assert machine() == before


def wire_with(directory: Path, *replacements: tuple[str, str]) -> str:
    """The wire of shared memory with other words in it; the path of its file."""
    return altered_wire(directory, "shm", *replacements)


def pid_of(run: subprocess.Popen[str], is_it: Callable[[list[bytes]], bool]) -> int:
    """The process whose argv fits, once the run has started it."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert run.poll() is None, run.communicate()
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and is_it((entry / "cmdline").read_bytes().split(b"\0")):
                    return int(entry.name)
            except OSError:
                continue
        time.sleep(0.05)
    raise AssertionError("it was never started")


def is_wrk(argv: list[bytes]) -> bool:
    return argv[0] == b"wrk" and any(LWIP.endpoint.ip.encode() in word for word in argv)


def is_server(argv: list[bytes]) -> bool:
    return argv[0].endswith(b"/lwip_server") and any(b"net_vhost0" in word for word in argv)


@pytest.mark.parametrize("settings", [("BODY_SIZE=1", "REPORT=yes"), ("BODY_SIZE=100K", "CONNECTIONS=8")], ids=" ".join)
def test_a_short_run_ends_with_a_report_that_says_that_both_ends_differ(tmp_path: Path,
                                                                        settings: tuple[str, ...]) -> None:
    done = harness(tmp_path, "bench", "--wire", "shm", *SHORT, *(word for each in settings for word in ("--set", each)))
    assert done.returncode == 0, done.stderr
    trials = records(tmp_path)
    assert [(trial.contender, trial.problems) for trial in trials] == [("epoll", ()), ("lwip", ())] * (len(trials) // 2)
    assert len(trials) == (2 if "CONNECTIONS=8" in settings else 4)
    assert all(trial.valid for trial in trials)
    for trial in trials:
        ends = trial.ends
        assert (ends is None) == (trial.contender == "epoll")
        if ends:
            assert all(0 <= way.sent - way.received <= way.limit for way in ends.values())
            assert ends["connections"].limit == 0 and ends["packets_to_server"].received > 0
            assert trial.client_busy_share and 0 < trial.client_busy_share <= 1
            assert trial.dropped == {}, "there is no link to drop at"
    run = run_directory(tmp_path)
    facts = json.loads((run / "facts.json").read_text())
    assert facts["ports"]["lwip"]["driver"] == "net_vhost"
    assert facts["ports"]["lwip client"]["driver"] == "net_virtio_user"
    assert facts["wire"]["contenders"]["lwip"]["client"]["stack"] == "preload" and facts["hugepages"]["used"]
    assert set(facts["binaries"]["programs"]) == {"build/epoll_server", "build/lwip_server", "build/on-lwip",
                                                  "build/libstackduel_preload.so", "wrk"}
    assert any("librte_eal" in library for library in facts["binaries"]["libraries"])
    if "REPORT=yes" in settings:
        page = (tmp_path / "out" / run.name / "summary.md").read_text()
        assert "both ends differ" in page.splitlines()[0] and "**Both ends differ, not only the server: " in page


def test_nothing_but_memory_joins_the_two_ends(tmp_path: Path) -> None:
    host, wire = LocalHost(), bare_wire("shm")
    plan = load_plan("quick", wire, host.cpus(), {"CONTENDERS": "epoll,lwip"})
    with provisioned(host, wire, plan.contenders, "test", log=print) as up:
        bed = TestBed(host, wire, plan, up, tmp_path)
        for end in (LWIP.endpoint, LWIP.client.endpoint):
            assert set(host.link_counters(end.namespace)) == {"lo"}
        # what a server leaves that was killed
        stale = socket.socket(socket.AF_UNIX)
        stale.bind(socket_path(LWIP.end))
        stale.close()
        with bed.server("lwip", checked=False) as running:
            assert os.stat(DIRECTORY).st_mode & 0o777 == 0o700
            client = Client(host, wire, plan, up, running, tmp_path)
            for number in range(3):  # the server lives on, its clients come and go
                [proof] = prove_answer(client, plan.workload, f"proof-{number}")
                assert proof.answer.wrong == "" and proof.counters is not None
                assert proof.counters["bytes_received"] == proof.answer.received == 39
            counters = running.snapshot()
            assert counters is not None and counters["accepts"] == 3 and counters["responses_sent"] == 3


def test_a_run_that_is_killed_leaves_nothing_once_it_is_restored(tmp_path: Path) -> None:
    before = machine()
    run = started(tmp_path, "bench", "--wire", "shm", *SHORT, "--set", "CONNECTIONS=8", "--set", "DURATION=2", trials=0)
    pid_of(run, is_wrk)
    run.send_signal(signal.SIGKILL)
    run.communicate()
    assert Path(PATH).exists() and Path(socket_path(LWIP.end)).exists()
    restored = harness(tmp_path, "restore")
    assert restored.returncode == 0, restored.stderr
    assert f"rm -f {socket_path(LWIP.end)}" in restored.stdout
    assert machine() == before
    done = harness(tmp_path, "bench", "--resume", str(run_directory(tmp_path)), "--wire", "shm",
                   "--set", "REPORT=no")
    assert done.returncode == 0, done.stderr
    assert len(stored(tmp_path)) == 2


@pytest.mark.parametrize("is_victim, words_", [
    (is_server, "contender 'lwip' was killed by SIGKILL under load"),
    (is_wrk, "wrk failed (exit -9)")], ids=["server", "client"])
def test_an_end_that_dies_under_load_ends_the_run_with_a_line(tmp_path: Path, words_: str,
                                                             is_victim: Callable[[list[bytes]], bool]) -> None:
    run = subprocess.Popen(words(tmp_path, "bench", "--wire", "shm", *ONE, "--set", "DURATION=20"), cwd=ROOT,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    pid_of(run, is_wrk)
    time.sleep(1)
    os.kill(pid_of(run, is_victim), signal.SIGKILL)
    _, stderr = run.communicate(timeout=15)
    assert run.returncode == 4
    line = one_line(stderr)
    assert words_ in line and "RESUME=" in line


def test_too_few_hugepages(tmp_path: Path) -> None:
    # a file system that refuses to write is a machine that refuses more pages
    # and more than there are: another shard may give back what it has now
    wanted = 1 + int(Path(NR).read_text())
    wire = wire_with(tmp_path, ("count = 96", f"count = {wanted}"))
    done = harness(tmp_path, "bench", "--wire", wire, *ONE,
                   before=f"mount --bind {NR} {NR}; mount -o remount,bind,ro {NR}")
    assert done.returncode == 3
    line = one_line(done.stderr)
    assert f"needs {wanted} hugepages of 2048 KiB" in line and "--no-huge gives no memory to share" in line
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").iterdir())


def test_a_library_that_was_not_built(tmp_path: Path) -> None:
    wire = wire_with(tmp_path, ('stack = "dpdk"', 'stack = "dpdk"\nneeds = ["build/nowhere.so"]'))
    done = harness(tmp_path, "bench", "--wire", wire, *ONE)
    assert done.returncode == 3
    assert "missing: build/nowhere.so (run `make`)" in one_line(done.stderr)


def test_a_library_that_cannot_be_loaded(tmp_path: Path) -> None:
    library = tmp_path / "library.so"
    library.write_text("no library\n")
    # what is under a link of that name, too, is hidden for the harness alone
    place = (ROOT / "build/libstackduel_preload.so").resolve()
    done = harness(tmp_path, "bench", "--wire", "shm", *ONE, before=f"mount --bind {library} {place}")
    assert done.returncode == 3
    assert "libstackduel_preload.so" in one_line(done.stderr)


def test_a_server_that_does_not_listen_is_an_error_and_no_hang(tmp_path: Path) -> None:
    wire = wire_with(tmp_path, ("path={socket},", "path={socket}.not,"))
    done = harness(tmp_path, "bench", "--wire", wire, *ONE)
    assert done.returncode in (3, 4)
    assert "lwip.sock.not" in one_line(done.stderr)


def test_a_socket_whose_path_is_too_long(tmp_path: Path) -> None:
    done = harness(tmp_path, "bench", "--wire", wire_with(tmp_path, ("lwip.sock", "s" * 100)), *ONE)
    assert done.returncode == 2
    assert "cannot name a socket" in one_line(done.stderr)


def test_a_shell_in_the_wire(tmp_path: Path) -> None:
    script = f"curl -sS http://198.18.0.2/ && sh {DIRECTORY}/shell/lwip-client curl -sS http://{LWIP.endpoint.ip}/"
    done = subprocess.run(words(tmp_path, "shell", "--wire", "shm"), cwd=ROOT, input=script, timeout=60,
                          capture_output=True, text=True, env={**os.environ, "SHELL": "/bin/sh"})
    assert (done.returncode, done.stdout) == (0, "00"), done.stderr


def test_doctor_knows_the_wire(tmp_path: Path) -> None:
    done = harness(tmp_path, "doctor")
    assert re.search(r"^ok +wire shm can run here: sudo make bench-shm$", done.stdout, re.M), done.stdout
