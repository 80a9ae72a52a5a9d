# SPDX-License-Identifier: BSD-3-Clause
"""Make a whole run: plan, provision, trial by trial, store. Returns it; reports nothing.

Knows the order of the stages and when it ends, and no detail of any stage.
"""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Callable, ContextManager, Iterator, Sequence

from harness.analyse import Look, look, one_round, remaining, sure_rounds
from harness.facts import gather
from harness.host import Host, SshHost
from harness.plan import (
    CONNECTIONS, GENERAL, OFFERED, SIZES, SPARE_FILES, UNKNOWN, Plan, Reason, TrialSpec, pairs,
    parse_netem, round_specs, without)
from harness.provision import (
    Inspect, Provisioned, ResolvedWire, allow_files, cost_of_turns, needed_files, planned_use,
    provisioned, reached, requested, restore)
from harness.store import (
    RESULTS, Json, Note, Run, StoppedBy, Store, Value, adopt_conformance, check_writable, counted,
    differing, disk_is_full, disk_reason, fact, give_to_user, run_id, to_json)
from harness.trial import Place, load_tool, prepare
from harness.errors import Interrupted, MachineError, StackduelError, UsageError
from harness.run import calibration
from harness.run.eligibility import without_far_clients, without_napi
from harness.run.open_loop import closed, saturate
from harness.run.progress import Progress, Words, clock, code_text, point_name
from harness.run.request import RunRequest, checked, choose, not_applicable
from harness.run.runner import Ports, TrialRunner

# the facts that the trials of one run must share
_SAME = ("wire", "hugepages.used", "versions", "binaries", "git", "machine.cpu_model",
         "kernel.release", "cpus", "nic.server.pci", "nic.server.id", "nic.binding")
# called with a run that goes on, when it has all rounds of its plan and after each further one
AfterRound = Callable[[Run], None]


def measure(request: RunRequest, host: Host, results: Path = RESULTS,
            after_round: AfterRound = lambda run: None, words: Words = code_text) -> Run | None:
    """Make one run, or finish one, and return it; None of a rehearsal.

    words: make a phrase of a code, for whoever watches
    Errors end it early, with what was measured kept and the machine as it was.
    """
    store = Store.resume(request.resume, results) if request.resume else None
    order = store.run.facts.nic.order if store else {}
    request = replace(request, nic=requested(request.nic, order))
    with reached(host, request.nic) as sites:
        if request.nic.nic and not request.dry_run:
            # a port that a killed run has left with DPDK has no interface
            for line in restore(host):
                _say(f"undone after a killed run: {line}")
        wire, plan = choose(request, host, store.run if store else None, sites, words)
        session = _Session(host, wire, plan, sites, results, after_round, words)
        if request.dry_run:
            session.rehearse()
            return None
        if store and _is_over(store.run):
            _drop_cut_line(store)
        else:
            check_writable(results)
            store = session.make(store)
        run = adopt_conformance(store.run, results)
        give_to_user(run.path)
        return run


