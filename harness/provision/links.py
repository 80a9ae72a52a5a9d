# SPDX-License-Identifier: BSD-3-Clause
"""The links of a wire that the kernel makes: namespaces, veth pairs, TAPs, a bridge, and netem on them, as steps.

New kind of link: one function that returns a Commands. Knows nothing of what else a run needs (steps.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Sequence

from harness.host import Host, NETNS_DIRECTORY
from harness.provision.journal import DIRECTORY
from harness.provision.step import Action
from harness.plan.netem import parse
from harness.plan.wire import BRIDGED, TAPS, Bridge, Contender, Endpoint, Wire

# of a kernel server's namespace: a queue for as many SYNs and accepted connections as it can have, and for those that
# it closed first
SERVER_SYSCTLS = {"core.somaxconn": 65535, "ipv4.tcp_max_syn_backlog": 65535, "ipv4.tcp_max_tw_buckets": 1048576}


def socket_path(contender: Contender) -> str:
    """Where both ends of an shm link find each other: in the run's own directory, which is root's alone."""
    return f"{DIRECTORY}/{contender.socket}"


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
        # contenders that take turns share one
        whole = list(dict.fromkeys(whole))
        commands, undo = asked.at_both_ends((client.namespace, client.interface), (on.namespace, on.client_port))
    return Commands(f"netem {wire.netem} in each direction of {client.namespace}/{client.interface}",
                    (*(whole if asked.counts_packets else ()), *commands), tuple(("run", *words) for words in undo))


def links(wire: Wire, contenders: Sequence[Contender]) -> list[Commands | SocketFile]:
    """Each link once: contenders that take turns may share one."""
    found: list[Commands | SocketFile] = []
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
    return list({step.name: step for step in found}.values())
