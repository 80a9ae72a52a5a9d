# SPDX-License-Identifier: BSD-3-Clause
"""A figure over many runs: which runs, which figures, what is marked."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from harness.errors import UsageError
from harness.plan import LoadPoint
from harness.regression.paired_logs import RATE, Readings, readings
from harness.regression.trend import FIGURES, GAIN, Trend, TrendCaveat, follow
from harness.store import convert
from harness.store.codes import Note
from harness.store.store import Run
from harness.tests.fixtures import noisy_runs, runs


LIKE = noisy_runs.measured()


def history(count: int, at: int = 0, fall: float = 0.0, seed: int = 1) -> list[Readings]:
    """Runs of which the lwip server is slower by `fall` from number `at` on; in no order."""
    dice = np.random.default_rng(seed)
    found = []
    for number in range(count):
        effect = {(RATE, "lwip"): math.log1p(-fall)} if at and number >= at else {}
        run = noisy_runs.draw(LIKE, dice, f"run-{number:02d}", run_sd=0.005, effect=effect)
        facts = run.facts.entered(git={"revision": f"{number:040x}", "dirty": False})
        started = f"2026-01-{number + 1:02d}T00:00:00Z"
        found.append(replace(run, started_at=started, facts=facts))
    return found[::-1]


def test_a_step_of_the_gain_is_marked_with_its_run() -> None:
    found = follow(history(20, 12, 0.08))
    assert [run.run for run in found.runs] == [f"run-{number:02d}" for number in range(20)]
    assert found.runs[12].revision == f"{12:040x}" and found.runs[12].dirty is False
    (line,) = found.lines
    (step,) = line.changes
    assert (line.contender, line.over, step.at) == ("lwip", "epoll", 12)
    assert (step.previous_run, step.run) == ("run-11", "run-12")
    assert step.percent == pytest.approx(-8, abs=1)
    assert step.before * (1 + step.percent / 100) == pytest.approx(step.after, rel=1e-3)
    first = line.values[0]
    assert first.ci95 and first.ci95[0] < first.value < first.ci95[1]


def test_the_drift_of_the_machine_hides_it_in_the_rate_but_not_in_the_gain() -> None:
    """Rates drift by a tenth from run to run here."""
    drifting = history(20, 12, 0.08)
    assert follow(drifting).lines[0].changes
    assert all(not line.changes for line in follow(drifting, RATE).lines)


def test_without_a_change_nothing_is_marked() -> None:
    assert sum(len(follow(history(16, seed=seed)).lines[0].changes) for seed in range(10)) <= 2


def test_a_slow_drift_is_told_as_one() -> None:
    runs = [replace(run, values={**run.values, (RATE, "lwip"): run.values[RATE, "lwip"]
                                 * 1.02 ** int(run.run[-2:])}) for run in history(20)]
    (line,) = follow(runs).lines
    assert not line.changes and line.drift_percent == pytest.approx(100 * (1.02 ** 19 - 1), rel=0.1)


def test_one_load_point_and_one_contender() -> None:
    runs = history(4)
    found = follow(runs, RATE, 64, "epoll")
    assert found.points == (LoadPoint(64),)
    assert [line.contender for line in found.lines] == ["epoll"]
    expected = math.exp(float(np.log(runs[-1].values[RATE, "epoll"][:, 6]).mean()))
    assert found.lines[0].values[0].value == pytest.approx(expected, rel=1e-5)


def test_every_metric_of_real_records() -> None:
    made = [readings(replace_run(f"run-{seed}", seed)) for seed in (1, 2, 3)]
    for metric in FIGURES:
        if metric in ("burned_cycles_per_request", "connections_per_sec", "memory_bytes", "joules_per_request"):
            with pytest.raises(UsageError, match="none of the runs has it"):
                follow(made, metric)
            continue
        found = follow(made, metric)
        names = {line.contender for line in found.lines}
        assert names == ({"lwip"} if metric in (GAIN, "cycles_per_request") else {"epoll", "lwip"})
        for line in found.lines:
            assert len(line.values) == 3
            assert all(value.value > 0 and value.ci95 for value in line.values)


def replace_run(name: str, seed: int) -> Run:
    run = runs.made((1, 8, 64, 128))
    dice = np.random.default_rng(seed)
    return replace(runs.changed(run, lambda trial: replace(
        trial, requests_per_sec=trial.requests_per_sec * float(dice.lognormal(0, 0.02)))),
        facts=run.facts.entered(run=name))


@pytest.mark.parametrize("metric, point, contender, words", [
    ("speed", None, "", "METRIC=speed: there are: gain, "),
    (GAIN, 3, "", "POINT=3: not measured in every run"),
    (GAIN, None, "epoll", "CONTENDER=epoll: there are: lwip")])
def test_what_there_is_not(metric: str, point: int | None, contender: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        follow(history(3), metric, point, contender)


def test_runs_must_be_of_one_kind() -> None:
    one, two, *_ = history(3)
    other = replace(two, plan=replace(LIKE.plan, wire="afxdp"))
    with pytest.raises(UsageError, match="have different wires"):
        follow([one, other])
    with pytest.raises(UsageError, match="two or more different runs"):
        follow([one, one])
    apart = replace(two, plan=replace(LIKE.plan, connections=(3,)))
    with pytest.raises(UsageError, match="no load point in common"):
        follow([one, apart])


def test_other_machines_kernels_and_durations_are_caveats() -> None:
    one, two, *_ = history(3)
    assert follow([one, two]).caveats == ()
    facts = two.facts.entered(machine={"cpu_model": "another"}, kernel={"release": "7.0"})
    other = replace(two, facts=facts, plan=replace(two.plan, duration_seconds=9))
    assert follow([one, other]).caveats == (
        Note(TrendCaveat.MACHINES), Note(TrendCaveat.KERNELS, {"releases": ("7.0", "6.1.0")}),
        Note(TrendCaveat.DURATIONS, {"seconds": (9, 2)}))


def test_the_result_is_read_again_from_its_json() -> None:
    found = follow(history(20, 12, 0.08))
    data = json.loads(json.dumps(convert.to_json(found), allow_nan=False))
    assert convert.from_json(Trend, data, "trend.json") == found
