# SPDX-License-Identifier: BSD-3-Clause
"""When a run has rounds enough: the rule on made-up records, and by simulation what it does to the intervals."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Callable

import numpy
import pytest
from scipy.special import stdtr, stdtrit

from harness.analyse import stats
from harness.analyse import stopping_rule as stopping
from harness.errors import UsageError
from harness.plan import LoadPoint, Plan, load_plan, load_wire, round_specs
from harness.store.codes import Note, Problem
from harness.store.trial_record import TrialRecord
from harness.tests.fixtures import runs
from harness.tests.fixtures.trial_records import make

BEGAN = datetime(2026, 1, 2, 3, 4, 5)
PLAN = load_plan("quick", load_wire("tap"), (0, 1), {
    "CONTENDERS": "epoll,lwip", "CONNECTIONS": "1,8", "ROUNDS": "5", "PRECISION": "3", "SEED": "9"})
A_TRIAL = 4


def text(seconds: float) -> str:
    return f"{BEGAN + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}"


def records(plan: Plan, rounds: int,
            log_ratio: Callable[[int, int], float] = lambda round_, connections: 0.0,
            began: float = 0) -> list[TrialRecord]:
    """Of so many whole rounds; every trial takes A_TRIAL seconds. `log_ratio` of lwip over epoll."""
    specs = [spec for round_ in range(rounds) for spec in round_specs(plan, round_)]
    return [make(contender=spec.contender, point=spec.point, round=spec.round,
                 started_at=text(began + A_TRIAL * place), requests_per_sec=1000 * (
                     math.exp(log_ratio(spec.round, spec.point.connections))
                     if spec.contender == "lwip" else 1.0)) for place, spec in enumerate(specs)]


def at(connections: int) -> LoadPoint:
    return next(point for point in PLAN.load_points if point.connections == connections)


def failed(trial: TrialRecord) -> TrialRecord:
    return replace(trial, problems=(Note(Problem.NOTHING_ANSWERED),))


def scattered(size: float) -> Callable[[int, int], float]:
    """Alternately above and below."""
    return lambda round_, connections: -size if round_ % 2 else size


def rounds_until_stop(plan: Plan, log_ratio: Callable[[int, int], float]) -> stopping.Look:
    for rounds in range(plan.most_rounds + 1):
        seen = stopping.look(plan, records(plan, rounds, log_ratio))
        if seen.stop:
            return seen
    raise AssertionError("the rule never stopped")


def test_without_a_rule_it_is_the_plans_rounds() -> None:
    fixed = replace(PLAN, precision_percent=0)
    assert [stopping.look(fixed, records(fixed, rounds)).stop for rounds in range(6)] == [
        None, None, None, None, None, "rounds"]


def test_a_precise_run_ends_when_it_has_been_precise_for_a_while() -> None:
    seen = rounds_until_stop(PLAN, scattered(0.005))
    assert (seen.stop, seen.rounds) == ("precision", stopping.FIRST_LOOK + stopping.HELD)
    assert seen.widest is not None and 0 < seen.widest < 0.03


def test_not_before_the_plans_rounds() -> None:
    seen = rounds_until_stop(replace(PLAN, rounds=8), scattered(0.001))
    assert (seen.stop, seen.rounds) == ("precision", 8)


def test_the_widest_interval_is_moderated_by_the_other_gains_and_named() -> None:
    dice = random.Random(1)
    trials = records(PLAN, 6, lambda round_, connections: dice.gauss(0, 0.2 if connections == 8 else 0.01))
    seen = stopping.look(PLAN, trials)
    names, logs = stopping.log_ratios(PLAN, trials, 6)
    noisy = logs[:, names.index(("lwip", at(8)))]
    low, high = stats.t_interval(list(noisy), stats.noise_prior([logs]))[1] or (0, 0)
    assert seen.where == ("lwip", at(8))
    assert seen.widest == pytest.approx(math.expm1((high - low) / 2))


def test_every_gain_must_be_narrow() -> None:
    def one_wide(round_: int, connections: int) -> float:
        return scattered(0.001 if connections == 1 else 0.1)(round_, connections)
    alone = rounds_until_stop(PLAN, scattered(0.1))
    # the quiet gain's scatter is a prior for the other: a round more or fewer
    assert rounds_until_stop(PLAN, one_wide).rounds == pytest.approx(alone.rounds, abs=1)
    assert alone.rounds > 40


def test_a_limit_is_not_waited_for() -> None:
    """Its ratio scatters, and nothing is concluded from it."""
    plan = replace(PLAN, contenders=("epoll", "minimal", "lwip"), limits=("lwip",))
    assert rounds_until_stop(plan, scattered(0.1)).rounds == rounds_until_stop(PLAN, scattered(0)).rounds


def test_a_lucky_look_alone_ends_nothing() -> None:
    """Three rounds that happen to agree, then one that does not."""
    def then_wide(round_: int, connections: int) -> float:
        return 0.0 if round_ < 5 else 0.5
    plan = replace(PLAN, rounds=3)
    assert stopping.look(plan, records(plan, 5, then_wide)).stop is None
    assert stopping.look(plan, records(plan, 6, then_wide)).stop is None


def test_a_round_that_would_not_end_within_the_budget_is_not_begun() -> None:
    each = A_TRIAL * len(round_specs(PLAN, 0))
    plan = replace(PLAN, budget_seconds=8 * each)
    seen = rounds_until_stop(plan, scattered(0.05))
    assert (seen.stop, seen.rounds) == ("budget", 8)
    assert (seen.round_seconds, seen.spent_seconds) == (each, 8 * each)
    assert rounds_until_stop(replace(plan, budget_seconds=8 * each - 1), scattered(0.05)).rounds == 7


def test_the_plans_rounds_come_even_without_the_time() -> None:
    seen = rounds_until_stop(replace(PLAN, budget_seconds=1), scattered(0.3))
    assert (seen.stop, seen.rounds) == ("budget", 5)


def test_time_between_sessions_is_not_spent() -> None:
    first, second = records(PLAN, 1), records(PLAN, 3, began=100_000)[4:]
    began = [text(-2), text(99_999)]
    assert stopping.spent_seconds(PLAN, first + second, began) == 12 * A_TRIAL
    assert stopping.spent_seconds(PLAN, first + second, began[:1]) > 90_000
    facts = runs.made().facts.entered(started_at=began[0], resumed=[{"started_at": began[1]}])
    assert facts.sessions == began


def test_a_single_trial_took_what_the_plan_says() -> None:
    assert stopping.spent_seconds(PLAN, records(PLAN, 1)[:1], []) == (
        PLAN.warmup_seconds + PLAN.duration_seconds + 2)
    assert stopping.spent_seconds(PLAN, [], []) == 0


def test_a_clock_that_is_set_back_takes_no_time_away() -> None:
    trials = records(PLAN, 1)
    trials[2] = replace(trials[2], started_at=text(-500))
    assert stopping.spent_seconds(PLAN, trials, []) >= A_TRIAL


def test_a_time_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="'yesterday'.*is not a time"):
        stopping.spent_seconds(PLAN, [replace(records(PLAN, 1)[0], started_at="yesterday")], [])


def test_a_gain_without_any_pair_is_not_waited_for() -> None:
    trials = records(PLAN, 8, scattered(0.002))
    one = [failed(trial) if (trial.contender, trial.point) == ("lwip", at(8)) else trial
           for trial in trials]
    assert stopping.look(PLAN, one).stop == "precision"
    none = [trial if trial.contender == "epoll" else failed(trial) for trial in trials]
    assert stopping.look(PLAN, none).stop == "rounds"


def test_one_contender_has_the_plans_rounds() -> None:
    alone = replace(PLAN, contenders=("lwip",))
    assert [stopping.look(alone, records(alone, rounds)).stop for rounds in (4, 5)] == [None, "rounds"]


def test_an_invalid_trial_leaves_its_round_out_of_a_gain() -> None:
    trials = records(PLAN, 6, scattered(0.002))
    spoiled = [failed(trial) if trial.round % 2 else trial for trial in trials]
    names, logs = stopping.log_ratios(PLAN, spoiled, 6)
    assert numpy.isfinite(logs[:, names.index(("lwip", at(8)))]).sum() == 3
    assert stopping.look(PLAN, spoiled).stop is None
    assert stopping.look(PLAN, trials).stop == "precision"


def test_what_remains_of_begun_rounds_comes_first_and_in_place() -> None:
    trials = records(PLAN, 7)
    kept = [trial for place, trial in enumerate(trials) if place not in (3, 26)]
    assert [place for place, _ in stopping.remaining(PLAN, kept)] == [3, 26]
    assert stopping.complete_rounds(PLAN, kept) == 0 and stopping.sure_rounds(PLAN, kept) == 7
    assert [place for place, _ in stopping.one_round(PLAN, 7)] == [28, 29, 30, 31]


def test_what_ended_a_run() -> None:
    plan = replace(PLAN, budget_seconds=7 * 4 * A_TRIAL)

    def ended(plan: Plan, trials: list[TrialRecord]) -> str:
        return stopping.ended(plan, trials, stopping.look(plan, trials))
    assert ended(plan, records(plan, 7, scattered(0.05))) == "budget"
    assert ended(plan, records(plan, 6, scattered(0.05))) == "interrupted"
    assert ended(plan, records(plan, 6, scattered(0.3))) == "futility"
    assert ended(plan, records(plan, 6, scattered(0.001))) == "precision"
    assert ended(plan, records(plan, 6, scattered(0.001))[:-1]) == "interrupted"
    fixed = replace(PLAN, precision_percent=0)
    assert ended(fixed, records(fixed, 5)) == "rounds" and ended(fixed, records(fixed, 4)) == "interrupted"


def test_the_estimate_is_what_the_scatter_needs() -> None:
    """(t s / log(1 + p))^2 rounds, and those for which it must hold; and it comes true where the scatter stays."""
    scatter = scattered(0.05)
    seen = stopping.look(PLAN, records(PLAN, 10, scatter))
    assert seen.more is not None
    assert abs(10 + seen.more - rounds_until_stop(PLAN, scatter).rounds) <= 3
    assert stopping.look(PLAN, records(PLAN, 1)).more is None
    assert stopping.look(PLAN, records(PLAN, 5, scattered(0.001))).more == 1


def test_an_estimate_ends_where_the_rounds_do() -> None:
    seen = stopping.look(PLAN, records(PLAN, 4, scattered(3)))
    assert seen.needed == PLAN.most_rounds


def coverage(scatter: float, first: int, held: int, gains: int = 1, trials: int = 12_000, most: int = 60) -> float:
    """How often the 95 % interval of one gain covers the truth when rounds go on until all `gains` are narrow: looked
    at from round `first`, narrow now and at a look `held` rounds ago or more. Normal logarithms, `scatter` / the aim."""
    dice = numpy.random.default_rng(11)
    logs = dice.standard_normal((trials, gains, most)) * scatter
    counts = numpy.arange(1, most + 1)
    means = logs.cumsum(axis=2) / counts
    squares = (logs ** 2).cumsum(axis=2) - counts * means ** 2
    quantiles = stdtrit(numpy.maximum(1, counts - 1), 0.975)
    half = quantiles * numpy.sqrt(squares.clip(0) / numpy.maximum(1, counts - 1) / counts)
    narrow = (half <= 1).all(axis=1)
    narrow[:, :first - 1] = False
    before = numpy.maximum.accumulate(narrow, axis=1)
    stop = narrow.copy()
    if held:
        stop[:, held:] &= before[:, :-held]
        stop[:, :held] = False
    stop[:, :4] = False
    stop[:, -1] = True
    at, each = stop.argmax(axis=1), numpy.arange(trials)
    return float((abs(means[each, 0, at]) <= half[each, 0, at]).mean())


# scatter of a log ratio / log(1 + p), such that about 4, 8, 11, 15, 20 and 24 rounds are needed
SCATTERS = (1.0, 1.4, 1.7, 2.0, 2.3, 2.5)


def test_the_interval_still_covers_when_rounds_go_on_until_it_is_narrow() -> None:
    """At n = 5 and later looks alone it would not: that is why the aim must have held."""
    naive = [coverage(scatter, first=5, held=0) for scatter in SCATTERS]
    ours = [coverage(scatter, stopping.FIRST_LOOK, stopping.HELD) for scatter in SCATTERS]
    assert min(naive) < 0.93 <= min(ours), (naive, ours)


def test_it_covers_as_it_should_where_several_gains_must_be_narrow() -> None:
    assert coverage(2.0, stopping.FIRST_LOOK, stopping.HELD, gains=8, trials=3000) > 0.94


def test_the_rule_does_not_multiply_the_false_alarms_of_a_run() -> None:
    """8 load points x 4 gains without a difference, sharing noise as gains over one baseline do: rounds go on until all
    are narrow, then Holm's adjustment judges."""
    dice = numpy.random.default_rng(13)
    runs, most = 600, 40
    noise = dice.standard_normal((runs, 8, 5, most))
    logs = (noise[:, :, 1:] - noise[:, :, :1]).reshape(runs, 32, most)
    counts = numpy.arange(1, most + 1)
    means = logs.cumsum(axis=2) / counts
    squares = ((logs ** 2).cumsum(axis=2) - counts * means ** 2).clip(0)
    errors = numpy.sqrt(squares / numpy.maximum(1, counts - 1) / counts)
    half = stdtrit(numpy.maximum(1, counts - 1), 0.975) * errors
    false = 0
    for run in range(runs):
        narrow = (half[run] <= 1.2).all(axis=0)
        first = int(narrow[2:].argmax()) + 2
        stop = next((at for at in range(max(4, first + stopping.HELD), most) if narrow[at]), most - 1)
        ps = 2 * stdtr(stop, -abs(means[run, :, stop]) / errors[run, :, stop])
        false += min(stats.holm(list(ps))) < 0.05
    assert false / runs <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


