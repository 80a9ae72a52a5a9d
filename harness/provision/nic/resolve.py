# SPDX-License-Identifier: BSD-3-Clause
"""Find both ends of the cable of a wire with a NIC, as one run uses them. Does nothing to them.

The server's end is a port of this machine, the client's another port of it or other machines.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from harness.provision.nic import driver as binding
from harness.provision.nic.driver import Binding
from harness.errors import MachineError, UsageError
from harness.host import Host, Nic, find_nic
from harness.plan.nic_request import NicOrder
from harness.plan.client_target import IfClient, SshTarget, parse_client


@dataclass(frozen=True)
class NicPair:
    """`server`: the port that both contenders have in turn, `client` the other end, None where `remotes` are it."""

    server: Nic
    client: Nic | None
    remotes: tuple[SshTarget, ...]
    binding: Binding
    order: NicOrder

    @property
    def node(self) -> int | None:
        """NUMA node of the server's port; None where the machine has none or does not tell."""
        return self.server.numa_node if self.server.numa_node >= 0 else None


def find_pair(host: Host, order: NicOrder) -> NicPair:
    """What is asked for, found on this machine. UsageError on what there is not, MachineError on what it cannot do."""
    server = find_nic(host, order.nic)
    ends = parse_client(order.client)
    remotes = () if isinstance(ends, IfClient) else ends.targets
    client = find_nic(host, ends.interface) if isinstance(ends, IfClient) else None
    if client and client.pci == server.pci:
        raise UsageError(f"NIC={order.nic} and CLIENT={order.client} are the same port ({server.pci}); a cable has two"
                         " ends")
    for nic in (server, client):
        if nic and not nic.interface:
            by_hand = shlex.join(binding.bind_command(binding.kernel_driver(host, nic), nic.pci))
            raise MachineError(f"{nic.pci} has driver {nic.driver or 'none'} and no interface: give it to its kernel "
                               f"driver first, so that it can be given back: `{by_hand}`")
    return NicPair(server, client, remotes, binding.choose_binding(host, server, order.noiommu), order)
