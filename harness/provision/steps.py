# SPDX-License-Identifier: BSD-3-Clause
"""The steps that make a wire, in their order, each with check, undo and up.

A step says what it needs and what would undo it before it acts; provision.py keeps the order and
the journal. Knows nothing of plans, trials or results, and of links and ports no more than that
they are steps.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Mapping, Sequence

from harness.errors import MachineError, UsageError
from harness.host import NETNS_DIRECTORY, Host, in_user_namespace, is_read_only, room
from harness.plan import CLIENT_EAL_PREFIX, EAL_PREFIX, KERNEL, Contender, Wire
from harness.provision.kernel_modules import Module
from harness.provision.links import (
    IFB_MODULES, NETEM_MODULES, check_links, impairment, kind_of, links, namespace)
from harness.provision.needs import Drivers, Privileges, vdevs
from harness.provision.nic import steps as nic_steps
from harness.provision.nic.steps import Use
from harness.provision.resolved_wire import ResolvedWire
from harness.provision.step import Action, Directories, Step
from harness.provision.tuning import (
    Softirq, Tuned, free_pages, page_name, pages, targets, tuned)

ROOT = Path(__file__).resolve().parents[2]
EAL_DIRECTORY = "/run/dpdk"
XDP_DIRECTORY = "/run/xdp"
# program -> Debian package that has it
PROGRAMS = {"ip": "iproute2", "ping": "iputils-ping", "wrk": "wrk", "ethtool": "ethtool",
            "sysctl": "procps", "taskset": "util-linux", "setpriv": "util-linux"}


@dataclass(frozen=True)
class Requirements(Step):
    """What must be on the machine already.

    programs: more than PROGRAMS, in the same shape; a path is one of ours
    """

    title = "requirements"
    contenders: Sequence[Contender]
    programs: Mapping[str, str] = field(default_factory=dict)

    def check(self, host: Host) -> str:
        if ":" in str(ROOT):
            return (f"{ROOT}: neither Python nor the loader finds what lies below a colon: move "
                    "the project")
        programs = dict(PROGRAMS)
        for item in self.contenders:
            programs |= {**kind_of(item).programs, **item.packages}
        programs |= self.programs
        missing = [f"{program} (package {package}, or `sudo make deps`)"
                   for program, package in programs.items()
                   if "/" not in program and host.which(program) is None]
        ours = [name for name in programs if "/" in name]
        missing += [f"{program} (run `make`)" for program in [*built(self.contenders), *ours]
                    if not has_program(host, program)]
        return f"missing: {', '.join(missing)}" if missing else ""


def built(contenders: Sequence[Contender]) -> list[str]:
    """Return each file once that the contenders and their clients are started from."""
    return list(dict.fromkeys(name for item in contenders for name in item.files))


def has_program(host: Host, name: str) -> bool:
    """Look for a program: a path counts from the top of the project, another name is on PATH."""
    return host.exists(ROOT / name) if "/" in name else host.which(name) is not None


@dataclass
class Hugepages(Step):
    """Raises the count by what is missing. A refusal is a failure only with `needed_for`.

    needed_for: what cannot do without them and why, "" if nothing is so
    node: the NUMA node that they must be on, None where any will do
    granted, why: whether they are there, and why not
    """

    title = "hugepages: {0.count} of {0.size}"
    size_kib: int
    count: int
    needed_for: str = ""
    node: int | None = None
    granted: bool = field(default=False, init=False)
    why: str = field(default="no contender uses them", init=False)

    @property
    def size(self) -> str:
        return f"{self.size_kib} KiB" + ("" if self.node is None else f" on NUMA node {self.node}")

    @property
    def result(self) -> Tuned | None:
        """Return what came of it, as a step that tunes; None where no node was asked for."""
        if self.node is None or not self.count:
            return None
        return tuned("hugepages", f"{self.count} of {self.size}",
                     "granted" if self.granted else "not granted", [self.why] if self.why else [])

    def check(self, host: Host) -> str:
        why = self.obstacle(host) if self.needed_for and self.count else ""
        return f"{self.needed_for}, and {why}" if why else ""

    def obstacle(self, host: Host) -> str:
        """Return why a run cannot have them, as far as it shows before; "" where it can."""
        if why := self._none_here(host) or self._forbidden(host):
            return why
        lacking, nr = self.lacking(host), self._file("nr")
        if lacking <= 0 or not (is_read_only(host, nr) or in_user_namespace(host)):
            return ""
        return (f"only {max(0, self.count - lacking)} are free and /sys is read-only here: make "
                f"them outside (`echo {int(host.read(nr)) + lacking} > {nr}`)")

    def undo(self, host: Host) -> list[Action]:
        can = not (self._none_here(host) or self._forbidden(host)) and self.lacking(host) > 0
        return [["write", self._file("nr"), self._own(host)]] if can else []

    def up(self, host: Host) -> None:
        if not self.count:
            return
        self.why = self._raise(host)
        self.granted = not self.why
        if self.why and self.needed_for:
            raise MachineError(f"{self.needed_for}, and {self.why}: free memory, or make them early"
                               f" (`echo {self.count} > {self._file('nr')}` after a boot)")

    def _raise(self, host: Host) -> str:
        """Have enough of them. Return why there are not; "" when there are."""
        if why := self._none_here(host) or self._forbidden(host):
            return why
        found, own, lacking = int(host.read(self._file("nr"))), self._own(host), self.lacking(host)
        if lacking > 0:
            try:
                host.write(self._file("nr"), str(found + lacking))
            except MachineError as error:
                return f"the machine refused {lacking} hugepages of {self.size}: {error}"
        given = int(host.read(self._file("nr"))) - found
        if given >= lacking:
            return ""
        host.write(self._file("nr"), own)
        return f"the machine gave {given} of {lacking} hugepages of {self.size}"

    def lacking(self, host: Host) -> int:
        """Return how many more are needed than are free and not reserved."""
        return self.count - free_pages(host, self.size_kib, self.node)

    def _own(self, host: Host) -> str:
        """Return how many the machine keeps, without the surplus that goes with its user."""
        return str(int(host.read(self._file("nr"))) - int(host.text(self._file("surplus")) or 0))

    def _none_here(self, host: Host) -> str:
        return "" if host.exists(self._file("nr")) else (
            f"this kernel has no hugepages of {self.size}")

    def _forbidden(self, host: Host) -> str:
        """Return why our cgroup may not have as many; "" if it may."""
        limit = room(host, "hugetlb", page_name(self.size_kib))
        pages_left = limit.left // (self.size_kib << 10) if limit else self.count
        return "" if limit is None or pages_left >= self.count else (
            f"{limit.file} leaves {pages_left} of {self.count} hugepages of {self.size}")

    def _file(self, which: str) -> str:
        return f"{pages(self.size_kib, self.node)}/{which}_hugepages"


@dataclass(frozen=True)
class NamespaceDirectory(Step):
    """`ip netns` makes and mounts /run/netns if it must; that goes with the last namespace."""

    title = "directory of namespaces"

    def undo(self, host: Host) -> list[Action]:
        if not host.exists(NETNS_DIRECTORY):
            return [["unmount_if_empty", NETNS_DIRECTORY], ["rmdir", NETNS_DIRECTORY]]
        mounted = f" {NETNS_DIRECTORY} " in host.read("/proc/self/mountinfo")
        return [] if mounted else [["unmount_if_empty", NETNS_DIRECTORY]]


def steps(wire: ResolvedWire, contenders: Sequence[str], programs: Mapping[str, str] = {},
          use: Use = Use()) -> list[Step]:
    """Return the steps that make `wire` for these contenders, in order.

    programs: what else must be on PATH, with the Debian package that has it
    use: what the run will do with a wire that has a NIC

    UsageError on a contender that the wire does not have.
    """
    check_links(wire)
    for name in contenders:
        if name not in wire.contenders:
            known = ", ".join(wire.contenders)
            raise UsageError(f"wire {wire.name} has no contender '{name}'; it has: {known}")
    chosen = [wire.contenders[name] for name in contenders]
    count = wire.hugepage_count if any(item.on_dpdk for item in chosen) else 0
    netem = {"tc": "iproute2"} if wire.impairments else {}
    return [
        Requirements(chosen, {**programs, **netem}),
        Privileges(chosen, wire.port),
        *([Drivers(chosen, [str(ROOT / name) for name in built(chosen)])] if vdevs(chosen) else []),
        *nic_steps.guards(wire.nic),
        *_modules(wire, chosen),
        Hugepages(wire.hugepage_kib, count, _needed_for(wire, chosen), use.node),
        *nic_steps.preparations(wire.nic, use),
        *_eal_directories(chosen),
        NamespaceDirectory(),
        *(namespace(name) for name in namespaces(wire, chosen)),
        *links(wire, chosen),
        *nic_steps.ports(wire, use),
        *_softirq(wire, chosen, use),
        # a client's port must be there first
        *([impairment(wire, chosen)] if wire.impairments else []),
    ]


def namespaces(wire: ResolvedWire, contenders: Sequence[Contender]) -> list[str]:
    """Return each namespace once that a packet of these contenders may pass: clients, bridge,
    servers. Clients on other machines are in none."""
    elsewhere = wire.nic is not None and wire.nic.client is None
    is_bridged = any(kind_of(item).bridged for item in contenders)
    bridged = [wire.bridge.namespace] if wire.bridge and is_bridged else []
    clients = [] if elsewhere else [item.client.endpoint.namespace for item in contenders]
    # a port is at home with its kernel driver between turns, whoever has them
    ports = [item.endpoint.namespace for item in wire.contenders.values()
             if kind_of(item).in_turn and item.stack == KERNEL]
    servers = [item.endpoint.namespace for item in contenders]
    # "": the harness's own
    return list(filter(None, dict.fromkeys([*clients, *bridged, *ports, *servers])))


def _modules(wire: ResolvedWire, contenders: Sequence[Contender]) -> list[Step]:
    found = {module: Module(module, f"contender '{item.name}'", device)
             for item in contenders for module, device in kind_of(item).devices}
    netem = (*NETEM_MODULES, *(() if wire.bridge else IFB_MODULES)) if wire.impairments else ()
    found |= {module: Module(module, "netem") for module in netem}
    return list(found.values())


def _eal_directories(contenders: Sequence[Contender]) -> list[Step]:
    """Return what EAL leaves behind by file prefix, even with --in-memory; libxdp, under
    net_af_xdp, its lock's directory."""
    prefixes = dict.fromkeys(prefix for item in contenders for prefix, stack in (
        (EAL_PREFIX, item.stack), (CLIENT_EAL_PREFIX, item.client.stack)) if stack != KERNEL)
    own = [f"{EAL_DIRECTORY}/{prefix}" for prefix in prefixes]
    return [Directories(f"DPDK's runtime directory {path}", (path, EAL_DIRECTORY, XDP_DIRECTORY))
            for path in own]


def _needed_for(wire: Wire, contenders: Sequence[Contender]) -> str:
    """Return why hugepages must be there; "" where a run can do without."""
    needs = [(item.name, kind_of(item).pages) for item in contenders
             if item.on_dpdk and kind_of(item).pages]
    return (f"contender '{needs[0][0]}' of wire {wire.name} needs {wire.hugepage_count} hugepages "
            f"of {wire.hugepage_kib} KiB ({needs[0][1]})" if needs else "")


def _softirq(wire: ResolvedWire, contenders: Sequence[Contender], use: Use) -> list[Step]:
    """Place packets. Of a NIC that is a part of how its port is tuned, at each change of driver."""
    if not wire.softirq or wire.nic:
        return []
    cpus = use.server_cpus if wire.softirq == "server" else use.client_cpus
    return [Softirq(tuple(targets(wire.softirq, contenders)), tuple(cpus))]
