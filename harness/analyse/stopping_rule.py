# SPDX-License-Identifier: BSD-3-Clause
"""When a run has rounds enough. Pure: the records so far in, going on or the reason to stop out.

A round is the unit: what is begun is finished. Everything follows from the plan, the records and when each session of
the run began, so a run that was interrupted goes on as it would have, and its report knows why it ended.

The rule is a fixed-width confidence interval that is looked at after every round (Chow and Robbins 1965: its coverage
is asymptotically right). With few rounds it is not: an interval is likeliest to look narrow enough where the scatter
happens to be underestimated. Simulated for one gain with normal logarithms, stopping at the first narrow look from round
5 on lets the 95 % interval cover as little as 91.8 %. So it must be narrow now and must have been at a look HELD rounds
or more before (extra rounds after the first success are Simons' remedy, 1968): that covers 93 % or more at every
precision, and 95 % where several gains of like scatter must all be narrow (test_stopping.py measures both).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Iterable, Mapping, Sequence

from harness.store import old_attempts as attempts
from harness.analyse import stats
from harness.errors import UsageError
from harness.plan import Plan, round_specs, TrialSpec

ROUNDS, PRECISION, BUDGET, INTERRUPTED = "rounds", "precision", "budget", "interrupted"
# pairs from which on an interval says something, and for how many rounds it must have been narrow
FIRST_LOOK, HELD = 3, 3
# start, READY, proof and stop of a contender, where no two trials tell how long that takes
_OVERHEAD_SECONDS = 2.0
Records = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Look:
    """What is known after `rounds` complete rounds.

    `stop`: why no further round is begun; "" to go on. `widest`: the widest half of a gain's interval, as a factor - 1,
    and `where`; None while there are no intervals, or no gain. `more`: how many rounds are still to come, as far as the
    scatter so far tells; None: not known. `spent_seconds`, `round_seconds`: of all trials so far, and of a round.
    """

    rounds: int
    stop: str
    widest: float | None
    where: str
    more: int | None
    spent_seconds: float
    round_seconds: float


def remaining(plan: Plan, trials: Records) -> list[tuple[int, TrialSpec]]:
    """The trials that come in any case and are still to run, each with its place in the whole order: of the rounds that
    the plan has at least, and of those that were begun."""
    done = attempts.finished(trials, plan.attempts)
    return [(place, spec) for place, spec in _places(plan, range(sure_rounds(plan, trials)))
            if _spec_key(spec) not in done]


def one_round(plan: Plan, round_: int) -> list[tuple[int, TrialSpec]]:
    """The trials of a round, each with its place in the whole order."""
    return list(_places(plan, (round_,)))


def sure_rounds(plan: Plan, trials: Records) -> int:
    """How many rounds there are in any case: the plan's, and those that were begun."""
    return max(plan.rounds, 1 + max((int(trial["round"]) for trial in trials), default=0))


def complete_rounds(plan: Plan, trials: Records) -> int:
    """How many rounds, from the first, have a record of every trial."""
    done = attempts.finished(trials, plan.attempts)
    count = 0
    while count < plan.most_rounds and all(_spec_key(spec) in done for spec in round_specs(plan, count)):
        count += 1
    return count


def sessions(facts: Mapping[str, Any]) -> list[str]:
    """When each session of a run began, as its facts have it: the first and every one that resumed it."""
    return [str(each["started_at"]) for each in (facts, *facts.get("resumed", ())) if each.get("started_at")]


def look(plan: Plan, trials: Records, began: Sequence[str] = ()) -> Look:
    """After the complete rounds of `trials`: go on, or stop and why. `began` as sessions(). UsageError on a record
    whose time is none."""
    done = complete_rounds(plan, trials)
    spent = spent_seconds(plan, trials, began) if plan.precision_percent else 0.0
    measured = len({attempts.key(trial) for trial in trials})
    each = spent / measured * len(round_specs(plan, 0)) if measured else 0.0
    aim = math.log1p(plan.precision_percent / 100)
    ratios = log_ratios(plan, trials, done) if plan.precision_percent else {}
    widths = _widths(ratios, done)
    width, where = widths[-1]
    narrow = [count for count in range(FIRST_LOOK, done + 1) if widths[count][0] <= aim]
    stop = ""
    if done >= plan.rounds:
        if done >= plan.most_rounds or not ratios:
            stop = ROUNDS
        elif narrow and narrow[-1] == done and narrow[0] <= done - HELD:
            stop = PRECISION
        elif plan.budget_seconds and spent + each > plan.budget_seconds:
            stop = BUDGET
    known = math.isfinite(width)
    more = _more(plan, done, width, narrow, aim) if ratios else None
    return Look(done, stop, math.expm1(width) if known else None, where if known else "", more, spent, each)


