# SPDX-License-Identifier: BSD-3-Clause
"""A whole run: bench() reads like the way of the data: plan, provision, trial, store, analyse, report.

Knows the order of the stages and how a run is resumed, and no detail of any stage.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any, Callable, Iterator, Mapping, Sequence

from harness.store import old_attempts as attempts
from harness.run import calibration
from harness.trial.observe import interference as disturbance
from harness.plan import (TrialSpec, round_specs,
    GENERAL, load_plan, without, offered_load as offered, Plan, SIZES, SPARE_FILES, Workload)
from harness.run import saturation
from harness.trial.load import remote as clients
from harness.analyse import stopping_rule as stopping
from harness.run.eligibility import applicable, checked, lines
from harness.errors import CheckFailed, Interrupted, MachineError, StackduelError, UsageError
from harness.facts import gather
from harness.host import Host, SshHost
from harness.plan.netem import parse
from harness.plan.nic_request import NicOrder
from harness.trial.load.loadgen import load_tool
from harness.run.progress import Progress, clock
from harness.provision import (
    Provisioned, ResolvedWire, allow_files, cost_of_turns, most_files, needed_files, nic_pair,
    planned_use, provisioned, reached, requested, resolve, restore, usable_cpus, with_cpus, with_tap)
from harness.store.store import (OUT, RESULTS, Run, Store, check_writable, disk_is_full, disk_reason, give_to_user,
                           run_id)
from harness.trial.trial import run_trial
from harness.plan import pairs
from harness.plan import Wire, load_wire, with_contenders

DEFAULT_PLAN = "default"
# the facts that the trials of one run must share
_SAME = ("wire", "hugepages.used", "versions", "binaries", "git", "machine.cpu_model", "kernel.release", "cpus",
         "nic.server.pci", "nic.server.id", "nic.binding")


@dataclass(frozen=True)
class Order:
    """What the command line asks for; empty text is not given. `settings` as plan.OVERRIDES; `nic`: where there is one;
    `report` False: it is made later, perhaps elsewhere. `loads`: of an open loop, None for a closed one.
    """

    wire: str
    plan: str
    settings: Mapping[str, str]
    resume: str = ""
    dry_run: bool = False
    published: Sequence[str] = ()
    nic: NicOrder = NicOrder()
    report: bool = True
    loads: offered.Loads | None = None


def bench(order: Order, host: Host, results: Path = RESULTS, out: Path = OUT) -> None:
    """Measures and reports: one run, or one for each workload of a wire that has several, and then a comparison.

    Errors end it early, with what was measured kept and the machine as it was. CheckFailed, after the reports, when a
    contender has no valid trial at some load point.
    """
    failed: list[CheckFailed] = []
    runs = [_run(each, host, results, out, failed) for each in _by_workload(order)]
    if len(runs) > 1 and not order.dry_run and order.report:
        from harness.cli.report import show_comparison
        show_comparison([str(run) for run in runs if run], order.published, out)
    if failed:
        raise CheckFailed("; ".join(map(str, failed)))


def measure(order: Order, host: Host, results: Path = RESULTS, out: Path = OUT) -> Path | None:
    """One run without its report: where it is, None of a rehearsal. Errors as bench()."""
    failed: list[CheckFailed] = []
    path = _run(replace(order, report=False), host, results, out, failed)
    if failed:
        raise failed[0]
    return path


def planned(order: Order, host: Host) -> tuple[ResolvedWire, Plan]:
    """What an order would measure; nothing is done, but that other machines are asked for their CPUs."""
    with reached(host, order.nic) as sites:
        wire, plan, _ = _choose(order, host, RESULTS, sites)
        return wire, plan


def _by_workload(order: Order) -> list[Order]:
    """The order for each workload, and each size of a body, that it leaves open."""
    if order.resume or order.plan.endswith(".toml"):
        return [order]
    given = order.settings.get("WORKLOAD", "").strip()
    orders = [replace(order, settings={**order.settings, "WORKLOAD": name})
              for name in ([given] if given else load_wire(order.wire).workloads)]
    if order.settings.get("BODY_SIZE"):
        return orders
    return [replace(each, settings={**each.settings, **size}) for each in orders for size in
            [{"BODY_SIZE": str(size)} for size in SIZES.get(each.settings["WORKLOAD"], ())] or [{}]]


def _run(order: Order, host: Host, results: Path, out: Path, failed: list[CheckFailed]) -> Path | None:
    """One run to its report; where it is, None of a rehearsal. What is wrong with its trials goes to `failed`."""
    before = Store.resume(order.resume, results).run.facts if order.resume else {}
    order = replace(order, nic=requested(order.nic, before))
    with reached(host, order.nic) as sites:
        return _run_with(sites, order, host, results, out, failed)


def _run_with(sites: Sequence[SshHost], order: Order, host: Host, results: Path, out: Path,
              failed: list[CheckFailed]) -> Path | None:
    """`sites`: the machines that its clients are on; () when that is this one."""
    if order.nic.nic and not order.dry_run:
        # a port that a killed run has left with DPDK has no interface
        for line in restore(host):
            _say(f"undone after a killed run: {line}")
    wire, plan, store = _choose(order, host, results, sites)
    remaining = stopping.remaining(plan, store.run.old_trials if store else ())
    if order.dry_run:
        _rehearse(host, wire, plan, len(remaining), sites)
        return None
    if store is None or remaining or not _looked_at(store).stop:
        check_writable(results)
        allow_files(needed_files(wire, plan) + SPARE_FILES)
        name = (_name(wire, plan.workload) + ("-latency" if plan.offered else "")
                + (f"-{parse(plan.netem, 'NETEM').slug}" if plan.netem else "")
                + (f"-softirq-{plan.softirq}" if plan.softirq else "")
                + ("-noise" if pairs(plan.contenders) else ""))
        id_ = store.run.id if store else run_id(datetime.now(timezone.utc), name)
        for line in cost_of_turns(wire, plan, remaining):
            _say(line)
        tool = load_tool(wire, plan.workload, bool(plan.offered))
        with provisioned(host, wire, plan.applicable, id_, log=_say, use=planned_use(host, wire, plan, sites),
                         programs=tool.programs) as up:
            clients.prepare(sites)
            if store is None:
                plan = applicable(host, wire, plan, up, results / "runs" / f"{id_}.before")
                for line in lines(plan):
                    _say(line)
            facts = {**gather(host, wire, plan, up, tool), "calibration": calibration.facts(host, wire, plan)}
            if plan.offered == offered.UNKNOWN:
                found = saturation.find(host, wire, plan, up, results / "runs" / f".{id_}", _say)
                plan = offered.settled(plan, saturation.rates(found), order.loads or offered.Loads())
                facts = {**facts, "saturation": found}
            store = _enter_facts(store, facts) if store else Store.create(id_, plan, facts, results)
            saturation.keep(results / "runs" / f".{id_}", store.raw)
            with _kept(store):
                _measure(host, wire, plan, up, store)
    else:
        _drop_cut_line(store)
    if order.report:
        # charts take long to import, and not every machine that measures has what they need
        from harness.cli.report import show_run
        show_run(store.run.path, order.published, out)
    else:
        _say(f"measured: {store.run.path}; its report: make report RUN={store.run.id}")
    give_to_user(store.run.path)
    try:
        _require_valid(store.run, out / store.run.id)
    except CheckFailed as error:
        failed.append(error)
    return store.run.path


def _choose(order: Order, host: Host, results: Path,
            sites: Sequence[SshHost]) -> tuple[ResolvedWire, Plan, Store | None]:
    """What to run: a new plan, or the rest of an old run, which the command line must not contradict."""
    def planned(wire: Wire, name: str) -> tuple[Wire, Plan]:
        wire = with_contenders(wire, [word.strip() for word in order.settings.get("CONTENDERS", "").split(",")])
        files = most_files() if wire.has_loadgen else None
        plan = load_plan(name, wire, usable_cpus(host, nic), with_cpus(host, nic, order.settings), files,
                         {site.destination: site.cpus() for site in sites})
        if order.loads is not None:
            plan = offered.open_plan(plan, order.loads)
        return wire, with_tap(host, wire, plan)
    store = Store.resume(order.resume, results) if order.resume else None
    wire = load_wire(order.wire or (store.run.plan.wire if store else ""))
    nic = nic_pair(host, wire, order.nic)
    if store is None:
        wire, plan = planned(wire, order.plan or DEFAULT_PLAN)
        plan = checked(replace(plan, seed=plan.seed or draw_seed()))
        return resolve(host, wire, plan, nic), plan, None
    run = store.run
    given = order.settings.get("CONTENDERS", "").split(",")
    wire = with_contenders(wire, [*(word.strip() for word in given), *run.plan.contenders])
    if wire.name != run.plan.wire:
        raise UsageError(f"run {run.id} is of wire '{run.plan.wire}', not of '{wire.name}'")
    if order.plan or any(order.settings.values()):
        named = planned(wire, order.plan or run.plan.name)[1]
        # what was decided when the run began stays so
        if without(replace(named, seed=named.seed or run.plan.seed), run.plan.not_applicable) != run.plan:
            raise UsageError(f"run {run.id} has another plan; to finish it give RESUME={run.id} alone")
    absent = {*run.plan.client_cpus, *run.plan.server_cpus} - set(usable_cpus(host, nic))
    if absent:
        raise UsageError(f"run {run.id} used CPU {min(absent)}, which this machine has not")
    for name in run.plan.contenders:
        if name not in wire.contenders:
            raise UsageError(f"run {run.id} has contender '{name}', which wire '{wire.name}' has no more")
    return resolve(host, wire, run.plan, nic), run.plan, store


def draw_seed() -> int:
    """One above 0 for the order of a run's trials."""
    return 1 + int.from_bytes(os.urandom(4), "big") % ((1 << 32) - 1)


