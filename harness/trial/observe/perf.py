# SPDX-License-Identifier: BSD-3-Clause
"""Let perf(1) sample some cores while a load lasts. What its samples mean: harness/profile/."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, Sequence

from harness.errors import MachineError
from harness.host import Host, command, stat_fields
from harness.provision import Provisioned
from harness.trial.observe.interference import CARRIERS, PF_KTHREAD
from harness.trial.server import Running, Spawned, last_words

PROGRAMS = {"perf": "linux-perf", "addr2line": "binutils"}
# where the processor counts them, only what is not idle is sampled
CYCLES, CLOCK = "cycles", "cpu-clock"
# an odd number, so that it does not go in step with what the kernel does every millisecond
_PER_SECOND = 1999
_STOP_SECONDS = 30
_READ_SECONDS = 240
_FIELDS = "comm,pid,time,event,ip,sym,symoff,dso"
_SYMBOLS = "/proc/kallsyms"
# fields of proc(5) stat after the program's name
_SESSION, _FLAGS = 3, 6


def sampled_event(host: Host) -> str:
    """Return what perf can sample by here. MachineError where it may not."""
    if not any(line.split()[0].strip("0") for line in host.read(_SYMBOLS).splitlines()[:100]):
        raise MachineError("the kernel hides its symbols from perf: "
                           "`sysctl kernel.kptr_restrict=0` shows them to root")
    for event in (CYCLES, CLOCK):
        tried = host.run(["perf", "stat", "-x,", "-a", "-e", event, "--", "true"], check=False)
        if tried.code == 0 and "<not" not in tried.stderr:
            return event
    raise MachineError(f"perf may not count {CLOCK} on this machine: {tried.complaint}")


class Recording:
    """The samples of one load.

    ours: pids of the contender's processes, and of kernel threads that carry packets, when the
        load had ended
    """

    def __init__(self, host: Host, event: str, data: Path) -> None:
        self._host = host
        self._data = data
        self.event = event
        self.ours: frozenset[int] = frozenset()

    @contextmanager
    def during(self, running: Running, up: Provisioned, cpus: Sequence[int],
               aside: Sequence[int]) -> Iterator[None]:
        """Sample `cpus` while the body lasts; perf itself runs on the CPUs `aside`."""
        stdout, stderr = (self._data.with_suffix(f".{kind}") for kind in ("stdout", "stderr"))
        argv = ["perf", "record", "--all-cpus", "--cpu", ",".join(map(str, cpus)), "--event",
                self.event, "--freq", str(_PER_SECOND), "--call-graph", "fp", "--output",
                str(self._data)]
        process = Spawned(self._host.spawn(argv, cpus=aside, stdout=stdout, stderr=stderr),
                          stdout, stderr)
        process.enter(up)
        try:
            yield
            if process.poll() is not None:
                raise MachineError(f"perf has ended early: {last_words(stderr)}")
            self.ours = _ours(self._host, running.pid)
        finally:
            process.stop_seconds = _STOP_SECONDS
            process.close()

    def text(self) -> str:
        """Return the samples as `perf script` prints them."""
        done = self._host.run(["perf", "script", "--force", "--no-inline", "--show-kernel-path",
                               "--fields", _FIELDS, "--input", str(self._data)],
                              timeout=_READ_SECONDS)
        return done.stdout

    def inlined(self, dso: str, addresses: Sequence[int]) -> str:
        """Return what addr2line says of places in a program: which calls were inlined there."""
        done = self._host.run(["addr2line", "-a", "-f", "-i", "-e", dso,
                               *(f"{address:x}" for address in addresses)],
                              timeout=_READ_SECONDS, check=False)
        return done.stdout


def _ours(host: Host, leader: int) -> frozenset[int]:
    """Return the pids in the session of `leader`, and of kernel threads that carry packets."""
    found = {0}
    for name in filter(str.isdecimal, host.listing("/proc")):
        text = host.text(f"/proc/{name}/stat")
        fields = stat_fields(text)
        if fields and (int(fields[_SESSION]) == leader or int(fields[_FLAGS]) & PF_KTHREAD
                       and text.partition("(")[2].startswith(CARRIERS)):
            found.add(int(name))
    return frozenset(found)
