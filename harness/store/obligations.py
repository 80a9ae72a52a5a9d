# SPDX-License-Identifier: BSD-3-Clause
"""Define what a battery of raw segments found of contenders: conformance.json.

What each field means: results/README.md. Made by harness/conformance/.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Mapping

from harness.errors import UsageError
from harness.store.convert import Json, from_json, to_json

SCHEMA = 1
# of its own directory, and of a run's
FILE = "conformance.json"


class Result(StrEnum):
    """What became of an obligation."""

    KEPT = "kept"
    MISSED = "missed"
    NOT_TESTABLE = "not-testable"


class Severity(StrEnum):
    """What may come of an obligation that is missed: the worst first."""

    ATTACK = "attack"
    WEDGE = "wedge"
    LOSS = "loss"
    MINOR = "minor"


@dataclass(frozen=True)
class Outcome:
    """What became of an obligation with one contender.

    why: what was seen, where it was not kept
    trace: each packet of the case, a line each, where it was not kept
    """

    result: Result
    why: str = ""
    trace: tuple[str, ...] = ()


@dataclass(frozen=True)
class Obligation:
    """What a case tests, by the case's name; rfc: where it is demanded."""

    case: str
    text: str
    rfc: str
    severity: Severity


@dataclass(frozen=True)
class Service:
    """What honest clients had: p99_ms: of the answers, None without one; failed: requests."""

    answers_per_sec: float
    p99_ms: float | None
    failed: int


@dataclass(frozen=True)
class Impact:
    """What an attack, by its name, did to honest clients of one contender.

    text: what it does
    frames_per_sec: that the attacker sent meanwhile; None of an attack by whole connections
    """

    attack: str
    text: str
    before: Service
    under: Service
    frames_per_sec: float | None = None


@dataclass(frozen=True)
class UnderTest:
    """A contender that was tested, and what it was.

    programs: sha256 by name, of what carries its TCP and what is on it; None where it is not there
    kernel: release of the kernel whose TCP it has; "" for another's
    outcomes: by the name of the case
    impacts: of the attacks that were tried
    record: id of the record that it was first written in
    """

    contender: str
    label: str
    stack: str
    arguments: tuple[str, ...]
    programs: Mapping[str, str | None]
    kernel: str
    wire: str
    record: str
    outcomes: Mapping[str, Outcome] = field(default_factory=dict)
    impacts: tuple[Impact, ...] = ()

    def having(self, result: Result) -> list[str]:
        """Return the names of the cases with this result."""
        return [name for name, outcome in self.outcomes.items() if outcome.result == result]


@dataclass(frozen=True)
class Conformance:
    """What was found of contenders, on one wire or on several.

    named: only cases that somebody named, which says nothing of the rest
    """

    id: str
    obligations: tuple[Obligation, ...]
    contenders: tuple[UnderTest, ...]
    named: bool = False

    @property
    def by_severity(self) -> list[Obligation]:
        """The obligations, those first whose loss is the worst."""
        order = list(Severity)
        return sorted(self.obligations, key=lambda item: order.index(item.severity))


def read(data: Any, place: str) -> Conformance:
    """Return the record that a file holds. UsageError where it is none of ours."""
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise UsageError(f"{place}: not a record of schema {SCHEMA}")
    return from_json(Conformance, data, place)


def written(found: Conformance) -> Json:
    """Return what the file holds."""
    return {"schema": SCHEMA, **to_json(found)}
