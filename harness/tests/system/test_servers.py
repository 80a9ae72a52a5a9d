# SPDX-License-Identifier: BSD-3-Clause
"""All servers on the real wire, under sanitizers: the same answers, and no client that brings them down."""

from __future__ import annotations

import errno
import hashlib
import os
import pwd
import signal
import socket
import struct
import time
from pathlib import Path
from typing import Callable, ContextManager

import pytest

from harness.host import inside
from harness.trial.observe.counters import Counters
from harness.trial.server import Running
from harness.trial.probe_protocol import expected_body
from harness.tests.system.conftest import KERNEL_SERVERS, ROOT, TestBed

Serve = Callable[..., ContextManager[Running]]
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n0"

REQUESTS = {
    "get": GET,
    "any path": b"GET /a/b?c=%20 HTTP/1.1\r\nHost: a\r\n\r\n",
    "head": b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
    "pipelined over many segments": GET * 4000,
    "pipelined": GET * 40 + b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + GET,
    "close": b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + GET,
    "http/1.0": b"GET / HTTP/1.0\r\n\r\n",
    "http/1.0 keep-alive": b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" * 2,
    "body": b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello" + GET,
    "malformed": b"GET\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "post": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    "body too large": b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n",
    "head too large": b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: " + b"y" * 20000 + b"\r\n\r\n",
    "target too long": b"GET /" + b"y" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    "folded length": b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n 5\r\n\r\nhello" + GET,
    "http/1.0 of a proxy": b"GET / HTTP/1.0\r\nProxy-Connection: keep-alive\r\n\r\n" * 2,
    "http/2": b"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
}
STATUS = {"malformed": 400, "no host": 400, "folded length": 400, "post": 405, "body too large": 413,
          "head too large": 431, "target too long": 414, "http/2": 505}


def exchange(bed: TestBed, running: Running, sent: bytes) -> bytes:
    """Everything that comes back for `sent` until the server closes, after we have closed our side."""
    with bed.connect(running) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while piece := connection.recv(1 << 16):
            received += piece
    return received


def read_exactly(connection: socket.socket, size: int) -> bytes:
    received = bytearray()
    while len(received) < size:
        piece = connection.recv(min(size - len(received), 1 << 20))
        assert piece, f"closed after {len(received)} of {size} bytes"
        received += piece
    return bytes(received)


def assert_serves(bed: TestBed, running: Running) -> None:
    with bed.connect(running) as connection:
        connection.sendall(GET)
        assert connection.recv(4096).startswith(b"HTTP/1.1 200 OK\r\n")


def wait_for(running: Running, holds: Callable[[Counters], bool], seconds: float) -> Counters:
    deadline = time.monotonic() + seconds
    while True:
        counters = running.snapshot()
        assert counters is not None
        if holds(counters) or time.monotonic() > deadline:
            return counters
        time.sleep(0.1)


def test_all_servers_give_the_same_bytes(bed: TestBed) -> None:
    answers: dict[str, dict[str, bytes]] = {}
    for name in (*KERNEL_SERVERS, "lwip"):
        with bed.server(name) as running:
            answers[name] = {what: exchange(bed, running, sent) for what, sent in REQUESTS.items()}
    for name in KERNEL_SERVERS:
        assert answers[name] == answers["lwip"], name
    for what, status in STATUS.items():
        assert answers["lwip"][what].split(b" ")[1] == b"%d" % status, what
    assert answers["lwip"]["pipelined"].count(b"HTTP/1.1 200") == 42
    assert answers["lwip"]["close"].count(b"HTTP/1.1 200") == 1
    assert answers["lwip"]["http/1.0 of a proxy"].count(b"HTTP/1.1 200") == 1
    assert answers["lwip"]["get"] == OK


def test_curl_gets_the_same_from_all(bed: TestBed) -> None:
    bodies = []
    for name in ("epoll", "uring", "lwip"):
        with bed.server(name, "--body-size", "100K") as running:
            result = bed.host.run(["curl", "-sSi", f"http://{running.address}:{running.port}/x"],
                                  netns=bed.wire.client.namespace)
            bodies.append(result.stdout)
    assert bodies[0] == bodies[1] == bodies[2]
    assert bodies[0].endswith(expected_body(100 << 10).decode())


