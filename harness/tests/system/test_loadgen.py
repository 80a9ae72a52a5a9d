# SPDX-License-Identifier: BSD-3-Clause
"""The load generator against both servers, in every mode, and against servers that are wrong or go away.

The kernel's server sits at the other end of a veth that DPDK's net_af_packet opens, lwIP's on shared memory, either
side of it in the client's process. Sanitized builds, so that a wrong access ends the generator.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator, Mapping, Sequence

import pytest

from harness.host import Host, LocalHost, Process
from harness.provision.journal import DIRECTORY
from harness.plan import load_plan
from harness.provision.provision import provisioned
from harness.tests.system.conftest import ROOT
from harness.tests.fixtures.wires import bare_wire

LOADGEN = str(ROOT / "build/checked/loadgen")
PYTHON = "/usr/bin/python3"
VETH, SHARED, REVERSED = "veth", "shared memory", "shared memory, the server copies"
WIRES = (VETH, SHARED, REVERSED)
SERVER = {VETH: "198.18.0.2", SHARED: "198.18.0.3", REVERSED: "198.18.0.3"}
CLIENT, KERNEL = "stackduel-client", "stackduel-server"
SOCKET = f"{DIRECTORY}/loadgen.sock"
SHORT = ("--warmup", "0.05", "--duration", "0.2")
MEMORY = ("--in-memory", "--single-file-segments", "--no-telemetry", "--no-pci", "--log-level=4")
DEVICES = {VETH: "net_af_packet0,iface=client0,qpairs=1",
           SHARED: f"net_vhost0,iface={SOCKET},client=1,queues=1",
           REVERSED: f"net_virtio_user0,path={SOCKET},queues=1,queue_size=1024,mac=02:53:44:00:00:04"}


@dataclass(frozen=True)
class Load:
    """What a load generator leaves."""

    code: int
    lines: Sequence[str]
    stderr: str

    @property
    def result(self) -> Mapping[str, Any]:
        parsed = json.loads(self.lines[-1])
        assert isinstance(parsed, dict) and parsed["program"] == "loadgen"
        return parsed


class Bed:
    """Both wires, and what runs on them."""

    def __init__(self, host: Host, raw: Path) -> None:
        self.host = host
        self.raw = raw

    @contextmanager
    def server(self, wire: str, *options: str) -> Iterator[Process]:
        """epoll_server or lwip_server; that it ends well is the test's own to check."""
        if wire == VETH:
            words = [str(ROOT / "build/checked/epoll_server"), "--address", SERVER[VETH], *options]
            process = self.spawn("server", words, KERNEL)
        else:
            device = (f"net_virtio_user0,path={SOCKET},server=1,queues=1,queue_size=1024,mac=02:53:44:00:00:03" if wire == SHARED
                      else f"net_vhost0,iface={SOCKET},queues=1")
            words = [str(ROOT / "build/lwip_server"), *MEMORY, "--file-prefix=stackduel", "-l", "1", f"--vdev={device}",
                     "--", "--address", SERVER[wire], *options]
            process = self.spawn("server", words, "stackduel-lwip-server")
        try:
            wait_until(lambda: "READY" in self.said("server") if wire != SHARED else Path(SOCKET).exists())
            yield process
        finally:
            process.stop()
            Path(SOCKET).unlink(missing_ok=True)

    @contextmanager
    def script(self, text: str) -> Iterator[Process]:
        """A server of kernel sockets in Python, bound as `listener`."""
        head = f"import socket, sys, threading, time\nlistener = socket.create_server(('{SERVER[VETH]}', 80), backlog=64)\n"
        process = self.spawn("server", [PYTHON, "-u", "-c", head + "print('READY')\n" + text], KERNEL)
        try:
            wait_until(lambda: "READY" in self.said("server"))
            yield process
        finally:
            process.stop()

    def start(self, wire: str, *options: str) -> Process:
        words = [LOADGEN, *MEMORY, "--file-prefix=stackduel-client", "-l", "0", f"--vdev={DEVICES[wire]}", "--", "--server",
                 SERVER[wire], *options]
        return self.spawn("load", words, CLIENT if wire == VETH else "stackduel-lwip-client")

    def finish(self, process: Process, timeout: float = 30) -> Load:
        code = process.wait(timeout)
        return Load(code, self.said("load").splitlines(), (self.raw / "load.stderr").read_text())

    def load(self, wire: str, *options: str) -> Load:
        return self.finish(self.start(wire, *options))

    def spawn(self, name: str, words: Sequence[str], netns: str) -> Process:
        return self.host.spawn(words, netns=netns, stdout=self.raw / f"{name}.stdout", stderr=self.raw / f"{name}.stderr")

    def said(self, name: str) -> str:
        return (self.raw / f"{name}.stdout").read_text()


