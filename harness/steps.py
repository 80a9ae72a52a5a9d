# SPDX-License-Identifier: BSD-3-Clause
"""The steps that make a wire, in their order, each with check, undo and up.

A step says what it needs and what would undo it before it acts; provision.py keeps the order and the journal.
Knows nothing of plans, trials or results. New kind of link: one function that returns a Commands.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Mapping, Protocol, Sequence

from harness import nic_steps
from harness.errors import MachineError, UsageError
from harness.host import NETNS_DIRECTORY, Host
from harness.journal import DIRECTORY, Action
from harness.modules import Module
from harness.netem import MODULES as NETEM_MODULES
from harness.netem import MODULES_BOTH_WAYS as NETEM_MODULES_BOTH_WAYS
from harness.netem import parse
from harness.nic_steps import Use
from harness.tuning import pages
from harness.tuning_machine import entry
from harness.wire import BRIDGED, TAPS, Bridge, Contender, Endpoint, Wire

ROOT = Path(__file__).resolve().parent.parent
TUN = "/dev/net/tun"
VHOST = "/dev/vhost-net"
EAL_DIRECTORY = "/run/dpdk"
XDP_DIRECTORY = "/run/xdp"
# by link, the modules that it needs and the nodes in /dev that they make
_NODES = {"tap": (("tun", TUN),), "vhost-net": (("tun", TUN), ("vhost_net", VHOST))}
# of a kernel server's namespace: a queue for as many SYNs and accepted connections as it can have, and for those that
# it closed first
SERVER_SYSCTLS = {"core.somaxconn": 65535, "ipv4.tcp_max_syn_backlog": 65535, "ipv4.tcp_max_tw_buckets": 1048576}
# program -> Debian package that has it
PROGRAMS = {"ip": "iproute2", "ping": "iputils-ping", "wrk": "wrk", "ethtool": "ethtool",
            "sysctl": "procps", "taskset": "util-linux", "setpriv": "util-linux"}


class Step(Protocol):
    """`check` changes nothing: None, or what is missing and how to get it. `undo` is asked before `up`."""

    @property
    def name(self) -> str: ...
    def check(self, host: Host) -> str | None: ...
    def undo(self, host: Host) -> list[Action]: ...
    def up(self, host: Host) -> None: ...


@dataclass(frozen=True)
class Requirements:
    """What must be on the machine already. `programs`: more than PROGRAMS, in the same shape."""

    wire: Wire
    contenders: tuple[Contender, ...]
    programs: Mapping[str, str] = field(default_factory=dict)
    name: str = "requirements"

    def check(self, host: Host) -> str | None:
        programs = {**PROGRAMS, **self.wire.programs, **self.programs}
        missing = [f"{program} (package {package}, or `sudo make deps`)"
                   for program, package in programs.items() if host.which(program) is None]
        missing += [f"{program} (run `make`)" for program in built(self.contenders)
                    if not has_program(host, program)]
        return f"missing: {', '.join(missing)}" if missing else None

    def undo(self, host: Host) -> list[Action]:
        return []

    def up(self, host: Host) -> None:
        """Nothing: what is missing is not for a run to install."""


def built(contenders: Sequence[Contender]) -> list[str]:
    """Every program and other file that the contenders and their clients are started from, each once."""
    return list(dict.fromkeys(name for each in contenders for name in (
        each.program, *each.needs, each.client.launcher, *each.client.needs) if name))


def has_program(host: Host, name: str) -> bool:
    """Paths count from the top of the project, other names are looked up on PATH."""
    return host.exists(ROOT / name) if "/" in name else host.which(name) is not None


def socket_path(contender: Contender) -> str:
    """Where both ends of an shm link find each other: in the run's own directory, which is root's alone."""
    return f"{DIRECTORY}/{contender.socket}"


@dataclass
class Hugepages:
    """Raises the count by what is missing. A refusal is no failure: `granted` False and `why`.

    It is one where something cannot do without them: `needed_for` says what and why, "" if nothing is so. `node`: the
    NUMA node that they must be on, None where any will do.
    """

    size_kib: int
    count: int
    needed_for: str = ""
    node: int | None = None
    granted: bool = field(default=False, init=False)
    why: str = field(default="no contender uses them", init=False)

    @property
    def name(self) -> str:
        return f"hugepages: {self.count} of {self.size_kib} KiB{self._where}"

    @property
    def said(self) -> dict[str, Any]:
        """As tuning.py has it; empty where no node was asked for."""
        if self.node is None or not self.count:
            return {}
        return entry("hugepages", f"{self.count} of {self.size_kib} KiB{self._where}",
                     "granted" if self.granted else "not granted", [self.why] if self.why else [])

    def check(self, host: Host) -> str | None:
        if self.needed_for and not host.exists(self._file("nr")):
            return f"{self.needed_for}, and {self._none_here()}"
        return None

    def undo(self, host: Host) -> list[Action]:
        return [["write", self._file("nr"), str(self._read(host, "nr"))]] if self._lacking(host) > 0 else []

    def up(self, host: Host) -> None:
        if not self.count:
            return
        self.why = self._raise(host)
        self.granted = not self.why
        if self.why and self.needed_for:
            raise MachineError(f"{self.needed_for}, and {self.why}: free memory, or make them early"
                               f" (`echo {self.count} > {self._file('nr')}` after a boot)")

    def _raise(self, host: Host) -> str:
        """Why there are not enough; "" when there are."""
        if not host.exists(self._file("nr")):
            return self._none_here()
        found, lacking = self._read(host, "nr"), self._lacking(host)
        if lacking > 0:
            try:
                host.write(self._file("nr"), str(found + lacking))
            except MachineError as error:
                return f"the machine refused {lacking} hugepages of {self.size_kib} KiB{self._where}: {error}"
        given = self._read(host, "nr") - found
        if given >= lacking:
            return ""
        host.write(self._file("nr"), str(found))
        return f"the machine gave {given} of {lacking} hugepages of {self.size_kib} KiB{self._where}"

    def _none_here(self) -> str:
        return f"this kernel has no hugepages of {self.size_kib} KiB{self._where}"

    def _lacking(self, host: Host) -> int:
        return self.count - self._read(host, "free") if host.exists(self._file("free")) else 0

    def _read(self, host: Host, which: str) -> int:
        return int(host.read(self._file(which)))

    def _file(self, which: str) -> str:
        return f"{pages(self.size_kib, self.node)}/{which}_hugepages"

    @property
    def _where(self) -> str:
        return "" if self.node is None else f" on NUMA node {self.node}"


@dataclass(frozen=True)
class NamespaceDirectory:
    """`ip netns` makes and mounts /run/netns when there is none; that goes with the last namespace."""

    name: str = "directory of namespaces"

    def check(self, host: Host) -> str | None:
        return None

    def undo(self, host: Host) -> list[Action]:
        if not host.exists(NETNS_DIRECTORY):
            return [["unmount_if_empty", NETNS_DIRECTORY], ["rmdir", NETNS_DIRECTORY]]
        mounted = f" {NETNS_DIRECTORY} " in host.read("/proc/self/mountinfo")
        return [] if mounted else [["unmount_if_empty", NETNS_DIRECTORY]]

    def up(self, host: Host) -> None:
        """Nothing: the first namespace makes it."""


@dataclass(frozen=True)
class EalDirectory:
    """EAL leaves /run/dpdk/<file prefix> behind, even with --in-memory; libxdp, under net_af_xdp, its lock's."""

    prefix: str

    @property
    def name(self) -> str:
        return f"DPDK's runtime directory {EAL_DIRECTORY}/{self.prefix}"

    def check(self, host: Host) -> str | None:
        return None

    def undo(self, host: Host) -> list[Action]:
        paths = (f"{EAL_DIRECTORY}/{self.prefix}", EAL_DIRECTORY, XDP_DIRECTORY)
        return [["rmdir", path] for path in paths if not host.exists(path)]

    def up(self, host: Host) -> None:
        """Nothing: EAL makes it."""


