# SPDX-License-Identifier: BSD-3-Clause
"""The kinds of link between a client and a server: what each wants of a wire's file and of the
machine, and the step that makes it. A new kind is one class in KINDS. Knows no other step.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Mapping, Sequence

from harness.errors import UsageError
from harness.host import NETNS_DIRECTORY, Host
from harness.plan import DPDK, KERNEL, Contender, End, Endpoint, Wire, parse_netem
from harness.provision.journal import DIRECTORY
from harness.provision.resolved_wire import ResolvedWire
from harness.provision.step import Action, Commands, Step, commands, lines

TUN, VHOST = "/dev/net/tun", "/dev/vhost-net"
# of a kernel server's namespace: a queue for as many SYNs and accepted connections as it can have,
# and for those that it closed first
SERVER_SYSCTLS = ("core.somaxconn=65535", "ipv4.tcp_max_syn_backlog=65535",
                  "ipv4.tcp_max_tw_buckets=1048576")
# carries what a client's interface receives, so that netem can be put on it
IFB = "netem0"
_REDIRECT = f"action mirred egress redirect dev {IFB}"
NETEM_MODULES, IFB_MODULES = ("sch_netem",), ("ifb", "sch_ingress", "cls_matchall", "act_mirred")


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
    """A veth pair whose far end DPDK opens: the kernel has no address there and answers nothing."""

    def steps(self, wire: Wire, end: End) -> Sequence[Step]:
        at, bridge, port, name = end.server, wire.bridge, end.bridge_port, end.server.interface
        assert bridge is not None
        # what leaves here must be whole packets with checksums: no kernel will finish them
        return [commands(f"veth {_place(at)}, a port for DPDK", f"""
            ip -n {at.namespace} link add {name} {_peer(wire, port, bridge.namespace)}
            ip netns exec {bridge.namespace} ethtool -K {port} tx off tso off gso off
            ip -n {bridge.namespace} link set {port} master {bridge.interface} up
            ip -n {at.namespace} link set {name} up""", _delete(at))]


class Tap(Link):
    """A TAP in the bridge, whose other end net_tap has. It stays when no server has it open."""

    bridged = True
    devices: tuple[tuple[str, str], ...] = (("tun", TUN),)
    # net_tap opens it with IFF_MULTI_QUEUE: the kernel insists that it was made so
    mode = "tap multi_queue"

    def problem(self, wire: Wire, end: End) -> str:
        elsewhere = wire.bridge and end.server.namespace != wire.bridge.namespace
        return "belongs in the bridge's namespace" if elsewhere else super().problem(wire, end)

    def steps(self, wire: Wire, end: End) -> Sequence[Step]:
        at, name, bridge = end.server.namespace, end.server.interface, wire.bridge
        assert bridge is not None
        return [commands(f"TAP {_place(end.server)}", f"""
            ip -n {at} tuntap add dev {name} mode {self.mode}
            ip -n {at} link set {name} mtu {wire.mtu} master {bridge.interface} up""",
                         _delete(end.server))]


class VhostNet(Tap):
    """A TAP whose other end vhost-net has; virtio-user has one queue, and no multi_queue."""

    devices = (("tun", TUN), ("vhost_net", VHOST))
    mode = "tap"


class VethPair(Link):
    """A veth pair straight from client to server: no bridge, and an address at both ends."""

    def problem(self, wire: Wire, end: End) -> str:
        others = [item for item in wire.ends.values()
                  if item.link != "shm" and item.server != end.server]
        return ("leads from the client's interface to one server alone; no other link or address "
                "can be on its wire" if others else "")

    def steps(self, wire: Wire, end: End) -> Sequence[Step]:
        client, server = end.client, end.server
        peer = _peer(wire, f"{server.interface} address {server.mac}", server.namespace)
        return [commands(f"veth {_place(client)} to {_place(server)}", f"""
            ip -n {client.namespace} link add {client.interface} address {client.mac} {peer}
            ip -n {client.namespace} address add {client.address} dev {client.interface}
            ip -n {server.namespace} address add {server.address} dev {server.interface}
            ip -n {client.namespace} link set {client.interface} up
            ip -n {server.namespace} link set {server.interface} up""", _delete(client))]


class VethToPort(Link):
    """A veth pair from the server to an end that its client opens: no kernel answers there.

    The server is given what a busy server is given: room for the SYNs of many clients at once, and
    the way back to all addresses that the client has, through the first of them.
    """

    def problem(self, wire: Wire, end: End) -> str:
        return "" if end.client_stack == DPDK else "needs a client that opens it: client_stack"

    def steps(self, wire: Wire, end: End) -> Sequence[Step]:
        client, server = end.client, end.server
        at, name = server.namespace, server.interface
        sysctls = "\n".join(f"ip netns exec {at} sysctl -q -w net.{key}" for key in SERVER_SYSCTLS)
        peer = _peer(wire, f"{name} address {server.mac}", at)
        # what leaves here must be whole packets with checksums: no kernel will finish them
        return [commands(f"veth {_place(server)} to {_place(client)}, a port for DPDK", f"""
            ip -n {client.namespace} link add {client.interface} {peer}
            ip netns exec {at} ethtool -K {name} tx off tso off
            {sysctls}
            ip -n {at} address add {server.ip}/32 dev {name}
            ip -n {client.namespace} link set {client.interface} up
            ip -n {at} link set {name} up
            ip -n {at} route add {client.ip}/32 dev {name}
            ip -n {at} route add {client.network} via {client.ip}""", _delete(client))]


class SharedMemory(Link):
    """Memory that client and server share; they find each other by a socket."""

    needs = ("mac", "socket")
    pages = "client and server share them; --no-huge gives no memory to share"

    def problem(self, wire: Wire, end: End) -> str:
        if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}", end.socket):
            return (f"'{end.socket}' cannot name a socket (1 to 64 letters, digits, . _ -: a path "
                    "of more than 107 bytes is none)")
        if end.ring not in (256, 512, 1024):
            return f"ring = {end.ring}: must be 256, 512 or 1024 packets"
        linked = {item.server.namespace for item in wire.ends.values() if item.link != "shm"}
        for place in (end.server.namespace, end.client.namespace):
            if place in {wire.client.namespace, *linked}:
                return f"must be in namespaces without a link, not in {place}"
        return "" if end.client_stack != KERNEL else "needs a client on DPDK: client_stack"

    def steps(self, wire: Wire, end: End) -> Sequence[Step]:
        # a server that is killed leaves its socket, and no other could listen there
        path = socket_path(end)
        return [Commands(f"socket {path}", (), [("unlink", path)])]


class Nic(Link):
    """A port of this machine, which its driver or DPDK has in turn (nic/steps.py)."""

    needs = ("interface",)
    in_turn = True
    pages = "the NIC reads and writes them itself, so they must stay where they are"
    programs = {"dpdk-devbind.py": "dpdk", "lspci": "pciutils", "modprobe": "kmod"}


KINDS: Mapping[str, Link] = {
    "veth": Veth(), "tap": Tap(), "vhost-net": VhostNet(), "veth-port": VethPort(),
    "veth-pair": VethPair(), "veth-to-port": VethToPort(), "shm": SharedMemory(), "nic": Nic()}


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


def kind_of(contender: Contender) -> Link:
    """Return the kind of link that leads to a contender."""
    return KINDS[contender.link]


def links(wire: Wire, contenders: Sequence[Contender]) -> list[Step]:
    """Return the steps of each link once: contenders that take turns may share one."""
    steps: list[Step] = []
    if wire.bridge and any(kind_of(contender).bridged for contender in contenders):
        steps += [_bridge(wire), _to_bridge(wire, wire.client, wire.bridge.client_port)]
    for end in dict.fromkeys(contender.end for contender in contenders):
        steps += KINDS[end.link].steps(wire, end)
    return list({step.name: step for step in steps}.values())


def socket_path(end: End) -> str:
    """Return where both ends of shared memory find each other: a directory that is root's alone."""
    return f"{DIRECTORY}/{end.socket}"


