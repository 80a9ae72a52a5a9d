# SPDX-License-Identifier: BSD-3-Clause
"""Contenders against themselves: how they are measured, what is said of it, and what the gate takes from it."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import ndtr, stdtrit
from scipy.stats import chi

from harness.analyse.stats import Table
from harness.errors import UsageError
from harness.plan import load_wire, original, pairs, self_comparison, with_self_comparisons
from harness.regression import noise, noise_profile
from harness.regression.noise_profile import Profile
from harness.regression.paired_logs import COST, RATE, Readings, readings
from harness.store import MachineFacts, convert
from harness.store.codes import Verdict
from harness.tests.fixtures import noisy_runs, runs


NAMES = ("epoll", "epoll#2")


@pytest.fixture(scope="module")
def found() -> Readings:
    """15 rounds at 4 load points: 12 comparisons of 5."""
    return readings(runs.made((1, 8, 64, 128), 15, NAMES))


# --- the same contender twice ----------------------------------------------------------------------


def test_a_self_comparison_is_its_contender_under_another_name() -> None:
    wire = load_wire("tap")
    both = with_self_comparisons(wire, ["epoll", "epoll#2", "nobody#2", "lwip"])
    assert list(both.contenders) == [*wire.contenders, "epoll#2"]
    assert replace(both.contenders["epoll#2"], name="epoll", title=wire.contenders["epoll"].title) == \
        wire.contenders["epoll"]
    assert with_self_comparisons(wire, ["epoll"]) is wire
    assert original(self_comparison("lwip")) == "lwip" and original("lwip") == ""
    assert pairs(["epoll", "epoll#2", "lwip#2"]) == [("epoll#2", "epoll")]


def test_a_second_name_of_releases_before_is_known() -> None:
    assert pairs(["epoll", "epoll-again"]) == [("epoll-again", "epoll")]
    assert "epoll-again" in with_self_comparisons(load_wire("tap"), ["epoll-again"]).contenders


def test_comparisons_are_spread_over_load_points() -> None:
    points = [1, 2, 4, 8, 16, 32, 64, 128]
    assert noise.spread(points, 5, 20) == (points, 15)
    assert noise.spread(points, 5, 8) == (points, 5)
    assert noise.spread(points, 5, 2) == ([1, 128], 5)
    assert noise.spread(points, 5, 1) == ([1], 5)
    assert noise.spread(points, 3, 3) == ([1, 16, 128], 3)


# --- what a machine calls a difference --------------------------------------------------------


def test_each_block_of_rounds_is_a_comparison(found: Readings) -> None:
    result = noise.analyse(found, 5)
    assert [(row.at.connections, row.first_round) for row in result.comparisons] == [
        (point, first) for point in (1, 8, 64, 128) for first in (0, 5, 10)]
    assert result.measured.comparisons == 12 and result.simulated.comparisons == noise.SIMULATED
    assert result.passed and result.contenders == ("epoll",)
    whole = next(row for row in result.detectable if row.at is None)
    # the made-up noise of a trial is 4 %, of a ratio √2 of it; four points halve it
    assert whole.round_sd_percent == pytest.approx(2.8, rel=0.5) and whole.rounds_measured == 15
    assert result == noise.analyse(found, 5)


def test_exchanged_comparisons_alarm_at_the_nominal_rate_whatever_the_two_differ_by(
        found: Readings) -> None:
    """Labels are exchanged: even of two of which one is twice as fast there is no difference."""
    calls = []
    for seed in range(12):
        drawn = noise.exchanged(cells(found), 5, random.Random(seed))
        calls += [noise.called(noise.compared(logs)) for logs in drawn]
    assert len(calls) == 1200 and 0.02 < sum(calls) / len(calls) < 0.08
    drawn = noise.exchanged(cells(faster(found)), 5, random.Random(1))
    ratios = [math.log(noise.compared(logs).ratio or 0) for logs in drawn]
    assert abs(np.mean(ratios)) < 4 * np.std(ratios) / 10


def cells(found: Readings) -> list[Table]:
    return list(found.ratio(RATE, "epoll#2", "epoll").T)


def test_comparisons_that_stop_when_they_look_sure_are_judged_too(found: Readings) -> None:
    result = noise.analyse(found, 5, 6.0)
    assert result.stopped.comparisons == noise.SIMULATED
    assert result.stopped_after_rounds and 5 < result.stopped_after_rounds <= 15
    assert result.stopped.alarms <= 12
    assert result.together.comparisons == 12 + 2 * noise.SIMULATED
    without = noise.analyse(found, 5)
    assert without.stopped.comparisons == 0 and without.stopped_after_rounds is None


def faster(found: Readings) -> Readings:
    again = {(RATE, "epoll#2"): 2 * found.values[RATE, "epoll#2"]}
    return replace(found, values={**found.values, **again})


def test_too_many_alarms_fail(found: Readings) -> None:
    """A second name that is slower: no comparison of them can be one with itself."""
    result = noise.analyse(faster(found), 5)
    assert result.measured.alarms == 12 and result.measured.share == 1 and not result.passed
    assert all(row.gain.verdict == Verdict.FASTER for row in result.comparisons)


def test_intervals_of_shares_are_clopper_and_pearsons() -> None:
    """Values of their paper's tables, and 1 - 0.025^(1/20) for none of 20."""
    assert noise.alarms(0, 20).ci95 == pytest.approx([0, 1 - 0.025 ** (1 / 20)], rel=1e-4)
    assert noise.alarms(1, 20).ci95 == pytest.approx([0.001265, 0.248733], rel=1e-3)
    assert noise.alarms(12, 120).p == pytest.approx(0.0168, abs=0.002)


