# SPDX-License-Identifier: BSD-3-Clause
"""Resolve a plan against this machine: NIC, CPUs near it, driver of a TAP, netem, softirq.

Changes nothing, and knows no trial.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import Iterator, Mapping, Sequence

from harness.errors import UsageError
from harness.host import Host, SshHost, connected, emulated
from harness.plan import (
    KERNEL, NET_TAP, VHOST_NET, NicRequest, Plan, SshClients, TrialSpec, Wire, from_settings,
    over_vhost, parse_client, parse_netem, turns, with_devices)
from harness.provision import tuning
from harness.provision.kernel_modules import missing
from harness.provision.links import VHOST, check_links, kind_of
from harness.provision.needs import confined_to_ours, may_make_namespaces
from harness.provision.nic.steps import Use
from harness.provision.resolved_wire import NicPair, ResolvedWire, find_pair, resolved

# of what netem does to single packets, on a bridge and on a cable
_SINGLE = (
    "So that netem finds packets of the same size from every contender, the kernel's server sends "
    "without TSO and GSO.",
    "So that netem finds single packets, the client's interface receives without GRO.")


def requested(nic: NicRequest, before: Mapping[str, str]) -> NicRequest:
    """Return the NIC and client of the command line, or those that a run began with before."""
    return from_settings(before) if before and not nic.nic else nic


@contextmanager
def reached(host: Host, nic: NicRequest) -> Iterator[tuple[SshHost, ...]]:
    """Reach the machines that CLIENT names, for the body of the `with`; () if that is this one."""
    ends = parse_client(nic.client) if nic.client else None
    if not isinstance(ends, SshClients):
        yield ()
        return
    with connected(host, ends.targets) as sites:
        yield sites


def nic_pair(host: Host, wire: Wire, nic: NicRequest) -> NicPair | None:
    """Return both ends of a NIC's cable, None for another wire. Errors as find_pair()."""
    if not wire.rebinds:
        return None
    if nic.tune not in tuning.LEVELS:
        raise UsageError(f"TUNE={nic.tune}: there are: {', '.join(tuning.LEVELS)}")
    return find_pair(host, nic)


def usable_cpus(host: Host, nic: NicPair | None) -> list[int]:
    """Return those that a run may use; with a NIC also those that are isolated."""
    return sorted({*host.cpus(), *(tuning.isolated_cpus(host) if nic else ())})


def with_cpus(host: Host, nic: NicPair | None, settings: Mapping[str, str]) -> dict[str, str]:
    """Return the settings with the CPUs that are best for a NIC, where they leave them open."""
    if nic is None or settings.get("SERVER_CPUS") or nic.order.tune == "none":
        return dict(settings)
    if nic.client and settings.get("CLIENT_CPUS"):
        return dict(settings)
    all_, isolated = usable_cpus(host, nic), tuning.isolated_cpus(host)
    siblings = {cpu: tuning.smt_siblings(host, cpu) for cpu in all_}
    near = tuning.node_cpus(host, nic.server.numa_node)
    server = tuning.choose_server_cpus(all_, isolated, near, siblings)
    chosen = {"SERVER_CPUS": ",".join(map(str, server))}
    if nic.client:
        client = tuning.choose_client_cpus(host.cpus(), isolated, server, siblings)
        chosen["CLIENT_CPUS"] = ",".join(map(str, client))
    return {**settings, **chosen}


def with_tap(host: Host, wire: Wire, plan: Plan) -> Plan:
    """Return the plan with vhost-net for its TAP, where it leaves that open and the machine has it.

    That is done once, when a plan is made; a run that goes on keeps what it began with.
    """
    has_tap = any(wire.contenders[name].link == "tap" for name in plan.contenders)
    fits = has_tap and wire.over_vhost and not _counts_packets(_impairments(plan))
    if not fits or plan.tap or missing(host, "vhost_net", VHOST):
        return plan
    return replace(plan, tap=VHOST_NET)


def resolve(host: Host, wire: Wire, plan: Plan, nic: NicPair | None = None) -> ResolvedWire:
    """Return the wire as the plan wants it. UsageError on what the wire cannot do."""
    check_links(wire)
    if plan.tap == VHOST_NET:
        other = over_vhost(wire)
        if other is None:
            raise UsageError(f"TAP={plan.tap}: wire '{wire.name}' cannot do that; wire tap can")
        wire = other
    elif plan.tap == NET_TAP and not any(item.link == "tap" for item in wire.contenders.values()):
        raise UsageError(f"TAP={plan.tap}: wire '{wire.name}' has no TAP; wire tap has")
    if not may_make_namespaces(host):
        wire = confined_to_ours(wire, plan.applicable)
    wire = with_devices(wire, plan.applicable) if plan.turn_ms else wire
    made = _on_nic(host, wire, nic) if nic else resolved(wire)
    made = replace(made, tap=plan.tap)
    made = _impaired(made, plan) if any(_impairments(plan)) else made
    return _placed(made, plan) if plan.softirq else made


