# SPDX-License-Identifier: BSD-3-Clause
"""Which contenders show what each optimisation of a server is worth. Pure.

First with none of them, then with one more at a time in the order of OPTIMISATIONS, which has
them all in the end; and with all but one, for each.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Mapping, Sequence

from harness.plan.wire import Wire

PLAIN = "plain"


@dataclass(frozen=True)
class Optimisation:
    """One optimisation of lwip_server: its name for --without, and one line for a reader."""

    name: str
    what: str


# as the server's own table has them, which a test compares
OPTIMISATIONS = (
    Optimisation("request", "a request known by its bytes is not parsed again"),
    Optimisation("batch", "packets sent in bursts, not one by one"),
    Optimisation("lookup",
                 "connections and listeners found in a keyed table, not by walking a list"),
    Optimisation("pools", "buffers from constant-time pools, not from lwIP's first-fit heap"),
    Optimisation("timers", "timers by deadline in a wheel, not by walking all connections"),
    Optimisation("rx-zero-copy", "received packets reach TCP without a copy"),
    Optimisation("tx-in-place",
                 "headers and small bodies built in the packet that leaves, not copied thrice"),
    Optimisation("tx-attach",
                 "large bodies attached to the packet, where the port takes several segments"),
    Optimisation("sum-in-copy",
                 "checksums that no hardware computes, folded into the copy or kept"),
    Optimisation("offload", "checksums left to the port where it offers"),
    Optimisation("tso", "segmentation left to the port where it offers"),
    Optimisation("prefetch", "the connections of a burst looked up ahead"),
    Optimisation("clock", "the clock read once a turn, not for every packet"),
    Optimisation("prediction", "header prediction for the segment that is expected next"),
)

# what published small servers on lwIP have too, the first rows of the table: they look at a request's first bytes
# alone, and send what they answer to a burst together
AS_PUBLISHED = ("request", "batch")


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
            for step in steps(OPTIMISATIONS)}
    return replace(wire, ablation=True, contenders=made)


def added(name: str) -> str:
    """Return the contender that has this optimisation and those before it."""
    return f"+{name}"


def lacking(name: str) -> str:
    """Return the contender that has all optimisations but this."""
    return f"-{name}"


def steps(table: Sequence[Optimisation]) -> list[Step]:
    """Return the contenders in their order: none of the optimisations, one more each, all but one."""
    names = [item.name for item in table]
    climb = [Step(added(name), f"with {name}", tuple(names[place + 1:]))
             for place, name in enumerate(names)]
    climb[-1] = replace(climb[-1], title=f"with {names[-1]}: all optimisations")
    return [Step(PLAIN, "all optimisations left out", tuple(names)), *climb,
            *(Step(lacking(name), f"all optimisations but {name}", (name,)) for name in names[:-1])]


def below(table: Sequence[Optimisation]) -> Mapping[str, tuple[str, str]]:
    """Return for each optimisation, by name, the contenders before and after it is added."""
    before = [PLAIN, *(added(item.name) for item in table)]
    return {item.name: (before[place], before[place + 1]) for place, item in enumerate(table)}


def apart(table: Sequence[Optimisation]) -> Mapping[str, tuple[str, str]]:
    """Return for each optimisation, by name, the contender with all but this one, and the one with all.

    The last one is left out by the step before it, which is therefore not measured twice.
    """
    names = [item.name for item in table]
    last = added(names[-1])
    but_one = {name: (lacking(name), last) for name in names[:-1]}
    return {**but_one, names[-1]: (below(table)[names[-1]][0], last)}
