# SPDX-License-Identifier: BSD-3-Clause
"""How much a machine's figures vary on a wire, session by session: results/noise/<wire>-<machine>.json.

`make noise` appends a session, `make gate` reads what the sessions differ by. Schema: results/README.md.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping, Sequence

import numpy as np

from harness.errors import UsageError
from harness.regression.change_test import Variance, Weights, base_spread, one_point, round_noise, run_mean
from harness.regression.paired_logs import COST, RATE, Readings
from harness.store.store import RESULTS, write_file

SCHEMA = 1
# of the facts, what a machine is told by
_MACHINE = ("cpu_model", "cpus", "architecture", "virtual")


@dataclass(frozen=True)
class Profile:
    """The sessions of one wire on one machine, in the order in which they were measured."""

    wire: str
    machine: Mapping[str, Any]
    sessions: tuple[Mapping[str, Any], ...]

    def between(self, over: str, below: str, figure: str, connections: Sequence[int], weights: Weights,
                workload: Mapping[str, Any]) -> Variance | None:
        """The variance of log(over / below), weighted over load points, between sessions that had both contenders.

        None below two such sessions. A contender against its twin says nothing of it: what moves two stacks apart
        moves one stack's two names alike.
        """
        found = [pair for session in self.sessions if session["workload"] == workload
                 for pair in [_pair(session, over, below, figure, connections)] if pair is not None]
        means = [float(np.average(points[weights > 0], weights=weights[weights > 0])) for points, _ in found]
        share = weights / weights.sum()
        return base_spread(means, [float((share ** 2 * noise).sum()) for _, noise in found])

    def drift(self, contenders: Sequence[str], workload: Mapping[str, Any]) -> Variance | None:
        """The variance between sessions of what all of these contenders' rates have in common; None below three."""
        means = [math.fsum(session["rates"][name] for name in contenders) / len(contenders)
                 for session in self.sessions
                 if session["workload"] == workload and all(name in session["rates"] for name in contenders)]
        return Variance(float(np.var(means, ddof=1)), len(means) - 1) if len(means) > 2 else None


def _pair(session: Mapping[str, Any], over: str, below: str, figure: str,
          connections: Sequence[int]) -> tuple[Weights, Weights] | None:
    """(means, their noise variances) of the session at these load points, either way round."""
    for key, sign in ((f"{over}/{below}", 1.0), (f"{below}/{over}", -1.0)):
        if key in session["pairs"] and set(connections) <= set(session["connections"]):
            at = [session["connections"].index(point) for point in connections]
            entry = session["pairs"][key][figure]
            means, noise = (np.array([math.nan if entry[name][place] is None else entry[name][place] for place in at])
                            for name in ("mean_log", "mean_variance"))
            return (sign * means, noise) if np.isfinite(means).all() and np.isfinite(noise).all() else None
    return None


def machine(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What tells this machine from another, of a run's facts."""
    found = facts.get("machine")
    return {key: found.get(key) for key in _MACHINE} if isinstance(found, Mapping) else {}


def place(wire: str, of: Mapping[str, Any], results: Path = RESULTS) -> Path:
    """The file of a wire on the machine `of`, whether it is there or not."""
    digest = hashlib.sha256(json.dumps(of, sort_keys=True).encode()).hexdigest()[:8]
    return results / "noise" / f"{wire}-{digest}.json"


def load(path: Path) -> Profile | None:
    """None where there is no such file. UsageError where it is not such a file."""
    try:
        data = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: not a noise profile: {error}") from None
    if not isinstance(data, dict) or data.get("schema") != SCHEMA or not isinstance(data.get("sessions"), list):
        raise UsageError(f"{path}: not a noise profile of schema {SCHEMA}")
    for session in data["sessions"]:
        if not isinstance(session, dict) or not {"run", "workload", "connections", "pairs", "rates"} <= session.keys():
            raise UsageError(f"{path}: a session lacks its run, workload, connections, pairs or rates")
    return Profile(str(data.get("wire")), data.get("machine", {}), tuple(data["sessions"]))


def append(path: Path, wire: str, of: Mapping[str, Any], session: Mapping[str, Any]) -> Profile:
    """Adds a session, in the stead of an older one of the same run. MachineError if the disk refuses."""
    before = load(path)
    kept = [each for each in (before.sessions if before else ()) if each["run"] != session["run"]]
    profile = Profile(wire, of, tuple(sorted([*kept, session], key=lambda each: str(each["run"]))))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, json.dumps({"schema": SCHEMA, "wire": wire, "machine": profile.machine,
                                 "sessions": profile.sessions}, indent=1) + "\n")
    return profile


def session(found: Readings) -> dict[str, Any]:
    """What a run of any contenders tells of the noise: of each pair, and of each contender's own rate."""
    names = found.plan.contenders
    git = found.facts.get("git") or {}
    every = np.ones(len(found.plan.connections))
    rates = {name: run_mean(found.logs[RATE, name], every) for name in names}
    return {
        "run": found.run, "started_at": found.started_at, "revision": git.get("revision"),
        "workload": workload(found), "connections": list(found.plan.connections), "rounds": found.rounds,
        "duration_seconds": found.plan.duration_seconds,
        "rates": {name: _number(rate) for name, rate in rates.items() if math.isfinite(rate)},
        "pairs": {f"{over}/{below}": {figure: _noise(found, figure, over, below) for figure in (RATE, COST)}
                  for place, below in enumerate(names) for over in names[place + 1:]},
    }


def workload(found: Readings) -> dict[str, Any]:
    return {"name": found.plan.workload.name, "body_size_bytes": found.plan.workload.body_size_bytes}


def _noise(found: Readings, figure: str, over: str, below: str) -> dict[str, Any]:
    table = found.ratio(figure, over, below)
    points = range(table.shape[1])
    known = [place for place in points if np.isfinite(table[:, place]).any()]
    noise = {place: round_noise(table, one_point(len(points), place)) for place in known}
    counts = np.isfinite(table).sum(axis=0)
    whole = round_noise(table, np.array([1.0 if place in known else 0.0 for place in points])) if known else None
    return {
        "mean_log": [_number(float(np.nanmean(table[:, place]))) if place in noise else None for place in points],
        "round_sd": [_number(math.sqrt(noise[place].value)) if place in noise and noise[place].freedom else None
                     for place in points],
        "mean_variance": [_number(noise[place].value / counts[place])
                          if place in noise and noise[place].freedom else None for place in points],
        "pooled_round_sd": _number(math.sqrt(whole.value)) if whole and whole.freedom else None,
    }


def _number(value: float) -> float:
    return float(f"{value:.6g}")