def test_requests_arrive_in_pieces(bed: TestBed, serve: Serve) -> None:
    with serve() as running, bed.connect(running) as connection:
        for byte in GET:
            connection.sendall(bytes([byte]))
        assert read_exactly(connection, len(OK)) == OK


@pytest.mark.parametrize("size", ["0", "3700", "1M"])
def test_bodies_arrive_whole(bed: TestBed, serve: Serve, size: str) -> None:
    with serve("--body-size", size) as running:
        assert_body(bed, running, int(size[:-1]) << 20 if size.endswith("M") else int(size))


@pytest.mark.parametrize("name", ["epoll", "uring", "lwip"])
def test_the_largest_body_arrives_whole(bed: TestBed, name: str) -> None:
    with bed.server(name, "--body-size", "64M") as running:
        assert_body(bed, running, 64 << 20)


def assert_body(bed: TestBed, running: Running, count: int) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % count
    with bed.connect(running, 60) as connection:
        connection.sendall(GET)
        assert read_exactly(connection, len(head)) == head
        digest = hashlib.sha256(read_exactly(connection, count)).hexdigest()
    assert digest == hashlib.sha256(expected_body(count)).hexdigest()


def test_a_client_that_does_not_read_loses_nothing_and_stops_nobody(bed: TestBed, serve: Serve) -> None:
    with serve("--body-size", "4M") as running, bed.connect(running, 60) as slow:
        slow.sendall(GET)
        time.sleep(2)  # the window closes; persist probes keep the connection
        assert_serves(bed, running)
        size = len(b"HTTP/1.1 200 OK\r\nContent-Length: 4194304\r\n\r\n") + (4 << 20)
        assert read_exactly(slow, size).endswith(expected_body(4 << 20))


def test_a_client_that_only_sends_is_held_back(bed: TestBed, serve: Serve) -> None:
    with serve() as running, bed.connect(running) as flood:
        # small buffers at the client's end, so that what goes on being taken is in the server
        flood.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        flood.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
        flood.setblocking(False)
        requests, sent, quiet = GET * 1000, 0, 0.0
        # what the kernel's own buffers take ends with them (tcp_rmem's maximum may be tens of MiB)
        while quiet < 1:
            try:
                sent += flood.send(requests[sent % len(requests):])
                quiet = 0.0
            except BlockingIOError:
                time.sleep(0.05)
                quiet += 0.05
            assert sent < 1 << 30, "the server takes requests without end and without sending answers"
        assert_serves(bed, running)


def connected(bed: TestBed, running: Running, **options: int) -> socket.socket:
    """A connection with socket options (SO_… and TCP_…) that only work when set before it."""
    connection = in_client_namespace(bed, socket.AF_INET, socket.SOCK_STREAM)
    for name, value in options.items():
        level = socket.IPPROTO_TCP if name.startswith("TCP_") else socket.SOL_SOCKET
        connection.setsockopt(level, getattr(socket, name), value)
    connection.settimeout(10)
    connection.connect((running.address, running.port))
    return connection


def test_a_client_of_small_segments_gets_its_body(bed: TestBed, serve: Serve) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 102400\r\n\r\n"
    with serve("--body-size", "100K") as running, connected(bed, running, TCP_MAXSEG=88) as connection:
        connection.sendall(GET)
        assert read_exactly(connection, len(head) + 102400).endswith(expected_body(102400))


@pytest.mark.parametrize("closing", ["", "Connection: close\r\n"])
def test_no_number_of_clients_that_do_not_read_stops_the_others(bed: TestBed, serve: Serve, closing: str) -> None:
    request = b"GET / HTTP/1.1\r\nHost: a\r\n" + closing.encode() + b"\r\n"
    with serve("--body-size", "240K", "--max-connections", "4000") as running:
        silent = []
        for _ in range(1700):
            silent.append(connected(bed, running, SO_RCVBUF=4096))
            silent[-1].sendall(request)
        time.sleep(1)
        assert exchange(bed, running, GET).endswith(expected_body(240 << 10))
        counters = running.snapshot()
        for connection in silent:
            connection.close()
    assert counters is not None and counters["accepts"] == 1701