def _order(plan: Plan) -> list[str]:
    """In which order, and how long, for who looks on."""
    rule = stopping.aim(plan)
    return [*([f"order of the trials: SEED={plan.seed}"] if plan.seed else []), *([rule] if rule else [])]


def _looked_at(store: Store) -> stopping.Look:
    return stopping.look(store.run.plan, store.run.old_trials, stopping.sessions(store.run.facts))


def _rehearse(host: Host, wire: ResolvedWire, plan: Plan, trials: int, sites: Sequence[SshHost]) -> None:
    with provisioned(host, wire, plan.applicable, "dry-run", dry_run=True, log=print,
                     programs=load_tool(wire, plan.workload, bool(plan.offered)).programs,
                     use=planned_use(host, wire, plan, sites)):
        pass
    calibrated = 0 if calibration.why_not(wire, plan) else len(plan.connections)
    seconds = (calibrated + trials) * (plan.warmup_seconds + plan.duration_seconds)
    for line in lines(plan):
        print(f"# {line}")
    tap = f", TAP={plan.tap}" if plan.tap else ""
    first = f", after {calibrated} of calibration" if calibrated else ""
    rule = stopping.aim(plan)
    print(f"# between them: plan {plan.name}{tap}, {'at least ' if rule else ''}{trials} trials of "
          f"{', '.join(plan.applicable)} at {', '.join(map(str, plan.connections))} connections{_rates(plan)}{first}, "
          f"{clock(seconds)} of load{'; ' if rule else ''}{rule}")


