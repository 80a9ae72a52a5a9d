# SPDX-License-Identifier: BSD-3-Clause
"""When a throughput has settled: made-up series of every shape, and what must hold for any."""

from __future__ import annotations

import math
import random
from typing import Sequence

import pytest
from hypothesis import given, strategies

from harness.store import Note, Steady, Unsettled
from harness.trial.observe import steady_state as steady

SERIES = strategies.lists(strategies.floats(1, 1e6), min_size=1, max_size=80)


def noise(seed: int, count: int, level: float = 1000.0, scatter: float = 0.05) -> list[float]:
    dice = random.Random(seed)
    return [level * dice.gauss(1, scatter) for _ in range(count)]


def by_definition(values: Sequence[float], cut: int) -> float:
    rest = values[cut:]
    mean = sum(rest) / len(rest)
    return sum((value - mean) ** 2 for value in rest) / len(rest) ** 2


def test_a_flat_series_settles_at_once() -> None:
    assert steady.judge([1000.0] * 10, [1000.0] * 20) == steady.Settled(0.0)


def test_a_ramp_within_the_warmup_is_no_fault() -> None:
    values = [100.0, 300.0, 600.0, 900.0, *noise(1, 26, scatter=0.01)]
    settled = steady.judge(values[:10], values[10:])
    assert settled is not None and settled.why is None and settled.after_seconds is not None
    assert 0.3 <= settled.after_seconds <= 0.6


def test_a_ramp_into_the_measured_interval_is_a_fault_with_its_size() -> None:
    values = [100.0 * (1 + place) for place in range(9)] + [1000.0] * 21
    settled = steady.judge(values[:5], values[5:])
    assert settled == steady.Settled(0.9, Note(Unsettled.LATE, {"seconds": 0.4, "shift": -0.04}))


def test_a_small_ramp_there_is_none() -> None:
    values = [1000.0] * 5 + [960.0] * 2 + [1000.0] * 23
    settled = steady.judge(values[:5], values[5:])
    assert settled is not None and settled.why is None


def test_a_load_that_ramps_up_after_a_settled_warmup_says_so() -> None:
    settled = steady.judge([1000.0] * 8, [100.0] * 4 + [1000.0] * 20)
    assert settled == steady.Settled(1.2, Note(Unsettled.OWN_RAMP, {"seconds": 0.4, "shift": -0.15}))


def test_a_step_late_in_the_measured_interval_never_settles() -> None:
    settled = steady.judge(noise(2, 10), [*noise(3, 12), *noise(4, 8, level=600)])
    assert settled is not None and settled.after_seconds is None
    assert settled.why and settled.why.code is Unsettled.NEVER and float(str(settled.why.values["change"])) < 0


@pytest.mark.parametrize("slope", [20, -20])
def test_a_drift_never_settles(slope: float) -> None:
    values = [1000 + slope * place for place in range(30)]
    settled = steady.judge(values[:10], values[10:])
    assert settled is not None and settled.after_seconds is None
    assert settled.why and settled.why.code is Unsettled.NEVER
    assert math.copysign(1, float(str(settled.why.values["change"]))) == math.copysign(1, slope)


def test_an_oscillation_is_settled() -> None:
    values = [1000 + 300 * math.sin(place * math.pi / 2) for place in range(40)]
    settled = steady.judge(values[:10], values[10:])
    assert settled is not None and settled.why is None


@pytest.mark.parametrize("scatter", [0.01, 0.05, 0.2])
def test_noise_is_hardly_ever_a_fault(scatter: float) -> None:
    faults = 0
    for seed in range(400):
        values = noise(seed, 30, scatter=scatter)
        settled = steady.judge(values[:10], values[10:])
        assert settled is not None
        faults += settled.why is not None
    assert faults <= 8  # 2 %


def test_a_linear_ramp_is_found_in_noise() -> None:
    found = 0
    for seed in range(100):
        values = [value * min(1.0, 0.3 + 0.07 * place) for place, value in enumerate(noise(seed, 40, scatter=0.03))]
        settled = steady.judge([], values)
        found += settled is not None and settled.why is not None and settled.after_seconds is not None
    assert found >= 95


@pytest.mark.parametrize("warmup, load", [([], []), ([1.0] * 20, [1.0] * 3), ([], [1.0] * 7), ([1.0] * 5, [0.0] * 20)])
def test_of_too_little_nothing_is_said(warmup: list[float], load: list[float]) -> None:
    assert steady.judge(warmup, load) is None and steady.steadiness(warmup, load) == (None, None)


