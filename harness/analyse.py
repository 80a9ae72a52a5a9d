# SPDX-License-Identifier: BSD-3-Clause
"""From the records of a run to its summary. Pure: the same records give the same bytes on any machine.

Knows the schemas of trials.jsonl and summary.json (results/README.md), no files and no output format.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, Iterable, Mapping, Sequence

from harness import ablation, stats, verdict, words
from harness.errors import UsageError
from harness.plan import Plan, schedule

SCHEMA = 1
PERCENTILES = {"p50": 500, "p90": 900, "p99": 990, "p999": 999, "max": 1000}
ROLES = ("client", "server")
# CPU time is either waiting, taken away by the hypervisor, or burned.
_IDLE = ("idle", "iowait")
_STOLEN = "steal"
_NOTABLE_STEAL = 0.02
# connections, for what each takes to stand out from what the server takes anyway
ENOUGH = 10_000


@dataclass(frozen=True)
class Contender:
    """What the summary says of a contender beside its figures; `client`: the stack at its client's end.

    `because`: why it is not measured beyond a number of connections, "" if it is.
    """

    name: str
    label: str
    stack: str
    client: str
    because: str

    @property
    def polls(self) -> bool:
        return self.stack != "kernel"

    @property
    def client_polls(self) -> bool:
        return self.client != "kernel"

    @property
    def client_is_compared(self) -> bool:
        """Is the client part of what is compared? Our load generator is the same for all, as the kernel's wrk is."""
        return self.client == "lwip"


@dataclass(frozen=True)
class Trial:
    """The part of a record that the analysis stands on; units as the names say."""

    contender: str
    connections: int
    round: int
    valid: bool
    requests_per_sec: float
    latency_us: tuple[tuple[float, int], ...]
    errors: int
    cpu_us_per_request: float | None
    burned_seconds: Mapping[str, float]
    steal_share: float
    cycles_per_request: float | None
    connections_per_sec: float | None
    memory_bytes: float | None
    bytes_per_connection: Mapping[str, int]
    use: verdict.TrialUse