@dataclass(frozen=True)
class SocketFile:
    """A server that is killed leaves its socket behind, and no other could then listen there."""

    path: str

    @property
    def name(self) -> str:
        return f"socket {self.path}"

    def check(self, host: Host) -> str | None:
        return None

    def undo(self, host: Host) -> list[Action]:
        return [["unlink", self.path]]

    def up(self, host: Host) -> None:
        """Nothing: the server makes it."""


@dataclass(frozen=True)
class Commands:
    """A step made of commands. `absent`: a path that must not exist yet, or it is somebody else's."""

    name: str
    commands: tuple[tuple[str, ...], ...]
    actions: tuple[Action, ...]
    absent: str = ""

    def check(self, host: Host) -> str | None:
        if self.absent and host.exists(self.absent):
            return f"{self.absent} is there already and not ours; see who uses it, then remove it"
        return None

    def undo(self, host: Host) -> list[Action]:
        return list(self.actions)

    def up(self, host: Host) -> None:
        for argv in self.commands:
            host.run(argv)


def namespace(name: str) -> Commands:
    # IPv6 is off before the first link comes up: its router and listener messages would be counted as traffic
    quiet = "for f in /proc/sys/net/ipv6/conf/*/disable_ipv6; do [ ! -e $f ] || echo 1 > $f; done"
    return Commands(
        f"namespace {name}",
        (("ip", "netns", "add", name), ("ip", "netns", "exec", name, "sh", "-c", quiet),
         ("ip", "-n", name, "link", "set", "lo", "up")),
        # a process inside would keep the namespace and its links alive without a name
        (("kill_inside", name), ("run", "ip", "netns", "del", name)), absent=f"{NETNS_DIRECTORY}/{name}")


