# SPDX-License-Identifier: BSD-3-Clause
"""Did a ratio change from some runs to another? Pure functions on arrays of log ratios; knows no run and no contender.

The model, for the log ratio of two contenders in round k at load point p of run r:

    x[r,k,p] = ratio[p] + change[p] (in HEAD) + run[r] + point[r,p] + noise[r,k,p]

What drifts with the machine acts on both sides of a round alike and is gone with the ratio. `noise` is seen within
each run: its size, and how far it goes together at several points of a round, is taken from the round means of the
residuals. `run` and `point` are what stays the same within a run and differs between two runs of the same programs:
where the kernel put their pages, what the neighbours on the host did in those minutes (Mytkowicz et al., "Producing
wrong data without doing anything obviously wrong!", ASPLOS 2009). One run cannot show them. Their variance is a
weighted mean of what is known: a cautious default that counts as DEFAULT_FREEDOM degrees of freedom, and estimates
from several base runs and from noise sessions, each with its own (Smyth 2004, moderated variances). Student's t with
Satterthwaite's degrees of freedom.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit  # type: ignore[import]

from harness.regression.paired_logs import Table

Weights = NDArray[np.float64]

# Standard deviation of the log ratio between runs of the same programs where it has not been measured: of its mean over
# the load points, and at one point. Two runs of the reference machine 80 minutes apart differed by 0.04 % in the mean
# and by 1.1 % at the worst point, no more than the noise of their rounds explains.
DEFAULT_RUN_SD, DEFAULT_POINT_SD = 0.015, 0.02
DEFAULT_FREEDOM = 8
# the noise of one point is drawn towards the mean of all points as this many more rounds would
_POINTS_FREEDOM = 4
_POWER_Z = 0.8416  # of 80 %


@dataclass(frozen=True)
class Variance:
    """An estimate, in squared log units, that `freedom` degrees of freedom stand behind."""

    value: float
    freedom: float


@dataclass(frozen=True)
class Change:
    """From BASE to HEAD, in log units: `estimate` with its standard error `error`, on `freedom` degrees. `p`: of a
    value as low as this if nothing had fallen. `noise`, `between`: the parts of error² that rounds and runs have.
    """

    estimate: float
    error: float
    freedom: float
    p: float
    noise: float
    between: float

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        half = float(stdtrit(self.freedom, 0.5 + confidence / 2)) * self.error
        return self.estimate - half, self.estimate + half

    def detectable(self, level: float) -> float:
        """The fall, in log units and positive, that a test at `level` would catch in 8 of 10 cases."""
        return (-float(stdtrit(self.freedom, level)) + _POWER_Z) * self.error


def pooled_variance(estimates: Sequence[Variance]) -> Variance:
    """Each weighs as much as its degrees of freedom. ValueError where none has any."""
    freedom = math.fsum(each.freedom for each in estimates)
    if freedom <= 0:
        raise ValueError("no degree of freedom")
    return Variance(math.fsum(each.value * each.freedom for each in estimates) / freedom, freedom)


def run_mean(table: Table, weights: Weights) -> float:
    """The weighted mean over points of the means over rounds. NaN where a point with weight has no value."""
    used = weights > 0
    values = table[:, used]
    if not np.isfinite(values).any(axis=0).all():
        return math.nan
    return float(np.average(np.nanmean(values, axis=0), weights=weights[used]))


def round_noise(table: Table, weights: Weights) -> Variance:
    """The variance from round to round of the weighted mean over points. No freedom below two rounds."""
    used = weights > 0
    values, weight = table[:, used], weights[used]
    residuals = values - np.nanmean(values, axis=0)
    present = np.isfinite(values)
    share = np.where(present, weight, 0.0)
    rounds = share.sum(axis=1) > 0
    freedom = int(rounds.sum()) - 1
    if freedom < 1:
        return Variance(0.0, 0)
    means = np.where(present, residuals * weight, 0.0)[rounds].sum(axis=1) / share[rounds].sum(axis=1)
    return Variance(float((means ** 2).sum()) / freedom, freedom)


def change(base: Sequence[Table], head: Table, weights: Weights, known: Sequence[Variance],
           noise: Variance | None = None) -> Change | None:
    """Of the weighted mean over points. `known`: what stands for the variance between runs beside the spread of several
    base runs; `noise`: more that is known of the rounds' own. None where a run lacks a point or has not two rounds.
    """
    runs = [*base, head]
    means = [run_mean(table, weights) for table in runs]
    if not all(map(math.isfinite, means)):
        return None
    noises = [round_noise(table, weights) for table in runs]
    if any(each.freedom < 1 for each in noises):
        return None
    within = pooled_variance([*noises, *([noise] if noise else [])])
    counts = [each.freedom + 1 for each in noises]
    spread = base_spread(means[:-1], [within.value / count for count in counts[:-1]])
    between = pooled_variance([*known, *([spread] if spread else [])])
    of_rounds = within.value * (1 / counts[-1] + sum(1 / count for count in counts[:-1]) / len(base) ** 2)
    of_runs = between.value * (1 + 1 / len(base))
    estimate = means[-1] - math.fsum(means[:-1]) / len(base)
    error = math.sqrt(of_rounds + of_runs)
    freedom = _satterthwaite((of_rounds, within.freedom), (of_runs, between.freedom))
    p = float(stdtr(freedom, estimate / error)) if error > 0 else float(estimate >= 0)
    return Change(estimate, error, freedom, p, of_rounds, of_runs)


def base_spread(means: Sequence[float], noise: Sequence[float]) -> Variance | None:
    """What several runs' means vary by beyond the noise of their rounds; None for one run."""
    if len(means) < 2:
        return None
    seen = float(np.var(means, ddof=1)) - math.fsum(noise) / len(noise)
    return Variance(max(0.0, seen), len(means) - 1)


def points_noise(tables: Sequence[Table]) -> Variance | None:
    """The mean noise of one point in one run over all points, for one point's to be drawn towards."""
    found = [each for table in tables for place in range(table.shape[1]) if np.isfinite(table[:, place]).any()
             for each in [round_noise(table, one_point(table.shape[1], place))] if each.freedom]
    return Variance(pooled_variance(found).value, _POINTS_FREEDOM) if found else None


def one_point(points: int, place: int) -> Weights:
    weights = np.zeros(points)
    weights[place] = 1.0
    return weights


def _satterthwaite(*parts: tuple[float, float]) -> float:
    """Degrees of freedom of a sum of variances; parts that are 0 have no say."""
    total = math.fsum(value for value, _ in parts)
    below = math.fsum(value ** 2 / freedom for value, freedom in parts if value > 0)
    return total ** 2 / below if below > 0 else math.inf
