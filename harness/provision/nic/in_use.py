# SPDX-License-Identifier: BSD-3-Clause
"""Why a network card must be left alone: what this machine does over it, and what would become of that. Only reads.

An address that is set on a card means that somebody uses it, with or without a connection at this moment; only
link-local ones, which the kernel gives by itself, do not count. Must not know how a card is bound (binding.py).


What the kernel's network is used for at this moment: interfaces and what stands on them, routes, connections, and
file systems that come over the network. Only reads.

Must not know which card is asked about, nor what follows from an answer (guards.py).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Mapping, Sequence
from typing import Iterable, Mapping, Sequence

from harness.host import DEVICES, Host, Nic

SSHD_PORT = 22
NETWORK_FILE_SYSTEMS = {"nfs": "NFS", "nfs4": "NFS", "cifs": "SMB", "smb3": "SMB"}
ISCSI = "/sys/class/iscsi_session"
NVME = "/sys/class/nvme"


@dataclass(frozen=True)
class Interface:
    """`addresses`: "192.0.2.2/24", without link-local ones. `upon`: names of the interfaces that this one stands on (a
    VLAN on its parent, a bond on its members), `kind` what it then is ("vlan", "bond"; "" for a port).
    """

    name: str
    kind: str
    upon: frozenset[str]
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class Connection:
    """Of TCP, established. `interface`: of a link-local address, which means nothing without; else ""."""

    local: str
    port: int
    peer: str
    interface: str


@dataclass(frozen=True)
class Mount:
    """What comes over the network from `server`: `what` "file system (NFS)" or "disk sda (iSCSI)".

    `places`: where it is mounted, as far as that can be told.
    """

    what: str
    server: str
    places: tuple[str, ...]


def interfaces(host: Host) -> list[Interface]:
    links = _asked(host, "ip -j -d address")
    return [Interface(link["ifname"], link.get("linkinfo", {}).get("info_kind", ""), _upon(link, links), tuple(
        f"{address['local']}/{address['prefixlen']}" for address in link.get("addr_info", [])
        if address.get("scope") != "link" and "local" in address)) for link in links if "ifname" in link]


def _upon(link: Mapping[str, Any], links: list[dict[str, Any]]) -> frozenset[str]:
    name, info = link["ifname"], link.get("linkinfo", {})
    # a veth calls its other end so, on which it does not stand
    parent = link.get("link", "") if info.get("info_kind") != "veth" else ""
    tunnelled = info.get("info_data", {}).get("link", "")
    members = (other.get("ifname", "") for other in links if other.get("master") == name)
    return frozenset(lower for lower in (parent, tunnelled, *members) if lower and lower != name)


def default_routes(host: Host) -> list[tuple[str, str]]:
    """(interface, gateway or ""), of IPv4 and IPv6, from every table."""
    families = ["-4", *(["-6"] if host.exists("/proc/net/if_inet6") else [])]
    routes = [route for family in families for route in _asked(host, f"ip {family} -j route show table all")
              if route.get("dst") == "default"]
    # of several next hops, or of one
    hops = [hop for route in routes for hop in route.get("nexthops", [route]) if "dev" in hop]
    return [(hop["dev"], hop.get("gateway", "")) for hop in hops]


def way_to(host: Host, address: str) -> str:
    """The interface that the kernel would send to `address` through; "" for none."""
    answer = host.query(["ip", "-j", "route", "get", address], check=False)
    routes: list[dict[str, str]] = json.loads(answer.stdout or "[]") if answer.code == 0 else []
    return routes[0].get("dev", "") if routes else ""


def connections(host: Host) -> list[Connection]:
    found = []
    for line in host.query(["ss", "-Htn", "state", "established"]).stdout.splitlines():
        words = line.split()
        if len(words) >= 4:
            local, scope, port = _end(words[2])
            found.append(Connection(local, port, _end(words[3])[0], scope if local.startswith("fe80:") else ""))
    return found


def sshd_ports(host: Host) -> set[int]:
    """Where sshd listens (only root is told of whom a socket is), and 22."""
    listening = host.query(["ss", "-Htlnp"]).stdout.splitlines()
    return {SSHD_PORT, *(_end(line.split()[3])[2] for line in listening if '"sshd"' in line)}


def own_ssh_session(host: Host) -> tuple[str, str] | None:
    """(this end, the other end) of the session that this was started from, which sudo hides; None for none."""
    words = _pairs(host.text("/proc/self/environ").split("\0")).get("SSH_CONNECTION", "").split()
    return (_plain(words[2]), _plain(words[0])) if len(words) == 4 else None


def network_mounts(host: Host) -> list[Mount]:
    mounts = [line.split()[:4] for line in host.text("/proc/mounts").splitlines() if len(line.split()) >= 4]
    found = []
    for _, place, kind, options in mounts:
        server = _pairs(options.split(",")).get("addr", "")
        if kind in NETWORK_FILE_SYSTEMS and server:
            found.append(Mount(f"file system ({NETWORK_FILE_SYSTEMS[kind]})", server, (place,)))
    mounted = [(disks, place) for device, place, *_ in mounts if (disks := _disks(host, device))]
    for kind, server, disk in [*_iscsi(host), *_nvme(host)]:
        places = tuple(place for disks, place in mounted if any(re.fullmatch(rf"{disk}p?\d*", each) for each in disks))
        found.append(Mount(f"disk {disk} ({kind})", server, places))
    return found


def pppoe_interfaces(host: Host) -> set[str]:
    """Those with a PPPoE session (proc file: Id Address Device)."""
    return {line.split()[-1] for line in host.text("/proc/net/pppoe").splitlines()[1:] if line.split()}


def _asked(host: Host, command: str) -> list[dict[str, Any]]:
    answer: list[dict[str, Any]] = json.loads(host.query(command.split()).stdout or "[]")
    return answer


def _pairs(words: Sequence[str]) -> dict[str, str]:
    """KEY=VALUE words."""
    return {key: value for key, _, value in (word.partition("=") for word in words)}


def _end(text: str) -> tuple[str, str, int]:
    """ss writes 192.0.2.2:22, [2001:db8::1]:22, [fe80::1]%eth0:22, [::ffff:192.0.2.2]:22, *:22."""
    address, _, port = text.rpartition(":")
    address, _, scope = address.partition("%")
    return _plain(address), scope.rstrip("]"), int(port) if port.isdigit() else 0


def _plain(address: str) -> str:
    return address.strip("[]").partition("%")[0].removeprefix("::ffff:")


def _iscsi(host: Host) -> list[tuple[str, str, str]]:
    """("iSCSI", target's address, disk) of every session; the disks are below its SCSI host."""
    found = []
    for session in host.listing(ISCSI):
        number = session.removeprefix("session")
        server = host.text(f"/sys/class/iscsi_connection/connection{number}:0/address")
        top = f"{ISCSI}/{session}/device"
        targets = [f"{top}/{name}" for name in host.listing(top) if name.startswith("target")]
        units = [f"{target}/{name}" for target in targets for name in host.listing(target) if name.count(":") == 3]
        found += [("iSCSI", server, disk) for unit in units for disk in host.listing(f"{unit}/block")]
    return found


def _nvme(host: Host) -> list[tuple[str, str, str]]:
    """("NVMe over TCP", address, disk) of every such controller."""
    found = []
    for controller in host.listing(NVME):
        if host.text(f"{NVME}/{controller}/transport") != "tcp":
            continue
        address = _pairs(host.text(f"{NVME}/{controller}/address").split(","))
        found += [("NVMe over TCP", address.get("traddr", ""), name) for name in host.listing(f"{NVME}/{controller}")
                  if re.fullmatch(r"nvme\d+n\d+", name)]
    return found


def _disks(host: Host, device: str) -> set[str]:
    """Names of a block device of /proc/mounts and of all that it is made of (LVM, dm-crypt, md, multipath)."""
    if not device.startswith("/dev/"):
        return set()
    found: set[str] = set()
    left = [host.link_target(device) or device.rpartition("/")[2]]
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += host.listing(f"/sys/class/block/{name}/slaves")
    return found


VFIO = "vfio-pci"
# with them no driver of the kernel's has the card
USER_SPACE_DRIVERS = (VFIO, "uio_pci_generic", "igb_uio")
NO_HELP = "FORCE=1 does not help"
KINDS = {"bond": "bond", "bridge": "bridge", "team": "team", "openvswitch": "Open vSwitch bridge", "vlan": "VLAN",
         "macvlan": "macvlan", "macvtap": "macvtap", "ipvlan": "ipvlan", "vxlan": "VXLAN", "vrf": "VRF"}
# of which a port is one member among several; the others stand on one interface
OF_MEMBERS = ("bond", "bridge", "team", "openvswitch", "vrf")


def uses(host: Host, nic: Nic) -> list[str]:
    """Each says what is done over it, and what a run with FORCE=1 would do to that. [] when it is free."""
    found = interface_reasons(host, nic.interface) if nic.interface else []
    # the kernel takes no card from a program that has it open by vfio-pci or uio: the command would wait for its end
    force = f"{NO_HELP}: stop it" if nic.driver in USER_SPACE_DRIVERS else "FORCE=1 would disturb it"
    found += [f"{who} has it open ({force})" for who in _holders(host, nic)]
    if nic.driver and nic.driver not in USER_SPACE_DRIVERS and not nic.interface:
        found.append(f"its driver {nic.driver} is bound, and no interface of it is in this network namespace: another"
                     f" one has it, of a container perhaps ({NO_HELP}: give it back first)")
    functions = host.text(f"{DEVICES}/{nic.pci}/sriov_numvfs")
    if functions not in ("", "0"):
        found.append(f"it has {functions} virtual functions ({NO_HELP}: take them away first)")
    return found


def beyond_force(host: Host, nic: Nic) -> list[str]:
    """The reasons that FORCE=1 does not overrule, since nobody could bring back what would be lost."""
    return [reason for reason in uses(host, nic) if NO_HELP in reason]


def interface_reasons(host: Host, interface: str) -> list[str]:
    """The same of any interface by its name, on PCI or not."""
    links = interfaces(host)
    above = _above(interface, links)
    return [*_standing(interface, links), *_pppoe(host, interface), *_routes(host, above),
            *_addresses(host, above, links), *_sessions(host, above, links), *_file_systems(host, above)]


def _above(interface: str, links: Iterable[Interface]) -> dict[str, str]:
    """The interface and all that stand on it, which would be lost with it, each with the words for it."""
    links, words, grown = list(links), {interface: "it"}, True
    while grown:
        new = {link.name: f"{link.name}, which stands on it," for link in links
               if link.name not in words and link.upon & words.keys()}
        words, grown = {**words, **new}, bool(new)
    return words


def _standing(interface: str, links: Iterable[Interface]) -> list[str]:
    found = []
    for link in links:
        if interface in link.upon:
            kind = KINDS.get(link.kind, link.kind or "virtual interface")
            found.append(f"it is a member of the {kind} {link.name} ({NO_HELP}: take it out first)"
                         if link.kind in OF_MEMBERS else
                         f"the {kind} {link.name} stands on it ({NO_HELP}: take that away first)")
    return found


def _pppoe(host: Host, interface: str) -> list[str]:
    busy = interface in pppoe_interfaces(host)
    return [f"a PPPoE session runs over it ({NO_HELP}: end it first)"] if busy else []


def _routes(host: Host, above: Mapping[str, str]) -> list[str]:
    ways = [(interface, gateway) for interface, gateway in default_routes(host) if interface in above]
    found = []
    for interface in dict.fromkeys(interface for interface, _ in ways):
        gateways = list(dict.fromkeys(gateway for each, gateway in ways if each == interface and gateway))
        found.append(f"{above[interface]} carries the default route{f' via {_listed(gateways)}' if gateways else ''}"
                     " (FORCE=1 would cut this machine off until the run's end)")
    return found


def _addresses(host: Host, above: Mapping[str, str], links: Iterable[Interface]) -> list[str]:
    open_now = connections(host)
    found = []
    for link in links:
        if link.name in above and link.addresses:
            own = {address.partition("/")[0] for address in link.addresses}
            count = sum(each.local in own for each in open_now)
            busy = {0: "no connection at this moment", 1: "1 connection"}.get(count, f"{count} connections")
            plural = "addresses" if len(own) > 1 else "address"
            found.append(f"{above[link.name]} has the {plural} {_listed(link.addresses)} and {busy} (FORCE=1 would take"
                         " that away until the run's end)")
    return found


def _sessions(host: Host, above: Mapping[str, str], links: Iterable[Interface]) -> list[str]:
    """By the address at this end, or by the way back to the other end, which need not be the same card."""
    own = {address.partition("/")[0] for link in links if link.name in above for address in link.addresses}
    ports = sshd_ports(host)
    sessions = {(each.local, each.peer, each.interface) for each in connections(host) if each.port in ports}
    from_here = own_ssh_session(host)
    if from_here is not None and not any(from_here == (local, peer) for local, peer, _ in sessions):
        sessions.add((*from_here, ""))
    over = {peer for local, peer, interface in sessions
            if local in own or interface in above
            or (not interface and way_to(host, peer) in above)}
    return [f"an ssh session from {peer} comes over it (FORCE=1 would cut it, and a run started from it ends)"
            for peer in sorted(over)]


def _file_systems(host: Host, above: Mapping[str, str]) -> list[str]:
    found = []
    for mount in network_mounts(host):
        if way_to(host, mount.server) not in above:
            continue
        if "/" in mount.places:
            found.append(f"the root file system comes over it: {mount.what} of {mount.server} ({NO_HELP})")
        else:
            where = f", mounted at {_listed(mount.places)}," if mount.places else ""
            found.append(f"{mount.what} of {mount.server}{where} comes over it (FORCE=1 would hang what uses it)")
    return found


def _listed(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _holders(host: Host, nic: Nic) -> list[str]:
    """Who has the card open in user space: "dpdk-testpmd (pid 4711)". Only root is told of other users' files."""
    nodes = _nodes(host, nic)
    names = [word for node in nodes for word in ("-o", "-lname", node)][1:]
    places = host.query(["find", "/proc", "-mindepth", "3", "-maxdepth", "3", "-path", "/proc/[0-9]*/fd/*",
                       "(", *names, ")", "-printf", "%h\\n"], check=False).stdout.split() if nodes else []
    pids = sorted({int(place.split("/")[2]) for place in places})
    if pids:
        return [f"{host.text(f'/proc/{pid}/comm') or 'a program'} (pid {pid})" for pid in pids]
    # vfio-pci enables a card when it is opened, and at no other time
    if nic.driver == VFIO and host.text(f"{DEVICES}/{nic.pci}/enable") not in ("", "0"):
        return ["a program, which only root can see,"]
    return []


def _nodes(host: Host, nic: Nic) -> list[str]:
    """The files by which a program opens it, beside its sockets."""
    at = f"{DEVICES}/{nic.pci}"
    group = host.link_target(f"{at}/iommu_group")
    groups = [f"/dev/vfio/{group}", f"/dev/vfio/noiommu-{group}"] if group and nic.driver == VFIO else []
    return [*groups, *(f"/dev/vfio/devices/{name}" for name in host.listing(f"{at}/vfio-dev")),
            *(f"/dev/{name}" for name in host.listing(f"{at}/uio")),
            *(f"/dev/infiniband/{name}" for name in host.listing(f"{at}/infiniband_verbs"))]
