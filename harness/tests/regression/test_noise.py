# SPDX-License-Identifier: BSD-3-Clause
"""Contenders against themselves: how they are measured, what is said of it, and what the gate takes from it."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.regression import noise
from harness.regression import noise_profile
from harness.analyse import bottleneck as verdict
from harness.errors import UsageError
from harness.regression.noise_profile import Profile
from harness.cli.noise import alarms
from harness.regression.paired_logs import COST, RATE, readings, trials
from harness.store.store import Run, load_run
from harness.tests.fixtures import noisy_runs
from harness.tests.fixtures import synthetic
from harness.plan import original, pairs, twin, with_twins
from harness.plan import load_wire

NAMES = ("epoll", "epoll-again")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """15 rounds at 4 load points: 12 comparisons of 5."""
    return load_run(synthetic.write(tmp_path / "20260102-030405-tap-noise", run="20260102-030405-tap-noise", rounds=15,
                                    contenders=NAMES, seed=1))


# --- the same contender twice ----------------------------------------------------------------------


def test_a_twin_is_its_contender_under_another_name() -> None:
    wire = load_wire("tap")
    both = with_twins(wire, ["epoll", "epoll-again", "nobody-again", "lwip"])
    assert list(both.contenders) == [*wire.contenders, "epoll-again"]
    assert replace(both.contenders["epoll-again"], name="epoll", title=wire.contenders["epoll"].title) == \
        wire.contenders["epoll"]
    assert with_twins(wire, ["epoll"]) is wire
    assert original(twin("lwip")) == "lwip" and original("lwip") == ""
    assert pairs(["epoll", "epoll-again", "lwip-again"]) == [("epoll-again", "epoll")]


def test_comparisons_are_spread_over_load_points() -> None:
    points = [1, 2, 4, 8, 16, 32, 64, 128]
    assert noise.spread(points, 5, 20) == (points, 15)
    assert noise.spread(points, 5, 8) == (points, 5)
    assert noise.spread(points, 5, 2) == ([1, 128], 5)
    assert noise.spread(points, 5, 1) == ([1], 5)
    assert noise.spread(points, 3, 3) == ([1, 16, 128], 3)


# --- what is said ----------------------------------------------------------------------------------


def test_each_block_of_rounds_is_a_comparison(run: Run) -> None:
    found = noise.analyse(readings(run), trials(run), 5)
    assert [(row["connections"], row["first_round"]) for row in found["comparisons"]] == [
        (point, first) for point in (1, 8, 64, 128) for first in (0, 5, 10)]
    assert found["measured"]["comparisons"] == 12 and found["simulated"]["comparisons"] == noise.SIMULATED
    assert found["passed"] and found["contenders"] == ["epoll"]
    whole = next(row for row in found["detectable"] if row["connections"] is None)
    # the made-up noise of a trial is 4 %, of a ratio √2 of it; four points halve it
    assert whole["round_sd_percent"] == pytest.approx(2.8, rel=0.5) and whole["rounds_measured"] == 15
    assert found == noise.analyse(readings(run), trials(run), 5)


def test_exchanged_comparisons_alarm_at_the_nominal_rate_whatever_the_twins_differ_by(run: Run) -> None:
    """Labels are exchanged: even of twins of which one is twice as fast, simulated comparisons have no difference."""
    calls = []
    for seed in range(12):
        drawn = noise._exchanged(trials(run), [("epoll-again", "epoll")], 5, random.Random(seed))
        calls += [noise._called(noise._compared(cell)) for cell in drawn]
    assert len(calls) == 1200 and 0.02 < sum(calls) / len(calls) < 0.08
    ratios = [math.log(noise._compared(cell)["ratio"]) for cell in
              noise._exchanged(faster(run), [("epoll-again", "epoll")], 5, random.Random(1))]
    assert abs(np.mean(ratios)) < 4 * np.std(ratios) / 10


def test_comparisons_that_stop_when_they_look_sure_are_judged_too(run: Run) -> None:
    found = noise.analyse(readings(run), trials(run), 5, 6.0)
    assert found["stopped"]["comparisons"] == noise.SIMULATED and 5 < found["stopped_after_rounds"] <= 15
    assert found["stopped"]["alarms"] <= 12
    assert found["together"]["comparisons"] == 12 + 2 * noise.SIMULATED
    assert noise.analyse(readings(run), trials(run), 5)["stopped"]["comparisons"] == 0


def faster(run: Run) -> list[Any]:
    return [replace(trial, requests_per_sec=trial.requests_per_sec * 2) if trial.contender == "epoll-again" else trial
            for trial in trials(run)]


def test_too_many_alarms_fail(run: Run) -> None:
    """A second name that is slower: no comparison of them can be a twin's."""
    found = noise.analyse(readings(run), faster(run), 5)
    assert found["measured"]["alarms"] == 12 and found["measured"]["share"] == 1 and not found["passed"]
    assert all(row["verdict"] == verdict.FASTER for row in found["comparisons"])