def wait_until(holds: Any) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    host, wire = LocalHost(), bare_wire("shm")
    plan = load_plan("quick", wire, host.cpus(), {})
    with provisioned(host, wire, plan.contenders, "test", log=print):
        # The generator's stack has the address, and takes no frame whose checksum is still to be filled in.
        host.run(["ip", "address", "flush", "dev", "client0"], netns=CLIENT)
        host.run(["ethtool", "-K", "server0", "tx", "off"], netns=KERNEL)
        yield Bed(host, tmp_path_factory.mktemp("raw"))


MODES = {
    "closed": ("--connections", "20"),
    "some, in turn": ("--connections", "20", "--active", "3", "--rotate"),
    "open": ("--mode", "open", "--rate", "2000", "--connections", "8"),
    "connect": ("--mode", "connect", "--connections", "8"),
    "connect, the server closes": ("--mode", "connect", "--connections", "8", "--close", "server"),
    "idle": ("--mode", "hold", "--connections", "300", "--active", "0"),
    "few of many": ("--mode", "hold", "--connections", "300", "--active", "4"),
}


def stopped(bed: Bed, server: Process) -> Mapping[str, int]:
    """The server's counters when it has ended as it should."""
    assert server.stop() == 0, (bed.raw / "server.stderr").read_text()
    counters = json.loads(bed.said("server").splitlines()[-1])
    assert isinstance(counters, dict)
    return counters


@pytest.mark.parametrize("wire, mode", [*((wire, mode) for wire in (VETH, SHARED) for mode in MODES),
                                        (REVERSED, "closed"), (REVERSED, "connect")])
def test_what_it_counts_is_what_the_server_counts(bed: Bed, wire: str, mode: str) -> None:
    with bed.server(wire) as server:
        load = bed.load(wire, *MODES[mode], *SHORT)
        counters = stopped(bed, server)
    assert (load.code, load.stderr) == (0, "")
    result = load.result
    connections = int(MODES[mode][MODES[mode].index("--connections") + 1])
    connects = mode.startswith("connect")
    said = ["MEASURING"] if connects else [f"CONNECTED {connections}", "MEASURING"]
    assert load.lines[:-1] == said
    assert set(result["errors"].values()) == {0}
    if mode == "open":
        # however slow the server is, the schedule is kept, and what it did not take is told
        assert result["total_requests"] + result["in_flight"] + result["unsent"] >= 2000 * result["duration_seconds"]
    else:
        assert result["unsent"] == 0
    assert 0.2 <= result["duration_seconds"] < 10
    # requests that were under way when it ended may have been answered or not; so may connections
    assert 0 <= counters["requests_parsed"] - result["total_requests"] <= result["in_flight"] + 8 * connects
    # the last part of a client's handshake may have been under way, too
    assert -8 * connects <= counters["accepts"] - result["total_connects"] <= 8 * connects
    assert counters["errors_http"] == 0
    assert (result["requests"] > 0) == (mode != "idle")
    assert sum(count for _, count in result["latency_us"]) == result["requests"]
    values = [value for value, _ in result["latency_us"]]
    assert values == sorted(values) and all(value > 0 for value in values)
    answer = 39 + len("Connection: close\r\n") * ("server" in mode)
    assert result["bytes"] == answer * result["requests"]
    assert (result["connects"] > 0) == connects
    assert result["state_bytes_per_connection"] <= 64
    assert 0 < result["busy_share"] <= 1 or mode == "idle"
    assert result["port"]["driver"] == {VETH: "net_af_packet", SHARED: "net_vhost", REVERSED: "net_virtio_user"}[wire]


