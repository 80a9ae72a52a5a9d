# SPDX-License-Identifier: BSD-3-Clause
"""Decide when a run has rounds enough. Pure: the records so far in, going on or the reason out.

A round is the unit: what is begun is finished. Everything follows from the plan, the records and
when each session of the run began, so a run that was interrupted goes on as it would have, and its
report knows why it ended.

Precision. The rule is a fixed-width confidence interval that is looked at after every round (Chow
and Robbins 1965: its coverage is asymptotically right). With few rounds it is not: an interval is
likeliest to look narrow enough where the scatter happens to be underestimated. Simulated for one
gain with normal logarithms, stopping at the first narrow look from round 5 on lets the 95 %
interval cover as little as 91.8 %. So it must be narrow now and must have been at a look HELD
rounds or more before (extra rounds after the first success are Simons' remedy, 1968): that covers
93 % or more at every precision, and 95 % where several gains of like scatter must all be narrow
(test_stopping_rule.py measures both).

Futility. A run ends before its budget when that is clearly too small: when even the least scatter
that the rounds so far leave room for needs more rounds than there is time for. That least is the
lower confidence limit of the standard deviation (chi-squared, normal logarithms) of each gain, at
FUTILITY_ERROR shared out among the gains. The run goes on while every gain's limit leaves a chance.
Looked at after every round, a run that would have made it within its budget is stopped so in less
than 1 % of cases (measured likewise).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Iterable, Sequence

import numpy as np

from harness.analyse import gain, stats
from harness.plan import LoadPoint, Plan, TrialSpec, round_specs
from harness.store import StoppedBy, TrialRecord, counted, finished
from harness.analyse.stats import Table, quantile_of_t
from harness.errors import UsageError

# pairs from which on an interval says something, and for how many rounds it must have been narrow
FIRST_LOOK, HELD = 3, 3
# of a look, that it calls a run futile which is not
FUTILITY_ERROR = 0.001
# start, READY, proof and stop of a contender, where no two trials tell how long that takes
_OVERHEAD_SECONDS = 2.0
Records = Sequence[TrialRecord]


@dataclass(frozen=True)
class Look:
    """What is known after `rounds` complete rounds.

    stop: why no further round is begun; None to go on
    widest, median: half of the widest and of the median interval of a gain, as a factor - 1; None
        while there is none
    where: whose that is, contender and load point
    needed: rounds in all for the precision asked for, as far as the scatter tells; None: not known
    spent_seconds, round_seconds: of all trials so far, and of a round
    """

    rounds: int
    stop: StoppedBy | None
    widest: float | None
    median: float | None
    where: tuple[str, LoadPoint] | None
    needed: int | None
    spent_seconds: float
    round_seconds: float

    @property
    def more(self) -> int | None:
        """Return how many rounds are still to come."""
        return None if self.needed is None else self.needed - self.rounds


def remaining(plan: Plan, trials: Records) -> list[tuple[int, TrialSpec]]:
    """Return the trials that come in any case and are still to run, with places in the order.

    Those of the rounds that the plan has at least, and of those that were begun.
    """
    done = finished(trials, plan.attempts)
    return [(place, spec) for place, spec in _places(plan, range(sure_rounds(plan, trials)))
            if spec.key not in done]


def one_round(plan: Plan, round_: int) -> list[tuple[int, TrialSpec]]:
    """Return the trials of a round, each with its place in the whole order."""
    return list(_places(plan, (round_,)))


def sure_rounds(plan: Plan, trials: Records) -> int:
    """Return how many rounds there are in any case: the plan's, and those that were begun."""
    return max(plan.rounds, 1 + max((trial.round for trial in trials), default=0))


def complete_rounds(plan: Plan, trials: Records) -> int:
    """Return how many rounds, from the first, have a record of every trial."""
    done = finished(trials, plan.attempts)
    count = 0
    while count < plan.most_rounds and done.issuperset(spec.key for spec in round_specs(plan, count)):
        count += 1
    return count


def look(plan: Plan, trials: Records, began: Sequence[str] = ()) -> Look:
    """Look after the complete rounds of `trials`: go on, or stop and why.

    `began`: when each session of the run did. UsageError on a record whose time is none.
    """
    done = complete_rounds(plan, trials)
    ruled = plan.precision_percent > 0
    spent = spent_seconds(plan, trials, began) if ruled else 0.0
    keys = {trial.key for trial in trials}
    each_round = spent / len(keys) * len(round_specs(plan, 0)) if keys else 0.0
    names, logs = log_ratios(plan, trials, done) if ruled else ([], np.empty((done, 0)))
    if not names or not done:
        stop = StoppedBy.ROUNDS if done >= plan.rounds else None
        return Look(done, stop, None, None, None, None, spent, each_round)
    aim = math.log1p(plan.precision_percent / 100)
    halves = stats.half_widths(logs, FIRST_LOOK)
    widths = halves.max(axis=1)
    narrow = [count for count in range(FIRST_LOOK, done + 1) if widths[count] <= aim]
    room = plan.most_rounds
    if plan.budget_seconds and each_round:
        room = done + max(0, int((plan.budget_seconds - spent) / each_round))
    stop = None
    if done >= plan.rounds:
        if done >= plan.most_rounds:
            stop = StoppedBy.ROUNDS
        elif precise(logs, plan.precision_percent):
            stop = StoppedBy.PRECISION
        elif room <= done:
            stop = StoppedBy.BUDGET
        elif futile(logs, aim, min(room, plan.most_rounds)):
            stop = StoppedBy.FUTILITY
    known, widest = math.isfinite(widths[-1]), int(halves[-1].argmax())
    return Look(done, stop, math.expm1(widths[-1]) if known else None,
                math.expm1(float(np.median(halves[-1]))) if known else None,
                names[widest] if known else None, _needed(plan, logs, narrow, aim),
                spent, each_round)


