# SPDX-License-Identifier: BSD-3-Clause
"""Run single trials of rounds, calibration and saturation, each again while it is disturbed.

Knows no order and no files of a run.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Callable, Mapping

from harness.host import Host
from harness.plan import RESTART_ROUND, Plan, TrialSpec
from harness.provision import Provisioned, ResolvedWire
from harness.store import Json, TrialRecord, counted, next_attempt, should_retry
from harness.trial import Beside, Servers, no_beside, run_trial

Keep = Callable[[TrialRecord], None]
Ports = Mapping[str, Json]


@dataclass
class TrialRunner:
    """Runs the trials of one run, inside a `with` at whose end no contender is up.

    seen: all attempts so far, which tell what is usual on this machine and which attempt is next
    on_ports: called with what the ends of a trial say of their ports
    on_repeat: called with an attempt that was disturbed, before the next
    beside: what goes on while the load of an attempt lasts
    """

    host: Host
    wire: ResolvedWire
    plan: Plan
    up: Provisioned
    seen: list[TrialRecord] = field(default_factory=list)
    on_ports: Callable[[TrialSpec, Ports], None] = lambda spec, ports: None
    on_repeat: Callable[[TrialSpec, TrialRecord], None] = lambda spec, record: None
    beside: Beside = no_beside
    _impairment: str | None = None
    _servers: Servers | None = field(default=None, init=False)
    _round: int = field(default=0, init=False)

    def end_round(self) -> None:
        """End the contenders that are still up; ContenderError when one ends badly."""
        if self._servers:
            self._servers.end_all()

    def __enter__(self) -> TrialRunner:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if kind is None:
            self.end_round()
        elif self._servers:
            self._servers.close()

    def run(self, spec: TrialSpec, sequence: int, raw: Path, keep: Keep) -> TrialRecord:
        """Return the attempt that counts; `keep` is called with each as soon as it ends.

        What an attempt prints goes to `raw`, with -a1 and so on after its name.
        """
        contender, servers = self.wire.contenders[spec.contender], self._servers_of(spec)
        if servers:
            servers.make_way(contender, self.plan.at(spec.point))
        self.up.turn_to(self.host, contender)
        self._impair(spec.point.impairment)
        while True:
            attempt = next_attempt(self.seen, spec.key)
            of = replace(spec, attempt=attempt)
            place = raw.with_name(f"{raw.name}-a{attempt}") if attempt else raw
            outcome = run_trial(self.host, self.wire, self.plan, of, sequence, self.up, place,
                                self.seen, servers, self.beside)
            record = outcome.record
            self.seen.append(record)
            keep(record)
            self.on_ports(of, outcome.ports)
            if not should_retry(record, self.plan.attempts):
                return counted([item for item in self.seen if item.key == spec.key])[0]
            self.on_repeat(of, record)

    def _servers_of(self, spec: TrialSpec) -> Servers | None:
        """Return those that stay up in the trial's round; None where none does."""
        if self.plan.restart != RESTART_ROUND:
            return None
        if spec.round != self._round:
            self.end_round()
        self._round = spec.round
        self._servers = self._servers or Servers(self.host, self.wire, self.up)
        return self._servers

    def _impair(self, impairment: str) -> None:
        """Change what netem does, where the plan sweeps over it."""
        if self.plan.impairments and impairment != self._impairment:
            self.up.impair(self.host, impairment)
            self._impairment = impairment
