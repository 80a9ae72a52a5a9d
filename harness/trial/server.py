# SPDX-License-Identifier: BSD-3-Clause
"""Start a contender, wait for READY, read its counters, stop it.

Knows the servers' contract (servers/common/counters.h) and the preload library's
(preload_counters.py), not what is measured with them.
"""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

from harness.errors import ContenderError
from harness.host import Host, Process
from harness.plan import KERNEL, PRELOAD, Contender, Plan
from harness.provision import DIRECTORY, Provisioned, ResolvedWire, socket_path
from harness.trial.observe import preload_counters

ROOT = Path(__file__).resolve().parents[2]
READY_SECONDS = 30
SNAPSHOT_SECONDS = 10
STOP_SECONDS = 10
_POLL_SECONDS = 0.01


class Running:
    """A started contender. Whoever has one calls stop(), or close() when something failed."""

    def __init__(self, host: Host, contender: Contender, port: int, process: Process, stdout: Path,
                 stderr: Path, counters_file: Path | None = None) -> None:
        self.contender = contender
        self.address = contender.endpoint.ip
        self.port = port
        self._host = host
        self._process = process
        self._stdout = stdout
        self._stderr = stderr
        self._counters_file = counters_file

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_ready(self, timeout: float = READY_SECONDS) -> None:
        """Wait until it serves; ContenderError when it dies first, or takes over `timeout` s."""
        deadline = time.monotonic() + timeout
        while not self._is_ready():
            self.check_alive("before it was ready")
            if time.monotonic() > deadline:
                raise self._error(f"was not ready after {timeout:g} s")
            time.sleep(_POLL_SECONDS)

    def check_alive(self, when: str) -> None:
        """Raise ContenderError if it has ended."""
        code = self._process.poll()
        if code is not None:
            raise self._error(f"{_ending(code)} {when}")

    def snapshot(self, timeout: float = SNAPSHOT_SECONDS) -> dict[str, Any] | None:
        """Return its counters so far; None for one that has none, ContenderError for no JSON."""
        if self._counters_file:
            self.check_alive("when asked for its counters")
            # what was counted just now is not there at once
            time.sleep(preload_counters.REWRITTEN_SECONDS)
            return self._library_counters(self._counters_file)
        if not self.contender.counters:
            return None
        seen = len(self._lines())
        self._process.signal(signal.SIGUSR1)
        deadline = time.monotonic() + timeout
        while len(self._lines()) == seen:
            self.check_alive("when asked for its counters")
            if time.monotonic() > deadline:
                raise self._error(f"gave no counters within {timeout:g} s of SIGUSR1")
            time.sleep(_POLL_SECONDS)
        return self._counters(self._lines()[seen])

    def stop(self, timeout: float = STOP_SECONDS) -> dict[str, Any] | None:
        """End it and return its final counters, None if it has none; ContenderError when it ends
        other than well."""
        self.check_alive("before it was stopped")
        code = self._process.stop(timeout)
        if code == -signal.SIGKILL:
            raise self._error(f"did not end within {timeout:g} s of SIGTERM and was killed")
        if self._counters_file:
            return self._library_counters(self._counters_file)
        if not self.contender.counters:
            return None
        if code != 0:
            raise self._error(f"{_ending(code)} when it was stopped")
        lines = self._lines()
        return self._counters(lines[-1] if lines else "")

    def close(self) -> None:
        """End it in whatever state it is; never fails for one that has ended already."""
        if self._process.poll() is None:
            self._process.stop(STOP_SECONDS)

    def _is_ready(self) -> bool:
        if self.contender.ready == "line":
            return any(line.startswith("READY ") for line in self._lines())
        if self.contender.ready == "socket":
            return self._host.exists(socket_path(self.contender.end))
        # the kernel of its own namespace has no way to a server on lwIP
        contender = self.contender
        end = contender.endpoint if contender.stack == KERNEL else contender.client.endpoint
        try:
            self._host.connect(end.namespace, self.address, self.port, 1).close()
        except OSError:
            return False
        return True

    def _lines(self) -> list[str]:
        """Return the whole lines of its stdout so far."""
        return self._stdout.read_text(errors="replace").split("\n")[:-1]

    def _counters(self, line: str) -> dict[str, Any]:
        try:
            counters = json.loads(line)
        except json.JSONDecodeError:
            counters = None
        if not isinstance(counters, dict) or not all(
                isinstance(counters.get(key), int) for key in ("requests_parsed", "responses_sent")):
            raise self._error(f"printed no counters but {line[:80]!r}")
        return counters

    def _library_counters(self, file: Path) -> dict[str, Any]:
        counters = preload_counters.read(file)
        if counters is None:
            raise self._error(f"has no counters in {file}")
        return counters

    def _error(self, what: str) -> ContenderError:
        lines = [line.strip() for line in self._stderr.read_text(errors="replace").splitlines()]
        words = next((line for line in reversed(lines) if line), "")
        last = f"its last words: {words}" if words else "it said nothing on stderr"
        return ContenderError(f"contender '{self.contender.name}' {what}; {last} "
                              f"(all in {self._stderr})")


