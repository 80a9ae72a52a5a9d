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

from harness.regression import compatibility as comparable
from harness.regression import gate
from harness.regression import change_test as gate_stats
from harness.errors import UsageError
from harness.regression.change_test import Variance
from harness.regression.paired_logs import COST, RATE, Readings, readings
from harness.store.store import load_run
from harness.tests.fixtures import noisy_runs
from harness.tests.fixtures import synthetic

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
        failed += not gate.gate(base, head)["passed"]
    return failed / count


def test_of_runs_of_the_same_programs_at_most_one_in_twenty_fails() -> None:
    assert share(300, 1, AS_ASSUMED) <= 0.05
    assert share(100, 2, AS_ASSUMED, bases=3) <= 0.05


@pytest.mark.parametrize("contender", ["lwip", "epoll"])
def test_a_server_that_takes_a_tenth_longer_is_caught_in_nine_of_ten(contender: str) -> None:
    assert share(100, 3, SEEN, noisy_runs.slowed(LIKE, contender, 0.1)) >= 0.9


def test_a_tenth_less_of_the_rate_is_caught_even_as_noisy_as_is_assumed() -> None:
    assert share(60, 4, AS_ASSUMED, {(RATE, "lwip"): math.log(0.9)}) >= 0.9


def test_a_faster_contender_is_no_slower_baseline() -> None:
    """epoll falls against lwip then; where the client is its limit the ratio falls too, so it is not epoll."""
    faster = {(RATE, "lwip"): math.log(1.15), (COST, "lwip"): -math.log(1.15)}
    assert share(40, 5, SEEN, faster) == 0
    dice = np.random.default_rng(6)
    found = gate.gate([noisy_runs.draw(LIKE, dice, "base")], noisy_runs.draw(LIKE, dice, "head", effect=faster))
    rows = {(row["figure"], row["contender"]): row for row in found["tests"] if row["pooled"]}
    assert rows[RATE, "lwip"]["result"] == gate.BETTER and rows[RATE, "epoll"]["result"] == gate.OTHER
    assert "lwip is faster: the ratio of rates fell at 16, 32, 64, 128 connections too" in rows[RATE, "epoll"]["told"]


def judged(effect: noisy_runs.Effect, like: Readings = LIKE, **changed: Any) -> dict[str, Any]:
    """A gate of runs with little noise; `changed`: of HEAD."""
    dice = np.random.default_rng(7)
    quiet = replace(like, logs={key: table.mean(axis=0) + (table - table.mean(axis=0)) / 10
                                for key, table in like.logs.items()})
    head = replace(noisy_runs.draw(quiet, dice, "head", effect=effect), **changed)
    return gate.gate([noisy_runs.draw(quiet, dice, "base")], head)


def worse(found: dict[str, Any]) -> list[str]:
    return [row["told"] for row in found["tests"] if row["result"] == gate.WORSE]


def test_what_the_client_hides_shows_in_the_cost() -> None:
    found = judged(noisy_runs.slowed(LIKE, "epoll", 0.1))
    assert not found["passed"] and found["hollow"] == {"epoll": [16, 32, 64, 128]}
    tested = [row["points"] for row in found["tests"] if (row["figure"], row["contender"]) == (RATE, "epoll")]
    assert tested[0] == [1, 2, 4, 8] and [16] not in tested
    assert any(told.startswith("server cost a request of epoll/lwip rose 9.") for told in worse(found))


def test_what_both_contenders_share_is_the_machine() -> None:
    found = judged({(RATE, "lwip"): -0.3, (RATE, "epoll"): -0.3, (COST, "lwip"): 0.3, (COST, "epoll"): 0.3})
    assert found["passed"] and set(found["absolute_percent"]) == {"epoll", "lwip"}


def test_one_load_point_alone_can_fail() -> None:
    one = np.array([0.0] * 7 + [math.log(0.75)])
    found = judged({(RATE, "lwip"): one})
    failed = [row for row in found["tests"] if row["result"] == gate.WORSE]
    assert [row["points"] for row in failed if not row["pooled"]] == [[128]]