def test_no_number_of_clients_that_ask_much_and_read_nothing_stops_the_others(bed: TestBed, serve: Serve) -> None:
    """Many small answers each: without a limit on their number they are all segments that there are."""
    with serve("--max-connections", "4000") as running:
        silent = []
        for _ in range(1700):
            silent.append(connected(bed, running, SO_RCVBUF=4096))
            silent[-1].sendall(GET * 400)
        time.sleep(1)
        assert exchange(bed, running, GET) == OK
        counters = running.snapshot()
        for connection in silent:
            connection.close()
    assert counters is not None and counters["accepts"] == 1701


def test_a_client_that_takes_nothing_is_given_up(bed: TestBed, serve: Serve) -> None:
    options = ("--keepalive-idle", "1", "--keepalive-interval", "1", "--keepalive-count", "2")
    request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    # more than a kernel's send buffer takes, so that both servers are left with some of it
    with serve("--body-size", "16M", *options) as running, connected(bed, running, SO_RCVBUF=4096) as silent:
        silent.sendall(request)
        counters = wait_for(running, lambda now: now["closes"] == 1, 15)
        assert (counters["accepts"], counters["closes"], counters["errors_socket"]) == (1, 1, 1)


def test_who_takes_too_long_makes_room_for_others(bed: TestBed, serve: Serve) -> None:
    """All places are taken by who sends half a request, says nothing or takes nothing: by and by each is ended."""
    options = ("--header-timeout", "1", "--idle-timeout", "3", "--send-timeout", "2", "--body-size", "16M",
               "--max-connections", "15")
    with serve(*options) as running:
        stalled = [bed.connect(running) for _ in range(5)]
        idle = [bed.connect(running) for _ in range(5)]
        deaf = [connected(bed, running, SO_RCVBUF=4096) for _ in range(5)]
        for connection in stalled:
            connection.sendall(GET[:-1])
        for connection in deaf:
            connection.sendall(GET)
        for connections, at_most in ((stalled, 4), (idle, 6)):
            for connection in connections:
                connection.settimeout(at_most)
                assert connection.recv(1) == b"", "a FIN, and nothing before it"
        counters = wait_for(running, lambda now: now["closes"] == 15, 5)
        assert [counters[name] for name in ("accepts", "closes", "timeouts", "errors_socket", "errors_http")] == \
            [15, 15, 15, 0, 0]
        for connection in stalled + idle + deaf:
            connection.close()
        assert_serves(bed, running)


def test_who_goes_on_is_kept(bed: TestBed, serve: Serve) -> None:
    """Also across a time in which the server did not run: it cannot know what its clients did then."""
    limits = ("--header-timeout", "2", "--idle-timeout", "2", "--send-timeout", "2")
    with serve(*limits, "--body-size", "16M") as running, bed.connect(running) as asking, \
            connected(bed, running, SO_RCVBUF=1 << 16) as slow:
        slow.sendall(GET)
        for _ in range(20):
            asking.sendall(b"HEAD" + GET[3:])
            assert asking.recv(4096).startswith(b"HTTP/1.1 200 OK\r\n")
            read_exactly(slow, 1 << 16)
            time.sleep(0.3)
        os.kill(running.pid, signal.SIGSTOP)
        time.sleep(4)
        os.kill(running.pid, signal.SIGCONT)
        asking.sendall(GET)
        assert asking.recv(4096).startswith(b"HTTP/1.1 200 OK\r\n")
        read_exactly(slow, 1 << 16)
        counters = running.snapshot()
        assert counters is not None and counters["timeouts"] == 0


def rights(pid: int) -> list[dict[str, str]]:
    """What each thread of a process may do, by the names in /proc."""
    return [dict(line.split(":\t", 1) for line in (task / "status").read_text().splitlines() if ":\t" in line)
            for task in Path(f"/proc/{pid}/task").iterdir()]


def test_no_server_stays_root(bed: TestBed, serve: Serve) -> None:
    with serve() as running, bed.connect(running) as connection:
        connection.sendall(GET)
        assert read_exactly(connection, len(OK)) == OK
        for thread in rights(running.pid):
            assert set(thread["Uid"].split()) == {str(pwd.getpwnam("nobody").pw_uid)}
            assert thread["Groups"].split() == []
            assert (int(thread["CapEff"], 16), thread["NoNewPrivs"], thread["Umask"]) == (0, "1", "0077")


@pytest.mark.parametrize("user", ["daemon", "root"])
def test_the_user_may_be_chosen(bed: TestBed, serve: Serve, user: str) -> None:
    with serve("--user", user) as running:
        assert_serves(bed, running)
        owner = str(pwd.getpwnam(user).pw_uid)
        assert {thread["Uid"].split()[1] for thread in rights(running.pid)} == {owner}
        running.snapshot()
        assert f'"user": "{user}"' in running.lines()[-1]


