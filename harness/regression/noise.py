# SPDX-License-Identifier: BSD-3-Clause
"""What a machine calls a difference where there is none, and how large one must be to be seen. Pure.

A noise run has each contender under two names (twins.py). Its rounds are cut into comparisons of as many rounds as the
plan has, each at one load point, and each is judged as two contenders are in a report. More comparisons are made of its
own rounds with the two names exchanged by chance within each round: then nothing can differ but by chance, whatever the
rounds' distribution is (a permutation test's null hypothesis).
"""

from __future__ import annotations

import math
import random
from dataclasses import replace
from statistics import median
from typing import Any, Iterator, Mapping, Sequence

import numpy as np
from scipy.optimize import brentq  # type: ignore[import]
from scipy.special import nctdtr, stdtrit  # type: ignore[import]
from scipy.stats import binomtest, linregress  # type: ignore[import]

from harness.analyse import holm as families
from harness.regression import change_test as gate_stats
from harness.analyse import stopping_rule as stopping
from harness.analyse import bottleneck as verdict
from harness.errors import UsageError
from harness.analyse.gain import gain
from harness.regression.paired_logs import RATE, Readings
from harness.store.records import Trial
from harness.analyse.stats import round_significant
from harness.plan import pairs

# the share of comparisons that a 95 % interval calls a difference where there is none
NOMINAL = 0.05
# false alarms as many as these or more, at NOMINAL, in one of a hundred such sessions: then the rate is not nominal
UNLIKELY = 0.01
SIMULATED = 100
ROUNDS = (3, 5, 10, 20)
POWERS = (80, 90)

Pair = tuple[Trial, Trial]


