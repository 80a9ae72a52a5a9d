# SPDX-License-Identifier: BSD-3-Clause
"""Other people's figures, read from results/published/*.toml. Pure; knows no run of ours and no chart."""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping

from harness.errors import UsageError

PUBLISHED = Path(__file__).resolve().parent.parent / "results" / "published"
_TEXTS = ("title", "short", "source", "hardware", "load", "baseline")
_KEYS = (*_TEXTS, "caveats", "connections", "series")


@dataclass(frozen=True)
class Series:
    """One server's published throughput, one figure per load point of its publication."""

    name: str
    label: str
    requests_per_sec: tuple[float, ...]


@dataclass(frozen=True)
class Published:
    """One publication. `short` names it in a legend; `baseline` is the series that gains are taken over."""

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

    def gains(self) -> dict[str, tuple[float, ...]]:
        """Ratio to the baseline by load point, of every other series; single figures, so no interval."""
        below = self.series[self.baseline].requests_per_sec
        return {name: tuple(a / b for a, b in zip(series.requests_per_sec, below))
                for name, series in self.series.items() if name != self.baseline}


def load(name: str, directory: Path = PUBLISHED) -> Published:
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
    connections = _list(data, "connections", int)
    if any(value < 1 for value in connections) or list(connections) != sorted(set(connections)):
        raise ValueError("'connections' must be positive and ascending")
    tables = data.get("series")
    if not isinstance(tables, dict) or not tables:
        raise ValueError("'series' must hold at least one table [series.<name>]")
    series = {key: _series(key, table, len(connections)) for key, table in tables.items()}
    if texts["baseline"] not in series:
        raise ValueError(f"'baseline' must be one of the series: {', '.join(series)}")
    return Published(name=name, caveats=_list(data, "caveats", str), connections=connections, series=series,
                     **texts)


def _series(name: str, table: Any, points: int) -> Series:
    if not isinstance(table, dict) or set(table) != {"label", "requests_per_sec"}:
        raise ValueError(f"[series.{name}] must hold 'label' and 'requests_per_sec', nothing else")
    rates = _list(table, "requests_per_sec", float)
    if len(rates) != points:
        raise ValueError(f"[series.{name}] has {len(rates)} figures for {points} load points")
    if any(not math.isfinite(rate) or rate <= 0 for rate in rates):
        raise ValueError(f"[series.{name}]: a throughput must be positive")
    return Series(name, _text(table, "label"), tuple(map(float, rates)))


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
