# SPDX-License-Identifier: BSD-3-Clause
"""A fake host on which contenders serve and wrk loads them: enough for trials and whole runs in memory."""

from __future__ import annotations

import json
import signal
import socket
from pathlib import Path
from typing import Any, Callable, Mapping, Sequence

from harness.plan import Workload
from harness.prove import expected_response
from harness.store import ID, Run, load_run
from harness.tests.fake_host import PAGES, FakeHost, FakeProcess
from harness.wire import load_wire

REQUESTS = 1000
COUNTERS = ("requests_parsed", "responses_sent", "accepts", "refused", "errors_http")
STAT = "cpu  0 0 0 0 0 0 0 0 0 0\ncpu0 {0} 0 50 0 0 0 0 0 0 0\ncpu1 {0} 0 0 0 0 0 0 0 0 0\n"
FILES = {"/proc/cpuinfo": "processor\t: 0\nmodel name\t: Test CPU\nflags\t\t: sse avx\n",
         "/proc/meminfo": "MemTotal:       24000000 kB\nMemFree: 1 kB\n",
         "/proc/sys/kernel/osrelease": "6.1.0-test\n"}


class ServingProcess(FakeProcess):
    """A contender: SIGUSR1 and SIGTERM print its counters."""

    counters: dict[str, Any]
    stdout: Path

    def signal(self, number: int) -> None:
        super().signal(number)
        if number in (signal.SIGUSR1, signal.SIGTERM):
            with open(self.stdout, "a") as file:
                file.write(json.dumps(self.counters) + "\n")


class LoadingProcess(FakeProcess):
    """A wrk: its load happens when it is first waited for. `hangs`: it does not end by itself."""

    hangs: bool
    load: Callable[[], None] | None

    def wait(self, timeout: float) -> int:
        load, self.load = self.load, None
        if load is not None:
            load()
        return super().wait(timeout)


class ServingHost(FakeHost):
    """`on_load` is called with every wrk while it runs, `report` may change what wrk reports of a load.

    Every load has REQUESTS requests. `response` is what a proof request is answered with.
    """

    def __init__(self) -> None:
        super().__init__()
        self.files.update(FILES)
        self.files[f"{PAGES}/free_hugepages"] = "200\n"
        self.response = expected_response(Workload("rps", "/", 1))
        self.report: Callable[[dict[str, Any]], None] = lambda report: None
        self.on_load: Callable[[LoadingProcess], None] = lambda wrk: None
        self.serving: ServingProcess | None = None
        self.peers: list[socket.socket] = []
        for contender in load_wire("tap").contenders.values():
            self.neighbours[contender.endpoint.ip] = (contender.endpoint.mac, "REACHABLE")

    def spawn(self, argv: Sequence[str], *, netns: str | None = None, cpus: Sequence[int] = (), stdout: Path,
              stderr: Path, env: Mapping[str, str] | None = None) -> FakeProcess:
        process = super().spawn(argv, netns=netns, cpus=cpus, stdout=stdout, stderr=stderr, env=env)
        if argv[0] == "wrk":
            process.__class__ = LoadingProcess
            assert isinstance(process, LoadingProcess)
            wrk, file = process, Path((env or {})["STACKDUEL_WRK_JSON"])
            wrk.hangs, wrk.load = False, lambda: self._load(wrk, file)
            return wrk
        process.__class__ = ServingProcess
        assert isinstance(process, ServingProcess)
        process.stdout = stdout
        process.counters = {"server": "x", **dict.fromkeys(COUNTERS, 0)}
        if "lwip" in argv[0]:
            process.counters |= {"cycles_busy": 0, "tsc_hz": 1000, "port": {"driver": "net_tap"}}
        stdout.write_text(f"READY {process.pid}\n")
        self.serving = process
        return process

    def connect(self, netns: str | None, address: str, port: int, timeout: float) -> socket.socket:
        self.act(f"connect {netns} {address}:{port}")
        ours, peer = socket.socketpair()
        peer.sendall(self.response)
        peer.shutdown(socket.SHUT_WR)
        self.peers.append(peer)
        self._answer(1, 1)
        return ours

    def _answer(self, requests: int, connections: int) -> None:
        assert self.serving is not None
        counters = self.serving.counters
        counters["requests_parsed"] += requests
        counters["responses_sent"] += requests
        counters["accepts"] += connections

    def _load(self, wrk: LoadingProcess, file: Path) -> None:
        assert self.serving is not None
        connections = int(wrk.argv[wrk.argv.index("--connections") + 1])
        seconds = int(wrk.argv[wrk.argv.index("--duration") + 1][:-1])
        self._answer(REQUESTS, connections + 1)
        if "cycles_busy" in self.serving.counters:
            self.serving.counters["cycles_busy"] += 500
        report = {"duration_us": seconds * 1_000_000, "requests": REQUESTS,
                  "bytes": REQUESTS * len(self.response), "latency_us": [[10, REQUESTS]],
                  "errors": {"connect": 0, "read": 0, "write": 0, "status": 0, "timeout": 0},
                  "proc_stat": {"before": STAT.format(0), "after": STAT.format(100)}}
        self.report(report)
        file.write_text(json.dumps(report))
        self.on_load(wrk)
        if not wrk.hangs:
            wrk.code = wrk.code or 0
            self.alive.pop(wrk.pid, None)


def only_run(results: Path) -> Run:
    runs = list((results / "runs").iterdir())
    assert len(runs) == 1 and ID.fullmatch(runs[0].name)
    return load_run(runs[0])


def at_load(number: int, act: Callable[[LoadingProcess], None]) -> Callable[[LoadingProcess], None]:
    """Does `act` at the wrk of that number, from 1; two belong to every trial."""
    seen = [0]

    def count(wrk: LoadingProcess) -> None:
        seen[0] += 1
        if seen[0] == number:
            act(wrk)
    return count


def interrupt(wrk: LoadingProcess) -> None:
    raise KeyboardInterrupt
