#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Check the rooms of harness/ and of servers/: no circle of imports or includes, no room and no file too full.

In harness/ imports also follow the data, through public faces. Every import counts, also one inside a function or under
TYPE_CHECKING. In servers/ a module is a .c and its .h. Prints both graphs of rooms; exit 1 on a violation.
Usage: check_imports.py [ROOT]
"""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Iterable, Iterator, Mapping

MOST_FILES, MOST_LINES = 12, 400
# What each package may import. The data flows plan → provision → trial → store → analyse → report: an arrow points to
# what must be there first. harness.errors and harness.structure are everybody's.
ARROWS: Mapping[str, frozenset[str]] = {package: frozenset(others.split()) for package, others in {
    "plan": "",
    "host": "plan",
    "store": "plan",
    "provision": "plan host",
    "facts": "plan host provision",
    "trial": "plan host provision store",
    "conformance": "plan host provision facts trial store",
    "analyse": "plan store",
    "profile": "plan store",
    "regression": "plan store analyse",
    "report": "plan store analyse profile regression",
    "run": "plan host provision facts trial store analyse profile",
    "doctor": "plan host provision",
    "wrappers": "plan",
    "cli": "plan host provision facts trial store analyse regression report run conformance doctor",
    "__main__": "cli",
}.items()}
FREE = frozenset(("errors", "structure"))
INCLUDE = re.compile(r'^#include "([^"]+)"', re.MULTILINE)
INCLUDE_PATH = ("servers", "servers/stack")


def modules(root: Path) -> dict[str, Path]:
    """Map the dotted name of every module of harness/, tests left out, to its file."""
    found = {}
    for file in sorted((root / "harness").rglob("*.py")):
        parts = file.relative_to(root).with_suffix("").parts
        if "tests" not in parts:
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def shown(file: Path) -> frozenset[str]:
    """Name what a module binds by an import at its top: of a package, its public face."""
    return frozenset(alias.asname or alias.name for node in ast.parse(file.read_text("utf-8"), str(file)).body
                     if isinstance(node, ast.ImportFrom) for alias in node.names)


def imports(file: Path, known: Mapping[str, Path]) -> Iterator[tuple[str, int]]:
    """Yield each module of harness/ that a file imports, with the line.

    A name that a face shows is the face's, also where a module of the package has that name.
    """
    for node in ast.walk(ast.parse(file.read_text("utf-8"), str(file))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module and node.module in known:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                is_module = inner in known and alias.name not in shown(known[node.module])
                yield (inner if is_module else node.module), node.lineno


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


def long_files(root: Path, files: Iterable[Path]) -> list[str]:
    """Return a line for each file with too many lines."""
    return [f"{file.relative_to(root)}: {count} lines, more than {MOST_LINES}" for file in files
            if (count := len(file.read_text("utf-8").splitlines())) > MOST_LINES]


def check(root: Path) -> tuple[list[str], dict[str, set[str]]]:
    """Return the violations, a line each, and the package graph."""
    known, wrong = modules(root), []
    graph: dict[str, set[str]] = {name: set() for name in known}
    rooms: dict[str, set[str]] = {}
    for name, file in known.items():
        here = package(name)
        for other, line in imports(file, known):
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
    folders = Counter(file.parent for file in known.values())
    wrong += [f"{folder.relative_to(root)}: {count} source files, more than {MOST_FILES}"
              for folder, count in folders.items() if count > MOST_FILES]
    return wrong + long_files(root, known.values()), rooms


def included(root: Path, file: Path) -> Iterator[Path]:
    """Yield the module, a path without suffix, of each header of ours that a C file includes."""
    for name in INCLUDE.findall(file.read_text("utf-8")):
        for folder in (file.parent, *(root / folder for folder in INCLUDE_PATH)):
            if (folder / name).is_file():
                yield (folder / name).relative_to(root).with_suffix("")
                break


def check_includes(root: Path) -> tuple[list[str], dict[str, set[str]]]:
    """Return the violations of servers/, a line each, and the graph of its rooms; tests are left out."""
    graph: dict[str, set[str]] = {}
    rooms: dict[str, set[str]] = {}
    files = [file for file in sorted((root / "servers").rglob("*.[ch]")) if file.relative_to(root).parts[1] != "tests"]
    for file in files:
        module = file.relative_to(root).with_suffix("")
        room = module.parts[1]
        others = graph.setdefault(str(module), set())
        for other in included(root, file):
            if other != module:
                others.add(str(other))
            if other.parts[1] != room:
                rooms.setdefault(room, set()).add(other.parts[1])
    wrong = [f"include circle: {' -> '.join(found)}" for found in [circle(graph)] if found]
    wrong += [f"circle of rooms: {' -> '.join(found)}" for found in [circle(rooms)] if found]
    folders = Counter(str(Path(module).parent) for module in graph)
    wrong += [f"{folder}: {count} modules, more than {MOST_FILES}"
              for folder, count in folders.items() if count > MOST_FILES]
    return wrong + long_files(root, files), rooms


def main() -> int:
    """Print the graphs and the violations; 1 if there are any."""
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1]
    wrong = []
    for language, checked in (("Python", check(root)), ("C", check_includes(root))):
        print(f"{language}:")
        wrong += checked[0]
        for name, others in sorted(checked[1].items()):
            print(f"{name:>10} -> {' '.join(sorted(others))}")
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
