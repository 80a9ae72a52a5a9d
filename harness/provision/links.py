# SPDX-License-Identifier: BSD-3-Clause
"""The kinds of link between a client and a server: what each wants of a wire's file and of the machine, and the step
that makes it. A new kind is one class in KINDS. Knows nothing of what else a run needs (steps.py).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Mapping, Sequence

from harness.errors import UsageError
from harness.host import NETNS_DIRECTORY, Host
from harness.plan.netem import IFB, parse
from harness.plan import DPDK, KERNEL, Contender, End, Endpoint, Wire
from harness.provision.journal import DIRECTORY
from harness.provision.resolved import ResolvedWire
from harness.provision.step import Action, Commands, Step

TUN, VHOST = "/dev/net/tun", "/dev/vhost-net"
# of a kernel server's namespace: a queue for as many SYNs and accepted connections as it can have, and for those that
# it closed first
SERVER_SYSCTLS = {"core.somaxconn": 65535, "ipv4.tcp_max_syn_backlog": 65535, "ipv4.tcp_max_tw_buckets": 1048576}


class Link:
    """A kind of link. What is said here holds where a kind says nothing else.

    needs: keys of a wire's file that it cannot do without
    bridged: it ends in the wire's bridge
    in_turn: one port that the contenders have one after another
    devices: (kernel module, the node that it makes in /dev)
    pages: why DPDK on it cannot do without hugepages; "" where it can
    programs: what must be on PATH, with its Debian package
    """

    needs: tuple[str, ...] = ("interface", "mac")
    bridged = False
    in_turn = False
    devices: tuple[tuple[str, str], ...] = ()
    pages = ""
    programs: Mapping[str, str] = {}

    def problem(self, wire: Wire, end: End) -> str:
        """Return why it cannot be on the wire so; "" if it can."""
        return "needs a [bridge]" if self.bridged and wire.bridge is None else ""

    def steps(self, wire: Wire, end: End) -> Sequence[Step]:
        """Return the steps that make it; none where it is made elsewhere."""
        return []


class Veth(Link):
    """The kernel's end of a veth pair, the other end in the bridge."""

    needs = ("interface", "mac", "bridge_port")
    bridged = True

    def steps(self, wire: Wire, end: End) -> Sequence[Step]:
        return [_to_bridge(wire, end.server, end.bridge_port)]


class VethPort(Veth):
    """A veth pair whose far end DPDK opens as its port: the kernel has no address there and answers nothing."""

    def steps(self, wire: Wire, end: End) -> Sequence[Step]:
        assert wire.bridge is not None
        server, on, port = end.server, wire.bridge, end.bridge_port
        return [Commands(
            f"veth {_place(server)}, a port for DPDK",
            (_add_pair(wire, server, port, on.namespace),
             # what leaves the bridge here must be whole packets with checksums: no kernel will finish them
             _inside(on.namespace, "ethtool", "-K", port, "tx", "off", "tso", "off", "gso", "off"),
             _ip(on.namespace, "link", "set", port, "master", on.interface, "up"),
             _up(server)),
            (("run", *_delete(server)),))]


class Tap(Link):
    """A TAP in the bridge, whose other end DPDK's net_tap has. It stays when no server has it open."""

    bridged = True
    devices: tuple[tuple[str, str], ...] = (("tun", TUN),)
    # net_tap opens it with IFF_MULTI_QUEUE: the kernel insists that it was made so
    mode: tuple[str, ...] = ("multi_queue",)

    def problem(self, wire: Wire, end: End) -> str:
        elsewhere = wire.bridge and end.server.namespace != wire.bridge.namespace
        return "belongs in the bridge's namespace" if elsewhere else super().problem(wire, end)

    def steps(self, wire: Wire, end: End) -> Sequence[Step]:
        assert wire.bridge is not None
        server = end.server
        return [Commands(
            f"TAP {_place(server)}",
            (_ip(server.namespace, "tuntap", "add", "dev", server.interface, "mode", "tap", *self.mode),
             _ip(server.namespace, "link", "set", server.interface, *_mtu(wire), "master", wire.bridge.interface,
                 "up")),
            (("run", *_delete(server)),))]


