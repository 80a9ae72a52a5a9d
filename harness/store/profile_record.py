# SPDX-License-Identifier: BSD-3-Clause
"""Define the profile of contenders at one load point: results/profiles/<id>/profile.json.

What each field means: results/README.md. Made by harness/profile/.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Mapping

from harness.errors import UsageError
from harness.plan import LoadPoint
from harness.store.codes import Note, Problem
from harness.store.convert import Json, from_json, to_json
from harness.store.store import NAME, RESULTS, make_new, read_json, write_json

SCHEMA = 1
PROFILE = "profile.json"
# layers beside the bar: nothing in them was done for a request
BESIDE = ("other", "idle")
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Frame:
    """One call in a stack. `dso`: name of its file; "" for the name of a program."""

    symbol: str
    dso: str
    layer: str


@dataclass(frozen=True)
class Stack:
    """Calls from the outermost inwards, as places among the frames, and how many samples."""

    calls: tuple[int, ...]
    samples: int


@dataclass(frozen=True)
class Load:
    """What the cores did while they were sampled.

    cycles: of all sampled cores, of what was sampled: also idle ones where the samples are
    event: of perf
    idle_share: of the contender's own cycles, by its own counters, those in which nothing came;
        None where it polls and does not count, or does not poll
    """

    requests: int
    requests_per_sec: float
    cycles: float
    event: str
    polls: bool = False
    idle_share: float | None = None
    problems: tuple[Note[Problem], ...] = ()


@dataclass(frozen=True)
class ContenderProfile:
    """Where one contender's cycles went.

    cycles_per_request: by layer, those without any left out
    samples: of all layers
    polling_hidden: there are empty polls, and they could not be told from work
    unknown: the most frequent functions without a layer, with their samples
    """

    contender: str
    label: str
    load: Load
    samples: int
    cycles_per_request: Mapping[str, float]
    frames: tuple[Frame, ...]
    stacks: tuple[Stack, ...]
    polling_hidden: bool = False
    unknown: Mapping[str, int] = field(default_factory=dict)

    @property
    def worked(self) -> float:
        """Return the cycles a request of all layers in the bar."""
        return sum(cycles for layer, cycles in self.cycles_per_request.items()
                   if layer not in BESIDE)

    @property
    def unknown_share(self) -> float:
        return (self.cycles_per_request.get(UNKNOWN, 0.0) / self.worked
                if self.worked else 0.0)


@dataclass(frozen=True)
class Profile:
    """Profiles of contenders at one load point: profile.json."""

    id: str
    wire: str
    point: LoadPoint
    server_cpus: tuple[int, ...]
    contenders: tuple[ContenderProfile, ...]


def create_profile(id_: str, results: Path = RESULTS) -> Path:
    """Make the directory of a new profile. MachineError if the disk refuses."""
    return make_new(results / "profiles" / id_)


def write_profile(path: Path, found: Profile, facts: Json) -> None:
    """Write the files of a profile into its directory. MachineError if the disk refuses."""
    write_json(path / "facts.json", {"schema": SCHEMA, "run": found.id, **facts})
    write_json(path / PROFILE, {"schema": SCHEMA, **to_json(found)})


def load_profile(name: str, results: Path = RESULTS) -> tuple[Profile, Json]:
    """Return a profile and its facts, by its id or its directory. UsageError where it is none."""
    places = [path for path in (results / "profiles" / name, Path(name)) if path.is_dir()]
    if not name or not places:
        raise UsageError(f"no profile '{name}': give an id under {results / 'profiles'}, or a "
                         "directory")
    data = read_json(places[0] / PROFILE)
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise UsageError(f"{places[0] / PROFILE}: not a profile of schema {SCHEMA}")
    found = from_json(Profile, data, str(places[0] / PROFILE))
    if not NAME.fullmatch(found.id):
        raise UsageError(f"{places[0] / PROFILE}: 'id' is {found.id!r}, which names no directory")
    return found, read_json(places[0] / "facts.json")
