# SPDX-License-Identifier: BSD-3-Clause
"""Look at both ends of a link before a run, and whether others have their addresses.

Changes nothing. Knows machines and interfaces; no contender, plan or trial.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field, replace
from typing import Mapping, Sequence

from harness.host import INTERFACES, Host, SshHost

CableNote = Mapping[str, str | float]
# of wrk, those whose report wrk_report.lua was tried with
KNOWN_WRK = ("4.1.0", "4.2.0")
# of two machines: beyond it, times in their logs do not fit each other
CLOCK_SECONDS = 1.0
# to negotiate, after an interface has been set up
LINK_SECONDS = 10.0
_PROBES = 2
# of arping, where its user may probe
_ANSWERED = (0, 1)


@dataclass(frozen=True)
class Port:
    """One end of the link.

    `interface`: "" for the one with a way to the server
    `addresses`: with prefix length; a server's are those of all contenders, a client's are found
    out
    """

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
        """Return a file as this end's own namespace shows it; "" when it cannot be read."""
        result = self.host.run(["cat", path], netns=self.netns, check=False)
        return result.stdout if result.code == 0 else ""

    def attribute(self, name: str) -> str:
        """Return an attribute of its interface; "" when it is not told."""
        return self.read(f"{INTERFACES}/{self.interface}/{name}").strip()

    def has_link(self, patience: float = LINK_SECONDS) -> bool:
        """Return whether there is a link, now or within `patience` s."""
        return self.host.wait_for(lambda: self.attribute("carrier") == "1", patience)


@dataclass
class Findings:
    """What was found.

    problems: forbid a run; each is one line with what to do
    notes: a reader must know: codes of store's CableNote with their values
    """

    problems: list[str] = field(default_factory=list)
    notes: list[CableNote] = field(default_factory=list)


def check_ends(server: Port, clients: Sequence[Port], connections: int = 0,
               patience: float = LINK_SECONDS) -> Findings:
    """Look at both ends, with their interfaces up at their kernel drivers.

    `connections`: the most that each client will open; 0: not known. `patience`: how long (s) a
    link may take to come up. Tells each SshHost the interface that is found.
    """
    findings = Findings()
    located = (_locate(server, client, place, findings) for place, client in enumerate(clients))
    there = [port for port in located if port is not None]
    live = [port for port in (server, *there) if _is_linked(port, patience, findings)]
    if server in live:
        for client in (port for port in there if port in live):
            _compare(server, client, findings)
            _probe(client, server, findings)
            _probe(server, client, findings)
    _check_distinct(there, findings)
    for client in there:
        if isinstance(client.host, SshHost):
            _check_machine(server.host, client.host, connections, findings)
    return findings


def route(table: str, ip: str) -> tuple[str, ipaddress.IPv4Network, bool] | None:
    """Return the route to `ip` in /proc/net/route: interface, network, and whether by a gateway."""
    ways = []
    for line in table.splitlines()[1:]:
        name, target, gateway, _, _, _, metric, mask, *_ = line.split()
        network = ipaddress.IPv4Network((_address(target), str(_address(mask))))
        if ipaddress.IPv4Address(ip) in network:
            ways.append((-network.prefixlen, int(metric), name, network, gateway != "00000000"))
    return min(ways)[2:] if ways else None


def _address(text: str) -> ipaddress.IPv4Address:
    """Read an address of /proc/net/route: hexadecimal, the first byte last."""
    return ipaddress.IPv4Address(int.from_bytes(bytes.fromhex(text), "little"))


def own_addresses(trie: str) -> list[str]:
    """Return the addresses in /proc/net/fib_trie that a machine has itself."""
    return list(dict.fromkeys(re.findall(r"\|-- ([0-9.]+)\n\s+/32 host LOCAL", trie)))


def _locate(server: Port, client: Port, place: int, findings: Findings) -> Port | None:
    """Return the client's end with its interface and address; None where it is not on the link."""
    ip, network = _ip(server.addresses[0]), ipaddress.ip_interface(server.addresses[0]).network
    if client.interface and not client.attribute("address"):
        there = ", ".join(sorted(client.host.link_counters(client.netns)))
        findings.problems.append(f"{client.machine} has no interface {client.interface}: there "
                                 f"are {there}")
        return None
    way = route(client.read("/proc/net/route"), ip)
    own = [address for address in own_addresses(client.read("/proc/net/fib_trie"))
           if ipaddress.ip_address(address) in network]
    interface = client.interface or "<its interface on the cable>"
    if way is None or way[2] or not way[1].prefixlen or not own:
        findings.problems.append(f"{client.machine} has no address in {network}: on it, as root, "
                                 f"`ip address add {_free(server, place)} dev {interface}` and `ip "
                                 f"link set {interface} up`")
        return None
    if client.interface and way[0] != client.interface:
        findings.problems.append(f"{client.machine} reaches {ip} by {way[0]} and not by "
                                 f"{client.interface}: on"
                                 f" it, as root, `ip route replace {ip}/32 dev {client.interface}`")
        return None
    if isinstance(client.host, SshHost):
        client.host.interface = way[0]
    addresses = tuple(f"{address}/{network.prefixlen}" for address in own)
    return replace(client, interface=way[0], addresses=addresses)