def test_the_smallest_change_seen_is_seen_so_often() -> None:
    """The t test itself, on made-up rounds."""
    sd, rounds = 0.03, 5
    shift = math.log1p(noise.detectable(sd, rounds, 0.8) / 100)
    draws = np.random.default_rng(5).normal(shift, sd, (4000, rounds))
    t = draws.mean(axis=1) / (draws.std(axis=1, ddof=1) / math.sqrt(rounds))
    assert (abs(t) > 2.776445).mean() == pytest.approx(0.8, abs=0.02)
    assert noise.detectable(sd, 20, 0.8) < noise.detectable(sd, 5, 0.8) < noise.detectable(sd, 5, 0.9)


def missed(rounds: int, shift: float) -> float:
    """How often a t test misses a mean of `shift` standard errors, by the definition of t: a normal one over the root
    of a chi-square one."""
    freedom, critical = rounds - 1, -stdtrit(rounds - 1, 0.025)
    scale = np.linspace(0, 5, 200_001)[1:]
    density = np.exp(chi.logpdf(scale * math.sqrt(freedom), freedom)) * math.sqrt(freedom)
    inside = ndtr(critical * scale - shift) - ndtr(-critical * scale - shift)
    return float((density * inside).sum() * scale[0])


@pytest.mark.parametrize("power", [0.5, 0.8, 0.9, 0.999])
@pytest.mark.parametrize("rounds", [2, 3, 5, 10, 20, 200, 2000])
def test_the_smallest_change_seen_is_that_of_the_definition(rounds: int, power: float) -> None:
    shift = math.log1p(noise.detectable(1e-3, rounds, power) / 100) / 1e-3 * math.sqrt(rounds)
    assert missed(rounds, shift) == pytest.approx(1 - power, rel=3e-3)


def test_a_drift_is_found(found: Readings) -> None:
    values = {key: table * np.exp(np.linspace(0, 0.1, 15))[:, None]
              for key, table in found.values.items()}
    drift = noise.analyse(replace(found, values=values), 5).drift
    assert [row.contender for row in drift] == list(NAMES) and drift[0].ci95_percent
    low, high = drift[0].ci95_percent
    assert 0 < low < 100 * math.expm1(0.1) < high


def test_a_run_without_second_names_or_whole_comparisons_is_refused(found: Readings) -> None:
    with pytest.raises(UsageError, match="has no comparison of 16 rounds"):
        noise.analyse(found, 16)
    with pytest.raises(UsageError, match="it is not a noise run"):
        noise.analyse(readings(runs.made()), 3)


def test_the_result_is_read_again_from_its_json(found: Readings) -> None:
    result = noise.analyse(found, 5, 6.0)
    data = json.loads(json.dumps(convert.to_json(result), allow_nan=False))
    assert data["detectable"][0]["detectable_percent"]["5"]["80"] == \
        result.detectable[0].detectable_percent[5][80]
    assert data["measured"]["alarms"] == result.measured.alarms


# --- the profile ------------------------------------------------------------------------------


def test_a_session_stands_in_the_stead_of_an_older_one_of_its_run(found: Readings,
                                                                  tmp_path: Path) -> None:
    file = noise_profile.place("tap", noise_profile.machine(found.facts), tmp_path)
    assert file.name.startswith("tap-") and noise_profile.load(file) is None
    for _ in range(2):
        made = noise_profile.append(file, "tap", MachineFacts(), noise_profile.session(found))
    assert noise_profile.load(file) == made and len(made.sessions) == 1
    pair = made.sessions[0].pairs["epoll#2/epoll"][RATE]
    assert pair.round_sd[0] == pytest.approx(0.057, rel=0.6)


def test_a_foreign_profile_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "tap-0.json"
    assert noise_profile.load(file) is None
    for text, words in (("{", "not a noise profile"), ('{"schema": 2}', "schema 1"),
                        ('{"schema": 1, "wire": "tap", "machine": {}, "sessions": [{}]}', "sessions")):
        file.write_text(text)
        with pytest.raises(UsageError, match=words):
            noise_profile.load(file)


def sessions(count: int, run_sd: float) -> Profile:
    dice = np.random.default_rng(11)
    like = noisy_runs.measured()
    return Profile("tap", MachineFacts(), tuple(
        noise_profile.session(noisy_runs.draw(like, dice, f"session-{number}", run_sd=run_sd))
        for number in range(count)))


def test_sessions_show_what_runs_differ_by() -> None:
    like, every = noisy_runs.measured(), np.ones(8)
    known = sessions(60, 0.02).between("lwip", "epoll", RATE, like, every)
    assert known and math.sqrt(known.value) == pytest.approx(0.02, rel=0.3) and known.freedom == 59
    assert sessions(60, 0.02).between("epoll", "lwip", RATE, like, every) == known
    quiet = sessions(60, 0.0).between("lwip", "epoll", COST, like, every)
    assert quiet and math.sqrt(quiet.value) < 0.01
    assert sessions(1, 0.0).between("lwip", "epoll", RATE, like, every) is None
    assert sessions(9, 0.0).between("lwip", "uring", RATE, like, every) is None
    elsewhere = replace(like, plan=replace(like.plan, connections=(3,)))
    assert sessions(9, 0.0).between("lwip", "epoll", RATE, elsewhere, np.ones(1)) is None
    swept = replace(like, plan=replace(like.plan, connections=(1,), body_sizes=(1, 2)))
    assert sessions(9, 0.0).between("lwip", "epoll", RATE, swept, np.ones(2)) is None
