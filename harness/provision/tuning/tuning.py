# SPDX-License-Identifier: BSD-3-Clause
"""How a machine is tuned for a run, by level: what the rest of the harness needs to know of it.

The steps and their reasons are in tuning_machine.py, a kernel interface's settings in tuning_interface.py, how those
are saved and given back in ethtool.py, the choice of cores in cores.py.
"""

from __future__ import annotations

from typing import Any, Iterable

from harness.provision.tuning.cpus import (choose_client_cpus, choose_server_cpus, isolated_cpus, node_cpus, prefer_isolated,
                           smt_siblings)
from harness.errors import MachineError
from harness.provision.tuning.ethtool import give_back, saved
from harness.host.host import Host
from harness.provision.tuning.interface import tune_interface
from harness.provision.tuning.machine import LEVELS, machine_steps

__all__ = ["LEVELS", "choose_client_cpus", "choose_server_cpus", "give_back", "hugepages_for", "isolated_cpus",
           "machine_steps", "node_cpus", "prefer_isolated", "said", "saved", "smt_siblings", "tune_interface"]
GIB_KIB = 1 << 20


def said(steps: Iterable[object]) -> list[dict[str, Any]]:
    """`tuning` of facts.json: what came of each step that tunes, in their order."""
    return [dict(entry) for step in steps if (entry := getattr(step, "said", None))]


def hugepages_for(host: Host, level: str, node: int | None, size_kib: int, count: int) -> tuple[int, int]:
    """(size in KiB, count) of the pages for as much memory: at "max" of 1 GiB where enough are free, else as asked.

    Fewer misses of the TLB, by DPDK's Getting Started Guide for Linux ("Use of Hugepages in the Linux Environment"),
    which also says that they are best set apart at boot, before memory is in pieces: none are made here. EAL takes
    free ones by itself (tried: with pages of both sizes free, a server took its memory from the larger).
    """
    needed = -(-size_kib * count // GIB_KIB)
    free = f"{pages(GIB_KIB, node)}/free_hugepages"
    try:
        enough = level == "max" and count > 0 and int(host.read(free)) >= needed
    except MachineError:
        enough = False
    return (GIB_KIB, needed) if enough else (size_kib, count)


def pages(size_kib: int, node: int | None) -> str:
    """The kernel's directory of hugepages of a size: of one NUMA node, or (None) of the whole machine."""
    where = "/sys/kernel/mm/hugepages" if node is None else f"/sys/devices/system/node/node{node}/hugepages"
    return f"{where}/hugepages-{size_kib}kB"
