# SPDX-License-Identifier: BSD-3-Clause
"""Test whether a ratio changed from some runs to another. Pure functions on arrays of log ratios.

The model, for the log ratio of two contenders in round k at load point p of run r:

    x[r,k,p] = ratio[p] + change[p] (in HEAD) + run[r] + point[r,p] + noise[r,k,p]

What drifts with the machine acts on both sides of a round alike and is gone with the ratio. `noise`
is seen within each run: its size, and how far it goes together at several points of a round, is
taken from the round means of the residuals. `run` and `point` are what stays the same within a run
and differs between two runs of the same programs: where the kernel put their pages, what the
neighbours on the host did in those minutes (Mytkowicz et al., "Producing wrong data without doing
anything obviously wrong!", ASPLOS 2009). One run cannot show them. Their variance is a weighted
mean of what is known: a cautious default that counts as DEFAULT_FREEDOM degrees of freedom, and
estimates from several base runs and from noise sessions, each with its own (Smyth 2004, moderated
variances). Student's t with Satterthwaite's degrees of freedom.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Sequence

import numpy as np
from scipy.special import stdtr, stdtrit

from harness.analyse import Table, Variance, held_freedom, noise_prior, pooled_variance

# one for each load point, 0 for a point that has no say
Weights = Table

# Standard deviation of the log ratio between runs of the same programs where it has not been
# measured: of its mean over the load points, and at one point. Two runs of the reference machine 80
# minutes apart differed by 0.04 % in the mean and by 1.1 % at the worst point, no more than the
# noise of their rounds explains.
DEFAULT_RUN_SD, DEFAULT_POINT_SD = 0.015, 0.02
DEFAULT_FREEDOM = 8
_POWER_Z = 0.8416  # of 80 %


@dataclass(frozen=True)
class Change:
    """A change from BASE to HEAD, in log units.

    error: standard error of the estimate, on `freedom` degrees
    p: of a value as low as this if nothing had fallen
    noise, between: the parts of error² that rounds and runs have
    """

    estimate: float
    error: float
    freedom: float
    p: float
    noise: float
    between: float

    def interval(self) -> tuple[float, float]:
        """Return the 95 % interval."""
        half = float(stdtrit(self.freedom, 0.975)) * self.error
        return self.estimate - half, self.estimate + half

    def detectable(self, level: float) -> float:
        """Return the fall, positive, that a test at `level` would catch in 8 of 10 cases."""
        return (-float(stdtrit(self.freedom, level)) + _POWER_Z) * self.error


def run_mean(table: Table, weights: Weights) -> float:
    """Return the weighted mean over points of the means over rounds.

    NaN where a point with weight has no value.
    """
    used = weights > 0
    values = table[:, used]
    if not np.isfinite(values).any(axis=0).all():
        return math.nan
    return float(np.average(np.nanmean(values, axis=0), weights=weights[used]))


def round_noise(table: Table, weights: Weights) -> Variance:
    """Return the variance from round to round of the weighted mean over points.

    No freedom below two rounds.
    """
    used = weights > 0
    values, weight = table[:, used], weights[used]
    present = np.isfinite(values)
    share = np.where(present, weight, 0.0)
    rounds = share.sum(axis=1) > 0
    freedom = int(rounds.sum()) - 1
    if freedom < 1:
        return Variance(0.0, 0)
    residuals = np.where(present, (values - np.nanmean(values, axis=0)) * weight, 0.0)
    means = residuals[rounds].sum(axis=1) / share[rounds].sum(axis=1)
    return Variance(float((means ** 2).sum()) / freedom, freedom)


def change(base: Sequence[Table], head: Table, weights: Weights, known: Sequence[Variance],
           noise: Variance | None = None) -> Change | None:
    """Test the weighted mean over points.

    `known`: what stands for the variance between runs beside the spread of several base runs.
    `noise`: more that is known of the rounds' own. None where a run lacks a point or two rounds.
    """
    runs = [*base, head]
    means = [run_mean(table, weights) for table in runs]
    if not all(map(math.isfinite, means)):
        return None
    noises = [round_noise(table, weights) for table in runs]
    if any(found.freedom < 1 for found in noises):
        return None
    within = pooled_variance([*noises, *([noise] if noise else [])])
    counts = [found.freedom + 1 for found in noises]
    spread = base_spread(means[:-1], [within.value / count for count in counts[:-1]])
    between = pooled_variance([*known, *([spread] if spread else [])])
    of_base = sum(1 / count for count in counts[:-1]) / len(base) ** 2
    of_rounds = within.value * (1 / counts[-1] + of_base)
    of_runs = between.value * (1 + 1 / len(base))
    estimate = means[-1] - math.fsum(means[:-1]) / len(base)
    error = math.sqrt(of_rounds + of_runs)
    freedom = _satterthwaite((of_rounds, within.freedom), (of_runs, between.freedom))
    p = float(stdtr(freedom, estimate / error)) if error > 0 else float(estimate >= 0)
    return Change(estimate, error, freedom, p, of_rounds, of_runs)


def base_spread(means: Sequence[float], noise: Sequence[float]) -> Variance | None:
    """Return what runs' means vary by beyond the noise of their rounds; None for one run."""
    if len(means) < 2:
        return None
    seen = float(np.var(means, ddof=1)) - math.fsum(noise) / len(noise)
    return Variance(max(0.0, seen), len(means) - 1)


def points_noise(tables: Sequence[Table]) -> Variance:
    """Return what all points and runs tell of the noise, for one point's to be drawn towards.

    It counts for as much as its share beside the rounds of one point.
    """
    prior = noise_prior(tables)
    freedom = sum(max(0, len(table) - 1) for table in tables)
    return Variance(prior.value, held_freedom(prior, freedom))


def one_point(points: int, place: int) -> Weights:
    """Return weights that leave one point alone a say."""
    weights = np.zeros(points)
    weights[place] = 1.0
    return weights


def _satterthwaite(*parts: tuple[float, float]) -> float:
    """Return the degrees of freedom of a sum of variances; parts that are 0 have no say."""
    total = math.fsum(value for value, _ in parts)
    below = math.fsum(value ** 2 / freedom for value, freedom in parts if value > 0)
    return total ** 2 / below if below > 0 else math.inf
