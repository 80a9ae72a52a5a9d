# SPDX-License-Identifier: BSD-3-Clause
"""Clients over ssh: machines that are namespaces of this test's own, each with an sshd of its own on a real wire.

A switch joins the server's and the clients' ports; beside it each client has a cable for ssh alone. What is started
there really is behind sshd: only CPUs, files and processes are this machine's.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Iterator, cast

import pytest

from harness.store import TrialRecord
from harness.trial.load import remote as clients_elsewhere
from harness.trial.client import Client
from harness.errors import ContenderError, MachineError
from harness.facts import gather
from harness.trial import load_tool
from harness.host import Host, LocalHost
from harness.plan import load_plan, Plan, schedule
from harness.provision.nic.link_check import Findings, Port, check_ends
from harness.trial.probe import prove_neighbour
from harness.provision.provision import Provisioned
from harness.host import SshHost, clear, connected
from harness.plan.nic_request import SshTarget
from harness.provision.steps import ROOT
from harness.trial.trial import run_trial
from harness.tests.fixtures.wires import bare_wire
from harness.provision import ResolvedWire

HOST = LocalHost()
PREFIX = f"sdssh{os.getpid()}"
SERVER, SWITCH = f"{PREFIX}-server", f"{PREFIX}-switch"
CLIENTS = ("one", "two")
ADDRESS = "198.18.0.2/24"
SSHD = """Port 22
HostKey {keys}/host
AuthorizedKeysFile {keys}/user.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
SetEnv HOME={keys}
"""
SSH = """Host one two
  User root
  IdentityFile {keys}/user
  IdentitiesOnly yes
  UserKnownHostsFile {keys}/known
Host one
  HostName 10.77.1.2
Host two
  HostName 10.77.2.2
Host stranger
  HostName 10.77.1.2
  UserKnownHostsFile /dev/null
Host refused
  HostName 10.77.1.2
  User root
  IdentityFile {keys}/other
  IdentitiesOnly yes
  UserKnownHostsFile {keys}/known
Host deaf
  HostName 10.77.1.2
  Port 23
Host absent
  HostName 10.77.9.9
"""


def ip(*words: str) -> None:
    HOST.run(["ip", *words])


def netns(client: str) -> str:
    return f"{PREFIX}-{client}"


def cable(one: str, interface: str, other: str, peer: str) -> None:
    ip("-n", one, "link", "add", interface, "type", "veth", "peer", "name", peer, "netns", other)
    for namespace, name in ((one, interface), (other, peer)):
        ip("-n", namespace, "link", "set", name, "up")


def keys(directory: Path) -> Path:
    for name in ("host", "user", "other"):
        HOST.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / name)])
    host_key = (directory / "host.pub").read_text()
    (directory / "known").write_text("".join(f"10.77.{number}.2 {host_key}" for number in (1, 2)))
    (directory / "sshd").write_text(SSHD.format(keys=directory))
    (directory / "ssh").write_text(SSH.format(keys=directory))
    return directory


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The namespaces with their sshds; a directory with an `ssh` that starts from the server's."""
    directory = keys(tmp_path_factory.mktemp("keys"))
    made_for_sshd = not Path("/run/sshd").exists()
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    sshds = []
    try:
        for name in (SERVER, SWITCH, *map(netns, CLIENTS)):
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        ip("-n", SWITCH, "link", "add", "switch", "type", "bridge")
        ip("-n", SWITCH, "link", "set", "switch", "up")
        for number, name in enumerate(("server", *CLIENTS)):
            cable(f"{PREFIX}-{name}", "wire0", SWITCH, name)
            ip("-n", SWITCH, "link", "set", name, "master", "switch")
        ip("-n", SERVER, "address", "add", ADDRESS, "dev", "wire0")
        for number, client in enumerate(CLIENTS, 1):
            ip("-n", netns(client), "address", "add", f"198.18.0.{10 * number}/24", "dev", "wire0")
            cable(SERVER, f"ssh{number}", netns(client), "ssh0")
            ip("-n", SERVER, "address", "add", f"10.77.{number}.1/24", "dev", f"ssh{number}")
            ip("-n", netns(client), "address", "add", f"10.77.{number}.2/24", "dev", "ssh0")
            sshds.append(HOST.spawn(["/usr/sbin/sshd", "-D", "-e", "-f", str(directory / "sshd")], netns=netns(client),
                                    stdout=directory / f"{client}.out", stderr=directory / f"{client}.err"))
        wait_until(lambda: all("listening on" in (directory / f"{client}.err").read_text() for client in CLIENTS),
                   "sshd does not listen")
        (directory / "bin").mkdir()
        wrapper = directory / "bin" / "ssh"
        wrapper.write_text(f'#!/bin/sh\nexec ip netns exec {SERVER} {shutil.which("ssh")} -F {directory}/ssh "$@"\n')
        wrapper.chmod(0o755)
        yield directory / "bin"
    finally:
        for name in (SERVER, SWITCH, *map(netns, CLIENTS)):
            HOST.run(["ip", "netns", "del", name], check=False)
        for sshd in sshds:
            sshd.stop()
        if made_for_sshd:
            Path("/run/sshd").rmdir()


