# SPDX-License-Identifier: BSD-3-Clause
"""Steps, drifts and nothing, in made-up series."""

from __future__ import annotations

import numpy as np
import pytest

from harness.analyse import Table
from harness.regression.change_points import Course, course, steps


def noise(seed: int, count: int, sd: float = 0.02) -> Table:
    return np.random.default_rng(seed).normal(0, sd, count)


def test_a_series_without_a_change_is_called_changed_at_the_level_at_most() -> None:
    called = sum(course(noise(seed, 20)) != Course() for seed in range(120))
    # 6 are expected; 13 or more have a chance of less than 1 %
    assert called <= 12


@pytest.mark.parametrize("at", [8, 15, 22])
def test_a_step_is_found_where_it_is(at: int) -> None:
    series = noise(at, 30)
    series[at:] -= 0.1
    (step,) = course(series).steps
    assert step.at == at and step.p <= 0.01 and step.after - step.before == pytest.approx(-0.1, abs=0.03)


def test_two_steps_up_and_down() -> None:
    series = noise(3, 45)
    series[15:30] += 0.15
    found = course(series).steps
    assert [step.at for step in found] == [15, 30]
    assert found[0].after == found[1].before == pytest.approx(0.15, abs=0.02)


def test_a_drift_is_no_step() -> None:
    found = course(noise(4, 40) + np.linspace(0, 0.3, 40))
    assert found.steps == () and found.slope == pytest.approx(0.3 / 39, rel=0.1) and (found.slope_p or 1) < 1e-6


def test_one_wild_figure_is_no_step() -> None:
    series = noise(5, 25)
    series[12] += 0.5
    assert course(series) == Course()


@pytest.mark.parametrize("series", [[], [1.0], [1.0, 2.0, 3.0], [2.0] * 9])
def test_too_little_to_tell(series: list[float]) -> None:
    assert course(series) == Course()


def test_the_same_series_has_the_same_steps() -> None:
    series = noise(6, 30)
    series[10:] += 0.05
    assert steps(series) == steps(series) and steps(series)
