# SPDX-License-Identifier: BSD-3-Clause
"""The rates that an open loop offers: given ones, or a grid laid by what each contender can do. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Mapping, Sequence

from harness.errors import UsageError
from harness.plan.options import OFFERED_RATES
from harness.plan.plan import Plan
from harness.plan.load import GENERAL

# percent of a saturation: denser where latency rises
PERCENTS = (10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 100, 105)
# a range LOADS=10-110 goes in such steps
STEP = 10
MOST_PERCENT = 300
# percent of its own saturation, from which on a contender that can do less has rates that are exactly its own
_NEAR = 70
# a rate so near to another (a factor) is not measured beside it: near the knee, and where latency is flat
_SAME, _SAME_BELOW = 1.03, 1.15
# of a plan whose rates are yet to be found
UNKNOWN = (0,)


@dataclass(frozen=True)
class Loads:
    """What is asked for: `rates` in requests/s, or () and `percents` of the best contender's saturation."""

    rates: tuple[int, ...] = ()
    percents: tuple[int, ...] = PERCENTS


def parse(rates: str, loads: str) -> Loads:
    """RATES=10000,20000 or LOADS=50,80,95 or LOADS=10-110; empty text is not given. UsageError."""
    if rates.strip() and loads.strip():
        raise UsageError("RATES are requests/s and LOADS are percent of saturation: give one of them")
    if rates.strip():
        return Loads(rates=_numbers(rates, "RATES", OFFERED_RATES.high))
    return Loads(percents=_numbers(loads, "LOADS", MOST_PERCENT)) if loads.strip() else Loads()


def _numbers(text: str, name: str, most: int) -> tuple[int, ...]:
    found: set[int] = set()
    for word in (each.strip() for each in text.split(",")):
        span = re.fullmatch(r"([0-9]{1,10})-([0-9]{1,10})", word) if name == "LOADS" else None
        if span and 0 < int(span[1]) <= int(span[2]) <= most:
            found.update(range(int(span[1]), int(span[2]) + 1, STEP))
        elif re.fullmatch(r"[0-9]{1,10}", word) and 0 < int(word) <= most:
            found.add(int(word))
        else:
            raise UsageError(f"{name}={text.strip()}: '{word}' is not a whole number from 1 to {most}"
                             + (", nor a range of them" if name == "LOADS" else ""))
    return tuple(sorted(found))


def open_plan(plan: Plan, loads: Loads) -> Plan:
    """The plan as one of an open loop, its rates UNKNOWN unless given. UsageError where it cannot be one.

    Its rounds are exactly so many: a rule that ends them looks at gains, and there is none where the rate is given.
    """
    if len(plan.connections) != 1:
        raise UsageError(f"CONNECTIONS={','.join(map(str, plan.connections))}: latency against offered load is "
                         "measured at one number of connections: give one, as CONNECTIONS=64")
    shape = plan.workload
    if shape.name not in GENERAL or shape.connect or shape.active:
        raise UsageError(f"WORKLOAD={shape.name}: the open loop asks every connection, and keeps it: rps or bandwidth")
    if plan.clients:
        raise UsageError(f"CLIENT={'; '.join(plan.clients)}: the open-loop client runs on this machine alone: give "
                         "CLIENT=if:<interface>")
    return replace(plan, offered=loads.rates or UNKNOWN, precision_percent=0, budget_seconds=0, calibrate=False)


def settled(plan: Plan, saturation: Mapping[str, float], loads: Loads) -> Plan:
    """The plan with its rates: percent of the best contender's saturation, the same for all, so that points compare;
    and what those lack of the percents of each that can do less. None of them far beyond what a contender can do.

    `saturation`: requests/s of each contender that is measured.
    """
    best = max(saturation.values())
    rates = {_nice(best * percent / 100) for percent in loads.percents}
    for can in saturation.values():
        for percent in loads.percents:
            rate = _nice(can * percent / 100)
            near = _SAME if percent >= _NEAR else _SAME_BELOW
            if all(not each / near < rate < each * near for each in rates):
                rates.add(rate)
    ordered = tuple(sorted(rates))
    beyond = {name: _beyond(ordered, can) for name, can in saturation.items()}
    return replace(plan, offered=ordered, most_offered={
        name: most for name, most in beyond.items() if most < ordered[-1]})


def _beyond(rates: Sequence[int], saturation: float) -> int:
    """The first rate that is surely more than can be done; the last one if none is."""
    return next((rate for rate in rates if rate >= 1.05 * saturation), rates[-1])


def _nice(rate: float) -> int:
    """To three significant digits, 1 at least."""
    return max(1, int(float(f"{rate:.3g}")))