@pytest.fixture(autouse=True)
def on_path(machines: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{machines}:{os.environ['PATH']}")


def wait_until(true: Any, complaint: str, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, complaint
        time.sleep(0.02)


def running(begin: str) -> list[str]:
    """Command lines of this machine, which all of these are, that begin so: an ssh has them further on."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if line.startswith(begin):
            found.append(line)
    return found


class NoJournal:
    def process(self, process: object) -> None:
        pass


@dataclass(frozen=True)
class Setting:
    wire: ResolvedWire
    plan: Plan
    up: Provisioned


def mac(namespace: str) -> str:
    return HOST.run(["cat", "/sys/class/net/wire0/address"], netns=namespace).stdout.strip()


def setting(sites: tuple[SshHost, ...], **settings: str) -> Setting:
    """The kernel's server in the server's namespace, and wrk on the sites."""
    wire = bare_wire("tap")
    contender = wire.contenders["epoll"]
    end = replace(contender.endpoint, namespace=SERVER, interface="wire0", mac=mac(SERVER), address=ADDRESS)
    wire = replace(wire, bridge=None, contenders={"epoll": replace(
        contender, end=replace(contender.end, link="veth-pair", server=end))})
    plan = load_plan("quick", wire, HOST.cpus(), {"DURATION": "1", "WARMUP": "1", "ROUNDS": "1", **settings},
                     clients={site.destination: site.cpus() for site in sites})
    return Setting(wire, plan, Provisioned(wire, False, "a test", cast(Any, NoJournal()), sites))


def server_port(*more: str) -> Port:
    return Port(HOST, SERVER, "wire0", (ADDRESS, *more))


def look(sites: tuple[SshHost, ...], *more: str, connections: int = 0) -> Findings:
    return check_ends(server_port(*more), [Port(site, None, site.interface) for site in sites], connections, patience=1)


def trial(it: Setting, raw: Path) -> TrialRecord:
    [spec] = schedule(it.plan)
    clients_elsewhere.prepare(it.up.sites)
    return run_trial(HOST, it.wire, it.plan, spec, 0, it.up, raw).record


@pytest.mark.parametrize("names", [("one",), CLIENTS])
def test_wrk_on_other_machines_loads_a_server_of_this_one(names: tuple[str, ...], tmp_path: Path) -> None:
    with connected(HOST, [SshTarget(name) for name in names]) as sites:
        assert look(sites, "198.18.0.3/24", connections=7).problems == []
        it = setting(sites, CONNECTIONS="7")
        facts = gather(HOST, it.wire, it.plan, it.up, load_tool(it.plan, it.wire.has_loadgen))
        record = trial(it, tmp_path / "raw")
        directories = [site.directory for site in sites]
    assert record.valid, record.problems
    assert record.requests > 100 and (record.reconcile.parsed or 0) >= record.requests + 2 * len(names)
    assert (record.server or {})["accepts"] == 7 + len(names)
    clients = record.clients
    assert list(clients) == list(names)
    assert sum(each.connections for each in clients.values()) == 7
    assert sum(each.requests for each in clients.values()) == record.requests
    assert all(each.requests > 10 for each in clients.values())
    roles = {key: states.role for key, states in record.cpu_seconds.items()}
    assert roles == {**{str(cpu): "server" if cpu in it.plan.server_cpus else "other" for cpu in HOST.cpus()},
                     **{f"{name}/{cpu}": "client" for name in names for cpu in HOST.cpus()}}
    assert sum(states.user + states.system for states in record.cpu_seconds.values()) > 0
    assert {f"{name}/wire0" for name in names} < set(record.dropped)
    assert set(facts["clients"]) == set(names) and facts["clients"]["one"]["interface"] == "wire0"
    assert facts["clients"]["one"]["wrk"] == facts["versions"]["wrk"] and facts["clients"]["one"]["mtu"] == 1500
    for directory in directories:
        assert not Path(directory).exists()


def test_a_proof_goes_by_the_other_machine(tmp_path: Path) -> None:
    """Its kernel has the connection: there, and nowhere else, is a socket to the server."""
    listener = HOST.spawn([str(ROOT / "build/epoll_server"), "--address", "198.18.0.2", "--port", "8080"], netns=SERVER,
                          stdout=tmp_path / "out", stderr=tmp_path / "err")
    try:
        wait_until(lambda: "READY" in (tmp_path / "out").read_text(), "the server is not ready")
        with connected(HOST, [SshTarget("one")]) as (site,), site.connect(None, "198.18.0.2", 8080, 10) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert connection.recv(100).startswith(b"HTTP/1.1 200 OK")
            there = HOST.run(["ss", "-Htn", "dst", "198.18.0.2"], netns=netns("one")).stdout
            assert "198.18.0.10:" in there and "198.18.0.2:8080" in there
            assert site.neighbour(None, "198.18.0.2") == mac(SERVER)
        with connected(HOST, [SshTarget("one")]) as (site,):
            with site.connect(None, "198.18.0.2", 8081, 10) as connection, \
                    pytest.raises(OSError, match="open failed: connect failed: Connection refused"):
                connection.recv(1)
    finally:
        listener.stop()


def test_a_machine_without_ping_proves_its_neighbour_by_a_connection(tmp_path: Path) -> None:
    with connected(HOST, [SshTarget("one")]) as sites:
        look(sites)
        sites[0]._known["ping"] = None
        record = trial(setting(sites, CONNECTIONS="2", WARMUP="0"), tmp_path / "raw")
        assert record.valid, record.problems
        # nobody serves any more: no connection, no neighbour
        with pytest.raises(ContenderError, match="does not answer a ping at 198.18.0.2 from machine one"):
            prove_neighbour(Client(HOST, bare_wire("tap"), setting(sites).plan, setting(sites).up,
                                   cast(Any, Gone(setting(sites))), tmp_path))


class Gone:
    """A contender that is alive and does not serve."""

    def __init__(self, it: Setting) -> None:
        self.contender, self.port = it.wire.contenders["epoll"], it.plan.port

    def check_alive(self, when: str) -> None:
        pass


def test_a_killed_harness_takes_the_far_programs_with_it(tmp_path: Path) -> None:
    script = f"""
import time
from pathlib import Path
from harness.host import LocalHost, connected
from harness.plan.nic_request import SshTarget
with connected(LocalHost(), [SshTarget("one")]) as (site,):
    raw = Path({str(tmp_path)!r})
    process = site.spawn(["sleep", "86399"], env={{"MARK": site.directory}}, stdout=raw / "o", stderr=raw / "e")
    print(site.directory, flush=True)
    time.sleep(3600)
"""
    harness = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert harness.stdout is not None
        directory = Path(harness.stdout.readline().strip())
        assert directory.name.startswith("stackduel-") and directory.is_dir()
        wait_until(lambda: running("sleep 86399"), "it was not started")
    finally:
        harness.send_signal(signal.SIGKILL)
        harness.wait()
    wait_until(lambda: not running("sleep 86399"), "what was started there outlived the harness")
    wait_until(lambda: not directory.exists(), "its directory there outlived the harness")
    left = f"/run/stackduel-ssh-{harness.pid}"
    assert Path(left).is_dir()
    assert left in clear(HOST) and not Path(left).exists()


def test_a_program_there_is_stopped_by_signal_and_tells_its_exit_code(tmp_path: Path) -> None:
    out, err = tmp_path / "out", tmp_path / "err"
    with connected(HOST, [SshTarget("one")]) as (site,):
        process = site.spawn(["sleep", "86398"], stdout=out, stderr=err)
        wait_until(lambda: running("sleep 86398"), "it was not started")
        assert process.stop() == -signal.SIGTERM and not running("sleep 86398")
        stubborn = site.spawn(["sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.1; done"], stdout=out,
                              stderr=err)
        wait_until(lambda: out.read_text(), "it was not started")
        assert stubborn.stop(0.5) == -signal.SIGKILL
        assert site.spawn(["sh", "-c", "exit 7"], stdout=out, stderr=err).wait(10) == 7
        site.write(f"{site.directory}/x", "a\\nb 'q' \"w\" %s\n\n$x\n")
        assert site.read(f"{site.directory}/x") == "a\\nb 'q' \"w\" %s\n\n$x\n"


def test_a_connection_that_is_lost_under_load_is_one_line(tmp_path: Path) -> None:
    with connected(HOST, [SshTarget("one")]) as sites:
        look(sites)
        it = setting(sites, CONNECTIONS="2", DURATION="30", WARMUP="0")
        directory = sites[0].directory
        # as if the machine were cut off: its sshd's processes for this connection end
        killer = subprocess.Popen(["sh", "-c", 'until grep -qs LOADING "$1"/*.stdout; do sleep 0.1; done; '
                                   'for pid in $(ip netns pids "$2"); do case $(cat /proc/$pid/cmdline) in '
                                   'sshd*": root"*) kill -KILL $pid;; esac; done', "sh", str(tmp_path / "raw"),
                                   netns("one")])
        try:
            with pytest.raises(MachineError, match="^client one cannot be reached by ssh: .*see that `sudo ssh one tr"):
                trial(it, tmp_path / "raw")
        finally:
            killer.wait(60)
    wait_until(lambda: not any(directory in line for line in running("wrk ")), "wrk outlived its connection")


@pytest.mark.parametrize("name, said", [
    ("stranger", "Host key verification failed; run `sudo ssh stranger true` once by hand"),
    ("refused", r"Permission denied \(publickey\); put your public key there"),
    ("deaf", "Connection refused; start sshd there"),
    ("absent", "see that it is on"),
    ("no-such-machine.invalid", "mend the name, or give the address")])
def test_refusals_say_what_to_do(name: str, said: str) -> None:
    with pytest.raises(MachineError, match=f"^client {name} cannot be reached by ssh: .*{said}") as caught:
        with connected(HOST, [SshTarget(name)]):
            pass
    assert "\n" not in str(caught.value) and not list(Path("/run").glob(f"stackduel-ssh-{os.getpid()}"))


def test_preflight_finds_what_is_wrong_with_the_cable() -> None:
    one = netns("one")
    with connected(HOST, [SshTarget("one")]) as sites:
        try:
            ip("-n", one, "link", "set", "wire0", "mtu", "1400")
            [problem] = look(sites).problems
            assert problem == ("the MTU of wire0 of one is 1400, that of wire0 of this machine 1500: on one, as root, "
                               "`ip link set wire0 mtu 1500`")
        finally:
            ip("-n", one, "link", "set", "wire0", "mtu", "1500")
        # the other client's machine has an address that one of the servers is to have
        ip("-n", netns("two"), "address", "add", "198.18.0.3/24", "dev", "wire0")
        try:
            [problem] = look(sites, "198.18.0.3/24").problems
            assert problem.startswith("198.18.0.3, which is for wire0 of this machine") and mac(netns("two")) in problem
        finally:
            ip("-n", netns("two"), "address", "del", "198.18.0.3/24", "dev", "wire0")
        assert look(sites, "198.18.0.3/24", connections=1 << 40).problems[0].startswith("one lets a program have")
        ip("-n", SWITCH, "link", "set", "one", "down")
        try:
            [problem] = look(sites).problems
            assert problem.startswith("wire0 of one has no link (it is ")
        finally:
            ip("-n", SWITCH, "link", "set", "one", "up")
        ip("-n", one, "address", "del", "198.18.0.10/24", "dev", "wire0")
        try:
            sites[0].interface = ""
            assert look(sites).problems == ["one has no address in 198.18.0.0/24: on it, as root, `ip address add "
                                            "198.18.0.1/24 dev <its interface on the cable>` and `ip link set <its "
                                            "interface on the cable> up`"]
        finally:
            ip("-n", one, "address", "add", "198.18.0.10/24", "dev", "wire0")


def test_a_server_that_does_not_answer_is_told(tmp_path: Path) -> None:
    """Another MAC at the contender's address: the proof of the neighbour, by the other machine's table."""
    with connected(HOST, [SshTarget("one")]) as sites:
        look(sites)
        it = setting(sites, CONNECTIONS="2")
        contender = it.wire.contenders["epoll"]
        end = replace(contender.end, server=replace(contender.endpoint, mac="02:00:00:00:00:77"))
        other = replace(contender, end=end)
        with pytest.raises(ContenderError, match="and not at 02:00:00:00:00:77: somebody else answers"):
            trial(replace(it, wire=replace(it.wire, contenders={"epoll": other})), tmp_path / "raw")
