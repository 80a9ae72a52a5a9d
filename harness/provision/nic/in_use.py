# SPDX-License-Identifier: BSD-3-Clause
"""Find why a card must be left alone: what is done over it, and what would become of that.

An address that is set on a card means that somebody uses it, with or without a connection at this
moment; only link-local ones, which the kernel gives by itself, do not count. Only reads.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Iterable, Iterator, Mapping, Sequence

from harness.host import DEVICES, Host, Nic

VFIO = "vfio-pci"
# with them no driver of the kernel's has the card
USER_SPACE_DRIVERS = (VFIO, "uio_pci_generic", "igb_uio")
NO_HELP = "FORCE=1 does not help"
_KINDS = {"openvswitch": "Open vSwitch bridge", "vlan": "VLAN", "vxlan": "VXLAN", "vrf": "VRF"}
# of which a port is one member among several; the others stand on one interface
_OF_MEMBERS = ("bond", "bridge", "team", "openvswitch", "vrf")
_SSHD_PORT = 22
_NETWORK_FILE_SYSTEMS = {"nfs": "NFS", "nfs4": "NFS", "cifs": "SMB", "smb3": "SMB"}
_ISCSI = "/sys/class/iscsi_session"
_NVME = "/sys/class/nvme"


@dataclass(frozen=True)
class _Link:
    """An interface.

    `kind`: "vlan", "bond", …, "" for a port
    `upon`: names of the interfaces that it stands on (a VLAN on its parent, a bond on its members)
    `addresses`: "192.0.2.2/24", …, without link-local ones
    """

    name: str
    kind: str
    upon: frozenset[str]
    addresses: tuple[str, ...]

    @property
    def own(self) -> set[str]:
        return {address.partition("/")[0] for address in self.addresses}


@dataclass(frozen=True)
class _Connection:
    """A TCP connection. `interface`: of a link-local address, else ""."""

    local: str
    port: int
    peer: str
    interface: str


def uses(host: Host, nic: Nic) -> list[str]:
    """Return what is done over a card, each with what FORCE=1 would do to it."""
    found = interface_uses(host, nic.interface) if nic.interface else []
    in_user_space = nic.driver in USER_SPACE_DRIVERS
    # the kernel takes no card from a program that has it open by vfio-pci or uio: it waits
    force = f"{NO_HELP}: stop it" if in_user_space else "FORCE=1 would disturb it"
    found += [f"{who} has it open ({force})" for who in _holders(host, nic)]
    if nic.driver and not in_user_space and not nic.interface:
        found.append(f"its driver {nic.driver} is bound, and no interface of it is in this network "
                     f"namespace: another one has it, of a container perhaps ({NO_HELP}: give it "
                     "back first)")
    functions = host.text(f"{DEVICES}/{nic.pci}/sriov_numvfs")
    if functions not in ("", "0"):
        found.append(f"it has {functions} virtual functions ({NO_HELP}: take them away first)")
    return found


def interface_uses(host: Host, interface: str) -> list[str]:
    """Return the same of any interface by its name, on PCI or not."""
    links = _links(host)
    above = _above(interface, links)
    sessions = [line.split() for line in host.text("/proc/net/pppoe").splitlines()[1:]]
    busy = any(words[-1:] == [interface] for words in sessions)
    pppoe = [f"a PPPoE session runs over it ({NO_HELP}: end it first)"] if busy else []
    return [*_standing(interface, links), *pppoe, *_routes(host, above),
            *_addresses(host, above, links), *_sessions(host, above, links),
            *_file_systems(host, above)]


def _above(interface: str, links: Iterable[_Link]) -> dict[str, str]:
    """Return the interface and all that stand on it, which go with it, with words for each."""
    words, before = {interface: "it"}, 0
    while before != len(words):
        before = len(words)
        words |= {link.name: f"{link.name}, which stands on it," for link in links
                  if link.name not in words and link.upon & words.keys()}
    return words


def _standing(interface: str, links: Iterable[_Link]) -> Iterator[str]:
    for link in links:
        if interface in link.upon:
            kind = _KINDS.get(link.kind, link.kind or "virtual interface")
            yield (f"it is a member of the {kind} {link.name} ({NO_HELP}: take it out first)"
                   if link.kind in _OF_MEMBERS else
                   f"the {kind} {link.name} stands on it ({NO_HELP}: take that away first)")


def _routes(host: Host, above: Mapping[str, str]) -> Iterator[str]:
    families = ["-4", *(["-6"] if host.exists("/proc/net/if_inet6") else [])]
    routes = [route for family in families
              for route in host.query_json(["ip", family, "-j", "route", "show", "table", "all"])
              if route.get("dst") == "default"]
    gateways: dict[str, dict[str, None]] = {}
    for route in routes:
        # of several next hops, or of one
        for hop in route.get("nexthops", [route]):
            if hop.get("dev") in above:
                gateways.setdefault(hop["dev"], {})[hop.get("gateway", "")] = None
    for interface, by in gateways.items():
        via = _listed([gateway for gateway in by if gateway])
        yield (f"{above[interface]} carries the default route{f' via {via}' if via else ''}"
               " (FORCE=1 would cut this machine off until the run's end)")


def _addresses(host: Host, above: Mapping[str, str], links: Iterable[_Link]) -> Iterator[str]:
    open_now = _connections(host)
    for link in links:
        if link.name in above and link.addresses:
            count = sum(connection.local in link.own for connection in open_now)
            few = {0: "no connection at this moment", 1: "1 connection"}
            busy = few.get(count, f"{count} connections")
            yield (f"{above[link.name]} has the address{'es' if len(link.own) > 1 else ''}"
                   f" {_listed(link.addresses)} and {busy} (FORCE=1 would take that away until "
                   "the run's end)")


def _sessions(host: Host, above: Mapping[str, str], links: Iterable[_Link]) -> list[str]:
    """Return the ssh sessions by the address here, or by the way back: maybe not the same card."""
    own = {address for link in links if link.name in above for address in link.own}
    listening = host.query(["ss", "-Htlnp"]).stdout.splitlines()
    # only root is told whose a socket is
    ports = {_SSHD_PORT, *(_end(line.split()[3])[2] for line in listening if '"sshd"' in line)}
    sessions = {(end.local, end.peer, end.interface) for end in _connections(host)
                if end.port in ports}
    # the session that this was started from, which sudo hides
    environment = _pairs(host.text("/proc/self/environ").split("\0"))
    match environment.get("SSH_CONNECTION", "").split():
        case [peer, _, local, _] if not any((_plain(local), _plain(peer)) == ends[:2]
                                            for ends in sessions):
            sessions.add((_plain(local), _plain(peer), ""))
    over = {peer for local, peer, interface in sessions
            if local in own or (interface or _way_to(host, peer)) in above}
    return [f"an ssh session from {peer} comes over it (FORCE=1 would cut it, and a run started "
            "from it ends)" for peer in sorted(over)]


def _file_systems(host: Host, above: Mapping[str, str]) -> Iterator[str]:
    for what, server, places in _mounts(host):
        if _way_to(host, server) not in above:
            continue
        if "/" in places:
            yield f"the root file system comes over it: {what} of {server} ({NO_HELP})"
        else:
            where = f", mounted at {_listed(places)}," if places else ""
            yield f"{what} of {server}{where} comes over it (FORCE=1 would hang what uses it)"


def _holders(host: Host, nic: Nic) -> list[str]:
    """Return who has the card open in user space, "testpmd (pid 4711)"; only root sees all."""
    nodes = _nodes(host, nic)
    names = [word for node in nodes for word in ("-o", "-lname", node)][1:]
    argv = ["find", "/proc", "-mindepth", "3", "-maxdepth", "3", "-path", "/proc/[0-9]*/fd/*",
            "(", *names, ")", "-printf", "%h\\n"]
    places = host.query(argv, check=False).stdout.split() if nodes else []
    pids = sorted({int(place.split("/")[2]) for place in places})
    if pids:
        return [f"{host.text(f'/proc/{pid}/comm') or 'a program'} (pid {pid})" for pid in pids]
    # vfio-pci enables a card when it is opened, and at no other time
    if nic.driver == VFIO and host.text(f"{DEVICES}/{nic.pci}/enable") not in ("", "0"):
        return ["a program, which only root can see,"]
    return []


def _nodes(host: Host, nic: Nic) -> list[str]:
    """Return the files by which a program opens the card, beside its sockets."""
    at = f"{DEVICES}/{nic.pci}"
    group = host.link_target(f"{at}/iommu_group")
    names = (group, f"noiommu-{group}") if group and nic.driver == VFIO else ()
    by_group = [f"/dev/vfio/{name}" for name in names]
    kinds = {"vfio-dev": "vfio/devices", "uio": ".", "infiniband_verbs": "infiniband"}
    return by_group + [f"/dev/{place}/{name}".replace("/./", "/") for kind, place in kinds.items()
                       for name in host.listing(f"{at}/{kind}")]


def _links(host: Host) -> list[_Link]:
    links = [link for link in host.query_json(["ip", "-j", "-d", "address"]) if "ifname" in link]
    members = [(link.get("master"), link["ifname"]) for link in links]
    return [_link(link, [name for master, name in members if master == link["ifname"]])
            for link in links]


def _link(link: Any, members: Sequence[str]) -> _Link:
    name, info = link["ifname"], link.get("linkinfo", {})
    kind = info.get("info_kind", "")
    # a veth calls its other end so, on which it does not stand
    parent = link.get("link", "") if kind != "veth" else ""
    tunnelled = info.get("info_data", {}).get("link", "")
    addresses = [f"{address['local']}/{address['prefixlen']}"
                 for address in link.get("addr_info", [])
                 if address.get("scope") != "link" and "local" in address]
    return _Link(name, kind, frozenset({parent, tunnelled, *members} - {"", name}),
                 tuple(addresses))


def _way_to(host: Host, address: str) -> str:
    """Return the interface that the kernel would send to `address` through; "" for none."""
    routes = host.query_json(["ip", "-j", "route", "get", address], check=False)
    return str(routes[0].get("dev", "")) if routes else ""


def _connections(host: Host) -> list[_Connection]:
    found = []
    for line in host.query(["ss", "-Htn", "state", "established"]).stdout.splitlines():
        if len(words := line.split()) >= 4:
            local, scope, port = _end(words[2])
            interface = scope if local.startswith("fe80:") else ""
            found.append(_Connection(local, port, _end(words[3])[0], interface))
    return found


def _mounts(host: Host) -> list[tuple[str, str, tuple[str, ...]]]:
    """Return what comes over the network, its server, and where it is mounted if that is known.

    The first is "file system (NFS)" or "disk sda (iSCSI)".
    """
    mounts = [line.split()[:4] for line in host.text("/proc/mounts").splitlines()
              if len(line.split()) >= 4]
    found: list[tuple[str, str, tuple[str, ...]]] = []
    for _, place, kind, options in mounts:
        server = _pairs(options.split(",")).get("addr", "")
        if kind in _NETWORK_FILE_SYSTEMS and server:
            found.append((f"file system ({_NETWORK_FILE_SYSTEMS[kind]})", server, (place,)))
    mounted = [(disks, place) for device, place, *_ in mounts if (disks := _disks(host, device))]
    for kind, server, disk in [*_iscsi(host), *_nvme(host)]:
        places = tuple(place for disks, place in mounted
                       if any(re.fullmatch(rf"{disk}p?\d*", name) for name in disks))
        found.append((f"disk {disk} ({kind})", server, places))
    return found


def _iscsi(host: Host) -> Iterator[tuple[str, str, str]]:
    """Yield ("iSCSI", target's address, disk) of every session; disks are below its SCSI host."""
    for session in host.listing(_ISCSI):
        number = session.removeprefix("session")
        server = host.text(f"/sys/class/iscsi_connection/connection{number}:0/address")
        top = f"{_ISCSI}/{session}/device"
        targets = [f"{top}/{name}" for name in host.listing(top) if name.startswith("target")]
        for unit in (f"{target}/{name}" for target in targets for name in host.listing(target)
                     if name.count(":") == 3):
            yield from (("iSCSI", server, disk) for disk in host.listing(f"{unit}/block"))


def _nvme(host: Host) -> Iterator[tuple[str, str, str]]:
    """Yield ("NVMe over TCP", address, disk) of every such controller."""
    for controller in (f"{_NVME}/{name}" for name in host.listing(_NVME)):
        if host.text(f"{controller}/transport") == "tcp":
            address = _pairs(host.text(f"{controller}/address").split(","))
            yield from (("NVMe over TCP", address.get("traddr", ""), name)
                        for name in host.listing(controller) if re.fullmatch(r"nvme\d+n\d+", name))


def _disks(host: Host, device: str) -> set[str]:
    """Return the names of a block device and of all that it is made of (LVM, dm-crypt, md, …)."""
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


def _pairs(words: Sequence[str]) -> dict[str, str]:
    """Return KEY=VALUE words as a table."""
    return {key: value for key, _, value in (word.partition("=") for word in words)}


def _listed(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _end(text: str) -> tuple[str, str, int]:
    """Return address, scope and port of ss's [2001:db8::1]:22, [fe80::1]%eth0:22, *:22, …"""
    address, _, port = text.rpartition(":")
    address, _, scope = address.partition("%")
    return _plain(address), scope.rstrip("]"), int(port) if port.isdigit() else 0


def _plain(address: str) -> str:
    return address.strip("[]").partition("%")[0].removeprefix("::ffff:")
