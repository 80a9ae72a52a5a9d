# SPDX-License-Identifier: BSD-3-Clause
"""One trial: start, READY, prove the path, warm up, load, collect, stop; and the record that comes of it.

With our own load generator proof, warm-up and load are one process, which compares every byte of every answer.
Knows no other trial and no run. What each field of the record means: results/README.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping

from harness.trial.observe import cpu as collect
from harness.trial import reconcile as ends
from harness.trial.observe import preload_counters as library
from harness.trial.load import loadgen as own_client
from harness.trial.load import remote as sites
from harness.trial.observe import steady_state as steady
from harness.trial.observe import nic_counters as xstats
from harness.trial.client import Client
from harness.trial.server import STOP_SECONDS, Running, start
from harness.trial.probe_protocol import exchange_for
from harness.host import Host, now
from harness.trial.load.wrk import Load, LoadResult, LoadTool, rounded, tool_for
from harness.trial.load.openload import OPENLOAD
from harness.plan import Plan, TrialSpec
from harness.trial.probe import Proof, prove_answer, prove_neighbour
from harness.provision import pin_worker, Provisioned, ResolvedWire
from harness.trial.observe.sampler import Watch
from harness.plan import LOADGEN, Contender, Endpoint

SCHEMA = 1
# of files and series, as the load's are named after its tool
_WARMUP = "warmup"


@dataclass(frozen=True)
class Outcome:
    """`record`: one line of trials.jsonl. `ports`: what contender ("server") and "client" say of theirs."""

    record: dict[str, Any]
    ports: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class _Sample:
    """Counters at one instant: the contender's own, of every interface on the path, and by end of the NICs there."""

    counters: dict[str, Any] | None
    links: collect.Links
    nics: Mapping[str, xstats.Counts]


@dataclass(frozen=True)
class _Loaded:
    """A load that has ended; `counters` and `samples` of a client that has a library, as client.Ended. `parts`: of
    clients on other machines, what each had of it."""

    result: LoadResult
    counters: dict[str, Any] | None
    samples: tuple[dict[str, Any], ...]
    parts: tuple[sites.Part, ...] = ()


@dataclass(frozen=True)
class _Measured:
    """All that a trial has seen. `proofs`: as many after the load as before it. `final`: the contender's counters over
    its whole life; `account`: our own load generator's, `failed`: what made it end with an exit code, and `memory` as
    collect.memory, None without one.
    """

    started_at: str
    proofs: tuple[Proof, ...]
    rehearsals: Mapping[str, _Loaded]
    load: _Loaded
    before: _Sample
    after: _Sample
    final: dict[str, Any] | None
    watch: Watch
    account: own_client.Account | None = None
    failed: str = ""
    memory: dict[str, int] | None = None

    @property
    def results(self) -> list[LoadResult]:
        return [load.result for load in (*self.rehearsals.values(), self.load)]

    @property
    def clients(self) -> list[dict[str, Any]]:
        """Counters of every client process, in their order; [] where the kernel has the sockets."""
        half = len(self.proofs) // 2
        found: list[Proof | _Loaded] = [*self.proofs[:half], *self.rehearsals.values(), self.load, *self.proofs[half:]]
        return [each.counters for each in found if each.counters is not None]


@dataclass(frozen=True)
class _Setting:
    """What one trial is made in; `client` runs programs at its client's end."""

    host: Host
    wire: ResolvedWire
    plan: Plan
    spec: TrialSpec
    client: Client

    @property
    def tool(self) -> LoadTool:
        """Of a client with sockets."""
        return OPENLOAD if self.plan.offered else tool_for(self.plan.workload)

    @property
    def contender(self) -> Contender:
        return self.wire.contenders[self.spec.contender]

    def load(self, seconds: int) -> Load:
        running = self.client.running
        return Load(running.address, running.port, self.plan.workload, self.spec.connections, self.spec.threads,
                    seconds, patient=bool(self.plan.netem), rate=self.spec.offered, seed=self.spec.round + 1)


def run_trial(host: Host, wire: ResolvedWire, plan: Plan, spec: TrialSpec, sequence: int, provisioned: Provisioned,
              raw: Path) -> Outcome:
    """Runs one trial; its files go to the directory `raw`, made here. The contender is stopped in any case.

    A wrong response, errors or counts that do not add up make an invalid record. A contender or load tool
    that fails raises ContenderError.
    """
    raw.mkdir(parents=True, exist_ok=True)
    started_at = now()
    running = start(host, wire, wire.contenders[spec.contender], plan, provisioned, raw)
    try:
        setting = _Setting(host, wire, plan, spec, Client(host, wire, plan, provisioned, running, raw))
        measure = _measure_in_one if setting.contender.client.stack == LOADGEN else _measure
        measured = measure(setting, running, started_at)
    finally:
        running.close()
    said = {"server": (measured.final or {}).get("port"), "client": (measured.load.counters or {}).get("port")}
    return Outcome(_record(setting, sequence, measured),
                   {end: port for end, port in said.items() if isinstance(port, dict) and port})


