# SPDX-License-Identifier: BSD-3-Clause
"""Latency against offered load: percentiles of what was meant to be sent, saturation, the knee."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analyse import OpenLoopSummary, stats, summarise
from harness.analyse.open_loop import curve, intended_quantile, is_saturated, knee
from harness.errors import UsageError
from harness.store import merged
from harness.store import quantile as any_quantile
from harness.store.store import load_run
from harness.store.trial_record import OpenLoop, TrialRecord
from harness.tests.fixtures import runs, synthetic_open
from harness.tests.fixtures.trial_records import make


def a_round(intended: int = 100, unsent: int = 0, growing: bool = False) -> TrialRecord:
    """Return a trial in which 100 requests were answered."""
    schedule = OpenLoop("poisson", intended, 100, unsent, False, backlog_middle=1,
                        backlog_end=9 if growing else 1)
    return make(latency_histogram_us=((10.0, 100),), open_loop=schedule)


# --- percentiles --------------------------------------------------------------------------------------------


def test_a_request_that_was_never_sent_is_slower_than_all_others() -> None:
    histogram = [(1.0, 50), (2.0, 40), (3.0, 5)]
    assert [intended_quantile(histogram, 95, share) for share in (0.5, 0.9, 0.99, 1.0)] == [1.0, 2.0, 3.0, 3.0]
    assert [intended_quantile(histogram, 100, share) for share in (0.5, 0.9, 0.95, 0.951, 1.0)] == [1.0, 2.0, 3.0, None, None]
    assert intended_quantile([], 10, 0.5) is None and intended_quantile([], 0, 0.5) is None


@given(st.lists(st.tuples(st.integers(1, 10_000), st.integers(1, 50)), min_size=1, max_size=30), st.integers(1, 1000))
def test_with_all_sent_it_is_the_quantile_of_any_histogram(pairs: list[tuple[int, int]], permille: int) -> None:
    histogram = merged([pairs])
    total = sum(count for _, count in histogram)
    assert intended_quantile(histogram, total, permille / 1000) == any_quantile(histogram, permille)


def test_a_distribution_ends_where_requests_do() -> None:
    points = curve([(10.0, 90), (20.0, 9), (30.0, 1)], 100)
    assert points[0] == (1.0, 10.0) and points[-1] == (100.0, 20.0)
    assert [at for at, _ in points] == sorted(at for at, _ in points)
    assert curve([(10.0, 90)], 100)[-1][0] < 11, "of the slowest tenth nothing is known"
    assert curve([], 0) == []


# --- saturation ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rounds, saturated", [
    ([a_round()], False), ([a_round(intended=101)], False), ([a_round(intended=102, unsent=2)], True),
    ([a_round(), a_round(intended=200)], False), ([a_round(), a_round(intended=200), a_round(intended=102)], True),
    ([a_round(growing=True), a_round()], False),
    ([a_round(growing=True), a_round(growing=True), a_round()], True)])
def test_saturated_is_what_was_not_answered_or_grows_in_most_rounds(rounds: list[TrialRecord], saturated: bool) -> None:
    assert is_saturated(rounds) is saturated


# --- the knee -----------------------------------------------------------------------------------------------


def test_the_knee_is_where_p99_reaches_its_limit() -> None:
    at, limit = knee([(10, 100.0), (20, 110.0), (30, 90.0), (40, 150.0), (50, 600.0), (60, None)])
    assert limit == pytest.approx(315.0), "low load is up to half of the highest steady rate: 100 and 110"
    assert at is not None and 40 < at < 50
    # the logarithm is a straight line from 150 to 600, and 315 lies so far on it
    assert at == pytest.approx(40 + 10 * 0.5352, abs=0.01)


@pytest.mark.parametrize("points, expected", [
    ([(10, 100.0), (20, 120.0), (30, None)], 20.0), ([(10, 100.0), (20, 120.0), (30, 250.0)], None),
    ([(10, None), (20, None)], None), ([], None), ([(10, 100.0), (20, None)], 10.0), ([(10, 100.0)], None),
    ([(10, 100.0), (20, 100.0), (30, 500.0), (40, 120.0), (50, None)], 40.0)])
def test_a_knee_that_was_not_reached_is_none(points: list[tuple[int, float | None]], expected: float | None) -> None:
    assert knee(points)[0] == expected


def summary(directory: Path, **options: Any) -> OpenLoopSummary:
    found = summarise(load_run(synthetic_open.write(directory, **options))).open_loop
    assert found is not None
    return found


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> OpenLoopSummary:
    return summary(tmp_path_factory.mktemp("open"))


def saturated(found: OpenLoopSummary, name: str = "epoll") -> list[int]:
    return [point.offered for point in found.contenders[name].points if point.saturated]


def test_a_closed_loop_has_none_and_an_open_one_no_points(tmp_path: Path) -> None:
    assert summarise(runs.made()).open_loop is None
    found = summarise(load_run(synthetic_open.write(tmp_path, rates=(10_000, 20_000))))
    assert found.points == () and found.statistics.family == 0 and found.sweep == ("rate",)


def test_the_knee_of_a_queue_is_found(loop: OpenLoopSummary) -> None:
    for name, (can, _) in synthetic_open.CAN.items():
        knee = loop.contenders[name].knee
        low = [synthetic_open.queue_p99(name, rate) for rate in synthetic_open.RATES
               if rate <= 0.45 * can]
        exact = can * (1 - synthetic_open.queue_p99(name, 0) / (3 * stats.median(low)))
        assert knee.offered == pytest.approx(exact, rel=0.05)
        assert knee.offered and knee.ci95
        assert knee.ci95[0] <= knee.offered <= knee.ci95[1]
        assert knee.ci95[1] - knee.ci95[0] < 0.1 * can


def test_the_interval_of_the_knee_is_the_same_each_time(loop: OpenLoopSummary,
                                                        tmp_path: Path) -> None:
    assert loop == summary(tmp_path / "a")
    one = summary(tmp_path / "b", rounds=1).contenders["epoll"]
    assert one.knee.offered and one.knee.ci95 is None and one.points[0].p99_ci95 is None


def test_percentiles_are_those_of_the_queue(loop: OpenLoopSummary) -> None:
    for name, entry in loop.contenders.items():
        for point in entry.points:
            if not point.saturated:
                p99 = point.latency_us["p99"]
                expected = synthetic_open.queue_p99(name, point.offered)
                assert p99 == pytest.approx(expected, rel=0.1)
                assert p99 and point.p99_ci95 and point.p99_ci95[0] < p99 < point.p99_ci95[1]


def test_saturated_points_are_marked_and_their_upper_percentiles_unknown(
        loop: OpenLoopSummary) -> None:
    assert saturated(loop) == [100_000, 105_000] and saturated(loop, "lwip") == [40_000, 50_000]
    last = loop.contenders["lwip"].points[-1]
    assert last.offered == 50_000, "not measured beyond"
    assert last.latency_us["p50"] and last.latency_us["p99"] is None and last.unsent > 0


def test_distributions_are_at_parts_of_each_ones_saturation(loop: OpenLoopSummary) -> None:
    assert {name: [(item.share, item.offered) for item in entry.distributions]
            for name, entry in loop.contenders.items()} == {
        "epoll": [(0.5, 50_000), (0.8, 80_000)], "lwip": [(0.5, 20_000), (0.8, 30_000)]}


def test_without_closed_loops_saturation_is_what_was_reached(tmp_path: Path) -> None:
    found = summary(tmp_path, saturation=False).contenders["epoll"].saturation
    assert found and found.by == "open loop" and 80_000 < found.requests_per_sec < 100_000
    low = summary(tmp_path / "low", saturation=False, rates=(10_000, 20_000)).contenders["epoll"]
    assert low.saturation is None and low.distributions == () and low.knee.offered is None


@pytest.mark.parametrize("end, unsteady", [(165, [80_000, 100_000, 105_000]),
                                           (164, [100_000, 105_000])])
def test_a_backlog_that_grows_is_no_steady_state(tmp_path: Path, end: int,
                                                 unsteady: list[int]) -> None:
    change = {("epoll", 80_000): {"backlog_middle": 100, "backlog_end": end}}
    assert saturated(summary(tmp_path, change=change)) == unsteady


def test_a_client_that_was_late_is_marked(tmp_path: Path) -> None:
    found = summary(tmp_path, change={("epoll", 50_000): {"client_bound": True}})
    assert [point.offered for point in found.contenders["epoll"].points
            if point.client_bound] == [50_000]


def test_a_record_without_its_schedule_is_refused(tmp_path: Path) -> None:
    run = load_run(synthetic_open.write(tmp_path, rates=(10_000, 20_000)))
    with pytest.raises(UsageError, match="not one of an open loop"):
        summarise(runs.spoiled(run, {1: {"open_loop": None}}))
