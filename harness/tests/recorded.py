# SPDX-License-Identifier: BSD-3-Clause
"""A machine as it was recorded, or written down from the kernel's documentation: answers what is read of it, and
nothing can be changed on it. record_machine.py makes such files, data/machines/README.md says how they are written.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any, Mapping, Sequence

from harness.errors import MachineError
from harness.host import Host, Result

MACHINES = Path(__file__).resolve().parent / "data" / "machines"
LINK = "-> "


class RecordedHost(Host):
    """`tree`: directories in directories, a file's text, or "-> TARGET" for a link; `commands`: command line -> what it
    prints. `asked`: the commands that were run. A command that is not recorded fails the test.
    """

    def __init__(self, name: str) -> None:
        machine = load(name)
        self.name = name
        self.tree: dict[str, Any] = {}
        for path, node in machine.get("tree", {}).items():
            self.put(path, node)
        self.commands: dict[str, Any] = dict(machine.get("commands", {}))
        self.missing: set[str] = set(machine.get("missing", []))
        self.root: bool = machine.get("root", True)
        self.asked: list[str] = []

    def put(self, path: str, node: Any) -> None:
        """A file, link or directory at a place; None takes it away. Directories are merged."""
        *parents, name = path.strip("/").split("/")
        directory = self.tree
        for parent in parents:
            directory = directory.setdefault(parent, {})
        if node is None:
            directory.pop(name, None)
        elif isinstance(node, Mapping):
            directory.setdefault(name, {})
            for child, below in node.items():
                self.put(f"{path}/{child}", below)
        else:
            directory[name] = node

    def _at(self, path: str | Path) -> Any:
        node: Any = self.tree
        for name in str(path).strip("/").split("/"):
            node = node.get(name) if isinstance(node, Mapping) else None
        return node

    def run(self, argv: Sequence[str], *, netns: str | None = None, timeout: float = 30, check: bool = True) -> Result:
        line = shlex.join(argv)
        self.asked.append(line)
        assert netns is None and line in self.commands, f"{self.name}: not recorded: {line}"
        answer = self.commands[line]
        result = Result(answer["code"], "", answer["stderr"]) if isinstance(answer, dict) else Result(
            0, answer if isinstance(answer, str) else json.dumps(answer), "")
        if check and result.code != 0:
            raise MachineError(f"`{line}` failed (exit {result.code}): {result.complaint}")
        return result

    def read(self, path: str | Path) -> str:
        node = self._at(path)
        if not isinstance(node, str) or node.startswith(LINK):
            raise MachineError(f"cannot read {path}: No such file or directory")
        return node

    def exists(self, path: str | Path) -> bool:
        return self._at(path) is not None

    def link_target(self, path: str | Path) -> str:
        node = self._at(path)
        return node.removeprefix(LINK).rpartition("/")[2] if isinstance(node, str) and node.startswith(LINK) else ""

    def listing(self, path: str | Path) -> list[str]:
        node = self._at(path)
        return sorted(node) if isinstance(node, Mapping) else []

    def which(self, program: str) -> str | None:
        return None if program in self.missing else f"/usr/bin/{program}"

    def is_root(self) -> bool:
        return self.root

    def write(self, path: str | Path, text: str) -> None:
        raise AssertionError(f"something that only looks wrote {text!r} to {path}")


def load(name: str) -> dict[str, Any]:
    """A machine over its base: directories are merged, null takes away, everything else is replaced."""
    machine: dict[str, Any] = json.loads((MACHINES / f"{name}.json").read_text())
    assert machine["about"], name
    base = load(machine["base"]) if "base" in machine else {}
    return {**base, **machine, "tree": _over(base.get("tree", {}), machine.get("tree", {})),
            "commands": {**base.get("commands", {}), **machine.get("commands", {})}}


def _over(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for name, node in over.items():
        below = merged.get(name)
        merged[name] = _over(below, node) if isinstance(node, Mapping) and isinstance(below, Mapping) else node
    return merged
