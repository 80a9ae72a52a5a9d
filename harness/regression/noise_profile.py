# SPDX-License-Identifier: BSD-3-Clause
"""Keep how much a machine's figures vary on a wire, session by session, in results/noise/.

One file a wire and machine; a noise run appends a session, the gate reads what sessions differ by.
Schema: results/README.md.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping, Sequence

import numpy as np

from harness.analyse import Table, round_significant
from harness.store import RESULTS, Facts, write_file
from harness.errors import UsageError
from harness.regression.change_test import (
    Variance, Weights, base_spread, one_point, round_noise, run_mean)
from harness.regression.paired_logs import COST, RATE, Readings

SCHEMA = 1
# of the facts, what a machine is known by
_MACHINE = ("cpu_model", "cpus", "architecture", "virtual")
_SESSION = {"run", "workload", "connections", "pairs", "rates"}
Session = Mapping[str, Any]


@dataclass(frozen=True)
class Profile:
    """The sessions of one wire on one machine, in the order in which they were measured."""

    wire: str
    machine: Mapping[str, Any]
    sessions: tuple[Session, ...]

    def between(self, over: str, below: str, figure: str, of: Readings,
                weights: Weights) -> Variance | None:
        """Return the variance of log(over / below), weighted over load points, between sessions.

        None below two sessions that had both contenders at the points of the run. A contender
        against itself says nothing of it: what moves two stacks apart moves two names of one alike.
        """
        connections = _connections(of)
        found = [pair for session in self.sessions if session["workload"] == of.workload
                 if (pair := _pair(session, over, below, figure, connections))]
        used, share = weights > 0, weights / weights.sum()
        means = [float(np.average(points[used], weights=weights[used])) for points, _ in found]
        return base_spread(means, [float((share ** 2 * noise).sum()) for _, noise in found])


def _connections(of: Readings) -> list[int]:
    """Return a run's load points as a session names them; [] where it sweeps more than that."""
    connections = [point.connections for point in of.points]
    return connections if len({*connections}) == len(connections) else []


def _pair(session: Session, over: str, below: str, figure: str,
          connections: Sequence[int]) -> tuple[Table, Table] | None:
    """Return (means, their noise variances) at these load points, either way round."""
    if not connections or not set(connections) <= set(session["connections"]):
        return None
    at = [session["connections"].index(point) for point in connections]
    for key, sign in ((f"{over}/{below}", 1.0), (f"{below}/{over}", -1.0)):
        if key in session["pairs"]:
            entry = session["pairs"][key][figure]
            means, noise = (np.array([entry[name][place] for place in at], float)
                            for name in ("mean_log", "mean_variance"))
            known = np.isfinite(means).all() and np.isfinite(noise).all()
            return (sign * means, noise) if known else None
    return None


def machine(facts: Facts) -> dict[str, Any]:
    """Return what tells this machine from another, of a run's facts."""
    return {key: getattr(facts.machine, key) for key in _MACHINE}


def place(wire: str, of: Mapping[str, Any], results: Path = RESULTS) -> Path:
    """Return the file of a wire on the machine `of`, whether it is there or not."""
    digest = hashlib.sha256(json.dumps(of, sort_keys=True).encode()).hexdigest()[:8]
    return results / "noise" / f"{wire}-{digest}.json"


def load(path: Path) -> Profile | None:
    """Read a profile; None where there is no such file. UsageError where it is not such a file."""
    try:
        data = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: not a noise profile: {error}") from None
    if not isinstance(data, dict) or data.get("schema") != SCHEMA \
            or not isinstance(data.get("sessions"), list):
        raise UsageError(f"{path}: not a noise profile of schema {SCHEMA}")
    for session in data["sessions"]:
        if not isinstance(session, dict) or not _SESSION <= session.keys():
            raise UsageError(f"{path}: a session lacks its {', '.join(sorted(_SESSION))}")
    return Profile(str(data.get("wire")), data.get("machine", {}), tuple(data["sessions"]))


def append(path: Path, wire: str, of: Mapping[str, Any], session: Session) -> Profile:
    """Add a session, in the stead of an older one of the same run.

    MachineError if the disk refuses.
    """
    before = load(path)
    kept = [old for old in (before.sessions if before else ()) if old["run"] != session["run"]]
    sessions = tuple(sorted([*kept, session], key=lambda entry: str(entry["run"])))
    path.parent.mkdir(parents=True, exist_ok=True)
    data = {"schema": SCHEMA, "wire": wire, "machine": of, "sessions": sessions}
    write_file(path, json.dumps(data, indent=1) + "\n")
    return Profile(wire, of, sessions)


def session(found: Readings) -> dict[str, Any]:
    """Return what a run of any contenders tells of the noise: of each pair and each rate."""
    names = found.plan.contenders
    every = np.ones(len(found.points))
    rates = {name: run_mean(np.log(found.values[RATE, name]), every) for name in names}
    return {
        "run": found.run, "started_at": found.started_at,
        "revision": found.facts.git.revision,
        "workload": found.workload, "connections": _connections(found), "rounds": found.rounds,
        "duration_seconds": found.plan.duration_seconds,
        "rates": {name: round_significant(rate) for name, rate in rates.items()
                  if math.isfinite(rate)},
        "pairs": {f"{over}/{below}": {figure: _noise(found.ratio(figure, over, below))
                                      for figure in (RATE, COST)}
                  for at, below in enumerate(names) for over in names[at + 1:]},
    }


def _noise(table: Table) -> dict[str, Any]:
    points = range(table.shape[1])
    counts = np.isfinite(table).sum(axis=0)
    noise = [round_noise(table, one_point(len(points), at)) if counts[at] else Variance(0, 0)
             for at in points]
    whole = round_noise(table, (counts > 0).astype(float))
    return {
        "mean_log": [round_significant(float(np.nanmean(table[:, at]))) if counts[at] else None
                     for at in points],
        "round_sd": [_sd(noise[at]) for at in points],
        "mean_variance": [round_significant(noise[at].value / counts[at])
                          if noise[at].freedom else None for at in points],
        "pooled_round_sd": _sd(whole),
    }


def _sd(noise: Variance) -> float | None:
    return round_significant(math.sqrt(noise.value)) if noise.freedom else None