def summarise(plan: Plan, facts: Mapping[str, Any], trials: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The summary (schema 1) of a run. Raises UsageError when a record or a fact is missing or foreign."""
    contenders = [_contender(name, facts) for name in plan.contenders]
    lines = list(trials)
    records = [_read(record, number, plan) for number, record in enumerate(lines, 1)]
    emulated = _emulated(facts, lines)
    cells: dict[tuple[str, int], list[Trial]] = {}
    seen: set[tuple[str, int, int]] = set()
    for number, trial in enumerate(records, 1):
        if (trial.contender, trial.connections, trial.round) in seen:
            raise UsageError(f"trials.jsonl:{number}: a second record of {trial.contender} at "
                             f"{trial.connections} connections in round {trial.round}")
        seen.add((trial.contender, trial.connections, trial.round))
        cells.setdefault((trial.contender, trial.connections), []).append(trial)
    points = [_point(connections, contenders, cells, plan) for connections in plan.connections]
    _share_memory(points)
    ladder = ablation.summarise(plan, facts, [
        (trial.contender, trial.connections, trial.round, trial.cycles_per_request) for trial in records if trial.valid])
    return {
        "schema": SCHEMA,
        "run": _text(facts, "run"),
        "wire": plan.wire,
        **{key: text for key, text in (("tap", plan.tap), ("netem", plan.netem)) if text},
        "workload": {"name": plan.workload.name, "body_size_bytes": plan.workload.body_size_bytes},
        "rounds": plan.rounds,
        "duration_seconds": plan.duration_seconds,
        "baseline": contenders[0].name,
        "caveats": _caveats(plan, facts, records, points, contenders, emulated),
        "contenders": {c.name: {"label": c.label, "stack": c.stack, "client": c.client} for c in contenders},
        "points": points,
        **({"ablation": ladder} if ladder else {}),
        **({"emulated": emulated} if emulated else {}),
    }


def _emulated(facts: Mapping[str, Any], trials: Sequence[Mapping[str, Any]]) -> str:
    """What played the part of the NIC, in whichever file it stands; "" for none."""
    said = {str(table["emulated"]) for table in (_table(facts, "wire"), *trials) if table.get("emulated")}
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
           cells: Mapping[tuple[str, int], list[Trial]], plan: Plan) -> dict[str, Any]:
    here = {c.name: cells.get((c.name, connections), []) for c in contenders}
    uses = {name: [trial.use for trial in trials if trial.valid] for name, trials in here.items()}
    absent = {c.name: f" beyond {words.thousands(plan.most_connections[c.name])} connections: {c.because}"
              for c in contenders if not plan.follows(c.name, connections)}
    limits = {c.name: verdict.Limit(verdict.UNKNOWN, f"Not measured{absent[c.name]}.") if c.name in absent else
              verdict.limit(c.polls, connections, uses[c.name], c.client_polls) for c in contenders}
    first = contenders[0]
    return {
        "connections": connections,
        "contenders": {name: {**_figures(trials), **({"not_measured": absent[name].strip()} if name in absent else {})}
                       for name, trials in here.items()},
        "gain": {f"{c.name}/{first.name}": _gain(
            here[c.name], here[first.name],
            # a client that differs is part of what is compared, and no bound on it
            verdict.gain_bound(limits[c.name], limits[first.name]) if c.client == first.client else None)
            for c in contenders[1:]},
        "limit": {name: {"by": limit.by, "evidence": limit.evidence} for name, limit in limits.items()},
    }


def _figures(trials: Sequence[Trial]) -> dict[str, Any]:
    """One contender at one load point: figures of its valid trials, null where there is none."""
    valid = [trial for trial in trials if trial.valid]
    rates = [trial.requests_per_sec for trial in valid]
    histogram = stats.merge_histograms(trial.latency_us for trial in valid)
    figures: dict[str, Any] = {
        "requests_per_sec": {"median": _median(rates), "ci95": _interval(stats.log_t_interval(rates))},
        "latency_us": {name: stats.quantile(histogram, permille) if histogram else None
                       for name, permille in PERCENTILES.items()},
        "trials": len(valid),
        "invalid": len(trials) - len(valid),
        "errors": sum(trial.errors for trial in trials),
        "cpu_us_per_request": _cpu(valid),
    }
    cycles = [trial.cycles_per_request for trial in valid if trial.cycles_per_request is not None]
    if cycles:
        figures["cycles_per_request"] = {"median": _median(cycles), "ci95": _interval(stats.log_t_interval(cycles))}
    for key in ("connections_per_sec", "memory_bytes"):
        known = [value for trial in valid if (value := getattr(trial, key)) is not None]
        if known:
            figures[key] = {"median": _median(known)}
    told = next((trial.bytes_per_connection for trial in valid if trial.bytes_per_connection), None)
    return {**figures, **({"bytes_per_connection": dict(told)} if told else {})}


def _cpu(valid: Sequence[Trial]) -> dict[str, Any]:
    """The median, split between client and server cores as the CPU time of all valid trials together is."""
    median = _median([t.cpu_us_per_request for t in valid if t.cpu_us_per_request is not None])
    burned = {role: math.fsum(trial.burned_seconds.get(role, 0.0) for trial in valid) for role in ROLES}
    total = math.fsum(burned.values())
    split = {role: stats.round_significant(median * burned[role] / total)
             for role in ROLES} if median is not None and total > 0 else None
    return {"median": median, "by_role": split}


def _gain(over: Sequence[Trial], baseline: Sequence[Trial], bound: str | None) -> dict[str, Any]:
    below = {trial.round: trial.requests_per_sec for trial in baseline if trial.valid}
    pairs = [(trial.requests_per_sec, below[trial.round])
             for trial in sorted(over, key=lambda trial: trial.round) if trial.valid and trial.round in below]
    if not pairs:
        return {"ratio": None, "ci95": None, "verdict": verdict.INCONCLUSIVE, "rounds": 0, "bound": None}
    ratio, interval = stats.paired_gain(pairs)
    return {"ratio": stats.round_significant(ratio), "ci95": _interval(interval),
            "verdict": verdict.judge_gain(interval, bound), "rounds": len(pairs), "bound": bound}


def _caveats(plan: Plan, facts: Mapping[str, Any], trials: Sequence[Trial],
             points: Sequence[Mapping[str, Any]], contenders: Sequence[Contender], emulated: str) -> list[str]:
    """What a reader must know before believing the figures, the wire's own caveat first."""
    wire, pages = _table(facts, "wire"), _table(facts, "hugepages")
    found = [_text(wire, "caveat")]
    if emulated:
        found.append(f"The NIC is emulated ({emulated}): these figures show that the path works, and say nothing of "
                     "hardware.")
    if not pages.get("used") and any(contender.polls for contender in contenders):
        found.append(f"Without hugepages: {str(pages.get('why') or 'reason not recorded').rstrip('. ')}.")
    shared = sorted(set(plan.client_cpus) & set(plan.server_cpus))
    if shared:
        found.append(f"Client and server shared CPU {', '.join(map(str, shared))}.")
    planned = len(schedule(plan))
    if len(trials) < planned:
        found.append(f"The run is incomplete: it has {len(trials)} of {planned} trials.")
    invalid = sum(not trial.valid for trial in trials)
    if invalid:
        found.append(f"Left out of every figure, because a check failed: {invalid} of {len(trials)} trials.")
    stolen = [trial.steal_share for trial in trials if trial.steal_share >= _NOTABLE_STEAL]
    if stolen:
        found.append(f"The hypervisor took CPU time away in {len(stolen)} of {len(trials)} trials, "
                     f"up to {100 * max(stolen):.0f} %.")
    found += [*_client_limits(points, contenders), *_wire_limits(points, contenders)]
    return [caveat for caveat in found if caveat]


def _wire_limits(points: Sequence[Mapping[str, Any]], contenders: Sequence[Contender]) -> list[str]:
    """One sentence for each contender that was held back by a NIC that lost its packets."""
    held = {contender.label: [point["connections"] for point in points
                              if point["limit"][contender.name]["by"] == verdict.WIRE] for contender in contenders}
    return [f"A NIC lost packets of {label} at {words.connections(counts)}, and that was the limit there: the figures "
            "tell of the card and its rings as much as of the stack." for label, counts in held.items() if counts]


def _client_limits(points: Sequence[Mapping[str, Any]], contenders: Sequence[Contender]) -> list[str]:
    """One sentence for all contenders that were held back at the same load points."""
    held: dict[tuple[str, str], list[str]] = {}
    for contender in contenders:
        bound = [point["connections"] for point in points
                 if point["limit"][contender.name]["by"] == verdict.CLIENT_CPU]
        if bound:
            meaning = ("its throughput there is a lower bound" if not contender.client_is_compared
                       else "there its client's end set the throughput, and its server could do more")
            held.setdefault((words.connections(bound), meaning), []).append(contender.label)
    return [f"The client's CPU was the limit for {words.listed(labels)} at {where}: "
            f"{meaning if len(labels) == 1 else meaning.replace('its', 'their')}."
            for (where, meaning), labels in held.items()]


def _contender(name: str, facts: Mapping[str, Any]) -> Contender:
    entry = _table(_table(_table(facts, "wire"), "contenders"), name)
    client = entry.get("client")
    return Contender(name, _text(entry, "label"), _text(entry, "stack"),
                     # runs of before there were others have one client for all
                     "kernel" if client is None else _text(_table(entry, "client"), "stack"),
                     _text(entry, "most_because") if "most_because" in entry else "")


def _table(facts: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = facts.get(key)
    if not isinstance(value, Mapping):
        raise UsageError(f"facts.json: '{key}' is missing or not a table: not the facts of such a run")
    return value


def _text(facts: Mapping[str, Any], key: str) -> str:
    value = facts.get(key)
    if not isinstance(value, str):
        raise UsageError(f"facts.json: '{key}' is missing or not text: not the facts of such a run")
    return value


def _read(record: Mapping[str, Any], number: int, plan: Plan) -> Trial:
    """One line of trials.jsonl. Raises UsageError naming the line if it is foreign or not of this plan."""
    try:
        trial = _parse(record, plan)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"trials.jsonl:{number}: not a trial of schema {SCHEMA} ({error!r})") from None
    if trial.contender not in plan.contenders or trial.connections not in plan.connections:
        raise UsageError(f"trials.jsonl:{number}: {trial.contender} at {trial.connections} connections "
                         "is not in this run's plan")
    return trial


def _parse(record: Mapping[str, Any], plan: Plan) -> Trial:
    rate = _finite(record["requests_per_sec"])
    cores = {str(cpu): states for cpu, states in record["cpu_seconds"].items()}
    burned = {cpu: _burned(states) for cpu, states in cores.items()}
    clock = math.fsum(_finite(value) for states in cores.values() for key, value in states.items()
                      if key != "role")
    stolen = math.fsum(_finite(states.get(_STOLEN, 0)) for states in cores.values())
    memory = record.get("memory")
    return Trial(
        contender=record["contender"], connections=int(record["connections"]), round=int(record["round"]),
        # Nothing answered is nothing measured: a rate of 0 has no logarithm.
        valid=record["valid"] is True and rate > 0,
        requests_per_sec=rate,
        # whole microseconds stay whole: the summary shows them as they came
        latency_us=tuple((value if isinstance(value, int) else _finite(value), int(count))
                         for value, count in record["latency_histogram_us"]),
        errors=sum(int(count) for count in record["errors"].values()),
        cpu_us_per_request=_optional(record["cpu_us_per_request"]),
        burned_seconds={role: math.fsum(burned[cpu] for cpu in burned if _role(cpu, plan) == role)
                        for role in ROLES},
        steal_share=stolen / clock if clock > 0 else 0.0,
        cycles_per_request=_optional(record.get("cycles_per_request")),
        use=verdict.TrialUse(
            cores=tuple(verdict.CoreUse(cpu, _role(cpu, plan), _share(states, burned[cpu]))
                        for cpu, states in sorted(cores.items()) if _role(cpu, plan)),
            own_share=_optional(record.get("busy_share")),
            client_share=_optional(record.get("client_busy_share")),
            client_bound=record.get("client_bound") is True,
            nics={str(end): {str(name): int(count) for name, count in counts.items()}
                  for end, counts in record.get("xstats", {}).items()},
            requests=int(record["requests"])),
        connections_per_sec=_optional(record.get("connections_per_sec")),
        memory_bytes=math.fsum(map(_finite, memory.values())) if memory else None,
        bytes_per_connection={str(part): int(count)
                              for part, count in (record.get("bytes_per_connection") or {}).items()},
    )


def _role(cpu: str, plan: Plan) -> str:
    """A CPU of another machine has that machine before its number: only clients are elsewhere."""
    machine, _, number = cpu.rpartition("/")
    client, server = (plan.clients.get(machine, ()), ()) if machine else (plan.client_cpus, plan.server_cpus)
    return "+".join(role for role, cpus in zip(ROLES, (client, server)) if int(number) in cpus)


def _burned(states: Mapping[str, Any]) -> float:
    return math.fsum(_finite(value) for key, value in states.items() if key not in ("role", _STOLEN, *_IDLE))


def _share(states: Mapping[str, Any], burned: float) -> float:
    had = burned + math.fsum(_finite(states.get(key, 0)) for key in _IDLE)
    return burned / had if had > 0 else 0.0


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{value!r} is not a finite number")
    return number


def _optional(value: Any) -> float | None:
    return None if value is None else _finite(value)


def _median(values: Sequence[float]) -> float | None:
    return stats.round_significant(stats.median(values)) if values else None


def _interval(interval: stats.Interval | None) -> list[float] | None:
    return None if interval is None else [stats.round_significant(end) for end in interval]