def connect_when_free(connection: socket.socket, running: Running, seconds: float) -> None:
    """The client's kernel keeps the port until the server has acknowledged the last connection's FIN."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            connection.connect((running.address, running.port))
            return
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL or time.monotonic() > deadline:
                raise
        time.sleep(0.01)


def test_a_port_may_be_used_again_after_the_server_closed(bed: TestBed, serve: Serve) -> None:
    request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    with serve() as running:
        for _ in range(3):
            with in_client_namespace(bed, socket.AF_INET, socket.SOCK_STREAM) as connection:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                connection.bind((bed.wire.client.ip, 12345))
                connection.settimeout(5)
                connect_when_free(connection, running, 5)
                connection.sendall(request)
                while connection.recv(4096):
                    pass


def test_many_clients_that_only_send_leave_buffers_for_the_others(bed: TestBed) -> None:
    with bed.server("lwip", "--mbufs", "1023", "--rx-descriptors", "256") as running:
        floods = [bed.connect(running) for _ in range(60)]
        for flood in floods:
            flood.setblocking(False)
        for _ in range(40):
            for flood in floods:
                try:
                    flood.send(GET * 500)
                except BlockingIOError:
                    continue
            time.sleep(0.02)
        assert_serves(bed, running)
        for flood in floods:
            flood.close()
        counters = running.snapshot()
    assert counters is not None and counters["rx_copied"] > 0


def test_reset_in_mid_transfer(bed: TestBed, serve: Serve) -> None:
    with serve("--body-size", "16M") as running:
        for _ in range(20):
            connection = bed.connect(running)
            connection.sendall(GET)
            connection.recv(1000)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
        counters = wait_for(running, lambda now: now["closes"] == 20, 10)
        assert counters["closes"] == counters["accepts"] == 20
        assert counters["errors_socket"] == 20
        assert_serves(bed, running)


def test_a_half_closed_client_gets_its_answer(bed: TestBed, serve: Serve) -> None:
    with serve("--body-size", "1M") as running:
        assert exchange(bed, running, GET).endswith(expected_body(1 << 20))


def test_idle_connections_are_kept(bed: TestBed, serve: Serve) -> None:
    options = ("--keepalive-idle", "1", "--keepalive-interval", "1", "--keepalive-count", "2")
    with serve(*options) as running, bed.connect(running) as idle:
        time.sleep(3.5)  # without an answer to the probes the server would have given up after 3
        idle.sendall(GET)
        assert read_exactly(idle, len(OK)) == OK


def test_clients_that_vanish_are_reclaimed(bed: TestBed, serve: Serve) -> None:
    options = ("--keepalive-idle", "1", "--keepalive-interval", "1", "--keepalive-count", "2",
               "--body-size", "8M")
    bridge = bed.wire.bridge
    assert bridge is not None
    port = ("ip", "-n", bridge.namespace, "link", "set", bridge.client_port)
    with serve(*options) as running:
        silent, receiving = bed.connect(running), bed.connect(running)
        receiving.sendall(GET)
        receiving.recv(1000)
        bed.host.run([*port, "down"])
        try:
            counters = wait_for(running, lambda now: now["closes"] == 2, 20)
        finally:
            bed.host.run([*port, "up"])
            silent.close()
            receiving.close()
        assert (counters["accepts"], counters["closes"], counters["errors_socket"]) == (2, 2, 2)


def test_requests_known_by_their_bytes_are_counted(bed: TestBed, serve: Serve) -> None:
    with serve() as running, bed.connect(running) as connection:
        for _ in range(10):
            connection.sendall(GET)
            assert read_exactly(connection, len(OK)) == OK
        counters = running.snapshot()
        assert counters is not None
        assert (counters["requests_parsed"], counters["requests_known"]) == (10, 9)


def test_without_the_optimisation_every_request_is_parsed(bed: TestBed) -> None:
    with bed.server("lwip", "--without=request") as running, bed.connect(running) as connection:
        connection.sendall(GET * 10)
        assert read_exactly(connection, 10 * len(OK)) == 10 * OK
        counters = running.snapshot()
        assert counters is not None
        assert (counters["requests_parsed"], counters["requests_known"]) == (10, 0)


def test_requests_that_are_broken_off_leave_nothing_behind(bed: TestBed, serve: Serve) -> None:
    """A parser is held while a request is partly read, and there are as many as connections."""
    reset = struct.pack("ii", 1, 0)
    with serve("--max-connections", "4") as running:
        for round_ in range(20):
            connections = [bed.connect(running) for _ in range(4)]
            for connection in connections:
                connection.sendall(GET[:-1])
            wait_for(running, lambda now: now["bytes_received"] >= 4 * (len(GET) - 1) * (round_ + 1), 10)
            for connection in connections:
                if round_ % 2 == 0:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
                connection.close()
            wait_for(running, lambda now: now["closes"] == 4 * (round_ + 1), 10)
        with bed.connect(running) as connection:
            for byte in GET:
                connection.sendall(bytes([byte]))
            assert read_exactly(connection, len(OK)) == OK
        counters = running.snapshot()
        assert counters is not None and counters["errors_http"] == 0


def resident_kib(running: Running) -> int:
    lines = (Path("/proc") / str(running.pid) / "status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


@pytest.mark.parametrize("name, most", [*((name, 1 << 20) for name in KERNEL_SERVERS), ("lwip", 1 << 25)])
def test_connections_that_have_not_come_take_no_memory(bed: TestBed, name: str, most: int) -> None:
    resident = []
    for limit in (1000, most):
        with bed.server(name, "--max-connections", str(limit), checked=False) as running:
            assert_serves(bed, running)
            resident.append(resident_kib(running))
    assert resident[1] - resident[0] < 16 << 10


def test_connections_beyond_the_limit_are_refused_and_counted(bed: TestBed, serve: Serve) -> None:
    with serve("--max-connections", "100") as running:
        kept = [bed.connect(running) for _ in range(100)]
        # each thread takes its own in its own time, and one that comes later would find a place
        wait_for(running, lambda now: now["accepts"] == 100, 10)
        refused = 0
        for _ in range(10_000):
            connection = in_client_namespace(bed, socket.AF_INET, socket.SOCK_STREAM)
            try:
                connection.settimeout(10)
                connection.connect((running.address, running.port))
                refused += connection.recv(1) == b""
            except ConnectionError:
                refused += 1
            finally:
                connection.close()
        assert refused == 10_000
        for connection in kept:
            connection.sendall(GET)
            assert read_exactly(connection, len(OK)) == OK
        counters = running.snapshot()
        assert counters is not None
        assert (counters["accepts"], counters["refused"]) == (100, 10_000)
        for connection in kept:
            connection.close()
        wait_for(running, lambda now: now["closes"] == 100, 10)
        assert_serves(bed, running)


def test_half_open_connections_do_not_stop_the_server(bed: TestBed, serve: Serve) -> None:
    with serve("--backlog", "64") as running:
        with in_client_namespace(bed, socket.AF_PACKET, socket.SOCK_RAW) as wire:
            wire.bind((bed.wire.client.interface, 0))
            for port in range(1000):
                wire.send(syn(bed, running, 20_000 + port))
        assert_serves(bed, running)


def initial_sequence(bed: TestBed, running: Running, wire: socket.socket, port: int) -> int:
    """Ask for a connection from the client's `port`; return where the server's numbers begin. No socket has that port:
    the client's kernel resets the connection."""
    client = bed.wire.client
    wire.send(syn(bed, running, port, client.ip))
    again = time.monotonic() + 10
    while True:
        try:
            frame = wire.recv(2048)
        except TimeoutError:
            # nothing else sends it again, should it be lost
            assert time.monotonic() < again, "no answer"
            wire.send(syn(bed, running, port, client.ip))
            continue
        source, target, number, _, _, flags = struct.unpack("!HHIIBB", frame[34:48])
        if frame[23] == socket.IPPROTO_TCP and (source, target, flags) == (running.port, port, 0x12):
            assert isinstance(number, int)
            return number


