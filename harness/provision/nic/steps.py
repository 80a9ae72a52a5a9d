# SPDX-License-Identifier: BSD-3-Clause
"""The steps of a wire with a NIC: is it free, its way back written down, its driver, its place; and the change of
driver when another contender has its turn. Knows no plan and no trial.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Callable

from harness.provision.nic import in_use as guards
from harness.provision.nic import saved_state
from harness.provision.nic.link_check import Port as LinkEnd, check_ends
from harness.provision.nic.resolve import NicPair
from harness.provision.resolved import ResolvedWire
from harness.errors import MachineError
from harness.host import Host, Nic, SshHost
from harness.provision.step import STATE_DIR, Action, Step
from harness.provision.kernel_modules import Module
from harness.provision.tuning import Tuned, machine_steps, tune_interface
from harness.plan import Contender, Endpoint

LINK_SECONDS = 30
# vfio-pci asks the kernel for it when a program first opens a port, and nothing would take it away
IOMMU_MODULES = ("vfio_iommu_type1",)
Tune = Callable[[Host, str, str], list[Tuned]]
_HOME, _KERNEL, _DPDK = "home", "kernel", "dpdk"


@dataclass(frozen=True)
class Use:
    """What a run will do with the wire: CPUs by role, most connections, its clients on other machines, if any, and the
    NUMA node that its memory must be on; None where any will do."""

    client_cpus: tuple[int, ...] = ()
    server_cpus: tuple[int, ...] = ()
    connections: int = 0
    sites: tuple[SshHost, ...] = ()
    node: int | None = None


@dataclass(frozen=True)
class Guard(Step):
    """A port that somebody needs is left alone; with `force` only one that could not be brought back as it was."""

    nic: Nic
    force: bool

    @property
    def name(self) -> str:
        return f"is {self.nic.interface} ({self.nic.pci}) free?"

    def check(self, host: Host) -> str | None:
        found = guards.beyond_force(host, self.nic) if self.force else guards.uses(host, self.nic)
        name = f"{self.nic.interface} ({self.nic.pci})"
        return f"{name} is in use: {'; '.join(found)}" if found else None

    def undo(self, host: Host) -> list[Action]:
        return []

    def up(self, host: Host) -> None:
        """Nothing: it only looks."""


@dataclass(frozen=True)
class Write(Step):
    """One setting of the kernel, as it is needed."""

    path: str
    text: str

    @property
    def name(self) -> str:
        return f"{self.text} in {self.path}"

    def check(self, host: Host) -> str | None:
        return None

    def undo(self, host: Host) -> list[Action]:
        return [["write", self.path, host.read(self.path).strip()]] if host.exists(self.path) else []

    def up(self, host: Host) -> None:
        host.write(self.path, self.text)


@dataclass(kw_only=True)
class Port(Step):
    """A port of this machine in its place as a kernel interface: namespace, name, MTU, address, and its link up.

    `tune` is called each time that the kernel's interface is new; what it says of each setting is in `tuned`.
    """

    nic: Nic
    end: Endpoint
    mtu: int
    tune: Tune
    tuned: list[Tuned] = field(default_factory=list, init=False)
    at: str = field(default=_HOME, init=False)

    @property
    def name(self) -> str:
        return f"{self.nic.interface} ({self.nic.pci}) as {self.end.namespace}/{self.end.interface}"

    def check(self, host: Host) -> str | None:
        return None

    def undo(self, host: Host) -> list[Action]:
        return [["restore_nic", saved_state.state_file(self.nic.pci)], ["rmdir", STATE_DIR]]

    def up(self, host: Host) -> None:
        saved_state.save_nic(host, self.nic, [(self.end.namespace, self.end.interface)])
        self._move(host, self.nic.interface)

    def _move(self, host: Host, found: str) -> None:
        end = self.end
        inside = ["ip", "-n", end.namespace]
        host.run(["ip", "link", "set", "dev", found, "down"])
        host.run(["ip", "link", "set", "dev", found, "netns", end.namespace, "name", end.interface])
        host.run([*inside, "link", "set", "dev", end.interface, "mtu", str(self.mtu)])
        self.tuned = self.tune(host, end.namespace, end.interface)
        host.run([*inside, "address", "add", end.address, "dev", end.interface])
        host.run([*inside, "link", "set", "dev", end.interface, "up"])
        self.at = _KERNEL


@dataclass(kw_only=True)
class ServerPort(Port):
    """The port that the contenders have in turn: with its own driver, or with DPDK's.

    `rebinds`: seconds of each change.
    """

    cable: NicPair
    rebinds: list[float] = field(default_factory=list, init=False)

    def turn_to(self, host: Host, contender: Contender) -> None:
        """Gives the port to the contender's stack, if the other has it. MachineError when a driver refuses."""
        wanted = _KERNEL if contender.stack == "kernel" else _DPDK
        if self.at == wanted:
            return
        started = time.monotonic()
        if wanted == _KERNEL:
            self._to_kernel(host)
        else:
            self._to_dpdk(host)
        self.at = wanted
        self.rebinds.append(round(time.monotonic() - started, 2))

    def _to_dpdk(self, host: Host) -> None:
        end, inside = self.end, ["ip", "-n", self.end.namespace]
        if not self.cable.binding.driver:
            # the driver shares the port with DPDK: the kernel's own TCP must not answer there
            host.run([*inside, "address", "flush", "dev", end.interface])
            return
        host.run([*inside, "link", "set", "dev", end.interface, "down"])
        saved_state.bind(host, self.cable.binding.driver, self.nic.pci)

    def _to_kernel(self, host: Host) -> None:
        if not self.cable.binding.driver:
            host.run(["ip", "-n", self.end.namespace, "address", "add", self.end.address, "dev", self.end.interface])
            return
        saved_state.bind(host, self.nic.driver, self.nic.pci)
        self._move(host, saved_state.await_interface(host, self.nic.pci))
        await_link(host, self.end)


