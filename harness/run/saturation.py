# SPDX-License-Identifier: BSD-3-Clause
"""What each contender can do at most, from short closed-loop trials with the open loop's own client."""

from __future__ import annotations

import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, Mapping

from harness.errors import ContenderError
from harness.host import Host
from harness.plan.offered_load import UNKNOWN
from harness.plan import LoadPoint, Plan, threads_of, TrialSpec
from harness.provision import Provisioned, ResolvedWire
from harness.store.old_records import to_dict
from harness.trial.trial import run_trial

TRIALS = 3
_SECONDS = 1


def find(host: Host, wire: ResolvedWire, plan: Plan, up: Provisioned, raw: Path,
         say: Callable[[str], None]) -> dict[str, dict[str, Any]]:
    """`saturation` of the facts, by contender: `requests_per_sec` (the median), `trials` (of each), `client_bound`.

    What the trials print goes to `raw`. ContenderError when one of them is invalid.
    """
    connections = plan.connections[0]
    closed = replace(plan, offered=UNKNOWN, duration_seconds=min(_SECONDS, plan.duration_seconds),
                     warmup_seconds=min(1, plan.warmup_seconds))
    found: dict[str, dict[str, Any]] = {}
    for place, name in enumerate(each for each in plan.contenders if plan.follows(each, LoadPoint(connections))):
        up.turn_to(host, wire.contenders[name])
        records = []
        for round_ in range(TRIALS):
            spec = TrialSpec(name, LoadPoint(connections), round_, threads_of(plan, connections))
            record = to_dict(
                run_trial(host, wire, closed, spec, round_, up, raw / f"{place}-{round_}").record)
            if not record["valid"]:
                raise ContenderError(f"how much {name} can do is not known: {'; '.join(record['problems'])}")
            records.append(record)
        rates = [record["requests_per_sec"] for record in records]
        found[name] = {"requests_per_sec": statistics.median(rates), "trials": rates,
                       "client_bound": any(_client_bound(record) for record in records)}
        say(f"saturation of {name}: {found[name]['requests_per_sec']:,.0f} requests/s in a closed loop of "
            f"{connections} connections")
    return found


def keep(raw: Path, kept: Path) -> None:
    """What the trials printed stands with the run's own once there is a run."""
    if raw.is_dir():
        raw.rename(kept / "saturation")


def rates(found: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """requests/s by contender."""
    return {name: float(each["requests_per_sec"]) for name, each in found.items()}


def _client_bound(record: Mapping[str, Any]) -> bool:
    return record.get("client_bound") is True
