# SPDX-License-Identifier: BSD-3-Clause
"""Compute what each step of an ablation saves, in cycles a request, by paired differences.

A difference is taken within a round, between the two contenders that differ in that optimisation
alone, so that what drifts from round to round is in both. It depends on which others are there:
each is told twice.
"""

from __future__ import annotations

import math
from typing import Mapping, Sequence

from harness.analyse.model import Ablation, OptimisationStep, Saving
from harness.analyse import stats
from harness.analyse.gain import table
from harness.analyse.stats import Table, round_significant, rounded_interval
from harness.plan import (
    OF_OBLIGATIONS, OF_OPTIMISATIONS, PLAIN, LoadPoint, Optimisation, Plan, added, apart, below)
from harness.store import Facts, TrialRecord


def summarise(plan: Plan, facts: Facts, points: Sequence[LoadPoint],
              trials: Sequence[TrialRecord]) -> tuple[Ablation, ...]:
    """Return one entry a load point; none of a run that is no ablation."""
    kind, rows = next(((kind, rows) for kind, rows in (
        (OF_OPTIMISATIONS, facts.wire.optimisations),
        (OF_OBLIGATIONS, facts.wire.obligations)) if rows), ("", ()))
    steps = [Optimisation(*row) for row in rows]
    if not steps:
        return ()
    rounds = 1 + max((trial.round for trial in trials), default=0)
    cycles = {name: table(trials, name, points, rounds, lambda trial: trial.cycles_per_request)
              for name in plan.contenders}
    return tuple(_point(kind, steps, point, {name: of[:, place] for name, of in cycles.items()})
                 for place, point in enumerate(points))


def _point(kind: str, steps: Sequence[Optimisation], at: LoadPoint,
           cycles: Mapping[str, Table]) -> Ablation:
    one_by_one, alone = below(steps), apart(steps)
    last = _mean(cycles, added(steps[-1].name))
    return Ablation(at, _mean(cycles, PLAIN), last, tuple(
        OptimisationStep(step.name, step.what, _mean(cycles, added(step.name)),
                         _saving(cycles, *one_by_one[step.name]), _saving(cycles, *alone[step.name]))
        for step in steps), kind)


def _mean(cycles: Mapping[str, Table], contender: str) -> float | None:
    """Return a mean and no median: so the differences of whole rounds add up over all steps."""
    known = _known(cycles[contender]) if contender in cycles else []
    return round_significant(math.fsum(known) / len(known)) if known else None


def _saving(cycles: Mapping[str, Table], without: str, with_: str) -> Saving:
    """Return the cycles a request that the second contender needs fewer than the first."""
    both = without in cycles and with_ in cycles
    known = _known(cycles[without] - cycles[with_]) if both else []
    if not known:
        return Saving(None, None, 0)
    mean, interval = stats.t_interval(known)
    return Saving(round_significant(mean), rounded_interval(interval), len(known))


def _known(values: Table) -> list[float]:
    return [float(value) for value in values if math.isfinite(value)]
