# SPDX-License-Identifier: BSD-3-Clause
"""A fake host on which contenders serve and wrk loads them: enough for trials and whole runs in memory."""

from __future__ import annotations

import json
import signal
import socket
from pathlib import Path
from typing import Any, Callable, Mapping, Sequence

from harness.exchange import Http, expected_response
from harness.plan import Workload
from harness.store import ID, Run, load_run
from harness.tests.fake_host import PAGES, FakeHost, FakeProcess
from harness.wire import load_wire

REQUESTS = 1000
COUNTERS = ("requests_parsed", "responses_sent", "accepts", "refused", "errors_http")
# of a contender on shared memory
MOVED = ("bytes_received", "bytes_sent", "rx_packets", "tx_packets")
REQUEST_SIZE = 37
STAT = "cpu  0 0 0 0 0 0 0 0 0 0\ncpu0 {0} 0 50 0 0 0 0 0 0 0\ncpu1 {0} 0 0 0 0 0 0 0 0 0\n"
STATUS = "VmRSS:\t    1000 kB\nHugetlbPages:\t    2048 kB\n"
FILES = {"/proc/cpuinfo": "processor\t: 0\nmodel name\t: Test CPU\nflags\t\t: sse avx\n",
         "/proc/meminfo": "MemTotal:       24000000 kB\nMemFree: 1 kB\nSlab:    50000 kB\n", "/proc/stat": STAT.format(0),
         "/proc/sys/kernel/osrelease": "6.1.0-test\n"}


class ServingProcess(FakeProcess):
    """A contender: SIGUSR1 and SIGTERM print its counters; a load may wait for the first of them."""

    counters: dict[str, Any]
    stdout: Path
    counted: Callable[[], None] | None

    def signal(self, number: int) -> None:
        super().signal(number)
        if number in (signal.SIGUSR1, signal.SIGTERM):
            with open(self.stdout, "a") as file:
                file.write(json.dumps(self.counters) + "\n")
        load, self.counted = self.counted, None
        if load is not None and number == signal.SIGUSR1:
            load()


class OwnProcess(FakeProcess):
    """loadgen: `says` is its JSON; it lingers until it is signalled, and then ends with `ends_with`."""

    stdout: Path
    ends_with: int

    def say(self, *lines: str) -> None:
        with open(self.stdout, "a") as file:
            file.write("".join(f"{line}\n" for line in lines))

    def signal(self, number: int) -> None:
        super().signal(number)
        if self.code == 0:
            self.code = self.ends_with


class LoadingProcess(FakeProcess):
    """A client: its load happens when it is first waited for. `hangs`: it does not end by itself.

    Under the launcher it counts into the file `counters`, twice while it runs (`samples`) and at its end.
    """

    hangs: bool
    load: Callable[[], None] | None
    counters: Path | None
    samples: list[dict[str, Any]]
    # of a wrk: how often it is waited for in vain, and what goes on then
    ticks: int = 0
    on_tick: Callable[["LoadingProcess"], None]

    def wait(self, timeout: float) -> int:
        if self.ticks:
            self.ticks -= 1
            self.on_tick(self)
            raise TimeoutError
        if self.counters and self.samples:
            write_counters(self.counters, self.samples.pop(0))
            raise TimeoutError
        load, self.load = self.load, None
        if load is not None:
            load()
        return super().wait(timeout)


def write_counters(file: Path, counters: Mapping[str, Any]) -> None:
    """As the preload library does."""
    file.write_text(json.dumps(counters).ljust(4095) + "\n")


def behind_launcher(argv: Sequence[str]) -> tuple[list[str], Path | None]:
    """A client's own argv, and where the library under its launcher counts."""
    if Path(argv[0]).name != "on-lwip":
        return list(argv), None
    return list(argv[argv.index("--") + 1:]), Path(argv[argv.index("--counters") + 1])


