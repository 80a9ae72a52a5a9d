# SPDX-License-Identifier: BSD-3-Clause
"""lwip_server, under sanitizers, behind a wire that loses, repeats, delays, reorders and damages frames: the kernel's
TCP at the other end gets and gives exactly its bytes."""

from __future__ import annotations

import hashlib
import json
import shutil
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator

import pytest

from harness.trial.probe_protocol import expected_body
from harness.host import Host, LocalHost, Process
from harness.tests.system.conftest import ROOT

CLIENT, WIRE, SERVER = (f"stackduel-faults-{end}" for end in ("client", "wire", "server"))
ADDRESS, PORT = "198.18.7.3", 80
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n0"
UPLOAD = 1 << 20
ROUGH = {"loss": 100, "duplicate": 200, "reorder": 500, "damage": 50, "delay-us": 200, "jitter-us": 2000}
# To a receiver without SACK and timestamps the kernel doubles its timeout with each loss of a segment sent again, up to
# many seconds, and lwIP as a sender pays half a second for two losses in one window: rarer where the transfer is long.
UPLOADING = {"loss": 20, "duplicate": 100, "reorder": 30, "damage": 10, "delay-us": 200, "jitter-us": 2000}
MILD = {"loss": 5, "duplicate": 50, "reorder": 5, "damage": 2, "delay-us": 100, "jitter-us": 500}


@dataclass
class Served:
    """What wire and server counted, once both have ended."""

    wire: dict[str, Any]
    server: dict[str, Any]


def wait_for_line(process: Process, path: Path) -> None:
    deadline = time.monotonic() + 30
    while not path.read_text().startswith("READY"):
        assert process.poll() is None and time.monotonic() < deadline, path.with_suffix(".err").read_text()
        time.sleep(0.02)


@contextmanager
def links(host: Host) -> Iterator[None]:
    """client0 — wire-a, wire-b — server0, each pair's ends in namespaces of their own."""
    with ExitStack() as undo:
        for name in (CLIENT, WIRE, SERVER):
            host.run(["ip", "netns", "add", name])
            undo.callback(host.run, ["ip", "netns", "delete", name], check=False)
            undo.callback(host.kill_inside, name)
        for near, name, far in ((("client0", CLIENT), "wire-a", WIRE), (("server0", SERVER), "wire-b", WIRE)):
            host.run(["ip", "link", "add", near[0], "netns", near[1], "type", "veth", "peer", name, "netns", far])
        for netns, name in ((CLIENT, "client0"), (WIRE, "wire-a"), (WIRE, "wire-b"), (SERVER, "server0")):
            host.run(["sysctl", "-q", "-w", f"net.ipv6.conf.{name}.disable_ipv6=1"], netns=netns)
            # frames as they are on a wire: none larger than the MTU, every checksum filled in
            host.run(["ethtool", "-K", name, "tx", "off", "tso", "off", "gso", "off", "gro", "off"], netns=netns)
            host.run(["ip", "link", "set", name, "up"], netns=netns)
        host.run(["ip", "address", "add", "198.18.7.1/24", "dev", "client0"], netns=CLIENT)
        yield


@contextmanager
def faulty_wire(host: Host, raw: Path, rates: dict[str, int], seed: int, served: Served) -> Iterator[None]:
    out = raw / "wire.out"
    options = [word for name, value in rates.items() for word in (f"--{name}", str(value))]
    wire = host.spawn([str(ROOT / "build/faulty_wire"), "--seed", str(seed), *options, "wire-a", "wire-b"],
                      netns=WIRE, stdout=out, stderr=out.with_suffix(".err"))
    wait_for_line(wire, out)
    yield
    assert wire.stop() == 0
    served.wire = json.loads(out.read_text().splitlines()[-1])


@contextmanager
def lwip_server(host: Host, raw: Path, body_size: int, served: Served) -> Iterator[None]:
    out = raw / "server.out"
    server = host.spawn([str(ROOT / "build/checked/lwip_server"), "--no-huge", "-m", "256", "--no-pci", "--no-shconf",
                         "--no-telemetry", f"--file-prefix={SERVER}", "--vdev=net_af_packet0,iface=server0", "--",
                         "--address", ADDRESS, "--mac", "02:53:44:00:07:03", "--body-size", str(body_size)],
                        netns=SERVER, stdout=out, stderr=out.with_suffix(".err"))
    try:
        wait_for_line(server, out)
        yield
        assert server.stop(20) == 0, out.with_suffix(".err").read_text()
    finally:
        host.kill_inside(SERVER)
        shutil.rmtree(f"/run/dpdk/{SERVER}", ignore_errors=True)
    served.server = json.loads(out.read_text().splitlines()[-1])


@contextmanager
def serving(raw: Path, body_size: int, rates: dict[str, int], seed: int) -> Iterator[Served]:
    host, served = LocalHost(), Served({}, {})
    with links(host), faulty_wire(host, raw, rates, seed, served), lwip_server(host, raw, body_size, served):
        yield served


def receive(connection: socket.socket, size: int) -> bytes:
    received = bytearray()
    while len(received) < size:
        piece = connection.recv(1 << 18)
        assert piece, f"closed after {len(received)} of {size} bytes"
        received += piece
    return bytes(received)


def get(times: int, body_size: int) -> None:
    """`times` requests on one connection, each answered to the byte."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % body_size + expected_body(body_size)
    with LocalHost().connect(CLIENT, ADDRESS, PORT, 60) as connection:
        for _ in range(times):
            connection.sendall(GET)
            received = receive(connection, len(answer))
            assert hashlib.sha256(received).digest() == hashlib.sha256(answer).digest()


def faults_met(counts: dict[str, Any]) -> dict[str, int]:
    """Of both directions; kinds that did not occur are left out."""
    kinds = ("lost", "duplicated", "reordered", "damaged")
    return {kind: met for kind in kinds if (met := counts["a_to_b"][kind] + counts["b_to_a"][kind])}


@pytest.mark.parametrize("body_size, connections, times", [(1, 16, 8), (3700, 16, 4), (64 << 10, 4, 1),
                                                           (1 << 20, 1, 1)])
def test_bodies_arrive_to_the_byte(tmp_path: Path, body_size: int, connections: int, times: int) -> None:
    with serving(tmp_path, body_size, ROUGH, seed=body_size) as served, ThreadPoolExecutor(connections) as pool:
        for done in [pool.submit(get, times, body_size) for _ in range(connections)]:
            done.result()
    assert served.server["accepts"] >= connections
    assert served.server["requests_parsed"] == served.server["responses_sent"] == connections * times
    assert faults_met(served.wire)


def test_a_large_body_arrives_to_the_byte(tmp_path: Path) -> None:
    with serving(tmp_path, 16 << 20, MILD, seed=16) as served:
        get(1, 16 << 20)
    assert served.server["retransmits"] > 0
    assert len(faults_met(served.wire)) == 4, served.wire


def test_uploads_arrive_to_the_byte(tmp_path: Path) -> None:
    head = b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % UPLOAD
    with serving(tmp_path, 1, UPLOADING, seed=1) as served:
        with LocalHost().connect(CLIENT, ADDRESS, PORT, 60) as connection:
            for _ in range(2):
                connection.sendall(head + expected_body(UPLOAD))
                assert receive(connection, len(OK)) == OK
    assert served.server["requests_parsed"] == 2
    assert served.server["bytes_received"] == 2 * (len(head) + UPLOAD)
    assert {"lost", "duplicated", "reordered"} <= set(faults_met(served.wire)), served.wire
