# SPDX-License-Identifier: BSD-3-Clause
"""Judge a change by one run that has both programs, trial by trial in turns. Pure.

Base and change are two contenders of one run, `X@base` and `X`: what runs differ by is in neither,
and no third contender is needed. A cell is one round at one load point: the log ratio of rates and
of costs there. If the two programs are the same, each round could as well have come with the two
names exchanged, so the test compares what was seen with what exchanged names would have given
(Fisher's randomisation test, signs of whole rounds flipped, for the cells of a round share the two
processes and what their starts gave them). It assumes no distribution of the noise; weights must
not change when the signs do, and do not: they are taken from squares.

Three statistics, and their largest decides (Westfall and Young 1993): the rate, the cost, and both
together, weighed for a server that takes a share more of its CPU for each request: its cost rises
by that share, its rate falls by as much of it as its core has a part in the round trip. A slow
moment of the machine moves both by nearly as much, so together they tell one from the other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from harness.analyse import round_significant
from harness.errors import UsageError
from harness.plan import LoadPoint
from harness.regression.paired_logs import COST, RATE, Readings, Shape

AT_BASE = "@base"
ALPHA = 0.05
BOTH = "rate_and_cost"
# with fewer no outcome is as rare as ALPHA
LEAST_ROUNDS = 5
_FLIPS, _SEED = 9_999, 1
# of each variance: how far the expected fall of the rate is not believed
_DOUBT = 0.03
# the noise of one point is drawn towards that of all points as this many more rounds would
_POINTS_FREEDOM = 4
# an outlier counts as so many typical cells
_MOST = 4.0
_Array = NDArray[np.float64]


@dataclass(frozen=True)
class InterleavedTest:
    """One statistic. change_percent: of the figure; of both, how much slower the server is."""

    contender: str
    figure: str
    change_percent: float
    ci95_percent: tuple[float, float]
    p_adjusted: float
    worse: bool


@dataclass(frozen=True)
class Interleaved:
    """What gate.json holds of a run that has both programs (results/README.md)."""

    run: str
    wire: str
    workload: Shape
    points: tuple[LoadPoint, ...]
    rounds: int
    threshold_percent: float
    false_alarms_at_most: float
    passed: bool
    tests: tuple[InterleavedTest, ...]


def interleaved_pairs(run: Readings) -> tuple[str, ...]:
    """Return the contenders that stand beside their base in a run."""
    names = run.plan.contenders
    return tuple(name for name in names if name + AT_BASE in names)


def judge_interleaved(run: Readings, threshold: float) -> Interleaved:
    """Judge each contender by its base. UsageError where there is none, or too little of it."""
    names = interleaved_pairs(run)
    if not names:
        raise UsageError(f"run {run.run} has no contender beside its base: 'X' and 'X{AT_BASE}'")
    tests = tuple(test for name in names for test in _tests(run, name, threshold, len(names)))
    return Interleaved(run.run, run.plan.wire, run.workload, run.points, run.rounds, threshold,
                       ALPHA, not any(test.worse for test in tests), tests)


def _tests(run: Readings, name: str, threshold: float, pairs: int) -> list[InterleavedTest]:
    base = name + AT_BASE
    if len({run.facts.wire.contenders[each].polls for each in (name, base)}) > 1:
        raise UsageError(f"run {run.run}: {name} and {base} do not compare: one polls, the other "
                         "sleeps")
    # so that up is for the worse
    falls, rises = -run.ratio(RATE, name, base), run.ratio(COST, name, base)
    known = np.isfinite(falls) & (np.isfinite(rises) | ~np.isfinite(rises).any())
    count = known.any(axis=1).sum()
    if count < LEAST_ROUNDS:
        raise UsageError(f"run {run.run} has {count} rounds with valid trials of {name} and {base}: "
                         f"at least {LEAST_ROUNDS} are needed")
    rounds, place = np.nonzero(known)
    x = np.stack([falls[known], rises[known]], axis=1)
    bound = run.client_bound[name] | run.client_bound[base]
    busy = np.minimum(run.busy[name], run.busy[base])
    expected = np.array([[0.0 if at in bound else share, 1.0]
                         for at, share in zip(run.points, busy)])[place]
    if not np.isfinite(x[:, 1]).all():
        x[:, 1], expected[:, 1] = 0.0, 0.0
    weights = {figure: found for figure, columns in ((RATE, [0]), (COST, [1]), (BOTH, [0, 1]))
               if expected[:, columns].any(axis=0).all()
               for found in [_weights(x, expected, place, columns)]}
    if not weights:
        raise UsageError(f"run {run.run}: nothing of {name} can be tested: the client was the "
                         "limit at each load point, and no cost is known")
    scores = np.stack([_by_round(_clipped((weighed * x).sum(axis=1)), rounds)
                       for weighed in weights.values()], axis=1)
    p = np.minimum(1.0, pairs * flipped(scores))
    found = []
    for figure, value in zip(weights, p):
        columns = {RATE: [0], COST: [1], BOTH: [0, 1]}[figure]
        unit = expected if figure == BOTH else (expected > 0).astype(float)
        estimate, half = _estimate(x, unit, weights[figure], columns, rounds)
        ends = [-end if figure == RATE else end for end in (estimate - half, estimate + half)]
        percent = 100 * math.expm1(-estimate if figure == RATE else estimate)
        low, high = sorted(round_significant(100 * math.expm1(end)) for end in ends)
        found.append(InterleavedTest(
            name, figure, round_significant(percent), (low, high), round_significant(float(value)),
            bool(estimate > 0 and abs(percent) > threshold and value < ALPHA)))
    return found


def flipped(scores: _Array) -> _Array:
    """Return for each column of rounds × statistics its p, adjusted for the largest of them."""
    scaled = scores / np.sqrt((scores ** 2).sum(axis=0).clip(1e-300))
    signs = np.random.default_rng(_SEED).choice((-1.0, 1.0), (_FLIPS, len(scores)))
    largest = (signs @ scaled).max(axis=1)
    # what differs by rounding alone is as large
    reached = (largest[:, None] >= scaled.sum(axis=0) - 1e-9).sum(axis=0)
    p: _Array = (1 + reached) / (1 + _FLIPS)
    return p


def _weights(x: _Array, expected: _Array, place: NDArray[np.intp], columns: list[int]) -> _Array:
    """Return the weights that tell `expected` best from the noise, 0 in all other columns."""
    used, wanted = x[:, columns], expected[:, columns]
    whole = used.T @ used / len(used)
    weights = np.zeros_like(x)
    for point in np.unique(place):
        here = place == point
        own = used[here]
        noise = (own.T @ own + _POINTS_FREEDOM * whole) / (len(own) + _POINTS_FREEDOM)
        noise += np.diag(_DOUBT * np.diag(noise) + 1e-12)
        weights[np.ix_(here, columns)] = np.linalg.solve(noise, wanted[here][0])
    return weights


def _clipped(scores: _Array) -> _Array:
    most = _MOST * float(np.median(np.abs(scores)))
    clipped: _Array = np.clip(scores, -most, most) if most else scores
    return clipped


def _by_round(scores: _Array, rounds: NDArray[np.intp]) -> _Array:
    """Return the sum of each round that has some."""
    sums: _Array = np.array([scores[rounds == round_].sum() for round_ in np.unique(rounds)])
    return sums


def _estimate(x: _Array, unit: _Array, weights: _Array, columns: list[int],
              rounds: NDArray[np.intp]) -> tuple[float, float]:
    """Return how much of `unit` there is, in log units, and half its 95 % interval."""
    gain = _by_round((weights * unit)[:, columns].sum(axis=1), rounds)
    scores = _by_round((weights * x)[:, columns].sum(axis=1), rounds)
    estimate = float(scores.sum() / gain.sum())
    rest = scores - gain * estimate
    freedom = len(gain) - 1
    error = math.sqrt(float((rest ** 2).sum()) * len(gain) / freedom) / float(gain.sum())
    return estimate, float(stdtrit(freedom, 0.975)) * error
