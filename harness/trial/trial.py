# SPDX-License-Identifier: BSD-3-Clause
"""Run one trial: a contender that is ready, prove the path, warm up, load, collect.

With a tool that is a stack of its own, proof, warm-up and load are one process, which compares
every byte of every answer. What comes of it: record.py. Knows no other trial and no run.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterable, Mapping

from harness.host import Host, energy, joules, now
from harness.plan import KERNEL, Endpoint, Plan, TrialSpec
from harness.provision import Provisioned, ResolvedWire, pin_worker
from harness.store import Reconcile, TrialRecord
from harness.trial.client import Client
from harness.trial.load import remote
from harness.trial.load.base import LoadResult, LoadTool, choose_tool
from harness.trial.load.loadgen import Loadgen
from harness.trial.observe.counters import Counters, counters_of
from harness.trial.observe.cpu import ProcStat, memory, without_interrupts
from harness.trial.observe.sampler import Watch
from harness.trial.probe import Proof, prove_answer, prove_neighbour
from harness.trial.record import WARMUP, Loaded, Measured, Outcome, Sample, Setting, record_of
from harness.trial.server import STOP_SECONDS, Running
from harness.trial.servers import Servers


# called when the load that is measured begins, with the contender: what goes on beside it
Beside = Callable[[Running], AbstractContextManager[object]]


def no_beside(running: Running) -> AbstractContextManager[object]:
    """Let nothing go on beside the load."""
    return nullcontext()


def load_tool(plan: Plan, has_loadgen: bool) -> LoadTool:
    """Return the tool of this plan's trials, on a wire whose client is loadgen or has sockets.

    UsageError where there is none.
    """
    return choose_tool(plan.workload, open_loop=bool(plan.offered), sockets=not has_loadgen,
                       name=plan.load_tool)


def run_trial(host: Host, wire: ResolvedWire, plan: Plan, spec: TrialSpec, sequence: int,
              provisioned: Provisioned, raw: Path, earlier: Iterable[TrialRecord] = (),
              servers: Servers | None = None, beside: Beside = no_beside) -> Outcome:
    """Run one trial; its files go to the directory `raw`, made here.

    earlier: the run's trials so far; a clock that is lower than in one of the same contender at the
        same load point disturbs
    servers: of the round, which keep the contender up; None: it is started and stopped here, also
        when something fails
    beside: what goes on while the load lasts, as a profiler

    A wrong response, errors or counts that do not add up make an invalid record. A contender or
    load tool that fails raises ContenderError.
    """
    raw.mkdir(parents=True, exist_ok=True)
    started_at, plan = now(), plan.at(spec.point)
    contender = wire.contenders[spec.contender]
    own = Servers(host, wire, provisioned)
    try:
        running = (servers or own).turn(contender, plan, raw)
        client = Client(host, wire, plan, provisioned, running, raw)
        tool = load_tool(plan, wire.has_loadgen)
        setting = Setting(wire, plan, spec, contender, client, tool)
        measured = (_measure_in_one(setting, tool, running, started_at, beside)
                    if isinstance(tool, Loadgen)
                    else _measure(setting, running, started_at, beside,
                                  stays=servers is not None))
    finally:
        own.close()
    return outcome_of(setting, sequence, measured, earlier)


def outcome_of(setting: Setting, sequence: int, measured: Measured,
               earlier: Iterable[TrialRecord]) -> Outcome:
    """Return a trial's outcome, and have its contender know what it may still get of it."""
    spec = setting.spec
    outcome = record_of(setting, sequence, measured, [
        record.machine for record in earlier if record.machine
        and (record.contender, record.point) == (spec.contender, spec.point)])
    setting.client.running.served(measured.ended, _under_way(outcome.record.reconcile))
    return outcome


def _under_way(reconcile: Reconcile) -> int:
    """Return how many requests the server may still get of a load that has ended."""
    counted = max(reconcile.parsed or 0, reconcile.answered or 0)
    return max(0, reconcile.sent + reconcile.in_flight_limit - counted)


@dataclass(frozen=True)
class Ready:
    """A contender that has proved its way, and is warm.

    began, first, rehearsals: as of Measured
    """

    setting: Setting
    running: Running
    started_at: str
    began: Counters | None
    first: tuple[Proof, ...]
    rehearsals: Mapping[str, Loaded]
    watch: Watch
    before: Sample

    def measured(self, load: Loaded, joules: float | None, stays: bool = True) -> Measured:
        """Return all that was seen, the load over, with the proofs after it; a contender that does
        not stay is stopped."""
        after = _sample(self.setting, self.running)
        second = prove_answer(self.setting.client, self.setting.plan.workload, "proof-after")
        ended = self.running.snapshot() if stays else self.running.stop()
        return Measured(self.started_at, self.first, tuple(second), self.rehearsals, load,
                        self.before, after, self.began, ended, self.watch, joules)


