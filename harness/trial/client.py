# SPDX-License-Identifier: BSD-3-Clause
"""Run programs at the client's end of one contender, as that end wants them run.

Knows namespaces, CPUs, the launcher and its counters; not what is run, nor what for.
"""

from __future__ import annotations

import shlex
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Mapping, Sequence

from harness.errors import ContenderError, MachineError
from harness.host import Host, Process
from harness.plan import KERNEL, Plan
from harness.provision import Provisioned, ResolvedWire
from harness.trial.observe import counters
from harness.trial.observe.counters import Counters
from harness.trial.server import Running, Spawned, last_words, launcher

# a call with the pid of the client's process
Tick = Callable[[int], None]
# from the words that must stand before a program's own to its argv
Argv = Callable[[Sequence[str]], list[str]]
_WATCH_SECONDS = 0.25
_TICK_SECONDS = 0.1
# looks at the output of a program that was left at work
_POLL_SECONDS = 0.005
# build/on-lwip's for "this machine, or this program, cannot", build/loadgen's, build/spinning's
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
    counters: Counters | None
    samples: tuple[Counters, ...]

    def failure(self) -> ContenderError:
        return failure(self.program, self.code, self.stderr)


class Started(Spawned):
    """A client process at work. Whoever has one calls end(), or close() when something failed."""

    stop_seconds = _STOP_SECONDS

    def __init__(self, process: Process, program: str, running: Running, stdout: Path,
                 stderr: Path) -> None:
        super().__init__(process, stdout, stderr)
        self._program = program
        self._running = running
        self._ticked = 0.0

    def wait(self, done: Callable[[Sequence[str]], bool], seconds: float, late: str,
             tick: Tick | None = None) -> None:
        """Return when its whole lines so far are `done`.

        ContenderError, with the word `late`, when that takes over `seconds`, or if it or the
        contender ends; MachineError if it says that the machine cannot.
        """
        deadline = time.monotonic() + seconds
        while not done(self.lines()):
            code = self.poll()
            if code is not None:
                error = failure(self._program, code, self.stderr)
                raise MachineError(str(error)) if code == _MACHINE_CANNOT else error
            self._running.check_alive("under load")
            if time.monotonic() > deadline:
                raise ContenderError(f"{self._program} {late} within {seconds:.0f} s "
                                     f"(see {self.stdout})")
            if tick and time.monotonic() - self._ticked >= _TICK_SECONDS:
                self._ticked = time.monotonic()
                tick(self.pid)
            time.sleep(_POLL_SECONDS)

    def problem(self) -> str:
        """Return its last words if it has ended, "" if it lingers."""
        code = self.poll()
        return "" if code is None else str(failure(self._program, code, self.stderr))

    def end(self) -> None:
        """End it; with 0 or, if its server went first, with 1 it has ended well."""
        code = self._process.stop(_STOP_SECONDS)
        if code not in (0, 1):
            raise failure(self._program, code, self.stderr)


def failure(program: str, code: int, stderr: Path) -> ContenderError:
    """Return a program's end as an error, with its last words."""
    words = last_words(stderr) or "it said nothing"
    return ContenderError(f"{program} failed (exit {code}): {words} (all in {stderr})")


class Loading(Spawned):
    """A client's program that ends by itself, or by interrupt(). Whoever has one calls ended(), and
    close() in any case."""

    stop_seconds = 1

    def __init__(self, client: Client, process: Process, program: str, stdout: Path, stderr: Path,
                 file: Path | None) -> None:
        super().__init__(process, stdout, stderr)
        self._client = client
        self._program = program
        self._file = file

    def pause(self) -> None:
        self._process.signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.signal_all(signal.SIGCONT)

    def glance(self) -> Counters | None:
        """Return what its library has counted so far; None without one, or while it writes."""
        return counters.glance(self._file) if self._file else None

    def interrupt(self) -> None:
        """Have it end now, with its report."""
        self._process.signal_main(signal.SIGINT)

    def close(self) -> None:
        if self.poll() is None:
            # one that is paused would not end by SIGTERM
            self.resume()
        super().close()

    def ended(self, timeout: float, tick: Tick | None = None) -> Ended:
        """Wait for its end; all as Client.run()."""
        client, program, file = self._client, self._program, self._file
        samples: list[Counters] = []
        code = self._watch(timeout, samples, tick)
        client.running.check_alive("under load")
        counted = counters.read(file, 0) if file else None
        ended = Ended(program, code, self.stdout, self.stderr, counted, tuple(samples))
        if code == _MACHINE_CANNOT and client.running.contender.client.launcher:
            raise MachineError(str(ended.failure()))
        if file and code == 0 and counted is None:
            raise ContenderError(f"{program} ran under {shlex.join(client.launcher(file)[:1])}, "
                                 f"but no counters are in {file}")
        return ended

    def _watch(self, timeout: float, samples: list[Counters], tick: Tick | None) -> int:
        waited, step = 0.0, _TICK_SECONDS if tick else _WATCH_SECONDS
        while True:
            try:
                return self._process.wait(step)
            except TimeoutError:
                self._client.running.check_alive("under load")
                if tick:
                    tick(self.pid)
                sample = self.glance()
                if sample:
                    samples.append(sample)
                waited += step
                if waited > timeout:
                    raise TimeoutError(f"{self._program} did not end within {timeout:g} s"
                                       ) from None


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
    def own_stack(self) -> bool:
        """Tell whether its programs' sockets are not the kernel's, so that they count."""
        return self.running.contender.client.stack != KERNEL

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
        started.enter(self.provisioned)
        return started

    def run(self, name: str, program: str, argv: Argv, env: Mapping[str, str], timeout: float,
            tick: Tick | None = None) -> Ended:
        """Run `program` to its end, for no longer than `timeout` s or than the contender lives.

        <raw>/<name>.stdout, .stderr and, with a stack of its own, .counters stay. `tick` is called some ten
        times a second. TimeoutError when the program does not end, MachineError when the launcher
        refuses, ContenderError when it has not counted or the contender has died; a failure of the
        program is the caller's to see.
        """
        loading = self.begin(name, program, argv, env)
        try:
            return loading.ended(timeout, tick)
        finally:
            loading.close()

    def begin(self, name: str, program: str, argv: Argv, env: Mapping[str, str]) -> Loading:
        """Start `program` as run() does, which is `ended` by its caller."""
        stdout, stderr, file, process = self._spawn(name, argv, env)
        loading = Loading(self, process, program, stdout, stderr, file)
        loading.enter(self.provisioned)
        return loading

    def launcher(self, file: Path) -> list[str]:
        """Return what stands before its programs' argv."""
        return launcher(self.wire, self.running.contender, self.plan, self.provisioned, file)

    def _spawn(self, name: str, argv: Argv,
               env: Mapping[str, str]) -> tuple[Path, Path, Path | None, Process]:
        """Return stdout, stderr, the file of its library's counters if it has one, and itself."""
        stdout, stderr, file = (self.raw / f"{name}.{kind}"
                                for kind in ("stdout", "stderr", "counters"))
        words = self.launcher(file)
        file.unlink(missing_ok=True)
        process = self.host.spawn(argv(words), netns=self.namespace, cpus=self.plan.client_cpus,
                                  stdout=stdout, stderr=stderr, env=env)
        return stdout, stderr, file if self.own_stack else None, process
