# SPDX-License-Identifier: BSD-3-Clause
"""Two ends of a wire for programs of others: the kernel's sockets on a veth pair, or lwIP's over shared memory.

The same test runs on both. On the kernel it shows that the test is right, under the library that the library is.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Iterator, Sequence

from harness.trial.server import ROOT, launcher
from harness.host import Host, Process, Result
from harness.plan import Plan
from harness.provision.provision import Provisioned
from harness.provision.links import socket_path
from harness.plan import PRELOAD, Contender
from harness.provision import ResolvedWire

READY_SECONDS = 30
STOP_SECONDS = 20
CLIENT_SECONDS = 40


@dataclass(frozen=True)
class Server:
    """A program that serves, and where its words go."""

    process: Process
    stdout: Path
    stderr: Path

    def words(self) -> str:
        return self.stdout.read_text(errors="replace") + self.stderr.read_text(errors="replace")


class Ends:
    """`address`: the server's. Programs are started as they are, by their names on PATH."""

    def __init__(self, host: Host, wire: ResolvedWire, plan: Plan, up: Provisioned, contender: str, raw: Path) -> None:
        self.host = host
        self.raw = raw
        self._contender = wire.contenders[contender]
        self.on_lwip = self._contender.link == "shm"
        self._journal = up.journal
        self._socket = Path(socket_path(self._contender.end))
        self.address = self._contender.endpoint.ip
        self._client = launcher(wire, self._contender, plan, up, raw / "client.counters")
        self._server = server_launcher(self._contender, raw / "server.counters") if self.on_lwip else []

    @contextmanager
    def server(self, argv: Sequence[str], port: int, ends_with: int = 0) -> Iterator[Server]:
        """The program, from when it serves at `port` to SIGTERM, which it must obey with that exit code."""
        if self.on_lwip:
            self.host.unlink(self._socket)
        stdout, stderr = self.raw / "server.stdout", self.raw / "server.stderr"
        netns = self._contender.endpoint.namespace
        process = self.host.spawn([*self._server, *argv], netns=netns, stdout=stdout, stderr=stderr)
        server = Server(process, stdout, stderr)
        try:
            self._journal.process(process)
            self._wait_ready(server, port)
            yield server
            assert process.poll() is None, f"it ended under load: {server.words()}"
            assert process.stop(STOP_SECONDS) == ends_with, server.words()
            assert not self.on_lwip or not self._socket.exists(), "it left its socket behind"
        finally:
            self.host.kill_inside(netns)

    def run(self, argv: Sequence[str], timeout: float = CLIENT_SECONDS, stdin: Path | None = None) -> Result:
        """A client to its end, which must come within `timeout` s; its exit code is the caller's to judge."""
        words = [*self._client, *argv]
        if stdin is not None:
            words = ["sh", "-c", 'exec "$@" < "$0"', str(stdin), *words]
        return self.host.run(words, netns=self._contender.client.endpoint.namespace, timeout=timeout, check=False)

    def succeed(self, argv: Sequence[str], timeout: float = CLIENT_SECONDS, stdin: Path | None = None) -> str:
        """What a client prints, which must end well and say nothing on stderr."""
        result = self.run(argv, timeout, stdin)
        assert (result.code, result.stderr) == (0, ""), f"{result.stdout[-2000:]}\n{result.stderr[-2000:]}"
        return result.stdout

    def _wait_ready(self, server: Server, port: int) -> None:
        """Over shared memory its socket says so: one that starts its stack at the first wait is listening then."""
        deadline = time.monotonic() + READY_SECONDS
        while not (self._socket.exists() if self.on_lwip else self._accepts(port)):
            assert server.process.poll() is None, f"it ended before it served: {server.words()}"
            assert time.monotonic() < deadline, f"it does not serve: {server.words()}"
            time.sleep(0.02)

    def _accepts(self, port: int) -> bool:
        try:
            self.host.connect(self._contender.endpoint.namespace, self.address, port, 1).close()
        except OSError:
            return False
        return True


def server_launcher(contender: Contender, counters: Path) -> list[str]:
    """The launcher for a program in the place of lwip_server: with its memory, its port and its address."""
    under = replace(contender, stack=PRELOAD, arguments=(), without=())
    values = {"eal_memory": "--in-memory", "socket": socket_path(contender.end), "counters": str(counters)}
    words = under.command(values)[:-1]
    return [str(ROOT / words[0]), *words[1:]]
