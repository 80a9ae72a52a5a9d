# SPDX-License-Identifier: BSD-3-Clause
"""A host that prints what would be done, and does nothing."""

from __future__ import annotations

import shlex
import signal
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Iterator, Sequence

from harness.host.host import Host, Log, Result, command

# what only reads, and so is asked of the real host
_READS = ("query", "exists", "link_target", "listing", "which", "has_module", "is_root", "cpus",
          "io_uring_refusal")


class DryRun(Host):
    """Prints commands that a person could type. Reads answer for real, or what was "written"."""

    def __init__(self, base: Host, log: Log) -> None:
        self._base = base
        self._log = log
        self._written: dict[str, str] = {}
        for name in _READS:
            setattr(self, name, getattr(base, name))

    def run(self, argv: Sequence[str], *, netns: str | None = None, timeout: float = 30,
            check: bool = True) -> Result:
        self._log(shlex.join(command(argv, netns)))
        return Result(0, "", "")

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

    def wait_for(self, condition: Callable[[], bool], seconds: float) -> bool:
        return True

    def send(self, pid: int, started: int, number: signal.Signals) -> bool:
        self._log(f"kill -{number.name.removeprefix('SIG')} {pid}")
        return True

    @contextmanager
    def lock(self, directory: str) -> Iterator[None]:
        yield
