# SPDX-License-Identifier: BSD-3-Clause
"""Find both ends of a wire with a NIC, as one run uses them. Does nothing to them."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from harness.errors import MachineError, UsageError
from harness.host import Host, Nic, find_nic
from harness.plan import IfClient, NicRequest, SshTarget, parse_client
from harness.provision.nic.driver import Binding, bind_command, choose_binding, kernel_driver


@dataclass(frozen=True)
class NicPair:
    """Both ends of the link.

    `server`: the port of this machine that all contenders have in turn
    `client`: another port of it; None where `remotes` are the other end
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
        """Return the ports of this machine."""
        return [self.server, *([self.client] if self.client else [])]


def find_pair(host: Host, order: NicRequest) -> NicPair:
    """Find what was asked for. UsageError if it is not there, MachineError if it cannot be used."""
    server = find_nic(host, order.nic)
    ends = parse_client(order.client)
    remotes = () if isinstance(ends, IfClient) else ends.targets
    client = find_nic(host, ends.interface) if isinstance(ends, IfClient) else None
    if client and client.pci == server.pci:
        raise UsageError(f"NIC={order.nic} and CLIENT={order.client} are the same port "
                         f"({server.pci});"
                         " a cable has two ends")
    pair = NicPair(server, client, remotes, choose_binding(host, server, order.noiommu), order)
    for nic in pair.local:
        if not nic.interface:
            by_hand = shlex.join(bind_command(kernel_driver(host, nic), nic.pci))
            raise MachineError(f"{nic.pci} has driver {nic.driver or 'none'} and no interface: "
                               "give it to"
                               " its kernel driver first, so that it can be given back: "
                               f"`{by_hand}`")
    return pair
