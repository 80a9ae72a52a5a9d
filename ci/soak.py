#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Does lwip_server lose memory? Clients that come and go in rounds, over a veth pair; after each round and a quiet time
the server must hold what it held at the start: no connection, the same buffers, the same memory.

Exit code: 0 nothing is lost, 1 something is, 2 wrong usage, 3 the machine cannot, 70 internal error. Needs root.
Everything lives in two namespaces of its own. Must not depend on the harness.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Iterator

CLIENT, SERVER = "stackduel-soak-client", "stackduel-soak-server"
ADDRESS, OWN, VANISHING, PORT = "198.18.8.3", "198.18.8.1", "198.18.8.99", 80
BODY = 64 << 10
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
GET_AND_CLOSE = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BODY + b"".join(b"%07d\n" % k for k in range(BODY // 8))
THREADS = 32
QUIET_SECONDS = 30      # until the server has given up whoever vanished
TIME_WAIT_SECONDS = 75  # 2 MSL are 60
# The allocator keeps what it has had from the kernel, and a round's peak is not the same each time.
SLACK_KIB = 1024


@dataclass(frozen=True)
class Held:
    """What the server holds: elements in use by pool (none where it does not tell), and its own memory."""

    pools: dict[str, int]
    anonymous_kib: int


class Failure(Exception):
    """Something is lost, or an answer is wrong."""


class Server:
    """lwip_server in its namespace."""

    def __init__(self, program: Path) -> None:
        words = [str(program), "--no-huge", "-m", "256", "--no-pci", "--no-shconf", "--no-telemetry",
                 "--log-level=error", f"--file-prefix={SERVER}", "--vdev=net_af_packet0,iface=server0", "--",
                 "--address", ADDRESS, "--mac", "02:53:44:00:08:03", "--body-size", str(BODY), "--keepalive-idle", "1",
                 "--keepalive-interval", "1", "--keepalive-count", "2"]
        self._process = subprocess.Popen(["ip", "netns", "exec", SERVER, *words], stdout=subprocess.PIPE,
                                         encoding="utf-8")
        if not self._line().startswith("READY"):
            raise Failure("lwip_server did not start")

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def counters(self) -> dict[str, Any]:
        self._process.send_signal(signal.SIGUSR1)
        line = self._line()
        if not line:
            raise Failure(f"lwip_server ended with {self._process.wait()}")
        counters: dict[str, Any] = json.loads(line)
        return counters

    def held(self) -> Held:
        pools = {name: int(pool["used"]) for name, pool in self.counters().get("memory", {}).items()
                 if isinstance(pool, dict) and "used" in pool}
        # smaps, not status: what is counted there lags behind by dozens of pages per CPU
        smaps = Path(f"/proc/{self._process.pid}/smaps_rollup").read_text("utf-8")
        found = re.search(r"^Anonymous:\s+(\d+) kB", smaps, re.MULTILINE)
        assert found is not None
        return Held(pools, int(found[1]))

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        if self._process.wait(20) != 0:
            raise Failure(f"lwip_server ended with {self._process.returncode}")

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(f"/run/dpdk/{SERVER}", ignore_errors=True)


def connect(source: str = OWN, receive_buffer: int = 0) -> socket.socket:
    connection = socket.socket()
    if receive_buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.settimeout(20)
    connection.bind((source, 0))
    connection.connect((ADDRESS, PORT))
    return connection


def receive(connection: socket.socket, size: int) -> bytes:
    received = bytearray()
    while len(received) < size and (piece := connection.recv(size - len(received))):
        received += piece
    return bytes(received)


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def must_answer(connection: socket.socket, times: int = 1) -> None:
    for _ in range(times):
        if receive(connection, len(ANSWER)) != ANSWER:
            raise Failure("an answer is not what it must be")


def ask(chance: random.Random) -> None:
    with connect() as connection:
        for _ in range(chance.randrange(1, 6)):
            connection.sendall(GET)
            must_answer(connection)


def half_close(chance: random.Random) -> None:
    times = chance.randrange(1, 6)
    with connect() as connection:
        connection.sendall(GET * times)
        connection.shutdown(socket.SHUT_WR)
        must_answer(connection, times)
        if connection.recv(1):
            raise Failure("the server says more than it was asked")


def abort(chance: random.Random) -> None:
    times = chance.randrange(0, 4)
    connection = connect()
    connection.sendall(GET * times)
    receive(connection, min(times, 1) * chance.choice((0, 0, 1, 5000)))
    reset(connection)


def say_nothing(chance: random.Random) -> None:
    with connect() as connection:
        connection.sendall(GET[:chance.randrange(len(GET))])


def let_the_server_close(_: random.Random) -> None:
    with connect() as connection:
        connection.sendall(GET_AND_CLOSE)
        while connection.recv(1 << 16):
            pass


KINDS: list[Callable[[random.Random], None]] = [ask, half_close, abort, say_nothing]


def stallers(count: int) -> list[socket.socket]:
    """They ask and do not read."""
    stalled = [connect(receive_buffer=4096) for _ in range(count)]
    for connection in stalled:
        connection.sendall(GET * 20)
    return stalled


def vanish(count: int) -> None:
    """Clients whose address goes while they are served: no FIN, no RST, no answer to anything."""
    subprocess.run(["ip", "address", "add", f"{VANISHING}/24", "dev", "client0"], check=True)
    gone = [connect(VANISHING, 4096) for _ in range(count)]
    for number, connection in enumerate(gone):
        if number % 2 == 0:
            connection.sendall(GET * 4)
    subprocess.run(["ip", "address", "del", f"{VANISHING}/24", "dev", "client0"], check=True)
    for connection in gone:
        connection.close()


def run_round(seed: int, clients: int, kinds: list[Callable[[random.Random], None]]) -> None:
    stalled = stallers(clients // 10)
    with ThreadPoolExecutor(THREADS) as pool:
        jobs = [pool.submit(kinds[number % len(kinds)], random.Random(seed * 100_000 + number))
                for number in range(clients)]
        for job in jobs:
            job.result()
    vanish(clients // 10)
    for connection in stalled:
        reset(connection)


def until(holds: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def wait_until_quiet(server: Server) -> None:
    def all_gone() -> bool:
        counters = server.counters()
        return bool(counters["accepts"] == counters["closes"])
    if not until(all_gone, QUIET_SECONDS):
        counters = server.counters()
        raise Failure(f"{counters['accepts']} connections were accepted, {counters['closes']} have ended")


def compare(start: Held, now: Held, pools: bool) -> None:
    if pools and now.pools != start.pools:
        grown = {name: (start.pools.get(name, 0), used) for name, used in now.pools.items()
                 if used != start.pools.get(name, 0)}
        raise Failure(f"in use at the start, and now: {grown}")
    if now.anonymous_kib > start.anonymous_kib + SLACK_KIB:
        raise Failure(f"memory: {start.anonymous_kib} KiB at the start, {now.anonymous_kib} KiB now")


def soak(server: Server, seconds: int, clients: int) -> None:
    # who closes first keeps a connection in TIME-WAIT for a minute: not where there is none to wait
    server_closes = seconds >= 2 * TIME_WAIT_SECONDS
    kinds = [*KINDS, let_the_server_close] if server_closes else KINDS
    deadline = time.monotonic() + seconds - (TIME_WAIT_SECONDS if server_closes else 0)
    empty = server.held()
    if not empty.pools:
        print("soak: this server does not tell what its pools hold: its own memory and connections are compared")
    run_round(0, clients, kinds)  # brings the allocator to its size
    wait_until_quiet(server)
    start, rounds = server.held(), 0
    while time.monotonic() < deadline:
        rounds += 1
        run_round(rounds, clients, kinds)
        wait_until_quiet(server)
        now = server.held()
        print(f"soak: round {rounds}: {server.counters()['accepts']} connections so far, {now.anonymous_kib} KiB"
              f" (at the start {start.anonymous_kib})", flush=True)
        compare(start, now, pools=not server_closes)
    if server_closes:
        until(lambda: server.held().pools == empty.pools, TIME_WAIT_SECONDS)
    compare(Held(empty.pools, start.anonymous_kib), server.held(), pools=True)
    print(f"soak: {rounds} rounds, {server.counters()['accepts']} connections, nothing lost")


def links() -> Iterator[list[str]]:
    """The commands that make both namespaces and what joins them."""
    for name in (CLIENT, SERVER):
        yield ["ip", "netns", "add", name]
    yield ["ip", "link", "add", "client0", "netns", CLIENT, "type", "veth", "peer", "server0", "netns", SERVER]
    for netns, name in ((CLIENT, "client0"), (SERVER, "server0")):
        inside = ["ip", "netns", "exec", netns]
        yield [*inside, "sysctl", "-q", "-w", f"net.ipv6.conf.{name}.disable_ipv6=1"]
        yield [*inside, "ethtool", "-K", name, "tx", "off", "tso", "off", "gso", "off", "gro", "off"]
        yield ["ip", "-n", netns, "link", "set", name, "up"]
    yield ["ip", "-n", CLIENT, "address", "add", f"{OWN}/24", "dev", "client0"]


def outside(argv: list[str]) -> int:
    """Makes the namespaces, goes on inside the client's, and removes them."""
    try:
        for words in links():
            done = subprocess.run(words, capture_output=True, encoding="utf-8")
            if done.returncode != 0:
                print(f"soak: `{' '.join(words)}`: {done.stderr.strip()}", file=sys.stderr)
                return 3
        return subprocess.run(["ip", "netns", "exec", CLIENT, sys.executable, __file__, *argv, "--inside"]).returncode
    finally:
        for name in (CLIENT, SERVER):
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)


def inside(options: argparse.Namespace) -> int:
    server = None
    try:
        server = Server(options.build / "lwip_server")
        soak(server, options.seconds, options.clients)
        server.stop()
    except (Failure, OSError) as failure:
        print(f"soak: {failure}", file=sys.stderr)
        return 1
    finally:
        if server is not None:
            server.kill()
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--build", type=Path, default=Path(__file__).resolve().parent.parent / "build")
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--clients", type=int, default=400, help="per round, and a fifth more that stall or vanish")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    options = parse()
    if options.inside:
        return inside(options)
    if os.geteuid() != 0:
        print("soak: needs root, for namespaces", file=sys.stderr)
        return 3
    if not (options.build / "lwip_server").exists():
        print(f"soak: {options.build / 'lwip_server'} is not built: run 'make'", file=sys.stderr)
        return 3
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return outside(sys.argv[1:])
    except KeyboardInterrupt:
        print("soak: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Exception:
        # 1 would say that what is checked failed
        traceback.print_exc()
        sys.exit(os.EX_SOFTWARE)
