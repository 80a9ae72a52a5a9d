#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Fails on a writable variable that the cores of a server would share: every one is to be thread-local
(LWIP_TLS, see servers/stack/arch/cc.h) or to stand below with its reason.

usage: check_globals.py BUILD TARGET…   (of Meson; not link-time optimised: such objects have no sections yet)"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Iterator, NamedTuple

# Source file and variable (without the number that the compiler gives to one inside a function): why all cores may
# share it.
SHARED = {
    ("features.c", "features"): "set before the cores start, only read from then on",
    ("stack.c", "region"): "set before the cores start, copied by each",
    ("lwip_server.c", "shared"): "set before the cores start; then each writes its own report",
    ("cores.c", "cores"): "how they are told to stop and to report: atomic, a line for each core",
    ("eal_log.c", "held"): "of the thread that starts EAL, before the cores start",
    ("epoll_server.c", "process"): "set before the threads start, only read from then on",
    ("epoll_server.c", "epoll_busy_polls"): "set while the threads start, one after the other",
    ("uring_server.c", "process"): "set before the threads start, only read from then on",
    ("kernel_listen.c", "slots"): "how many connections there are: atomic, written once a connection",
    ("kernel_threads.c", "threads"): "how they are told to stop and to report: atomic, a line for each thread",
    ("llhttp.c", "lookup_table"): "llhttp's generator leaves out the const; nothing writes it",
}

# Every thread's stack holds a copy of all that is thread-local, also those of DPDK's own threads.
THREAD_LOCAL_LIMIT = 1 << 20

WRITABLE = re.compile(r"\.(data|bss)(\..*)?$|\*COM\*$")
READ_ONLY_ONCE_LOADED = re.compile(r"\.data\.rel\.ro(\..*)?$")
THREAD_LOCAL = re.compile(r"\.(tdata|tbss)(\..*)?$")
OF_THE_SANITIZER = re.compile(r"__(odr_)?asan|\.L")
# address, flags (7 columns; O: an object), section, size, name
SYMBOL = re.compile(r"^[0-9a-f]+ (.{7}) (\S+)\t([0-9a-f]+)\s+(?:\.hidden\s+)?(\S+)$")


class Variable(NamedTuple):
    file: str
    name: str
    section: str
    size: int


def objects_of(build: Path, targets: list[str]) -> dict[Path, str]:
    """Return the objects that the targets are made of, each with the name of its source file."""
    folders = {Path(f"{target}.p").resolve() for target in targets}
    commands = json.loads((build / "compile_commands.json").read_text("utf-8"))
    return {build / command["output"]: Path(command["file"]).name for command in commands
            if (build / command["output"]).resolve().parent in folders}


def variables(objects: dict[Path, str]) -> Iterator[Variable]:
    for path, source in objects.items():
        table = subprocess.run(["objdump", "-t", path], check=True, capture_output=True, encoding="utf-8").stdout
        for line in table.splitlines():
            match = SYMBOL.match(line)
            if match and ("O" in match[1] or THREAD_LOCAL.match(match[2])) and not OF_THE_SANITIZER.match(match[4]):
                name = re.sub(r"\.\d+$", "", match[4])
                yield Variable(source, name, match[2], int(match[3], 16))


def main(build: Path, targets: list[str]) -> int:
    objects = objects_of(build, targets)
    found = list(variables(objects))
    writable = [v for v in found if WRITABLE.match(v.section) and not READ_ONLY_ONCE_LOADED.match(v.section)]
    thread_local = [v for v in found if THREAD_LOCAL.match(v.section)]
    wrong = sorted({(v.file, v.name) for v in writable} - SHARED.keys())
    for file, name in wrong:
        print(f"check_globals: {file}: {name} is writable and all cores share it: make it thread-local "
              "(LWIP_TLS), or say in ci/check_globals.py why it may be", file=sys.stderr)
    compiled = set(objects.values())
    gone = [(file, name) for file, name in SHARED
            if file in compiled and (file, name) not in {(v.file, v.name) for v in writable}]
    for file, name in gone:
        print(f"check_globals: {file} has no writable {name}: take it off the list", file=sys.stderr)
    size = sum(v.size for v in thread_local)
    if size > THREAD_LOCAL_LIMIT:
        largest = max(thread_local, key=lambda v: v.size)
        print(f"check_globals: {size} bytes a thread are too many ({largest.name} of {largest.file} has "
              f"{largest.size}): allocate them when the stack starts", file=sys.stderr)
    if not thread_local:
        print("check_globals: no thread-local variable at all: are these the servers' objects?", file=sys.stderr)
    return 1 if wrong or gone or size > THREAD_LOCAL_LIMIT or not thread_local else 0


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
