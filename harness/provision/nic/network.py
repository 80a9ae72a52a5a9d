# SPDX-License-Identifier: BSD-3-Clause
"""What the kernel's network is used for at this moment: interfaces and what stands on them, routes, connections, and
file systems that come over the network. Only reads.

Must not know which card is asked about, nor what follows from an answer (guards.py).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Mapping, Sequence

from harness.host.host import Host
from harness.host.pci import read

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
    words = _pairs(read(host, "/proc/self/environ").split("\0")).get("SSH_CONNECTION", "").split()
    return (_plain(words[2]), _plain(words[0])) if len(words) == 4 else None


def network_mounts(host: Host) -> list[Mount]:
    mounts = [line.split()[:4] for line in read(host, "/proc/mounts").splitlines() if len(line.split()) >= 4]
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
    return {line.split()[-1] for line in read(host, "/proc/net/pppoe").splitlines()[1:] if line.split()}


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
        server = read(host, f"/sys/class/iscsi_connection/connection{number}:0/address")
        top = f"{ISCSI}/{session}/device"
        targets = [f"{top}/{name}" for name in host.listing(top) if name.startswith("target")]
        units = [f"{target}/{name}" for target in targets for name in host.listing(target) if name.count(":") == 3]
        found += [("iSCSI", server, disk) for unit in units for disk in host.listing(f"{unit}/block")]
    return found


def _nvme(host: Host) -> list[tuple[str, str, str]]:
    """("NVMe over TCP", address, disk) of every such controller."""
    found = []
    for controller in host.listing(NVME):
        if read(host, f"{NVME}/{controller}/transport") != "tcp":
            continue
        address = _pairs(read(host, f"{NVME}/{controller}/address").split(","))
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
