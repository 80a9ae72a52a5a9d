# SPDX-License-Identifier: BSD-3-Clause
"""The client's end of one contender: runs programs there, one after another, as that end wants them run.

Knows namespaces, CPUs, the launcher and its counters; not what is run, nor what for.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Mapping, Sequence

from harness.trial.observe import preload_counters as library
from harness.trial.server import Running, launcher
from harness.errors import ContenderError, MachineError
from harness.host import Host, Process
from harness.plan import Plan
from harness.provision import Provisioned, ResolvedWire

_WATCH_SECONDS = 0.25
_TICK_SECONDS = 0.1
# build/on-lwip's for "this machine, or this program, cannot", and build/loadgen's
_MACHINE_CANNOT = 3
# a million connections are reset first
_STOP_SECONDS = 20


@dataclass(frozen=True)
class Ended:
    """A client process that has ended. `counters`: its library's over its whole life, and `samples` of them.

    None and () for a client of the kernel's sockets.
    """

    program: str
    code: int
    stdout: Path
    stderr: Path
    counters: dict[str, Any] | None
    samples: tuple[dict[str, Any], ...]

    def failure(self) -> ContenderError:
        """With its last words."""
        return _failure(self.program, self.code, self.stderr)


class Started:
    """A client process that is at work. Whoever has one calls stop(), or close() when something else went wrong."""

    def __init__(self, process: Process, program: str, running: Running, stdout: Path, stderr: Path) -> None:
        self.stdout = stdout
        self._process = process
        self._program = program
        self._running = running
        self._stderr = stderr

    @property
    def pid(self) -> int:
        return self._process.pid

    def lines(self) -> list[str]:
        """Whole lines of its stdout so far."""
        return self.stdout.read_text(errors="replace").split("\n")[:-1]

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""
        return self._process.poll()

    def check_alive(self) -> None:
        """ContenderError if it or the contender has ended; MachineError if it says that the machine cannot."""
        code = self._process.poll()
        if code is not None:
            failure = self.failure(code)
            raise MachineError(str(failure)) if code == _MACHINE_CANNOT else failure
        self._running.check_alive("under load")

    def stop(self) -> int:
        """Its exit code."""
        return self._process.stop(_STOP_SECONDS)

    def close(self) -> None:
        """Ends it in whatever state it is; never fails for one that has ended already."""
        if self._process.poll() is None:
            self._process.stop(_STOP_SECONDS)

    def failure(self, code: int) -> ContenderError:
        return _failure(self._program, code, self._stderr)


def _failure(program: str, code: int, stderr: Path) -> ContenderError:
    words = stderr.read_text(errors="replace").split("\n") if stderr.exists() else []
    said = next((line for line in reversed(words) if line.strip()), "it said nothing")
    return ContenderError(f"{program} failed (exit {code}): {said.strip()} (all in {stderr})")


@dataclass(frozen=True)
class Client:
    """`raw`: the directory for what its programs print."""

    host: Host
    wire: ResolvedWire
    plan: Plan
    provisioned: Provisioned
    running: Running
    raw: Path

    @property
    def has_launcher(self) -> bool:
        return bool(self.running.contender.client.launcher)

    @property
    def ends(self) -> tuple[Host, ...]:
        """Every machine that a client of the kernel's sockets is on; another one has no namespace of ours."""
        return self.provisioned.sites or (self.host,)

    @property
    def namespace(self) -> str:
        return self.running.contender.client.endpoint.namespace

    def start(self, name: str, program: str, argv: Callable[[Sequence[str]], list[str]]) -> Started:
        """Starts `program`, as run() does, and leaves it at work. <raw>/<name>.stdout and .stderr stay."""
        stdout, stderr, counters = (self.raw / f"{name}.{kind}" for kind in ("stdout", "stderr", "counters"))
        words = argv(launcher(self.wire, self.running.contender, self.plan, self.provisioned, counters))
        process = self.host.spawn(words, netns=self.namespace, cpus=self.plan.client_cpus, stdout=stdout,
                                  stderr=stderr)
        started = Started(process, program, self.running, stdout, stderr)
        try:
            self.provisioned.journal.process(process)
        except BaseException:
            started.close()
            raise
        return started

    def run(self, name: str, program: str, argv: Callable[[Sequence[str]], list[str]], env: Mapping[str, str],
            timeout: float, tick: Callable[[int], None] | None = None) -> Ended:
        """Runs `program` to its end, for no longer than `timeout` s or than the contender lives.

        `argv` is given the words that must stand before the program's own. <raw>/<name>.stdout, .stderr and, with
        a launcher, .counters stay. `tick` is called with its pid some ten times a second. MachineError when the
        launcher refuses, ContenderError when the program does not end, has not counted or the contender has died; a
        failure of the program is the caller's to see.
        """
        stdout, stderr, counters = (self.raw / f"{name}.{kind}" for kind in ("stdout", "stderr", "counters"))
        words = launcher(self.wire, self.running.contender, self.plan, self.provisioned, counters)
        if words:
            counters.unlink(missing_ok=True)
        process = self.host.spawn(argv(words), netns=self.namespace, cpus=self.plan.client_cpus, stdout=stdout,
                                  stderr=stderr, env=env)
        samples: list[dict[str, Any]] = []
        try:
            self.provisioned.journal.process(process)
            code = self._watch(process, program, timeout, counters if words else None, samples, tick)
        finally:
            if process.poll() is None:
                process.stop(1)
        self.running.check_alive("under load")
        ended = Ended(program, code, stdout, stderr, library.read(counters, 0) if words else None, tuple(samples))
        if words and code == _MACHINE_CANNOT:
            raise MachineError(str(ended.failure()))
        if words and code == 0 and ended.counters is None:
            raise ContenderError(f"{program} ran under {shlex.join(words[:1])}, but no counters are in {counters}")
        return ended

    def _watch(self, process: Process, program: str, timeout: float, counters: Path | None,
               samples: list[dict[str, Any]], tick: Callable[[int], None] | None) -> int:
        waited, step = 0.0, _TICK_SECONDS if tick else _WATCH_SECONDS
        while True:
            try:
                return process.wait(step)
            except TimeoutError:
                self.running.check_alive("under load")
                if tick:
                    tick(process.pid)
                sample = library.glance(counters) if counters else None
                if sample:
                    samples.append(sample)
                waited += step
                if waited > timeout:
                    raise ContenderError(f"{program} did not end within {timeout:g} s") from None
