# SPDX-License-Identifier: BSD-3-Clause
"""Keep one contender up while a battery runs, and grant what its cases wish of the process.

A server that ends is started anew, and the cases that have not ended by then run one by one: so it
shows which of them it did not survive.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time
from pathlib import Path
from typing import Sequence

from harness.conformance.case import Case
from harness.conformance.order import Order, Report, message
from harness.errors import ContenderError, StackduelError
from harness.host import Host, command
from harness.plan import Contender, Plan
from harness.provision import ROOT, Provisioned
from harness.store import Impact, Outcome, Result, from_json
from harness.trial import Client, Running, last_words, prove_answer, prove_neighbour, start

_POLL_SECONDS = 0.2
# of the interpreter's start, and of a machine that is busy
_GRACE_SECONDS = 60.0


class Session:
    """One contender, up; a `with` ends it."""

    def __init__(self, host: Host, up: Provisioned, plan: Plan, contender: Contender,
                 raw: Path) -> None:
        self._host, self._up, self._plan = host, up, plan
        self._contender, self._raw = contender, raw
        self._running = self._started()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def run(self, cases: Sequence[Case]) -> dict[str, Outcome]:
        """Run cases, and return their outcomes by name."""
        found = self._battery(cases)
        for case in cases:
            if case.obligation.case not in found:
                if self._running.poll() is not None:
                    self._restart()
                found |= self._battery([case])
                if self._running.poll() is not None:
                    found[case.obligation.case] = Outcome(
                        Result.MISSED, f"the server ended: {last_words(self._running.stderr)}")
        return found

    def _started(self) -> Running:
        running = start(self._host, self._up.wire, self._contender, self._plan, self._up, self._raw)
        try:
            running.wait_ready()
            # else the first second is that of a bridge that has not heard of the TAP
            prove_neighbour(self._client(running))
        except BaseException:
            running.close()
            raise
        return running

    def _client(self, running: Running) -> Client:
        return Client(self._host, self._up.wire, self._plan, self._up, running, self._raw)

    def _restart(self) -> None:
        self._running.close()
        self._running = self._started()

    def attack(self, name: str) -> Impact:
        """Attack it once, with honest clients beside the attacker."""
        prove_answer(self._client(self._running), self._plan.workload, name)
        # on the client's CPUs: an attacker has none of the server's
        argv = command(["env", f"PYTHONPATH={ROOT}", sys.executable, "-m",
                        "harness.conformance.attacks", self._order((name,)).text()],
                       cpus=self._plan.client_cpus)
        told = self._host.run(argv, netns=self._contender.client.endpoint.namespace,
                              timeout=_GRACE_SECONDS, check=False)
        (self._raw / "attack.stderr").write_text(told.stderr, "utf-8")
        if told.code != 0:
            raise ContenderError(f"the attack {name} could not be made: {told.complaint}")
        return from_json(Impact, json.loads(told.stdout), "attack")

    def _order(self, cases: tuple[str, ...]) -> Order:
        end = self._contender.client.endpoint
        return Order(end.interface, end.network, tuple(sorted(self._taken())),
                     self._running.address, self._running.port, cases)

    def _battery(self, cases: Sequence[Case]) -> dict[str, Outcome]:
        """Run one battery; without the cases that had not ended when the server did."""
        end = self._contender.client.endpoint
        order = self._order(tuple(case.obligation.case for case in cases))
        ours, theirs = socket.socketpair()
        with ours, theirs:
            argv = command(["env", f"PYTHONPATH={ROOT}", sys.executable, "-m",
                            "harness.conformance.battery", order.text()], end.namespace,
                           self._plan.client_cpus)
            stderr = self._raw / "battery.stderr"
            process = self._host.spawn_linked(argv, theirs, stderr=stderr)
            try:
                self._up.journal.process(process)
                theirs.close()
                limit = _GRACE_SECONDS + sum(case.seconds for case in cases if case.alone) + max(
                    case.seconds for case in cases) * (1 + len(cases) // 8)
                found = self._serve(ours, time.monotonic() + limit)
                if len(found) < len(cases) and self._running.poll() is None:
                    raise ContenderError(f"the battery ended before its cases did: "
                                         f"{last_words(stderr)} (all in {stderr})")
                return found
            finally:
                process.stop()

    def _taken(self) -> set[str]:
        ends = self._up.wire.contenders.values()
        return {at.ip for item in ends for at in (item.endpoint, item.client.endpoint)}

    def _serve(self, link: socket.socket, until: float) -> dict[str, Outcome]:
        """Take reports and grant wishes until the battery or the server ends."""
        found: dict[str, Outcome] = {}
        left = b""
        while time.monotonic() < until:
            ready = select.select([link], [], [], _POLL_SECONDS)[0]
            if self._running.poll() is not None:
                return found
            if not ready:
                continue
            data = link.recv(1 << 16)
            if not data:
                return found
            *lines, left = (left + data).split(b"\n")
            for line in lines:
                read = message(line.decode())
                if isinstance(read, Report):
                    found[read.case] = read.outcome
                else:
                    self._grant(read.wish)
                    link.sendall(b"granted\n")
        raise ContenderError("the battery did not end in time")

    def _grant(self, wish: str) -> None:
        {"pause": lambda: self._running.pause(always=True), "resume": self._running.resume,
         "restart": self._restart}[wish]()
