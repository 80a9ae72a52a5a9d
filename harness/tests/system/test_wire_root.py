# SPDX-License-Identifier: BSD-3-Clause
"""The real wire, as root: it carries packets, and the machine is afterwards as it was, also after SIGKILL."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.errors import MachineError
from harness.host import LocalHost, NETNS_DIRECTORY
from harness.provision.journal import DIRECTORY, PATH
from harness.provision.provision import provisioned, restore
from harness.provision.steps import ROOT
from harness.tests.fixtures.wires import bare_wire
from harness.tests.system.conftest import of_this_shard
from harness.provision import ResolvedWire

HOST = LocalHost()
BOTH = ("epoll", "lwip")

# A harness that kills itself just before its n-th command that is no question, or, with a large n, in mid-run with processes up.
KILLED = """
import os, signal, sys, time
from pathlib import Path
from harness.host import LocalHost
from harness.provision.provision import provisioned
from harness.tests.system.test_wire_root import BOTH, wire

class Doomed(LocalHost):
    left = int(sys.argv[1])
    def run(self, argv, **options):
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1
        return super().run(argv, **options)
    def query(self, argv, **options):
        return LocalHost().query(argv, **options)

host, raw = Doomed(), Path(sys.argv[2])
with provisioned(host, wire(), BOTH, "doomed", log=print) as up:
    for name in (up.wire.client.namespace, up.wire.bridge.namespace):
        process = host.spawn(["sleep", "300"], netns=name, stdout=raw / "out", stderr=raw / "err")
        up.journal.process(process)
    # one that left our process group and knows nothing of its parent's end
    host.run(["sh", "-c", "setsid sleep 300 >/dev/null 2>&1 &"], netns=up.wire.client.namespace)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def wire() -> ResolvedWire:
    """The TAP wire; its contenders need not have been built, for nothing here starts them."""
    real = bare_wire("tap")
    contenders = {name: dataclasses.replace(c, program=sys.executable) for name, c in real.contenders.items()}
    return dataclasses.replace(real, contenders=contenders)


def snapshot() -> dict[str, object]:
    """All that a run could leave changed on the machine."""
    def output(*argv: str) -> str:
        return subprocess.run(argv, capture_output=True, text=True).stdout
    pages = Path("/sys/kernel/mm/hugepages").glob("*/nr_hugepages")
    processes = {entry.name: (entry / "cmdline").read_bytes() for entry in Path("/proc").iterdir()
                 if entry.name.isdigit() and b"sleep\x00300" in _cmdline(entry)}
    return {"netns": output("ip", "netns"), "links": output("ip", "-o", "link"), "processes": processes,
            "hugepages": {str(file): file.read_text() for file in pages},
            "mounts": Path("/proc/mounts").read_text(),
            "run": sorted({*os.listdir("/run")} - {"mount"})}  # that is mount(8)'s own, since util-linux 2.41


def _cmdline(entry: Path) -> bytes:
    """Return the words of a process of this shard, and none of others."""
    try:
        return (entry / "cmdline").read_bytes() if of_this_shard(entry) else b""
    except OSError:
        return b""


def killed(commands: int, raw: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(commands), str(raw)], cwd=ROOT)
    assert done.returncode == -signal.SIGKILL


def test_the_wire_carries_packets_and_leaves_nothing(tmp_path: Path) -> None:
    before = snapshot()
    with provisioned(HOST, wire(), BOTH, "test", log=print) as up:
        client, end = up.wire.client, up.wire.contenders["epoll"].endpoint
        links = {name: set(HOST.link_counters(name)) - {"lo"}
                 for name in ("stackduel-client", "stackduel-bridge", "stackduel-server")}
        assert links == {"stackduel-client": {"client0"}, "stackduel-server": {"server0"},
                         "stackduel-bridge": {"bridge0", "to-client", "to-server", "tap0"}}
        words = ["ip", "-j", "address", "show", "client0"]
        shown = json.loads(HOST.run(words, netns=client.namespace).stdout)[0]
        assert shown["address"] == client.mac and shown["mtu"] == up.wire.mtu
        assert [(a["family"], a["local"]) for a in shown["addr_info"]] == [("inet", client.ip)], "no IPv6"
        HOST.run(["ping", "-c", "1", "-W", "2", end.ip], netns=client.namespace)
        assert HOST.neighbour(client.namespace, end.ip) == end.mac
        HOST.flush_neighbours(client.namespace)
        assert HOST.neighbour(client.namespace, end.ip) == ""
        serve(up.wire, tmp_path)
    assert snapshot() == before


