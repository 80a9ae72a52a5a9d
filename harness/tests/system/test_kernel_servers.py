# SPDX-License-Identifier: BSD-3-Clause
"""What only the kernel's servers have: threads and CPUs, busy polling, rings; and servers that are slow on purpose."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import socket
import struct
import subprocess
import time
from contextlib import ExitStack, contextmanager
from typing import Any, Callable, Iterator, Sequence

import pytest

from harness.trial.observe.counters import Counters
from harness.trial.server import Running
from harness.tests.system.conftest import ROOT, TestBed
from harness.tests.system.test_servers import GET, OK, exchange, read_exactly

PROGRAMS = ["epoll_server", "uring_server"]
CPUS = sorted(os.sched_getaffinity(0))
SYS_IO_URING_SETUP, SYS_IO_URING_REGISTER = 425, 427
BUFFERS = 512  # servers/kernel/kernel_ring.h


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Local:
    """A server on the machine's own loopback: no packet leaves the CPU that sent it."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self.port = port

    def connect_from(self, cpu: int) -> socket.socket:
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {cpu})
        try:
            return socket.create_connection(("127.0.0.1", self.port), 10)
        finally:
            os.sched_setaffinity(0, before)

    def counters(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        self.process.send_signal(signal.SIGUSR1)
        counters: dict[str, Any] = json.loads(self.process.stdout.readline())
        return counters


@contextmanager
def local(program: str, *options: str) -> Iterator[Local]:
    port = free_port()
    words = [str(ROOT / "build/checked" / program), "--address", "127.0.0.1", "--port", str(port), *options]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == f"READY 127.0.0.1:{port}\n"
            yield Local(process, port)
            process.terminate()
            last = process.stdout.read().splitlines()[-1]
            assert process.wait(10) == 0
            assert json.loads(last)["server"] + "_server" == program
        finally:
            process.kill()


@pytest.mark.skipif(len(CPUS) < 2, reason="needs two CPUs")
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_connection_goes_to_the_thread_of_the_cpu_that_received_its_syn(program: str) -> None:
    first, second = CPUS[:2]
    with local(program, "--threads", "2", "--cpus", f"{second},{first}") as server, ExitStack() as connections:
        for cpu in (first, second, second, second):
            connection = connections.enter_context(server.connect_from(cpu))
            connection.sendall(GET)
            assert read_exactly(connection, len(OK)) == OK
        counters = server.counters()
        assert counters["threads"] == 2
        assert counters["accepts_by_thread"] == [3, 1]
        assert counters["accepts"] == counters["requests_parsed"] == counters["responses_sent"] == 4
        threads = sorted(int(name) for name in os.listdir(f"/proc/{server.process.pid}/task"))
        assert [os.sched_getaffinity(thread) for thread in threads] == [{second}, {first}]


@pytest.mark.parametrize("program", PROGRAMS)
def test_without_cpus_connections_are_spread_over_the_threads(program: str) -> None:
    with local(program, "--threads", "3") as server, ExitStack() as connections:
        for _ in range(60):
            connections.enter_context(server.connect_from(CPUS[0])).sendall(GET)
        deadline = time.monotonic() + 10
        while (counters := server.counters())["responses_sent"] < 60 and time.monotonic() < deadline:
            time.sleep(0.05)
        # of 60 by a hash, fewer than 5 at one of three: once in 10⁵
        assert counters["accepts"] == 60 and min(counters["accepts_by_thread"]) >= 5


@pytest.mark.parametrize("program", PROGRAMS)
def test_places_are_for_all_threads_together(program: str) -> None:
    with local(program, "--threads", "3", "--max-connections", "4") as server, ExitStack() as connections:
        served = 0
        for _ in range(20):
            try:
                connection = connections.enter_context(server.connect_from(CPUS[0]))
                connection.sendall(GET)
                served += connection.recv(100) == OK
            except ConnectionError:
                pass
        counters = server.counters()
        assert (served, counters["accepts"], counters["refused"]) == (4, 4, 16)


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("options, said", [
    (("--cpus", "99999"), "--cpus: there is no CPU 99999 here"),
    (("--cpus", ",".join(map(str, CPUS + CPUS))), "--cpus: "),
    (("--threads", "2", "--cpus", str(CPUS[0])), "--cpus: "),
    (("--threads", "65"), "--threads: '65' is not in 1..64"),
])
def test_threads_that_cannot_be_are_one_line_and_exit_2(program: str, options: Sequence[str], said: str) -> None:
    result = subprocess.run([ROOT / "build" / program, *options], capture_output=True, text=True, timeout=20)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(f"{program}: {said}") and result.stderr.count("\n") == 1


@pytest.mark.parametrize("program", PROGRAMS)
def test_counters_are_whole_under_load(program: str) -> None:
    with local(program, "--threads", "2") as server:
        with subprocess.Popen(["wrk", "-t1", "-c32", "-d2s", f"http://127.0.0.1:{server.port}/"],
                              stdout=subprocess.PIPE, text=True) as wrk:
            seen = [server.counters() for _ in range(50)]
            text, _ = wrk.communicate(timeout=20)
        assert "Socket errors" not in text and "Non-2xx" not in text
        parsed = [counters["requests_parsed"] for counters in seen]
        assert parsed == sorted(parsed)
        time.sleep(0.2)
        last = server.counters()
        assert last["requests_parsed"] == last["responses_sent"] > 0
        assert last["closes"] == last["accepts"] >= 32


@pytest.mark.parametrize("threads", ["1", "2"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_the_port_is_free_when_a_server_has_ended(program: str, threads: str) -> None:
    """What a ring has under way keeps sockets, and the kernel takes its time with a ring whose process has gone."""
    for _ in range(5):
        with ExitStack() as connections:
            with local(program, "--threads", threads) as server:
                for _ in range(20):
                    connections.enter_context(server.connect_from(CPUS[0])).sendall(GET)
                port = server.port
            with socket.socket() as other:
                other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                other.bind(("127.0.0.1", port))
                other.listen()


@pytest.mark.parametrize("name", ["epoll", "uring", "uring of 2 threads"])
def test_requests_of_many_clients_that_wait_at_once(bed: TestBed, name: str) -> None:
    """More than a ring has buffers (512), submissions (256) and, with what accepting brings, completions (4096)."""
    count = 5000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count + 500), max(hard, count + 500)))
    with bed.server(name, "--max-connections", str(count)) as running, ExitStack() as connections:
        clients = [connections.enter_context(bed.connect(running, 30)) for _ in range(count)]
        for round_ in range(2):
            os.kill(running.pid, signal.SIGSTOP)
            for client in clients:
                client.sendall(GET * 3)
            os.kill(running.pid, signal.SIGCONT)
            for client in clients:
                assert read_exactly(client, 3 * len(OK)) == 3 * OK
        counters = running.snapshot()
        assert counters is not None
        assert counters["requests_parsed"] == counters["responses_sent"] == 6 * count
        assert (counters["accepts"], counters["closes"], counters["errors_socket"]) == (count, 0, 0)


