# SPDX-License-Identifier: BSD-3-Clause
"""The statistics against numpy and scipy, and the intervals against what they promise."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy
import pytest
import scipy.special  # type: ignore[import]
import scipy.stats  # type: ignore[import]

from harness.analyse import stats


def test_significant_digits_are_kept_and_no_more() -> None:
    assert stats.round_significant(123456.789) == 123457.0
    assert stats.round_significant(0.000123456789) == 0.000123457
    assert stats.round_significant(-1.5) == -1.5
    assert stats.round_significant(0.0) == 0.0


def test_median_is_numpys() -> None:
    dice = random.Random(1)
    for _ in range(100):
        values = [dice.lognormvariate(3, 1) for _ in range(dice.randint(1, 12))]
        assert stats.median(values) == pytest.approx(float(numpy.median(values)), rel=1e-15)


def test_quantile_is_numpys_nearest_rank() -> None:
    dice = random.Random(2)
    for _ in range(300):
        values = [dice.randint(1, 40) for _ in range(dice.randint(1, 1200))]
        histogram = stats.merge_histograms([[(value, 1)] for value in values])
        for permille in (1, 500, 900, 990, 999, 1000):
            # "inverted_cdf" suffers from 0.999 * n in floating point; the exact rank does not
            rank = -(-permille * len(values) // 1000)
            assert stats.quantile(histogram, permille) == sorted(values)[rank - 1]
        assert stats.quantile(histogram, 500) == int(numpy.quantile(values, 0.5, method="inverted_cdf"))


def test_quantile_has_no_rounding_error_in_its_rank() -> None:
    histogram = [(value, 1) for value in range(1, 1001)]
    assert [stats.quantile(histogram, p) for p in (1, 500, 999, 1000)] == [1, 500, 999, 1000]
    assert stats.quantile([(7, 1)], 1) == 7


@pytest.mark.parametrize("histogram, permille", [([], 500), ([(3, 0)], 500), ([(3, 1)], 0), ([(3, 1)], 1001)])
def test_quantile_of_nothing_is_an_error(histogram: list[tuple[int, int]], permille: int) -> None:
    with pytest.raises(ValueError):
        stats.quantile(histogram, permille)


def test_merging_histograms_is_pooling_their_values() -> None:
    merged = stats.merge_histograms([[(5, 2), (9, 1)], [(1, 4), (5, 3)], [(7, 0)]])
    assert merged == [(1, 4), (5, 5), (9, 1)]


def test_log_t_interval_is_scipys() -> None:
    dice = random.Random(3)
    for n in range(2, 15):
        values = [dice.lognormvariate(10, 0.2) for _ in range(n)]
        logs = numpy.log(values)
        low, high = scipy.stats.t.interval(0.95, n - 1, loc=logs.mean(), scale=scipy.stats.sem(logs))
        interval = stats.log_t_interval(values)
        assert interval == pytest.approx((math.exp(low), math.exp(high)), rel=1e-9)
        assert interval is not None and interval.low <= stats.geometric_mean(values) <= interval.high


def test_one_value_has_no_interval() -> None:
    assert stats.log_t_interval([5.0]) is None
    assert stats.paired_gain([(2.0, 1.0)]) == (2.0, None)


def test_geometric_mean_is_scipys() -> None:
    values = [1.5, 2.5, 100.0, 0.01]
    assert stats.geometric_mean(values) == pytest.approx(float(scipy.stats.gmean(values)), rel=1e-12)


def test_gain_turns_round_with_its_sides() -> None:
    dice = random.Random(4)
    pairs = [(dice.uniform(1, 9), dice.uniform(1, 9)) for _ in range(6)]
    ratio, interval = stats.paired_gain(pairs)
    back, turned = stats.paired_gain([(b, a) for a, b in pairs])
    assert interval is not None and turned is not None
    assert back == pytest.approx(1 / ratio)
    assert turned == pytest.approx((1 / interval.high, 1 / interval.low))


def test_interval_of_throughput_covers_as_promised() -> None:
    dice = random.Random(5)
    hits = 0
    for _ in range(1000):
        interval = stats.log_t_interval([dice.lognormvariate(math.log(5e4), 0.15) for _ in range(5)])
        assert interval is not None
        hits += interval.low <= 5e4 <= interval.high
    assert 930 <= hits <= 970


def test_interval_of_gain_covers_and_pairing_takes_out_drift() -> None:
    dice = random.Random(6)
    hits, widths = 0, []
    for _ in range(1000):
        # each round has its own weather, much stronger than the noise of a trial
        weather = [dice.lognormvariate(0, 0.5) for _ in range(5)]
        ratio, interval = stats.paired_gain([(1.3e4 * w * dice.lognormvariate(0, 0.05),
                                              1e4 * w * dice.lognormvariate(0, 0.05)) for w in weather])
        assert interval is not None
        hits += interval.low <= 1.3 <= interval.high
        widths.append(math.log(interval.high / interval.low))
    assert 930 <= hits <= 970
    assert stats.median(widths) < 0.3


def test_a_difference_and_its_interval_are_scipys() -> None:
    pairs = [(10.0, 7.0), (12.0, 8.5), (11.0, 8.4), (10.5, 7.7)]
    differences = [a - b for a, b in pairs]
    mean, interval = stats.paired_difference(pairs)
    assert mean == pytest.approx(sum(differences) / 4)
    expected = scipy.stats.t.interval(0.95, 3, loc=mean, scale=scipy.stats.sem(differences))
    assert interval == pytest.approx(expected)
    assert stats.paired_difference(pairs[:1]) == (3.0, None)


def test_the_p_value_is_scipys_and_agrees_with_the_interval() -> None:
    dice = random.Random(8)
    for n in range(2, 12):
        ratios = [dice.lognormvariate(0.02, 0.03) for _ in range(n)]
        p, interval = stats.log_t_p_value(ratios), stats.log_t_interval(ratios)
        assert p == pytest.approx(float(scipy.stats.ttest_1samp(numpy.log(ratios), 0).pvalue), rel=1e-9)
        assert p is not None and interval is not None
        assert (p < 0.05) == (not interval.low <= 1 <= interval.high)


def test_the_p_value_of_ratios_without_scatter() -> None:
    assert stats.log_t_p_value([1.5]) is None
    assert stats.log_t_p_value([1.0, 1.0, 1.0]) == 1 and stats.log_t_p_value([2.0, 2.0]) == 0


@pytest.mark.parametrize("ps, adjusted", [
    ([], []), ([0.04], [0.04]),
    # the example of Holm's procedure: 4 x, 3 x, and never below the one before
    ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
    ([0.9, 0.8], [1.0, 1.0]), ([0.02, 0.02], [0.04, 0.04])])
def test_holm(ps: list[float], adjusted: list[float]) -> None:
    assert stats.holm(ps) == pytest.approx(adjusted)


def test_holm_lies_between_the_p_value_and_bonferronis_and_keeps_their_order() -> None:
    dice = random.Random(9)
    for _ in range(200):
        ps = [dice.random() ** 3 for _ in range(dice.randint(1, 40))]
        adjusted = stats.holm(ps)
        assert all(p <= after <= min(1, len(ps) * p) + 1e-12 for p, after in zip(ps, adjusted))
        assert [after for _, after in sorted(zip(ps, adjusted))] == sorted(adjusted)


def simulated_t(logs: Any, n: int) -> tuple[Any, Any, Any]:
    """Mean, half the 95 % interval and p-value along the last axis, of its first `n`."""
    mean, error = logs[..., :n].mean(-1), logs[..., :n].std(-1, ddof=1) / math.sqrt(n)
    return mean, scipy.special.stdtrit(n - 1, 0.975) * error, 2 * scipy.special.stdtr(n - 1, -abs(mean) / error)


@pytest.mark.parametrize("n", [3, 5, 10])
def test_the_interval_covers_at_any_number_of_rounds_and_the_bootstraps_does_not(n: int) -> None:
    dice = numpy.random.default_rng(n)
    mean, half, _ = simulated_t(dice.standard_normal((40_000, n)), n)
    assert 0.945 < (abs(mean) <= half).mean() < 0.955
    # heavier tails than normal make it wider than it need be, not narrower
    mean, half, _ = simulated_t(dice.standard_t(4, (40_000, n)), n)
    assert 0.945 < (abs(mean) <= half).mean() < 0.975
    if n >= stats.LEAST_TO_RESAMPLE:
        hits = 0
        for values in dice.lognormal(0, 0.05, (120, n)):
            interval = stats.bootstrap_interval(list(values), seed=1)
            assert interval is not None
            hits += interval.low <= 1 <= interval.high
        assert hits / 120 < 0.95


def test_the_bootstrap_is_the_same_for_the_same_seed_and_has_its_limits() -> None:
    values = [1.02, 1.05, 0.99, 1.04, 1.03]
    low, high = stats.bootstrap_interval(values, seed=1) or (0, 0)
    assert stats.bootstrap_interval(values, seed=1) == (low, high) != stats.bootstrap_interval(values, seed=2)
    assert 0.99 < low < stats.geometric_mean(values) < high < 1.05
    assert stats.bootstrap_interval(values[:4], seed=1) is None
    assert stats.bootstrap_interval([1.5] * 5, seed=1) is None


def test_what_the_bootstrap_disputes() -> None:
    skewed = [1.0407, 0.9617, 1.0521, 1.0398, 1.0095, 1.051, 1.0263, 1.0327]
    ours = stats.log_t_interval(skewed)
    assert ours is not None and ours.low > 1 and stats.disputed(skewed)
    assert not stats.disputed([1.02, 1.05, 1.01, 1.04, 1.03]) and not stats.disputed([0.9, 1.1, 1.0, 0.95, 1.05])
    assert not stats.disputed([1.5]) and not stats.disputed([2.0, 2.0, 2.0, 2.0, 2.0])


def test_holm_keeps_the_false_alarms_of_a_whole_run_where_single_tests_do_not() -> None:
    """8 load points x 4 gains over one baseline, none of them real: gains of a point share the baseline's noise, and
    all of a round share its weather as far as pairing leaves any."""
    dice = numpy.random.default_rng(12)
    runs, n = 2500, 5
    noise = dice.standard_normal((runs, 8, 5, n))
    logs = (noise[:, :, 1:] - noise[:, :, :1] + 0.5 * dice.standard_normal((runs, 1, 1, n))).reshape(runs, 32, n)
    _, _, ps = simulated_t(logs, n)
    alone = (ps < 0.05).any(axis=1).mean()
    together = numpy.mean([min(stats.holm(list(each))) < 0.05 for each in ps])
    assert alone > 0.4 and together <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs), (alone, together)