@dataclass(frozen=True)
class _Session:
    """One session of a run on this machine."""

    host: Host
    wire: ResolvedWire
    plan: Plan
    sites: Sequence[SshHost]
    results: Path
    after_round: AfterRound
    words: Words

    def make(self, store: Store | None) -> Store:
        host, wire, plan = self.host, self.wire, self.plan
        allow_files(needed_files(wire, plan) + SPARE_FILES)
        id_ = store.run.id if store else run_id(datetime.now(timezone.utc), _name(wire, plan))
        trials = store.run.trials if store else ()
        for line in cost_of_turns(wire, plan, remaining(plan, trials)):
            _say(line)
        raw = self.results / "runs" / f"{id_}.before"
        with self._provisioned(id_, inspect=partial(self._inspect, raw, store)) as up:
            if store is None:
                store = self._begin(up, id_)
            else:
                _enter_facts(store, self._facts(up, plan))
            with _kept(store):
                self._measure(up, store)
        return store

    def _provisioned(self, id_: str, dry_run: bool = False,
                     inspect: Inspect = lambda up: {}) -> ContextManager[Provisioned]:
        host, wire, plan = self.host, self.wire, self.plan
        return provisioned(
            host, wire, plan.applicable, id_, dry_run=dry_run, inspect=inspect,
            log=_print if dry_run else _say,
            use=planned_use(host, wire, plan, self.sites),
            programs=load_tool(plan, wire.has_loadgen).programs)

    def _begin(self, up: Provisioned, id_: str) -> Store:
        """Create the run, with what is found out about this machine before its trials."""
        host, wire, runs = self.host, up.wire, self.results / "runs"
        plan = checked(without(self.plan, wire.not_applicable), self.words)
        for line in not_applicable(plan, self.words):
            _say(line)
        facts, raw = self._facts(up, plan), runs / f".{id_}"
        if wire.not_applicable:
            facts = {**facts, "not_applicable": {name: {"code": why.code, **why.values}
                                                 for name, why in wire.not_applicable.items()}}
        if plan.offered == UNKNOWN:
            runner = TrialRunner(host, wire, closed(plan), up)
            with runner:
                found = saturate(runner, raw, self.words, _say)
            facts = {**facts, "saturation": to_json(found)}
        store = Store.create(id_, self.plan, facts, self.results)
        if raw.is_dir():
            raw.rename(store.raw / "saturation")
        return store

    def _inspect(self, raw: Path, store: Store | None, up: Provisioned) -> dict[str, Reason]:
        """Return whom the wire that is up cannot carry; a run that goes on knows that already."""
        prepare(self.sites)
        return {} if store else {
            **without_far_clients(self.wire, self.plan, up),
            **without_napi(self.host, self.wire, self.plan, up, raw)}

    def _measure(self, up: Provisioned, store: Store) -> None:
        plan = store.run.plan
        for line in filter(None, (f"order of the trials: SEED={plan.seed}" if plan.seed else "",
                                  aim_text(plan))):
            _print(line)
        runner = TrialRunner(self.host, self.wire, plan, up, list(store.run.trials),
                             on_ports=partial(_enter_ports, store))
        with _rebinds_kept(store, up), runner:
            calibration.measure(runner, store, self.words)
            left = len(remaining(plan, store.run.trials))
            with Progress(plan, left, self.words) as progress:
                runner.on_repeat = progress.repeated
                for group in _until_enough(store, progress, runner.end_round, self.after_round):
                    specs = [spec for _, spec in group]
                    progress.start(specs)
                    places = [self._place(store, *item) for item in group]
                    records = runner.run_together(places, store.append)
                    progress.done(list(zip(specs, records)))

    def _place(self, store: Store, sequence: int, spec: TrialSpec) -> Place:
        """Return a trial with the directory of its files."""
        name = f"{sequence:04d}-{self.wire.contenders[spec.contender].file_name}"
        point = point_name(spec.point, store.run.plan)
        return sequence, spec, store.raw / f"{name}-{point}-r{spec.round}"

    def rehearse(self) -> None:
        """Print what would be done and measured."""
        plan = self.plan
        with self._provisioned("dry-run", dry_run=True):
            pass
        trials = len(remaining(plan, ()))
        calibrated = 0 if calibration.why_not(self.wire, plan) else (
            calibration.TRIALS * len(plan.load_points))
        seconds = (calibrated + trials) * plan.load_seconds
        for line in not_applicable(plan, self.words):
            print(f"# {line}")
        tap = f", TAP={plan.tap}" if plan.tap else ""
        first = f", after {calibrated} of calibration" if calibrated else ""
        rule = aim_text(plan)
        print(f"# between them: plan {plan.name}{tap}, {'at least ' if rule else ''}{trials} "
              f"trials of {', '.join(plan.applicable)} at {_values(plan)}{first}, "
              f"{clock(seconds)} of load{'; ' if rule else ''}{rule}")

    def _facts(self, up: Provisioned, plan: Plan) -> Json:
        tool = load_tool(plan, self.wire.has_loadgen)
        return {**gather(self.host, self.wire, plan, up, tool),
                "calibration": calibration.facts(self.host, self.wire, plan)}


def _look(run: Run) -> Look:
    return look(run.plan, run.trials, run.facts.sessions)


def _is_over(run: Run) -> bool:
    return bool(not remaining(run.plan, run.trials) and _look(run).stop)


def _until_enough(store: Store, progress: Progress, end_round: Callable[[], None],
                  after_round: AfterRound) -> Iterator[list[tuple[int, TrialSpec]]]:
    """Yield the trials to run, those of one load point together where their loads take turns, each
    with its place in the whole order.

    What begun rounds lack comes first, then round by round until the stopping rule says that it is
    enough. All must be stored before the next are asked for. `end_round` is called after each round.
    """
    plan, first = store.run.plan, True
    while True:
        look = _look(store.run)
        left = remaining(plan, store.run.trials)
        if not left and look.stop:
            return
        if not left and plan.precision_percent and not first:
            after_round(store.run)
        first = False
        specs = [item for item in left if item[1].round == left[0][1].round]
        specs = specs or one_round(plan, look.rounds)
        progress.looked(look, len(specs))
        if plan.turn_ms:
            yield from (list(group) for _, group in groupby(specs, key=lambda item: item[1].point))
        else:
            yield from ([item] for item in specs)
        end_round()


def aim_text(plan: Plan) -> str:
    """Return what the rounds go on for, in words; "" where their number is fixed."""
    if not plan.precision_percent:
        return ""
    budget = plan.budget_seconds
    end = f", {clock(budget)} of trials at most" if budget else ""
    return (f"at least {plan.rounds} rounds, until every gain is known to "
            f"±{plan.precision_percent:g} %{end}")