def test_an_answer_that_finds_no_room_is_sent_when_there_is_some(bed: TestBed) -> None:
    """Below what a ring sends without waiting for room: the first ones fit, then the client is behind."""
    body, count = 60_000, 400
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % body
    with bed.server("uring", "--body-size", str(body)) as running, bed.connect(running, 30) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        for _ in range(count):
            client.sendall(GET)
            time.sleep(0.001)
        received = read_exactly(client, count * (len(head) + body))
        assert received.count(head) == count
        assert len(set(received.split(head)[1:])) == 1
        client.sendall(GET)
        assert read_exactly(client, len(head) + body).startswith(head)
        counters = running.snapshot()
        assert counters is not None
        assert counters["requests_parsed"] == counters["responses_sent"] == count + 1
        assert counters["bytes_sent"] == (count + 1) * (len(head) + body)


@contextmanager
def offloads(bed: TestBed, namespace: str, interface: str, **wanted: str) -> Iterator[None]:
    """Offloads of an interface by ethtool's short names, "on" or "off", and back as they were."""
    long_names = {"gro": "generic-receive-offload", "tso": "tcp-segmentation-offload"}
    lines = bed.host.run(["ethtool", "-k", interface], netns=namespace).stdout.splitlines()
    state = dict(line.split()[:2] for line in lines[1:] if len(line.split()) > 1)
    before = {name: state[long_names[name] + ":"] for name in wanted}

    def write(states: dict[str, str]) -> None:
        bed.host.run(["ethtool", "-K", interface, *(word for pair in states.items() for word in pair)], netns=namespace)
    write(wanted)
    try:
        yield
    finally:
        write(before)


