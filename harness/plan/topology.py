# SPDX-License-Identifier: BSD-3-Clause
"""How a file of topologies/ is read: its tables, over those of its base. Knows no key but those that join tables."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Mapping

from harness.errors import UsageError

TOPOLOGIES = Path(__file__).resolve().parents[2] / "topologies"
DEEPEST_BASE = 4


class Table:
    """A TOML table that insists on types, and on being read to the last key."""

    def __init__(self, data: Mapping[str, Any], where: str) -> None:
        self._data = dict(data)
        self.where = where

    def take(self, key: str, kind: type, default: Any = None) -> Any:
        """The value of a key, once. UsageError when it is missing and has no default, or of another type."""
        if key not in self._data:
            if default is None:
                raise UsageError(f"{self.where}: '{key}' is missing")
            return default
        value = self._data.pop(key)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise UsageError(f"{self.where}: '{key}' must be {kind.__name__}, not {value!r}")
        return value

    def choice(self, key: str, allowed: tuple[str, ...], default: str | None = None) -> str:
        value: str = self.take(key, str, default)
        if value not in allowed:
            raise UsageError(f"{self.where}: '{key}' must be one of {', '.join(allowed)}, not '{value}'")
        return value

    def words(self, key: str, default: list[str] | None = None) -> tuple[str, ...]:
        words = self.take(key, list, default)
        if not all(isinstance(word, str) for word in words):
            raise UsageError(f"{self.where}: '{key}' must be a list of text")
        return tuple(words)

    def table(self, key: str, where: str = "") -> "Table":
        return Table(self.take(key, dict), where or f"{self.where} [{key}]")

    def keys(self) -> list[str]:
        return list(self._data)

    def done(self) -> None:
        if self._data:
            raise UsageError(f"{self.where}: unknown key '{sorted(self._data)[0]}'")


def path_of(name: str) -> Path:
    return Path(name) if name.endswith(".toml") else TOPOLOGIES / f"{name}.toml"


def read(name: str) -> dict[str, Any]:
    """The tables of topologies/<name>.toml (or of the file at path `name`), over those of its base; contenders that
    are `like` another have that one's keys where they say nothing, and `more_arguments` after its arguments. A file
    that `keeps` some contenders of its base has no other of them. UsageError on what cannot be joined so.
    """
    data = _read(name, 0)
    contenders = data.get("contenders", {})
    for key, table in contenders.items() if isinstance(contenders, dict) else ():
        like = table.pop("like", None) if isinstance(table, dict) else None
        if like is None:
            continue
        if like not in contenders or like == key or "like" in contenders[like]:
            raise UsageError(f"{path_of(name)} [contenders.{key}]: 'like' must name a contender that stands before it")
        more = table.pop("more_arguments", [])
        contenders[key] = _merged(contenders[like], table)
        if not isinstance(more, list) or (more and not isinstance(contenders[key].get("arguments"), list)):
            raise UsageError(f"{path_of(name)} [contenders.{key}]: 'more_arguments' must be a list of text")
        if more:
            contenders[key]["arguments"] = [*contenders[key]["arguments"], *more]
    return data


def _read(name: str, depth: int) -> dict[str, Any]:
    path = path_of(name)
    try:
        data = tomllib.loads(path.read_text())
    except OSError:
        known = ", ".join(sorted(file.stem for file in TOPOLOGIES.glob("*.toml")))
        raise UsageError(f"no wire '{name}'; there are: {known}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not TOML: {error}") from None
    base = data.pop("base", None)
    if base is None:
        return data
    if not isinstance(base, str) or depth == DEEPEST_BASE:
        raise UsageError(f"{path}: 'base' must name a wire, and no chain of them may be longer than {DEEPEST_BASE}")
    return _over(_read(base, depth + 1), data, path)


def _over(base: dict[str, Any], data: dict[str, Any], path: Path) -> dict[str, Any]:
    """`data` over `base`. A contender that stands `instead_of` one of the base has that one's keys, and its place."""
    keeps = data.pop("keeps", None)
    if keeps is not None:
        there = base.get("contenders", {})
        if not isinstance(keeps, list) or not keeps or not all(name in there for name in keeps):
            raise UsageError(f"{path}: 'keeps' must name contenders of its base: {', '.join(there)}")
        base["contenders"] = {name: table for name, table in there.items() if name in keeps}
    for name, table in data.get("contenders", {}).items():
        instead_of = table.pop("instead_of", None) if isinstance(table, dict) else None
        if instead_of is None:
            continue
        there = base.get("contenders", {})
        if instead_of not in there:
            raise UsageError(f"{path} [contenders.{name}]: its base has no contender '{instead_of}'")
        base["contenders"] = {name if key == instead_of else key: value for key, value in there.items()}
    return _merged(base, data)


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the keys of `over`; tables merge, everything else is replaced."""
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merged(merged[key], value) if both else value
    return merged