def _measure(setting: _Setting, running: Running, started_at: str) -> _Measured:
    plan, client, tool = setting.plan, setting.client, setting.tool
    running.wait_ready()
    if setting.contender.link == "vhost-net":
        pin_worker(setting.host, running.pid, sorted({*plan.client_cpus, *plan.server_cpus}))
    if not client.has_launcher:
        prove_neighbour(client)
    first = prove_answer(client, plan.workload, "proof-before")
    seconds = {**({"calibration": 0} if tool.calibrates else {}),
               **({"warm-up": plan.warmup_seconds} if plan.warmup_seconds else {})}
    watch = _watch(setting, running)
    rehearsals = {name: _load(setting, name.replace("-", ""), duration, watch) for name, duration in seconds.items()}
    before = _sample(setting, running)
    watch.begin()
    load = _load(setting, tool.name, plan.duration_seconds, watch)
    watch.end()
    after = _sample(setting, running)
    second = prove_answer(client, plan.workload, "proof-after")
    return _Measured(started_at, (*first, *second), rehearsals, load, before, after, running.stop(), watch)


def _measure_in_one(setting: _Setting, running: Running, started_at: str) -> _Measured:
    """With our own load generator, one process from the first SYN to the last counter."""
    host, load = setting.host, setting.load(setting.plan.duration_seconds)
    running.wait_ready()
    watch = _watch(setting, running)
    # between its warm-up and its interval there is no pause for this
    watch.begin()
    loading = own_client.start(setting.client, load, setting.plan.warmup_seconds)
    try:
        loading.wait_measuring(watch.tick(_WARMUP))
        stat_before, before = _proc_stat(host), _sample(setting, running)
        line = loading.wait_account(watch.tick(own_client.LOADGEN.name))
        watch.end()
        stat_after, after = _proc_stat(host), _sample(setting, running)
        memory = collect.memory(host.read(f"/proc/{running.pid}/status"),
                                host.read("/proc/meminfo") if setting.contender.stack == "kernel" else None)
        failed = loading.problem()
        # the server first: DPDK's virtio-user may abort when the other end of its memory goes
        final = running.stop(STOP_SECONDS + load.connections / own_client.LEAST_CONNECTS_PER_SECOND)
        loading.end()
    finally:
        loading.close()
    account = own_client.LOADGEN.parse(line, load, (stat_before, stat_after))
    return _Measured(started_at, (), {}, _Loaded(account.result, dict(account.counters), ()), before, after,
                     final, watch, account, failed, memory)


def _watch(setting: _Setting, running: Running) -> Watch:
    plan, client = setting.plan, setting.client
    cpus = sorted({*plan.client_cpus, *plan.server_cpus})
    return Watch(setting.host, setting.contender, cpus, running.pid, client.raw, bool(client.provisioned.sites))


def _steady(setting: _Setting, measured: _Measured) -> dict[str, Any]:
    """`steady` and `unsettled` of a record; {} where what the load carried could not be counted as it went."""
    watch, load, plan = measured.watch, measured.load.result, setting.plan
    if measured.account:
        # its warm-up ends, and its interval begins, when the line MEASURING comes
        count = int(plan.warmup_seconds / steady.INTERVAL_SECONDS)
        opened, asked = watch.series(_WARMUP), watch.series(own_client.LOADGEN.name)
        warmup = steady.rates(opened.times, opened.totals)[-count:] if count else []
        loaded = steady.rates(asked.times, asked.totals)[:int(load.duration_seconds / steady.INTERVAL_SECONDS)]
    else:
        rehearsed = measured.rehearsals.get("warm-up")
        warmup = steady.of_load(watch.series(_WARMUP), rehearsed.result.duration_seconds) if rehearsed else []
        loaded = steady.of_load(watch.series(setting.tool.name), load.duration_seconds)
    if not any(loaded):
        return {}
    requests_per_byte = load.requests_per_sec / (sum(loaded) / len(loaded))
    return steady.fields([requests_per_byte * rate for rate in warmup], [requests_per_byte * rate for rate in loaded])


def _proc_stat(host: Host) -> str:
    return host.read("/proc/stat").partition("intr ")[0]


