# SPDX-License-Identifier: BSD-3-Clause
"""Prints this machine as a file of data/machines: all that the harness reads when it looks at network cards.

    sudo python3 -m harness.tests.record_machine "what machine it is" > harness/tests/data/machines/NAME.json

Look it over before it is kept: it names addresses, MACs and programs of this machine. Nothing is changed on it.
"""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any, Sequence

from harness.errors import StackduelError
from harness.guards import reasons
from harness.host import Host, Result
from harness.nic_doctor import candidates, examine
from harness.nic_order import NicOrder
from harness.pci import network_devices
from harness.tests.recorded import LINK


class RecordingHost(Host):
    """The real machine, and a note of every answer."""

    def __init__(self) -> None:
        self.flat: dict[str, Any] = {}
        self.commands: dict[str, Any] = {}
        self.missing: set[str] = set()

    def run(self, argv: Sequence[str], *, netns: str | None = None, timeout: float = 30, check: bool = True) -> Result:
        result = super().run(argv, timeout=timeout, check=check)
        self.commands[shlex.join(argv)] = _told(result)
        return result

    def read(self, path: str | Path) -> str:
        text = super().read(path)
        self.flat[str(path)] = _kept(str(path), text)
        return text

    def exists(self, path: str | Path) -> bool:
        found = super().exists(path)
        if found:
            self.flat.setdefault(str(path), _there(path))
        return found

    def link_target(self, path: str | Path) -> str:
        target = super().link_target(path)
        if target:
            self.flat[str(path)] = LINK + target
        return target

    def listing(self, path: str | Path) -> list[str]:
        names = super().listing(path)
        for name in names:
            self.flat.setdefault(f"{path}/{name}", _there(f"{path}/{name}"))
        return names

    def which(self, program: str) -> str | None:
        found = super().which(program)
        if found is None:
            self.missing.add(program)
        return found

    def tree(self) -> dict[str, Any]:
        """One level of directories, each with what is right in it."""
        tree: dict[str, Any] = {}
        above = {str(parent) for path in self.flat for parent in Path(path).parents}
        for path, node in sorted(self.flat.items()):
            # of what has something in it, it is known that it is there
            if path not in above:
                directory, _, name = path.rpartition("/")
                tree.setdefault(directory, {})[name] = node
        return tree


def _there(path: str | Path) -> Any:
    """Something of which only the name was asked."""
    return {} if Path(path).is_dir() else ""


def _told(result: Result) -> Any:
    if result.code != 0:
        return {"code": result.code, "stderr": result.stderr}
    return json.loads(result.stdout) if result.stdout.startswith("[{") else result.stdout


def _kept(path: str, text: str) -> str:
    """What the harness looks for in files that say more than is needed, or more than others should know."""
    if path == "/proc/self/environ":
        return "\0".join(word for word in text.split("\0") if word.startswith("SSH_CONNECTION="))
    if path == "/proc/cpuinfo":
        return "".join(f"{line}\n" for line in text.split("\n\n")[0].splitlines()
                       if line.startswith(("vendor_id", "model name", "flags")))
    return text


def main(about: str) -> None:
    host = RecordingHost()
    for nic in network_devices(host):
        reasons(host, nic)
        for noiommu in (False, True):
            examine(host, NicOrder(nic.pci, noiommu=noiommu))
    candidates(host)
    print(json.dumps({"about": about, "root": host.is_root(), "missing": sorted(host.missing), "tree": host.tree(),
                      "commands": host.commands}, indent=1))


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except StackduelError as error:
        sys.exit(f"record_machine: {error}")