class ServingHost(FakeHost):
    """`on_load` is called with every wrk while it runs, `report` may change what wrk reports of a load.

    `on_tick` is called `ticks` times while each wrk is waited for. Every load has REQUESTS requests. `napi`: connections that had a NAPI id, of a server that
    busy-polls. `response` is what a proof request is answered with. `on_count` may change
    what the library has counted of a client process, by the program's name.
    """

    def __init__(self) -> None:
        super().__init__()
        self.files.update(FILES)
        self.files[f"{PAGES}/free_hugepages"] = "200\n"
        self.napi: object = 0
        self.response = expected_response(Workload("rps", "/", 1))
        self.report: Callable[[dict[str, Any]], None] = lambda report: None
        self.on_load: Callable[[LoadingProcess], None] = lambda wrk: None
        self.account: Callable[[dict[str, Any]], None] = lambda account: None
        self.on_count: Callable[[str, dict[str, Any]], None] = lambda program, counters: None
        self.ticks = 0
        self.on_tick: Callable[[LoadingProcess], None] = lambda wrk: None
        self.serving: ServingProcess | None = None
        self.capacity = 1000
        self.peers: list[socket.socket] = []
        for contender in (*load_wire("tap").contenders.values(), load_wire("shm").contenders["epoll"]):
            self.neighbours[contender.endpoint.ip] = (contender.endpoint.mac, "REACHABLE")

    def read(self, path: str | Path) -> str:
        return STATUS if str(path).endswith("/status") else super().read(path)

    def spawn(self, argv: Sequence[str], *, netns: str | None = None, cpus: Sequence[int] = (), stdout: Path,
              stderr: Path, env: Mapping[str, str] | None = None) -> FakeProcess:
        process = super().spawn(argv, netns=netns, cpus=cpus, stdout=stdout, stderr=stderr, env=env)
        words, counters = behind_launcher(argv)
        if Path(words[0]).name == "loadgen":
            process.__class__ = OwnProcess
            assert isinstance(process, OwnProcess)
            process.stdout, process.ends_with = stdout, 0
            self._connect(process, argv)
            return process
        if Path(words[0]).name in ("wrk", "openload") or "harness.exchange" in words:
            process.__class__ = LoadingProcess
            assert isinstance(process, LoadingProcess)
            client = process
            client.hangs, client.counters, client.samples = False, counters, []
            if words[0] == "wrk":
                client.argv, client.ticks, client.on_tick = tuple(words), self.ticks, self.on_tick
                client.samples = [{"sockets": int(words[words.index("--connections") + 1]), "cycles_busy": 100 + 90 * n,
                                   "cycles_away": 50 * n, "cycles_idle": 7 + 60 * n} for n in range(2)]
                client.load = lambda: self._load(client, Path((env or {})["STACKDUEL_WRK_JSON"]))
            elif Path(words[0]).name == "openload":
                client.argv = tuple(words)
                client.load = lambda: self._load_open(client)
            else:
                client.load = lambda: self._ask(client, stdout)
            return client
        process.__class__ = ServingProcess
        assert isinstance(process, ServingProcess)
        process.stdout = stdout
        process.counters = {"server": "x", **dict.fromkeys(COUNTERS, 0)}
        process.counted = None
        if "--busy-poll" in argv:
            process.counters["napi_connections"] = self.napi
        if any("net_vhost" in word for word in argv):
            process.counters |= dict.fromkeys(MOVED, 0)
        if "lwip" in argv[0]:
            process.counters |= {"cycles_busy": 0, "tsc_hz": 1000, "port": {"driver": "net_tap"}}
        stdout.write_text(f"READY {process.pid}\n")
        self.serving = process
        return process

    def connect(self, netns: str | None, address: str, port: int, timeout: float) -> socket.socket:
        self.act(f"connect {netns} {address}:{port}")
        ours, peer = socket.socketpair()
        is_nginx = self.serving is not None and Path(self.serving.argv[0]).name == "nginx.py"
        self._answer(2 if is_nginx else 1, 1)
        peer.sendall(self.response + (self._status() if is_nginx else b""))
        peer.shutdown(socket.SHUT_WR)
        self.peers.append(peer)
        return ours

    def _status(self) -> bytes:
        """nginx's own count, this request in it."""
        assert self.serving is not None
        served = self.serving.counters["requests_parsed"]
        text = b"Active connections: 1 \nserver accepts handled requests\n 4 4 %d \nReading: 0 \n" % served
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(text) + text

    def _connect(self, loadgen: OwnProcess, argv: Sequence[str]) -> None:
        """Its connections and warm-up; the load when the server has first been asked for its counters."""
        assert self.serving is not None
        connections = int(argv[argv.index("--connections") + 1])
        self._answer(REQUESTS, connections)
        loadgen.stdout.write_text(f"CONNECTED {connections}\nMEASURING\n")
        self.serving.counted = lambda: self._load_own(loadgen, connections, int(argv[argv.index("--duration") + 1]))

    def _load_own(self, loadgen: OwnProcess, connections: int, seconds: int) -> None:
        assert self.serving is not None
        self._answer(REQUESTS, 0)
        self.serving.counters |= {"cycles_busy": self.serving.counters.get("cycles_busy", 0) + 500}
        self.files["/proc/stat"] = STAT.format(100)
        account = {"program": "loadgen", "mode": "closed", "connections": connections, "active": connections,
                   "duration_seconds": float(seconds), "requests": REQUESTS, "bytes": REQUESTS * len(self.response),
                   "connects": 0, "connects_per_sec": 0, "connect_seconds": 0.25, "total_requests": 2 * REQUESTS,
                   "total_connects": connections, "in_flight": 3,
                   "errors": {"connect": 0, "reset": 0, "timeout": 0, "content": 0, "status": 0},
                   "latency_us": [[1.25, REQUESTS - 1], [40, 1]], "busy_share": 0.2, "client_bound": False,
                   "rx_packets": 7, "port": {"driver": "net_vhost"}}
        self.account(account)
        loadgen.say(json.dumps(account))

    def _answer(self, requests: int, connections: int) -> None:
        assert self.serving is not None
        counters = self.serving.counters
        counters["requests_parsed"] += requests
        counters["responses_sent"] += requests
        counters["accepts"] += connections

    def _ask(self, client: LoadingProcess, stdout: Path) -> None:
        """A proof's client under the launcher: one connection, one request."""
        received = len(self.response)
        self._answer(1, 1)
        wrong = Http().compare(self.response, Workload("rps", "/", 1), True)
        stdout.write_text(json.dumps({"sent": REQUEST_SIZE, "received": received, "wrong": wrong,
                                      "single": received, "served": None}) + "\n")
        self._count(client, "python3", 1, 1)
        self._end(client)

    def _count(self, client: LoadingProcess, program: str, requests: int, connections: int) -> None:
        """What both ends' counters say of a client that has ended, where both have some."""
        if client.counters is None or self.serving is None:
            return
        up, down = requests * REQUEST_SIZE, requests * len(self.response)
        counted: dict[str, Any] = {
            "pid": client.pid, "program": program, "sockets": 0, "connects": connections, "accepts": 0,
            "bytes_sent": up, "bytes_received": down, "tx_packets": 2 * requests, "rx_packets": 3 * requests,
            "rx_dropped": 0, "no_mbuf": 0, "cycles_busy": 900, "cycles_away": 500, "cycles_idle": 600, "tsc_hz": 1000,
            "port": {"driver": "net_virtio_user"}}
        for key, count in zip(MOVED, (up, down, 2 * requests, 3 * requests)):
            self.serving.counters[key] += count
        self.on_count(program, counted)
        if counted:
            write_counters(client.counters, counted)

    def _end(self, client: LoadingProcess) -> None:
        if not client.hangs:
            client.code = client.code or 0
            self.alive.pop(client.pid, None)

    def _load_open(self, client: LoadingProcess) -> None:
        """What openload would say, of a server that can do `capacity` requests/s."""
        assert self.serving is not None
        connections, seconds = int(given(client.argv, "--connections")), int(given(client.argv, "--duration"))
        rate, most = int(given(client.argv, "--rate")), self.capacity * seconds
        intended = rate * seconds or most
        done = min(intended, most)
        self._answer(done + connections, connections)
        account = {
            "program": "openload", "arrivals": "poisson", "requests": done, "bytes": done * len(self.response),
            "duration_seconds": float(seconds), "total_requests": done + connections, "intended": intended,
            "measured": done, "unsent": intended - done, "unsent_oldest_us": 0.0, "waited": 0, "backlog_middle": 0,
            "backlog_end": intended - done, "backlog_longest": 9, "busy_share": 0.5, "client_bound": False,
            "errors": {"connect": 0, "reset": 0, "timeout": 0, "content": 0, "status": 0},
            "latency_us": [[20.5, done]], "send_lag_us": [[0.5, done]],
            "proc_stat": {"before": STAT.format(0), "after": STAT.format(100)}}
        self.report(account)
        Path(given(client.argv, "--output")).write_text(json.dumps(account))
        self.on_load(client)
        self._end(client)

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
        self._count(wrk, "wrk", REQUESTS, connections + 1)
        self.on_load(wrk)
        self._end(wrk)


def given(argv: Sequence[str], option: str) -> str:
    return argv[list(argv).index(option) + 1]


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