def namespace(name: str) -> Commands:
    """Return the step of a namespace whose loopback is up."""
    # IPv6 is off before the first link comes up: its router messages would be counted as traffic
    quiet = "for f in /proc/sys/net/ipv6/conf/*/disable_ipv6; do [ ! -e $f ] || echo 1 > $f; done"
    return Commands(
        f"namespace {name}",
        (("ip", "netns", "add", name), ("ip", "netns", "exec", name, "sh", "-c", quiet),
         ("ip", "-n", name, "link", "set", "lo", "up")),
        # a process inside would keep the namespace and its links alive without a name
        (("kill_inside", name), ("run", "ip", "netns", "del", name)),
        absent=f"{NETNS_DIRECTORY}/{name}")


@dataclass
class Impairment(Step):
    """netem on the one hop that all packets of all contenders pass, changed between trials.

    Both ways of every contender must be alike. At the hop's two ends netem is put on what each
    sends; where only the client's end is at hand, also on what that receives, which goes through
    IFB first.

    ends: (namespace, interface) of what sends onto that hop
    prepared: commands that come first
    undone: commands that take all of it away
    first: what is set from the start; "" for nothing
    """

    ends: Sequence[tuple[str, str]]
    prepared: Sequence[Sequence[str]]
    undone: Sequence[Action]
    first: str
    now: str = field(default="", init=False)

    @property
    def name(self) -> str:
        return f"netem {self.first}".strip() + f" in each direction of {'/'.join(self.ends[0])}"

    def undo(self, host: Host) -> list[Action]:
        return list(self.undone)

    def up(self, host: Host) -> None:
        for words in self.prepared:
            host.run(words)
        self.change(host, self.first)

    def change(self, host: Host, impairment: str) -> None:
        """Have packets impaired so from now on; "" for not at all."""
        if impairment == self.now:
            return
        for at, name in self.ends if self.now else ():
            host.run(["tc", "-n", at, "qdisc", "del", "dev", name, "root"])
        self.now = ""
        for at, name in self.ends if impairment else ():
            host.run(parse_netem(impairment, "netem").qdisc(at, name))
        self.now = impairment