@pytest.mark.parametrize("gro, tso, queues", [("on", "off", True), ("on", "on", False), ("off", "off", False)])
def test_a_veth_has_a_queue_that_can_be_polled(bed: TestBed, gro: str, tso: str, queues: bool) -> None:
    """Its NAPI is there while its own GRO is on, and takes TCP segments only while its peer's TSO is off."""
    contender, bridge = bed.wire.contenders["epoll"], bed.wire.bridge
    assert bridge is not None
    with offloads(bed, contender.endpoint.namespace, contender.endpoint.interface, gro=gro), \
            offloads(bed, bridge.namespace, contender.end.bridge_port, tso=tso), \
            bed.server("epoll", "--busy-poll", "50") as running:
        for _ in range(3):
            assert exchange(bed, running, GET) == OK
        counters = running.snapshot()
    assert counters is not None
    assert (counters["accepts"], counters["napi_connections"]) == (3, 3 if queues else 0)


def test_loopback_has_no_queue_that_can_be_polled() -> None:
    with local("epoll_server", "--busy-poll", "50") as server, server.connect_from(CPUS[0]) as connection:
        connection.sendall(GET)
        assert read_exactly(connection, len(OK)) == OK
        counters = server.counters()
        assert (counters["accepts"], counters["napi_connections"]) == (1, 0)
        assert isinstance(counters["epoll_busy_poll"], bool)


def test_busy_polling_without_the_privilege_is_one_line_and_exit_3() -> None:
    result = subprocess.run(["setpriv", "--bounding-set=-net_admin", str(ROOT / "build/epoll_server"), "--address",
                             "127.0.0.1", "--port", str(free_port()), "--busy-poll", "50"], capture_output=True,
                            text=True, timeout=20)
    assert (result.returncode, result.stdout) == (3, "")
    assert "CAP_NET_ADMIN" in result.stderr and result.stderr.count("\n") == 1


def _forbid(call: int, error: int) -> Callable[[], None]:
    """A seccomp filter (seccomp(2)) for the program that is started: `call` fails with `error`."""
    rows = [(0x20, 0, 0, 0), (0x15, 0, 1, call), (0x06, 0, 0, 0x0005_0000 | error), (0x06, 0, 0, 0x7FFF_0000)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *row) for row in rows))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(rows), ctypes.addressof(code)))
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def forbid() -> None:
        assert prctl(38, 1, 0, 0, 0) == 0 and prctl(22, 2, program, 0, 0) == 0 and code
    return forbid


@pytest.mark.parametrize("call, error, said", [
    (SYS_IO_URING_SETUP, 1, "forbidden here"),
    (SYS_IO_URING_SETUP, 38, "no io_uring"),
    (SYS_IO_URING_SETUP, 22, "too old"),
    (SYS_IO_URING_REGISTER, 22, "refuses to register a ring"),
])
def test_a_kernel_that_refuses_io_uring_is_one_line_and_exit_3(call: int, error: int, said: str) -> None:
    words = [str(ROOT / "build/uring_server"), "--address", "127.0.0.1", "--port", str(free_port())]
    result = subprocess.run(words, preexec_fn=_forbid(call, error), capture_output=True, text=True, timeout=20)
    assert (result.returncode, result.stdout) == (3, "")
    assert said in result.stderr and result.stderr.startswith("uring_server: ") and result.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["epoll", "lwip"])
def test_a_slow_server_says_so(bed: TestBed, name: str) -> None:
    def served(running: Running) -> Counters:
        assert exchange(bed, running, GET) == OK
        counters = running.snapshot()
        assert counters is not None
        return counters
    with bed.server(name, slow=True) as running:
        assert served(running)["slow_cycles"] == int((ROOT / "build/servers/slow/cycles").read_text())
        assert "cycles more" in running.stderr.read_text()
    with bed.server(name, checked=False) as running:
        assert "slow_cycles" not in served(running)
    release = (ROOT / "build" / f"{name}_server").read_bytes()
    assert b"slow_cycles" not in release and b"cycles more" not in release
