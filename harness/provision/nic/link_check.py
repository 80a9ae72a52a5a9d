# SPDX-License-Identifier: BSD-3-Clause
"""Before a run on a cable: are both of its ends as they must be, and is nobody else at these addresses?

Looks and asks, and changes nothing. Knows machines and interfaces; no contender, plan or trial.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field, replace
from typing import Sequence

from harness.host import Host, SshHost

# of wrk, those whose report wrk_report.lua was tried with
KNOWN_WRK = ("4.1.0", "4.2.0")
# of two machines: beyond it, times in their logs do not fit each other
CLOCK_SECONDS = 1.0
# to negotiate, after an interface has been set up
LINK_SECONDS = 10.0
_NET = "/sys/class/net"
_PROBES = 2
_UP = "1"


@dataclass(frozen=True)
class Port:
    """One end of the cable. `addresses`: with prefix length; a server's are those of all contenders, a client's are found
    out. `interface` "": the one with a way to the server."""

    host: Host
    netns: str | None
    interface: str
    addresses: tuple[str, ...] = ()

    @property
    def machine(self) -> str:
        return self.host.destination if isinstance(self.host, SshHost) else "this machine"

    @property
    def name(self) -> str:
        return f"{self.interface} of {self.machine}"

    def read(self, path: str) -> str:
        """As this end's own namespace shows it; "" when it cannot be read."""
        result = self.host.run(["cat", path], netns=self.netns, check=False)
        return result.stdout if result.code == 0 else ""

    def fact(self, name: str) -> str:
        """Of its interface; "" when there is none, or it does not tell."""
        return self.read(f"{_NET}/{self.interface}/{name}").strip()


@dataclass
class Findings:
    """`problems` forbid a run, `notes` a reader must know. Each is one line with what to do."""

    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def preflight(server: Port, clients: Sequence[Port], connections: int = 0, patience: float = LINK_SECONDS) -> Findings:
    """Looks at the cable with its server's interface up at its kernel driver; the client's, too.

    `connections`: the most that each client will open; 0: not known. `patience`: how long (s) a link may take to come
    up. Tells each SshHost the interface that was found.
    """
    found = Findings()
    there = [port for place, client in enumerate(clients)
             for port in [_located(server, client, place, found)] if port is not None]
    live = [port for port in (server, *there) if _linked(port, patience, found)]
    if server in live:
        for client in (port for port in there if port in live):
            _compare(server, client, found)
            _probe(client, server, found)
            _probe(server, client, found)
    _distinct(there, found)
    for client in there:
        if isinstance(client.host, SshHost):
            _machine(server.host, client.host, connections, found)
    return found


def route(table: str, ip: str) -> tuple[str, ipaddress.IPv4Network, bool] | None:
    """Of /proc/net/route, the one that a packet to `ip` takes: interface, network, and whether by a gateway."""
    best = None
    for line in table.splitlines()[1:]:
        name, target, gateway, _, _, _, metric, mask, *_ = line.split()
        network = ipaddress.IPv4Network((_address(target), str(_address(mask))))
        if ipaddress.IPv4Address(ip) in network:
            best = min(filter(None, (best, (-network.prefixlen, int(metric), name, network, gateway != "00000000"))))
    return best[2:] if best else None


def _address(text: str) -> ipaddress.IPv4Address:
    """Of /proc/net/route: hexadecimal, the first byte last."""
    return ipaddress.IPv4Address(int.from_bytes(bytes.fromhex(text), "little"))


def own_addresses(trie: str) -> list[str]:
    """Of /proc/net/fib_trie, the addresses that a machine has itself."""
    return list(dict.fromkeys(re.findall(r"\|-- ([0-9.]+)\n\s+/32 host LOCAL", trie)))


def _located(server: Port, client: Port, place: int, found: Findings) -> Port | None:
    """The client's end with its interface and address; None, with the problem told, where it is not on the cable."""
    ip, network = _ip(server.addresses[0]), ipaddress.ip_interface(server.addresses[0]).network
    if client.interface and not client.fact("address"):
        found.problems.append(f"{client.machine} has no interface {client.interface}: "
                              f"there are {', '.join(sorted(client.host.link_counters(client.netns)))}")
        return None
    way = route(client.read("/proc/net/route"), ip)
    own = [address for address in own_addresses(client.read("/proc/net/fib_trie"))
           if ipaddress.ip_address(address) in network]
    interface = client.interface or "<its interface on the cable>"
    if way is None or way[2] or not way[1].prefixlen or not own:
        found.problems.append(f"{client.machine} has no address in {network}: on it, as root, `ip address add "
                              f"{_free(server, place)} dev {interface}` and `ip link set {interface} up`")
        return None
    if client.interface and way[0] != client.interface:
        found.problems.append(f"{client.machine} reaches {ip} by {way[0]} and not by {client.interface}: on it, as "
                              f"root, `ip route replace {ip}/32 dev {client.interface}`")
        return None
    if isinstance(client.host, SshHost):
        client.host.interface = way[0]
    return replace(client, interface=way[0], addresses=tuple(f"{address}/{network.prefixlen}" for address in own))


