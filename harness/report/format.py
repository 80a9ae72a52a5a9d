# SPDX-License-Identifier: BSD-3-Clause
"""Figures as a reader reads them: numbers with units, sentences, lists. Knows the summary, no files."""

from __future__ import annotations

import re
from typing import Any, Callable, Iterator, Mapping, Sequence

from harness.plan import FEW, GENERAL, MANY, MOST_ATTEMPTS, Plan
from harness.plan.published import Published

Summary = Mapping[str, Any]
NONE = "–"
# what a workload does, where its name does not say it
SHAPES = {
    "cps": "cps: each request on a connection of its own, closed after the answer",
    "conns": f"conns: of all connections that stand, the same {FEW} have a request in flight",
    "conns-10k": f"conns-10k: of all connections that stand, the same {MANY:,} have a request in flight",
    "turns": f"turns: {FEW} requests in flight, after each answer the turn passes to the next of all connections",
}


def label(summary: Summary, name: str) -> str:
    return str(summary["contenders"][name]["label"])


def number(value: float | None) -> str:
    """12700.4 → 12,700; small figures keep three digits."""
    if value is None:
        return NONE
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def ratio(value: float | None) -> str:
    """0.3123 → 0.31×; 12.84 → 12.8×."""
    if value is None:
        return NONE
    digits = 1 if value >= 10 else 2 if value >= 0.1 else 3
    # 0.998 must not read 1.00: on which side of 1 it lies is the verdict
    while digits < 6 and value != 1 and float(f"{value:.{digits}f}") == 1:
        digits += 1
    return f"{value:.{digits}f}×"


def pair(name: str, baseline: str) -> str:
    """What a gain is the ratio of: lwip/epoll, but redis/lwip over redis/kernel."""
    return f"{name} over {baseline}" if "/" in name + baseline else f"{name}/{baseline}"


def interval(pair: Sequence[float] | None, show: Any = number) -> str:
    """[low, high] as `show` writes them, or nothing where there is no interval."""
    return "" if pair is None else f"[{show(pair[0]).rstrip('×')}, {show(pair[1]).rstrip('×')}]"


def bounded(entry: Mapping[str, Any]) -> str:
    """0.31×, with ≥ or ≤ where the client made the gain a bound."""
    return {"lower": "≥ ", "upper": "≤ "}.get(entry["bound"], "") + ratio(entry["ratio"])


def gain(entry: Mapping[str, Any]) -> str:
    """0.31× [0.29, 0.33]"""
    return f"{bounded(entry)} {interval(entry['ci95'], ratio)}".strip()


def listed(items: Sequence[Any]) -> str:
    """1, 8 and 64"""
    texts = [str(item) for item in items]
    return texts[0] if len(texts) == 1 else ", ".join(texts[:-1]) + " and " + texts[-1]


def connections(counts: Sequence[int]) -> str:
    return "1 connection" if list(counts) == [1] else f"{listed([thousands(each) for each in counts])} connections"


def counted(count: int, what: str) -> str:
    """1 thread, 2 threads"""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def thousands(connections: int) -> str:
    """Of connections: 1000, but 1,000,000."""
    return f"{connections:,}" if connections >= 10_000 else str(connections)


def names(summary: Summary) -> list[str]:
    """The contenders that are measured at some load point, the baseline first."""
    return [name for name in summary["contenders"] if not absent(summary, name)]


def differ(summary: Summary, name: str, other: str) -> bool:
    """Do two contenders differ in the client's stack too? Then a gain is of both ends together."""
    def client(of: str) -> str:
        return str(summary["contenders"][of].get("client", "kernel"))
    return client(name) != client(other)


def both_ended(summary: Summary) -> list[str]:
    """The contenders whose gain is of both ends."""
    return [name for name in summary["contenders"] if differ(summary, name, summary["baseline"])]


def absent(summary: Summary, name: str) -> str:
    """Why a contender is measured at no load point at all, led by its name; "" where it is at some."""
    reasons = [point.get("contenders", {}).get(name, {}).get("not_measured") for point in summary["points"]]
    if not reasons or not all(reasons):
        return ""
    reason = str(reasons[0]).strip("().")
    what = "not measured " if reason.startswith("beyond") else "" if reason.startswith("not applicable: ") else (
        "not applicable: ")
    return f"{label(summary, name)} is {what}{reason}"


