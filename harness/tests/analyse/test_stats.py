# SPDX-License-Identifier: BSD-3-Clause
"""The statistics against numpy and scipy, and the intervals against what they promise."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy
import pytest
import scipy.special
import scipy.stats

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


def test_log_t_interval_is_scipys() -> None:
    dice = random.Random(3)
    for n in range(2, 15):
        values = [dice.lognormvariate(10, 0.2) for _ in range(n)]
        logs = numpy.log(values)
        low, high = scipy.stats.t.interval(0.95, n - 1, loc=logs.mean(), scale=scipy.stats.sem(logs))
        interval = stats.log_t_interval(values)
        assert interval == pytest.approx((math.exp(low), math.exp(high)), rel=1e-9)


def test_one_value_has_no_interval() -> None:
    assert stats.log_t_interval([5.0]) is None and stats.log_t_interval([]) is None
    assert stats.t_interval([2.0]) == (2.0, None)


def test_interval_of_throughput_covers_as_promised() -> None:
    dice = random.Random(5)
    hits = 0
    for _ in range(1000):
        interval = stats.log_t_interval([dice.lognormvariate(math.log(5e4), 0.15) for _ in range(5)])
        assert interval is not None
        hits += interval[0] <= 5e4 <= interval[1]
    assert 930 <= hits <= 970


def test_the_mean_and_its_interval_are_scipys() -> None:
    values = [3.0, 3.5, 2.6, 2.8]
    mean, interval = stats.t_interval(values)
    assert mean == pytest.approx(sum(values) / 4)
    expected = scipy.stats.t.interval(0.95, 3, loc=mean, scale=scipy.stats.sem(values))
    assert interval == pytest.approx(expected)


def test_the_p_value_is_scipys_and_agrees_with_the_interval() -> None:
    dice = random.Random(8)
    for n in range(2, 12):
        logs = [dice.gauss(0.02, 0.03) for _ in range(n)]
        p, (_, interval) = stats.t_p_value(logs), stats.t_interval(logs)
        assert p == pytest.approx(float(scipy.stats.ttest_1samp(logs, 0).pvalue), rel=1e-9)
        assert p is not None and interval is not None
        assert (p < 0.05) == (not interval[0] <= 0 <= interval[1])


def test_the_p_value_of_values_without_scatter() -> None:
    assert stats.t_p_value([0.5]) is None
    assert stats.t_p_value([0.0, 0.0, 0.0]) == 1 and stats.t_p_value([0.5, 0.5]) == 0


def test_half_widths_are_those_of_each_interval_so_far() -> None:
    dice = numpy.random.default_rng(2)
    table = dice.normal(5, 0.1, (12, 3))
    table[3, 1] = table[0, 2] = math.nan
    widths = stats.half_widths(table, 3)
    for count in range(13):
        prior = stats.noise_prior([table[:count]])
        for column in range(3):
            known = [float(value) for value in table[:count, column] if math.isfinite(value)]
            _, interval = stats.t_interval(known, prior) if known else (0, None)
            expected = (interval[1] - interval[0]) / 2 if interval and len(known) >= 3 else math.inf
            assert widths[count, column] == pytest.approx(expected, rel=1e-9)


# --- moderated variances ----------------------------------------------------------------------


@pytest.mark.parametrize("freedom, scale", [(4.0, 0.02), (12.0, 3.0)])
def test_the_prior_is_the_distribution_that_the_variances_are_drawn_from(freedom: float, scale: float) -> None:
    """Scaled inverse chi-squared, as Smyth has it; with so many columns nothing but the model is left."""
    dice = numpy.random.default_rng(3)
    true = scale * freedom / dice.chisquare(freedom, 20_000)
    rounds = 60
    prior = stats.noise_prior([dice.standard_normal((rounds, len(true))) * numpy.sqrt(true)])
    assert prior.value == pytest.approx(scale, rel=0.03)
    assert prior.freedom == pytest.approx(freedom, rel=0.06)


def test_there_is_no_prior_without_a_second_column_that_varies() -> None:
    one = numpy.array([[0.1], [0.3], [0.2]])
    assert stats.noise_prior([one]).freedom == 0 == stats.noise_prior([]).freedom
    assert stats.noise_prior([one, numpy.full((3, 1), math.nan)]).freedom == 0
    assert stats.noise_prior([numpy.ones((3, 4))]).freedom == 0
    both = stats.noise_prior([one, one[:2]])
    assert 0 < both.freedom <= 1.5, "of 2 and 1 degrees, no more than one of two stands behind it"
    assert both.value > 0
    assert stats.t_interval([0.1, 0.3, 0.2], stats.noise_prior([one])) == stats.t_interval([0.1, 0.3, 0.2])


def test_a_moderated_interval_excludes_nothing_that_its_p_value_does_not() -> None:
    dice = random.Random(8)
    prior = stats.Variance(0.02, 3.3)
    for _ in range(200):
        logs = [dice.gauss(0.15, 0.15) for _ in range(dice.randint(2, 6))]
        p, (_, interval) = stats.t_p_value(logs, prior), stats.t_interval(logs, prior)
        assert p is not None and interval is not None
        assert (p < 0.05) == (not interval[0] <= 0 <= interval[1])


# standard deviations of a log ratio at the points of a run, as measured; the last is the noisy one
SCATTERS = {
    "even": (0.14,) * 8,
    "spread": (0.1, 0.12, 0.14, 0.16, 0.18, 0.2, 0.15, 0.4),
    "few": (0.1, 0.12, 0.15, 0.4),
    "one far off": (0.1, 0.1, 0.1, 0.12, 0.12, 0.1, 0.12, 0.4)}


@pytest.mark.parametrize("rounds, narrower", [(2, 0.65), (3, 0.93), (5, 1.0), (10, 1.01)])
@pytest.mark.parametrize("scatters", SCATTERS)
def test_a_moderated_interval_covers_the_usual_gain_and_the_noisiest(
        scatters: str, rounds: int, narrower: float) -> None:
    """What Smyth's prior in full would not: that of the noisiest point would cover 80 %."""
    dice = numpy.random.default_rng(4)
    sds, runs = numpy.array(SCATTERS[scatters]), 8000
    logs = dice.standard_normal((runs, rounds, len(sds))) * sds
    own = logs.var(axis=1, ddof=1)
    value, freedom = stats.moderated(own, numpy.full(own.shape, rounds - 1.0))
    half = scipy.special.stdtrit(freedom, 0.975) * numpy.sqrt(value / rounds)
    covered = (abs(logs.mean(axis=1)) <= half).mean(axis=0)
    assert numpy.median(covered) >= 0.94 and covered[-1] >= 0.895, covered
    student = stats.quantile_of_t(rounds - 1) * numpy.sqrt(own / rounds)
    assert numpy.median(half[:, :-1]) <= narrower * numpy.median(student[:, :-1])
    assert half[0] == pytest.approx(stats.half_widths(logs[0], 2)[-1])


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
        for values in dice.normal(0, 0.05, (120, n)):
            interval = stats.bootstrap_interval(list(values), seed=1)
            assert interval is not None
            hits += interval[0] <= 0 <= interval[1]
        assert hits / 120 < 0.95