@dataclass
class Ends(Step):
    """Are both ends of the cable as they must be? `addresses`: all that servers have at theirs; `connections`: the most
    that each client opens. `notes`: what a reader must know of them.
    """

    server: Endpoint
    addresses: tuple[str, ...]
    clients: tuple[Endpoint, ...]
    sites: tuple[SshHost, ...]
    connections: int
    notes: list[str] = field(default_factory=list, init=False)

    @property
    def name(self) -> str:
        return "both ends of the cable"

    def up(self, host: Host) -> None:
        clients = [*(_seen(host, end, (end.address,)) for end in self.clients),
                   *(LinkEnd(site, None, site.interface) for site in self.sites)]
        found = check_ends(_seen(host, self.server, self.addresses), clients, self.connections, LINK_SECONDS)
        self.notes = found.notes
        if found.problems:
            raise MachineError("; ".join(found.problems))


def _seen(host: Host, end: Endpoint, addresses: tuple[str, ...]) -> LinkEnd:
    return LinkEnd(host, end.namespace, end.interface, addresses)


def guards_of(cable: NicPair | None) -> list[Guard]:
    ends = [cable.server, *([cable.client] if cable.client else [])] if cable else []
    return [Guard(nic, cable is not None and cable.order.force) for nic in ends]


def preparations(cable: NicPair | None, use: Use) -> list[Any]:
    """What the machine needs before a port can change its driver, and how it is tuned."""
    if cable is None:
        return []
    modules = [*cable.binding.modules, *(IOMMU_MODULES if cable.binding.iommu and cable.binding.driver else ())]
    return [*(Module(name, f"NIC {cable.server.pci}") for name in modules),
            *(Write(path, text) for path, text in cable.binding.writes),
            *machine_steps(cable.order.tune, use.client_cpus, use.server_cpus)]


def ports(wire: ResolvedWire, use: Use) -> list[Any]:
    """The ports in their places, the client's first: its link is the other's too. Then a look at both."""
    cable = wire.nic
    if cable is None:
        return []
    kernel = next(each.endpoint for each in wire.contenders.values() if each.stack == "kernel")
    level = cable.order.tune
    by_side: dict[str, tuple[int, ...]] = {"server": use.server_cpus, "client": use.client_cpus}
    placed, server_nic = by_side.get(wire.softirq, ()), cable.server

    def tuner(nic: Nic, used: tuple[int, ...]) -> Tune:
        # what the client receives is left to it where its packets are processed on the server's cores
        softirq = placed if nic is server_nic or wire.softirq == "client" else ()
        return lambda host, netns, interface: tune_interface(host, netns, interface, nic.pci, level, used, softirq)
    server = ServerPort(nic=cable.server, end=kernel, mtu=wire.mtu, tune=tuner(cable.server, use.server_cpus),
                        cable=cable)
    client = [Port(nic=cable.client, end=wire.client, mtu=wire.mtu, tune=tuner(cable.client, use.client_cpus))
              ] if cable.client else []
    ends = tuple(port.end for port in client)
    addresses = tuple(dict.fromkeys(each.endpoint.address for each in wire.contenders.values()))
    return [*client, server, Ends(kernel, addresses, ends, use.sites,
                                  -(-use.connections // max(1, len(ends) + len(use.sites))))]


def await_link(host: Host, end: Endpoint) -> None:
    """Returns when the interface has a carrier. MachineError when it has none after LINK_SECONDS."""
    if not _seen(host, end, ()).has_link(LINK_SECONDS):
        raise MachineError(f"{end.namespace}/{end.interface} has no link after {LINK_SECONDS} s: is the cable in, "
                           "and the other end up?")