@pytest.mark.parametrize("wire", WIRES)
def test_every_byte_of_large_bodies_is_looked_at(bed: Bed, wire: str) -> None:
    with bed.server(wire, "--body-size", "1M"):
        load = bed.load(wire, "--connections", "3", "--body-size", "1M", "--warmup", "0.05", "--duration", "1.5")
    assert (load.code, load.stderr) == (0, "")
    assert load.result["total_requests"] > 0


def test_many_addresses_behind_a_gateway(bed: Bed) -> None:
    # none is the server's neighbour but the gateway, for which the generator answers
    options = ("--netmask", "255.255.255.0", "--gateway", "198.18.0.9")
    with bed.server(SHARED, *options) as server:
        load = bed.load(SHARED, "--address", "198.19.3.250", "--addresses", "200", "--gateway-address", "198.18.0.9",
                        "--mode", "connect", "--connections", "4", *SHORT)
        assert stopped(bed, server)["accepts"] >= load.result["total_connects"] > 0
    assert load.code == 0


def test_it_stays_when_told_and_answers_keep_alive_probes(bed: Bed) -> None:
    with bed.server(VETH, "--keepalive-idle", "1", "--keepalive-interval", "1", "--keepalive-count", "1") as server:
        process = bed.start(VETH, "--mode", "hold", "--connections", "50", "--active", "0", "--stay", *SHORT)
        wait_until(lambda: bed.said("load").count("\n") == 3)
        time.sleep(3.2)  # without an answer to the probe the server would have given up
        server.signal(signal.SIGUSR1)
        wait_until(lambda: '"closes"' in bed.said("server"))
        counters = json.loads(bed.said("server").splitlines()[1])
        assert (counters["accepts"], counters["closes"]) == (50, 0)
        process.signal(signal.SIGTERM)
        load = bed.finish(process, 10)
        assert (load.code, load.stderr) == (0, "")
        # it takes its leave
        assert stopped(bed, server)["closes"] == 50


def test_a_signal_ends_it_early_with_what_there_is(bed: Bed) -> None:
    with bed.server(SHARED):
        process = bed.start(SHARED, "--connections", "4", "--warmup", "0", "--duration", "60")
        wait_until(lambda: "MEASURING" in bed.said("load"))
        time.sleep(0.3)
        process.signal(signal.SIGINT)
        load = bed.finish(process, 10)
    assert load.code == 0
    assert 0.2 < load.result["duration_seconds"] < 30 and load.result["requests"] > 0


