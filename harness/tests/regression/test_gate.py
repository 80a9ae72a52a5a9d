# SPDX-License-Identifier: BSD-3-Clause
"""The gate: what it says of runs, how often it is wrong, and what it catches."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.regression import change_test, compatibility
from harness.errors import UsageError
from harness.analyse.stats import Table, Variance
from harness.regression.gate import GateResult, GateTest, NotTested, Reason, Result, judge
from harness.regression.paired_logs import COST, RATE, Readings, readings
from harness.plan import LoadPoint
from harness.store import Facts, convert
from harness.store.store import load_run
from harness.tests.fixtures import noisy_runs, runs, synthetic_open
from harness.tests.fixtures.trial_records import OTHERS

LIKE = noisy_runs.measured()
# between runs of the same programs, as large as the gate takes it to be where nobody has measured it: the mean of eight
# points has this deviation, one point 2 %
AS_ASSUMED = (0.0138, 0.0145)
# what the two reference runs that there are leave room for
SEEN = (0.01, 0.01)


def share(count: int, seed: int, noise: tuple[float, float], effect: noisy_runs.Effect = {}, bases: int = 1) -> float:
    """The share of gates that fail. `noise`: between runs, at all points alike and at each."""
    run_sd, point_sd = noise
    dice = np.random.default_rng(seed)
    failed = 0
    for _ in range(count):
        base = [noisy_runs.draw(LIKE, dice, f"base-{number}", run_sd=run_sd, point_sd=point_sd)
                for number in range(bases)]
        head = noisy_runs.draw(LIKE, dice, "head", run_sd=run_sd, point_sd=point_sd, effect=effect)
        failed += not judge(base, head).passed
    return failed / count


def test_of_runs_of_the_same_programs_at_most_one_in_twenty_fails() -> None:
    assert share(300, 1, AS_ASSUMED) <= 0.05
    assert share(100, 2, AS_ASSUMED, bases=3) <= 0.05


@pytest.mark.parametrize("contender", ["lwip", "epoll"])
def test_a_server_that_takes_a_tenth_longer_is_caught_in_nine_of_ten(contender: str) -> None:
    assert share(100, 3, SEEN, noisy_runs.slowed(LIKE, contender, 0.1)) >= 0.9


def test_a_limit_that_fell_is_no_regression() -> None:
    """It is no contender, and none of them is tested against it."""
    limit, last = "minimal", LIKE.plan.contenders[-1]
    like = replace(
        LIKE, plan=replace(LIKE.plan, contenders=(*LIKE.plan.contenders, limit), limits=(limit,)),
        values={**LIKE.values, **{(figure, limit): LIKE.values[figure, last] for figure in (RATE, COST)}},
        client_bound={**LIKE.client_bound, limit: frozenset()}, busy={**LIKE.busy, limit: LIKE.busy[last]})
    dice = np.random.default_rng(5)
    found = judge([noisy_runs.draw(like, dice, "base")], noisy_runs.draw(
        like, dice, "head", effect=noisy_runs.slowed(like, limit, 0.5)))
    assert found.passed and limit not in found.absolute_percent
    assert {name for test in found.tests for name in (test.contender, *test.over)} == {
        *like.plan.compared}


def test_a_tenth_less_of_the_rate_is_caught_even_as_noisy_as_is_assumed() -> None:
    assert share(60, 4, AS_ASSUMED, {(RATE, "lwip"): math.log(0.9)}) >= 0.9


def test_a_faster_contender_is_no_slower_baseline() -> None:
    """epoll falls against lwip then; where the client is its limit the ratio falls too, so it is not epoll."""
    faster = {(RATE, "lwip"): math.log(1.15), (COST, "lwip"): -math.log(1.15)}
    assert share(40, 5, SEEN, faster) == 0
    dice = np.random.default_rng(6)
    found = judge([noisy_runs.draw(LIKE, dice, "base")],
                  noisy_runs.draw(LIKE, dice, "head", effect=faster))
    epoll = pooled(found, "epoll")
    assert pooled(found, "lwip").result == Result.BETTER and epoll.result == Result.OTHER
    assert (epoll.whose, epoll.reason) == ("lwip", Reason.CLIENT_BOUND)
    assert [point.connections for point in epoll.whose_points] == [16, 32, 64, 128]


def pooled(found: GateResult, contender: str, figure: str = RATE) -> GateTest:
    (row,) = [row for row in found.tests
              if row.pooled and (row.figure, row.contender) == (figure, contender)]
    return row


def judged(effect: noisy_runs.Effect, like: Readings = LIKE, **changed: Any) -> GateResult:
    """A gate of runs with little noise; `changed`: of HEAD."""
    dice = np.random.default_rng(7)
    quiet = replace(like, values={key: calm(table) for key, table in like.values.items()})
    head = replace(noisy_runs.draw(quiet, dice, "head", effect=effect), **changed)
    return judge([noisy_runs.draw(quiet, dice, "base")], head)


def calm(values: Table) -> Table:
    """A tenth of the noise."""
    logs = np.log(values)
    table: Table = np.exp(logs.mean(axis=0) + (logs - logs.mean(axis=0)) / 10)
    return table


def worse(found: GateResult) -> list[GateTest]:
    return [row for row in found.tests if row.result == Result.WORSE]


def test_what_the_client_hides_shows_in_the_cost() -> None:
    found = judged(noisy_runs.slowed(LIKE, "epoll", 0.1))
    assert not found.passed
    assert {name: [point.connections for point in points]
            for name, points in found.client_bound.items()} == {"epoll": [16, 32, 64, 128]}
    tested = [[point.connections for point in row.points] for row in found.tests
              if (row.figure, row.contender) == (RATE, "epoll")]
    assert tested[0] == [1, 2, 4, 8] and [16] not in tested
    (cost,) = [row for row in worse(found) if row.figure == COST]
    assert (cost.contender, cost.over) == ("epoll", ("lwip",))
    assert cost.change_percent == pytest.approx(9.5, abs=0.7)


def test_what_both_contenders_share_is_the_machine() -> None:
    found = judged({(RATE, "lwip"): -0.3, (RATE, "epoll"): -0.3,
                    (COST, "lwip"): 0.3, (COST, "epoll"): 0.3})
    assert found.passed and set(found.absolute_percent) == {"epoll", "lwip"}


def test_one_load_point_alone_can_fail() -> None:
    one = np.array([0.0] * 7 + [math.log(0.75)])
    failed = worse(judged({(RATE, "lwip"): one}))
    assert [row.points for row in failed if not row.pooled] == [(LoadPoint(128),)]


def test_below_the_threshold_nothing_is_worse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(change_test, "DEFAULT_RUN_SD", 1e-4)
    found = judged({(RATE, "lwip"): math.log(0.975)})
    row = pooled(found, "lwip")
    assert row.p_adjusted < 0.001 and row.change_percent == pytest.approx(-2.5, abs=0.6)
    assert row.result == Result.SAME and found.passed


def test_what_cannot_be_tested_is_named_with_its_reason() -> None:
    every = frozenset(LIKE.points)
    found = judged({}, replace(LIKE, client_bound={**LIKE.client_bound, "epoll": every}))
    assert [(row.figure, row.contender, row.why) for row in found.not_tested] == [
        (RATE, "epoll", NotTested.CLIENT_BOUND)]
    lost = {key: np.full((5, 8), np.nan) if key == (COST, "epoll") else table
            for key, table in LIKE.values.items()}
    found = judge([replace(LIKE, run="base", values=lost)], LIKE)
    assert {(row.figure, row.contender, row.why) for row in found.not_tested} == {
        (COST, "epoll", NotTested.TOO_FEW_ROUNDS), (COST, "lwip", NotTested.TOO_FEW_ROUNDS)}


def facts(sha: dict[str, str]) -> Facts:
    return LIKE.facts.entered(binaries={"programs": {
        name: {"path": name, "sha256": each} for name, each in sha.items()}})


def test_hashes_of_programs_in_runs_of_now_and_of_before() -> None:
    assert compatibility.hashes(facts({"a": "1", "b": "2"})) == {"a": "1", "b": "2"}
    assert compatibility.hashes(LIKE.facts.entered(
        versions={"sha256": {"a": "1", "gone": None}})) == {"a": "1"}
    assert compatibility.hashes(LIKE.facts) == {}


@pytest.mark.parametrize("epoll, lwip, result, whose, reason", [
    ("a", "other", Result.OTHER, "lwip", Reason.PROGRAM),
    ("other", "b", Result.WORSE, "epoll", Reason.PROGRAM),
    ("other", "other", Result.WORSE, "", Reason.UNKNOWN)])
def test_who_it_was_is_told_by_the_programs(epoll: str, lwip: str, result: Result, whose: str,
                                            reason: Reason) -> None:
    """Where the client was never the limit, a ratio alone does not tell who of the two moved."""
    solid = replace(LIKE, client_bound={name: frozenset() for name in LIKE.client_bound},
                    facts=facts({"build/epoll_server": "a", "build/lwip_server": "b"}))
    head = facts({"build/epoll_server": epoll, "build/lwip_server": lwip})
    found = judged({(RATE, "epoll"): math.log(0.85)}, solid, facts=head)
    row = pooled(found, "epoll")
    assert (row.result, row.whose, row.reason) == (result, whose, reason)
    assert result == Result.OTHER or not found.passed


def test_the_baseline_must_have_fallen_against_every_other() -> None:
    """Of three, one that became faster leaves the baseline as it was against the third."""
    plan = replace(LIKE.plan, contenders=("epoll", "uring", "lwip"))
    three = replace(LIKE, plan=plan, client_bound={
        **LIKE.client_bound, "uring": frozenset(), "epoll": frozenset()},
        busy={**LIKE.busy, "uring": LIKE.busy["epoll"]},
        values={**LIKE.values, **{(figure, "uring"): LIKE.values[figure, "epoll"] * 1.1
                                  for figure in (RATE, COST)}})
    assert judged({(RATE, "lwip"): math.log(1.2), (COST, "lwip"): -math.log(1.2)}, three).passed
    slower = worse(judged({(RATE, "epoll"): math.log(0.8)}, three))
    assert any((row.whose, row.reason, row.over) == (
        "epoll", Reason.FELL_AGAINST_ALL, ("uring", "lwip")) for row in slower)


@pytest.mark.parametrize("change, words", [
    ({"wire": "veth"}, "wire: tap in BASE, veth in HEAD"),
    ({"duration_seconds": 9}, "duration_seconds: 2 in BASE, 9 in HEAD"),
    ({"contenders": ("epoll",)}, r'contenders: \["epoll", "lwip"\] in BASE, \["epoll"\] in HEAD'),
])
def test_other_plans_do_not_compare(change: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=f"runs base and head do not compare: .*{words}"):
        judge([replace(LIKE, run="base")], replace(LIKE, run="head", plan=replace(LIKE.plan, **change)))


def test_another_machine_does_not_compare_and_another_revision_is_told() -> None:
    kernel = LIKE.facts.entered(kernel={**LIKE.facts.raw["kernel"], "release": "7.0"})
    with pytest.raises(UsageError, match="kernel.release: 6.1.0 in BASE, 7.0 in HEAD"):
        judge([replace(LIKE, run="base")], replace(LIKE, run="head", facts=kernel))
    git = LIKE.facts.entered(git={"revision": "feed", "dirty": False})
    found = judge([replace(LIKE, run="base")], replace(LIKE, run="head", facts=git))
    assert [(item.name, item.head) for item in found.differences["base"]] == [
        ("git.revision", "feed")]


def test_one_contender_and_one_run_twice_do_not_compare() -> None:
    with pytest.raises(UsageError, match="none of its BASE runs"):
        judge([LIKE], LIKE)
    alone = replace(LIKE, plan=replace(LIKE.plan, contenders=("epoll",)))
    with pytest.raises(UsageError, match="one contender alone"):
        judge([replace(alone, run="base")], replace(alone, run="head"))


# --- statistics ------------------------------------------------------------------------------------


def test_the_estimate_leaves_out_points_without_weight_and_gives_missing_trials_no_say() -> None:
    base = np.zeros((4, 3))
    head = np.array([[-0.1, 9.0, -0.2], [-0.1, 9.0, np.nan], [-0.1, 9.0, -0.2], [-0.1, np.nan, -0.2]])
    found = change_test.change([base], head, np.array([3.0, 0.0, 1.0]), [Variance(0.01 ** 2, 8)])
    assert found is not None and found.estimate == pytest.approx(-0.125)
    assert found.error == pytest.approx(0.01 * math.sqrt(2)) and found.noise < 1e-20
    assert found.freedom == pytest.approx(8)


def test_without_two_rounds_or_with_an_empty_point_there_is_no_change() -> None:
    weights, known = np.ones(2), [Variance(1e-4, 8)]
    assert change_test.change([np.zeros((1, 2))], np.zeros((1, 2)), weights, known) is None
    empty = np.array([[0.0, np.nan], [0.0, np.nan]])
    assert change_test.change([np.zeros((2, 2))], empty, weights, known) is None


def test_several_base_runs_are_measured_noise() -> None:
    dice = np.random.default_rng(8)
    known = [Variance(0.015 ** 2, 8)]
    quiet = [dice.normal(0, 0.01, (5, 8)) for _ in range(9)]
    wild = [table + dice.normal(0, 0.06) for table in quiet]
    found = [change_test.change(each[:-1], each[-1], np.ones(8), known) for each in (quiet[:2], quiet, wild)]
    errors = [each.error for each in found if each]
    assert len(errors) == 3 and errors[1] < errors[0] < errors[2]


def test_the_noise_of_a_round_that_hits_all_points_is_not_averaged_away() -> None:
    together = np.repeat(np.random.default_rng(9).normal(0, 0.03, (6, 1)), 8, axis=1)
    apart = np.random.default_rng(9).normal(0, 0.03, (6, 8))
    wide, narrow = (change_test.round_noise(table, np.ones(8)) for table in (together, apart))
    assert wide.freedom == narrow.freedom == 5 and wide.value > 3 * narrow.value


def test_the_readings_of_a_real_run() -> None:
    found = readings(load_run(Path(__file__).parents[1] / "data" / "20261122-031854-tap"))
    assert found.values[RATE, "epoll"].shape == (5, 8) and not found.client_bound["lwip"]
    assert found.values[RATE, "lwip"][:, -1].mean() == pytest.approx(59_700, rel=0.05)
    # cycles of its poll loop, and CPU seconds
    assert found.values[COST, "lwip"][:, -1].min() > 1e3
    assert 1e-7 < found.values[COST, "epoll"][:, -1].mean() < 1e-4


def test_of_several_attempts_the_one_that_counts_is_read() -> None:
    run = runs.made((1, 8), 5)
    first = run.trials[0]
    disturbed = replace(first, requests_per_sec=first.requests_per_sec / 2, disturbed=(OTHERS,))
    again = replace(run, trials=(disturbed, replace(first, attempt=1), *run.trials[1:]))
    before, after = readings(run), readings(again)
    assert all(np.array_equal(after.values[key], before.values[key], equal_nan=True)
               for key in before.values)


def test_an_open_loop_and_a_run_without_a_valid_trial_are_not_compared(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is of an open loop"):
        readings(load_run(synthetic_open.write(tmp_path, rates=(10_000, 20_000))))
    with pytest.raises(UsageError, match="has no valid trial"):
        readings(replace(runs.made(), trials=()))


def test_the_result_is_read_again_from_its_json() -> None:
    found = judged({(RATE, "lwip"): math.log(0.8)})
    data = json.loads(json.dumps(convert.to_json(found), allow_nan=False))
    assert convert.from_json(GateResult, data, "gate.json") == found
