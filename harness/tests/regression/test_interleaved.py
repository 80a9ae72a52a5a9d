# SPDX-License-Identifier: BSD-3-Clause
"""The gate of one run that has change and base: how often it is wrong, what it catches, its pages and exit codes."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from harness.cli.gate import show_gate
from harness.cli.main import main
from harness.errors import CheckFailed, UsageError
from harness.plan import LoadPoint
from harness.regression import COST, RATE, Readings, interleaved, judge_interleaved
from harness.report import interleaved_page
from harness.store import convert, read_facts
from harness.tests.fixtures import noisy_runs, synthetic
from harness.tests.fixtures.fake_host import FakeHost

LIKE = noisy_runs.measured()
NAMES = ("lwip@base", "lwip")
# trials of 1 s where those had 3 s, of the plan `gate`
SHORTER, POINTS, ROUNDS = math.sqrt(3), (8, 64), 9


def drawn(dice: np.random.Generator, rate: float = 0.0, cost: float = 0.0, noise: float = SHORTER,
          rounds: int = ROUNDS) -> Readings:
    """A run of lwip beside its base, each trial with noise of its own, of which rate and cost have the same part as in
    real trials; `rate`, `cost`: what the change adds to their logarithms, `rate` by the busy part of the core."""
    at = [[point.connections for point in LIKE.points].index(count) for count in POINTS]
    busy = np.array(LIKE.busy["lwip"])[at]
    values: dict[tuple[str, str], NDArray[np.float64]] = {}
    for name in NAMES:
        mix = dice.standard_normal((rounds, LIKE.rounds, len(at))) / math.sqrt(LIKE.rounds - 1) * noise
        for figure, effect in ((RATE, rate * busy), (COST, cost)):
            table = np.log(LIKE.values[figure, "lwip"])[:, at]
            mean = table.mean(axis=0)
            own = np.einsum("rkp,kp->rp", mix, table - mean)
            values[figure, name] = np.exp(mean + own + (effect if name == "lwip" else 0.0))
    return replace(LIKE, plan=replace(LIKE.plan, contenders=NAMES, connections=POINTS), values=values,
                   facts=read_facts(synthetic.facts("measured", NAMES)),
                   busy=dict.fromkeys(NAMES, tuple(busy)), client_bound=dict.fromkeys(NAMES, frozenset()))


def slowed(dice: np.random.Generator, share: float, noise: float = SHORTER) -> Readings:
    return drawn(dice, -math.log1p(share), math.log1p(share), noise)


def caught(count: int, share: float, noise: float = SHORTER, threshold: float = 3.0) -> float:
    dice = np.random.default_rng(1)
    return sum(not judge_interleaved(slowed(dice, share, noise), threshold).passed for _ in range(count)) / count


@pytest.fixture
def fewer_flips(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test is as exact with fewer, and as fast as simulations want it."""
    monkeypatch.setattr(interleaved, "_FLIPS", 299)


@pytest.mark.usefixtures("fewer_flips")
@pytest.mark.parametrize("noise", [SHORTER, 3 * SHORTER])
def test_of_2000_comparisons_of_a_program_with_itself_at_most_one_in_twenty_fails(noise: float) -> None:
    """Without a threshold, which would only hide some; 1.2 points are for the luck of the 2,000 themselves."""
    assert caught(2000, 0.0, noise, threshold=0.0) <= 0.05 + 0.012


@pytest.mark.usefixtures("fewer_flips")
def test_a_twentieth_is_caught_in_seven_of_ten_and_a_tenth_in_nineteen_of_twenty() -> None:
    assert caught(200, 0.05) >= 0.7
    assert caught(200, 0.1) >= 0.95


@pytest.mark.parametrize("rate, cost, figure", [(math.log(0.85), 0.0, RATE), (0.0, math.log(1.15), COST)])
def test_a_change_of_one_figure_alone_is_caught_too(rate: float, cost: float, figure: str) -> None:
    found = judge_interleaved(drawn(np.random.default_rng(2), rate, cost, noise=0.3), 3.0)
    assert figure in [test.figure for test in found.tests if test.worse]


def test_what_became_better_or_changed_by_less_than_the_threshold_passes() -> None:
    dice = np.random.default_rng(3)
    assert judge_interleaved(slowed(dice, -0.1, noise=0.1), 3.0).passed
    found = judge_interleaved(slowed(dice, 0.02, noise=0.1), 3.0)
    assert found.passed and min(test.p_adjusted for test in found.tests) < 0.01
    assert not judge_interleaved(slowed(dice, 0.02, noise=0.1), 1.0).passed


