# SPDX-License-Identifier: BSD-3-Clause
"""lwip_server and a bare client at the two ends of shared memory, without a harness between: what each end
does when the other is absent, dies or comes back. The server is the sanitized build: a wrong access ends it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from harness.host import LocalHost
from harness.provision.steps import Hugepages
from harness.tests.system.conftest import ROOT

SERVER, PINGER = ROOT / "build/checked/lwip_server", ROOT / "build/lwip_pinger"
PREFIXES = ("stackduel-wire-server", "stackduel-wire-client")
EAL = ("--no-pci", "--no-telemetry", "--in-memory", "--single-file-segments", "--log-level=error")
ADDRESS, PORT = "198.18.0.3", 80
SOON = 20.0  # seconds within which what must happen does, however busy the machine
PAGES_KIB, PAGES = 2048, 256
NR = Path(f"/sys/kernel/mm/hugepages/hugepages-{PAGES_KIB}kB/nr_hugepages")
RUNTIME = Path(os.environ.get("RUNTIME_DIRECTORY", "/run")) / "dpdk"


def eventually(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + SOON
    while not true():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.05)


@pytest.fixture(scope="module", autouse=True)
def hugepages() -> Iterator[None]:
    pages, before = Hugepages(PAGES_KIB, PAGES), NR.read_text() if NR.exists() else ""
    pages.up(LocalHost())
    if not pages.granted:
        pytest.skip(f"shared memory needs hugepages: {pages.why}")
    try:
        yield
    finally:
        NR.write_text(before)


@pytest.fixture(autouse=True)
def nothing_of_eal_is_left() -> Iterator[None]:
    """A process that was killed leaves its empty runtime directory."""
    yield
    for prefix in PREFIXES:
        shutil.rmtree(RUNTIME / prefix, ignore_errors=True)


class Server:
    """lwip_server listening on `socket`, with `options` of its own; `out` and `err` are what it printed."""

    def __init__(self, socket: Path, directory: Path, *options: str) -> None:
        self.out, self.err = directory / "server.out", directory / "server.err"
        with self.out.open("w") as out, self.err.open("w") as err:
            self.process = subprocess.Popen(
                [SERVER, "-l", "0", *EAL, "--file-prefix", PREFIXES[0],
                 f"--vdev=net_vhost0,iface={socket},queues=1", "--", "--address", ADDRESS, "--port", str(PORT),
                 *options], stdout=out, stderr=err)

    def lines(self) -> list[str]:
        """Whole lines of stdout."""
        return self.out.read_text().rpartition("\n")[0].splitlines()

    def wait_ready(self) -> None:
        eventually(lambda: self.lines() or self.process.poll() is not None)
        assert self.lines() == [f"READY {ADDRESS}:{PORT}"], self.err.read_text()

    def counters(self) -> dict[str, Any]:
        before = len(self.lines())
        self.process.send_signal(signal.SIGUSR1)
        eventually(lambda: len(self.lines()) > before)
        counters: dict[str, Any] = json.loads(self.lines()[-1])
        return counters

    def stop(self) -> dict[str, Any]:
        """Its last counters, after an end in order and without a word of a sanitizer's."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(SOON) == 0, self.err.read_text()
        assert "Sanitizer" not in self.err.read_text()
        counters: dict[str, Any] = json.loads(self.lines()[-1])
        return counters

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def serving(socket: Path, directory: Path, *options: str) -> Iterator[Server]:
    server = Server(socket, directory, *options)
    try:
        server.wait_ready()
        yield server
    finally:
        server.kill()


