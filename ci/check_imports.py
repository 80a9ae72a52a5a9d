#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Check the rooms of harness/: imports follow the data, through public faces, without a circle; no room is too full.

Every import counts, also one inside a function or under TYPE_CHECKING. Prints the package graph; exit 1 on a violation.
Usage: check_imports.py [ROOT]
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Iterator, Mapping

MOST_FILES = 12
# What each package may import. The data flows plan → provision → trial → store → analyse → report: an arrow points to
# what must be there first. harness.errors is everybody's.
ARROWS: Mapping[str, frozenset[str]] = {package: frozenset(others.split()) for package, others in {
    "plan": "",
    "host": "plan",
    "store": "plan",
    "provision": "plan host",
    "facts": "plan host provision",
    "trial": "plan host provision store",
    "analyse": "plan store",
    "regression": "plan store analyse",
    "report": "plan store analyse regression",
    "run": "plan host provision facts trial store analyse",
    "doctor": "plan host provision",
    "wrappers": "plan",
    "cli": "plan host provision facts trial store analyse regression report run doctor",
    "__main__": "cli",
}.items()}
FREE = frozenset(("errors",))


def modules(root: Path) -> dict[str, Path]:
    """Map the dotted name of every module of harness/, tests left out, to its file."""
    found = {}
    for file in sorted((root / "harness").rglob("*.py")):
        parts = file.relative_to(root).with_suffix("").parts
        if "tests" not in parts:
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def imports(name: str, file: Path, known: Mapping[str, Path]) -> Iterator[tuple[str, int]]:
    """Yield each module of harness/ that a module imports, with the line."""
    for node in ast.walk(ast.parse(file.read_text(), str(file))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module in known:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield (inner if inner in known else node.module), node.lineno


def package(module: str) -> str:
    """Name the room of a module: the first folder below harness/."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else parts[0]


def circle(graph: Mapping[str, set[str]]) -> list[str]:
    """Find one import circle; [] where there is none."""
    state: dict[str, int] = {}
    path: list[str] = []

    def visit(node: str) -> list[str]:
        state[node] = 1
        path.append(node)
        for other in sorted(graph.get(node, ())):
            if state.get(other) == 1:
                return [*path[path.index(other):], other]
            if other not in state and (found := visit(other)):
                return found
        state[node] = 2
        path.pop()
        return []
    for node in sorted(graph):
        if node not in state and (found := visit(node)):
            return found
    return []


def check(root: Path) -> tuple[list[str], dict[str, set[str]]]:
    """Return the violations, a line each, and the package graph."""
    known, wrong = modules(root), []
    graph: dict[str, set[str]] = {name: set() for name in known}
    rooms: dict[str, set[str]] = {}
    for name, file in known.items():
        here = package(name)
        for other, line in imports(name, file, known):
            there, place = package(other), f"{file.relative_to(root)}:{line}"
            graph[name].add(other)
            if there == here or there in FREE:
                continue
            rooms.setdefault(here, set()).add(there)
            if there not in ARROWS.get(here, frozenset()):
                wrong.append(f"{place}: {here} may not import {there}")
            if other != f"harness.{there}":
                wrong.append(f"{place}: import {other.rpartition('.')[2]} from harness.{there}, its public face")
    if found := circle(graph):
        wrong.append(f"import circle: {' -> '.join(found)}")
    if found := circle(rooms):
        wrong.append(f"circle of packages: {' -> '.join(found)}")
    folders: dict[Path, int] = {}
    for file in known.values():
        folders[file.parent] = folders.get(file.parent, 0) + 1
    wrong += [f"{folder.relative_to(root)}: {count} source files, more than {MOST_FILES}"
              for folder, count in folders.items() if count > MOST_FILES]
    return wrong, rooms


def main() -> int:
    """Print the graph and the violations; 1 if there are any."""
    wrong, rooms = check(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1])
    for name, others in sorted(rooms.items()):
        print(f"{name:>10} -> {' '.join(sorted(others))}")
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