def test_intervals_of_shares_are_clopper_and_pearsons() -> None:
    """Values of their paper's tables, and 1 - 0.025^(1/20) for none of 20."""
    assert noise._alarms(0, 20)["ci95"] == pytest.approx([0, 1 - 0.025 ** (1 / 20)], rel=1e-4)
    assert noise._alarms(1, 20)["ci95"] == pytest.approx([0.001265, 0.248733], rel=1e-3)
    assert noise._alarms(12, 120)["p"] == pytest.approx(0.0168, abs=0.002)
    assert alarms(noise._alarms(1, 20)) == "1 of 20 comparisons (5 %, 95 % interval 0.13 to 25 %)"


def test_the_smallest_change_seen_is_seen_so_often() -> None:
    """The t test itself, on made-up rounds."""
    sd, rounds = 0.03, 5
    shift = math.log1p(noise.detectable(sd, rounds, 0.8) / 100)
    draws = np.random.default_rng(5).normal(shift, sd, (4000, rounds))
    t = draws.mean(axis=1) / (draws.std(axis=1, ddof=1) / math.sqrt(rounds))
    assert (abs(t) > 2.776445).mean() == pytest.approx(0.8, abs=0.02)
    assert noise.detectable(sd, 20, 0.8) < noise.detectable(sd, 5, 0.8) < noise.detectable(sd, 5, 0.9)


def test_a_drift_is_told(run: Run) -> None:
    read = readings(run)
    logs = {key: table + np.linspace(0, 0.1, 15)[:, None] for key, table in read.logs.items()}
    drift = noise.analyse(replace(read, logs=logs), trials(run), 5)["drift"]
    low, high = drift[0]["ci95_percent"]
    assert [row["contender"] for row in drift] == list(NAMES) and low < 100 * math.expm1(0.1) < high and low > 0


def test_a_run_without_twins_or_whole_comparisons_is_refused(run: Run, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no comparison of 16 rounds"):
        noise.analyse(readings(run), trials(run), 16)
    plain = load_run(synthetic.write(tmp_path / "plain"))
    with pytest.raises(UsageError, match="it is not a noise run"):
        noise.analyse(readings(plain), trials(plain), 3)


# --- pages and the profile -------------------------------------------------------------------------


def test_a_foreign_profile_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "tap-0.json"
    assert noise_profile.load(file) is None
    for text, words in (("{", "not a noise profile"), ('{"schema": 2}', "schema 1"),
                        ('{"schema": 1, "sessions": [{}]}', "lacks")):
        file.write_text(text)
        with pytest.raises(UsageError, match=words):
            noise_profile.load(file)


def sessions(count: int, run_sd: float) -> Profile:
    dice = np.random.default_rng(11)
    like = noisy_runs.measured()
    return Profile("tap", {}, tuple(
        noise_profile.session(noisy_runs.draw(like, dice, f"session-{number}", run_sd=run_sd))
        for number in range(count)))


def test_sessions_show_what_runs_differ_by() -> None:
    like = noisy_runs.measured()
    points, weights = like.plan.connections, np.ones(8)
    work = noise_profile.workload(like)
    known = sessions(60, 0.02).between("lwip", "epoll", RATE, points, weights, work)
    assert known and math.sqrt(known.value) == pytest.approx(0.02, rel=0.3) and known.freedom == 59
    turned = sessions(60, 0.02).between("epoll", "lwip", RATE, points, weights, work)
    assert turned == known
    quiet = sessions(60, 0.0).between("lwip", "epoll", COST, points, weights, work)
    assert quiet and math.sqrt(quiet.value) < 0.01
    drift = sessions(60, 0.0).drift(["epoll", "lwip"], work)
    assert drift and math.sqrt(drift.value) == pytest.approx(noisy_runs.DRIFT_SD, rel=0.3)
    assert sessions(1, 0.0).between("lwip", "epoll", RATE, points, weights, work) is None
    assert sessions(9, 0.0).between("lwip", "uring", RATE, points, weights, work) is None
    assert sessions(9, 0.0).between("lwip", "epoll", RATE, [3], np.ones(1), work) is None
    assert sessions(2, 0.0).drift(["epoll", "lwip"], work) is None
