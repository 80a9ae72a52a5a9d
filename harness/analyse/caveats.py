# SPDX-License-Identifier: BSD-3-Clause
"""Find what a reader must know before believing a run's figures: codes with numbers. Pure."""

from __future__ import annotations

import math
from typing import Iterator, Mapping, Sequence

from harness.analyse.model import (
    Attempts, ContenderInfo, Point, Statistics, Steadiness, UnsettledTrial)
from harness.analyse import gain, stats, trial_use
from harness.analyse.bottleneck import note
from harness.plan import Plan, round_specs
from harness.store import (
    Caveat, HugepageFacts, LimitedBy, MachineFacts, Note, StoppedBy, TrialRecord, Value, counted)
from harness.analyse.stats import round_significant

_NOTABLE_STEAL = 0.02
# of CPU time on CPUs without a part, as a share of what counts
_NOTABLE_ELSEWHERE = 0.05


def steadiness(plan: Plan, records: Sequence[TrialRecord]) -> Steadiness | None:
    """Tell whether throughput had settled; None of runs of before anyone looked.

    warmup_seconds: what would have been enough for all that settled too late; None where none is
    needed, or none helps.
    """
    watched = [record for record in counted(records) if record.valid and record.machine]
    if not watched:
        return None
    seen = {record.contender for record in watched if record.steady}
    after = [record.steady.settled_after_seconds for record in watched
             if record.steady and record.steady.settled_after_seconds is not None]
    late = [record for record in watched if record.steady and record.unsettled]
    helped = [record.steady.settled_after_seconds for record in late if record.steady
              and record.steady.settled_after_seconds is not None and not record.steady.own_ramp]
    never = sum(record.steady is not None and record.steady.settled_after_seconds is None
                for record in late)
    enough = math.ceil(max(helped, default=0.0))
    return Steadiness(
        sampled=sum(record.steady is not None for record in watched), unsettled=len(late),
        never=never, settled_after_seconds={"median": round_significant(stats.median(after)),
                                            "max": round_significant(max(after))}
        if after else None,
        unseen=tuple(name for name in plan.contenders if name not in seen
                     and any(record.contender == name for record in watched)),
        warmup_seconds=enough if enough > plan.warmup_seconds else None,
        trials=tuple(UnsettledTrial(record.contender, record.point, record.round, record.unsettled)
                     for record in late if record.unsettled))


def caveats(plan: Plan, wire: str, emulated: str, pages: HugepageFacts,
            machine: MachineFacts, contenders: Mapping[str, ContenderInfo],
            trials: Sequence[TrialRecord], points: Sequence[Point]) -> Iterator[Note[Caveat]]:
    """Yield what stands before the figures: what the gain is over, then the `wire`'s own caveat.

    `emulated`, `pages`, `machine`: of the facts. `trials`: those that figures are looked for in,
    the invalid among them.
    """
    compared = {name: info for name, info in contenders.items() if not info.limit}
    kernels = [contenders[name] for name in gain.kernel_baselines(contenders)
               if not contenders[name].not_measured]
    if alone := tuple(name for name, info in compared.items() if kernels and points
                      and info.polls and not info.baseline
                      and not any(gain.polls_alike(info, kernel) for kernel in kernels)):
        yield note(Caveat.POLLING_IN_GAIN, contenders=alone)
    if wire:
        yield note(Caveat.WIRE, text=wire)
    if emulated:
        yield note(Caveat.EMULATED, what=emulated)
    if not pages.used and any(info.stack != "kernel" for info in contenders.values()):
        yield note(Caveat.NO_HUGEPAGES, why=pages.why)
    if machine.cycle_counter == "cntvct_el0":
        yield note(Caveat.TIMER_TICKS, **({"hz": machine.tsc_hz} if machine.tsc_hz else {}))
    if shared := sorted({*plan.client_cpus} & {*plan.server_cpus}):
        yield note(Caveat.SHARED_CPUS, cpus=tuple(shared))
    if aside := tuple(name for name, info in contenders.items() if info.not_measured):
        yield note(Caveat.NOT_APPLICABLE, contenders=aside)
    rounds = max(plan.rounds, 1 + max((trial.round for trial in trials), default=0))
    planned, done = rounds * len(round_specs(plan, 0)), len({trial.key for trial in trials})
    if done < planned:
        yield note(Caveat.INCOMPLETE, done=done, planned=planned,
                    at_least=int(plan.precision_percent > 0))
    if invalid := sum(not trial.valid for trial in trials):
        yield note(Caveat.INVALID, invalid=invalid, trials=len(trials))
    yield from _shares(Caveat.STOLEN, list(map(trial_use.steal_share, trials)), _NOTABLE_STEAL)
    yield from _shares(Caveat.ELSEWHERE, list(map(trial_use.elsewhere_share, trials)),
                       _NOTABLE_ELSEWHERE)
    yield from _limits(compared, points)


def of_trials(attempted: Attempts | None, steady: Steadiness | None,
              statistics: Statistics) -> Iterator[Note[Caveat]]:
    """Yield what the trials' circumstances and the end of the run leave to be desired."""
    if attempted:
        yield note(Caveat.DISTURBED)
    if steady and steady.unsettled:
        yield note(Caveat.UNSETTLED)
    if steady and steady.unseen:
        yield note(Caveat.UNSEEN, contenders=steady.unseen)
    if statistics.precision_percent and statistics.stopped_by in (
            StoppedBy.BUDGET, StoppedBy.FUTILITY, StoppedBy.INTERRUPTED):
        widest = statistics.widest_percent
        yield note(Caveat.IMPRECISE, stopped_by=statistics.stopped_by.value,
                    precision_percent=statistics.precision_percent,
                    **({} if widest is None else {"widest_percent": widest}))


def _shares(code: Caveat, shares: Sequence[float], notable: float) -> Iterator[Note[Caveat]]:
    found = [share for share in shares if share >= notable]
    if found:
        yield note(code, trials=len(found), of=len(shares), share=round_significant(max(found)))


def _limits(contenders: Mapping[str, ContenderInfo],
            points: Sequence[Point]) -> Iterator[Note[Caveat]]:
    """Yield one for all contenders that the client, or the wire, held back at the same points."""
    for code, by in ((Caveat.CLIENT_LIMIT, LimitedBy.CLIENT_CPU),
                     (Caveat.WIRE_LIMIT, LimitedBy.WIRE)):
        held: dict[tuple[tuple[int, ...], bool], list[str]] = {}
        for name, info in contenders.items():
            at = tuple(place for place, point in enumerate(points)
                       if point.cells[name].limit.by == by)
            if at:
                held.setdefault((at, info.client != "kernel"), []).append(name)
        for (at, compared), names in held.items():
            more: dict[str, Value] = {"compared": int(compared)}
            yield note(code, contenders=tuple(names), points=at,
                        **(more if code == Caveat.CLIENT_LIMIT else {}))