def bridge(wire: Wire, on: Bridge) -> Commands:
    # no spanning tree and no delay: a port forwards as soon as a server opens its TAP
    inside = ("ip", "-n", on.namespace, "link")
    return Commands(
        f"bridge {on.namespace}/{on.interface}",
        ((*inside, "add", on.interface, "mtu", str(wire.mtu), "type", "bridge",
          "stp_state", "0", "forward_delay", "0", "mcast_snooping", "0"),
         (*inside, "set", on.interface, "up")),
        (("run", *inside, "del", on.interface),))


def veth(wire: Wire, on: Bridge, end: Endpoint, port: str) -> Commands:
    """A veth pair: the interface of `end` with its address, `port` in the bridge."""
    inside, in_bridge = ("ip", "-n", end.namespace), ("ip", "-n", on.namespace)
    mtu = ("mtu", str(wire.mtu))
    return Commands(
        f"veth {end.namespace}/{end.interface}",
        ((*inside, "link", "add", end.interface, "address", end.mac, *mtu, "type", "veth", "peer", "name", port,
          *mtu, "netns", on.namespace),
         (*in_bridge, "link", "set", port, "master", on.interface, "up"),
         (*inside, "address", "add", end.address, "dev", end.interface),
         (*inside, "link", "set", end.interface, "up")),
        (("run", *inside, "link", "del", end.interface),))


def veth_pair(wire: Wire, contender: Contender) -> Commands:
    """A veth pair from the client straight to the contender: no bridge, and an address at both ends."""
    client, end, mtu = wire.client, contender.endpoint, ("mtu", str(wire.mtu))
    at_client, at_server = ("ip", "-n", client.namespace), ("ip", "-n", end.namespace)
    return Commands(
        f"veth {client.namespace}/{client.interface} to {end.namespace}/{end.interface}",
        ((*at_client, "link", "add", client.interface, "address", client.mac, *mtu, "type", "veth",
          "peer", "name", end.interface, "address", end.mac, *mtu, "netns", end.namespace),
         (*at_client, "address", "add", client.address, "dev", client.interface),
         (*at_server, "address", "add", end.address, "dev", end.interface),
         (*at_client, "link", "set", client.interface, "up"),
         (*at_server, "link", "set", end.interface, "up")),
        (("run", *at_client, "link", "del", client.interface),))


def tap(wire: Wire, on: Bridge, contender: Contender) -> Commands:
    """A TAP in the bridge that stays when no server has it open, so that a server may be restarted."""
    end, inside = contender.endpoint, ("ip", "-n", contender.endpoint.namespace)
    return Commands(
        f"TAP {end.namespace}/{end.interface}",
        # net_tap opens it with IFF_MULTI_QUEUE and virtio-user, of one queue, without: the kernel insists that it was
        # made so
        ((*inside, "tuntap", "add", "dev", end.interface, "mode", "tap",
          *(("multi_queue",) if contender.link == "tap" else ())),
         (*inside, "link", "set", end.interface, "mtu", str(wire.mtu), "master", on.interface, "up")),
        (("run", *inside, "link", "del", end.interface),))