def precise(logs: Table, percent: float) -> bool:
    """Tell whether all gains are within ±percent, and were HELD rounds or more before.

    `logs`: log ratios, rounds × gains, NaN for none.
    """
    narrow = np.flatnonzero(stats.half_widths(logs, FIRST_LOOK).max(axis=1) <= math.log1p(percent / 100))
    return bool(len(narrow)) and narrow[-1] == len(logs) and narrow[0] <= len(logs) - HELD


def futile(logs: Table, aim: float, room: int) -> bool:
    """Tell whether `room` rounds in all are clearly too few for every gain to be within `aim`.

    `logs`: log ratios, rounds × gains, NaN for none.
    """
    from scipy.special import chdtri
    counts = np.isfinite(logs).sum(axis=0)
    enough = counts >= FIRST_LOOK
    if not enough.any() or room < 2:
        return False
    freedom = counts[enough] - 1
    # chdtri is the inverse of the upper tail
    above = chdtri(freedom, FUTILITY_ERROR / logs.shape[1])
    squares = np.nanvar(logs[:, enough], axis=0) * counts[enough]
    least = math.sqrt(float((squares / above).max()))
    return quantile_of_t(room - 1) * least > aim * math.sqrt(room)


def log_ratios(plan: Plan, trials: Records,
               rounds: int) -> tuple[list[tuple[str, LoadPoint]], Table]:
    """Return the gains over the baseline, and their log ratios by round: rounds × gains.

    Of valid trials that count only; a gain without any pair is left out, as no further round
    promises one.
    """
    points, kept = plan.load_points, counted(trials)
    first, *rest = (gain.table(kept, name, points, rounds) for name in plan.compared)
    found = {(name, point): logs[:, place] for name, over in zip(plan.compared[1:], rest)
             for logs in [gain.log_ratios(over, first)] for place, point in enumerate(points)
             if np.isfinite(logs[:, place]).any()}
    return list(found), np.array(list(found.values())).reshape(len(found), rounds).T


def spent_seconds(plan: Plan, trials: Records, began: Sequence[str]) -> float:
    """Return the time that all sessions of a run spent on its trials.

    A trial has taken until the next of its session began; the last of a session, whose end no file
    has, as long as the median of the others. What a session needs before its first trial, and the
    time between sessions, are not of it.
    """
    starts = [_time(trial.started_at) for trial in trials]
    borders = [_time(text) for text in began]
    gaps = [max(0.0, (after - before).total_seconds()) for before, after in zip(starts, starts[1:])
            if not any(before < border <= after for border in borders)]
    usual = stats.median(gaps) if gaps else (
        plan.warmup_seconds + plan.duration_seconds + _OVERHEAD_SECONDS)
    return math.fsum(gaps) + usual * (len(starts) - len(gaps))


def ended(plan: Plan, trials: Records, seen: Look) -> StoppedBy:
    """Return what ended a run."""
    if remaining(plan, trials):
        return StoppedBy.INTERRUPTED
    return seen.stop or StoppedBy.INTERRUPTED


def _needed(plan: Plan, logs: Table, narrow: Sequence[int], aim: float) -> int | None:
    """Return the rounds after which every gain is within the aim, if the scatter stays."""
    done = len(logs)
    if narrow and narrow[-1] == done:
        return max(plan.rounds, done, narrow[0] + HELD)
    if not np.isfinite(stats.half_widths(logs, FIRST_LOOK)[-1]).all():
        return None
    needed = next((count for count in range(max(done + 1, FIRST_LOOK), plan.most_rounds)
                   if stats.forecast(logs, count).max() <= aim), plan.most_rounds)
    return min(plan.most_rounds, max(plan.rounds, needed + (0 if narrow else HELD)))


def _places(plan: Plan, rounds: Iterable[int]) -> Iterable[tuple[int, TrialSpec]]:
    for round_ in rounds:
        specs = round_specs(plan, round_)
        yield from enumerate(specs, round_ * len(specs))


def _time(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ")
    except ValueError:
        raise UsageError(f"{text!r}, where a trial or a session began, is not a time as stackduel "
                         "writes it") from None