def _free(server: Port, place: int) -> str:
    """Return an address for the client of that place, which no server has."""
    network = ipaddress.ip_interface(server.addresses[0]).network
    taken = {_ip(address) for address in server.addresses}
    free = [host for _, host in zip(range(place + 1 + len(taken)), network.hosts())
            if str(host) not in taken]
    return f"{free[min(place, len(free) - 1)]}/{network.prefixlen}"


def _is_linked(port: Port, patience: float, findings: Findings) -> bool:
    if port.has_link(patience):
        return True
    state = port.attribute("operstate") or "not there"
    findings.problems.append(f"{port.name} has no link (it is {state}): plug in the cable, and on "
                             f"{port.machine}, as root, `ip link set {port.interface} up`")
    return False


def _compare(server: Port, client: Port, findings: Findings) -> None:
    ours, theirs = server.attribute("mtu"), client.attribute("mtu")
    if ours != theirs:
        findings.problems.append(f"the MTU of {client.name} is {theirs}, that of {server.name} "
                                 f"{ours}: on {client.machine}, as root, `ip link set "
                                 f"{client.interface} mtu {ours}`")
    ours, theirs = server.attribute("speed"), client.attribute("speed")
    if ours.isdigit() and theirs.isdigit() and ours != theirs:
        findings.notes.append({"code": "slower-end", "server": server.name, "client": client.name,
                               "server_mbps": int(ours), "client_mbps": int(theirs)})


def _probe(asker: Port, owner: Port, findings: Findings) -> None:
    """Ask for each of the owner's addresses; only the owner may answer (RFC 5227)."""
    mac = owner.attribute("address").lower()
    for address in map(_ip, owner.addresses):
        strangers = sorted({other.lower() for other in _answering(asker, address)} - {mac})
        if strangers:
            findings.problems.append(f"{address}, which is for {owner.name} ({mac}), is in use "
                                     f"already: {', '.join(strangers)} answers {asker.name}; take "
                                     "it away there")


def _answering(asker: Port, ip: str) -> list[str]:
    """Return the MACs that answer for an address on the asker's link."""
    # another program by this name has other options
    if asker.host.which("arping") and "iputils" in asker.host.run(["arping", "-V"],
                                                                  check=False).stdout:
        answer = asker.host.run(["arping", "-D", "-c", str(_PROBES), "-w", str(_PROBES), "-I",
                                 asker.interface, ip], netns=asker.netns, check=False)
        if answer.code in _ANSWERED:
            return re.findall(r"\[([0-9A-Fa-f:]{17})\]", answer.stdout)
    asker.host.run(["ping", "-c", "1", "-W", "1", "-n", ip], netns=asker.netns, check=False)
    mac = asker.host.neighbour(asker.netns, ip)
    return [mac] if mac else []


def _check_distinct(clients: Sequence[Port], findings: Findings) -> None:
    owners: dict[str, Port] = {}
    for client in clients:
        for ip in map(_ip, client.addresses):
            other = owners.setdefault(ip, client)
            if other is not client:
                findings.problems.append(f"{client.name} and {other.name} both have {ip}: give one "
                                         "of them another address")


def _check_machine(here: Host, there: SshHost, connections: int, findings: Findings) -> None:
    """Check what a machine over ssh must have to load."""
    machine = there.destination
    ahead, unsure = there.clock_ahead()
    if abs(ahead) - unsure > CLOCK_SECONDS:
        findings.notes.append({"code": "other-clock", "machine": machine, "ahead_seconds": ahead})
    ours, theirs = _wrk(here), _wrk(there)
    if theirs is None:
        findings.problems.append(f"{machine} has no wrk: on it, as root, `apt-get install wrk`")
    elif theirs not in (ours, *KNOWN_WRK):
        findings.problems.append(f"{machine} has wrk {theirs}, which is not known here: install"
                                 f" {ours or KNOWN_WRK[0]}")
    elif theirs != ours:
        findings.notes.append({"code": "other-wrk", "machine": machine, "version": theirs,
                               "here": ours or ""})
    files = there.run(["sh", "-c", "ulimit -H -n"]).stdout.strip()
    if files.isdigit() and int(files) < connections:
        findings.problems.append(f"{machine} lets a program have {files} open files and "
                                 f"{connections} connections are wanted: raise `nofile` in "
                                 "/etc/security/limits.conf there")


def _wrk(host: Host) -> str | None:
    """Return the version of wrk; None without one."""
    if host.which("wrk") is None:
        return None
    version = re.search(r"\d+\.\d+\.\d+", host.run(["wrk", "-v"], check=False).stdout)
    return version[0] if version else "of unknown version"


def _ip(address: str) -> str:
    return address.partition("/")[0]