def _free(server: Port, place: int) -> str:
    """An address for the client of that place, which no server has."""
    network = ipaddress.ip_interface(server.addresses[0]).network
    taken = {_ip(address) for address in server.addresses}
    free = [host for _, host in zip(range(place + 1 + len(taken)), network.hosts()) if str(host) not in taken]
    return f"{free[min(place, len(free) - 1)]}/{network.prefixlen}"


def has_link(port: Port, patience: float = LINK_SECONDS) -> bool:
    """Is there a link, or within `patience` s?"""
    return port.host.wait_for(lambda: port.fact("carrier") == _UP, patience)


def _linked(port: Port, patience: float, found: Findings) -> bool:
    """As has_link(); the problem is told if not."""
    if has_link(port, patience):
        return True
    state = port.fact("operstate") or "not there"
    found.problems.append(f"{port.name} has no link (it is {state}): plug in the cable, and on {port.machine}, as "
                          f"root, `ip link set {port.interface} up`")
    return False


def _compare(server: Port, client: Port, found: Findings) -> None:
    ours, theirs = server.fact("mtu"), client.fact("mtu")
    if ours != theirs:
        found.problems.append(f"the MTU of {client.name} is {theirs}, that of {server.name} {ours}: on "
                              f"{client.machine}, as root, `ip link set {client.interface} mtu {ours}`")
    speeds = [port.fact("speed") for port in (server, client)]
    if all(speed.isdigit() for speed in speeds) and speeds[0] != speeds[1]:
        found.notes.append(f"{server.name} runs at {speeds[0]} Mbit/s and {client.name} at {speeds[1]}: "
                           "the slower one may be the limit")


def _probe(asker: Port, owner: Port, found: Findings) -> None:
    """Asks for each of the owner's addresses, as RFC 5227 has it where it can be done; only the owner may answer."""
    mac = owner.fact("address").lower()
    for address in owner.addresses:
        strangers = sorted({each.lower() for each in _answering(asker, _ip(address))} - {mac})
        if strangers:
            found.problems.append(f"{_ip(address)}, which is for {owner.name} ({mac}), is in use already: "
                                  f"{', '.join(strangers)} answers {asker.name}; take it away there")


def _answering(asker: Port, ip: str) -> list[str]:
    """MACs that answer for an address on the asker's link."""
    # another program by this name has other options
    known = asker.host.which("arping") and "iputils" in asker.host.run(["arping", "-V"], check=False).stdout
    if known:
        said = asker.host.run(["arping", "-D", "-c", str(_PROBES), "-w", str(_PROBES), "-I", asker.interface, ip],
                              netns=asker.netns, check=False)
        # 2: its user may not
        if said.code in (0, 1):
            return re.findall(r"\[([0-9A-Fa-f:]{17})\]", said.stdout)
    asker.host.run(["ping", "-c", "1", "-W", "1", "-n", ip], netns=asker.netns, check=False)
    mac = asker.host.neighbour(asker.netns, ip)
    return [mac] if mac else []


def _distinct(clients: Sequence[Port], found: Findings) -> None:
    seen: dict[str, Port] = {}
    for client in clients:
        for ip in map(_ip, client.addresses):
            other = seen.setdefault(ip, client)
            if other is not client:
                found.problems.append(f"{client.name} and {other.name} both have {ip}: "
                                      "give one of them another address")


def _machine(here: Host, there: SshHost, connections: int, found: Findings) -> None:
    """What a machine over ssh must have to load."""
    ahead, unsure = there.clock_ahead()
    if abs(ahead) - unsure > CLOCK_SECONDS:
        way = "ahead" if ahead > 0 else "behind"
        found.notes.append(f"the clock of {there.destination} is {abs(ahead):.1f} s {way}: its own logs do not fit "
                           "this run's times")
    ours, theirs = _wrk(here), _wrk(there)
    if theirs is None:
        found.problems.append(f"{there.destination} has no wrk: on it, as root, `apt-get install wrk`")
    elif theirs not in (ours, *KNOWN_WRK):
        found.problems.append(f"{there.destination} has wrk {theirs}, which is not known here: "
                              f"install {ours or KNOWN_WRK[0]}")
    elif theirs != ours:
        found.notes.append(f"{there.destination} has wrk {theirs}, this machine {ours}")
    files = there.run(["sh", "-c", "ulimit -H -n"]).stdout.strip()
    if files.isdigit() and int(files) < connections:
        found.problems.append(f"{there.destination} lets a program have {files} open files and {connections} "
                              "connections are wanted: raise `nofile` in /etc/security/limits.conf there")


def _wrk(host: Host) -> str | None:
    """Its version; None without one that says it."""
    if host.which("wrk") is None:
        return None
    version = re.search(r"\d+\.\d+\.\d+", host.run(["wrk", "-v"], check=False).stdout)
    return version[0] if version else "of unknown version"


def _ip(address: str) -> str:
    return address.partition("/")[0]
