# SPDX-License-Identifier: BSD-3-Clause
"""Find the drivers of the installed DPDK, and read what they say of themselves. Only reads."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Sequence

from harness.host.host import Host

# before what a driver says of itself, as JSON in its binary (as dpdk-pmdinfo.py prints)
_MARK = "PMD_INFO_STRING= "
_ABI = re.compile(r"\.so\.(\d+)")


def driver_folders(host: Host, eal: str) -> list[str]:
    """Return where EAL loads its drivers from where no -d is given: beside the library at `eal`.

    DPDK's own builds and Debian's have dpdk/pmds-<ABI>.<minor>, Fedora dpdk-pmds.
    """
    libraries, abi = Path(eal).parent, _ABI.search(eal)
    own = f"pmds-{abi[1]}." if abi else "pmds-"
    found = [libraries / "dpdk" / name for name in host.listing(libraries / "dpdk")
             if name.startswith(own)]
    flat = libraries / "dpdk-pmds"
    return [str(folder) for folder in [*found, *([flat] if host.listing(flat) else [])]]


def driver_folders_of(host: Host) -> list[str] | None:
    """Return those of the DPDK that programs are built with, [] where it has none; None without
    DPDK."""
    libraries = host.query(["pkg-config", "--variable=libdir", "libdpdk"],
                           check=False).stdout.strip()
    # its target has the ABI's number
    eal = host.link_target(f"{libraries}/librte_eal.so") or "librte_eal.so"
    return driver_folders(host, f"{libraries}/{eal}") if libraries else None


def network_drivers(host: Host, programs: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Return what each driver of network ports says: `name`, `kmod`, `pci_ids`.

    programs: of ours, which have the drivers in themselves where DPDK has no folder of them
    """
    folders = driver_folders_of(host)
    if folders is None or not (folders or programs):
        return []
    # by grep, for they are 30 MB of binaries
    options = ("--recursive", "--text", "--null-data", "--no-filename", "--only-matching")
    places = ["--include=librte_net_*.so.*", _MARK + "{.*", *folders] if folders else [
        _MARK + "{.*", *programs]
    found = host.query(["grep", *options, *places], check=False).stdout.split("\0")
    return [json.loads(text.removeprefix(_MARK)) for text in found if text]
