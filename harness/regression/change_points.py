# SPDX-License-Identifier: BSD-3-Clause
"""Find where a series of figures changed: E-divisive (Matteson and James 2014). Pure functions.

Others test performance over commits with it (Daly et al., "The use of change point detection to
identify software performance regressions", ICPE 2020; Fleming et al., "Hunter", ICPE 2023).

A series is cut where the two sides differ most by the energy distance, which sees other changes
than of the mean too, if chance orders of the same figures seldom differ as much; then each side is
looked at again. Chance orders take the figures as exchangeable: without a change, one does not
depend on the one before it. A slow drift is no step: where a straight line tells the series better
than the steps, by BIC, it is called a drift.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Sequence

import numpy as np
from numpy.typing import NDArray

Series = NDArray[np.float64]
LEVEL, ORDERS, LEAST = 0.05, 999, 2
# so many distances are in memory at a time
_TOGETHER = 1 << 18


@dataclass(frozen=True)
class Step:
    """A change of level.

    at: place of the first figure of the new level
    before, after: means of what lies between it and the next steps
    p: of a difference as large by chance
    """

    at: int
    before: float
    after: float
    p: float


@dataclass(frozen=True)
class Course:
    """What a series did: steps, or a drift (`slope` per figure, `p` of none), or nothing."""

    steps: tuple[Step, ...] = ()
    slope: float | None = None
    slope_p: float | None = None


def course(values: Sequence[float] | Series, level: float = LEVEL, seed: int = 1) -> Course:
    """Return the course of a series.

    `level`: the chance that one without any change is said to have one.
    """
    series = np.asarray(values, float)
    places = steps(series, level, seed)
    if not places:
        return Course()
    ends = [0, *(at for at, _ in places), len(series)]
    means = [float(series[low:high].mean()) for low, high in zip(ends, ends[1:])]
    # takes long to import, and every report would wait for it
    from scipy.stats import linregress
    line = linregress(np.arange(len(series)), series)
    rest = series - (line.intercept + line.slope * np.arange(len(series)))
    stepped = series - np.repeat(means, np.diff(ends))
    if _bic(rest, 2) < _bic(stepped, 2 * len(places) + 1):
        return Course(slope=float(line.slope), slope_p=float(line.pvalue))
    return Course(tuple(Step(at, before, after, p)
                        for (at, p), before, after in zip(places, means, means[1:])))


def steps(series: Series, level: float = LEVEL, seed: int = 1) -> list[tuple[int, float]]:
    """Return (place, p) of each step, in order; at least LEAST figures lie between two."""
    dice = np.random.default_rng(seed)
    found: list[tuple[int, float]] = []
    parts = [(0, len(series))]
    while parts:
        low, high = parts.pop()
        cut = _cut(series[low:high], dice)
        if cut and cut[1] <= level:
            at = low + cut[0]
            found.append((at, cut[1]))
            parts += [(low, at), (at, high)]
    return sorted(found)


def _cut(series: Series, dice: np.random.Generator) -> tuple[int, float] | None:
    """Return the best place to cut, and how often a chance order has one as good.

    None where the series is too short, or all its figures are alike.
    """
    if len(series) < 2 * LEAST:
        return None
    distances = np.abs(series[:, None] - series[None, :])
    if not distances.any():
        return None
    scaled = _scaled(distances)
    at = int(np.argmax(scaled))
    best = float(scaled[at]) * (1 - 1e-12)
    higher, together = 0, max(1, _TOGETHER // distances.size)
    for first in range(0, ORDERS, together):
        orders = np.array([dice.permutation(len(series))
                           for _ in range(min(together, ORDERS - first))])
        shuffled = distances[orders[:, :, None], orders[:, None, :]]
        higher += int((_scaled(shuffled).max(axis=-1) >= best).sum())
    return LEAST + at, (1 + higher) / (1 + ORDERS)


def _scaled(distances: Series) -> Series:
    """Return how much both sides of each cut differ: the scaled energy distance.

    By the sums of the blocks that a cut makes in the matrix of distances, or in each of a stack of
    them.
    """
    count = distances.shape[-1]
    sums = distances.cumsum(axis=-2).cumsum(axis=-1)
    cuts = np.arange(LEAST, count - LEAST + 1)
    left = sums[..., cuts - 1, cuts - 1]
    both = sums[..., cuts - 1, count - 1] - left
    right = sums[..., -1, -1:] - left - 2 * both
    rest = count - cuts
    energy = 2 * both / (cuts * rest) - left / cuts ** 2 - right / rest ** 2
    scaled: Series = energy * cuts * rest / count
    return scaled


def _bic(residuals: Series, parameters: int) -> float:
    count = len(residuals)
    variance = max(float((residuals ** 2).sum()) / count, 1e-300)
    return count * math.log(variance) + parameters * math.log(count)