def serve(on: ResolvedWire, raw: Path) -> None:
    """One request from the client's namespace over the wire, to a server in a namespace."""
    end = on.contenders["epoll"].endpoint
    (raw / "page").write_text("hello")
    server = HOST.spawn([sys.executable, "-m", "http.server", "80", "--bind", end.ip, "-d", str(raw)],
                        netns=end.namespace, stdout=raw / "out", stderr=raw / "err")
    try:
        deadline = time.monotonic() + 10
        while True:
            try:
                connection = HOST.connect(on.client.namespace, end.ip, 80, 5)
                break
            except OSError:
                assert time.monotonic() < deadline, (raw / "err").read_text()
                time.sleep(0.05)
        with connection:
            connection.sendall(b"GET /page HTTP/1.0\r\n\r\n")
            response = b"".join(iter(lambda: connection.recv(4096), b""))
        assert response.endswith(b"\r\n\r\nhello")
    finally:
        server.stop()


def test_an_error_in_mid_run_leaves_nothing(tmp_path: Path) -> None:
    before = snapshot()
    with pytest.raises(KeyboardInterrupt):
        with provisioned(HOST, wire(), BOTH, "test", log=print) as up:
            up.journal.process(HOST.spawn(["sleep", "300"], netns="stackduel-server", stdout=tmp_path / "out",
                                          stderr=tmp_path / "err"))
            raise KeyboardInterrupt
    assert snapshot() == before


@pytest.mark.parametrize("commands", [0, 1, 4, 8, 9, 12, 17, 20, 1000])
def test_restore_after_sigkill(commands: int, tmp_path: Path) -> None:
    before = snapshot()
    killed(commands, tmp_path)
    assert Path(PATH).exists() and snapshot() != before
    assert restore(HOST)
    assert snapshot() == before
    assert restore(HOST) == []


def test_the_next_run_finds_and_undoes_what_a_killed_run_left(tmp_path: Path) -> None:
    before = snapshot()
    killed(1000, tmp_path)
    said: list[str] = []
    with provisioned(HOST, wire(), BOTH, "next", log=said.append):
        assert "undone after a killed run: ip netns del stackduel-client" in said
    assert snapshot() == before


def test_a_second_run_is_refused_and_disturbs_nothing() -> None:
    before = snapshot()
    refusal = f"another run \\(pid {os.getpid()}\\)"
    with provisioned(HOST, wire(), BOTH, "first", log=print):
        with pytest.raises(MachineError, match=refusal):
            restore(HOST)
        with pytest.raises(MachineError, match=refusal):
            with provisioned(HOST, wire(), BOTH, "second", log=print):
                pytest.fail("two runs at once")
        assert Path(DIRECTORY).exists() and HOST.exists(f"{NETNS_DIRECTORY}/stackduel-client")
    assert snapshot() == before


def test_a_namespace_of_somebody_else_is_left_alone() -> None:
    theirs = Path(NETNS_DIRECTORY) / "stackduel-server"
    made = not theirs.parent.exists()
    theirs.parent.mkdir(exist_ok=True)
    theirs.touch(exist_ok=False)
    try:
        before = snapshot()
        with pytest.raises(MachineError, match="stackduel-server is there already and not ours"):
            with provisioned(HOST, wire(), BOTH, "test", log=print):
                pytest.fail("it took somebody else's namespace")
        assert snapshot() == before
    finally:
        theirs.unlink()
        if made:
            theirs.parent.rmdir()


def test_a_bad_step_undoes_the_others() -> None:
    before = snapshot()
    real = wire()
    assert real.bridge is not None
    # the name that the bridge itself has
    taken = dataclasses.replace(real, bridge=dataclasses.replace(real.bridge, client_port=real.bridge.interface))
    with pytest.raises(MachineError, match="File exists"):
        with provisioned(HOST, taken, BOTH, "test", log=print):
            pytest.fail("two links of one name")
    assert snapshot() == before