def veth_port(wire: Wire, on: Bridge, contender: Contender) -> Commands:
    """A veth pair whose far end DPDK opens as its port: the kernel has no address there and answers nothing."""
    end, in_bridge = contender.endpoint, ("ip", "-n", on.namespace)
    inside, port = ("ip", "-n", end.namespace), contender.bridge_port
    return Commands(
        f"veth {end.namespace}/{end.interface}, a port for DPDK",
        ((*inside, "link", "add", end.interface, "mtu", str(wire.mtu), "type", "veth", "peer", "name", port,
          "mtu", str(wire.mtu), "netns", on.namespace),
         # what leaves the bridge here must be whole packets with checksums: no kernel will finish them
         ("ip", "netns", "exec", on.namespace, "ethtool", "-K", port, "tx", "off", "tso", "off",
          "gso", "off"),
         (*in_bridge, "link", "set", port, "master", on.interface, "up"),
         (*inside, "link", "set", end.interface, "up")),
        (("run", *inside, "link", "del", end.interface),))


def veth_to_port(wire: Wire, contender: Contender) -> Commands:
    """A veth pair from the contender straight to an end that its client opens: the kernel there answers nothing.

    The contender is given what a busy server is given: room for the SYNs of many clients at once, and the way back to
    all addresses that the client has, through the first of them. A namespace of its own tracks no connections.
    """
    client, end, mtu = contender.client.endpoint, contender.endpoint, ("mtu", str(wire.mtu))
    at_client, at_server = ("ip", "-n", client.namespace), ("ip", "-n", end.namespace)
    inside = ("ip", "netns", "exec", end.namespace)
    return Commands(
        f"veth {end.namespace}/{end.interface} to {client.namespace}/{client.interface}, a port for DPDK",
        ((*at_client, "link", "add", client.interface, *mtu, "type", "veth",
          "peer", "name", end.interface, "address", end.mac, *mtu, "netns", end.namespace),
         # what leaves here must be whole packets with checksums: no kernel will finish them
         (*inside, "ethtool", "-K", end.interface, "tx", "off", "tso", "off"),
         *((*inside, "sysctl", "-q", "-w", f"net.{key}={value}") for key, value in SERVER_SYSCTLS.items()),
         (*at_server, "address", "add", f"{end.ip}/32", "dev", end.interface),
         (*at_client, "link", "set", client.interface, "up"),
         (*at_server, "link", "set", end.interface, "up"),
         (*at_server, "route", "add", f"{client.ip}/32", "dev", end.interface),
         (*at_server, "route", "add", client.network, "via", client.ip)),
        (("run", *at_client, "link", "del", client.interface),))


def netem(wire: Wire, contenders: Sequence[Contender]) -> Commands:
    """Delay and loss on the one hop that all packets of all contenders pass, once for each direction."""
    asked, on, client = parse(wire.netem, "netem"), wire.bridge, wire.client
    inside = ("ip", "netns", "exec")
    whole: list[tuple[str, ...]]
    if on is None:
        # where what is received waits, it must not have been merged before
        whole = [(*inside, client.namespace, "ethtool", "-K", client.interface, "gro", "off")]
        commands, undo = asked.both_ways(client.namespace, client.interface)
    else:
        # the kernel's server must send packets as others do, not many in one that is lost as a whole
        whole = [(*inside, each.endpoint.namespace, "ethtool", "-K", each.endpoint.interface, "tso", "off", "gso", "off")
                 for each in contenders if each.link == "veth"]
        commands, undo = asked.at_both_ends((client.namespace, client.interface), (on.namespace, on.client_port))
    return Commands(f"netem {wire.netem} in each direction of {client.namespace}/{client.interface}",
                    (*(whole if asked.counts_packets else ()), *commands), tuple(("run", *words) for words in undo))


def _modules(wire: Wire, contenders: Sequence[Contender]) -> list[Step]:
    """What must be in the kernel, each module once."""
    found = {module: Module(module, f"contender '{each.name}'", device)
             for each in contenders for module, device in _NODES.get(each.link, ())}
    for module in (NETEM_MODULES if wire.bridge else NETEM_MODULES_BOTH_WAYS) if wire.netem else ():
        found[module] = Module(module, f"NETEM={wire.netem}")
    return list(found.values())


