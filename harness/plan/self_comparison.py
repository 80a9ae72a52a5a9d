# SPDX-License-Identifier: BSD-3-Clause
"""A/A test: a contender against itself, once more under a second name. What the two differ by is
noise. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Iterable, Sequence

from harness.plan.wire import Wire

# such that it can be part of a path
_AGAIN = "-again"


def twin(name: str) -> str:
    """Return the second name of a contender."""
    return f"{name}{_AGAIN}"


def original(name: str) -> str:
    """Return the contender that this is the second name of; "" where it is a first one."""
    return name.removesuffix(_AGAIN) if name.endswith(_AGAIN) else ""


def pairs(names: Iterable[str]) -> list[tuple[str, str]]:
    """Return (second name, first name) of those that are there under both."""
    known = list(names)
    return [(name, original(name)) for name in known if original(name) in known]


def with_twins(wire: Wire, names: Sequence[str]) -> Wire:
    """Return the wire with those of `names` that are second names of its contenders, on the same
    links."""
    firsts = {name: wire.contenders[original(name)] for name in names
              if name not in wire.contenders and original(name) in wire.contenders}
    more = {name: replace(first, name=name, title=f"{first.title}, once more")
            for name, first in firsts.items()}
    return replace(wire, contenders={**wire.contenders, **more}) if more else wire