def _rates(plan: Plan) -> str:
    """Of an open loop, for a rehearsal."""
    if plan.offered == offered.UNKNOWN:
        return " at each rate, which depend on what the contenders can do"
    return f" and {', '.join(map(str, plan.offered))} requests/s" if plan.offered else ""


def _name(wire: ResolvedWire, workload: Workload) -> str:
    """What follows the date in a run's id."""
    if workload.name not in GENERAL:
        return workload.name
    if wire.ablation or workload.name == "rps":
        return wire.name
    size = f"-{workload.body_size_bytes}" if workload.name in SIZES else ""
    return f"{wire.name}-{workload.name}{size}"


def _enter_facts(store: Store, facts: dict[str, Any]) -> Store:
    """A resumed run says of every later machine state that it was measured in.

    UsageError, with nothing written, where that is another machine or other programs: one run would hold two.
    """
    for name in _SAME:
        found = _difference(name, _fact(store.run.facts, name), _fact(facts, name))
        if found:
            raise UsageError(f"run {store.run.id} was measured with other {found}; start a new run")
    _drop_cut_line(store)
    store.run.facts.setdefault("resumed", []).append(facts)
    store.write_facts()
    return store


def _fact(facts: Any, name: str) -> Any:
    """The fact at a dotted name; None where there is none."""
    for key in name.split("."):
        facts = facts.get(key) if isinstance(facts, dict) else None
    return facts


def _difference(name: str, old: Any, new: Any) -> str:
    """The innermost fact that differs, then and now; "" if none does."""
    if old == new:
        return ""
    if isinstance(old, dict) and isinstance(new, dict):
        return next(filter(None, (_difference(f"{name}.{key}", old.get(key), new.get(key))
                                  for key in sorted({*old, *new}))), "")
    return f"{name}: {json.dumps(old)} then, {json.dumps(new)} now"


def _drop_cut_line(store: Store) -> None:
    dropped = store.drop_cut_line()
    if dropped:
        _say(dropped)


def _require_valid(run: Run, report: Path) -> None:
    """CheckFailed where a contender has trials at a load point, and not one that counts."""
    bad = []
    for connections, rate in dict.fromkeys((at.connections, at.offered_per_sec) for at in run.plan.load_points):
        for name in run.plan.contenders:
            here = [t for t in run.old_trials if (t["contender"], t["connections"], t.get("offered", 0)) ==
                    (name, connections, rate)]
            if here and not any(t["valid"] and t["requests_per_sec"] > 0 for t in here):
                why = "; ".join(here[0]["problems"]) or "no request was answered"
                bad.append((f"{name} at {f'{rate} requests/s and ' if rate else ''}{connections}", why))
    if bad:
        raise CheckFailed(f"no valid trial of {', '.join(point for point, _ in bad)} connections "
                          f"({bad[0][1]}); the report is in {report}")