def spread(points: Sequence[int], rounds: int, comparisons: int) -> tuple[list[int], int]:
    """(load points, rounds in all) of the run that has at least so many comparisons: all points as often as it takes,
    or fewer points, from first to last, where they are more than the comparisons."""
    if comparisons >= len(points):
        return list(points), rounds * -(-comparisons // len(points))
    step = (len(points) - 1) / max(1, comparisons - 1)
    return [points[round(place * step)] for place in range(comparisons)], rounds


def analyse(found: Readings, trials: Sequence[Trial], rounds: int, precision: float = 0,
            seed: int = 1) -> dict[str, Any]:
    """noise.json (results/README.md). `rounds`: of one comparison; `precision`: as a plan has it, percent, 0 for none:
    then as many comparisons again are simulated that go on until they are so narrow. UsageError on a run without twins,
    or too short."""
    twins = pairs(found.plan.contenders)
    if not twins:
        raise UsageError(f"run {found.run} has no contender under two names: it is not a noise run")
    real = list(_real(found, trials, twins, rounds))
    if not real:
        raise UsageError(f"run {found.run} has no comparison of {rounds} rounds whose trials are valid")
    simulated = [_compared(each) for each in _exchanged(trials, twins, rounds, random.Random(seed))]
    sequential = list(_sequential(found, trials, twins, rounds, precision, random.Random(seed))) if precision else []
    judged = {"measured": [row["gain"] for row in real], "simulated": simulated,
              "stopped": [_compared(each) for each in sequential]}
    counts = {name: _alarms(sum(map(_called, each)), len(each)) for name, each in judged.items()}
    total = _alarms(sum(each["alarms"] for each in counts.values()), sum(map(len, judged.values())))
    return {
        "schema": 1, "run": found.run, "wire": found.plan.wire, "contenders": [first for _, first in twins],
        "connections": list(found.plan.connections), "rounds": rounds, "duration_seconds": found.plan.duration_seconds,
        "nominal": NOMINAL, "seed": seed,
        "precision_percent": precision, **counts, "together": total, "passed": total["p"] >= UNLIKELY,
        "stopped_after_rounds": median(map(len, sequential)) if sequential else None,
        "comparisons": [{key: value for key, value in row.items() if key != "gain"} | {
            key: row["gain"][key] for key in ("ratio", "ci95", "verdict")} for row in real],
        "detectable": [row for again, first in twins for row in _detectable(found, again, first, rounds)],
        "drift": [_drift(found, name) for name in found.plan.contenders],
    }


def _real(found: Readings, trials: Sequence[Trial], twins: Sequence[tuple[str, str]],
          rounds: int) -> Iterator[dict[str, Any]]:
    """Every whole comparison of the run."""
    for again, first in twins:
        for connections in found.plan.connections:
            cell = _pairs(trials, again, first, connections)
            for block in range(found.rounds // rounds):
                here = [pair for pair in cell if pair[0].round // rounds == block]
                if len(here) > 1:
                    yield {"contender": first, "connections": connections, "first_round": block * rounds,
                           "gain": _compared(here)}


def _pairs(trials: Sequence[Trial], over: str, below: str, connections: int) -> list[Pair]:
    """Valid trials of both in the same round."""
    here = {(trial.contender, trial.round): trial for trial in trials
            if trial.valid and trial.connections == connections}
    return [(here[over, round_], here[below, round_]) for name, round_ in sorted(here)
            if name == over and (below, round_) in here]


def _compared(cell: Sequence[Pair]) -> dict[str, Any]:
    """As a report compares two contenders; the one place where a comparison is judged. One comparison is a family of
    its own: no other is tested with it."""
    found = gain([over for over, _ in cell], [below for _, below in cell], None)
    families.adjust([{"gain": {"": found}}])
    return found


def _called(compared: Mapping[str, Any]) -> bool:
    return bool(compared["verdict"] != verdict.INCONCLUSIVE)


def _exchanged(trials: Sequence[Trial], twins: Sequence[tuple[str, str]], rounds: int,
               dice: random.Random) -> Iterator[list[Pair]]:
    """SIMULATED comparisons, spread evenly over contenders and load points: rounds of theirs by lot, each with its two
    trials exchanged or not."""
    points = sorted({trial.connections for trial in trials})
    cells = [cell for again, first in twins for point in points
             for cell in [_pairs(trials, again, first, point)] if len(cell) > 1]
    for number in range(SIMULATED if cells else 0):
        cell = cells[number % len(cells)]
        drawn = dice.sample(cell, min(rounds, len(cell)))
        turned = [pair if dice.random() < 0.5 else pair[::-1] for pair in drawn]
        yield [(replace(over, round=round_), replace(below, round=round_))
               for round_, (over, below) in enumerate(turned)]


def _sequential(found: Readings, trials: Sequence[Trial], twins: Sequence[tuple[str, str]], rounds: int,
                precision: float, dice: random.Random) -> Iterator[list[Pair]]:
    """As _exchanged(), drawn round by round until stopping.py's rule has enough, or as many rounds as the run has."""
    cells = [(pair, point, cell) for pair in twins for point in found.plan.connections
             for cell in [_pairs(trials, *pair, point)] if len(cell) > 1]
    for number in range(SIMULATED if cells else 0):
        (again, first), point, cell = cells[number % len(cells)]
        plan = replace(found.plan, contenders=(first, again), connections=(point,), rounds=rounds, seed=0,
                       precision_percent=precision, budget_seconds=0)
        drawn: list[Pair] = []
        while len(drawn) < max(rounds, found.rounds) and not (
                len(drawn) >= rounds and stopping.look(plan, [_record(each) for pair in drawn for each in pair]).stop):
            over, below = dice.choice(cell)
            if dice.random() < 0.5:
                over, below = replace(over, requests_per_sec=below.requests_per_sec), \
                    replace(below, requests_per_sec=over.requests_per_sec)
            drawn.append((replace(over, round=len(drawn)), replace(below, round=len(drawn))))
        yield drawn


def _record(trial: Trial) -> dict[str, Any]:
    """As much of a line of trials.jsonl as the rule looks at; it has no budget, so the time does not matter."""
    return {"contender": trial.contender, "connections": trial.connections, "round": trial.round, "valid": True,
            "requests_per_sec": trial.requests_per_sec, "started_at": "2000-01-01T00:00:00Z"}


def _alarms(alarms: int, comparisons: int) -> dict[str, Any]:
    """`ci95`: Clopper and Pearson's (1934). `p`: of so many alarms or more at the nominal rate."""
    if not comparisons:
        return {"comparisons": 0, "alarms": 0, "share": None, "ci95": None, "p": 1.0}
    test = binomtest(alarms, comparisons, NOMINAL, alternative="greater")
    ends = binomtest(alarms, comparisons).proportion_ci(0.95, method="exact")
    return {"comparisons": comparisons, "alarms": alarms, "share": round_significant(alarms / comparisons),
            "ci95": [round_significant(float(ends.low)), round_significant(float(ends.high))],
            "p": round_significant(float(test.pvalue))}


def _detectable(found: Readings, again: str, first: str, rounds_of_one: int) -> Iterator[dict[str, Any]]:
    """By load point, and of the mean over all of them (`connections` null)."""
    table = found.ratio(RATE, again, first)
    points = len(found.plan.connections)
    known = np.isfinite(table).any(axis=0)
    for place in (*(place for place in range(points) if known[place]), None):
        weights = known.astype(float) if place is None else gate_stats.one_point(points, place)
        noise = gate_stats.round_noise(table, weights)
        if noise.freedom:
            yield {"contender": first, "connections": None if place is None else found.plan.connections[place],
                   "rounds_measured": int(noise.freedom) + 1,
                   "round_sd_percent": round_significant(100 * math.sqrt(noise.value)),
                   "detectable_percent": {str(rounds): {str(power): round_significant(detectable(
                       math.sqrt(noise.value), rounds, power / 100)) for power in POWERS}
                       for rounds in sorted({*ROUNDS, rounds_of_one})}}


def detectable(sd: float, rounds: int, power: float) -> float:
    """The smallest change, in percent, that a two-sided t test at NOMINAL over `rounds` sees with this power.

    `sd`: of one round's log ratio. From the noncentral t distribution; `rounds` is 2 or more.
    """
    critical = float(stdtrit(rounds - 1, 1 - NOMINAL / 2))

    def missed(shift: float) -> float:
        return float(nctdtr(rounds - 1, shift, critical) - nctdtr(rounds - 1, shift, -critical)) - (1 - power)
    return 100 * math.expm1(float(brentq(missed, 0.0, 60.0 + 4 * critical)) * sd / math.sqrt(rounds))


def _drift(found: Readings, name: str) -> dict[str, Any]:
    """From the first round to the last, of the straight line through the means of the rounds' rates."""
    whole = found.logs[RATE, name]
    table = whole[:, np.isfinite(whole).any(axis=0)]
    centred = table - np.nanmean(table, axis=0, keepdims=True)
    rows = [round_ for round_ in range(found.rounds) if np.isfinite(centred[round_]).any()]
    if len(rows) < 3:
        return {"contender": name, "percent": None, "ci95_percent": None}
    line = linregress(rows, [float(np.nanmean(centred[round_])) for round_ in rows])
    reach = rows[-1] - rows[0]
    half = float(stdtrit(len(rows) - 2, 0.975)) * line.stderr
    return {"contender": name, "percent": round_significant(100 * math.expm1(line.slope * reach)),
            "ci95_percent": [round_significant(100 * math.expm1((line.slope + sign * half) * reach))
                             for sign in (-1, 1)]}
