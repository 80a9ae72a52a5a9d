# SPDX-License-Identifier: BSD-3-Clause
"""Runs as a real machine would have made them: means and noise of a run's real trials, with what is planted.

The noise of a round is drawn with the covariance that the residuals of these trials have, over load points, figures and
contenders: what goes together there goes together here.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Mapping

import numpy as np
from numpy.typing import NDArray

from harness.plan import from_json
from harness.readings import COST, RATE, Readings
from harness.tests import synthetic

TRIALS = Path(__file__).resolve().parent / "data" / "round-noise.json"
# these trials had 3 s of load each; in 2 s there is more noise
LONGER = math.sqrt(3 / 2)
# of all contenders of a run alike, as log: the 20 % by which such machines drift
DRIFT_SD = 0.1

Effect = Mapping[tuple[str, str], NDArray[np.float64] | float]


def measured() -> Readings:
    """Five rounds of a default plan on the TAP wire, of a virtual machine with two CPUs."""
    data = json.loads(TRIALS.read_text())
    names = list(data["busy"])
    return Readings(
        run="measured", started_at="2026-11-22T03:18:54Z",
        plan=from_json(synthetic.plan(data["connections"], 5, names)),
        facts=synthetic.facts("measured", names),
        logs={(figure, name): np.array(data["logs"][figure][name]) for figure in (RATE, COST) for name in names},
        hollow={name: frozenset(points) for name, points in data["hollow"].items()},
        busy={name: tuple(shares) for name, shares in data["busy"].items()})


def draw(like: Readings, dice: np.random.Generator, run: str, *, rounds: int = 5, run_sd: float = 0.0,
         point_sd: float = 0.0, effect: Effect = {}) -> Readings:
    """Another run of the same programs, but for `effect` in log units. `run_sd`, `point_sd`: what the last contender's
    ratio to the others differs by from run to run, at all points alike and at each."""
    names, points = like.plan.contenders, len(like.plan.connections)
    mix = dice.standard_normal((rounds, like.rounds)) / math.sqrt(like.rounds - 1) * LONGER
    drift = dice.normal(0, DRIFT_SD)
    logs = {}
    for figure in (RATE, COST):
        own = dice.normal(0, run_sd) + dice.normal(0, point_sd, points)
        for name in names:
            table = like.logs[figure, name]
            mean = table.mean(axis=0)
            logs[figure, name] = (mean + mix @ (table - mean) + (drift if figure == RATE else -drift)
                                  + (own if name == names[-1] else 0.0) + effect.get((figure, name), 0.0))
    return replace(like, run=run, logs=logs)


def slowed(like: Readings, contender: str, share: float) -> Effect:
    """A server that takes `share` more CPU time for a request: its cost rises by that, its rate falls as far as its
    core has a part in the round trip, and not where the client is the limit."""
    shows = np.array([point not in like.hollow[contender] for point in like.plan.connections])
    return {(COST, contender): math.log1p(share),
            (RATE, contender): -np.log1p(share * np.array(like.busy[contender])) * shows}
