# SPDX-License-Identifier: BSD-3-Clause
"""The rates that an open loop offers: given ones, or a grid laid by what each contender can do.

What each can do at most comes from short closed-loop trials with the open loop's own client.
"""

from __future__ import annotations

import re
import statistics
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Callable, Mapping, Sequence

from harness.errors import ContenderError, UsageError
from harness.plan import GENERAL, OFFERED_RATES, Plan, TrialSpec, threads_of
from harness.run.progress import notes_text
from harness.run.runner import TrialRunner

# percent of a saturation: denser where latency rises
PERCENTS = (10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 100, 105)
# a range LOADS=10-110 goes in such steps
STEP = 10
MOST_PERCENT = 300
# percent of its own saturation, from which on a contender that can do less has rates of its own
_NEAR = 70
# a rate so near to another (a factor) is not measured beside it: near the knee, and where latency
# is flat
_SAME, _SAME_BELOW = 1.03, 1.15
# of the trials by which saturation is found, of each contender
TRIALS = 3
_SECONDS = 1
# of a plan whose rates are yet to be found
UNKNOWN = (0,)


@dataclass(frozen=True)
class Loads:
    """What is asked for: rates in requests/s, or () and percents of the best one's saturation."""

    rates: tuple[int, ...] = ()
    percents: tuple[int, ...] = PERCENTS


def parse_loads(rates: str, loads: str) -> Loads:
    """Read RATES=10000,20000 or LOADS=50,80,95 or LOADS=10-110; empty text is not given."""
    if rates.strip() and loads.strip():
        raise UsageError("RATES are requests/s and LOADS are percent of saturation: give one of "
                         "them")
    if rates.strip():
        return Loads(rates=_numbers(rates, "RATES", OFFERED_RATES.high))
    return Loads(percents=_numbers(loads, "LOADS", MOST_PERCENT)) if loads.strip() else Loads()


def _numbers(text: str, name: str, most: int) -> tuple[int, ...]:
    found: set[int] = set()
    for word in (item.strip() for item in text.split(",")):
        span = re.fullmatch(r"([0-9]{1,10})-([0-9]{1,10})", word) if name == "LOADS" else None
        if span and 0 < int(span[1]) <= int(span[2]) <= most:
            found.update(range(int(span[1]), int(span[2]) + 1, STEP))
        elif re.fullmatch(r"[0-9]{1,10}", word) and 0 < int(word) <= most:
            found.add(int(word))
        else:
            raise UsageError(
                f"{name}={text.strip()}: '{word}' is not a whole number from 1 to {most}"
                + (", nor a range of them" if name == "LOADS" else ""))
    return tuple(sorted(found))


def open_plan(plan: Plan, loads: Loads) -> Plan:
    """Return the plan as one of an open loop, its rates UNKNOWN unless given.

    Its rounds are exactly so many: a rule that ends them looks at gains, and there is none where
    the rate is given. UsageError where it cannot be one.
    """
    if len(plan.load_points) != 1:
        raise UsageError(f"CONNECTIONS={','.join(map(str, plan.connections))}: latency against "
                         "offered load is measured at one number of connections: give one, as "
                         "CONNECTIONS=64")
    shape = plan.workload
    if shape.name not in GENERAL or shape.connect or shape.active:
        raise UsageError(f"WORKLOAD={shape.name}: the open loop asks every connection, and keeps "
                         "it: rps or bandwidth")
    if plan.clients:
        raise UsageError(f"CLIENT={'; '.join(plan.clients)}: the open-loop client runs on this "
                         "machine alone: give CLIENT=if:<interface>")
    return replace(plan, offered=loads.rates or UNKNOWN, precision_percent=0, budget_seconds=0,
                   calibrate=False)


def settled(plan: Plan, saturation: Mapping[str, float], loads: Loads) -> Plan:
    """Return the plan with its rates, none of them far beyond what a contender can do.

    They are percent of the best contender's saturation, the same for all, so that points compare;
    and what those lack of the percents of each that can do less.

    saturation: requests/s of each contender that is measured
    """
    best = max(saturation.values())
    rates = {_nice(best * percent / 100) for percent in loads.percents}
    for can in saturation.values():
        for percent in loads.percents:
            rate = _nice(can * percent / 100)
            near = _SAME if percent >= _NEAR else _SAME_BELOW
            if all(not other / near < rate < other * near for other in rates):
                rates.add(rate)
    ordered = tuple(sorted(rates))
    beyond = {name: _beyond(ordered, can) for name, can in saturation.items()}
    return replace(plan, offered=ordered, most_offered={
        name: most for name, most in beyond.items() if most < ordered[-1]})


def _beyond(rates: Sequence[int], saturation: float) -> int:
    """Return the first rate that is surely more than can be done; the last one if none is."""
    return next((rate for rate in rates if rate >= 1.05 * saturation), rates[-1])


def _nice(rate: float) -> int:
    """Round to three significant digits, 1 at least."""
    return max(1, int(float(f"{rate:.3g}")))


def saturate(runner: TrialRunner, raw: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Return `saturation` of the facts, by contender.

    requests_per_sec: the median
    trials: of each
    client_bound: whether the client was the limit of one

    What the trials print goes to `raw`. ContenderError when one of them is invalid.
    """
    plan = runner.plan
    point = plan.load_points[0]
    found: dict[str, Any] = {}
    for number, name in enumerate(item for item in plan.contenders if plan.follows(item, point)):
        records = []
        for round_ in range(TRIALS):
            spec = TrialSpec(name, point, round_, threads_of(plan, point.connections))
            records.append(runner.run(spec, round_, raw / f"{number}-{round_}", lambda _: None))
            if not records[-1].valid:
                raise ContenderError(f"how much {name} can do is not known: "
                                     f"{notes_text(records[-1].problems)}")
        rates = [record.requests_per_sec for record in records]
        found[name] = {"requests_per_sec": statistics.median(rates), "trials": rates,
                       "client_bound": any(record.client_bound for record in records)}
        say(f"saturation of {name}: {found[name]['requests_per_sec']:,.0f} requests/s in a closed "
            f"loop of {point.connections} connections")
    return found


def closed(plan: Plan) -> Plan:
    """Return the plan of the trials by which saturation is found."""
    return replace(plan, offered=UNKNOWN, duration_seconds=min(_SECONDS, plan.duration_seconds),
                   warmup_seconds=min(1, plan.warmup_seconds))