RIGHT = "b'HTTP/1.1 200 OK\\r\\nContent-Length: 8\\r\\n\\r\\n0000000\\n'"
SERVE = """
def serve(connection):
    number = 0
    while connection.recv(4096):
        number += 1
        connection.sendall(WRONG if number == 5 else RIGHT)
        if number == 5 and CLOSES:
            connection.close()
            return
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""


@pytest.mark.parametrize("wrong, closes, error", [
    (RIGHT.replace("0000000", "0000001"), False, "content"),
    (RIGHT.replace(" 8", " 9"), False, "content"),
    (RIGHT.replace("200 OK", "503 No"), False, "status"),
    (RIGHT[:-4] + "'", True, "reset")], ids=["byte", "length", "status", "short"])
def test_a_server_that_answers_wrong_is_found(bed: Bed, wrong: str, closes: bool, error: str) -> None:
    text = f"RIGHT, WRONG, CLOSES = {RIGHT}, {wrong}, {closes}\n" + SERVE
    with bed.script(text):
        load = bed.load(VETH, "--connections", "2", "--body-size", "8", "--duration", "1", "--warmup", "0")
    assert load.code == 1
    assert load.result["errors"][error] == 2 and sum(load.result["errors"].values()) == 2
    assert len(load.stderr.splitlines()) == 1 and load.stderr.startswith("loadgen: ")


def test_a_first_answer_that_is_none(bed: Bed) -> None:
    with bed.server(VETH, "--body-size", "7"):
        load = bed.load(VETH, "--body-size", "8", *SHORT)
    assert load.code == 1
    assert load.stderr == "loadgen: the first answer has a body of 7 bytes, and --body-size is 8\n"
    assert load.result["requests"] == 0


def test_nobody_listens(bed: Bed) -> None:
    load = bed.load(VETH, *SHORT)
    assert load.code == 1
    assert load.stderr == "loadgen: the server refuses connections, or does not answer them\n"
    assert load.result["errors"]["connect"] == 1


@pytest.mark.parametrize("wire", [SHARED, REVERSED, VETH])
def test_a_server_that_goes_away(bed: Bed, wire: str) -> None:
    with bed.server(wire) as server:
        process = bed.start(wire, "--connections", "10", "--duration", "60", "--warmup", "0")
        wait_until(lambda: "MEASURING" in bed.said("load"))
        server.signal(signal.SIGKILL)
        load = bed.finish(process, 15)
    assert load.code == 1
    expected = "no connection is left" if wire == VETH else "the link went down"
    assert f"loadgen: {expected}" in load.stderr.splitlines()  # the driver has its own to say
    assert load.result["errors"]["reset"] == (10 if wire == VETH else 0)


def test_what_is_lost_is_sent_again(bed: Bed) -> None:
    """For half a second nothing comes back: the server knows no way to the client."""
    blackhole = ["ip", "route", "replace", "blackhole", "198.18.0.1/32"]
    with bed.server(VETH) as server:
        process = bed.start(VETH, "--mode", "connect", "--connections", "10", "--duration", "3", "--warmup", "0")
        wait_until(lambda: "MEASURING" in bed.said("load"))
        time.sleep(0.3)
        bed.host.run(blackhole, netns=KERNEL)
        time.sleep(0.5)
        bed.host.run(["ip", "route", "delete", "blackhole", "198.18.0.1/32"], netns=KERNEL)
        load = bed.finish(process)
        counters = stopped(bed, server)
    assert (load.code, load.stderr) == (0, "")
    assert load.result["retransmits"] > 0 and set(load.result["errors"].values()) == {0}
    assert load.result["requests"] > 0 and load.result["latency_us"][-1][0] > 200_000
    assert 0 <= counters["requests_parsed"] - load.result["total_requests"] <= load.result["in_flight"] + 10


@pytest.mark.parametrize("words, line", [
    ((), "--server is required; see --help"),
    (("--server", "198.18.0.1"), "--server: is one of the addresses to connect from"),
    (("--server", "10.0.0.1"), "--server: is not within --netmask of --address; give --server-mac"),
    (("--server", "198.18.0.3", "--mode", "open"), "--rate is required for --mode open"),
    (("--server", "198.18.0.3", "--rate", "5"), "--rate: only with --mode open"),
    (("--server", "198.18.0.3", "--active", "0"), "--active: 0 only with --mode hold"),
    (("--server", "198.18.0.3", "--mode", "connect", "--rotate"), "--rotate: only with --mode closed or hold"),
    (("--server", "198.18.0.3", "--duration", "0"), "--duration: must be more than 0"),
    (("--server", "198.19.0.3", "--connections", "64513"), "--connections: 64513 need --addresses 2"),
    (("--server", "198.19.0.3", "--address", "255.255.255.255", "--addresses", "2"),
     "--addresses: there are not as many behind --address"),
    (("--server", "198.18.0.3", "--path", "x"),
     "--path: must begin with '/' and have at most 400 bytes, printable and no space"),
])
def test_options_that_do_not_fit(words: Sequence[str], line: str) -> None:
    done = subprocess.run([LOADGEN, "--no-huge", "--", *words], capture_output=True, text=True, timeout=10)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"loadgen: {line}\n")


def test_a_machine_without_the_device() -> None:
    words = [LOADGEN, "--no-huge", "-m", "128", "--no-shconf", "--no-telemetry", "--no-pci", "--log-level=1",
             f"--file-prefix=loadgen-{os.getpid()}", "--", "--server", "198.18.0.3"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=20)
    assert done.returncode == 3
    assert done.stderr == "loadgen: no port 0: give EAL a device, as in --vdev=net_tap0\n"