def has_loadgen(summary: Summary) -> bool:
    """Was the load that of our own generator?"""
    return any(entry.get("client") in ("loadgen", "dpdk") for entry in summary["contenders"].values())


def banner(summaries: Sequence[Summary]) -> str:
    """What stands over every figure of runs whose NIC, or the NIC of some, is none; "" for hardware and software wires.
    """
    marked = [summary for summary in summaries if summary.get("emulated")]
    if not marked:
        return ""
    what = listed(sorted({str(summary["emulated"]) for summary in marked}))
    where = "" if len(marked) == len(summaries) else f" in {listed([summary['run'] for summary in marked])}"
    return f"EMULATED NIC{where} ({what}): not hardware"


def costs(cell: Mapping[str, Any]) -> list[str]:
    """Of one contender at one load point: requests/s, cycles a request, connects/s, memory in MiB, bytes a connection
    as measured and as the server says."""
    if "not_measured" in cell:
        return [f"not measured {cell['not_measured']}", *[""] * 5]
    cycles, memory = cell.get("cycles_per_request", {}), cell.get("memory_bytes", {})
    held = memory.get("median")
    return [number(cell["requests_per_sec"]["median"]),
            f"{number(cycles.get('median'))} {interval(cycles.get('ci95'))}".strip(),
            number(cell.get("connections_per_sec", {}).get("median")), number(None if held is None else held / (1 << 20)),
            number(memory.get("per_connection")), number(cell.get("bytes_per_connection", {}).get("total"))]


def efficiency(cell: Mapping[str, Any]) -> list[str]:
    """Of one contender at one load point: requests per CPU second and cycles a request, each with its interval, from
    what they are known, and cycles burned."""
    rate, cycles, burned = (cell.get(key, {}) for key in (
        "requests_per_core_second", "cycles_per_request", "burned_cycles_per_request"))
    return [number(rate.get("median")), interval(rate.get("ci95")), number(cycles.get("median")),
            interval(cycles.get("ci95")), str(cell.get("cycles_from", "")),
            number(burned.get("median")) if burned else ""]


def told(summary: Summary) -> list[str]:
    """What each server says that an idle connection takes, part by part."""
    lines = []
    for name in summary["contenders"]:
        parts = next((cell["bytes_per_connection"] for point in summary["points"]
                      if "bytes_per_connection" in (cell := point["contenders"][name])), None)
        if parts:
            listed = [f"{part} {count}" for part, count in parts.items() if part != "total"]
            lines.append(f"{label(summary, name)}: {' + '.join(listed)} = {parts.get('total', NONE)} bytes")
    return lines


def saved(entry: Mapping[str, Any]) -> str:
    """312 [290, 334]"""
    return f"{number(entry['mean'])} {interval(entry['ci95'])}".strip()


def wire(summary: Summary) -> str:
    """Its name, and what a plan may say of it beyond its file."""
    return ", ".join([str(summary["wire"]), *(str(summary[key]) for key in ("tap", "netem") if key in summary),
                      *([f"softirq on the {summary['softirq']}'s cores"] if "softirq" in summary else [])])


def note(summary: Summary, title: str) -> str:
    """What must stay with a chart when it is cut out of its report."""
    rounds = summary["rounds"]
    wire = f"{summary['wire']} ({title})" if title else summary["wire"]
    of, intervals = "one round", "no intervals"
    if rounds > 1:
        of, intervals = f"medians of {rounds} rounds", "95 % intervals"
    return (f"Run {summary['run']}; wire {wire}; workload {workload(summary)}; "
            f"{of} of {summary['duration_seconds']:g} s, {intervals}.")


def overlay_note(others: Sequence[Published]) -> str:
    """Where the grey lines of a chart come from; "" where nobody has a table to draw."""
    drawn = [f"{other.short} ({other.hardware})" for other in others if other.series]
    return f" Grey: published, other hardware: {'; '.join(drawn)}." if drawn else ""


def workload(summary: Summary) -> str:
    size = summary["workload"]["body_size_bytes"]
    name = str(summary["workload"]["name"])
    name = SHAPES.get(name, name)
    what = "values" if name.startswith("redis-") else "body"
    return f"{name}, {what} of {size:,} " + ("byte" if size == 1 else "bytes")