def _sample(setting: _Setting, running: Running) -> _Sample:
    up = setting.client.provisioned
    links = {f"{namespace}/{interface}": counters for namespace in up.namespaces([setting.contender])
             for interface, counters in setting.host.link_counters(namespace).items() if interface != "lo"}
    nics = {end: setting.host.nic_statistics(of.namespace, of.interface) for end, of in _nic_ends(setting)}
    counters = running.snapshot()
    if isinstance(told := (counters or {}).get("xstats"), dict) and setting.contender.link == "nic":
        nics["server"] = told
    return _Sample(counters, {**links, **sites.links(up.sites)}, nics)


def _nic_ends(setting: _Setting) -> list[tuple[str, Endpoint]]:
    """The ends whose NIC the kernel of this machine has, and so can ask."""
    contender = setting.contender
    here = [] if setting.client.provisioned.sites else [("client", contender.client.endpoint)]
    bound = [("server", contender.endpoint)] if contender.stack == "kernel" else []
    return [(end, of) for end, of in (*here, *bound) if contender.link == "nic" and of.interface]


def _load(setting: _Setting, name: str, seconds: int, watch: Watch) -> _Loaded:
    """One run of the load tool; <raw>/<name>.json, .stdout and .stderr stay; of several clients as sites.load()."""
    tool, client, load = setting.tool, setting.client, setting.load(seconds)
    if client.provisioned.sites:
        result, parts = sites.load(client, tool, load, name)
        return _Loaded(result, None, (), parts)
    report = client.raw / f"{name}.json"
    report.unlink(missing_ok=True)
    ended = client.run(name, tool.name, lambda launcher: tool.command(load, report, launcher),
                       tool.environment(report), seconds + tool.grace_seconds, watch.tick(name))
    watch.ended(name)
    if ended.code != 0 or not report.exists():
        raise ended.failure()
    return _Loaded(tool.parse(report.read_text()), ended.counters, ended.samples)


def _record(setting: _Setting, sequence: int, measured: _Measured) -> dict[str, Any]:
    plan, spec, load = setting.plan, setting.spec, measured.load.result
    reconcile = _reconcile(setting, measured)
    both = _ends(setting, measured, reconcile)
    server = None
    if measured.before.counters is not None and measured.after.counters is not None:
        server = collect.counters_difference(measured.before.counters, measured.after.counters)
    start_cpu, end_cpu = map(collect.parse_proc_stat, load.proc_stat)
    parts = measured.load.parts
    cpu = {**collect.cpu_seconds(start_cpu, end_cpu, plan.client_cpus, plan.server_cpus),
           **sites.cpu_seconds(parts, plan)}
    problems = [*_wrong(measured), *sites.problems(parts), *_load_problems(setting, measured),
                *_reconcile_problems(reconcile), *ends.problems(both or {}), *_server_problems(setting, measured, server),
                *_measure_problems(setting.contender, measured.final)]
    final, account = measured.final or {}, measured.account
    tsc_hz = final.get("tsc_hz")
    return {
        "schema": SCHEMA, "contender": spec.contender, "connections": spec.connections, "round": spec.round,
        **({"attempt": spec.attempt} if spec.attempt else {}),
        "sequence": sequence, "threads": spec.threads, "valid": not problems, "problems": problems,
        "started_at": measured.started_at, "duration_seconds": round(load.duration_seconds, 6),
        "requests": load.requests, "requests_per_sec": load.requests_per_sec, "bytes": load.bytes,
        "latency_us": load.latency_us, "latency_histogram_us": rounded(load.histogram), "errors": load.errors,
        "reconcile": reconcile, "ends": both, "cpu_seconds": cpu,
        "cpu_us_per_request": collect.cpu_us_per_request(cpu, load.requests),
        "cycles_per_request": collect.cycles_per_request(server, load.requests),
        "busy_share": collect.busy_share(server, tsc_hz, load.duration_seconds),
        "client_busy_share": account.busy_share if account else library.busy_share(measured.load.samples,
                                                                                   spec.connections),
        "server": server, "client": collect.counts(measured.load.counters),
        "dropped": collect.dropped(measured.before.links, measured.after.links),
        **({"xstats": {end: xstats.grown(measured.before.nics.get(end, {}), after)
                       for end, after in sorted(measured.after.nics.items())}} if measured.after.nics else {}),
        **({"emulated": setting.wire.emulated} if setting.wire.emulated else {}),
        **({} if account is None else {
            "client_bound": account.client_bound, "connections_per_sec": account.connections_per_sec,
            "memory": measured.memory, "bytes_per_connection": final.get("bytes_per_connection")}),
        **({"clients": sites.account(parts)} if parts else {}),
        "machine": measured.watch.machine(), **_steady(setting, measured),
        **({"offered": spec.offered} if spec.offered else {}),
        **({"open_loop": dict(load.open_loop), "client_bound": load.open_loop["client_bound"]}
           if load.open_loop is not None else {}),
    }