def _measure(host: Host, wire: ResolvedWire, plan: Plan, up: Provisioned, store: Store) -> None:
    for line in _order(plan):
        print(line, flush=True)
    with _rebinds_kept(store, up):
        calibration.measure(host, wire, plan, up, store, partial(print, flush=True))
    with Progress(plan, len(stopping.remaining(plan, store.run.old_trials))) as progress, _rebinds_kept(store, up):
        for place, spec in _until_enough(plan, store, progress.looked):
            progress.start(spec)
            progress.done(spec, _one(host, wire, plan, place, spec, up, store, progress.repeated))
    if plan.precision_percent:
        print(stopping.said(plan, _looked_at(store)), flush=True)


def _until_enough(plan: Plan, store: Store,
                  looked: Callable[[stopping.Look, int], None]) -> Iterator[tuple[int, TrialSpec]]:
    """The trials to run, each with its place in the whole order: what begun rounds lack first, then round by round
    until stopping.py says that it is enough. Each must be stored before the next is asked for. `looked` is told what is
    known before a round, and how many trials it has."""
    while True:
        seen, left = _looked_at(store), stopping.remaining(plan, store.run.old_trials)
        if not left and seen.stop:
            return
        next_ = [each for each in left if each[1].round == left[0][1].round] or stopping.one_round(plan, seen.rounds)
        looked(seen, len(next_))
        yield from next_


def _one(host: Host, wire: ResolvedWire, plan: Plan, place: int, spec: TrialSpec, up: Provisioned,
         store: Store, repeated: Callable[[TrialSpec, Mapping[str, Any]], None]) -> dict[str, Any]:
    """One trial, and at once again while it is disturbed, each stored; the record that counts. `repeated` is told of
    each that does not suffice."""
    at = spec.key
    while True:
        record = _attempt(host, wire, plan, place, replace(spec, attempt=attempts.next_attempt(store.run.old_trials, at)),
                          up, store)
        if not attempts.again(record, plan.attempts):
            break
        repeated(spec, record)
    return dict(attempts.counted([each for each in store.run.old_trials if attempts.key(each) == at])[0])


def _attempt(host: Host, wire: ResolvedWire, plan: Plan, place: int, spec: TrialSpec, up: Provisioned,
             store: Store) -> dict[str, Any]:
    contender, ports = wire.contenders[spec.contender], store.run.facts.setdefault("ports", {})
    up.turn_to(host, contender)
    rate = f"-o{spec.offered}" if spec.offered else ""
    raw = store.raw / (f"{place:04d}-{contender.file_name}-c{spec.connections}{rate}-r{spec.round}"
                       f"{f'-a{spec.attempt}' if spec.attempt else ''}")
    outcome = run_trial(host, wire, plan, spec, place, up, raw)
    record, like = outcome.record, (spec.contender, spec.connections)
    disturbed = disturbance.reasons(record["machine"], [
        each["machine"] for each in store.run.old_trials
        if "machine" in each and (each["contender"], each["connections"]) == like])
    if disturbed:
        record["disturbed"] = disturbed
    store.append(record)
    for end, port in outcome.ports.items():
        if ports.setdefault(_port_name(spec.contender, end), port) is port:
            store.write_facts()
    return record


@contextmanager
def _rebinds_kept(store: Store, up: Provisioned) -> Iterator[None]:
    """What each change of driver took stands among the facts, however the run ends."""
    try:
        yield
    finally:
        if up.port and up.port.rebinds:
            facts = [store.run.facts, *store.run.facts.get("resumed", [])][-1]
            facts["nic"]["rebinds"] = {"count": len(up.port.rebinds), "seconds": up.port.rebinds}
            store.write_facts()


def _port_name(contender: str, end: str) -> str:
    """Of a port among the facts: the contender's own has its name."""
    return contender if end == "server" else f"{contender} {end}"


@contextmanager
def _kept(store: Store) -> Iterator[None]:
    """Whatever ends a run early: the line to the user says what is kept and how to go on."""
    def kept() -> str:
        run = store.run
        planned = stopping.sure_rounds(run.plan, run.old_trials) * len(round_specs(run.plan, 0))
        return (f"{len(attempts.counted(run.old_trials))} of {'at least ' if run.plan.precision_percent else ''}{planned} trials are kept, "
                f"finish the run with RESUME={run.id}")
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted; {kept()}") from None
    except StackduelError as error:
        if disk_is_full(store.run.path):
            raise MachineError(f"{store.run.path}: the disk is full: free some space; {kept()}") from error
        raise type(error)(f"{error}; {kept()}") from error
    except OSError as error:
        raise MachineError(f"{disk_reason(error)}; {kept()}") from error
    finally:
        give_to_user(store.run.path)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
