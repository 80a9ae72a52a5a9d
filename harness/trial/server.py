# SPDX-License-Identifier: BSD-3-Clause
"""Start a contender, wait for READY, read its counters, stop it.

Knows the servers' contract (servers/common/counters.h) and the preload library's
(observe/counters.py), not what is measured with them.
"""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Callable

from harness.errors import ContenderError
from harness.host import Host, Process
from harness.plan import KERNEL, PRELOAD, Contender, Plan
from harness.provision import DIRECTORY, Provisioned, ResolvedWire, socket_path
from harness.trial.observe import counters
from harness.trial.observe.counters import Counters

ROOT = Path(__file__).resolve().parents[2]
# counters of requests, of every server of ours
REQUESTS = ("requests_parsed", "responses_sent")
READY_SECONDS = 30
SNAPSHOT_SECONDS = 10
STOP_SECONDS = 10
_POLL_SECONDS = 0.01


class Spawned:
    """A process whose output goes to files. Whoever has one calls close() when something failed."""

    stop_seconds = STOP_SECONDS

    def __init__(self, process: Process, stdout: Path, stderr: Path) -> None:
        self.stdout = stdout
        self.stderr = stderr
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    def lines(self) -> list[str]:
        """Return the whole lines of its stdout so far."""
        return self.stdout.read_text("utf-8", "replace").split("\n")[:-1]

    def poll(self) -> int | None:
        return self._process.poll()

    def enter(self, up: Provisioned) -> None:
        """Enter it into the journal, where a restore finds it; end it where that fails."""
        try:
            up.journal.process(self._process)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End it in whatever state it is; never fails for one that has ended already."""
        if self.poll() is None:
            self._process.stop(self.stop_seconds)


def last_words(stderr: Path) -> str:
    """Return the last line that a program wrote, "" if it wrote none."""
    lines = stderr.read_text("utf-8", "replace").split("\n") if stderr.exists() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


class Running(Spawned):
    """A started contender, with the file in which a library counts for it if one does.

    Whoever has one calls stop(), or close() when something failed.
    """

    def __init__(self, host: Host, contender: Contender, port: int, process: Process, stdout: Path,
                 stderr: Path, counters_file: Path | None = None) -> None:
        super().__init__(process, stdout, stderr)
        self.contender = contender
        self.address = contender.endpoint.ip
        self.port = port
        # of the trials that it has served: how many, its counters then, requests still under way
        self.trials = 0
        self._counted: Counters | None = None
        self._under_way = 0
        self._host = host
        self._counters_file = counters_file
        self._paused = False

    def pause(self, always: bool = False) -> None:
        """Stop its processes where they are, if it polls: one that sleeps burns nothing.

        always: whether or not it polls
        """
        if (always or self.contender.polls) and not self._paused:
            self._paused = True
            self._process.signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        if self._paused:
            self._process.signal_all(signal.SIGCONT)
            self._paused = False

    def close(self) -> None:
        # one that is paused would not end by SIGTERM
        self.resume()
        super().close()

    def served(self, counted: Counters | None, under_way: int) -> None:
        """Note what it had counted when a trial ended, and how many requests were under way."""
        self.trials += 1
        self._counted, self._under_way = counted, under_way

    def check_unasked(self, counted: Counters | None) -> None:
        """Raise ContenderError if it counted more since its last trial than was under way then."""
        if counted is None or self._counted is None:
            return
        grown = counted.since(self._counted)
        most = max(grown.get(key, 0) for key in REQUESTS)
        if most > self._under_way:
            raise self._error(f"counted {most} requests after its trial had ended, and "
                              f"{self._under_way} were under way: somebody else spoke to it")

    def wait_ready(self, timeout: float = READY_SECONDS) -> None:
        """Wait until it serves; ContenderError when it dies first, or takes over `timeout` s."""
        self._wait(self._is_ready, timeout, "before it was ready",
                   f"was not ready after {timeout:g} s")

    def check_alive(self, when: str) -> None:
        """Raise ContenderError if it has ended."""
        code = self.poll()
        if code is not None:
            raise self._error(f"{_ending(code)} {when}")

    def snapshot(self, timeout: float = SNAPSHOT_SECONDS) -> Counters | None:
        """Return its counters so far; None for one that has none, ContenderError for no JSON."""
        when = "when asked for its counters"
        if self._counters_file:
            self.check_alive(when)
            # what was counted just now is not there at once
            time.sleep(counters.REWRITTEN_SECONDS)
            return self._library_counters(self._counters_file)
        if not self.contender.counters:
            return None
        seen = len(self.lines())
        self._process.signal(signal.SIGUSR1)
        self._wait(lambda: len(self.lines()) > seen, timeout, when,
                   f"gave no counters within {timeout:g} s of SIGUSR1")
        return self._counters(self.lines()[seen])

    def stop(self, timeout: float = STOP_SECONDS) -> Counters | None:
        """End it and return its final counters, None if it has none; ContenderError when it ends
        other than well."""
        self.check_alive("before it was stopped")
        self.resume()
        code = self._process.stop(timeout)
        if code == -signal.SIGKILL:
            raise self._error(f"did not end within {timeout:g} s of SIGTERM and was killed")
        if self._counters_file:
            return self._library_counters(self._counters_file)
        if not self.contender.counters:
            return None
        if code != 0:
            raise self._error(f"{_ending(code)} when it was stopped")
        return self._counters("".join(self.lines()[-1:]))

    def _wait(self, done: Callable[[], bool], timeout: float, when: str, late: str) -> None:
        deadline = time.monotonic() + timeout
        while not done():
            self.check_alive(when)
            if time.monotonic() > deadline:
                raise self._error(late)
            time.sleep(_POLL_SECONDS)

    def _is_ready(self) -> bool:
        contender = self.contender
        if contender.ready == "line":
            return any(line.startswith("READY ") for line in self.lines())
        if contender.ready == "socket":
            return self._host.exists(socket_path(contender.end))
        # the kernel of its own namespace has no way to a server on lwIP
        end = contender.endpoint if contender.stack == KERNEL else contender.client.endpoint
        try:
            self._host.connect(end.namespace, self.address, self.port, 1).close()
        except OSError:
            return False
        return True

    def _counters(self, line: str) -> Counters:
        found = counters.counters_of(line)
        if not found or not set(REQUESTS) <= found.counts.keys():
            raise self._error(f"printed no counters but {line[:80]!r}")
        return found

    def _library_counters(self, file: Path) -> Counters:
        found = counters.read(file)
        if found is None:
            raise self._error(f"has no counters in {file}")
        return found

    def _error(self, what: str) -> ContenderError:
        words = last_words(self.stderr)
        last = f"its last words: {words}" if words else "it said nothing on stderr"
        return ContenderError(f"contender '{self.contender.name}' {what}; {last} "
                              f"(all in {self.stderr})")


def _ending(code: int) -> str:
    return (f"was killed by {signal.Signals(-code).name}" if code < 0
            else f"ended with exit code {code}")


def start(host: Host, wire: ResolvedWire, contender: Contender, plan: Plan,
          provisioned: Provisioned, raw: Path) -> Running:
    """Start a contender on the server CPUs, in its namespace; <raw>/<name>.{stdout,stderr} get its
    words.

    `raw` must exist. The process is in the journal before this returns: a restore finds it.
    """
    stdout, stderr, file = (raw / f"{contender.file_name}.{kind}"
                            for kind in ("stdout", "stderr", "counters"))
    if contender.end.socket:
        # one that was killed has left it, and nobody could listen there
        host.unlink(socket_path(contender.end))
    counts = contender.stack == PRELOAD or any("{counters}" in argument
                                               for argument in contender.arguments)
    if counts:
        file.unlink(missing_ok=True)
    process = host.spawn(command(wire, contender, plan, provisioned, file),
                         netns=contender.endpoint.namespace, cpus=plan.server_cpus, stdout=stdout,
                         stderr=stderr)
    running = Running(host, contender, plan.port, process, stdout, stderr,
                      file if counts else None)
    running.enter(provisioned)
    return running


def command(wire: ResolvedWire, contender: Contender, plan: Plan, provisioned: Provisioned,
            file: Path) -> list[str]:
    """Return argv of a contender; its program is an absolute path unless it is found on PATH."""
    return _from_top(contender.command(_values(wire, contender, plan, provisioned, file)))


def launcher(wire: ResolvedWire, contender: Contender, plan: Plan, provisioned: Provisioned,
             file: Path) -> list[str]:
    """Return what stands before the argv of a client of this contender; [] for kernel sockets.

    `file`: the one in which this one client process is to count.
    """
    values = _values(wire, contender, plan, provisioned, file)
    return _from_top(contender.client.command(values))


def _values(wire: ResolvedWire, contender: Contender, plan: Plan, provisioned: Provisioned,
            file: Path) -> dict[str, str]:
    """Return what the placeholders of wire.py stand for."""
    memory_mib = wire.hugepage_kib * wire.hugepage_count // 1024
    return {
        "port": str(plan.port), "max_connections": str(plan.room(contender.name)),
        "body_size": str(plan.workload.body_size_bytes), "counters": str(file),
        "raw": str(file.parent),
        "run_directory": DIRECTORY, "server_cores": str(len(plan.server_cpus)),
        "server_cpus": ",".join(map(str, plan.server_cpus)),
        "pci": wire.nic.server.pci if wire.nic else "",
        "socket": socket_path(contender.end), "ring": str(contender.end.ring),
        "eal_memory": "--in-memory" if provisioned.hugepages
        # --in-memory and --no-huge exclude each other; these leave nothing on disk either
        else f"--no-huge -m {memory_mib} --no-shconf"}


def _from_top(words: list[str]) -> list[str]:
    return [str(ROOT / words[0]) if "/" in words[0] else words[0], *words[1:]] if words else []