def test_initial_sequence_numbers_are_not_guessed_but_grow(bed: TestBed) -> None:
    """RFC 6528, from outside on a fresh server: ports have nothing in common, one port's numbers follow a clock."""
    with bed.server("lwip") as running, in_client_namespace(bed, socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.bind((bed.wire.client.interface, 0x800))
        wire.settimeout(1)
        begun = time.monotonic()
        numbers = [initial_sequence(bed, running, wire, 20_000 + port) for port in range(50)]
        first_by = time.monotonic()
        time.sleep(0.5)
        slept = time.monotonic()
        grown = (initial_sequence(bed, running, wire, 20_000) - numbers[0]) % 2**32
        ended = time.monotonic()
    steps = [(after - before) % 2**32 for before, after in zip(numbers, numbers[1:])]
    # of two steps one in 128 is this much like the next by chance
    alike = sum(min((b - a) % 2**32, (a - b) % 2**32) < 2**24 for a, b in zip(steps, steps[1:]))
    assert alike < 8 and len({*numbers}) == 50
    # a tick is some 64 ns
    assert 0.9 * (slept - first_by) * 1e9 / 64 < grown < 1.1 * (ended - begun) * 1e9 / 64


def test_the_link_of_the_tap_may_go_and_come_back(bed: TestBed) -> None:
    end = bed.wire.contenders["lwip"].endpoint
    with bed.server("lwip") as running, bed.connect(running, 20) as connection:
        bed.host.run(["ip", "-n", end.namespace, "link", "set", end.interface, "down"])
        connection.sendall(GET)
        time.sleep(1)
        bed.host.run(["ip", "-n", end.namespace, "link", "set", end.interface, "up"])
        assert read_exactly(connection, len(OK)) == OK
        assert_serves(bed, running)


@pytest.mark.parametrize("program", ["epoll_server", "uring_server", "lwip_server"])
def test_a_bad_option_is_one_line_and_exit_2(bed: TestBed, program: str) -> None:
    words = ["--"] if program == "lwip_server" else []
    for option in (("--port", "70000"), ("--body-size", "-1"), ("--frob",), ("--port",)):
        result = bed.host.run([str(ROOT / "build" / program), *words, *option], check=False)
        assert result.code == 2
        assert result.stdout == ""
        assert result.stderr.startswith(f"{program}: {option[0]}") and result.stderr.count("\n") == 1


@pytest.mark.parametrize("name", KERNEL_SERVERS)
def test_a_port_in_use_is_one_line_and_exit_1(bed: TestBed, name: str) -> None:
    with bed.server(name) as running:
        contender = bed.wire.contenders["epoll"]
        program, options = KERNEL_SERVERS[name]
        result = bed.host.run([str(ROOT / program), "--address", running.address, "--port", str(running.port),
                               *options], netns=contender.endpoint.namespace, check=False)
    assert result.code == 1
    assert "in use" in result.stderr and result.stderr.count("\n") == 1


def test_lwip_without_a_device_is_exit_3(bed: TestBed) -> None:
    # the bed's own file prefix, so that its runtime directory goes with the bed
    eal = ("--no-huge", "-m", "64", "--no-pci", "--no-shconf", "--no-telemetry", "--file-prefix=stackduel")
    result = bed.host.run([str(ROOT / "build/lwip_server"), *eal, "--", "--port", "80"], check=False)
    assert result.code == 3
    assert result.stderr.splitlines()[-1].startswith("lwip_server: no port 0: give EAL a device")


def in_client_namespace(bed: TestBed, family: int, kind: int) -> socket.socket:
    """Return a socket of the client's namespace, not connected."""
    return inside(bed.wire.client.namespace, lambda: socket.socket(family, kind))


def checksum(data: bytes) -> int:
    """RFC 1071."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def syn(bed: TestBed, running: Running, port: int, neighbour: str = "198.18.0.77") -> bytes:
    """A SYN frame from `port` of a neighbour; there is none of that address."""
    client, end = bed.wire.client, running.contender.endpoint
    source, target = socket.inet_aton(neighbour), socket.inet_aton(running.address)
    tcp = struct.pack("!HHIIBBHHH", port, running.port, 1, 0, 5 << 4, 2, 1024, 0, 0)
    sum_tcp = checksum(source + target + struct.pack("!HH", socket.IPPROTO_TCP, len(tcp)) + tcp)
    tcp = tcp[:16] + struct.pack("!H", sum_tcp) + tcp[18:]
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 40, port, 0, 64, socket.IPPROTO_TCP, 0) + source + target
    ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
    macs = bytes.fromhex(end.mac.replace(":", "")) + bytes.fromhex(client.mac.replace(":", ""))
    return macs + b"\x08\x00" + ip + tcp
