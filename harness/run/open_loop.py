# SPDX-License-Identifier: BSD-3-Clause
"""Read which rates an open loop offers, and find what each contender can do at most.

That comes from short closed-loop trials with the open loop's own client.
"""

from __future__ import annotations

import re
import statistics
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Callable

from harness.errors import ContenderError, UsageError
from harness.plan import (
    GENERAL, OFFERED_RATES, RESTART_TRIAL, UNKNOWN, Plan, Reason, TrialSpec, threads_of, without)
from harness.store import SaturationFacts
from harness.run.progress import Words, listed
from harness.run.runner import TrialRunner

# percent of a saturation: denser where latency rises
PERCENTS = (10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 100, 105)
# a range LOADS=10-110 goes in such steps
STEP = 10
MOST_PERCENT = 300
# of the trials by which saturation is found, of each contender
TRIALS = 3
_SECONDS = 1


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
    plan = without(plan, {name: Reason("closed-loop-only") for name in plan.limits})
    return replace(plan, offered=loads.rates or UNKNOWN, precision_percent=0, budget_seconds=0,
                   calibrate=False, restart=RESTART_TRIAL, turn_ms=0,
                   loads=() if loads.rates else loads.percents)


def saturate(runner: TrialRunner, raw: Path, words: Words,
             say: Callable[[str], None]) -> dict[str, SaturationFacts]:
    """Return what each contender can do, by short trials of which the files go to `raw`.

    ContenderError when one of them is invalid.
    """
    plan = runner.plan
    point = plan.load_points[0]
    found = {}
    for number, name in enumerate(item for item in plan.contenders if plan.follows(item, point)):
        records = []
        for round_ in range(TRIALS):
            spec = TrialSpec(name, point, round_, threads_of(plan, point.connections))
            records.append(runner.run(spec, round_, raw / f"{number}-{round_}", lambda _: None))
            if not records[-1].valid:
                raise ContenderError(f"how much {name} can do is not known: "
                                     f"{listed(records[-1].problems, words)}")
        rates = tuple(record.requests_per_sec for record in records)
        found[name] = SaturationFacts(statistics.median(rates), any(
            record.client_bound for record in records), rates)
        say(f"saturation of {name}: {found[name].requests_per_sec:,.0f} requests/s in a closed "
            f"loop of {point.connections} connections")
    return found


def closed(plan: Plan) -> Plan:
    """Return the plan of the trials by which saturation is found."""
    return replace(plan, offered=UNKNOWN, duration_seconds=min(_SECONDS, plan.duration_seconds),
                   warmup_seconds=min(1, plan.warmup_seconds))
