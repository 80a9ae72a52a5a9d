# SPDX-License-Identifier: BSD-3-Clause
"""Quantiles and sums of histograms, against numpy."""

from __future__ import annotations

import random

import numpy
import pytest

from harness.store import merged, quantile


def test_quantile_is_numpys_nearest_rank() -> None:
    dice = random.Random(2)
    for _ in range(300):
        values = [dice.randint(1, 40) for _ in range(dice.randint(1, 1200))]
        histogram = merged([[(value, 1)] for value in values])
        for permille in (1, 500, 900, 990, 999, 1000):
            # "inverted_cdf" suffers from 0.999 * n in floating point; the exact rank does not
            rank = -(-permille * len(values) // 1000)
            assert quantile(histogram, permille) == sorted(values)[rank - 1]
        assert quantile(histogram, 500) == int(numpy.quantile(values, 0.5, method="inverted_cdf"))


def test_quantile_has_no_rounding_error_in_its_rank() -> None:
    histogram = [(value, 1) for value in range(1, 1001)]
    assert [quantile(histogram, p) for p in (1, 500, 999, 1000)] == [1, 500, 999, 1000]
    assert quantile([(7, 1)], 1) == 7


@pytest.mark.parametrize("histogram, permille", [([], 500), ([(3, 0)], 500), ([(3, 1)], 0), ([(3, 1)], 1001)])
def test_quantile_of_nothing_is_an_error(histogram: list[tuple[int, int]], permille: int) -> None:
    with pytest.raises(ValueError):
        quantile(histogram, permille)


def test_merging_histograms_is_pooling_their_values() -> None:
    found = merged([[(5, 2), (9, 1)], [(1, 4), (5, 3)]])
    assert found == ((1, 4), (5, 5), (9, 1))