def _links(wire: Wire, contenders: Sequence[Contender]) -> list[Step]:
    """Each link once: contenders that take turns may share one."""
    found: list[Step] = []
    on = wire.bridge
    if on and any(contender.link in BRIDGED for contender in contenders):
        found += [bridge(wire, on), veth(wire, on, wire.client, on.client_port)]
    for contender in (each for each in contenders if each.link != "nic"):
        if contender.link == "shm":
            found.append(SocketFile(socket_path(contender)))
        elif contender.link == "veth-pair":
            found.append(veth_pair(wire, contender))
        elif contender.link == "veth-to-port":
            found.append(veth_to_port(wire, contender))
        elif on and contender.link in TAPS:
            found.append(tap(wire, on, contender))
        elif on and contender.link == "veth-port":
            found.append(veth_port(wire, on, contender))
        elif on:
            found.append(veth(wire, on, contender.endpoint, contender.bridge_port))
    if wire.netem:
        found.append(netem(wire, contenders))
    return list({step.name: step for step in found}.values())


def _eal_prefixes(contenders: Sequence[Contender]) -> list[str]:
    """The file prefixes of every EAL that is started, each once."""
    starts = [words for each in contenders for words, stack in (
        (each.arguments, each.stack), (each.client.arguments, each.client.stack)) if stack != "kernel"]
    found = [re.search(r"--file-prefix=(\S+)", " ".join(words)) for words in starts]
    return list(dict.fromkeys(match[1] if match else "rte" for match in found))


_NEED_PAGES = {"shm": "client and server share them; --no-huge gives no memory to share",
               "nic": "the NIC reads and writes them itself, so they must stay where they are"}


def _needed_for(wire: Wire, contenders: Sequence[Contender]) -> str:
    """Why hugepages must be there; "" where a run can do without."""
    needs = [(each.name, _NEED_PAGES[each.link]) for each in contenders
             if each.link in _NEED_PAGES and (each.stack, each.client.stack) != ("kernel", "kernel")]
    return (f"contender '{needs[0][0]}' of wire {wire.name} needs {wire.hugepage_count} hugepages of"
            f" {wire.hugepage_kib} KiB ({needs[0][1]})" if needs else "")


def steps(wire: Wire, contenders: Sequence[str], programs: Mapping[str, str] = {},
          use: Use = Use()) -> list[Step]:
    """The steps that make `wire` for these contenders, in order. UsageError on one that it does not have.

    `programs`: what else must be on PATH, with the Debian package that has it. `use`: what the run will do
    with a wire that has a NIC.
    """
    for name in contenders:
        if name not in wire.contenders:
            known = ", ".join(wire.contenders)
            raise UsageError(f"wire {wire.name} has no contender '{name}'; it has: {known}")
    chosen = tuple(wire.contenders[name] for name in contenders)
    on_dpdk = any((each.stack, each.client.stack) != ("kernel", "kernel") for each in chosen)
    return [
        Requirements(wire, chosen, {**programs, **({"tc": "iproute2"} if wire.netem else {})}),
        *nic_steps.guards_of(wire.cable),
        *_modules(wire, chosen),
        Hugepages(wire.hugepage_kib, wire.hugepage_count if on_dpdk else 0, _needed_for(wire, chosen)),
        *nic_steps.preparations(wire.cable, use),
        *(EalDirectory(prefix) for prefix in _eal_prefixes(chosen)),
        NamespaceDirectory(),
        *(namespace(name) for name in namespaces(wire, chosen)),
        *_links(wire, chosen),
        *nic_steps.ports(wire, use),
    ]


def namespaces(wire: Wire, contenders: Sequence[Contender]) -> list[str]:
    """Every namespace that a packet of these contenders may pass, each once: clients, bridge, servers.

    Clients on other machines are in none.
    """
    elsewhere = wire.cable is not None and wire.cable.client is None
    bridged = [wire.bridge.namespace] if wire.bridge and any(c.link in BRIDGED for c in contenders) else []
    clients = [] if elsewhere else [contender.client.endpoint.namespace for contender in contenders]
    return list(dict.fromkeys([*clients, *bridged,
                               *(c.endpoint.namespace for c in contenders)]))
