# SPDX-License-Identifier: BSD-3-Clause
"""Read other people's figures, results/published/*.toml; knows no run of ours and no chart."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Mapping

from harness.errors import UsageError
from harness.structure import read_toml, strict, structured

PUBLISHED = Path(__file__).resolve().parents[2] / "results" / "published"
# what a claim may be of, and the workload that measures the same here
METRICS: Mapping[str, str] = {"requests/s": "rps", "connections/s": "cps", "connections": "conns"}
# how a publication measured: key in its file, and what a reader calls it
METHOD: Mapping[str, str] = {
    "cpu": "CPU", "nic": "NIC", "client": "client", "threads": "client's threads",
    "response_size": "response", "duration": "duration", "server_program": "server programs",
    "server_cores": "server cores", "kernel": "kernel", "tuning": "tuning",
    "statistics": "statistics"}
NOT_STATED = "not stated"
_AGAIN = ("body_size_bytes", "duration_seconds")


def _text(value: object, _: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(f"must be text, not {value!r}")
    return value


_CONVERTER = strict(forbid_extra_keys=True)
_CONVERTER.register_structure_hook(str, _text)


@dataclass(frozen=True)
class Series:
    """One server's published throughput.

    requests_per_sec: a figure for each load point, None where there is none
    connections: the load points; in a file only those that the series has figures for
    """

    label: str
    requests_per_sec: tuple[float | None, ...]
    connections: tuple[int, ...] = ()


@dataclass(frozen=True)
class Claim:
    """One figure without a load point; `metric`: of METRICS, `said`: the publication's words."""

    label: str
    metric: str
    figure: float
    said: str


@dataclass(frozen=True)
class Published:
    """One publication, as its file has it: a table, claims, or both.

    short: names it in a legend
    baseline: the series that gains are taken over; "" without a table
    paper: its name for `make reproduce`, which several may share; "" if nothing is to be run again
    server_cores: by load point, None where that is not stated
    method: as METHOD; what is not stated is left out
    again: what of the load a plan of ours can take over
    """

    name: str
    title: str
    short: str
    source: str
    hardware: str
    load: str
    caveats: tuple[str, ...]
    connections: tuple[int, ...] = ()
    baseline: str = ""
    series: Mapping[str, Series] = field(default_factory=dict)
    paper: str = ""
    server_cores: tuple[int | None, ...] = ()
    method: Mapping[str, str] = field(default_factory=dict)
    again: Mapping[str, int] = field(default_factory=dict)
    claims: tuple[Claim, ...] = ()

    def gains(self) -> dict[str, tuple[float | None, ...]]:
        """Return the ratio to the baseline by load point, of every other series; None where one
        of the two has no figure."""
        if not self.series:
            return {}
        below = self.series[self.baseline].requests_per_sec
        return {name: tuple(a / b if a is not None and b is not None else None
                            for a, b in zip(series.requests_per_sec, below))
                for name, series in self.series.items() if name != self.baseline}


def of_paper(paper: str, directory: Path = PUBLISHED) -> list[Published]:
    """Return the publications of that paper, or the one of that name. UsageError where there is
    none, or it has nothing to run again."""
    every = [load_published(file.stem, directory) for file in sorted(directory.glob("*.toml"))]
    found = [each for each in every if each.paper and paper in (each.paper, each.name)]
    if not found:
        known = dict.fromkeys(each.paper for each in every if each.paper)
        raise UsageError(f"no paper '{paper}' to reproduce; "
                         f"there are: {', '.join(known) or 'none'}")
    return found


def load_published(name: str, directory: Path = PUBLISHED) -> Published:
    """Return the publication <directory>/<name>.toml. UsageError on an unknown name or bad file."""
    known = sorted(file.stem for file in directory.glob("*.toml"))
    if name not in known:
        raise UsageError(f"no published figures '{name}'; there are: {', '.join(known) or 'none'}")
    path = directory / f"{name}.toml"
    data = {**read_toml(path), "name": name}
    found = structured(_CONVERTER, Published, data, str(path))
    try:
        return _checked(found)
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from None


def _checked(found: Published) -> Published:
    """Return the publication with a figure, or None, of every series at each load point."""
    points = found.connections
    if any(point < 1 for point in points) or list(points) != sorted(set(points)):
        raise ValueError("'connections' must be positive and ascending")
    if not found.series and (points or found.baseline or not found.claims):
        raise ValueError("'series' must hold at least one table [series.<name>]")
    if found.series and found.baseline not in found.series:
        raise ValueError(f"'baseline' must be one of the series: {', '.join(found.series)}")
    cores = found.server_cores or (None,) * len(points)
    if len(cores) != len(points) or any(core is not None and core < 1 for core in cores):
        raise ValueError("'server_cores' must be positive, one for each load point")
    for table, keys, allowed in (("method", found.method, METHOD), ("again", found.again, _AGAIN)):
        if set(keys) - set(allowed):
            raise ValueError(f"[{table}] may hold: {', '.join(allowed)}")
    if any(value < 0 for value in found.again.values()):
        raise ValueError("[again]: a value is negative")
    for number, claim in enumerate(found.claims, 1):
        if claim.metric not in METRICS:
            raise ValueError(f"[[claims]] number {number}: no metric '{claim.metric}'; there are: "
                             f"{', '.join(METRICS)}")
        if claim.figure <= 0:
            raise ValueError(f"[[claims]] number {number}: 'figure' must be positive")
    series = {name: _complete(name, one, points) for name, one in found.series.items()}
    return replace(found, server_cores=cores, series=series)


def _complete(name: str, series: Series, points: tuple[int, ...]) -> Series:
    own = series.connections or points
    if not set(own) <= set(points) or len(set(own)) != len(own):
        raise ValueError(f"[series.{name}]: its 'connections' must be among those of the table")
    rates = series.requests_per_sec
    if len(rates) != len(own):
        raise ValueError(f"[series.{name}] has {len(rates)} figures for {len(own)} load points")
    if any(rate is None or rate <= 0 for rate in rates):
        raise ValueError(f"[series.{name}]: a throughput must be positive")
    by_point = dict(zip(own, rates))
    return replace(series, connections=points, requests_per_sec=tuple(map(by_point.get, points)))
