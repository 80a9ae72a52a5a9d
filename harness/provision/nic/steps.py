# SPDX-License-Identifier: BSD-3-Clause
"""The steps of a wire with a NIC, and the change of driver when another contender has its turn.

In order: is the port free, what it needs, its state saved, its place, a look at both ends.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Callable, Sequence

from harness.errors import MachineError
from harness.host import Host, Nic, SshHost
from harness.plan import KERNEL, Contender, Endpoint
from harness.provision.kernel_modules import Module
from harness.provision.nic import in_use, saved_state
from harness.provision.nic.link_check import CableNote, check_ends
from harness.provision.nic.link_check import Port as LinkEnd
from harness.provision.resolved_wire import NicPair, ResolvedWire
from harness.provision.step import STATE_DIR, Action, Step, Write
from harness.provision.tuning import Tuned, machine_steps, tune_interface

LINK_SECONDS = 30
# vfio-pci asks the kernel for it when a program first opens a port, and nothing would take it away
IOMMU_MODULES = ("vfio_iommu_type1",)
Tune = Callable[[Host, str, str], list[Tuned]]


@dataclass(frozen=True)
class Use:
    """What a run will do with the wire.

    `connections`: the most at a time
    `sites`: the clients on other machines
    `node`: the NUMA node that its memory must be on; None where any will do
    """

    client_cpus: tuple[int, ...] = ()
    server_cpus: tuple[int, ...] = ()
    connections: int = 0
    sites: tuple[SshHost, ...] = ()
    node: int | None = None


@dataclass(frozen=True)
class Guard(Step):
    """A look whether a port is free; with `force`, whether it could be restored as it was."""

    title = "is {0.nic.interface} ({0.nic.pci}) free?"
    nic: Nic
    force: bool

    def check(self, host: Host) -> str:
        found = in_use.uses(host, self.nic)
        if self.force:
            # nobody could restore what would be lost
            found = [use for use in found if in_use.NO_HELP in use]
        name = f"{self.nic.interface} ({self.nic.pci})"
        return f"{name} is in use: {'; '.join(found)}" if found else ""


@dataclass(kw_only=True)
class Port(Step):
    """A port of this machine as a kernel interface in its place, with MTU, address and link.

    `tune` is called each time that the kernel's interface is new; `tuned` is what it returned.
    """

    title = "{0.nic.interface} ({0.nic.pci}) as {0.end.namespace}/{0.end.interface}"
    nic: Nic
    end: Endpoint
    mtu: int
    tune: Tune
    tuned: list[Tuned] = field(default_factory=list, init=False)

    def undo(self, host: Host) -> list[Action]:
        return [["restore_nic", saved_state.state_file(self.nic.pci)], ["rmdir", STATE_DIR]]

    def up(self, host: Host) -> None:
        saved_state.save_nic(host, self.nic, [(self.end.namespace, self.end.interface)])
        self._move(host, self.nic.interface)

    def _move(self, host: Host, interface: str) -> None:
        end = self.end
        host.run(["ip", "link", "set", "dev", interface, "down"])
        host.run(["ip", "link", "set", "dev", interface, "netns", end.namespace, "name",
                  end.interface])
        self._inside(host, "link", "set", "dev", end.interface, "mtu", str(self.mtu))
        self.tuned = self.tune(host, end.namespace, end.interface)
        self._inside(host, "address", "add", end.address, "dev", end.interface)
        self._inside(host, "link", "set", "dev", end.interface, "up")

    def _inside(self, host: Host, *words: str) -> None:
        host.run(["ip", "-n", self.end.namespace, *words])


@dataclass(kw_only=True)
class ServerPort(Port):
    """The port that the contenders have in turn: with its own driver, or with DPDK's.

    `for_kernel`: the kernel has it now; `rebinds`: seconds of each change.
    """

    pair: NicPair
    for_kernel: bool = field(default=True, init=False)
    rebinds: list[float] = field(default_factory=list, init=False)

    def turn_to(self, host: Host, contender: Contender) -> None:
        """Give the port to the contender's stack, if the other has it."""
        if self.for_kernel == (contender.stack == KERNEL):
            return
        started = time.monotonic()
        change = self._to_dpdk if self.for_kernel else self._to_kernel
        change(host)
        self.for_kernel = not self.for_kernel
        self.rebinds.append(round(time.monotonic() - started, 2))

    def _to_dpdk(self, host: Host) -> None:
        driver, interface = self.pair.binding.driver, self.end.interface
        if not driver:
            # the driver shares the port with DPDK: the kernel's own TCP must not answer there
            self._inside(host, "address", "flush", "dev", interface)
            return
        self._inside(host, "link", "set", "dev", interface, "down")
        saved_state.bind(host, driver, self.nic.pci)

    def _to_kernel(self, host: Host) -> None:
        if not self.pair.binding.driver:
            self._inside(host, "address", "add", self.end.address, "dev", self.end.interface)
            return
        saved_state.bind(host, self.nic.driver, self.nic.pci)
        self._move(host, saved_state.await_interface(host, self.nic.pci))
        end = self.end
        if not _link_end(host, end, ()).has_link(LINK_SECONDS):
            raise MachineError(f"{end.namespace}/{end.interface} has no link after {LINK_SECONDS} "
                               "s: is the cable in, and the other end up?")


