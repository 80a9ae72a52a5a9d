# SPDX-License-Identifier: BSD-3-Clause
"""A host that prints what would be done and does nothing. Knows no more of wires than host.py does."""

from __future__ import annotations

import shlex
import socket
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Iterator, Mapping, Sequence

from harness.errors import MachineError
from harness.host.host import Host, Log, Process, Result, command


class DryRun(Host):
    """Prints commands that a person could type; reads answer for real, or with what was "written"."""

    def __init__(self, base: Host, log: Log) -> None:
        self._base = base
        self._log = log
        self._written: dict[str, str] = {}

    def run(self, argv: Sequence[str], *, netns: str | None = None, timeout: float = 30,
            check: bool = True) -> Result:
        self._log(shlex.join(command(argv, netns)))
        return Result(0, "", "")

    def query(self, argv: Sequence[str], *, netns: str | None = None, check: bool = True) -> Result:
        return self._base.query(argv, netns=netns, check=check)

    def spawn(self, argv: Sequence[str], *, netns: str | None = None, cpus: Sequence[int] = (), stdout: Path,
              stderr: Path, env: Mapping[str, str] | None = None) -> Process:
        raise MachineError(f"a dry run starts no process: {shlex.join(command(argv, netns, cpus))}")

    def spawn_linked(self, argv: Sequence[str], link: socket.socket, *, stdout: Path | None = None,
                     stderr: Path) -> Process:
        raise MachineError(f"a dry run starts no process: {shlex.join(argv)}")

    def interactive(self, argv: Sequence[str], *, netns: str | None = None) -> int:
        self._log(shlex.join(command(argv, netns)))
        return 0

    def read(self, path: str | Path) -> str:
        written = self._written.get(str(path))
        return self._base.read(path) if written is None else written

    def write(self, path: str | Path, text: str) -> None:
        self._log(f"echo {shlex.quote(text)} > {shlex.quote(str(path))}")
        self._written[str(path)] = text

    def append(self, path: str | Path, text: str) -> None:
        self._log(f"echo {shlex.quote(text.strip())} >> {shlex.quote(str(path))}")

    def make_directory(self, path: str | Path) -> None:
        self._log(f"mkdir -m 700 {shlex.quote(str(path))}")

    def remove_directory(self, path: str | Path) -> bool:
        self._log(f"rmdir {shlex.quote(str(path))}")
        return True

    def unlink(self, path: str | Path) -> bool:
        self._log(f"rm -f {shlex.quote(str(path))}")
        return True

    def exists(self, path: str | Path) -> bool:
        return self._base.exists(path)

    def wait_for(self, condition: Callable[[], bool], seconds: float) -> bool:
        return True

    def link_target(self, path: str | Path) -> str:
        return self._base.link_target(path)

    def listing(self, path: str | Path) -> list[str]:
        return self._base.listing(path)

    def which(self, program: str) -> str | None:
        return self._base.which(program)

    def has_module(self, name: str) -> bool:
        return self._base.has_module(name)

    def is_root(self) -> bool:
        return self._base.is_root()

    def cpus(self) -> list[int]:
        return self._base.cpus()

    def kill(self, pid: int, started: int) -> bool:
        self._log(f"kill -KILL {pid}")
        return True

    def pause(self, pid: int, started: int) -> bool:
        self._log(f"kill -STOP {pid}")
        return True

    def resume(self, pid: int, started: int) -> bool:
        self._log(f"kill -CONT {pid}")
        return True

    @contextmanager
    def lock(self, directory: str) -> Iterator[None]:
        yield