def test_the_bootstrap_is_the_same_for_the_same_seed_and_has_its_limits() -> None:
    values = [math.log(ratio) for ratio in (1.02, 1.05, 0.99, 1.04, 1.03)]
    low, high = stats.bootstrap_interval(values, seed=1) or (0, 0)
    assert stats.bootstrap_interval(values, seed=1) == (low, high)
    assert (low, high) != stats.bootstrap_interval(values, seed=2)
    assert math.log(0.99) < low < sum(values) / 5 < high < math.log(1.05)
    assert stats.bootstrap_interval(values[:4], seed=1) is None
    assert stats.bootstrap_interval([0.5] * 5, seed=1) is None


def test_what_the_bootstrap_disputes() -> None:
    ratios = [1.0407, 0.9617, 1.0521, 1.0398, 1.0095, 1.051, 1.0263, 1.0327]
    skewed = [math.log(ratio) for ratio in ratios]
    ours = stats.t_interval(skewed)[1]
    assert ours is not None and ours[0] > 0 and stats.disputed(skewed)
    assert not stats.disputed([0.02, 0.05, 0.01, 0.04, 0.03])
    assert not stats.disputed([-0.1, 0.1, 0.0, -0.05, 0.05])
    assert not stats.disputed([0.5]) and not stats.disputed([0.7] * 5)


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
