# SPDX-License-Identifier: BSD-3-Clause
"""Run single trials of rounds, calibration and saturation, each again while it is disturbed.

Knows no order and no files of a run.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Callable, Mapping, Sequence

from harness.host import Host
from harness.plan import RESTART_ROUND, Plan, TrialSpec
from harness.provision import Provisioned, ResolvedWire
from harness.store import Json, TrialRecord, counted, next_attempt, should_retry
from harness.trial import (
    Beside, Outcome, Place, Servers, no_beside, run_in_turns, run_trial)

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
            _, of, place = self._attempt((sequence, spec, raw))
            outcome = run_trial(self.host, self.wire, self.plan, of, sequence, self.up, place,
                                self.seen, servers, self.beside)
            self._keep(of, outcome, keep)
            if not should_retry(outcome.record, self.plan.attempts):
                return counted([item for item in self.seen if item.key == spec.key])[0]
            self.on_repeat(of, outcome.record)

    def run_together(self, places: Sequence[Place], keep: Keep) -> list[TrialRecord]:
        """Return the attempts that count of trials of one load point, their loads in turns; all as
        run() otherwise.

        What disturbs one has disturbed all, so all run again.
        """
        (_, first, _), *more = places
        servers = self._servers_of(first)
        if not (self.plan.turn_ms and more and servers):
            return [self.run(spec, sequence, raw, keep) for sequence, spec, raw in places]
        self._impair(first.point.impairment)
        left = list(places)
        while left:
            again = [self._attempt(place) for place in left]
            outcomes = run_in_turns(self.host, self.wire, self.plan, again, self.up, servers,
                                    self.seen)
            repeated = []
            for place, (_, of, _), outcome in zip(left, again, outcomes):
                self._keep(of, outcome, keep)
                if should_retry(outcome.record, self.plan.attempts):
                    repeated.append(place)
                    self.on_repeat(of, outcome.record)
            left = repeated
        return [counted([item for item in self.seen if item.key == spec.key])[0]
                for _, spec, _ in places]

    def _attempt(self, place: Place) -> Place:
        """Return the next attempt at a trial."""
        sequence, spec, raw = place
        attempt = next_attempt(self.seen, spec.key)
        return (sequence, replace(spec, attempt=attempt),
                raw.with_name(f"{raw.name}-a{attempt}") if attempt else raw)

    def _keep(self, spec: TrialSpec, outcome: Outcome, keep: Keep) -> None:
        self.seen.append(outcome.record)
        keep(outcome.record)
        self.on_ports(spec, outcome.ports)

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
