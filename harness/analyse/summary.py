# SPDX-License-Identifier: BSD-3-Clause
"""Summarise a run: from its records to Summary. Pure: the same records give the same values.

Knows the facts it reads (results/README.md), no files and no output format.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Iterator, Mapping, Sequence

from harness.analyse import model
from harness.analyse.model import (
    Cell, ContenderInfo, FloorFactor, Limit, Missed, Obligations, Point, Statistics, Summary)
from harness.analyse import ablation, bottleneck, gain, metrics, open_loop
from harness.analyse import stats, stopping_rule, trial_use
from harness.analyse.caveats import caveats, of_trials, steadiness
from harness.plan import KERNEL, LoadPoint, Plan
from harness.store import (
    OTHER, Bound, Conformance, Evidence, Facts, LimitedBy, NotMeasured, Note, Result, Run,
    TrialRecord, account, counted, reported)
from harness.analyse.stats import CONFIDENCE, Table, round_significant
from harness.errors import UsageError

# connections, for what each takes to stand out from what the server takes anyway
ENOUGH = 10_000


def summarise(run: Run) -> Summary:
    """Return the summary of a run. UsageError when a record or a fact is missing or foreign."""
    plan, facts, points = run.plan, run.facts, run.plan.load_points
    contenders = contenders_of(plan, facts)
    kept = figured(run)
    cells = _Cells(plan, facts, contenders, kept)
    ceilings = bottleneck.ceilings(trial for trial in counted(run.calibration) if trial.valid)
    # an open loop's are of rates, and not of what it can do
    found = () if plan.offered else gain.adjust_points(_share_memory(
        [cells.point(place, ceilings.get(point))
         for place, point in enumerate(points)]))
    statistics = _statistics(run, found)
    # in whichever file it stands
    named = {facts.wire.emulated, *(trial.emulated for trial in run.trials)} - {""}
    emulated = ", ".join(sorted(named))
    attempted, steady = account(run.trials), steadiness(plan, run.trials)
    return Summary(
        run=facts.run, wire=plan.wire, workload=plan.workload.name,
        body_size_bytes=plan.workload.body_size_bytes,
        rounds=max(1, statistics.rounds_done) if plan.precision_percent else plan.rounds,
        duration_seconds=plan.duration_seconds, baseline=plan.contenders[0],
        sweep=tuple(axis.word for axis in plan.sweep), contenders=contenders,
        points=found, statistics=statistics,
        caveats=(*caveats(plan, facts.wire.caveat, emulated, facts.hugepages, facts.machine,
                          contenders, kept, found),
                 *of_trials(attempted, steady, statistics)),
        tap=plan.tap, impairment=plan.netem, softirq=plan.softirq, emulated=emulated,
        cycle_counter=facts.machine.cycle_counter or "tsc", tsc_hz=facts.machine.tsc_hz,
        attempts=attempted, steadiness=steady,
        ablation=ablation.summarise(plan, facts, points, kept),
        open_loop=open_loop.summarise(plan, facts, points, kept),
        obligations=_obligations(run.conformance))


def figured(run: Run) -> list[TrialRecord]:
    """Return the trials that figures are looked for in.

    Of several attempts the one that counts, and every invalid one, which figures leave out but tell
    of. UsageError on a trial that the plan does not have, and on a second record of one.
    """
    seen, points = set(), {*run.plan.load_points}
    for number, trial in enumerate(run.trials, 1):
        if trial.contender not in run.plan.contenders or trial.point not in points:
            raise UsageError(f"trials.jsonl:{number}: a trial that is not in this run's plan")
        key = (*trial.key, trial.attempt)
        if key in seen:
            raise UsageError(f"trials.jsonl:{number}: a second record of {trial.contender} in "
                             f"round {trial.round}")
        seen.add(key)
    for number, trial in enumerate(run.calibration, 1):
        if trial.contender in run.plan.contenders:
            raise UsageError(f"calibration.jsonl:{number}: {trial.contender} at "
                             f"{trial.point.connections} connections is no calibration")
    return reported(run.trials)


# --- facts ------------------------------------------------------------------------------------


def contenders_of(plan: Plan, facts: Facts) -> dict[str, ContenderInfo]:
    """Return a run's contenders as its facts have them. UsageError where they do not."""
    lacking = [name for name in plan.contenders if name not in facts.wire.contenders]
    if lacking:
        raise UsageError(f"facts.json: 'wire.contenders' has no {', '.join(lacking)}")
    absent = {name: Note(NotMeasured(why.code), why.values)
              for name, why in plan.not_applicable.items()}
    return {name: ContenderInfo(
        entry.label, entry.stack, entry.client.stack, polls=entry.polls,
        client_polls=entry.client.stack != KERNEL or entry.client.polls,
        baseline=entry.stack == KERNEL and name not in plan.limits, limit=name in plan.limits,
        not_measured=absent.get(name))
        for name in plan.contenders for entry in [facts.wire.contenders[name]]}


