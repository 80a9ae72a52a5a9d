# SPDX-License-Identifier: BSD-3-Clause
"""Hash which bytes were measured: every program, and every library linked with it.

Libraries as ldd(1) finds them, and the drivers that DPDK loads at its start.
"""

from __future__ import annotations

import re
from typing import Iterator, Sequence

from harness.facts.hardware import Json, output
from harness.host import Host, driver_folders
from harness.provision import ROOT

# of ldd: `name => path (address)`, and the dynamic loader's `path (address)`
_LIBRARY = re.compile(r"^\s*(?:\S+ => )?(/\S+) \(0x[0-9a-f]+\)$", re.M)
_EAL = re.compile(r"librte_eal\.so\.\d+")


def binaries(host: Host, programs: Sequence[str]) -> Json:
    """Return {"programs": {name: {"path", "sha256"}}, "libraries": {path: sha256}}.

    A path of a program counts from the top of the project, another name is looked up on PATH; one
    that is not there has null for both. A script has no libraries: its interpreter is not measured.
    """
    paths = {name: str(ROOT / name) if "/" in name else host.which(name)
             for name in sorted(programs)}
    libraries = {library for path in paths.values() if path
                 for library in _LIBRARY.findall(output(host, ["ldd", path]) or "")}
    libraries |= {driver for library in libraries for driver in _drivers(host, library)}
    return {
        "programs": {name: {"path": name if path and "/" in name else path,
                            "sha256": host.sha256(path) if path else None}
                     for name, path in paths.items()},
        "libraries": {path: host.sha256(path) for path in sorted(libraries)},
    }


def _drivers(host: Host, library: str) -> Iterator[str]:
    """Yield what EAL loads beside itself, where the library is EAL."""
    for folder in driver_folders(host, library) if _EAL.search(library) else ():
        yield from (f"{folder}/{file}" for file in host.listing(folder) if file.endswith(".so"))