@dataclass
class Ends(Step):
    """A look at both ends.

    `addresses`: all that servers have at theirs
    `connections`: the most that each client opens
    `notes`: what a reader must know of the ends
    """

    title = "both ends of the cable"
    server: Endpoint
    addresses: tuple[str, ...]
    clients: tuple[Endpoint, ...]
    sites: tuple[SshHost, ...]
    connections: int
    notes: list[CableNote] = field(default_factory=list, init=False)

    def up(self, host: Host) -> None:
        clients = [*(_link_end(host, end, (end.address,)) for end in self.clients),
                   *(LinkEnd(site, None, site.interface) for site in self.sites)]
        findings = check_ends(_link_end(host, self.server, self.addresses), clients,
                              self.connections, LINK_SECONDS)
        self.notes = findings.notes
        if findings.problems:
            raise MachineError("; ".join(findings.problems))


def guards(pair: NicPair | None) -> list[Guard]:
    return [Guard(nic, pair.order.force) for nic in pair.local] if pair else []


def preparations(pair: NicPair | None, use: Use) -> Sequence[Step]:
    """Return what the machine needs before a port can change its driver, and how it is tuned."""
    if pair is None:
        return []
    binding = pair.binding
    modules = [*binding.modules, *(IOMMU_MODULES if binding.iommu and binding.driver else ())]
    return [*(Module(name, f"NIC {pair.server.pci}") for name in modules),
            *(Write(path, text) for path, text in binding.writes),
            *machine_steps(pair.order.tune, use.client_cpus, use.server_cpus)]


def ports(wire: ResolvedWire, use: Use) -> Sequence[Step]:
    """Return the ports in their places, the client's first, then a look at both ends."""
    pair = wire.nic
    if pair is None:
        return []
    contenders = wire.contenders.values()
    kernel = next(contender.endpoint for contender in contenders if contender.stack == KERNEL)
    level, server_nic = pair.order.tune, pair.server
    placed = {"server": use.server_cpus, "client": use.client_cpus}.get(wire.softirq, ())

    def tuner(nic: Nic, used: tuple[int, ...]) -> Tune:
        # what the client receives is left to it where packets are processed on the server's cores
        softirq = placed if nic is server_nic or wire.softirq == "client" else ()
        return lambda host, netns, interface: tune_interface(
            host, netns, interface, nic.pci, level, used, softirq)
    server = ServerPort(nic=server_nic, end=kernel, mtu=wire.mtu, pair=pair,
                        tune=tuner(server_nic, use.server_cpus))
    client = [Port(nic=nic, end=wire.client, mtu=wire.mtu, tune=tuner(nic, use.client_cpus))
              for nic in pair.local[1:]]
    ends = tuple(port.end for port in client)
    addresses = tuple(dict.fromkeys(contender.endpoint.address for contender in contenders))
    each = -(-use.connections // max(1, len(ends) + len(use.sites)))
    return [*client, server, Ends(kernel, addresses, ends, use.sites, each)]


def _link_end(host: Host, end: Endpoint, addresses: tuple[str, ...]) -> LinkEnd:
    return LinkEnd(host, end.namespace, end.interface, addresses)
