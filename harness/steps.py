# SPDX-License-Identifier: BSD-3-Clause
"""The steps that make a wire, in their order, each with check, undo and up.

A step says what it needs and what would undo it before it acts; provision.py keeps the order and the journal.
Knows nothing of plans, trials or results. New kind of link: one function that returns a Commands.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, Sequence

from harness.errors import MachineError, UsageError
from harness.host import NETNS_DIRECTORY, Host
from harness.journal import Action
from harness.wire import Contender, Wire

ROOT = Path(__file__).resolve().parent.parent
TUN = "/dev/net/tun"
EAL_DIRECTORY = "/run/dpdk"
XDP_DIRECTORY = "/run/xdp"
# program -> Debian package that has it
PROGRAMS = {"ip": "iproute2", "ping": "iputils-ping", "wrk": "wrk", "ethtool": "ethtool",
            "taskset": "util-linux", "setpriv": "util-linux"}


class Step(Protocol):
    """`check` changes nothing: None, or what is missing and how to get it. `undo` is asked before `up`."""

    @property
    def name(self) -> str: ...
    def check(self, host: Host) -> str | None: ...
    def undo(self, host: Host) -> list[Action]: ...
    def up(self, host: Host) -> None: ...


@dataclass(frozen=True)
class Requirements:
    """What must be on the machine already."""

    wire: Wire
    contenders: tuple[Contender, ...]
    name: str = "requirements"

    def check(self, host: Host) -> str | None:
        missing = [f"{program} (package {package}, or `sudo make deps`)"
                   for program, package in PROGRAMS.items() if host.which(program) is None]
        missing += [f"{contender.program} (run `make`)" for contender in self.contenders
                    if not has_program(host, contender)]
        if any(contender.link == "tap" for contender in self.contenders) and not host.exists(TUN):
            missing.append(f"{TUN} (`modprobe tun`; in a container: --device {TUN})")
        return f"missing: {', '.join(missing)}" if missing else None

    def undo(self, host: Host) -> list[Action]:
        return []

    def up(self, host: Host) -> None:
        """Nothing: what is missing is not for a run to install."""


def has_program(host: Host, contender: Contender) -> bool:
    """Paths count from the top of the project, other names are looked up on PATH."""
    if "/" in contender.program:
        return host.exists(ROOT / contender.program)
    return host.which(contender.program) is not None


@dataclass
class Hugepages:
    """Raises the count by what is missing. A refusal is no failure: `granted` False and `why`."""

    size_kib: int
    count: int
    granted: bool = field(default=False, init=False)
    why: str = field(default="no contender uses them", init=False)

    @property
    def name(self) -> str:
        return f"hugepages: {self.count} of {self.size_kib} KiB"

    def check(self, host: Host) -> str | None:
        return None

    def undo(self, host: Host) -> list[Action]:
        return [["write", self._file("nr"), str(self._read(host, "nr"))]] if self._lacking(host) > 0 else []

    def up(self, host: Host) -> None:
        if not self.count:
            return
        if not host.exists(self._file("nr")):
            self.why = f"this kernel has no hugepages of {self.size_kib} KiB"
            return
        found, lacking = self._read(host, "nr"), self._lacking(host)
        if lacking > 0:
            try:
                host.write(self._file("nr"), str(found + lacking))
            except MachineError as error:
                self.why = f"the machine refused {lacking} hugepages of {self.size_kib} KiB: {error}"
                return
        given = self._read(host, "nr") - found
        self.granted = given >= lacking
        self.why = ""
        if not self.granted:
            host.write(self._file("nr"), str(found))
            self.why = f"the machine gave {given} of {lacking} hugepages of {self.size_kib} KiB"

    def _lacking(self, host: Host) -> int:
        return self.count - self._read(host, "free") if host.exists(self._file("free")) else 0

    def _read(self, host: Host, which: str) -> int:
        return int(host.read(self._file(which)))

    def _file(self, which: str) -> str:
        return f"/sys/kernel/mm/hugepages/hugepages-{self.size_kib}kB/{which}_hugepages"


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


def bridge(wire: Wire) -> Commands:
    # no spanning tree and no delay: a port forwards as soon as a server opens its TAP
    inside = ("ip", "-n", wire.bridge_namespace, "link")
    return Commands(
        f"bridge {wire.bridge_namespace}/{wire.bridge}",
        ((*inside, "add", wire.bridge, "mtu", str(wire.mtu), "type", "bridge",
          "stp_state", "0", "forward_delay", "0", "mcast_snooping", "0"),
         (*inside, "set", wire.bridge, "up")),
        (("run", *inside, "del", wire.bridge),))


def veth(wire: Wire, netns: str, interface: str, mac: str, address: str, port: str) -> Commands:
    """A veth pair: `interface` with its address in `netns`, `port` in the bridge."""
    inside, in_bridge = ("ip", "-n", netns), ("ip", "-n", wire.bridge_namespace)
    mtu = ("mtu", str(wire.mtu))
    return Commands(
        f"veth {netns}/{interface}",
        ((*inside, "link", "add", interface, "address", mac, *mtu, "type", "veth", "peer", "name", port, *mtu,
          "netns", wire.bridge_namespace),
         (*in_bridge, "link", "set", port, "master", wire.bridge, "up"),
         (*inside, "address", "add", address, "dev", interface),
         (*inside, "link", "set", interface, "up")),
        (("run", *inside, "link", "del", interface),))


def tap(wire: Wire, contender: Contender) -> Commands:
    """A TAP in the bridge that stays when no server has it open, so that a server may be restarted."""
    end, inside = contender.endpoint, ("ip", "-n", contender.endpoint.namespace)
    return Commands(
        f"TAP {end.namespace}/{end.interface}",
        # net_tap opens it with IFF_MULTI_QUEUE, and the kernel then insists that it was made so
        ((*inside, "tuntap", "add", "dev", end.interface, "mode", "tap", "multi_queue"),
         (*inside, "link", "set", end.interface, "mtu", str(wire.mtu), "master", wire.bridge, "up")),
        (("run", *inside, "link", "del", end.interface),))


def veth_port(wire: Wire, contender: Contender) -> Commands:
    """A veth pair whose far end DPDK opens as its port: the kernel has no address there and answers nothing."""
    end, in_bridge = contender.endpoint, ("ip", "-n", wire.bridge_namespace)
    inside, port = ("ip", "-n", end.namespace), contender.bridge_port
    return Commands(
        f"veth {end.namespace}/{end.interface}, a port for DPDK",
        ((*inside, "link", "add", end.interface, "mtu", str(wire.mtu), "type", "veth", "peer", "name", port,
          "mtu", str(wire.mtu), "netns", wire.bridge_namespace),
         # what leaves the bridge here must be whole packets with checksums: no kernel will finish them
         ("ip", "netns", "exec", wire.bridge_namespace, "ethtool", "-K", port, "tx", "off", "tso", "off",
          "gso", "off"),
         (*in_bridge, "link", "set", port, "master", wire.bridge, "up"),
         (*inside, "link", "set", end.interface, "up")),
        (("run", *inside, "link", "del", end.interface),))


def _link(wire: Wire, contender: Contender) -> Commands:
    end = contender.endpoint
    if contender.link == "tap":
        return tap(wire, contender)
    if contender.link == "veth-port":
        return veth_port(wire, contender)
    return veth(wire, end.namespace, end.interface, end.mac, end.address, contender.bridge_port)


def _eal_prefix(contender: Contender) -> str:
    option = "--file-prefix="
    return next((word[len(option):] for word in contender.arguments if word.startswith(option)), "rte")


def steps(wire: Wire, contenders: Sequence[str]) -> list[Step]:
    """The steps that make `wire` for these contenders, in order. UsageError on one that it does not have."""
    for name in contenders:
        if name not in wire.contenders:
            known = ", ".join(wire.contenders)
            raise UsageError(f"wire {wire.name} has no contender '{name}'; it has: {known}")
    chosen = tuple(wire.contenders[name] for name in contenders)
    on_dpdk = [contender for contender in chosen if contender.stack == "lwip"]
    namespaces = [wire.client.namespace, wire.bridge_namespace, *(c.endpoint.namespace for c in chosen)]
    client = wire.client
    return [
        Requirements(wire, chosen),
        Hugepages(wire.hugepage_kib, wire.hugepage_count if on_dpdk else 0),
        *(EalDirectory(prefix) for prefix in dict.fromkeys(_eal_prefix(contender) for contender in on_dpdk)),
        NamespaceDirectory(),
        *(namespace(name) for name in dict.fromkeys(namespaces)),
        bridge(wire),
        veth(wire, client.namespace, client.interface, client.mac, client.address, wire.client_port),
        *(_link(wire, contender) for contender in chosen),
    ]