def _line(name: str, facts: Facts) -> bottleneck.Line:
    """Return a contender's wire; of two ends one may be with DPDK and tell no speed."""
    # several clients together are faster than each
    ends = [facts.nic.server, *(facts.nic.clients if len(facts.nic.clients) == 1 else ())]
    speed = max(end.speed_mbps or 0 for end in ends)
    return bottleneck.Line(facts.wire.contenders[name].link == "tap", speed or None,
                           facts.wire.mtu or bottleneck.Line.mtu)


# --- points -----------------------------------------------------------------------------------


class _Cells:
    """The trials of a run by contender and load point."""

    def __init__(self, plan: Plan, facts: Facts,
                 contenders: Mapping[str, ContenderInfo], trials: Sequence[TrialRecord]) -> None:
        self.plan, self.facts, self.contenders = plan, facts, contenders
        self.points = plan.load_points
        self.trials: dict[tuple[str, LoadPoint], list[TrialRecord]] = {}
        for trial in trials:
            self.trials.setdefault((trial.contender, trial.point), []).append(trial)
        rounds = 1 + max((trial.round for trial in trials), default=0)
        self.rates: dict[str, Table] = {
            name: gain.table(trials, name, self.points, rounds) for name in contenders}
        self.cycles: dict[str, Table] = {
            name: gain.table(trials, name, self.points, rounds, self._cycles(name))
            for name in contenders} if plan.limits else {}
        self.compared = {name: info for name, info in contenders.items() if not info.limit}
        self.logs = {(name, over): gain.log_ratios(self.rates[name], self.rates[over])
                     for name, over in gain.pairs(self.compared)}
        self.prior = stats.noise_prior([*self.logs.values()])

    def point(self, place: int, ceiling: model.Ceiling | None) -> Point:
        """Return one load point; its gains are not judged together with the others' yet."""
        at = self.points[place]
        if ceiling:
            ceiling = bottleneck.raised(ceiling, self._reached(at))
        cells = {name: self._cell(name, at, ceiling) for name in self.contenders}
        gains = [gain.gain(name, over, logs[:, place], self._bound(name, over, cells), self.prior)
                 for (name, over), logs in self.logs.items()]
        rates = {name: table[:, place] for name, table in self.rates.items()}
        return Point(at, cells, tuple(gains), gain.best_kernel(self.compared, cells), ceiling,
                     gain.headline_over(self.compared, cells),
                     tuple(gain.factors(self.compared, cells, rates, self.prior)),
                     tuple(self._floor_factors(place, cells)))

    def _floor_factors(self, place: int, cells: Mapping[str, Cell]) -> Iterator[FloorFactor]:
        """Yield how far each contender that is measured here is from each limit."""
        here = [name for name, cell in cells.items() if cell.not_measured is None]
        for limit in filter(self.plan.limits.__contains__, here):
            for name in (name for name in here if name not in self.plan.limits):
                rates = gain.log_ratios(self.rates[limit][:, place], self.rates[name][:, place])
                costs = gain.log_ratios(self.cycles[name][:, place], self.cycles[limit][:, place])
                yield FloorFactor(name, limit,
                                  gain.distance(rates, self._bound(limit, name, cells)),
                                  gain.distance(costs))

    def _reached(self, at: LoadPoint) -> dict[str, float | None]:
        """Return the median throughput by contender whose client is that of the calibration."""
        rates = {name: [trial.requests_per_sec for trial in self.trials.get((name, at), [])
                        if trial.valid]
                 for name, info in self.contenders.items() if not info.client_polls}
        return {name: stats.median(known) for name, known in rates.items() if known}

    def _bound(self, name: str, over: str, cells: Mapping[str, Cell]) -> Bound | None:
        # a client that differs is part of what is compared, and no bound on it
        one, other = self.contenders[name], self.contenders[over]
        alike = (one.client, one.client_polls) == (other.client, other.client_polls)
        return bottleneck.gain_bound(cells[name].limit, cells[over].limit) if alike else None

    def _cell(self, name: str, at: LoadPoint, ceiling: model.Ceiling | None) -> Cell:
        info, trials = self.contenders[name], self.trials.get((name, at), [])
        valid = [trial for trial in trials if trial.valid]
        absent = self._absent(name, at)
        figures = metrics.figures(valid, self._context(name))
        own = any(trial.cycles_per_request for trial in valid)
        limit = Limit(LimitedBy.UNKNOWN, (bottleneck.note(Evidence.NOT_MEASURED),)) if absent else \
            bottleneck.limit(info.polls, at.connections, valid,
                             info.client_polls, _line(name, self.facts),
                             # it is that of a client on the kernel's sockets
                             None if info.client_polls else ceiling)
        return Cell(
            trials=len(valid), invalid=len(trials) - len(valid),
            errors=sum(sum(trial.errors.values()) for trial in trials), figures=figures,
            latency_us=metrics.latency(valid), limit=limit, not_measured=absent,
            cpu_by_role=_by_role(figures.get("cpu_us_per_request"), valid),
            cycles_from=None if "cycles_per_request" not in figures else
            metrics.OWN_COUNTERS if own else metrics.CPU_TIME,
            bytes_per_connection=next((trial.bytes_per_connection for trial in valid
                                       if trial.bytes_per_connection), None))

    def _context(self, name: str) -> metrics.Context:
        return metrics.Context(self.contenders[name].polls, self.facts.machine.tsc_hz)

    def _cycles(self, name: str) -> gain.Value:
        of = self._context(name)
        return lambda trial: metrics.METRICS["cycles_per_request"].value(trial, of)

    def _absent(self, name: str, at: LoadPoint) -> Note[NotMeasured] | None:
        """Return why a contender is not measured at a load point."""
        if self.plan.follows(name, at):
            return None
        nowhere, most = self.contenders[name].not_measured, self.plan.most_connections.get(name)
        if nowhere:
            return nowhere
        if most is not None and at.connections > most:
            because = self.facts.wire.contenders[name].most_because
            return Note(NotMeasured.BEYOND, {"connections": most, "because": because})
        return Note(NotMeasured.NOT_ALL_CORES)


