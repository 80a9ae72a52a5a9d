# SPDX-License-Identifier: BSD-3-Clause
"""Read the energy that the processor packages of this machine have used (RAPL, by powercap)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Mapping

from harness.errors import MachineError
from harness.host.host import Host

_POWERCAP = "/sys/class/powercap"
# a package whole; its parts (intel-rapl:0:0) are in it, intel-rapl-mmio tells it once more
_ZONE = re.compile(r"intel-rapl:\d+")


@dataclass(frozen=True)
class Energy:
    """The counter of a package, µJ; after `range` it begins at 0 again."""

    counter: int
    range: int


def energy(host: Host) -> dict[str, Energy]:
    """Return the counter of each package by its name; {} where the machine does not tell."""
    found = {}
    for zone in filter(_ZONE.fullmatch, host.listing(_POWERCAP)):
        try:
            name, counter, most = (host.read(f"{_POWERCAP}/{zone}/{file}").strip()
                                   for file in ("name", "energy_uj", "max_energy_range_uj"))
        except MachineError:
            continue
        # psys has the packages in it
        if name.startswith("package"):
            found[name] = Energy(int(counter), int(most))
    return found


def joules(before: Mapping[str, Energy], after: Mapping[str, Energy]) -> float | None:
    """Return what all packages used between; None where none, or not the same ones, told."""
    if not before or before.keys() != after.keys():
        return None
    return sum((after[name].counter - began.counter) % (began.range + 1)
               for name, began in before.items()) / 1e6
