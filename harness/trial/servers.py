# SPDX-License-Identifier: BSD-3-Clause
"""Keep contenders up from one trial to the next, so that each is started once a round.

Each has a port of its own where it can; one is in its turn, and those that poll are paused
meanwhile. Knows no order of trials: whoever has one says whose turn it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.host import Host
from harness.plan import RESTART_ROUND, Contender, Plan
from harness.provision import Provisioned, ResolvedWire
from harness.trial.server import Running, start


@dataclass
class Servers:
    """The contenders that are up. Whoever has one calls end_all(), or close() when something
    failed."""

    host: Host
    wire: ResolvedWire
    up: Provisioned
    _running: dict[str, Running] = field(default_factory=dict, init=False)
    # by name: what it was started for, which another load point may want otherwise
    _made_for: dict[str, Plan] = field(default_factory=dict, init=False)

    def make_way(self, contender: Contender, plan: Plan) -> None:
        """Pause who has had its turn, and end who cannot be up beside `contender`."""
        for name, other in list(self._running.items()):
            same = name == contender.name
            if same and self._made_for[name] == _made_for(plan):
                continue
            if same or other.contender.excludes(contender) or (
                    other.address == contender.endpoint.ip
                    and other.port == self._port(contender, plan)):
                self.end(name)
            else:
                other.pause()

    def turn(self, contender: Contender, plan: Plan, raw: Path) -> Running:
        """Return the contender, continued or started now, ready in any case.

        plan: of the load point
        raw: for its words, if it is started; must exist
        """
        self.make_way(contender, plan)
        running = self._running.get(contender.name)
        if running:
            running.resume()
            running.check_alive("while others had their turns")
            return running
        own = replace(plan, port=self._port(contender, plan))
        running = start(self.host, self.wire, contender, own, self.up, raw)
        self._running[contender.name] = running
        self._made_for[contender.name] = _made_for(plan)
        running.wait_ready()
        return running

    def end(self, name: str) -> None:
        """End one; ContenderError when that goes wrong, or it counted what nobody asked."""
        running = self._running.pop(name)
        try:
            running.check_unasked(running.stop())
        finally:
            running.close()

    def end_all(self) -> None:
        """End all; errors as end(), with the others closed."""
        try:
            while self._running:
                self.end(next(iter(self._running)))
        finally:
            self.close()

    def close(self) -> None:
        """End all in whatever state they are."""
        while self._running:
            self._running.popitem()[1].close()

    def _port(self, contender: Contender, plan: Plan) -> int:
        if plan.restart != RESTART_ROUND:
            return plan.port
        # without one of as many digits it takes turns with whoever has that
        return self.wire.port_of(contender.name, plan.port) or plan.port


def _made_for(plan: Plan) -> Plan:
    """Return the plan of a load point without what a server is not told."""
    return replace(plan, connections=(), offered=(), netem="")
