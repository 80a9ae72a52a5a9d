# SPDX-License-Identifier: BSD-3-Clause
"""One trial: start, READY, prove the path, warm up, load, collect, stop; and the record that comes of it.

Knows no other trial and no run. What each field of the record means: results/README.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping

from harness import collect
from harness.contender import Running, start
from harness.errors import ContenderError
from harness.facts import now
from harness.host import Host, Process
from harness.loadgen import LoadResult, Wrk, rounded
from harness.plan import Plan, TrialSpec
from harness.prove import prove_answer, prove_neighbour
from harness.provision import Provisioned
from harness.wire import Wire

SCHEMA = 1
PROOFS = 2
_TOOL = Wrk()
_WATCH_SECONDS = 0.25


@dataclass(frozen=True)
class Outcome:
    """`record`: one line of trials.jsonl. `port`: what the contender says of its network port."""

    record: dict[str, Any]
    port: dict[str, Any] | None


@dataclass(frozen=True)
class _Sample:
    """Counters at one instant: the contender's own, and of every interface on the path."""

    counters: dict[str, Any] | None
    links: collect.Links


@dataclass(frozen=True)
class _Measured:
    """All that a trial has seen. `final`: the contender's counters over its whole life."""

    started_at: str
    response_bytes: int
    wrong: tuple[str, ...]
    warmup: LoadResult | None
    load: LoadResult
    before: _Sample
    after: _Sample
    final: dict[str, Any] | None


@dataclass(frozen=True)
class _Setting:
    host: Host
    wire: Wire
    plan: Plan
    spec: TrialSpec
    provisioned: Provisioned
    raw: Path


def run_trial(host: Host, wire: Wire, plan: Plan, spec: TrialSpec, sequence: int, provisioned: Provisioned,
              raw: Path) -> Outcome:
    """Runs one trial; its files go to the directory `raw`, made here. The contender is stopped in any case.

    A wrong response, errors or counts that do not add up make an invalid record. A contender or load tool
    that fails raises ContenderError.
    """
    raw.mkdir(parents=True, exist_ok=True)
    setting = _Setting(host, wire, plan, spec, provisioned, raw)
    started_at = now()
    running = start(host, wire, wire.contenders[spec.contender], plan, provisioned, raw)
    try:
        measured = _measure(setting, running, started_at)
    finally:
        running.close()
    port = (measured.final or {}).get("port")
    return Outcome(_record(plan, spec, sequence, measured), port if isinstance(port, dict) else None)


def _measure(setting: _Setting, running: Running, started_at: str) -> _Measured:
    host, wire, plan = setting.host, setting.wire, setting.plan
    running.wait_ready()
    prove_neighbour(host, wire, running)
    size, wrong_before = prove_answer(host, wire, running, plan.workload)
    warmup = _load(setting, running, "warmup", plan.warmup_seconds) if plan.warmup_seconds else None
    before = _sample(setting, running)
    load = _load(setting, running, "wrk", plan.duration_seconds)
    after = _sample(setting, running)
    _, wrong_after = prove_answer(host, wire, running, plan.workload)
    final = running.stop()
    wrong = tuple(f"{when}: {wrong}" for when, wrong in (("before the load", wrong_before),
                                                         ("after the load", wrong_after)) if wrong)
    return _Measured(started_at, size, wrong, warmup, load, before, after, final)


def _sample(setting: _Setting, running: Running) -> _Sample:
    wire = setting.wire
    path = dict.fromkeys([wire.client.namespace, wire.bridge_namespace, running.contender.endpoint.namespace])
    links = {f"{namespace}/{interface}": counters for namespace in path
             for interface, counters in setting.host.link_counters(namespace).items() if interface != "lo"}
    return _Sample(running.snapshot(), links)


def _load(setting: _Setting, running: Running, name: str, seconds: int) -> LoadResult:
    """One run of the load tool; <raw>/<name>.json, .stdout and .stderr stay."""
    raw, spec = setting.raw, setting.spec
    report, stderr = raw / f"{name}.json", raw / f"{name}.stderr"
    url = f"http://{running.address}:{running.port}{setting.plan.workload.path}"
    process = setting.host.spawn(
        _TOOL.command(url, spec.connections, spec.threads, seconds), netns=setting.wire.client.namespace,
        cpus=setting.plan.client_cpus, stdout=raw / f"{name}.stdout", stderr=stderr,
        env=_TOOL.environment(report))
    try:
        setting.provisioned.journal.process(process)
        code = _watch(process, running, seconds + _TOOL.grace_seconds)
    finally:
        if process.poll() is None:
            process.stop(1)
    running.check_alive("under load")
    if code != 0 or not report.exists():
        words = stderr.read_text(errors="replace").split("\n") if stderr.exists() else []
        said = next((line for line in reversed(words) if line.strip()), "it said nothing")
        raise ContenderError(f"wrk failed (exit {code}): {said.strip()} (all in {stderr})")
    return _TOOL.parse(report.read_text())


