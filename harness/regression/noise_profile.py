# SPDX-License-Identifier: BSD-3-Clause
"""Keep how much a machine's figures vary on a wire, session by session, in results/noise/.

One file a wire and machine; a noise run appends a session, the gate reads what sessions differ by.
Schema: results/README.md.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Mapping, Sequence

import numpy as np

from harness.analyse import Table, Variance, round_significant
from harness.store import RESULTS, Facts, MachineFacts, from_json, to_json, write_file
from harness.errors import UsageError
from harness.regression.change_test import (
    Weights, base_spread, one_point, round_noise, run_mean)
from harness.regression.paired_logs import COST, RATE, Readings, Shape

SCHEMA = 1
# of the facts, what a machine is known by
_MACHINE = ("cpu_model", "cpus", "architecture", "virtual")


@dataclass(frozen=True)
class PairNoise:
    """How the log ratio of two contenders varies from round to round, by load point."""

    mean_log: tuple[float | None, ...]
    round_sd: tuple[float | None, ...]
    mean_variance: tuple[float | None, ...]
    pooled_round_sd: float | None


@dataclass(frozen=True)
class Session:
    """What a run tells of the noise."""

    run: str
    started_at: str
    revision: str | None
    workload: Shape
    connections: tuple[int, ...]
    rounds: int
    duration_seconds: int
    rates: Mapping[str, float]
    pairs: Mapping[str, Mapping[str, PairNoise]]


@dataclass(frozen=True)
class Profile:
    """The sessions of one wire on one machine, in the order in which they were measured."""

    wire: str
    machine: MachineFacts
    sessions: tuple[Session, ...]

    def between(self, over: str, below: str, figure: str, of: Readings,
                weights: Weights) -> Variance | None:
        """Return the variance of log(over / below), weighted over load points, between sessions.

        None below two sessions that had both contenders at the points of the run. A contender
        against itself says nothing of it: what moves two stacks apart moves two names of one alike.
        """
        connections = _connections(of)
        found = [pair for session in self.sessions if session.workload == of.workload
                 if (pair := _pair(session, over, below, figure, connections))]
        used, share = weights > 0, weights / weights.sum()
        means = [float(np.average(points[used], weights=weights[used])) for points, _ in found]
        return base_spread(means, [float((share ** 2 * noise).sum()) for _, noise in found])


def _connections(of: Readings) -> tuple[int, ...]:
    """Return a run's load points as a session names them."""
    connections = tuple(point.connections for point in of.points)
    return connections if len({*connections}) == len(connections) else ()


def _pair(session: Session, over: str, below: str, figure: str,
          connections: Sequence[int]) -> tuple[Table, Table] | None:
    """Return (means, their noise variances) at these load points, either way round."""
    if not connections or not set(connections) <= set(session.connections):
        return None
    at = [session.connections.index(point) for point in connections]
    for key, sign in ((f"{over}/{below}", 1.0), (f"{below}/{over}", -1.0)):
        if key in session.pairs:
            entry = session.pairs[key][figure]
            means, noise = (np.array([column[place] for place in at], float)
                            for column in (entry.mean_log, entry.mean_variance))
            known = np.isfinite(means).all() and np.isfinite(noise).all()
            return (sign * means, noise) if known else None
    return None


def machine(facts: Facts) -> MachineFacts:
    """Return what tells this machine from another, of a run's facts."""
    return replace(facts.machine, tsc_hz=None)


def place(wire: str, of: MachineFacts, results: Path = RESULTS) -> Path:
    """Return the file of a wire on the machine `of`, whether it is there or not."""
    known = json.dumps({key: getattr(of, key) for key in _MACHINE}, sort_keys=True)
    return results / "noise" / f"{wire}-{hashlib.sha256(known.encode()).hexdigest()[:8]}.json"


def load(path: Path) -> Profile | None:
    """Read a profile; None where there is no such file. UsageError where it is not such a file."""
    try:
        data = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: not a noise profile: {error}") from None
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise UsageError(f"{path}: not a noise profile of schema {SCHEMA}")
    return from_json(Profile, data, str(path))


def append(path: Path, wire: str, of: MachineFacts, session: Session) -> Profile:
    """Add a session, in the stead of an older one of the same run.

    MachineError if the disk refuses.
    """
    before = load(path)
    kept = [old for old in (before.sessions if before else ()) if old.run != session.run]
    made = Profile(wire, of, tuple(sorted([*kept, session], key=lambda entry: entry.run)))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, json.dumps({"schema": SCHEMA, **to_json(made)}, indent=1) + "\n")
    return made


def session(found: Readings) -> Session:
    """Return what a run of any contenders tells of the noise: of each pair and each rate."""
    names = found.plan.contenders
    every = np.ones(len(found.points))
    rates = {name: run_mean(np.log(found.values[RATE, name]), every) for name in names}
    return Session(
        run=found.run, started_at=found.started_at, revision=found.facts.git.revision,
        workload=found.workload, connections=_connections(found), rounds=found.rounds,
        duration_seconds=found.plan.duration_seconds,
        rates={name: round_significant(rate) for name, rate in rates.items()
               if math.isfinite(rate)},
        pairs={f"{over}/{below}": {figure: _noise(found.ratio(figure, over, below))
                                   for figure in (RATE, COST)}
               for at, below in enumerate(names) for over in names[at + 1:]})


def _noise(table: Table) -> PairNoise:
    counts = np.isfinite(table).sum(axis=0)
    noise = [round_noise(table, one_point(len(counts), at)) if count else Variance(0, 0)
             for at, count in enumerate(counts)]
    return PairNoise(
        mean_log=tuple(round_significant(float(np.nanmean(table[:, at]))) if count else None
                       for at, count in enumerate(counts)),
        round_sd=tuple(map(_sd, noise)),
        mean_variance=tuple(round_significant(found.value / count) if found.freedom else None
                            for found, count in zip(noise, counts)),
        pooled_round_sd=_sd(round_noise(table, (counts > 0).astype(float))))


def _sd(noise: Variance) -> float | None:
    return round_significant(math.sqrt(noise.value)) if noise.freedom else None