@given(SERIES)
def test_the_cut_is_the_least_by_definition(values: list[float]) -> None:
    cut = steady.mser(values)
    assert 0 <= cut <= len(values) // 2
    least = min(by_definition(values, place) for place in range(len(values) // 2 + 1))
    assert by_definition(values, cut) <= least + 1e-9 * max(values) ** 2


@given(SERIES, strategies.sampled_from([0.5, 2.0, 1024.0]))
def test_the_cut_knows_no_unit(values: list[float], factor: float) -> None:
    assert steady.mser([factor * value for value in values]) == steady.mser(values)


@given(SERIES, SERIES)
def test_a_verdict_is_a_time_of_the_trial(warmup: list[float], load: list[float]) -> None:
    settled = steady.judge(warmup, load)
    if settled is not None and settled.after_seconds is not None:
        assert 0 <= settled.after_seconds <= 0.1 * (len(warmup) + len(load)) / 2 + 1e-9
    if settled is not None and settled.after_seconds is None:
        assert settled.why


def test_nothing_has_no_cut() -> None:
    with pytest.raises(ValueError):
        steady.mser([])


def test_late_samples_are_put_where_they_were() -> None:
    assert steady.rates([0.0, 0.1, 0.35, 0.4], [0, 100, 350, 400]) == pytest.approx([1000.0] * 4)
    assert steady.rates([0.0, 0.1, 0.25], [0, 100, 400]) == pytest.approx([1000.0, 2000.0])
    assert steady.rates([1.0], [5]) == [] and steady.rates([], []) == []


@given(strategies.lists(strategies.tuples(strategies.floats(0.02, 0.5), strategies.floats(0, 1e6)), min_size=1,
                        max_size=40))
def test_intervals_add_up_to_what_was_counted(steps: list[tuple[float, float]]) -> None:
    times, totals = [0.0], [0.0]
    for seconds, grown in steps:
        times.append(times[-1] + seconds)
        totals.append(totals[-1] + grown)
    values = steady.rates(times, totals)
    assert all(value >= -1e-6 for value in values)
    assert sum(values) * steady.INTERVAL_SECONDS <= totals[-1] * (1 + 1e-9) + 1e-6


def sampled(load_from: float, load_to: float, ended: float, first: float = 0.1) -> steady.Series:
    """A tool that ends at `ended` s, sampled every 0.1 s from `first` on; 1000 a second while its load lasts."""
    times = [first + 0.1 * place for place in range(int((ended - first) / 0.1 + 1e-6) + 1)]
    return steady.Series(times, [1000 * (min(max(at, load_from), load_to) - load_from) for at in times], ended)


@pytest.mark.parametrize("begin", [0.0, 0.016, 0.05, 0.09])
@pytest.mark.parametrize("tail", [0.0, 0.05, 0.15])
def test_only_intervals_whole_within_the_load_count(begin: float, tail: float) -> None:
    values = steady.of_load(sampled(begin, begin + 2.0, begin + 2.0 + tail), 2.0)
    assert values == pytest.approx([1000.0] * len(values)) and len(values) >= 16


def test_a_tool_that_waits_before_its_load() -> None:
    values = steady.of_load(sampled(1.05, 3.05, 3.1), 2.0)
    assert values == pytest.approx([1000.0] * len(values)) and len(values) >= 17


def test_a_load_that_stalls_is_not_taken_for_a_wait() -> None:
    totals = [0.0] * 10 + [100.0 * place for place in range(10)]
    series = steady.Series([0.1 * place for place in range(1, 21)], totals, 2.02)
    values = steady.of_load(series, 2.0)
    assert values[0] == 0.0 and values[-1] == pytest.approx(1000.0)


def test_without_samples_there_is_no_load() -> None:
    assert steady.of_load(steady.Series([], [], 2.0), 2.0) == []


def test_a_record_has_the_series_and_what_is_wrong_with_it() -> None:
    made, why = steady.steadiness([100.0] * 5, [100.0] * 4 + [1000.123456789] * 11)
    assert made == Steady(0.1, 5, tuple([100.0] * 9 + [1000.12] * 11), 0.9)
    assert why and why.code is Unsettled.LATE and why.values["seconds"] == 0.4
    assert steady.steadiness([], [1000.0] * 20)[1] is None