def stopped(run: Run) -> Note[StoppedBy] | None:
    """Return what ended the rounds of a run with a rule; None of another."""
    plan, look = run.plan, _look(run)
    if not plan.precision_percent or look.stop is None:
        return None
    values: dict[str, Value] = {"rounds": look.rounds, "most_rounds": plan.most_rounds,
                                "precision_percent": plan.precision_percent}
    if look.widest is not None and look.where is not None:
        name, point = look.where
        values |= {"widest": look.widest, "median": look.median or 0.0,
                   "contender": name, "connections": point.connections}
    if look.more is not None:
        values["more_rounds"] = look.more
    return Note(look.stop, values)


def _values(plan: Plan) -> str:
    """Return the load points of a rehearsal: the values on each axis."""
    texts = []
    rates = [OFFERED] if plan.offered not in ((), UNKNOWN) else []
    for axis in dict.fromkeys((CONNECTIONS, *plan.sweep, *rates)):
        values = dict.fromkeys(f"{axis.value(point):.12g}" for point in plan.load_points)
        texts.append(f"{', '.join(values)} {axis.unit or axis.word}")
    if plan.offered == UNKNOWN:
        texts.append("each rate, which depend on what the contenders can do")
    return " and ".join(texts)


def _name(wire: ResolvedWire, plan: Plan) -> str:
    """Return what follows the date in a run's id."""
    workload = plan.workload
    name = workload.name
    if name in GENERAL:
        size = f"-{workload.body_size_bytes}" if name in SIZES else ""
        name = wire.name if wire.ablation or name == "rps" else f"{wire.name}-{name}{size}"
    swept = [axis.word for axis in plan.sweep if axis.word not in ("connections", "rate")]
    return "-".join([name, *swept, *(["latency"] * bool(plan.offered)),
                     *([parse_netem(plan.netem, "NETEM").slug] if plan.netem else []),
                     *([f"softirq-{plan.softirq}"] if plan.softirq else []),
                     *(["noise"] if pairs(plan.contenders) else [])])


def _enter_facts(store: Store, facts: Json) -> None:
    """Enter into a resumed run the machine state that it goes on in.

    UsageError, with nothing written, where that is another machine or other programs.
    """
    before = store.run.facts.raw
    for name in _SAME:
        for leaf, old, new in differing(name, fact(before, name), fact(facts, name)):
            raise UsageError(f"run {store.run.id} was measured with other {leaf}: "
                             f"{json.dumps(old)} then, {json.dumps(new)} now; start a new run")
    _drop_cut_line(store)
    store.enter(resumed=[*before.get("resumed", []), facts])


def _drop_cut_line(store: Store) -> None:
    dropped = store.drop_cut_line()
    if dropped:
        _say(dropped)


def _enter_ports(store: Store, spec: TrialSpec, ports: Ports) -> None:
    """Enter what the ends of a trial say of their ports among the facts, once."""
    known = store.run.facts.ports
    told = {spec.contender if end == "server" else f"{spec.contender} {end}": port
            for end, port in ports.items()}
    if not told.keys() <= known.keys():
        store.enter(ports={**told, **known})


@contextmanager
def _rebinds_kept(store: Store, up: Provisioned) -> Iterator[None]:
    """Enter what each change of driver took among the facts, however the body ends."""
    try:
        yield
    finally:
        if up.port and up.port.rebinds:
            first = store.run.facts.raw
            *before, last = first.get("resumed", []) or [first]
            rebinds = {"count": len(up.port.rebinds), "seconds": up.port.rebinds}
            told = {"nic": {**last["nic"], "rebinds": rebinds}}
            if last is first:
                store.enter(**told)
            else:
                store.enter(resumed=[*before, {**last, **told}])


@contextmanager
def _kept(store: Store) -> Iterator[None]:
    """Say what is kept and how to go on, whatever ends a run early."""
    def kept() -> str:
        run = store.run
        sure = sure_rounds(run.plan, run.trials) * len(round_specs(run.plan, 0))
        least = "at least " if run.plan.precision_percent else ""
        return (f"{len(counted(run.trials))} of {least}{sure} trials are kept, finish the run with "
                f"RESUME={run.id}")
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted; {kept()}") from None
    except StackduelError as error:
        if disk_is_full(store.run.path):
            raise MachineError(f"{store.run.path}: the disk is full: free some space; {kept()}"
                               ) from error
        raise type(error)(f"{error}; {kept()}") from error
    except OSError as error:
        raise MachineError(f"{disk_reason(error)}; {kept()}") from error
    finally:
        give_to_user(store.run.path)


def _print(line: str) -> None:
    print(line, flush=True)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