def impairment(wire: ResolvedWire, contenders: Sequence[Contender]) -> Impairment:
    """Return the step of a wire's netem, at the client's hop: its link to the bridge, or its
    interface, of which what it receives goes through one made for that."""
    at, name, bridge = wire.client.namespace, wire.client.interface, wire.bridge
    if bridge:
        # the kernel's server must send packets as others do, not many that are lost as one
        senders = dict.fromkeys(item.endpoint for item in contenders if item.link == "veth")
        whole = "\n".join(
            f"ip netns exec {end.namespace} ethtool -K {end.interface} tso off gso off"
            for end in senders)
        ends, prepared = ((at, name), (bridge.namespace, bridge.client_port)), ""
        undone = f"""
            tc -n {at} qdisc del dev {name} root
            tc -n {bridge.namespace} qdisc del dev {bridge.client_port} root"""
    else:
        # where what is received waits, it must not have been merged before
        whole = f"ip netns exec {at} ethtool -K {name} gro off"
        ends, prepared = ((at, name), (at, IFB)), f"""
            ip -n {at} link add {IFB} type ifb
            ip -n {at} link set {IFB} up
            tc -n {at} qdisc add dev {name} ingress
            tc -n {at} filter add dev {name} parent ffff: matchall {_REDIRECT}"""
        undone = f"""
            tc -n {at} qdisc del dev {name} ingress
            tc -n {at} qdisc del dev {name} root
            ip -n {at} link del {IFB}"""
    counts = any(parse_netem(text, "netem").counts_packets for text in wire.impairments if text)
    made = lines((f"{whole}\n" if counts else "") + prepared.strip())
    return Impairment(ends, made, [("run", *argv) for argv in lines(undone)], wire.netem)


def _bridge(wire: Wire) -> Commands:
    assert wire.bridge is not None
    at, name = wire.bridge.namespace, wire.bridge.interface
    # no spanning tree and no delay: a port forwards as soon as a server opens its TAP
    quick = "stp_state 0 forward_delay 0 mcast_snooping 0"
    return commands(f"bridge {at}/{name}", f"""
        ip -n {at} link add {name} mtu {wire.mtu} type bridge {quick}
        ip -n {at} link set {name} up""", f"ip -n {at} link del {name}")


def _to_bridge(wire: Wire, end: Endpoint, port: str) -> Commands:
    """Return the step of a veth pair: the interface of `end`, and `port` in the bridge."""
    assert wire.bridge is not None
    bridge, at, name = wire.bridge, end.namespace, end.interface
    return commands(f"veth {_place(end)}", f"""
        ip -n {at} link add {name} address {end.mac} {_peer(wire, port, bridge.namespace)}
        ip -n {bridge.namespace} link set {port} master {bridge.interface} up
        ip -n {at} address add {end.address} dev {name}
        ip -n {at} link set {name} up""", _delete(end))


def _peer(wire: Wire, interface: str, namespace: str) -> str:
    return f"mtu {wire.mtu} type veth peer name {interface} mtu {wire.mtu} netns {namespace}"


def _place(end: Endpoint) -> str:
    return f"{end.namespace}/{end.interface}"


def _delete(end: Endpoint) -> str:
    return f"ip -n {end.namespace} link del {end.interface}"
