# SPDX-License-Identifier: BSD-3-Clause
"""A contender against itself: the same contender once more, under a second name. Pure.

What the two differ by is noise, whatever it looks like: they are provisioned, started and measured as any two are.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Iterable, Sequence

from harness.plan.wire import Wire

# such that it can be part of a path
_AGAIN = "-again"


def twin(name: str) -> str:
    """The second name of a contender."""
    return f"{name}{_AGAIN}"


def original(name: str) -> str:
    """The contender that this is the second name of; "" where it is a first one."""
    return name.removesuffix(_AGAIN) if name.endswith(_AGAIN) else ""


def pairs(names: Iterable[str]) -> list[tuple[str, str]]:
    """(second name, first name) of those that are there under both."""
    known = list(names)
    return [(name, original(name)) for name in known if original(name) in known]


def with_twins(wire: Wire, names: Sequence[str]) -> Wire:
    """The wire with those of `names` that are second names of its contenders. Both share what links it has."""
    made = {name: replace(wire.contenders[first], name=name, label=f"{wire.contenders[first].label}, once more")
            for name in names if name not in wire.contenders for first in [original(name)] if first in wire.contenders}
    return replace(wire, contenders={**wire.contenders, **made}) if made else wire
