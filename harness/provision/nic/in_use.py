# SPDX-License-Identifier: BSD-3-Clause
"""Why a network card must be left alone: what this machine does over it, and what would become of that. Only reads.

An address that is set on a card means that somebody uses it, with or without a connection at this moment; only
link-local ones, which the kernel gives by itself, do not count. Must not know how a card is bound (binding.py).
"""

from __future__ import annotations

from typing import Iterable, Mapping, Sequence

from harness.provision.nic import network
from harness.host.host import Host
from harness.host.pci import DEVICES, Nic, read

VFIO = "vfio-pci"
# with them no driver of the kernel's has the card
USER_SPACE_DRIVERS = (VFIO, "uio_pci_generic", "igb_uio")
NO_HELP = "FORCE=1 does not help"
KINDS = {"bond": "bond", "bridge": "bridge", "team": "team", "openvswitch": "Open vSwitch bridge", "vlan": "VLAN",
         "macvlan": "macvlan", "macvtap": "macvtap", "ipvlan": "ipvlan", "vxlan": "VXLAN", "vrf": "VRF"}
# of which a port is one member among several; the others stand on one interface
OF_MEMBERS = ("bond", "bridge", "team", "openvswitch", "vrf")


def reasons(host: Host, nic: Nic) -> list[str]:
    """Each says what is done over it, and what a run with FORCE=1 would do to that. [] when it is free."""
    found = interface_reasons(host, nic.interface) if nic.interface else []
    # the kernel takes no card from a program that has it open by vfio-pci or uio: the command would wait for its end
    force = f"{NO_HELP}: stop it" if nic.driver in USER_SPACE_DRIVERS else "FORCE=1 would disturb it"
    found += [f"{who} has it open ({force})" for who in _holders(host, nic)]
    if nic.driver and nic.driver not in USER_SPACE_DRIVERS and not nic.interface:
        found.append(f"its driver {nic.driver} is bound, and no interface of it is in this network namespace: another"
                     f" one has it, of a container perhaps ({NO_HELP}: give it back first)")
    functions = read(host, f"{DEVICES}/{nic.pci}/sriov_numvfs")
    if functions not in ("", "0"):
        found.append(f"it has {functions} virtual functions ({NO_HELP}: take them away first)")
    return found


def beyond_force(host: Host, nic: Nic) -> list[str]:
    """The reasons that FORCE=1 does not overrule, since nobody could bring back what would be lost."""
    return [reason for reason in reasons(host, nic) if NO_HELP in reason]


def interface_reasons(host: Host, interface: str) -> list[str]:
    """The same of any interface by its name, on PCI or not."""
    links = network.interfaces(host)
    above = _above(interface, links)
    return [*_standing(interface, links), *_pppoe(host, interface), *_routes(host, above),
            *_addresses(host, above, links), *_sessions(host, above, links), *_file_systems(host, above)]


def _above(interface: str, links: Iterable[network.Interface]) -> dict[str, str]:
    """The interface and all that stand on it, which would be lost with it, each with the words for it."""
    links, words, grown = list(links), {interface: "it"}, True
    while grown:
        new = {link.name: f"{link.name}, which stands on it," for link in links
               if link.name not in words and link.upon & words.keys()}
        words, grown = {**words, **new}, bool(new)
    return words


def _standing(interface: str, links: Iterable[network.Interface]) -> list[str]:
    found = []
    for link in links:
        if interface in link.upon:
            kind = KINDS.get(link.kind, link.kind or "virtual interface")
            found.append(f"it is a member of the {kind} {link.name} ({NO_HELP}: take it out first)"
                         if link.kind in OF_MEMBERS else
                         f"the {kind} {link.name} stands on it ({NO_HELP}: take that away first)")
    return found


def _pppoe(host: Host, interface: str) -> list[str]:
    busy = interface in network.pppoe_interfaces(host)
    return [f"a PPPoE session runs over it ({NO_HELP}: end it first)"] if busy else []


def _routes(host: Host, above: Mapping[str, str]) -> list[str]:
    ways = [(interface, gateway) for interface, gateway in network.default_routes(host) if interface in above]
    found = []
    for interface in dict.fromkeys(interface for interface, _ in ways):
        gateways = list(dict.fromkeys(gateway for each, gateway in ways if each == interface and gateway))
        found.append(f"{above[interface]} carries the default route{f' via {_listed(gateways)}' if gateways else ''}"
                     " (FORCE=1 would cut this machine off until the run's end)")
    return found


def _addresses(host: Host, above: Mapping[str, str], links: Iterable[network.Interface]) -> list[str]:
    open_now = network.connections(host)
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


def _sessions(host: Host, above: Mapping[str, str], links: Iterable[network.Interface]) -> list[str]:
    """By the address at this end, or by the way back to the other end, which need not be the same card."""
    own = {address.partition("/")[0] for link in links if link.name in above for address in link.addresses}
    ports = network.sshd_ports(host)
    sessions = {(each.local, each.peer, each.interface) for each in network.connections(host) if each.port in ports}
    from_here = network.own_ssh_session(host)
    if from_here is not None and not any(from_here == (local, peer) for local, peer, _ in sessions):
        sessions.add((*from_here, ""))
    over = {peer for local, peer, interface in sessions
            if local in own or interface in above
            or (not interface and network.way_to(host, peer) in above)}
    return [f"an ssh session from {peer} comes over it (FORCE=1 would cut it, and a run started from it ends)"
            for peer in sorted(over)]


def _file_systems(host: Host, above: Mapping[str, str]) -> list[str]:
    found = []
    for mount in network.network_mounts(host):
        if network.way_to(host, mount.server) not in above:
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
        return [f"{read(host, f'/proc/{pid}/comm') or 'a program'} (pid {pid})" for pid in pids]
    # vfio-pci enables a card when it is opened, and at no other time
    if nic.driver == VFIO and read(host, f"{DEVICES}/{nic.pci}/enable") not in ("", "0"):
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
