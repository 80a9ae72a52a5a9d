# SPDX-License-Identifier: BSD-3-Clause
"""Other people's figures, read from results/published/*.toml. Pure; knows no run of ours and no chart."""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Mapping

from harness.errors import UsageError

PUBLISHED = Path(__file__).resolve().parents[2] / "results" / "published"
_TEXTS = ("title", "short", "source", "hardware", "load")
_TABLE = ("baseline", "connections", "series")
_KEYS = (*_TEXTS, *_TABLE, "caveats", "paper", "server_cores", "method", "again", "claims")
# what a claim may be of, and the workload that measures the same here
METRICS: Mapping[str, str] = {"requests/s": "rps", "connections/s": "cps", "connections": "conns"}
# how a publication measured: key in its file, and what a reader calls it
METHOD: Mapping[str, str] = {
    "cpu": "CPU", "nic": "NIC", "client": "client", "threads": "client's threads", "response_size": "response",
    "duration": "duration", "server_program": "server programs", "server_cores": "server cores", "kernel": "kernel",
    "tuning": "tuning", "statistics": "statistics"}
NOT_STATED = "not stated"
_AGAIN = ("body_size_bytes", "duration_seconds")


@dataclass(frozen=True)
class Series:
    """One server's published throughput, one figure per load point of its publication; None where it has none there."""

    name: str
    label: str
    requests_per_sec: tuple[float | None, ...]


@dataclass(frozen=True)
class Claim:
    """One figure without a load point; `metric` is one of METRICS, `said` the publication's own words."""

    label: str
    metric: str
    figure: float
    said: str


@dataclass(frozen=True)
class Published:
    """One publication: a table, claims, or both. `short` names it in a legend; `baseline` is the series that gains are
    taken over, "" without a table.

    `paper`: its name for `make reproduce`, "" if it is not meant to be run again; several may have one. `server_cores`:
    by load point, None where that is not stated. `method`: as METHOD, what is not stated left out. `again`: what of the
    load a plan of ours can take over: body_size_bytes, duration_seconds.
    """

    name: str
    title: str
    short: str
    source: str
    hardware: str
    load: str
    caveats: tuple[str, ...]
    connections: tuple[int, ...]
    baseline: str
    series: Mapping[str, Series]
    paper: str = ""
    server_cores: tuple[int | None, ...] = ()
    method: Mapping[str, str] = field(default_factory=dict)
    again: Mapping[str, int] = field(default_factory=dict)
    claims: tuple[Claim, ...] = ()

    def gains(self) -> dict[str, tuple[float | None, ...]]:
        """Ratio to the baseline by load point, of every other series; single figures, so no interval. None where one of
        the two has no figure."""
        if not self.series:
            return {}
        below = self.series[self.baseline].requests_per_sec
        return {name: tuple(a / b if a is not None and b is not None else None
                            for a, b in zip(series.requests_per_sec, below))
                for name, series in self.series.items() if name != self.baseline}


def of_paper(paper: str, directory: Path = PUBLISHED) -> list[Published]:
    """The publications of that paper, or the one of that name. UsageError where there is none, or it has nothing to run
    again."""
    every = [load_published(file.stem, directory) for file in sorted(directory.glob("*.toml"))]
    found = [each for each in every if each.paper and paper in (each.paper, each.name)]
    if not found:
        known = dict.fromkeys(each.paper for each in every if each.paper)
        raise UsageError(f"no paper '{paper}' to reproduce; there are: {', '.join(known) or 'none'}")
    return found


def load_published(name: str, directory: Path = PUBLISHED) -> Published:
    """The publication <directory>/<name>.toml. Raises UsageError on an unknown name or a bad file."""
    known = sorted(file.stem for file in directory.glob("*.toml"))
    if name not in known:
        raise UsageError(f"no published figures '{name}'; there are: {', '.join(known) or 'none'}")
    path = directory / f"{name}.toml"
    try:
        data = tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read as TOML: {error}") from None
    try:
        return _parse(name, data)
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from None


