# SPDX-License-Identifier: BSD-3-Clause
"""The ladder of measures: which contenders show what each measure of the server is worth. Knows no wire.

First with all of them left out, then with one more at a time in the order of the table in servers/common/measures.c, which
has them all in the end; and with all but one, for each.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Mapping, Sequence

from harness.errors import UsageError

TABLE = Path(__file__).resolve().parents[2] / "servers" / "common" / "measures.c"
PLAIN = "plain"
_ROW = re.compile(r'\{MEASURE_[A-Z_]+,\s*"([a-z0-9-]+)",\s*"([^"]+)"\}')


@dataclass(frozen=True)
class Measure:
    """One row of the server's table: its name on the command line, and one line for a reader."""

    name: str
    what: str


@dataclass(frozen=True)
class Step:
    """One contender of the ladder: its name and label, and the measures that it leaves out."""

    name: str
    label: str
    without: tuple[str, ...]


def measures(table: Path = TABLE) -> tuple[Measure, ...]:
    """The server's measures in the ladder's order. UsageError when the table is not there or not such a table."""
    try:
        rows = _ROW.findall(table.read_text())
    except OSError as error:
        raise UsageError(f"{table}: cannot read: {error.strerror}") from None
    found = tuple(Measure(name, what) for name, what in rows)
    if not found or len({measure.name for measure in found}) != len(found):
        raise UsageError(f"{table}: has no table of measures, each with a name of its own")
    return found


def added(measure: str) -> str:
    """The contender that has this measure and those before it."""
    return f"+{measure}"


def lacking(measure: str) -> str:
    """The contender that has all measures but this."""
    return f"-{measure}"


def steps(table: Sequence[Measure]) -> list[Step]:
    """The contenders in their order: the plain design, the ladder up to all measures, all but one."""
    names = [measure.name for measure in table]
    climb = [Step(added(name), f"with {name}" if place + 1 < len(names) else f"with {name}: all measures",
                  tuple(names[place + 1:])) for place, name in enumerate(names)]
    return [Step(PLAIN, "the plain design, all measures left out", tuple(names)), *climb,
            *(Step(lacking(name), f"all measures but {name}", (name,)) for name in names[:-1])]


def below(table: Sequence[Measure]) -> Mapping[str, tuple[str, str]]:
    """For each measure, by name: the contenders before and after it on the ladder."""
    before = [PLAIN, *(added(measure.name) for measure in table)]
    return {measure.name: (before[place], before[place + 1]) for place, measure in enumerate(table)}


def apart(table: Sequence[Measure]) -> Mapping[str, tuple[str, str]]:
    """For each measure, by name: the contender with all but this one, and the one with all.

    The last measure of the ladder is left out by its last step but one, which is therefore not measured twice.
    """
    names = [measure.name for measure in table]
    last = added(names[-1])
    found = {name: (lacking(name), last) for name in names[:-1]}
    return {**found, names[-1]: (below(table)[names[-1]][0], last)}
