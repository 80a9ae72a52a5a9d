# SPDX-License-Identifier: BSD-3-Clause
"""What the command line asks for on the wire with a NIC. Must not know whether this machine can do it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping

from harness.errors import UsageError

# of the topology that needs these options
WIRE = "nic"


@dataclass(frozen=True)
class NicOrder:
    """`nic`: PCI address or interface; `client`: "if:NAME" or "ssh:USER@HOST…"; `tune`: a level of tuning.py."""

    nic: str = ""
    client: str = ""
    force: bool = False
    noiommu: bool = False
    tune: str = "fair"


def to_settings(order: NicOrder) -> dict[str, str]:
    """As make takes them, for facts.json and the command that runs it again."""
    return {"NIC": order.nic, "CLIENT": order.client, "TUNE": order.tune, **({"FORCE": "1"} if order.force else {}),
            **({"NOIOMMU": "1"} if order.noiommu else {})}


def from_settings(settings: Mapping[str, str]) -> NicOrder:
    """What to_settings() made. UsageError when it is something else."""
    try:
        return NicOrder(settings["NIC"], settings["CLIENT"], "FORCE" in settings, "NOIOMMU" in settings,
                        settings["TUNE"])
    except (KeyError, TypeError):
        raise UsageError("facts.json: 'nic' does not say how the run was ordered: give NIC= and CLIENT=") from None
