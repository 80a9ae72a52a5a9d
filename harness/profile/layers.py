# SPDX-License-Identifier: BSD-3-Clause
"""Say which layer a function is of, by the table layers.toml.

The first rule that fits decides. What no rule fits is unknown, and is listed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from fnmatch import translate
from functools import cache, lru_cache
from pathlib import Path, PurePosixPath

from harness.errors import UsageError
from harness.profile.perf_script import KERNEL, Call
from harness.structure import read_toml, strict, structured

_FILE = Path(__file__).with_name("layers.toml")


class Layer(Enum):
    """What cycles are spent on, in the order of a bar."""

    APPLICATION = "application"
    LIBRARY = "library"
    SYSCALL = "syscall"
    SOCKET = "socket"
    TCP = "tcp"
    IP = "ip"
    DRIVER = "driver"
    EAL = "eal"
    COPY = "copy"
    WAKEUP = "wakeup"
    INTERRUPT = "interrupt"
    POLLING = "polling"
    UNKNOWN = "unknown"
    # beside the bar: nothing was done for a request
    OTHER = "other"
    IDLE = "idle"


# of a rule: the layer of whoever called
CALLER = "caller"


@dataclass(frozen=True)
class Rule:
    """One row. Patterns are those of a shell, parted by blanks; none fits all.

    layer: of Layer, or "caller"
    dso: name of the file, "kernel" for the kernel
    symbols: names of functions, without what compilers append after a dot
    sources: paths of source files
    polls: also runs when there is nothing to do
    """

    layer: str
    dso: str = "*"
    symbols: str = "*"
    sources: str = ""
    polls: bool = False


@dataclass(frozen=True)
class _Table:
    rule: tuple[Rule, ...] = field(default_factory=tuple)


@cache
def _pattern(words: str) -> re.Pattern[str]:
    return re.compile("|".join(map(translate, words.split())))


class Rules:
    """The rules, in their order."""

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self._rules = rules
        self._found: dict[tuple[str, str, str], Rule | None] = {}

    def of(self, call: Call) -> Rule | None:
        """Return the first rule that fits; None for none."""
        key = call.dso, call.symbol, call.source
        if key not in self._found:
            self._found[key] = next((rule for rule in self._rules if _fits(rule, call)), None)
        return self._found[key]


def _fits(rule: Rule, call: Call) -> bool:
    name = call.dso if call.dso == KERNEL else PurePosixPath(call.dso).name
    return bool(_pattern(rule.dso).match(name)
                and _pattern(rule.symbols).match(call.symbol.partition(".")[0])
                and (not rule.sources or _pattern(rule.sources).match(call.source)))


@lru_cache(maxsize=None)
def load_rules(file: Path = _FILE) -> Rules:
    """Return the table. UsageError where it is none, or names a layer that there is not."""
    table = structured(strict(forbid_extra_keys=True), _Table, read_toml(file), str(file))
    known = {CALLER, *(layer.value for layer in Layer)}
    for rule in table.rule:
        if rule.layer not in known:
            raise UsageError(f"{file}: '{rule.layer}' is no layer; there are: "
                             f"{', '.join(sorted(known))}")
    return Rules(table.rule)