def _parse(name: str, data: Mapping[str, Any]) -> Published:
    for key in data:
        if key not in _KEYS:
            raise ValueError(f"unknown key '{key}'; there are: {', '.join(_KEYS)}")
    texts = {key: _text(data, key) for key in _TEXTS}
    claims = tuple(_claim(number, table) for number, table in enumerate(_tables(data, "claims"), 1))
    connections: tuple[int, ...] = ()
    series: dict[str, Series] = {}
    baseline = ""
    if not claims or any(key in data for key in _TABLE):
        baseline, connections, series = _table(data)
    cores = _list(data, "server_cores", int) if "server_cores" in data else (None,) * len(connections)
    if len(cores) != len(connections) or any(core is not None and core < 1 for core in cores):
        raise ValueError("'server_cores' must be positive, one for each load point")
    return Published(name=name, caveats=_list(data, "caveats", str), baseline=baseline, connections=connections,
                     series=series, paper=_text(data, "paper") if "paper" in data else "", server_cores=cores,
                     method=_method(data), again=_again(data), claims=claims, **texts)


def _table(data: Mapping[str, Any]) -> tuple[str, tuple[int, ...], dict[str, Series]]:
    baseline, connections = _text(data, "baseline"), _list(data, "connections", int)
    if any(value < 1 for value in connections) or list(connections) != sorted(set(connections)):
        raise ValueError("'connections' must be positive and ascending")
    tables = data.get("series")
    if not isinstance(tables, dict) or not tables:
        raise ValueError("'series' must hold at least one table [series.<name>]")
    series = {key: _series(key, table, connections) for key, table in tables.items()}
    if baseline not in series:
        raise ValueError(f"'baseline' must be one of the series: {', '.join(series)}")
    return baseline, connections, series


def _series(name: str, table: Any, points: tuple[int, ...]) -> Series:
    if not isinstance(table, dict) or set(table) - {"connections"} != {"label", "requests_per_sec"}:
        raise ValueError(f"[series.{name}] must hold 'label' and 'requests_per_sec', maybe 'connections', nothing else")
    own = _list(table, "connections", int) if "connections" in table else points
    if not set(own) <= set(points) or len(set(own)) != len(own):
        raise ValueError(f"[series.{name}]: its 'connections' must be among those of the table")
    rates = _list(table, "requests_per_sec", float)
    if len(rates) != len(own):
        raise ValueError(f"[series.{name}] has {len(rates)} figures for {len(own)} load points")
    if any(not math.isfinite(rate) or rate <= 0 for rate in rates):
        raise ValueError(f"[series.{name}]: a throughput must be positive")
    by_point = {point: float(rate) for point, rate in zip(own, rates)}
    return Series(name, _text(table, "label"), tuple(by_point.get(point) for point in points))


def _claim(number: int, table: Any) -> Claim:
    where = f"[[claims]] number {number}"
    if not isinstance(table, dict) or set(table) != {"label", "metric", "figure", "said"}:
        raise ValueError(f"{where} must hold 'label', 'metric', 'figure' and 'said', nothing else")
    metric, figure = _text(table, "metric"), table["figure"]
    if metric not in METRICS:
        raise ValueError(f"{where}: no metric '{metric}'; there are: {', '.join(METRICS)}")
    if type(figure) not in (int, float) or not math.isfinite(figure) or figure <= 0:
        raise ValueError(f"{where}: 'figure' must be positive")
    return Claim(_text(table, "label"), metric, float(figure), _text(table, "said"))


def _method(data: Mapping[str, Any]) -> dict[str, str]:
    table = data.get("method", {})
    if not isinstance(table, dict) or set(table) - set(METHOD):
        raise ValueError(f"[method] may hold: {', '.join(METHOD)}")
    return {key: _text(table, key) for key in METHOD if key in table}


def _again(data: Mapping[str, Any]) -> dict[str, int]:
    table = data.get("again", {})
    if not isinstance(table, dict) or set(table) - set(_AGAIN):
        raise ValueError(f"[again] may hold: {', '.join(_AGAIN)}")
    if any(type(value) is not int or value < 0 for value in table.values()):
        raise ValueError("[again]: a value is not a whole number")
    return dict(table)


def _tables(data: Mapping[str, Any], key: str) -> list[Any]:
    value = data.get(key, [])
    if not isinstance(value, list):
        raise ValueError(f"'{key}' must be a list of tables [[{key}]]")
    return value


def _text(table: Mapping[str, Any], key: str) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not value:
        raise ValueError(f"'{key}' is missing or not text")
    return value


def _list(table: Mapping[str, Any], key: str, kind: type) -> tuple[Any, ...]:
    kinds = (int, float) if kind is float else (kind,)
    value = table.get(key)
    if not isinstance(value, list) or not all(type(item) in kinds for item in value):
        raise ValueError(f"'{key}' is missing or not a list of {kind.__name__}")
    return tuple(value)
