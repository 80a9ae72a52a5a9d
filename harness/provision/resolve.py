# SPDX-License-Identifier: BSD-3-Clause
"""A wire's file and a command line, fitted to this machine: its NIC, the other end of the cable, the CPUs near it.

For a wire without a NIC everything is as its file says. Knows no trial and changes nothing.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Iterator, Mapping, Sequence

from harness.provision import tuning
from harness.provision.nic.resolve import cable, fitted
from harness.errors import UsageError
from harness.plan.nic_request import NicOrder, from_settings
from harness.provision.nic.steps import Use
from harness.host import connected, emulated, Host, SshHost
from harness.plan import Plan, TrialSpec, turns
from harness.store.store import Store
from harness.plan.client_target import SshClients, parse_client
from harness.plan import load_wire
from harness.plan import Wire


def asked(nic: NicOrder, resume: str, results: Path) -> NicOrder:
    """The NIC and client of the command line, or those that the run to be finished began with. UsageError if neither."""
    if not resume or nic.nic:
        return nic
    said = Store.resume(resume, results).run.facts.get("nic", {}).get("order")
    return from_settings(said) if said else nic


@contextmanager
def reached(host: Host, nic: NicOrder) -> Iterator[tuple[SshHost, ...]]:
    """The machines that CLIENT names, for the body of the `with`; () where the client is this one."""
    ends = parse_client(nic.client) if nic.client else None
    if not isinstance(ends, SshClients):
        yield ()
        return
    with connected(host, ends.targets) as sites:
        yield sites


def fit(name: str, nic: NicOrder, host: Host) -> Wire:
    """The wire of that name, as this machine has it. UsageError and MachineError as cable.cable()."""
    wire = load_wire(name)
    if not wire.rebinds:
        return wire
    if nic.tune not in tuning.LEVELS:
        raise UsageError(f"TUNE={nic.tune}: there are: {', '.join(tuning.LEVELS)}")
    ends = cable(host, nic)
    pages = tuning.hugepages_for(host, nic.tune, ends.node, wire.hugepage_kib, wire.hugepage_count)
    return fitted(wire, ends, emulated(host, ends.server), pages)


def cpus(host: Host, wire: Wire) -> list[int]:
    """Those that a run may use: also those that were isolated for such a purpose, where there is a NIC."""
    return sorted({*host.cpus(), *(tuning.isolated_cpus(host) if wire.cable else ())})


def with_cpus(host: Host, wire: Wire, settings: Mapping[str, str]) -> dict[str, str]:
    """The settings with the CPUs that are best for a NIC, where they leave them open."""
    if wire.cable is None or settings.get("SERVER_CPUS") or wire.cable.order.tune == "none":
        return dict(settings)
    all_, isolated = cpus(host, wire), tuning.isolated_cpus(host)
    siblings = {cpu: tuning.smt_siblings(host, cpu) for cpu in all_}
    taken = settings.get("CLIENT_CPUS") if wire.cable.client else ""
    if taken:
        return dict(settings)
    server = tuning.choose_server_cpus(all_, isolated, tuning.node_cpus(host, wire.cable.server.numa_node), siblings)
    chosen = {"SERVER_CPUS": ",".join(map(str, server))}
    if wire.cable.client:
        client = tuning.choose_client_cpus(host.cpus(), isolated, server, siblings)
        chosen["CLIENT_CPUS"] = ",".join(map(str, client))
    return {**settings, **chosen}


def use(host: Host, wire: Wire, plan: Plan, sites: Sequence[SshHost]) -> Use:
    """What the plan will do with the wire. DPDK takes memory where its core is, so far from the NIC that is no wish."""
    node = wire.cable.node if wire.cable else None
    if node is not None and not set(plan.server_cpus) <= set(tuning.node_cpus(host, node)):
        node = None
    return Use(plan.client_cpus, plan.server_cpus, max(plan.connections), tuple(sites), node)


def cost(wire: Wire, plan: Plan, remaining: Sequence[tuple[int, TrialSpec]]) -> list[str]:
    """What it takes that contenders have one port in turn, a line; [] where none changes."""
    if not wire.rebinds:
        return []
    # contenders of one stack have the port with the same driver
    changes = turns([replace(spec, contender=wire.contenders[spec.contender].stack) for _, spec in remaining]) - 1
    if changes < 1:
        return []
    least = "at least " if plan.precision_percent else ""
    return [f"one port in turn: a round has all load points of one contender before the other's, so {least}{changes} "
            f"changes of driver instead of up to {len(remaining) - 1}; the report says how long they took"]