class VhostNet(Tap):
    """A TAP whose other end the kernel's vhost-net has. virtio-user, of one queue, opens it without multi_queue."""

    devices = (("tun", TUN), ("vhost_net", VHOST))
    mode = ()


class VethPair(Link):
    """A veth pair from the client straight to the server: no bridge, and an address at both ends."""

    def problem(self, wire: Wire, end: End) -> str:
        others = [each for each in wire.ends.values() if each.link != "shm" and each.server != end.server]
        return ("leads from the client's interface to one server alone; no other link or address can be on its wire"
                if others else "")

    def steps(self, wire: Wire, end: End) -> Sequence[Step]:
        client, server = end.client, end.server
        return [Commands(
            f"veth {_place(client)} to {_place(server)}",
            ((*_ip(client.namespace, "link", "add", client.interface, "address", client.mac, *_mtu(wire), "type",
                   "veth"), "peer", "name", server.interface, "address", server.mac, *_mtu(wire), "netns",
              server.namespace),
             _ip(client.namespace, "address", "add", client.address, "dev", client.interface),
             _ip(server.namespace, "address", "add", server.address, "dev", server.interface),
             _up(client), _up(server)),
            (("run", *_delete(client)),))]


class VethToPort(Link):
    """A veth pair from the server straight to an end that its client opens: the kernel there answers nothing.

    The server is given what a busy server is given: room for the SYNs of many clients at once, and the way back to all
    addresses that the client has, through the first of them. A namespace of its own tracks no connections.
    """

    def problem(self, wire: Wire, end: End) -> str:
        return "" if end.client_stack == DPDK else "needs a client that opens it: client_stack = \"dpdk\""

    def steps(self, wire: Wire, end: End) -> Sequence[Step]:
        client, server, at = end.client, end.server, end.server.namespace
        return [Commands(
            f"veth {_place(server)} to {_place(client)}, a port for DPDK",
            ((*_ip(client.namespace, "link", "add", client.interface, *_mtu(wire), "type", "veth"), "peer", "name",
              server.interface, "address", server.mac, *_mtu(wire), "netns", at),
             # what leaves here must be whole packets with checksums: no kernel will finish them
             _inside(at, "ethtool", "-K", server.interface, "tx", "off", "tso", "off"),
             *(_inside(at, "sysctl", "-q", "-w", f"net.{key}={value}") for key, value in SERVER_SYSCTLS.items()),
             _ip(at, "address", "add", f"{server.ip}/32", "dev", server.interface),
             _up(client), _up(server),
             _ip(at, "route", "add", f"{client.ip}/32", "dev", server.interface),
             _ip(at, "route", "add", client.network, "via", client.ip)),
            (("run", *_delete(client)),))]


class SharedMemory(Link):
    """Memory that client and server share; they find each other by a socket in the run's own directory."""

    needs = ("mac", "socket")
    pages = "client and server share them; --no-huge gives no memory to share"

    def problem(self, wire: Wire, end: End) -> str:
        if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}", end.socket):
            return (f"'{end.socket}' cannot name a socket (1 to 64 letters, digits, . _ -: a path of more than 107 "
                    "bytes is none)")
        if end.ring not in (256, 512, 1024):
            return f"ring = {end.ring}: must be 256, 512 or 1024 packets"
        linked = {each.server.namespace for each in wire.ends.values() if each.link != "shm"}
        for place in (end.server.namespace, end.client.namespace):
            if place in {wire.client.namespace, *linked}:
                return f"must be in namespaces without a link, not in {place}"
        return "" if end.client_stack != KERNEL else "needs a client on DPDK: client_stack"

    def steps(self, wire: Wire, end: End) -> Sequence[Step]:
        return [SocketFile(socket_path(end))]


class Nic(Link):
    """A port of this machine, which its driver or DPDK has in turn: nic/steps.py puts it in its place."""

    needs = ("interface",)
    in_turn = True
    pages = "the NIC reads and writes them itself, so they must stay where they are"
    programs = {"dpdk-devbind.py": "dpdk", "lspci": "pciutils", "modprobe": "kmod"}


