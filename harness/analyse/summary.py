# SPDX-License-Identifier: BSD-3-Clause
"""From the records of a run to its summary. Pure: the same records give the same bytes on any machine.

Knows the schema of summary.json (results/README.md), no files and no output format.
"""

from __future__ import annotations

import json
import math
from typing import Any, Iterable, Mapping, Sequence

from harness.analyse import ablation
from harness.store import old_attempts as attempts
from harness.analyse import ceiling
from harness.analyse import circumstances
from harness.store import records as collect
from harness.analyse import cost as efficiency
from harness.analyse import holm as families
from harness.analyse import gain as gains
from harness.report import method
from harness.analyse import open_loop as openloop
from harness.analyse import link_stats as path
from harness.analyse import stats
from harness.analyse import bottleneck as verdict
from harness.report import format as words
from harness.analyse.caveats import caveats
from harness.errors import UsageError
from harness.plan import LoadPoint, Plan
from harness.store.records import ROLES, Contender, Trial, contender, read, table, text

SCHEMA = 1
PERCENTILES = {"p50": 500, "p90": 900, "p99": 990, "p999": 999, "max": 1000}
# connections, for what each takes to stand out from what the server takes anyway
ENOUGH = 10_000


def summarise(plan: Plan, facts: Mapping[str, Any], trials: Iterable[Mapping[str, Any]],
              calibration: Iterable[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """The summary (schema 1) of a run. Raises UsageError when a record or a fact is missing or foreign."""
    tsc_hz, found = _tsc_hz(facts), ceiling.ceilings(plan, calibration)
    contenders = [contender(name, facts) for name in plan.contenders]
    lines = list(trials)
    records = [read(record, number, plan) for number, record in enumerate(lines, 1)]
    emulated = _emulated(facts, lines)
    cells: dict[tuple[str, int], list[Trial]] = {}
    seen: set[tuple[str, int, int, int, int]] = set()
    for number, trial in enumerate(records, 1):
        key = (trial.contender, trial.connections, trial.offered, trial.round, trial.attempt)
        if key in seen:
            raise UsageError(f"trials.jsonl:{number}: a second record of {trial.contender} at "
                             f"{trial.connections} connections in round {trial.round}")
        seen.add(key)
    records = [trial for trial, counts in zip(records, attempts.figured(lines)) if counts]
    for trial in records:
        cells.setdefault((trial.contender, trial.connections), []).append(trial)
    # an open loop's are of rates, and not of what it can do
    points = [] if plan.offered else [_point(connections, contenders, cells, plan, facts, found.get(connections))
                                      for connections in plan.connections]
    _share_memory(points)
    families.adjust(points)
    gains.head(points, contenders)
    statistics = families.statistics(plan, facts, lines, points)
    open_loop = openloop.summarise(plan, facts, records, lines)
    ladder = ablation.summarise(plan, facts, [
        (trial.contender, trial.connections, trial.round, trial.cycles_per_request) for trial in records if trial.valid])
    summary = {
        "schema": SCHEMA,
        "run": text(facts, "run"),
        "wire": plan.wire,
        **{key: value for key, value in (("tap", plan.tap), ("netem", plan.netem), ("softirq", plan.softirq)) if value},
        "workload": {"name": plan.workload.name, "body_size_bytes": plan.workload.body_size_bytes},
        "rounds": max(1, statistics["rounds_done"]) if plan.precision_percent else plan.rounds,
        "duration_seconds": plan.duration_seconds,
        "baseline": contenders[0].name,
        **({"tsc_hz": tsc_hz} if tsc_hz else {}),
        **({"calibration": dict(facts["calibration"])} if "calibration" in facts else {}),
        "caveats": [*caveats(plan, facts, records, points, contenders, emulated),
                    *circumstances.caveats(plan, lines)],
        "contenders": {c.name: {"label": c.label, "stack": c.stack, "client": c.client} for c in contenders},
        "points": points,
        "statistics": statistics,
        **({"ablation": ladder} if ladder else {}),
        **({"open_loop": open_loop} if open_loop else {}),
        **({"emulated": emulated} if emulated else {}),
        **circumstances.summarise(plan, lines),
    }
    summary["caveats"] += method.reservations(plan, summary)
    return summary


def _tsc_hz(facts: Mapping[str, Any]) -> int | None:
    """Of the time stamp counter; None in runs of before it was asked for, and where the machine did not tell."""
    value = table(facts, "machine").get("tsc_hz") if "machine" in facts else None
    return value if isinstance(value, int) and value > 0 else None


def _line(contender: Contender, facts: Mapping[str, Any]) -> path.Line:
    """The speed is that of the cable, whose one end may be with DPDK and tell nothing."""
    nic = facts.get("nic")
    ends = [nic.get(end) for end in ("server", "client")] if isinstance(nic, Mapping) else []
    speeds = [speed for end in ends if isinstance(end, Mapping) and isinstance(speed := end.get("speed_mbps"), int)]
    mtu = table(facts, "wire").get("mtu")
    return path.Line(contender.link == "tap", max(speeds, default=0) or None,
                     mtu if isinstance(mtu, int) else path.Line.mtu)


def _emulated(facts: Mapping[str, Any], trials: Sequence[Mapping[str, Any]]) -> str:
    """What played the part of the NIC, in whichever file it stands; "" for none."""
    said = {str(each["emulated"]) for each in (table(facts, "wire"), *trials) if each.get("emulated")}
    return words.listed(sorted(said)) if said else ""


def _share_memory(points: Sequence[Mapping[str, Any]]) -> None:
    """Bytes that each connection adds: what the server holds more than at its fewest connections, by those more.

    Where there are ENOUGH of them; fewer would share out what the server takes for itself, and noise.
    """
    fewest: dict[str, tuple[int, float]] = {}
    for point in sorted(points, key=lambda point: int(point["connections"])):
        for name, cell in point["contenders"].items():
            if "memory_bytes" not in cell:
                continue
            count, held = point["connections"], cell["memory_bytes"]["median"]
            least, before = fewest.setdefault(name, (count, held))
            if count >= max(ENOUGH, 100 * least):
                cell["memory_bytes"]["per_connection"] = stats.round_significant((held - before) / (count - least))


def to_text(summary: Mapping[str, Any]) -> str:
    """What summary.json holds."""
    return json.dumps(summary, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def _point(connections: int, contenders: Sequence[Contender],
           cells: Mapping[tuple[str, int], list[Trial]], plan: Plan, facts: Mapping[str, Any],
           found: verdict.Ceiling | None) -> dict[str, Any]:
    here = {c.name: cells.get((c.name, connections), []) for c in contenders}
    uses = {name: [trial.use for trial in trials if trial.valid] for name, trials in here.items()}
    absent = {c.name: f" (not applicable: {plan.not_applicable[c.name]})" if c.name in plan.not_applicable else
              f" beyond {words.thousands(plan.most_connections[c.name])} connections: {c.because}"
              for c in contenders if not plan.follows(c.name, LoadPoint(connections))}
    limits = {c.name: verdict.Limit(verdict.UNKNOWN, f"Not measured{absent[c.name]}.") if c.name in absent else
              verdict.limit(c.polls, connections, uses[c.name], c.client_polls, _line(c, facts),
                            # it is that of a client on the kernel's sockets
                            None if c.client_polls else found) for c in contenders}
    first = contenders[0]
    polls = {c.name: c.polls for c in contenders}
    return {
        "connections": connections,
        "contenders": {name: {**_figures(trials, polls[name], _tsc_hz(facts)),
                              **({"not_measured": absent[name].strip()} if name in absent else {})}
                       for name, trials in here.items()},
        "gain": {f"{c.name}/{below.name}": gains.gain(
            here[c.name], here[below.name],
            # a client that differs is part of what is compared, and no bound on it
            verdict.gain_bound(limits[c.name], limits[below.name]) if c.client == below.client else None)
            for c, below in gains.pairs(contenders)},
        "limit": {name: {"by": limit.by, "evidence": limit.evidence} for name, limit in limits.items()},
        **({"client_ceiling": ceiling.entry(found)} if found else {}),
    }


def _figures(trials: Sequence[Trial], polls: bool, tsc_hz: int | None) -> dict[str, Any]:
    """One contender at one load point: figures of its valid trials, null where there is none."""
    valid = [trial for trial in trials if trial.valid]
    rates = [trial.requests_per_sec for trial in valid]
    histogram = stats.merge_histograms(trial.latency_us for trial in valid)
    figures: dict[str, Any] = {
        "requests_per_sec": {"median": _median(rates), "ci95": stats.rounded_interval(stats.log_t_interval(rates))},
        "latency_us": {name: stats.quantile(histogram, permille) if histogram else None
                       for name, permille in PERCENTILES.items()},
        "trials": len(valid),
        "invalid": len(trials) - len(valid),
        "errors": sum(trial.errors for trial in trials),
        "cpu_us_per_request": _cpu(valid),
    }
    figures |= efficiency.figures([trial.cost for trial in valid], polls, tsc_hz)
    for key in ("connections_per_sec", "memory_bytes"):
        known = [value for trial in valid if (value := getattr(trial, key)) is not None]
        if known:
            figures[key] = {"median": _median(known)}
    told = next((trial.bytes_per_connection for trial in valid if trial.bytes_per_connection), None)
    return {**figures, **({"bytes_per_connection": dict(told)} if told else {})}


def _cpu(valid: Sequence[Trial]) -> dict[str, Any]:
    """The median, split between client and server cores, and interrupts on others where there were any, as the CPU time
    of all valid trials together is."""
    median = _median([t.cpu_us_per_request for t in valid if t.cpu_us_per_request is not None])
    burned = {role: math.fsum(trial.burned_seconds.get(role, 0.0) for trial in valid)
              for role in (*ROLES, collect.OTHER)}
    if not burned[collect.OTHER]:
        del burned[collect.OTHER]
    total = math.fsum(burned.values())
    shared = any("+" in role for trial in valid for role in trial.burned_seconds)
    split = {role: stats.round_significant(median * seconds / total)
             for role, seconds in burned.items()} if median is not None and total > 0 and not shared else None
    return {"median": median, "by_role": split}


def _median(values: Sequence[float]) -> float | None:
    return stats.round_significant(stats.median(values)) if values else None