def _ending(code: int) -> str:
    return (f"was killed by {signal.Signals(-code).name}" if code < 0
            else f"ended with exit code {code}")


def start(host: Host, wire: ResolvedWire, contender: Contender, plan: Plan, provisioned: Provisioned,
          raw: Path) -> Running:
    """Start a contender on the server CPUs, in its namespace; <raw>/<name>.{stdout,stderr} get its
    words.

    `raw` must exist. The process is in the journal before this returns: a restore finds it.
    """
    stdout, stderr, counters = (raw / f"{contender.file_name}.{kind}"
                                for kind in ("stdout", "stderr", "counters"))
    if contender.end.socket:
        # one that was killed has left it, and nobody could listen there
        host.unlink(socket_path(contender.end))
    counts = contender.stack == PRELOAD or any("{counters}" in argument
                                               for argument in contender.arguments)
    if counts:
        counters.unlink(missing_ok=True)
    process = host.spawn(command(wire, contender, plan, provisioned, counters),
                         netns=contender.endpoint.namespace, cpus=plan.server_cpus, stdout=stdout,
                         stderr=stderr)
    running = Running(host, contender, plan.port, process, stdout, stderr,
                      counters if counts else None)
    try:
        provisioned.journal.process(process)
    except BaseException:
        running.close()
        raise
    return running


def command(wire: ResolvedWire, contender: Contender, plan: Plan, provisioned: Provisioned,
            counters: Path) -> list[str]:
    """Return argv of a contender; its program is an absolute path unless it is found on PATH."""
    return _from_top(contender.command(_values(wire, contender, plan, provisioned, counters)))


def launcher(wire: ResolvedWire, contender: Contender, plan: Plan, provisioned: Provisioned,
             counters: Path) -> list[str]:
    """Return what stands before the argv of a client of this contender; [] for kernel sockets.

    `counters`: the file in which this one client process is to count.
    """
    values = _values(wire, contender, plan, provisioned, counters)
    return _from_top(contender.client.command(values))


def _values(wire: ResolvedWire, contender: Contender, plan: Plan, provisioned: Provisioned,
            counters: Path) -> dict[str, str]:
    """Return what the placeholders of wire.py stand for."""
    memory_mib = wire.hugepage_kib * wire.hugepage_count // 1024
    return {
        "port": str(plan.port), "max_connections": str(plan.room(contender.name)),
        "body_size": str(plan.workload.body_size_bytes), "counters": str(counters),
        "raw": str(counters.parent),
        "run_directory": DIRECTORY, "server_cores": str(len(plan.server_cpus)),
        "server_cpus": ",".join(map(str, plan.server_cpus)),
        "pci": wire.nic.server.pci if wire.nic else "",
        "socket": socket_path(contender.end), "ring": str(contender.end.ring),
        "eal_memory": "--in-memory" if provisioned.hugepages
        # --in-memory and --no-huge exclude each other; these leave nothing on disk either
        else f"--no-huge -m {memory_mib} --no-shconf"}


def _from_top(words: list[str]) -> list[str]:
    return [str(ROOT / words[0]) if "/" in words[0] else words[0], *words[1:]] if words else []