KINDS: Mapping[str, Link] = {
    "veth": Veth(), "tap": Tap(), "vhost-net": VhostNet(), "veth-port": VethPort(), "veth-pair": VethPair(),
    "veth-to-port": VethToPort(), "shm": SharedMemory(), "nic": Nic()}


def check_links(wire: Wire) -> None:
    """UsageError on a link of the wire's file that there is not, or that cannot be made so."""
    for stack, end in wire.ends.items():
        where = f"{wire.source} [{stack}]"
        if end.link not in KINDS:
            raise UsageError(f"{where}: 'link' must be one of {', '.join(KINDS)}, not '{end.link}'")
        kind = KINDS[end.link]
        for key in kind.needs:
            if not getattr(end, key, "") and not getattr(end.server, key, ""):
                raise UsageError(f"{where}: a link of kind {end.link} needs '{key}'")
        if problem := kind.problem(wire, end):
            raise UsageError(f"{where}: link {end.link} {problem}")


def socket_path(end: End) -> str:
    """Return where both ends of shared memory find each other: in the run's own directory, which is root's alone."""
    return f"{DIRECTORY}/{end.socket}"


@dataclass(frozen=True)
class SocketFile(Step):
    """A server that is killed leaves its socket behind, and no other could then listen there. The server makes it."""

    path: str

    @property
    def name(self) -> str:
        return f"socket {self.path}"

    def undo(self, host: Host) -> list[Action]:
        return [["unlink", self.path]]


def kind_of(contender: Contender) -> Link:
    """Return the kind of link that leads to a contender."""
    return KINDS[contender.link]


def links(wire: Wire, contenders: Sequence[Contender]) -> list[Step]:
    """Return the steps of each link once: contenders that take turns may share one."""
    steps: list[Step] = []
    if wire.bridge and any(kind_of(each).bridged for each in contenders):
        steps += [_bridge(wire), _to_bridge(wire, wire.client, wire.bridge.client_port)]
    for end in dict.fromkeys(each.end for each in contenders):
        steps += KINDS[end.link].steps(wire, end)
    return list({step.name: step for step in steps}.values())


def namespace(name: str) -> Commands:
    """Return the step of a namespace whose loopback is up."""
    # IPv6 is off before the first link comes up: its router and listener messages would be counted as traffic
    quiet = "for f in /proc/sys/net/ipv6/conf/*/disable_ipv6; do [ ! -e $f ] || echo 1 > $f; done"
    return Commands(
        f"namespace {name}",
        (("ip", "netns", "add", name), _inside(name, "sh", "-c", quiet), _ip(name, "link", "set", "lo", "up")),
        # a process inside would keep the namespace and its links alive without a name
        (("kill_inside", name), ("run", "ip", "netns", "del", name)), absent=f"{NETNS_DIRECTORY}/{name}")


@dataclass
class Impairment(Step):
    """Delay and loss on the one hop that all packets of all contenders pass, once each way; changed between trials.

    ends: (namespace, interface) of what sends onto that hop
    prepared: commands that come first, for what is received where both ends are one interface, and for whole packets
    first: what is set from the start; "" for nothing
    """

    ends: tuple[tuple[str, str], ...]
    prepared: tuple[tuple[str, ...], ...]
    undone: tuple[tuple[str, ...], ...]
    first: str
    now: str = field(default="", init=False)

    @property
    def name(self) -> str:
        return f"netem{f' {self.first}' if self.first else ''} in each direction of {'/'.join(self.ends[0])}"

    def undo(self, host: Host) -> list[Action]:
        return [("run", *words) for words in self.undone]

    def up(self, host: Host) -> None:
        for words in self.prepared:
            host.run(words)
        self.change(host, self.first)

    def change(self, host: Host, impairment: str) -> None:
        """Have packets impaired so from now on; "" for not at all."""
        if impairment == self.now:
            return
        if self.now:
            for end in self.ends:
                host.run(_no_qdisc(*end))
        self.now = ""
        if impairment:
            for end in self.ends:
                host.run(parse(impairment, "netem").qdisc(*end))
        self.now = impairment