def _wrong(measured: _Measured) -> list[str]:
    half = len(measured.proofs) // 2
    return [f"{'after' if place >= half else 'before'} the load: {proof.answer.wrong}"
            for place, proof in enumerate(measured.proofs) if proof.answer.wrong]


def _reconcile(setting: _Setting, measured: _Measured) -> dict[str, int | None]:
    """Over the contender's whole life: requests answered as the clients know, and as it counted itself."""
    runs, final = measured.results, measured.final or {}
    parsed, answered = final.get("requests_parsed"), final.get("responses_sent")
    if measured.account:
        return {"sent": measured.account.sent, "parsed": parsed, "answered": answered,
                "in_flight_limit": measured.account.in_flight}
    proofs, half = len(measured.proofs), len(measured.proofs) // 2
    first, second = (measured.proofs[place].answer.served for place in (half - 1, half))
    if first is not None and second is not None:
        # a server of other make was asked in each proof: what it was asked with is not of the load
        answered = second - first - exchange_for(setting.plan.workload, setting.contender.counts_at).asks + proofs
    sent = sum(run.requests if run.answered is None else run.answered for run in runs)
    return {"sent": proofs + sent, "parsed": parsed, "answered": answered,
            "in_flight_limit": setting.tool.in_flight(setting.load(setting.plan.duration_seconds)) * len(runs)}


def _ends(setting: _Setting, measured: _Measured,
          reconcile: Mapping[str, int | None]) -> dict[str, dict[str, int]] | None:
    """What both ends counted over the contender's whole life; None unless both count."""
    if not measured.clients or measured.final is None or measured.account:
        return None
    return ends.reconcile(measured.clients, measured.final, reconcile["sent"] or 0,
                          reconcile["in_flight_limit"] or 0, setting.contender.end.ring)


def _reconcile_problems(reconcile: Mapping[str, int | None]) -> list[str]:
    sent, limit = reconcile["sent"] or 0, reconcile["in_flight_limit"] or 0
    problems = []
    for key in ("parsed", "answered"):
        count = reconcile[key]
        if count is not None and not sent <= count <= sent + limit:
            problems.append(f"the clients had {sent} answers but the server {key} {count} requests; "
                            f"at most {limit} more can have been in flight")
    return problems


def _load_problems(setting: _Setting, measured: _Measured) -> list[str]:
    load = measured.load.result
    runs = {**measured.rehearsals, "load": measured.load}
    problems = [f"{name}: {count} {kind} errors" for name, run in runs.items()
                for kind, count in run.result.errors.items() if count]
    if not load.requests:
        problems.append("not one request was answered")
    if measured.account:
        return [*problems, *([measured.failed] if measured.failed else [])]
    size = measured.proofs[0].answer.single
    in_flight = setting.tool.in_flight(setting.load(setting.plan.duration_seconds))
    least, most = load.requests * size, (load.requests + in_flight) * size
    if setting.tool.same_answers and not least <= load.bytes <= most:
        problems.append(f"{load.requests} responses of {size} bytes came as {load.bytes} bytes")
    return problems


def _server_problems(setting: _Setting, measured: _Measured, server: Mapping[str, int] | None) -> list[str]:
    if server is None:
        return []
    account, expected, arrived = measured.account, setting.spec.connections, server.get("accepts", 0)
    if account:
        # they were opened before the interval; of those opened one by one, the last may not have arrived
        server = collect.counts(measured.final) or {}
        arrived = server.get("accepts", 0)
        expected = account.connects - (expected if setting.plan.workload.connect else 0)
    else:
        arrived -= setting.tool.extra_connections * len(setting.client.ends)
    problems = []
    if arrived < expected:
        problems.append(f"only {arrived} of {expected} connections arrived")
    for key, what in (("refused", "connections were refused"), ("errors_http", "answers were errors")):
        if server.get(key):
            problems.append(f"{server[key]} {what}")
    return problems


def _measure_problems(contender: Contender, final: Mapping[str, Any] | None) -> list[str]:
    """Had the server in force what its name says? It is asked where a contender leaves measures out."""
    if not contender.without:
        return []
    there = (final or {}).get("measures")
    if not isinstance(there, list):
        return ["the server did not say which measures it had in force"]
    stayed = [name for name in contender.without if name in there]
    return [f"the server had {', '.join(stayed)} in force, which '{contender.name}' is without"] if stayed else []