def log_ratios(plan: Plan, trials: Records, rounds: int) -> dict[tuple[str, int], dict[int, float]]:
    """By contender and load point, by round below `rounds`: the logarithm of its throughput over the baseline's.

    Of valid trials that count only; a gain without any pair is left out, as no
    further round promises one.
    """
    rates = {_key(trial): float(trial["requests_per_sec"]) for trial in attempts.counted(trials)
             if trial["valid"] is True and trial["requests_per_sec"] > 0 and trial["round"] < rounds}
    baseline, found = plan.contenders[0], dict[tuple[str, int], dict[int, float]]()
    for (name, connections, round_), rate in rates.items():
        below = rates.get((baseline, connections, round_))
        if name != baseline and below:
            found.setdefault((name, connections), {})[round_] = math.log(rate / below)
    return found


def spent_seconds(plan: Plan, trials: Records, began: Sequence[str]) -> float:
    """Time that all sessions of a run spent on its trials.

    A trial has taken until the next of its session began; the last of a session, whose end no file has, as long as the
    median of the others. What a session needs before its first trial, and the time between sessions, are not of it.
    """
    starts = [_time(str(trial["started_at"])) for trial in trials]
    borders = [_time(text) for text in began]
    gaps = [max(0.0, (after - before).total_seconds()) for before, after in zip(starts, starts[1:])
            if not any(before < border <= after for border in borders)]
    usual = stats.median(gaps) if gaps else plan.warmup_seconds + plan.duration_seconds + _OVERHEAD_SECONDS
    return math.fsum(gaps) + usual * (len(starts) - len(gaps))


def ended(plan: Plan, trials: Records, seen: Look) -> str:
    """What ended a run: one of the four words."""
    return INTERRUPTED if remaining(plan, trials) else seen.stop or INTERRUPTED


def aim(plan: Plan) -> str:
    """What the rounds go on for, in words; "" where their number is fixed."""
    if not plan.precision_percent:
        return ""
    budget = plan.budget_seconds
    end = f", {budget // 60}:{budget % 60:02d} of trials at most" if budget else ""
    return f"at least {plan.rounds} rounds, until every gain is known to ±{plan.precision_percent:g} %{end}"


def said(plan: Plan, seen: Look) -> str:
    """One line on why a run with a rule has ended."""
    widest = "no gain has an interval" if seen.widest is None else (
        f"the widest interval of a gain is ±{100 * seen.widest:.2g} % ({seen.where})")
    why = {PRECISION: f"every gain is known to ±{plan.precision_percent:g} %", BUDGET: "the budget is spent",
           ROUNDS: "no more rounds are allowed" if seen.rounds >= plan.most_rounds else "there is no gain to look at"}
    return f"{seen.rounds} rounds: {why[seen.stop]}; {widest}"


def _widths(ratios: Mapping[tuple[str, int], Mapping[int, float]], rounds: int) -> list[tuple[float, str]]:
    """By number of rounds, 0 to `rounds`: half the widest 95 % interval of a mean log ratio, and whose it is.

    Infinite where there is no gain, or one has fewer than FIRST_LOOK pairs. Sums are kept from round to round (Welford
    1962).
    """
    sums = {gain: (0, 0.0, 0.0) for gain in ratios}
    widths = [(math.inf, "")]
    for round_ in range(rounds):
        for gain, by_round in ratios.items():
            if round_ in by_round:
                count, mean, squares = sums[gain]
                away = by_round[round_] - mean
                mean += away / (count + 1)
                sums[gain] = count + 1, mean, squares + away * (by_round[round_] - mean)
        widths.append(max(((_half(count, squares), f"{name} at {connections}")
                           for (name, connections), (count, _, squares) in sums.items()), default=(math.inf, "")))
    return widths


def _half(count: int, squares: float) -> float:
    return math.inf if count < FIRST_LOOK else (
        stats.quantile_of_t(count - 1, 0.975) * math.sqrt(squares / (count - 1) / count))


def _more(plan: Plan, done: int, width: float, narrow: Sequence[int], aim: float) -> int | None:
    """Rounds still needed: n such that t s / sqrt(n) is within the aim, with s from the widest interval so far."""
    least = max(0, plan.rounds - done)
    if narrow and narrow[-1] == done:
        return max(least, narrow[0] + HELD - done)
    if not math.isfinite(width):
        return None
    scatter = width * math.sqrt(done) / stats.quantile_of_t(done - 1, 0.975)
    needed = next((count for count in range(max(done + 1, FIRST_LOOK), plan.most_rounds)
                   if stats.quantile_of_t(count - 1, 0.975) * scatter <= aim * math.sqrt(count)), plan.most_rounds)
    held = 0 if narrow else HELD
    return min(plan.most_rounds - done, max(least, needed - done + held))


def _places(plan: Plan, rounds: Iterable[int]) -> Iterable[tuple[int, TrialSpec]]:
    for round_ in rounds:
        specs = round_specs(plan, round_)
        yield from enumerate(specs, round_ * len(specs))


def _key(trial: Mapping[str, Any]) -> tuple[str, int, int]:
    return trial["contender"], trial["connections"], trial["round"]


def _time(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ")
    except ValueError:
        raise UsageError(f"{text!r}, where a trial or a session began, is not a time as stackduel writes it") from None


def _spec_key(spec: TrialSpec) -> tuple[str, int, int, int]:
    return spec.contender, spec.connections, spec.offered, spec.round
