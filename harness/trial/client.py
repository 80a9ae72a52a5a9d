# SPDX-License-Identifier: BSD-3-Clause
"""Run programs at the client's end of one contender, as that end wants them run.

Knows namespaces, CPUs, the launcher and its counters; not what is run, nor what for.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Mapping, Sequence

from harness.errors import ContenderError, MachineError
from harness.host import Host, Process
from harness.plan import Plan
from harness.provision import Provisioned, ResolvedWire
from harness.trial.observe import preload_counters
from harness.trial.server import Running, launcher

# a call with the pid of the client's process
Tick = Callable[[int], None]
# from the words that must stand before a program's own to its argv
Argv = Callable[[Sequence[str]], list[str]]
_WATCH_SECONDS = 0.25
_TICK_SECONDS = 0.1
# build/on-lwip's for "this machine, or this program, cannot", and build/loadgen's
_MACHINE_CANNOT = 3
# a million connections are reset first
_STOP_SECONDS = 20


@dataclass(frozen=True)
class Ended:
    """A client process that has ended.

    counters, samples: of its library over its whole life, and some meanwhile; None and () for a
    client of the kernel's sockets
    """

    program: str
    code: int
    stdout: Path
    stderr: Path
    counters: dict[str, Any] | None
    samples: tuple[dict[str, Any], ...]

    def failure(self) -> ContenderError:
        """Return its end as an error, with its last words."""
        return _failure(self.program, self.code, self.stderr)


class Started:
    """A client process at work. Whoever has one calls stop(), or close() when something failed."""

    def __init__(self, process: Process, program: str, running: Running, stdout: Path,
                 stderr: Path) -> None:
        self.stdout = stdout
        self._process = process
        self._program = program
        self._running = running
        self._stderr = stderr

    @property
    def pid(self) -> int:
        return self._process.pid

    def lines(self) -> list[str]:
        """Return the whole lines of its stdout so far."""
        return self.stdout.read_text(errors="replace").split("\n")[:-1]

    def poll(self) -> int | None:
        """Return its exit code; None while it runs."""
        return self._process.poll()

    def check_alive(self) -> None:
        """Raise ContenderError if it or the contender has ended; MachineError if it says that the
        machine cannot."""
        code = self._process.poll()
        if code is not None:
            failure = self.failure(code)
            raise MachineError(str(failure)) if code == _MACHINE_CANNOT else failure
        self._running.check_alive("under load")

    def stop(self) -> int:
        """End it and return its exit code."""
        return self._process.stop(_STOP_SECONDS)

    def close(self) -> None:
        """End it in whatever state it is; never fails for one that has ended already."""
        if self._process.poll() is None:
            self._process.stop(_STOP_SECONDS)

    def failure(self, code: int) -> ContenderError:
        return _failure(self._program, code, self._stderr)


def last_line(stderr: Path) -> str:
    """Return the last words of a program that has failed."""
    lines = stderr.read_text(errors="replace").split("\n") if stderr.exists() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")


def _failure(program: str, code: int, stderr: Path) -> ContenderError:
    return ContenderError(f"{program} failed (exit {code}): {last_line(stderr)} (all in {stderr})")


@dataclass(frozen=True)
class Client:
    """The client's end. `raw`: the directory for what its programs print."""

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
        """Every machine that a client of the kernel's sockets is on; another one has no namespace
        of ours."""
        return self.provisioned.sites or (self.host,)

    @property
    def namespace(self) -> str:
        return self.running.contender.client.endpoint.namespace

    def start(self, name: str, program: str, argv: Argv) -> Started:
        """Start `program`, as run() does, and leave it at work."""
        stdout, stderr, _, process = self._spawn(name, argv, {})
        started = Started(process, program, self.running, stdout, stderr)
        try:
            self.provisioned.journal.process(process)
        except BaseException:
            started.close()
            raise
        return started

    def run(self, name: str, program: str, argv: Argv, env: Mapping[str, str], timeout: float,
            tick: Tick | None = None) -> Ended:
        """Run `program` to its end, for no longer than `timeout` s or than the contender lives.

        <raw>/<name>.stdout, .stderr and, with a launcher, .counters stay. `tick` is called some ten
        times a second. MachineError when the launcher refuses, ContenderError when the program does
        not end, has not counted or the contender has died; a failure of the program is the caller's
        to see.
        """
        stdout, stderr, counters, process = self._spawn(name, argv, env)
        samples: list[dict[str, Any]] = []
        try:
            self.provisioned.journal.process(process)
            code = self._watch(process, program, timeout, counters, samples, tick)
        finally:
            if process.poll() is None:
                process.stop(1)
        self.running.check_alive("under load")
        ended = Ended(program, code, stdout, stderr,
                      preload_counters.read(counters, 0) if counters else None, tuple(samples))
        if counters and code == _MACHINE_CANNOT:
            raise MachineError(str(ended.failure()))
        if counters and code == 0 and ended.counters is None:
            raise ContenderError(f"{program} ran under {shlex.join(self._launcher(counters)[:1])}, "
                                 f"but no counters are in {counters}")
        return ended

    def _launcher(self, counters: Path) -> list[str]:
        return launcher(self.wire, self.running.contender, self.plan, self.provisioned, counters)

    def _spawn(self, name: str, argv: Argv,
               env: Mapping[str, str]) -> tuple[Path, Path, Path | None, Process]:
        """Return stdout, stderr, the file of its library's counters if it has one, and itself."""
        stdout, stderr, counters = (self.raw / f"{name}.{kind}"
                                    for kind in ("stdout", "stderr", "counters"))
        words = self._launcher(counters)
        counters.unlink(missing_ok=True)
        process = self.host.spawn(argv(words), netns=self.namespace, cpus=self.plan.client_cpus,
                                  stdout=stdout, stderr=stderr, env=env)
        return stdout, stderr, counters if words else None, process

    def _watch(self, process: Process, program: str, timeout: float, counters: Path | None,
               samples: list[dict[str, Any]], tick: Tick | None) -> int:
        waited, step = 0.0, _TICK_SECONDS if tick else _WATCH_SECONDS
        while True:
            try:
                return process.wait(step)
            except TimeoutError:
                self.running.check_alive("under load")
                if tick:
                    tick(process.pid)
                sample = preload_counters.glance(counters) if counters else None
                if sample:
                    samples.append(sample)
                waited += step
                if waited > timeout:
                    raise ContenderError(f"{program} did not end within {timeout:g} s") from None
