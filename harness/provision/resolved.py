# SPDX-License-Identifier: BSD-3-Clause
"""A wire as this machine has it for one plan: a value. How it comes about is in resolve.py."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Mapping

from harness.plan import Reason, Wire
from harness.provision.nic.resolve import NicPair


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