def test_the_estimates_are_those_of_the_slowdown() -> None:
    found = {test.figure: test for test in judge_interleaved(slowed(np.random.default_rng(4), 0.1, 0.1), 3.0).tests}
    assert found[COST].change_percent == pytest.approx(10, abs=1)
    assert found[interleaved.BOTH].change_percent == pytest.approx(10, abs=1)
    assert -9.5 < found[RATE].change_percent < -7
    assert all(test.ci95_percent[0] < test.change_percent < test.ci95_percent[1] for test in found.values())


def test_the_rate_is_not_tested_where_the_client_is_the_limit_and_a_cost_unknown_is_no_figure() -> None:
    run = slowed(np.random.default_rng(5), 0.1, 0.3)
    bound = replace(run, client_bound=dict.fromkeys(NAMES, frozenset(map(LoadPoint, POINTS))))
    assert {test.figure for test in judge_interleaved(bound, 3.0).tests} == {COST}
    lost = {key: np.full_like(table, np.nan) if key[0] == COST else table for key, table in run.values.items()}
    assert {test.figure for test in judge_interleaved(replace(run, values=lost), 3.0).tests} == {RATE}
    with pytest.raises(UsageError, match="nothing of lwip can be tested"):
        judge_interleaved(replace(bound, values=lost), 3.0)


def test_a_wild_trial_and_a_missing_one_do_not_hide_a_slowdown() -> None:
    run = slowed(np.random.default_rng(6), 0.1, 0.5)
    run.values[RATE, "lwip"][0, 0] *= 3
    run.values[RATE, "lwip"][1, 1] = np.nan
    assert not judge_interleaved(run, 3.0).passed


def test_too_few_rounds_and_no_base_are_one_line() -> None:
    dice = np.random.default_rng(7)
    with pytest.raises(UsageError, match="has 2 rounds with valid trials of lwip and lwip@base"):
        judge_interleaved(drawn(dice, rounds=2), 3.0)
    with pytest.raises(UsageError, match="no contender beside its base"):
        judge_interleaved(LIKE, 3.0)


def test_a_base_that_sleeps_is_none_of_a_server_that_polls() -> None:
    run = slowed(np.random.default_rng(9), 0.0)
    told = run.facts.raw["wire"]["contenders"]
    other = run.facts.entered(wire={**run.facts.raw["wire"], "contenders": {
        **told, "lwip@base": {**told["lwip@base"], "stack": "kernel"}}})
    with pytest.raises(UsageError, match="lwip and lwip@base do not compare"):
        judge_interleaved(replace(run, facts=other), 3.0)


def test_the_result_is_read_again_from_its_json() -> None:
    found = judge_interleaved(slowed(np.random.default_rng(8), 0.1, 0.3), 3.0)
    data = json.loads(interleaved_page(found)["gate.json"])
    assert data.pop("schema") == 2 and convert.from_json(interleaved.Interleaved, data, "gate.json") == found


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A run with lwip's base, which is its double; and an older one without."""
    synthetic.write(tmp_path / "runs" / "20260101-000000-tap", run="20260101-000000-tap", rounds=5)
    synthetic.write(tmp_path / "runs" / "20260102-000000-tap", run="20260102-000000-tap", rounds=5,
                    contenders=("lwip@base", "lwip"))
    return tmp_path


def made_slower(run: Path, share: float) -> None:
    lines = [json.loads(line) for line in (run / "trials.jsonl").read_text().splitlines()]
    for trial in lines:
        if trial["contender"] == "lwip":
            trial["requests_per_sec"] /= 1 + share
            trial["requests"] = round(trial["requests"] / (1 + share))
    (run / "trials.jsonl").write_text("".join(json.dumps(trial) + "\n" for trial in lines))


def test_the_command_judges_the_newest_run_that_has_a_base(results: Path, tmp_path: Path,
                                                          capsys: pytest.CaptureFixture[str]) -> None:
    show_gate([], "", "", results, tmp_path / "out")
    assert "## Gate passed: tap, rps" in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "out" / "gate-20260102-000000-tap").iterdir()} == {"gate.md", "gate.json"}
    made_slower(results / "runs" / "20260102-000000-tap", 0.5)
    with pytest.raises(CheckFailed, match="requests/s of lwip fell 3[0-9.]* % from its base"):
        show_gate([], "20260102-000000-tap", "", results, tmp_path / "out")
    with pytest.raises(UsageError, match="HEAD=<run> must have a contender 'X@base' beside 'X'"):
        show_gate([], "20260101-000000-tap", "", results, tmp_path / "out")


def test_exit_codes(results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    run = results / "runs" / "20260102-000000-tap"
    monkeypatch.setattr("harness.cli.gate.show_gate.__defaults__", (results, results / "out"))
    assert main(["gate", "--head", str(run)], FakeHost()) == 0
    made_slower(run, 0.5)
    assert main(["gate", "--head", str(run)], FakeHost()) == 1
    assert main(["gate", "--head", str(run), "--threshold", "60"], FakeHost()) == 0
    assert main(["gate", "--head", "reference"], FakeHost()) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2
