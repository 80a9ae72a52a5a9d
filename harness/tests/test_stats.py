# SPDX-License-Identifier: BSD-3-Clause
"""The statistics against numpy and scipy, and the intervals against what they promise."""

from __future__ import annotations

import math
import random

import numpy
import pytest
import scipy.stats  # type: ignore[import]

from harness import stats


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
