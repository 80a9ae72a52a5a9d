# SPDX-License-Identifier: BSD-3-Clause
"""Which bytes were measured: the SHA-256 of every program of a run and of every library that it is linked with.

Only reads. Libraries as ldd(1) finds them, and the drivers that DPDK loads at its start, which no program is linked with.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Sequence

from harness.facts.hardware import output
from harness.host import Host

ROOT = Path(__file__).resolve().parents[2]
# of ldd: `name => path (address)`, and the dynamic loader's `path (address)`; what it does not find has no path
_LIBRARY = re.compile(r"^\s*(?:\S+ => )?(/\S+) \(0x[0-9a-f]+\)$", re.M)
_EAL = re.compile(r"librte_eal\.so\.(\d+)")


def binaries(host: Host, programs: Sequence[str]) -> dict[str, Any]:
    """`binaries` of facts.json: {"programs": {name: {"path", "sha256"}}, "libraries": {path: sha256}}.

    Of a program a path counts from the top of the project, another name is looked up on PATH; one that is not there has
    null for both. A script has no libraries: those of its interpreter are not what is measured.
    """
    paths = {name: str(ROOT / name) if "/" in name else host.which(name) for name in programs}
    libraries: set[str] = set()
    for path in paths.values():
        libraries.update(_LIBRARY.findall(output(host, ["ldd", path]) or "") if path else ())
    drivers = [file for library in sorted(libraries) for file in _drivers(host, library)]
    return {
        "programs": {name: {"path": path if path is None or "/" not in name else name,
                            "sha256": host.sha256(path) if path else None} for name, path in sorted(paths.items())},
        "libraries": {path: host.sha256(path) for path in sorted({*libraries, *drivers})},
    }


def _drivers(host: Host, library: str) -> list[str]:
    """What EAL loads where no -d is given: the plugins beside the library, in dpdk/pmds-<version>."""
    version = _EAL.search(library)
    if version is None:
        return []
    # the directory carries the ABI's number, as the library does, and a minor one
    above = Path(library).parent / "dpdk"
    return [str(above / name / file) for name in host.listing(above) if name.startswith(f"pmds-{version[1]}.")
            for file in host.listing(above / name) if file.endswith(".so")]
