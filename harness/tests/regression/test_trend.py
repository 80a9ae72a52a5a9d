# SPDX-License-Identifier: BSD-3-Clause
"""A figure over many runs: which runs, which figures, what is marked, and its page."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.regression import trend
from harness.errors import UsageError
from harness.regression.paired_logs import RATE, readings, trials
from harness.store.store import load_run
from harness.tests.fixtures import noisy_runs
from harness.tests.fixtures import synthetic
from harness.regression.trend import Source

LIKE = noisy_runs.measured()


def history(count: int, at: int = 0, fall: float = 0.0, seed: int = 1) -> list[Source]:
    """Runs of which the lwip server is slower by `fall` from number `at` on; in no order."""
    dice = np.random.default_rng(seed)
    found = []
    for number in range(count):
        effect = {(RATE, "lwip"): math.log1p(-fall)} if at and number >= at else {}
        run = noisy_runs.draw(LIKE, dice, f"run-{number:02d}", run_sd=0.005, effect=effect)
        facts = {**run.facts, "git": {"revision": f"{number:040x}", "dirty": False}}
        found.append(Source(replace(run, started_at=f"2026-01-{number + 1:02d}T00:00:00Z", facts=facts), []))
    return found[::-1]


def test_a_step_of_the_gain_is_marked_with_its_run() -> None:
    found = trend.trend(history(20, 12, 0.08))
    data = trend.to_json(found)
    assert [run["run"] for run in data["runs"]] == [f"run-{number:02d}" for number in range(20)]
    (line,) = data["lines"]
    (step,) = line["changes"]
    assert (line["contender"], line["over"]) == ("lwip", "epoll")
    assert (step["previous_run"], step["run"]) == ("run-11", "run-12") and step["percent"] == pytest.approx(-8, abs=1)
    assert step["before"] * (1 + step["percent"] / 100) == pytest.approx(step["after"], rel=1e-3)
    low, high = line["values"][0]["ci95"]
    assert low < line["values"][0]["value"] < high


def test_the_drift_of_the_machine_hides_it_in_the_rate_but_not_in_the_gain() -> None:
    """Rates drift by a tenth from run to run here."""
    runs = history(20, 12, 0.08)
    assert trend.trend(runs).lines[0].course.steps
    assert all(not line.course.steps for line in trend.trend(runs, RATE).lines)


def test_without_a_change_nothing_is_marked() -> None:
    assert sum(len(trend.trend(history(16, seed=seed)).lines[0].course.steps) for seed in range(10)) <= 2


def test_one_load_point_and_one_contender() -> None:
    found = trend.trend(history(4), RATE, 64, "epoll")
    assert found.connections == (64,) and [line.contender for line in found.lines] == ["epoll"]
    expected = math.exp(float(found.sources[0].readings.logs[RATE, "epoll"][:, 6].mean()))
    assert found.lines[0].places[0].value == pytest.approx(expected)


@pytest.mark.parametrize("metric", trend.METRICS)
def test_every_metric_of_real_files(tmp_path: Path, metric: str) -> None:
    runs = [load_run(synthetic.write(tmp_path / f"run-{seed}", run=f"run-{seed}", seed=seed)) for seed in (1, 2, 3)]
    found = trend.trend([Source(readings(run), trials(run)) for run in runs], metric)
    assert [len(line.places) for line in found.lines] == [3] * len(found.lines)
    names = {line.contender for line in found.lines}
    assert names == ({"lwip"} if metric in (trend.GAIN, "cycles_per_request") else {"epoll", "lwip"})
    assert all(place.value > 0 and place.interval for line in found.lines for place in line.places)


@pytest.mark.parametrize("metric, point, contender, words", [
    ("speed", None, "", "METRIC=speed: there are: gain, "), (trend.GAIN, 3, "", "POINT=3: not measured in every run"),
    (trend.GAIN, None, "epoll", "CONTENDER=epoll: there are: lwip"), ("p99", None, "", "none of the runs has it"),
])
def test_what_there_is_not(metric: str, point: int | None, contender: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        trend.trend(history(3), metric, point, contender)


def test_runs_must_be_of_one_kind() -> None:
    one, two, *_ = history(3)
    other = replace(two, readings=replace(two.readings, plan=replace(LIKE.plan, wire="afxdp")))
    with pytest.raises(UsageError, match="have different wires"):
        trend.trend([one, other])
    with pytest.raises(UsageError, match="two or more different runs"):
        trend.trend([one, one])


def test_other_machines_are_told() -> None:
    one, two, *_ = history(3)
    facts = {**two.readings.facts, "machine": {"cpu_model": "another"}, "kernel": {"release": "7.0"}}
    caveats = trend.trend([one, replace(two, readings=replace(two.readings, facts=facts))]).caveats
    assert "The runs were made on different machines." in caveats
    assert any("different kernels: 7.0, 6.1.0" in caveat for caveat in caveats)