def impairment(wire: ResolvedWire, contenders: Sequence[Contender]) -> Impairment:
    """Return the step of a wire's netem. The hop is the client's: its link to the bridge, or what its interface sends
    and, through an interface made for that, receives."""
    on, client = wire.bridge, (wire.client.namespace, wire.client.interface)
    counts = any(parse(text, "netem").counts_packets for text in wire.impairments if text)
    if on:
        # the kernel's server must send packets as others do, not many in one that is lost as a whole
        whole = [_inside(server.namespace, "ethtool", "-K", server.interface, "tso", "off", "gso", "off")
                 for server in dict.fromkeys(each.endpoint for each in contenders if each.link == "veth")]
        ends = (client, (on.namespace, on.client_port))
        return Impairment(ends, tuple(whole if counts else ()), tuple(_no_qdisc(*end) for end in ends), wire.netem)
    # where what is received waits, it must not have been merged before
    whole = [_inside(client[0], "ethtool", "-K", client[1], "gro", "off")]
    tc, link, dev = ("tc", "-n", client[0]), ("ip", "-n", client[0], "link"), ("dev", client[1])
    prepared = ((*link, "add", IFB, "type", "ifb"), (*link, "set", IFB, "up"), (*tc, "qdisc", "add", *dev, "ingress"),
                (*tc, "filter", "add", *dev, "parent", "ffff:", "matchall",
                 "action", "mirred", "egress", "redirect", "dev", IFB))
    return Impairment((client, (client[0], IFB)), (*(whole if counts else ()), *prepared),
                      ((*tc, "qdisc", "del", *dev, "ingress"), _no_qdisc(*client), (*link, "del", IFB)), wire.netem)


def _no_qdisc(namespace: str, interface: str) -> tuple[str, ...]:
    return ("tc", "-n", namespace, "qdisc", "del", "dev", interface, "root")


def _bridge(wire: Wire) -> Commands:
    assert wire.bridge is not None
    on = wire.bridge
    return Commands(
        f"bridge {on.namespace}/{on.interface}",
        # no spanning tree and no delay: a port forwards as soon as a server opens its TAP
        (_ip(on.namespace, "link", "add", on.interface, *_mtu(wire), "type", "bridge", "stp_state", "0",
             "forward_delay", "0", "mcast_snooping", "0"),
         _ip(on.namespace, "link", "set", on.interface, "up")),
        (("run", *_ip(on.namespace, "link", "del", on.interface)),))


def _to_bridge(wire: Wire, end: Endpoint, port: str) -> Commands:
    """Return the step of a veth pair: the interface of `end` with its address, `port` in the bridge."""
    assert wire.bridge is not None
    on = wire.bridge
    return Commands(
        f"veth {_place(end)}",
        (_add_pair(wire, end, port, on.namespace, "address", end.mac),
         _ip(on.namespace, "link", "set", port, "master", on.interface, "up"),
         _ip(end.namespace, "address", "add", end.address, "dev", end.interface),
         _up(end)),
        (("run", *_delete(end)),))


def _add_pair(wire: Wire, end: Endpoint, port: str, there: str, *words: str) -> tuple[str, ...]:
    return _ip(end.namespace, "link", "add", end.interface, *words, *_mtu(wire), "type", "veth", "peer", "name", port,
               *_mtu(wire), "netns", there)


def _place(end: Endpoint) -> str:
    return f"{end.namespace}/{end.interface}"


def _mtu(wire: Wire) -> tuple[str, str]:
    return ("mtu", str(wire.mtu))


def _ip(namespace: str, *words: str) -> tuple[str, ...]:
    return ("ip", "-n", namespace, *words)


def _inside(namespace: str, *words: str) -> tuple[str, ...]:
    return ("ip", "netns", "exec", namespace, *words)


def _up(end: Endpoint) -> tuple[str, ...]:
    return _ip(end.namespace, "link", "set", end.interface, "up")


def _delete(end: Endpoint) -> tuple[str, ...]:
    return _ip(end.namespace, "link", "del", end.interface)