def flatten(facts: Mapping[str, Any], skip: Sequence[str] = (),
            prefix: str = "") -> Iterator[tuple[str, str]]:
    """(dotted name, value) of nested facts; what the machine did not tell reads "not known"."""
    for key, value in facts.items():
        if key in skip:
            continue
        if isinstance(value, Mapping) and value:
            yield from flatten(value, skip, f"{prefix}{key}.")
        elif isinstance(value, (list, tuple)):
            yield prefix + key, ", ".join(map(str, value)) or "none"
        elif isinstance(value, bool):
            yield prefix + key, "yes" if value else "no"
        else:
            yield prefix + key, "not known" if value is None else str(value)


def command_line(program: str, arguments: Sequence[str]) -> str:
    """As one would type it, placeholders as they stand in the wire's file."""
    return " ".join(word if re.fullmatch(r"[^\s\"'$;]+", word) else f"'{word}'" for word in (program, *arguments))


def facts_line(facts: Mapping[str, Any]) -> str:
    """Nested facts in one line."""
    return "; ".join(f"{key.replace('_', ' ')}: {value}" for key, value in flatten(facts))


def _client(plan: Plan, numbers: Callable[[Sequence[int]], str]) -> dict[str, str]:
    """Which client, and on which CPUs; of several machines each has all of its own where they differ."""
    if not plan.clients:
        return {"CLIENT_CPUS": numbers(plan.client_cpus)}
    different = set(plan.clients.values())
    return {"CLIENT": "'" + ";".join(f"ssh:{machine}" for machine in plan.clients) + "'",
            **({"CLIENT_CPUS": numbers(different.pop())} if len(different) == 1 else {})}


def command(plan: Plan, order: Mapping[str, Any] = {}) -> str:
    """The command that runs this plan again, every value spelled out; `order`: `nic.order` of the facts, {} for none."""
    def numbers(values: Sequence[int]) -> str:
        return ",".join(map(str, values))
    settings: dict[str, Any] = {
        "CONTENDERS": ",".join(plan.contenders), "CONNECTIONS": numbers(plan.connections),
        "ROUNDS": plan.rounds, "DURATION": plan.duration_seconds, "WARMUP": plan.warmup_seconds,
        "BODY_SIZE": plan.workload.body_size_bytes, **_client(plan, numbers),
        "SERVER_CPUS": numbers(plan.server_cpus), "PORT": plan.port, "SERVER_MAX_CONNECTIONS": plan.server_max_connections,
        **({"ATTEMPTS": plan.attempts} if plan.attempts != MOST_ATTEMPTS else {})}
    if plan.precision_percent:
        settings |= {"PRECISION": f"{plan.precision_percent:g}", "BUDGET": f"{plan.budget_seconds}s"}
    if plan.seed:
        settings |= {"SEED": plan.seed}
    texts = " ".join(f"{key}='{value}'" if " " in value else f"{key}={value}"
                     for key, value in (("TAP", plan.tap), ("NETEM", plan.netem), ("SOFTIRQ", plan.softirq),
                                       ("CALIBRATE", "" if plan.calibrate else "no"))
                     if value)
    target = f"bench-{plan.wire}" if plan.workload.name in GENERAL else f"bench-app APP={plan.wire}"
    if plan.offered:
        target = f"latency WIRE={plan.wire} RATES={numbers(plan.offered)}"
    if plan.workload.name != "rps":
        settings = {"WORKLOAD": plan.workload.name, **settings}
    if plan.paper:
        target = f"reproduce PAPER={plan.paper} WIRE={plan.wire}"
    if order:
        made = ["latency", f"WIRE={plan.wire}", f"RATES={numbers(plan.offered)}"] if plan.offered else (
            target.split() if plan.paper else ["bench"])
        target = command_line(made[0], [*made[1:], *(f"{key}={value}" for key, value in order.items())])
        settings = {key: value for key, value in settings.items() if key not in order}
    return " ".join([f"sudo make {target}", *(f"{key}={value}" for key, value in settings.items()),
                     *([texts] if texts else [])])


def _rate(trial: Mapping[str, Any]) -> str:
    return f" and {thousands(trial['offered'])} requests/s" if trial.get("offered") else ""


def problems(trials: Sequence[Mapping[str, Any]]) -> list[str]:
    """One line for every trial that is left out of the figures."""
    return [f"{trial['contender']} at {trial['connections']} connections{_rate(trial)}, round {trial['round'] + 1}: "
            + ("; ".join(map(str, trial["problems"])) or "no request was answered")
            for trial in trials if not trial["valid"] or trial["requests_per_sec"] <= 0]
