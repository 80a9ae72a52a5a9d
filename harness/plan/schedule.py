# SPDX-License-Identifier: BSD-3-Clause
"""Schedule the trials of a plan: which there are, in which order, and what of a load each client has. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Mapping, Sequence, TypeVar

from harness.plan.load import LoadPoint
from harness.plan.plan import Plan

_T = TypeVar("_T")
# percent of its own saturation, from which on a contender that can do less has rates of its own
_NEAR = 70
# a rate so near to another (a factor) is not measured beside it: near the knee, and where latency
# is flat
_SAME, _SAME_BELOW = 1.03, 1.15


@dataclass(frozen=True)
class TrialSpec:
    """One contender at one load point in one round (from 0).

    threads: of all load tools together
    attempt: from 0
    """

    contender: str
    point: LoadPoint
    round: int
    threads: int
    attempt: int = 0

    @property
    def connections(self) -> int:
        return self.point.connections

    @property
    def offered(self) -> int:
        """Requests/s of an open loop; 0 for a closed one."""
        return self.point.offered_per_sec

    @property
    def key(self) -> tuple[str, LoadPoint, int]:
        """What the attempts at this trial share, as TrialRecord.key."""
        return self.contender, self.point, self.round


@dataclass(frozen=True)
class Share:
    """What one of several clients has of a load."""

    machine: str
    connections: int
    threads: int


def round_specs(plan: Plan, round_: int) -> list[TrialSpec]:
    """The trials of one round (from 0) in their order; as many in each. A contender has none where it cannot follow.

    With a seed the load points are shuffled, and the contenders within each, so that those who are compared stand close
    to one another and drift hits all alike; `by_contender`: contenders, and the load points of each. Without a seed the
    contenders take turns: A B, and in odd rounds B A. The same plan and round give the same order for ever, on any
    machine: of random.Random's methods only random() is promised to stay as it is, so the shuffle is our own.
    """
    dice = random.Random(f"{plan.seed}/{round_}")

    def order(names: Sequence[_T]) -> list[_T]:
        return sorted(names, key=lambda _: dice.random()) if plan.seed else list(names)
    contenders = plan.contenders if plan.seed or round_ % 2 == 0 else plan.contenders[::-1]
    if plan.by_contender:
        pairs = [(contender, point) for contender in order(contenders) for point in order(plan.load_points)]
    else:
        pairs = [(contender, point) for point in order(plan.load_points) for contender in order(contenders)]
    return [TrialSpec(contender, point, round_, threads_of(plan, point.connections))
            for contender, point in pairs if plan.follows(contender, point)]


def schedule(plan: Plan) -> list[TrialSpec]:
    """All trials of the rounds that come in any case, in order."""
    return [spec for round_ in range(plan.rounds) for spec in round_specs(plan, round_)]


def turns(specs: Sequence[TrialSpec]) -> int:
    """How often another contender has its turn, the first included."""
    return sum(1 for place, spec in enumerate(specs) if not place or specs[place - 1].contender != spec.contender)


def shares(plan: Plan, connections: int) -> list[Share]:
    """Of each client over ssh: as many connections as any other, one more where they do not come out even."""
    each, more = divmod(connections, len(plan.clients))
    return [Share(machine, count, _threads(count, len(cpus))) for place, (machine, cpus) in
            enumerate(plan.clients.items()) for count in [each + (place < more)]]


def threads_of(plan: Plan, connections: int) -> int:
    """Of all load tools together."""
    if plan.clients:
        return sum(share.threads for share in shares(plan, connections))
    return _threads(connections, len(plan.client_cpus))


def _threads(connections: int, cpus: int) -> int:
    """One a client CPU, but such that they divide the connections: wrk would silently drop the remainder."""
    return next(count for count in range(min(connections, cpus), 0, -1) if connections % count == 0)


def settled(plan: Plan, saturation: Mapping[str, float]) -> Plan:
    """Return the plan of UNKNOWN rates with them, none far beyond what a contender can do.

    They are percent of the best contender's saturation, the same for all, so that points compare;
    and what those lack of the percents of each that can do less.

    saturation: requests/s of each contender that is measured
    """
    best = max(saturation.values())
    rates = {_nice(best * percent / 100) for percent in plan.loads}
    for can in saturation.values():
        for percent in plan.loads:
            rate = _nice(can * percent / 100)
            near = _SAME if percent >= _NEAR else _SAME_BELOW
            if all(not other / near < rate < other * near for other in rates):
                rates.add(rate)
    ordered = tuple(sorted(rates))
    beyond = {name: _beyond(ordered, can) for name, can in saturation.items()}
    return replace(plan, offered=ordered, loads=(), most_offered={
        name: most for name, most in beyond.items() if most < ordered[-1]})


def _beyond(rates: Sequence[int], saturation: float) -> int:
    """Return the first rate that is surely more than can be done; the last one if none is."""
    return next((rate for rate in rates if rate >= 1.05 * saturation), rates[-1])


def _nice(rate: float) -> int:
    """Round to three significant digits, 1 at least."""
    return max(1, int(float(f"{rate:.3g}")))
