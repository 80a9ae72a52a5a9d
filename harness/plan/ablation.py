# SPDX-License-Identifier: BSD-3-Clause
"""Which contenders show what each optimisation of a server is worth, or each obligation costs.

First with none of them, then with one more at a time in the order of their table, which has them
all in the end; and with all but one, for each.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Mapping, Sequence

from harness.plan.wire import Wire

PLAIN = "plain"
# where the server has its table of obligations, which grows with them
_SERVERS_TABLE = Path(__file__).resolve().parents[2] / "servers" / "common" / "features.c"
_ROW = re.compile(r'\{OBLIGATION_[A-Z_]+,\s*"([a-z0-9-]+)",\s*"([^"]+)"\}')


@dataclass(frozen=True)
class Optimisation:
    """One optimisation of lwip_server, or one obligation: its name for --without or --waive, and one
    line for a reader."""

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


@lru_cache(maxsize=None)
def obligations() -> tuple[Optimisation, ...]:
    """Return the obligations of lwip_server, as its own table has them."""
    return tuple(Optimisation(*row) for row in _ROW.findall(_SERVERS_TABLE.read_text("utf-8")))


# what a wire can take apart: the table of each, and the field of a contender that leaves some out
OF_OPTIMISATIONS, OF_OBLIGATIONS = KINDS = ("optimisations", "obligations")


def table_of(kind: str) -> tuple[Optimisation, ...]:
    """Return the table of a kind of ablation; () for "", of a wire that is none."""
    return {OF_OPTIMISATIONS: OPTIMISATIONS, OF_OBLIGATIONS: obligations()}.get(kind, ())


@dataclass(frozen=True)
class Step:
    """One contender of an ablation: its name and title, and what it leaves out."""

    name: str
    title: str
    without: tuple[str, ...]


def of(wire: Wire, contender: str, kind: str) -> Wire:
    """Return the wire with the steps of an ablation in the place of its contenders, each made from `contender`."""
    like = wire.contenders[contender]
    made = {}
    for step in steps(table_of(kind), kind):
        without, waived = ((step.without, ()) if kind == OF_OPTIMISATIONS else ((), step.without))
        made[step.name] = replace(like, name=step.name, title=step.title, without=without,
                                  waived=waived)
    return replace(wire, ablation=kind, contenders=made)


def added(name: str) -> str:
    """Return the contender that has this optimisation and those before it."""
    return f"+{name}"


def lacking(name: str) -> str:
    """Return the contender that has all optimisations but this."""
    return f"-{name}"


def steps(table: Sequence[Optimisation], kind: str = OF_OPTIMISATIONS) -> list[Step]:
    """Return the contenders in their order: none of the table's, one more each, all but one."""
    names = [item.name for item in table]
    climb = [Step(added(name), f"with {name}", tuple(names[place + 1:]))
             for place, name in enumerate(names)]
    climb[-1] = replace(climb[-1], title=f"with {names[-1]}: all {kind}")
    return [Step(PLAIN, f"all {kind} left out", tuple(names)), *climb,
            *(Step(lacking(name), f"all {kind} but {name}", (name,)) for name in names[:-1])]


def below(table: Sequence[Optimisation]) -> Mapping[str, tuple[str, str]]:
    """Return for each of them, by name, the contenders before and after it is added."""
    before = [PLAIN, *(added(item.name) for item in table)]
    return {item.name: (before[place], before[place + 1]) for place, item in enumerate(table)}


def apart(table: Sequence[Optimisation]) -> Mapping[str, tuple[str, str]]:
    """Return for each of them, by name, the contender with all but this one, and the one with all.

    The last one is left out by the step before it, which is therefore not measured twice.
    """
    names = [item.name for item in table]
    last = added(names[-1])
    but_one = {name: (lacking(name), last) for name in names[:-1]}
    return {**but_one, names[-1]: (below(table)[names[-1]][0], last)}