# --- futility ---------------------------------------------------------------------------------


def test_a_run_that_clearly_cannot_make_it_ends_and_says_how_many_rounds_it_needs() -> None:
    plan = replace(PLAN, budget_seconds=20 * A_TRIAL * len(round_specs(PLAN, 0)))
    seen = rounds_until_stop(plan, scattered(0.3))
    assert (seen.stop, seen.rounds) == ("futility", plan.rounds), "as soon as the plan's rounds are over"
    # (1.96 x 0.34 / log(1.03))^2: 0.33, drawn towards what two alike say of a third
    assert seen.needed == pytest.approx(520, rel=0.1)
    assert seen.needed and seen.more == seen.needed - seen.rounds
    assert rounds_until_stop(plan, scattered(0.06)).stop == "budget", "that is not so clear"
    without = replace(plan, budget_seconds=0)
    assert stopping.look(without, records(without, 5, scattered(0.3))).stop is None
    assert stopping.look(without, records(without, 5, scattered(3))).stop == "futility"


@pytest.mark.parametrize("gains, scatter", [(1, 1.9), (8, 1.4)])
def test_futility_seldom_stops_a_run_that_would_have_made_it(gains: int, scatter: float) -> None:
    """Looked at after every round, where some 3 of 4 runs become precise within the budget.

    The aim is 1, so `scatter` is in units of it; `room` is what the budget has time for.
    """
    dice = numpy.random.default_rng(17)
    room, percent, made, stopped = 20, 100 * math.expm1(1), 0, 0
    for _ in range(400):
        logs = dice.standard_normal((room, gains)) * scatter
        if any(stopping.precise(logs[:count], percent) for count in range(5, room + 1)):
            made += 1
            stopped += any(stopping.futile(logs[:count], 1.0, room) for count in range(5, room))
    assert made > 200 and stopped / made <= 0.01, (made, stopped)


def test_futility_stops_nearly_every_run_that_needs_several_times_its_budget() -> None:
    dice = numpy.random.default_rng(18)
    logs = dice.standard_normal((300, 10, 4)) * 6
    assert numpy.mean([stopping.futile(run, 1.0, 20) for run in logs]) > 0.95
    assert not stopping.futile(logs[0][:2], 1.0, 20), "two rounds say nothing"