def test_below_the_threshold_nothing_is_worse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_stats, "DEFAULT_RUN_SD", 1e-4)
    found = judged({(RATE, "lwip"): math.log(0.975)})
    row = next(row for row in found["tests"] if row["pooled"] and (row["figure"], row["contender"]) == (RATE, "lwip"))
    assert row["p_adjusted"] < 0.001 and row["change_percent"] == pytest.approx(-2.5, abs=0.6)
    assert row["result"] == gate.SAME and found["passed"]


def facts(sha: dict[str, str]) -> dict[str, Any]:
    return {**LIKE.facts, "binaries": {"programs": {name: {"path": name, "sha256": each} for name, each in sha.items()}}}


def test_hashes_of_programs_in_runs_of_now_and_of_before() -> None:
    assert comparable.hashes(facts({"a": "1", "b": "2"})) == {"a": "1", "b": "2"}
    assert comparable.hashes({"versions": {"sha256": {"a": "1", "gone": None}}}) == {"a": "1"}
    assert comparable.hashes({}) == {}


@pytest.mark.parametrize("epoll, lwip, fails, words", [
    ("a", "other", True, None),
    ("other", "b", True, "epoll is slower: its program is another, that of lwip the same"),
    ("other", "other", True, "epoll is slower or lwip faster; which of the two cannot be told"),
])
def test_who_it_was_is_told_by_the_programs(epoll: str, lwip: str, fails: bool, words: str | None) -> None:
    """Where no load point is hollow, a ratio alone does not tell a slower baseline from a faster contender."""
    solid = replace(LIKE, hollow={name: frozenset() for name in LIKE.hollow},
                    facts=facts({"build/epoll_server": "a", "build/lwip_server": "b"}))
    head = facts({"build/epoll_server": epoll, "build/lwip_server": lwip})
    found = judged({(RATE, "epoll"): math.log(0.85)}, solid, facts=head)
    row = next(row for row in found["tests"] if row["pooled"] and (row["figure"], row["contender"]) == (RATE, "epoll"))
    if words is None:
        assert row["result"] == gate.OTHER and "lwip is faster: its program is another" in row["told"]
    else:
        assert row["result"] == gate.WORSE and words in row["told"] and found["passed"] is not fails


def test_the_baseline_must_have_fallen_against_every_other() -> None:
    """Of three, one that became faster leaves the baseline as it was against the third."""
    plan = replace(LIKE.plan, contenders=("epoll", "uring", "lwip"))
    three = replace(LIKE, plan=plan, hollow={**LIKE.hollow, "uring": frozenset(), "epoll": frozenset()},
                    busy={**LIKE.busy, "uring": LIKE.busy["epoll"]},
                    logs={**LIKE.logs, **{(figure, "uring"): LIKE.logs[figure, "epoll"] + 0.1
                                          for figure in (RATE, COST)}})
    assert judged({(RATE, "lwip"): math.log(1.2), (COST, "lwip"): -math.log(1.2)}, three)["passed"]
    slower = worse(judged({(RATE, "epoll"): math.log(0.8)}, three))
    assert any("epoll is slower, for it fell against uring and lwip" in told for told in slower)


@pytest.mark.parametrize("change, words", [
    ({"wire": "veth"}, 'wire: tap in BASE, veth in HEAD'),
    ({"duration_seconds": 9}, "duration seconds: 2 in BASE, 9 in HEAD"),
    ({"contenders": ("epoll",)}, r'contenders: \["epoll", "lwip"\] in BASE, \["epoll"\] in HEAD'),
])
def test_other_plans_do_not_compare(change: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=f"runs base and head do not compare: .*{words}"):
        gate.gate([replace(LIKE, run="base")], replace(LIKE, run="head", plan=replace(LIKE.plan, **change)))


def test_another_machine_does_not_compare_and_another_revision_is_told() -> None:
    kernel = {**LIKE.facts, "kernel": {**LIKE.facts["kernel"], "release": "7.0"}}
    with pytest.raises(UsageError, match="kernel.release: 6.1.0 in BASE, 7.0 in HEAD"):
        gate.gate([replace(LIKE, run="base")], replace(LIKE, run="head", facts=kernel))
    git = {**LIKE.facts, "git": {"revision": "feed", "dirty": False}}
    told = gate.gate([replace(LIKE, run="base")], replace(LIKE, run="head", facts=git))["differences"]
    assert [each for each in told if each.startswith("git.revision")] and len(told) == 1


