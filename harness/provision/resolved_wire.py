# SPDX-License-Identifier: BSD-3-Clause
"""A wire as this machine has it for one plan: values, and how the ends of its cable are found."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field, fields
from typing import Any, Mapping

from harness.errors import MachineError, UsageError
from harness.host import Host, Nic, find_nic
from harness.plan import IfClient, NicRequest, Reason, SshTarget, Wire, parse_client
from harness.provision.nic.driver import Binding, bind_command, choose_binding, kernel_driver


@dataclass(frozen=True)
class NicPair:
    """Both ends of the cable of a wire with a NIC, as one run uses them.

    server: the port of this machine that all contenders have in turn
    client: another port of it; None where `remotes` are the other end
    """

    server: Nic
    client: Nic | None
    remotes: tuple[SshTarget, ...]
    binding: Binding
    order: NicRequest

    @property
    def node(self) -> int | None:
        """Return the NUMA node of the server's port; None where the machine does not tell."""
        return self.server.numa_node if self.server.numa_node >= 0 else None

    @property
    def local(self) -> list[Nic]:
        return [self.server, *([self.client] if self.client else [])]


@dataclass(frozen=True)
class ResolvedWire(Wire):
    """A wire with what machine and plan add to its file.

    nic: both ends of its cable; None for a wire without a NIC
    emulated: what plays the part of that NIC, as "QEMU's e1000e"; "" for hardware
    tap: by which driver a DPDK server has its TAP; "" where there is none
    netem: what is done to packets between client and server from the start; "" for nothing
    impairments: every netem that the run will have, `netem` among them; () for none but nothing
    softirq: on whose cores the kernel processes the packets of its servers; "" for its own choice
    not_applicable: by contender that this machine cannot carry fairly, why; some of that shows only
        when the wire is up
    """

    nic: NicPair | None = None
    emulated: str = ""
    tap: str = ""
    netem: str = ""
    impairments: tuple[str, ...] = ()
    softirq: str = ""
    not_applicable: Mapping[str, Reason] = field(default_factory=dict)


def resolved(wire: Wire, **more: Any) -> ResolvedWire:
    """Return the wire with these fields of ResolvedWire, the others as they are in its file."""
    return ResolvedWire(**{item.name: getattr(wire, item.name) for item in fields(wire)} | more)


def find_pair(host: Host, order: NicRequest) -> NicPair:
    """Find what was asked for. UsageError if it is not there, MachineError if it cannot be used."""
    server = find_nic(host, order.nic)
    ends = parse_client(order.client)
    remotes = () if isinstance(ends, IfClient) else ends.targets
    client = find_nic(host, ends.interface) if isinstance(ends, IfClient) else None
    if client and client.pci == server.pci:
        raise UsageError(f"NIC={order.nic} and CLIENT={order.client} are the same port "
                         f"({server.pci}); a cable has two ends")
    pair = NicPair(server, client, remotes, choose_binding(host, server, order.noiommu), order)
    for nic in pair.local:
        if not nic.interface:
            by_hand = shlex.join(bind_command(kernel_driver(host, nic), nic.pci))
            raise MachineError(f"{nic.pci} has driver {nic.driver or 'none'} and no interface: give "
                               "it to its kernel driver first, so that it can be given back: "
                               f"`{by_hand}`")
    return pair
