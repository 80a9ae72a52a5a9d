# SPDX-License-Identifier: BSD-3-Clause
"""Make the links between a client and a server: what each kind wants of wire and machine.

A new kind is a table in links.toml. Knows no other step.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Mapping, Sequence

from harness.errors import UsageError
from harness.host import NETNS_DIRECTORY, Host
from harness.plan import DPDK, KERNEL, Contender, End, Wire, parse_netem
from harness.provision.journal import DIRECTORY
from harness.provision.resolved_wire import ResolvedWire
from harness.provision.step import Action, Commands, Step, commands, lines
from harness.structure import read_toml, strict, structured

TUN, VHOST = "/dev/net/tun", "/dev/vhost-net"
# carries what a client's interface receives, so that netem can be put on it
IFB = "netem0"
# a container has /proc/sys read-only; `ip netns exec` has mounts of its own, which go with it
WRITABLE = "[ -w /proc/sys/net ] || mount -o remount,bind,rw /proc/sys"
_REDIRECT = f"action mirred egress redirect dev {IFB}"
NETEM_MODULES, IFB_MODULES = ("sch_netem",), ("ifb", "sch_ingress", "cls_matchall", "act_mirred")


@dataclass(frozen=True)
class Link:
    """A kind of link.

    needs: keys of a wire's file that it cannot do without
    bridged: it ends in the wire's bridge
    in_turn: one port that the contenders have one after another
    devices: (kernel module, the node that it makes in /dev)
    pages: why DPDK on it cannot do without hugepages; "" where it can
    programs: what must be on PATH, with its Debian package
    title, up, down: the step that makes it; "" where it is made elsewhere
    """

    needs: tuple[str, ...] = ("interface", "mac")
    bridged: bool = False
    in_turn: bool = False
    devices: tuple[tuple[str, str], ...] = ()
    pages: str = ""
    programs: Mapping[str, str] = field(default_factory=dict)
    title: str = ""
    up: str = ""
    down: str = ""

    def step(self, wire: Wire, end: End) -> Commands:
        """Return the step that makes it."""
        title, up, down = (text.format(
            wire=wire, bridge=wire.bridge, end=end, server=end.server, client=end.client,
            writable=WRITABLE)
            for text in (self.title, self.up, self.down))
        return commands(title, up, down)


_FILE = Path(__file__).with_name("links.toml")
KINDS = structured(strict(forbid_extra_keys=True), dict[str, Link], read_toml(_FILE), str(_FILE))


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
        if problem := _problem(wire, end):
            raise UsageError(f"{where}: link {end.link} {problem}")


def _problem(wire: Wire, end: End) -> str:
    """Return why a link cannot be on the wire so; "" if it can."""
    bridge = wire.bridge
    match end.link:
        case "tap" | "vhost-net" if bridge and end.server.namespace != bridge.namespace:
            return "belongs in the bridge's namespace"
        case "veth-pair" if any(item.link != "shm" and item.server != end.server
                                for item in wire.ends.values()):
            return ("leads from the client's interface to one server alone; no other link or "
                    "address can be on its wire")
        case "veth-to-port" if end.client_stack != DPDK:
            return "needs a client that opens it: client_stack"
        case "shm":
            return _problem_of_memory(wire, end)
    return "needs a [bridge]" if KINDS[end.link].bridged and bridge is None else ""


def _problem_of_memory(wire: Wire, end: End) -> str:
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


def kind_of(contender: Contender) -> Link:
    """Return the kind of link that leads to a contender."""
    return KINDS[contender.link]


def links(wire: Wire, contenders: Sequence[Contender]) -> list[Step]:
    """Return the steps of each link once: contenders that take turns may share one."""
    steps: list[Step] = []
    ends = [contender.end for contender in contenders]
    if wire.bridge and any(kind_of(contender).bridged for contender in contenders):
        steps.append(_bridge(wire))
        client = End("veth", wire.client, wire.client, bridge_port=wire.bridge.client_port)
        ends.insert(0, client)
    for end in ends:
        if end.link == "shm":
            # a server that is killed leaves its socket, and no other could listen there
            path = socket_path(end)
            steps.append(Commands(f"socket {path}", (), [("unlink", path)]))
        elif KINDS[end.link].title:
            steps.append(KINDS[end.link].step(wire, end))
    return list({step.name: step for step in steps}.values())


def socket_path(end: End) -> str:
    """Return where both ends of shared memory find each other: a directory that is root's alone."""
    return f"{DIRECTORY}/{end.socket}"


def namespace(name: str) -> Commands:
    """Return the step of a namespace whose loopback is up."""
    # IPv6 is off before the first link comes up: its router messages would be counted as traffic
    quiet = (f"{WRITABLE}; for f in /proc/sys/net/ipv6/conf/*/disable_ipv6; "
             "do [ ! -e $f ] || echo 1 > $f; done")
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