def test_one_contender_and_one_run_twice_do_not_compare() -> None:
    with pytest.raises(UsageError, match="none of its BASE runs"):
        gate.gate([LIKE], LIKE)
    alone = replace(LIKE, plan=replace(LIKE.plan, contenders=("epoll",)))
    with pytest.raises(UsageError, match="one contender alone"):
        gate.gate([replace(alone, run="base")], replace(alone, run="head"))


# --- statistics ------------------------------------------------------------------------------------


def test_the_estimate_leaves_out_points_without_weight_and_gives_missing_trials_no_say() -> None:
    base = np.zeros((4, 3))
    head = np.array([[-0.1, 9.0, -0.2], [-0.1, 9.0, np.nan], [-0.1, 9.0, -0.2], [-0.1, np.nan, -0.2]])
    found = gate_stats.change([base], head, np.array([3.0, 0.0, 1.0]), [Variance(0.01 ** 2, 8)])
    assert found is not None and found.estimate == pytest.approx(-0.125)
    assert found.error == pytest.approx(0.01 * math.sqrt(2)) and found.noise < 1e-20
    assert found.freedom == pytest.approx(8)


def test_without_two_rounds_or_with_an_empty_point_there_is_no_change() -> None:
    weights, known = np.ones(2), [Variance(1e-4, 8)]
    assert gate_stats.change([np.zeros((1, 2))], np.zeros((1, 2)), weights, known) is None
    empty = np.array([[0.0, np.nan], [0.0, np.nan]])
    assert gate_stats.change([np.zeros((2, 2))], empty, weights, known) is None


def test_several_base_runs_are_measured_noise() -> None:
    dice = np.random.default_rng(8)
    known = [Variance(0.015 ** 2, 8)]
    quiet = [dice.normal(0, 0.01, (5, 8)) for _ in range(9)]
    wild = [table + dice.normal(0, 0.06) for table in quiet]
    found = [gate_stats.change(each[:-1], each[-1], np.ones(8), known) for each in (quiet[:2], quiet, wild)]
    errors = [each.error for each in found if each]
    assert len(errors) == 3 and errors[1] < errors[0] < errors[2]


def test_the_noise_of_a_round_that_hits_all_points_is_not_averaged_away() -> None:
    together = np.repeat(np.random.default_rng(9).normal(0, 0.03, (6, 1)), 8, axis=1)
    apart = np.random.default_rng(9).normal(0, 0.03, (6, 8))
    wide, narrow = (gate_stats.round_noise(table, np.ones(8)) for table in (together, apart))
    assert wide.freedom == narrow.freedom == 5 and wide.value > 3 * narrow.value


# --- files -----------------------------------------------------------------------------------------


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for number, seed in enumerate((1, 2), 1):
        id_ = f"2026010{number}-000000-tap"
        synthetic.write(tmp_path / "runs" / id_, run=id_, seed=seed, rounds=5)
    return tmp_path


def test_the_readings_of_the_reference_run() -> None:
    found = readings(load_run("reference"))
    assert found.logs[RATE, "epoll"].shape == (5, 8) and found.hollow["lwip"] == frozenset()
    assert math.exp(found.logs[RATE, "lwip"][:, -1].mean()) == pytest.approx(59_700, rel=0.05)
    # cycles of its poll loop, and CPU seconds
    assert math.exp(found.logs[COST, "lwip"][:, -1].mean()) > 1e3
    assert 1e-7 < math.exp(found.logs[COST, "epoll"][:, -1].mean()) < 1e-4


def test_of_several_attempts_the_one_that_counts_is_read(results: Path) -> None:
    run = results / "runs" / "20260101-000000-tap"
    before = readings(load_run(run))
    lines = (run / "trials.jsonl").read_text().splitlines()
    first = json.loads(lines[0])
    disturbed = {**first, "requests_per_sec": first["requests_per_sec"] / 2, "disturbed": ["the hypervisor took 9 %"]}
    again = {**first, "attempt": 1}
    (run / "trials.jsonl").write_text("".join(f"{line}\n" for line in (json.dumps(disturbed), json.dumps(again), *lines[1:])))
    plan = run / "plan.json"
    plan.write_text(json.dumps({**json.loads(plan.read_text()), "attempts": 3}))
    after = readings(load_run(run))
    assert all(np.array_equal(after.logs[key], before.logs[key], equal_nan=True) for key in before.logs)