def ready(setting: Setting, running: Running, started_at: str) -> Ready:
    """Prove the way to a contender and warm it up; one that stays up is warm from its first trial
    on, and its way is the same for all of them: each proves that it answers."""
    plan, client, tool = setting.plan, setting.client, setting.tool
    fresh = running.trials == 0
    began = Counters() if fresh else running.snapshot()
    running.check_unasked(began)
    if setting.contender.link == "vhost-net" and fresh:
        pin_worker(client.host, running.pid, sorted({*plan.client_cpus, *plan.server_cpus}))
    if fresh and not client.own_stack:
        prove_neighbour(client)
    first = prove_answer(client, plan.workload, "proof-before")
    seconds = {**({"calibration": 0} if tool.calibrates else {}),
               **({"warm-up": plan.warmup_seconds} if plan.warmup_seconds and fresh else {})}
    watch = _watch(setting, running)
    rehearsals = {name: _load(setting, name.replace("-", ""), duration, watch)
                  for name, duration in seconds.items()}
    return Ready(setting, running, started_at, began, tuple(first), rehearsals, watch,
                 _sample(setting, running))


def _measure(setting: Setting, running: Running, started_at: str, beside: Beside,
             stays: bool) -> Measured:
    at = ready(setting, running, started_at)
    used = energy(setting.client.host)
    at.watch.begin()
    with beside(running):
        load = _load(setting, setting.tool.name, setting.plan.duration_seconds, at.watch)
    at.watch.end()
    return at.measured(load, joules(used, energy(setting.client.host)), stays)


def _measure_in_one(setting: Setting, tool: Loadgen, running: Running, started_at: str,
                    beside: Beside) -> Measured:
    host, load = setting.client.host, setting.load(setting.plan.duration_seconds)
    watch = _watch(setting, running)
    # between its warm-up and its interval there is no pause for this
    watch.begin()
    warmup = setting.plan.warmup_seconds
    loading = setting.client.start(tool.name, tool.name,
                                   lambda launcher: tool.words(load, warmup, launcher))
    try:
        tool.wait_measuring(loading, load, warmup, watch.tick(WARMUP))
        stat_before, before, used = proc_stat(host), _sample(setting, running), energy(host)
        with beside(running):
            text = tool.wait_account(loading, load, watch.tick(tool.name))
        watch.end()
        stat_after, after = proc_stat(host), _sample(setting, running)
        spent = joules(used, energy(host))
        meminfo = host.read("/proc/meminfo") if setting.contender.stack == KERNEL else None
        held = memory(host.read(f"/proc/{running.pid}/status"), meminfo)
        failed = loading.problem()
        # the server first: DPDK's virtio-user may abort when the other end of its memory goes
        final = running.stop(STOP_SECONDS + tool.stop_seconds(load))
        loading.end()
    finally:
        loading.close()
    result, account = tool.account(text, load, ProcStat(stat_before, stat_after))
    return Measured(started_at, (), (), {}, Loaded(result, counters_of(text), ()), before, after,
                    Counters(), final, watch, spent, account, failed, held)


def _watch(setting: Setting, running: Running) -> Watch:
    plan, client = setting.plan, setting.client
    return Watch(client.host, setting.contender, sorted({*plan.client_cpus, *plan.server_cpus}),
                 running.pid, client.raw, bool(client.provisioned.sites))


def proc_stat(host: Host) -> str:
    return without_interrupts(host.read("/proc/stat"))


def _sample(setting: Setting, running: Running) -> Sample:
    up, host = setting.client.provisioned, setting.client.host
    links = {f"{namespace}/{interface}": counters
             for namespace in up.namespaces([setting.contender])
             for interface, counters in host.link_counters(namespace).items() if interface != "lo"}
    nics = {end: host.nic_statistics(at.namespace, at.interface) for end, at in _nic_ends(setting)}
    counters = running.snapshot()
    if counters and counters.xstats is not None and setting.contender.link == "nic":
        nics["server"] = dict(counters.xstats)
    return Sample(counters, {**links, **remote.links(up.sites)}, nics)


def _nic_ends(setting: Setting) -> list[tuple[str, Endpoint]]:
    """Return the ends whose NIC the kernel of this machine has, and so can ask."""
    contender = setting.contender
    if contender.link != "nic":
        return []
    here = [] if setting.client.provisioned.sites else [("client", contender.client.endpoint)]
    bound = [("server", contender.endpoint)] if contender.stack == KERNEL else []
    return [(end, at) for end, at in (*here, *bound) if at.interface]


def overdue(why: str, seconds: float, proc_stat: ProcStat) -> Loaded:
    """Return the load of a tool that did not end."""
    return Loaded(LoadResult(0, 0, max(1.0, seconds), {}, (), proc_stat), None, (), overdue=why)


def _load(setting: Setting, name: str, seconds: int, watch: Watch) -> Loaded:
    """Run the load tool once; <raw>/<name>.json, .stdout and .stderr stay."""
    tool, client, load = setting.tool, setting.client, setting.load(seconds)
    report = client.raw / f"{name}.json"
    report.unlink(missing_ok=True)
    stat = proc_stat(client.host)
    try:
        if client.provisioned.sites:
            result, parts = remote.load(client, tool, load, name)
            return Loaded(result, None, (), parts)
        ended = client.run(name, tool.name, lambda launcher: tool.command(load, report, launcher),
                           tool.environment(report), load.most_seconds + tool.grace_seconds,
                           watch.tick(name))
        watch.ended(name)
    except TimeoutError as error:
        return overdue(str(error), seconds, ProcStat(stat, proc_stat(client.host)))
    if ended.code != 0 or not report.exists():
        raise ended.failure()
    return Loaded(tool.parse(report.read_text("utf-8")), ended.counters, (ended.samples,))


