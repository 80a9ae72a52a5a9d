# SPDX-License-Identifier: BSD-3-Clause
"""Both ends of a cable, as /proc and /sys of machines tell of them: recorded texts, nothing is run."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Sequence

import pytest

from harness.host import Host, LocalHost, Result
from harness.provision.nic.link_check import CableNote, Findings, Port, own_addresses, check_ends, route
from harness.host import SshHost
from harness.plan.nic_request import SshTarget
from harness.tests.fixtures.fake_host import FakeHost

HEAD = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
DEFAULT = "eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
HOME = "eth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
WIRE = "eth7\t000012C6\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
WIDE = "eth8\t000012C6\t00000000\t0001\t0\t0\t5\t0000FFFF\t0\t0\t0\n"
TRIE = """Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 198.18.0.0/24 2 0 1
        |-- 198.18.0.0
           /24 link UNICAST
        |-- {address}
           /32 host LOCAL
        |-- 198.18.0.255
           /32 link BROADCAST
Local:
        |-- {address}
           /32 host LOCAL
     |-- 127.0.0.1
        /32 host LOCAL
"""
SERVER_MAC, CLIENT_MAC, STRANGER = "02:00:00:00:00:02", "02:00:00:00:00:01", "02:00:00:00:00:99"
IPUTILS = "arping from iputils 20221126\n"


@dataclass
class Machine:
    """Files and answers by command line; anything else is not there."""

    files: dict[str, str]
    answers: dict[str, Result] = field(default_factory=dict)
    programs: set[str] = field(default_factory=lambda: {"arping", "ping", "wrk"})

    def run(self, argv: Sequence[str]) -> Result:
        if argv[0] == "cat":
            return Result(0, self.files[argv[1]], "") if argv[1] in self.files else Result(1, "", "cat: no")
        return self.answers.get(" ".join(argv), Result(1, "", ""))


class Here(FakeHost):
    def __init__(self, machine: Machine) -> None:
        super().__init__()
        self.machine = machine

    def run(self, argv: Sequence[str], **options: Any) -> Result:
        return self.machine.run(argv)

    def which(self, program: str) -> str | None:
        return program if program in self.machine.programs else None


class There(SshHost):
    def __init__(self, machine: Machine, name: str, interface: str, local: Host | None = None) -> None:
        super().__init__(local or FakeHost(), SshTarget(name, interface), "/nowhere")
        self.machine = machine

    def run(self, argv: Sequence[str], **options: Any) -> Result:
        return self.machine.run(argv)

    def which(self, program: str) -> str | None:
        return program if program in self.machine.programs else None


def interface(name: str, mac: str, **facts: str) -> dict[str, str]:
    return {f"/sys/class/net/{name}/{fact}": f"{value}\n" for fact, value in
            {"address": mac, "carrier": "1", "mtu": "1500", "speed": "10000", "operstate": "up", **facts}.items()}


def probe(name: str, ip: str) -> str:
    return f"arping -D -c 2 -w 2 -I {name} {ip}"


def says(mac: str) -> Result:
    return Result(1, f"ARPING 1.2.3.4 from 0.0.0.0 eth7\nUnicast reply from 1.2.3.4 [{mac}]  0.7ms\n", "")


@dataclass
class Cable:
    """A server here and a client there, all well."""

    server: Machine
    client: Machine

    def look(self, named: str = "", more: Sequence[Machine] = (), connections: int = 0) -> Findings:
        clients = [There(machine, name, named) for machine, name in zip((self.client, *more), ("one", "two"))]
        self.sites = clients
        return check_ends(Port(Here(self.server), "ns", "server0", ("198.18.0.2/24", "198.18.0.3/24")),
                         [Port(site, None, site.interface) for site in clients], connections, 0)


def client_machine(address: str = "198.18.0.1") -> Machine:
    return Machine({**interface("eth7", CLIENT_MAC), "/proc/net/route": HEAD + DEFAULT + HOME + WIRE + WIDE,
                    "/proc/net/fib_trie": TRIE.format(address=address), "/proc/net/dev": "a\nb\n eth7: " + "0 " * 16 +
                    "\n", "/proc/net/arp": "head\n"},
                   {"arping -V": Result(0, IPUTILS, ""), "wrk -v": Result(1, "wrk debian/4.1.0-3+b2 [epoll]", ""),
                    "date +%s.%N": Result(0, f"{time.time():.9f}\n", ""), "sh -c ulimit -H -n": Result(0, "1024\n", ""),
                    probe("eth7", "198.18.0.2"): says(SERVER_MAC), probe("eth7", "198.18.0.3"): Result(0, "", "")})


@pytest.fixture
def cable() -> Cable:
    server = Machine(interface("server0", SERVER_MAC), {
        "arping -V": Result(0, IPUTILS, ""), "wrk -v": Result(1, "wrk debian/4.1.0-3+b2 [epoll]", ""),
        probe("server0", "198.18.0.1"): says(CLIENT_MAC.upper())})
    return Cable(server, client_machine())


def test_of_a_good_cable_there_is_nothing_to_say(cable: Cable) -> None:
    found = cable.look(connections=1000)
    assert (found.problems, found.notes) == ([], [])
    assert cable.sites[0].interface == "eth7"


@pytest.mark.parametrize("ip, found", [
    ("198.18.0.2", ("eth7", "198.18.0.0/24", False)), ("198.18.1.2", ("eth8", "198.18.0.0/16", False)),
    ("192.168.1.9", ("eth0", "192.168.1.0/24", False)), ("8.8.8.8", ("eth0", "0.0.0.0/0", True))])
def test_a_route_is_the_longest_that_fits(ip: str, found: tuple[str, str, bool]) -> None:
    way = route(HEAD + DEFAULT + HOME + WIDE + WIRE, ip)
    assert way is not None and (way[0], str(way[1]), way[2]) == found
    assert route(HEAD + HOME, "8.8.8.8") is None


def test_own_addresses_are_each_told_once() -> None:
    assert own_addresses(TRIE.format(address="198.18.0.7")) == ["198.18.0.7", "127.0.0.1"]


@pytest.mark.parametrize("name, value, said", [
    ("mtu", "9000", "the MTU of eth7 of one is 9000, that of server0 of this machine 1500: on one, as root, "
                    "`ip link set eth7 mtu 1500`"),
    ("carrier", "0", "eth7 of one has no link (it is up): plug in the cable, and on one, as root, "
                     "`ip link set eth7 up`")])
def test_what_is_wrong_with_an_interface_is_told(cable: Cable, name: str, value: str, said: str) -> None:
    cable.client.files |= interface("eth7", CLIENT_MAC, **{name: value})
    assert cable.look().problems == [said]


def test_an_interface_that_is_down_tells_no_carrier(cable: Cable) -> None:
    cable.server.files |= {"/sys/class/net/server0/operstate": "down\n"}
    del cable.server.files["/sys/class/net/server0/carrier"]
    assert cable.look().problems[0].startswith("server0 of this machine has no link (it is down)")


def test_a_link_may_take_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = client_machine()
    machine.files["/sys/class/net/eth7/carrier"] = "0\n"
    port = Port(There(machine, "one", "eth7", LocalHost()), None, "eth7")
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            machine.files["/sys/class/net/eth7/carrier"] = "1\n"
    monkeypatch.setattr(time, "sleep", sleep)
    assert port.has_link(60) and len(slept) == 3


def test_another_speed_is_noted(cable: Cable) -> None:
    cable.client.files |= interface("eth7", CLIENT_MAC, speed="1000")
    found = cable.look()
    assert found.problems == [] and found.notes == [
        {"code": "slower-end", "server": "server0 of this machine", "client": "eth7 of one",
         "server_mbps": 10000, "client_mbps": 1000}]
    # a virtual one has none
    cable.client.files |= interface("eth7", CLIENT_MAC, speed="-1")
    assert cable.look().notes == []


def test_a_stranger_at_an_address_is_told_by_its_mac(cable: Cable) -> None:
    cable.client.answers[probe("eth7", "198.18.0.3")] = says(STRANGER)
    assert cable.look().problems == [f"198.18.0.3, which is for server0 of this machine ({SERVER_MAC}), is in use "
                                     f"already: {STRANGER} answers eth7 of one; take it away there"]
    cable.client.answers[probe("eth7", "198.18.0.3")] = Result(0, "", "")
    cable.server.answers[probe("server0", "198.18.0.1")] = says(STRANGER)
    assert cable.look().problems[0].startswith(f"198.18.0.1, which is for eth7 of one ({CLIENT_MAC}), is in use")


@pytest.mark.parametrize("spoil", ["missing", "another", "forbidden"])
def test_without_an_arping_that_can_it_is_the_arp_table(cable: Cable, spoil: str) -> None:
    if spoil == "missing":
        cable.client.programs.discard("arping")
    elif spoil == "another":
        cable.client.answers["arping -V"] = Result(0, "ARPing 2.23, by Thomas Habets\n", "")
    else:
        for ip in ("198.18.0.2", "198.18.0.3"):
            cable.client.answers[probe("eth7", ip)] = Result(2, "", "arping: socket: Operation not permitted")
    table = "head\n198.18.0.2 0x1 0x2 {} * eth7\n198.18.0.3 0x1 0x0 00:00:00:00:00:00 * eth7\n"
    cable.client.files["/proc/net/arp"] = table.format(SERVER_MAC)
    assert cable.look().problems == []
    cable.client.files["/proc/net/arp"] = table.format(STRANGER)
    assert [STRANGER in problem for problem in cable.look().problems] == [True]


@pytest.mark.parametrize("routes, trie, named, address", [
    (HEAD + DEFAULT, TRIE.format(address="10.0.0.1"), "eth7", "198.18.0.1/24 dev eth7"),
    (HEAD + DEFAULT + WIRE, TRIE.format(address="10.0.0.1"), "", "198.18.0.1/24 dev <its interface on the cable>"),
    (HEAD, "", "eth7", "198.18.0.1/24 dev eth7")])
def test_a_client_without_an_address_is_told_the_command(cable: Cable, routes: str, trie: str, named: str,
                                                          address: str) -> None:
    cable.client.files |= {"/proc/net/route": routes, "/proc/net/fib_trie": trie}
    [problem] = cable.look(named).problems
    assert problem.startswith("one has no address in 198.18.0.0/24: on it, as root, `ip address add " + address)


def test_the_second_client_is_told_another_address(cable: Cable) -> None:
    other = client_machine()
    other.files["/proc/net/route"] = HEAD + DEFAULT
    [problem] = cable.look(more=[other]).problems
    # .1 is for the first, .2 and .3 are the servers'
    assert problem.startswith("two has no address") and "198.18.0.4/24" in problem


def test_two_clients_with_one_address_are_told(cable: Cable) -> None:
    other = client_machine()
    other.files |= interface("eth7", CLIENT_MAC)
    assert "eth7 of two and eth7 of one both have 198.18.0.1: give one of them another address" in cable.look(
        more=[other]).problems


def test_a_way_by_another_interface_is_told(cable: Cable) -> None:
    cable.client.files |= interface("eth9", STRANGER)
    assert cable.look("eth9").problems == ["one reaches 198.18.0.2 by eth7 and not by eth9: on it, as root, "
                                           "`ip route replace 198.18.0.2/32 dev eth9`"]
    assert cable.look("eth5").problems == ["one has no interface eth5: there are eth7"]


@pytest.mark.parametrize("said, problems, notes", [
    ("wrk 4.2.0 [epoll]", [], [{"code": "other-wrk", "machine": "one", "version": "4.2.0", "here": "4.1.0"}]),
    ("wrk 3.0.0 [epoll]", ["one has wrk 3.0.0, which is not known here: install 4.1.0"], []),
    ("nonsense", ["one has wrk of unknown version, which is not known here: install 4.1.0"], [])])
def test_wrk_there_is_known(cable: Cable, said: str, problems: list[str], notes: list[CableNote]) -> None:
    cable.client.answers["wrk -v"] = Result(1, said, "")
    found = cable.look()
    assert (found.problems, found.notes) == (problems, notes)


def test_without_wrk_there_it_says_how_to_get_it(cable: Cable) -> None:
    cable.client.programs.discard("wrk")
    assert cable.look().problems == ["one has no wrk: on it, as root, `apt-get install wrk`"]


def test_too_few_open_files_there_are_told(cable: Cable) -> None:
    assert cable.look(connections=1025).problems[0].startswith("one lets a program have 1024 open files and 1025")
    cable.client.answers["sh -c ulimit -H -n"] = Result(0, "unlimited\n", "")
    assert cable.look(connections=1025).problems == []


@pytest.mark.parametrize("shift, ahead", [(0.4, []), (-0.4, []), (90, [90.0]), (-3, [-3.0])])
def test_a_clock_that_is_off_is_noted(cable: Cable, monkeypatch: pytest.MonkeyPatch, shift: float,
                                      ahead: list[float]) -> None:
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    cable.client.answers["date +%s.%N"] = Result(0, f"{1000 + shift:.9f}\n", "")
    assert cable.look().notes == [
        {"code": "other-clock", "machine": "one", "ahead_seconds": seconds} for seconds in ahead]


def test_a_clock_without_parts_of_seconds_is_less_sure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1000.25)
    machine = Machine({}, {"date +%s.%N": Result(0, "1001.%N\n", "")})
    assert There(machine, "one", "").clock_ahead() == (1.25, 0.5)
