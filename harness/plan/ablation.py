# SPDX-License-Identifier: BSD-3-Clause
"""Which contenders show what each optimisation of a server is worth. Pure.

First with none of them, then with one more at a time in the order of MEASURES, which has them all
in the end; and with all but one, for each.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Mapping, Sequence

from harness.plan.wire import Wire

PLAIN = "plain"


@dataclass(frozen=True)
class Measure:
    """One optimisation of lwip_server: its name for --without, and one line for a reader."""

    name: str
    what: str


# as the server's own table has them, which a test compares
MEASURES = (
    Measure("lookup", "connections and listeners found in a keyed table, not by walking a list"),
    Measure("pools", "buffers from constant-time pools, not from lwIP's first-fit heap"),
    Measure("timers", "timers by deadline in a wheel, not by walking all connections"),
    Measure("rx-lend", "received packets reach TCP without a copy"),
    Measure("tx-in-place", "headers and small bodies built in the packet that leaves, not copied thrice"),
    Measure("tx-attach", "large bodies attached to the packet, where the port takes several segments"),
    Measure("sum-in-copy", "checksums that no hardware computes, folded into the copy or kept"),
    Measure("offload", "checksums left to the port where it offers"),
    Measure("tso", "segmentation left to the port where it offers"),
    Measure("batch", "packets sent in bursts, not one by one"),
    Measure("prefetch", "the connections of a burst looked up ahead"),
    Measure("clock", "the clock read once a turn, not for every packet"),
    Measure("prediction", "header prediction for the segment that is expected next"),
    Measure("request", "a request known by its bytes is not parsed again"),
)


@dataclass(frozen=True)
class Step:
    """One contender of an ablation: its name and title, and the optimisations that it leaves out."""

    name: str
    title: str
    without: tuple[str, ...]


def of(wire: Wire, contender: str) -> Wire:
    """Return the wire with the steps of an ablation in the place of its contenders, each made from `contender`."""
    like = wire.contenders[contender]
    made = {step.name: replace(like, name=step.name, title=step.title, without=step.without)
            for step in steps(MEASURES)}
    return replace(wire, ablation=True, contenders=made)


def added(measure: str) -> str:
    """Return the contender that has this optimisation and those before it."""
    return f"+{measure}"


def lacking(measure: str) -> str:
    """Return the contender that has all optimisations but this."""
    return f"-{measure}"


def steps(table: Sequence[Measure]) -> list[Step]:
    """Return the contenders in their order: none of the optimisations, one more each, all but one."""
    names = [item.name for item in table]
    climb = [Step(added(name), f"with {name}" if place + 1 < len(names) else f"with {name}: all measures",
                  tuple(names[place + 1:])) for place, name in enumerate(names)]
    return [Step(PLAIN, "the plain design, all measures left out", tuple(names)), *climb,
            *(Step(lacking(name), f"all measures but {name}", (name,)) for name in names[:-1])]


def below(table: Sequence[Measure]) -> Mapping[str, tuple[str, str]]:
    """Return for each optimisation, by name, the contenders before and after it is added."""
    before = [PLAIN, *(added(item.name) for item in table)]
    return {item.name: (before[place], before[place + 1]) for place, item in enumerate(table)}


def apart(table: Sequence[Measure]) -> Mapping[str, tuple[str, str]]:
    """Return for each optimisation, by name, the contender with all but this one, and the one with all.

    The last one is left out by the step before it, which is therefore not measured twice.
    """
    names = [item.name for item in table]
    last = added(names[-1])
    but_one = {name: (lacking(name), last) for name in names[:-1]}
    return {**but_one, names[-1]: (below(table)[names[-1]][0], last)}