def ping(socket: Path, connections: int, seconds: int) -> subprocess.Popen[str]:
    return subprocess.Popen([PINGER, "-l", "0", *EAL, "--file-prefix", PREFIXES[1],
                             f"--vdev=net_virtio_user0,path={socket},queues=1", "--",
                             "198.18.0.2", ADDRESS, str(PORT), str(connections), str(seconds)],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(pinger: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Exit code, stdout, last line of stderr."""
    try:
        out, err = pinger.communicate(timeout=3 * SOON)
    finally:
        pinger.kill()
    return pinger.returncode, out, (err.splitlines() or [""])[-1]


def pinged(socket: Path, connections: int, seconds: int) -> dict[str, Any]:
    code, out, error = ended(ping(socket, connections, seconds))
    assert code == 0, error
    result: dict[str, Any] = json.loads(out)
    return result


@pytest.fixture()
def socket(tmp_path: Path) -> Path:
    return tmp_path / "wire"


@pytest.mark.parametrize("connections", [1, 128])
def test_both_ends_count_the_same(socket: Path, tmp_path: Path, connections: int) -> None:
    with serving(socket, tmp_path) as server:
        client = pinged(socket, connections, 1)
        counters = server.stop()
    assert client["requests"] > 0
    assert counters["accepts"] == counters["closes"] == connections
    assert counters["requests_parsed"] == counters["responses_sent"] >= client["requests"]
    assert counters["bytes_sent"] == counters["responses_sent"] * client["response_bytes"]
    for count in ("rx_dropped", "retransmits", "no_mbuf"):
        assert (client[count], counters[count]) == (0, 0), count
    assert client["tx_dropped"] == 0


def test_checksums_are_left_out_at_both_ends(socket: Path, tmp_path: Path) -> None:
    with serving(socket, tmp_path) as server:
        ports = pinged(socket, 1, 1)["port"], server.stop()["port"]
    for port in ports:
        assert {f"{way} {sums}_CKSUM" for way in ("rx", "tx") for sums in ("TCP", "UDP")} <= set(
            port["offloads_granted"])


def test_an_end_that_asks_for_no_offload_understands_one_that_does(socket: Path, tmp_path: Path) -> None:
    with serving(socket, tmp_path, "--no-offload") as server:
        client = pinged(socket, 4, 1)
        counters = server.stop()
    assert client["requests"] > 0
    assert (counters["rx_dropped"], counters["retransmits"], client["retransmits"]) == (0, 0, 0)


def test_a_server_nobody_came_to_stops_in_order(socket: Path, tmp_path: Path) -> None:
    # nobody, whom it is else, may remove nothing from this directory
    with serving(socket, tmp_path, "--user", "root") as server:
        counters = server.stop()
    assert counters["tx_packets"] == counters["rx_packets"] == 0
    assert not socket.exists()


def test_a_client_whose_server_dies_says_so_and_ends(socket: Path, tmp_path: Path) -> None:
    with serving(socket, tmp_path) as server:
        pinger = ping(socket, 16, 60)
        eventually(lambda: server.counters()["responses_sent"] > 1000)
        server.kill()
        assert ended(pinger) == (1, "", "lwip_pinger: the link went down")


def test_a_server_that_was_killed_starts_again_on_its_socket(socket: Path, tmp_path: Path) -> None:
    for _ in range(2):
        with serving(socket, tmp_path) as server:
            assert pinged(socket, 4, 1)["requests"] > 0
            server.kill()
            assert socket.exists()
    assert ended(ping(socket, 1, 1)) == (
        3, "", f"lwip_pinger: {socket}: nobody listens there: the process that did is gone")


def test_a_server_outlives_its_clients_and_takes_their_connections_back(socket: Path, tmp_path: Path) -> None:
    quick = ("--keepalive-idle", "1", "--keepalive-interval", "1", "--keepalive-count", "1")
    with serving(socket, tmp_path, *quick) as server:
        for clients in range(1, 4):
            answered = server.counters()["responses_sent"]
            pinger = ping(socket, 16, 60)
            eventually(lambda: server.counters()["responses_sent"] > answered + 1000)
            pinger.kill()
            pinger.communicate()
            eventually(lambda: server.counters()["closes"] == 16 * clients)
        assert pinged(socket, 16, 1)["requests"] > 0
        counters = server.stop()
    assert counters["accepts"] == counters["closes"] == 64


def test_a_new_client_takes_the_place_of_a_dead_one_at_once(socket: Path, tmp_path: Path) -> None:
    with serving(socket, tmp_path) as server:
        pinger = ping(socket, 16, 60)
        eventually(lambda: server.counters()["responses_sent"] > 1000)
        pinger.kill()
        pinger.communicate()
        assert pinged(socket, 16, 1)["requests"] > 0
        server.stop()


def refused(socket: Path, directory: Path) -> tuple[int, str]:
    """Exit code and last line of stderr of a server that must not start."""
    server = Server(socket, directory)
    try:
        code = server.process.wait(SOON)
    finally:
        server.kill()
    assert server.lines() == []
    return code, server.err.read_text().splitlines()[-1]


def test_a_second_server_leaves_the_first_alone(socket: Path, tmp_path: Path) -> None:
    second = tmp_path / "second"
    second.mkdir()
    with serving(socket, tmp_path) as server:
        assert refused(socket, second) == (3, f"lwip_server: {socket}: in use: another process listens there")
        assert pinged(socket, 1, 1)["requests"] > 0
        server.stop()


def test_what_is_no_socket_is_not_removed(socket: Path, tmp_path: Path) -> None:
    socket.write_text("precious")
    assert refused(socket, tmp_path) == (2, f"lwip_server: {socket}: is no socket, and stays")
    assert socket.read_text() == "precious"


def test_a_path_too_long_for_a_socket(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 108)
    code, line = refused(long, tmp_path)
    assert code == 2
    assert line == (f"lwip_server: {long}: a socket's path has at most 107 bytes, this one has"
                    f" {len(str(long))}")
    assert ended(ping(long, 1, 1))[2] == line.replace("lwip_server", "lwip_pinger")