def _watch(process: Process, running: Running, timeout: float) -> int:
    """Waits for the load tool, and for no longer than the contender lives."""
    waited = 0.0
    while True:
        try:
            return process.wait(_WATCH_SECONDS)
        except TimeoutError:
            running.check_alive("under load")
            waited += _WATCH_SECONDS
            if waited > timeout:
                raise ContenderError(f"wrk did not end within {timeout:g} s") from None


def _record(plan: Plan, spec: TrialSpec, sequence: int, measured: _Measured) -> dict[str, Any]:
    load = measured.load
    reconcile = _reconcile(spec, measured)
    server = None
    if measured.before.counters is not None and measured.after.counters is not None:
        server = collect.counters_difference(measured.before.counters, measured.after.counters)
    start_cpu, end_cpu = map(collect.parse_proc_stat, load.proc_stat)
    cpu = collect.cpu_seconds(start_cpu, end_cpu, plan.client_cpus, plan.server_cpus)
    problems = [*measured.wrong, *_load_problems(spec, measured), *_reconcile_problems(reconcile),
                *_server_problems(spec, server)]
    tsc_hz = (measured.final or {}).get("tsc_hz")
    return {
        "schema": SCHEMA, "contender": spec.contender, "connections": spec.connections, "round": spec.round,
        "sequence": sequence, "threads": spec.threads, "valid": not problems, "problems": problems,
        "started_at": measured.started_at, "duration_seconds": round(load.duration_seconds, 6),
        "requests": load.requests, "requests_per_sec": load.requests_per_sec, "bytes": load.bytes,
        "latency_us": load.latency_us, "latency_histogram_us": rounded(load.histogram), "errors": load.errors,
        "reconcile": reconcile, "cpu_seconds": cpu,
        "cpu_us_per_request": collect.cpu_us_per_request(cpu, load.requests),
        "cycles_per_request": collect.cycles_per_request(server),
        "busy_share": collect.busy_share(server, tsc_hz, load.duration_seconds),
        "server": server, "dropped": collect.dropped(measured.before.links, measured.after.links),
    }


def _reconcile(spec: TrialSpec, measured: _Measured) -> dict[str, int | None]:
    """Over the contender's whole life: requests answered as the clients know, and as it counted itself."""
    runs = [measured.load] if measured.warmup is None else [measured.warmup, measured.load]
    final = measured.final or {}
    return {"sent": PROOFS + sum(run.requests for run in runs), "parsed": final.get("requests_parsed"),
            "answered": final.get("responses_sent"), "in_flight_limit": spec.connections * len(runs)}


def _reconcile_problems(reconcile: Mapping[str, int | None]) -> list[str]:
    sent, limit = reconcile["sent"] or 0, reconcile["in_flight_limit"] or 0
    problems = []
    for key in ("parsed", "answered"):
        count = reconcile[key]
        if count is not None and not sent <= count <= sent + limit:
            problems.append(f"the clients had {sent} answers but the server {key} {count} requests; "
                            f"at most {limit} more can have been in flight")
    return problems


def _load_problems(spec: TrialSpec, measured: _Measured) -> list[str]:
    load, size = measured.load, measured.response_bytes
    runs = {"warm-up": measured.warmup, "load": load}
    problems = [f"{name}: {count} {kind} errors" for name, run in runs.items() if run is not None
                for kind, count in run.errors.items() if count]
    if not load.requests:
        problems.append("not one request was answered")
    least, most = load.requests * size, (load.requests + spec.connections) * size
    if not least <= load.bytes <= most:
        problems.append(f"{load.requests} responses of {size} bytes came as {load.bytes} bytes")
    return problems


def _server_problems(spec: TrialSpec, server: Mapping[str, int] | None) -> list[str]:
    if server is None:
        return []
    # wrk's main thread makes one connection more, to see whether there is a server
    arrived = server.get("accepts", 0) - 1
    problems = []
    if arrived < spec.connections:
        problems.append(f"only {arrived} of {spec.connections} connections arrived")
    for key, what in (("refused", "connections were refused"), ("errors_http", "answers were errors")):
        if server.get(key):
            problems.append(f"{server[key]} {what}")
    return problems