def planned_use(host: Host, wire: ResolvedWire, plan: Plan, sites: Sequence[SshHost]) -> Use:
    """Return what the plan will do with the wire."""
    node = wire.nic.node if wire.nic else None
    # DPDK allocates on its core's NUMA node, so a remote node is not asked for
    if node is not None and not set(plan.server_cpus) <= set(tuning.node_cpus(host, node)):
        node = None
    return Use(plan.client_cpus, plan.server_cpus, max(plan.connections), tuple(sites), node)


def cost_of_turns(wire: Wire, plan: Plan, remaining: Sequence[tuple[int, TrialSpec]]) -> list[str]:
    """Return what turns at one port take, a line; [] where none changes."""
    if not wire.rebinds:
        return []
    # contenders of one stack have the port with the same driver
    by_stack = [replace(spec, contender=wire.contenders[spec.contender].stack)
                for _, spec in remaining]
    changes = turns(by_stack) - 1
    if changes < 1:
        return []
    least = "at least " if plan.precision_percent else ""
    return ["one port in turn: a round has all load points of one contender before the other's, "
            f"so {least}{changes} changes of driver instead of up to {len(remaining) - 1}; the "
            "report says how long they took"]


def _on_nic(host: Host, wire: Wire, nic: NicPair) -> ResolvedWire:
    """Return the wire with the ports' own MACs, and memory for DPDK on their node.

    A port that keeps its kernel driver keeps its server in the same namespace.
    """
    pages = tuning.hugepages_for(
        host, nic.order.tune, nic.node, wire.hugepage_kib, wire.hugepage_count)
    client = replace(wire.client, mac=nic.client.mac) if nic.client else wire.client
    ends = {}
    for stack, end in wire.ends.items():
        server = replace(end.server, mac=nic.server.mac)
        if stack != KERNEL and not nic.binding.driver and KERNEL in wire.ends:
            server = replace(server, namespace=wire.ends[KERNEL].server.namespace)
        ends[stack] = replace(end, server=server, client=client)
    return resolved(
        wire.with_ends(ends), client=client, nic=nic, emulated=emulated(host, nic.server),
        hugepage_kib=pages[0], hugepage_count=pages[1])


def _placed(wire: ResolvedWire, plan: Plan) -> ResolvedWire:
    place = f"SOFTIRQ={plan.softirq}"
    if all(wire.contenders[name].stack != KERNEL for name in plan.contenders):
        raise UsageError(f"{place}: none of {', '.join(plan.contenders)} has the kernel process "
                         "its packets")
    if plan.softirq == "client" and plan.clients:
        raise UsageError(f"{place}: the client's cores are on another machine, and no packet can "
                         "be processed there: give CLIENT=if:<interface>")
    title = f"{wire.title}, packets of the kernel's servers processed on the {plan.softirq}'s cores"
    return replace(wire, softirq=plan.softirq, title=title)


def _impairments(plan: Plan) -> tuple[str, ...]:
    return tuple(dict.fromkeys(point.impairment for point in plan.load_points))


def _counts_packets(impairments: Sequence[str]) -> bool:
    return any(parse_netem(text, "NETEM").counts_packets for text in impairments if text)


def _impaired(wire: ResolvedWire, plan: Plan) -> ResolvedWire:
    impairments = _impairments(plan)
    place = f"NETEM={plan.netem}" if plan.netem else "--sweep"
    # contenders that share a NIC are on one cable to the client
    kinds = [kind_of(wire.contenders[name]) for name in plan.contenders]
    if any(not (kind.bridged if wire.bridge else kind.in_turn) for kind in kinds):
        raise UsageError(f"{place}: on wire '{wire.name}' there is no hop that every packet of every "
                         "contender passes; wires tap, afpacket, afxdp and nic have one")
    if plan.clients:
        raise UsageError(f"{place}: netem is set at the client's end, which is elsewhere "
                         f"(CLIENT={'; '.join(plan.clients)}): give CLIENT=if:<interface>")
    if plan.tap == VHOST_NET and _counts_packets(impairments):
        raise UsageError(f"{place}: netem counts packets, and over vhost-net lwIP's are up to 64 KiB "
                         "long, where the others' are of the MTU: give TAP=net_tap")
    single = _SINGLE[wire.bridge is None] if _counts_packets(impairments) else ""
    title = f"{wire.title}, with {plan.netem} in each direction" if plan.netem else wire.title
    return replace(wire, netem=plan.netem, impairments=impairments, title=title,
                   caveat=f"{wire.caveat} {single}".strip())