def _obligations(found: Conformance | None) -> dict[str, Obligations]:
    if found is None:
        return {}
    return {item.contender: Obligations(
        len(item.having(Result.KEPT)), len(item.having(Result.NOT_TESTABLE)),
        tuple(Missed(one.case, one.severity, one.rfc) for one in found.by_severity
              if one.case in item.having(Result.MISSED)), item.record, item.wire)
        for item in found.contenders}


def _by_role(median_us: model.Figure | None,
             valid: Sequence[TrialRecord]) -> dict[str, float] | None:
    """Split the median between client, server and interrupts elsewhere (absent for none)."""
    burned = [trial_use.burned_seconds(trial) for trial in valid]
    sums = {role: sum(seconds.get(role, 0.0) for seconds in burned) for role in trial_use.ROLES}
    total = sum(sums.values())
    if median_us is None or not total or any("+" in role for seconds in burned for role in seconds):
        return None
    return {role: round_significant((median_us.median or 0.0) * seconds / total)
            for role, seconds in sums.items() if seconds or role != OTHER}


def _share_memory(points: Sequence[Point]) -> list[Point]:
    """Give each cell the bytes that a connection adds to what its server held at the fewest.

    Where there are ENOUGH of them; fewer would share out what the server takes for itself, and
    noise.
    """
    fewest: dict[str, tuple[int, float]] = {}
    found = dict(enumerate(points))
    for place in sorted(found, key=lambda place: points[place].at.connections):
        count, cells = points[place].at.connections, dict(points[place].cells)
        for name, cell in cells.items():
            held = cell.median("memory_bytes")
            if held is None:
                continue
            least, before = fewest.setdefault(name, (count, held))
            if count >= max(ENOUGH, 100 * least):
                share = round_significant((held - before) / (count - least))
                cells[name] = replace(cell, memory_per_connection=share)
        found[place] = replace(points[place], cells=cells)
    return [found[place] for place in range(len(points))]


def _statistics(run: Run, points: Sequence[Point]) -> Statistics:
    plan = run.plan
    look = stopping_rule.look(plan, run.trials, run.facts.sessions)
    return Statistics(
        method=gain.METHOD, confidence=CONFIDENCE, seed=plan.seed, rounds_done=look.rounds,
        stopped_by=stopping_rule.ended(plan, run.trials, look),
        precision_percent=plan.precision_percent, budget_seconds=plan.budget_seconds,
        family=sum(item.p is not None for point in points for item in point.gains),
        headline_family=sum(item.p is not None for item in gain.families(points)[0]),
        adjustment=gain.ADJUSTMENT, rounds_needed=look.needed,
        widest_percent=_percent(look.widest), median_percent=_percent(look.median))


def _percent(share: float | None) -> float | None:
    return None if share is None else round_significant(100 * share, 3)
