# SPDX-License-Identifier: BSD-3-Clause
"""Which of DPDK's drivers takes a card, by what the installed drivers say of themselves: each carries the PCI ids that
it takes, and the kernel's modules that it works with, as JSON (dpdk-pmdinfo.py prints the same). Only reads.

Must not know whether a card is free, nor how it is bound.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from harness.host.host import Host
from harness.host.pci import Nic

MARK = "PMD_INFO_STRING= "
ANY = 0xffff


@dataclass(frozen=True)
class Pmd:
    """`modules`: what it works with ("vfio-pci"), or needs beside the card's own driver ("mlx5_ib")."""

    name: str
    modules: tuple[str, ...]


def driver_for(host: Host, nic: Nic) -> Pmd | None:
    """None when the installed DPDK has none for this card."""
    ids = tuple(int(text or "0", 16) for text in
                (nic.vendor, nic.device, nic.subsystem_vendor, nic.subsystem_device))
    for told in _told(host):
        if any(all(mine == its or its == ANY for mine, its in zip(ids, row)) for row in told.get("pci_ids", [])):
            return Pmd(told["name"], tuple(re.findall(r"[\w-]+", told.get("kmod", ""))))
    return None


def _told(host: Host) -> list[dict[str, Any]]:
    """What each plugin for network cards says; every program with DPDK loads them all at its start.

    By grep, for they are 30 MB of binary files.
    """
    libraries = host.query(["pkg-config", "--variable=libdir", "libdpdk"], check=False).stdout.strip()
    plugins = [f"{libraries}/dpdk/{name}" for name in host.listing(f"{libraries}/dpdk") if name.startswith("pmds-")]
    if not plugins:
        return []
    found = host.query(["grep", "--recursive", "--text", "--null-data", "--no-filename", "--only-matching",
                        "--include=librte_net_*.so.*", MARK + "{.*", *plugins], check=False).stdout
    told: list[dict[str, Any]] = [json.loads(text.removeprefix(MARK)) for text in found.split("\0") if text]
    return told
