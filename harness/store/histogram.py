# SPDX-License-Identifier: BSD-3-Clause
"""Compute with histograms: ascending (value, count) pairs."""

from __future__ import annotations

from typing import Iterable, Mapping, Sequence

from harness.store.trial_record import Histogram

# by name, in parts of a thousand
PERCENTILES: Mapping[str, int] = {"p50": 500, "p90": 900, "p99": 990, "p999": 999, "max": 1000}


def quantile(histogram: Sequence[tuple[float, int]], permille: int) -> float:
    """Return the nearest-rank quantile: the value of rank ceil(permille * N / 1000).

    Always a value that was observed. `permille` is 1 to 1000 (the maximum), an integer so that no
    rounding of 0.999 * N moves the rank. ValueError when the histogram is empty.
    """
    total = sum(count for _, count in histogram)
    if total <= 0 or not 1 <= permille <= 1000:
        raise ValueError(f"no quantile {permille}/1000 of {total} values")
    rank = -(-permille * total // 1000)
    for value, count in histogram:
        rank -= count
        if rank <= 0:
            break
    return value


def merged(histograms: Iterable[Sequence[tuple[float, int]]]) -> Histogram:
    """Return one histogram of all."""
    counts: dict[float, int] = {}
    for histogram in histograms:
        for value, count in histogram:
            counts[value] = counts.get(value, 0) + count
    return tuple(sorted(counts.items()))


def rounded(histogram: Sequence[tuple[float, int]]) -> Histogram:
    """Round values from 1000 on to 3 significant digits, and put equal ones together."""
    def near(value: float) -> float:
        if value < 1000:
            return value
        step = 10 ** (len(str(int(value))) - 3)
        return float(int(value + step // 2) // step * step)
    return merged([[(near(value), count) for value, count in histogram]])
