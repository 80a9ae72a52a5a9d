# SPDX-License-Identifier: BSD-3-Clause
"""Define a load: workloads, load points, and the axes that a plan can sweep.

Knows no plan, no load tool and no wire. A new workload or axis is a row.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Mapping

from harness.errors import UsageError
from harness.plan.netem import MOST_PERCENT, amount

# requests under way in the workloads that keep most of their connections quiet
FEW = 64
MANY = 10_000


@dataclass(frozen=True)
class Workload:
    """Shape of request, response and connection: one request in flight on each connection that is asked.

    A GET of `path` that is answered with a body, or redis's SET or GET of one key with a value of that size.
    `connect`: every request has a connection of its own, closed by the client after the answer (by wrk's server, as
    wrk asks it to). `active`: how many of the connections are asked, 0 all; the others stand and are quiet. `rotate`:
    after each answer the turn passes to the next connection, so that as many are asked at a time, and all in turn.
    """

    name: str
    path: str
    body_size_bytes: int
    connect: bool = False
    active: int = 0
    rotate: bool = False

    def in_turn(self, connections: int) -> int:
        """How many of so many connections have a request in flight at a time."""
        return min(connections, self.active) if self.active else connections


WORKLOADS: Mapping[str, Workload] = {shape.name: shape for shape in (
    Workload("rps", "/", 1),
    Workload("cps", "/", 600, connect=True),
    Workload("bandwidth", "/", 3700),
    Workload("conns", "/", 1, active=FEW),
    Workload("conns-10k", "/", 1, active=MANY),
    Workload("turns", "/", 1, active=FEW, rotate=True),
    Workload("nginx-get", "/body", 1),
    # the size is redis-benchmark's own default
    Workload("redis-set", "", 3), Workload("redis-get", "", 3))}
# what our own servers answer, on whichever wire
GENERAL = ("rps", "cps", "bandwidth", "conns", "conns-10k", "turns")
# bodies, in bytes, of a workload that is several load shapes: a run each
SIZES: Mapping[str, tuple[int, ...]] = {"bandwidth": (3700, 64 << 10, 1 << 20)}


def expected_body(size: int) -> bytes:
    """Return a body of `size` bytes, in the pattern of servers/http: a lost, repeated or moved byte shows."""
    return b"".join(b"%07d\n" % k for k in range(size // 8 + 1))[:size]


SUFFIXES = {"K": 1 << 10, "M": 1 << 20}
MOST_CONNECTIONS, MOST_CORES, MOST_BODY, MOST_RATE = 1 << 25, 4096, 64 << 20, 1_000_000_000
MOST_DELAY_MS = 200


@dataclass(frozen=True, order=True)
class LoadPoint:
    """One value on each axis; complete, whichever axes a plan sweeps.

    connections: open at a time
    offered_per_sec: requests/s of an open loop; 0 for a closed one
    server_cores: how many cores of the plan's the server may use
    body_size_bytes: of the response's body, or of the value
    impairment: netem's words, as `delay 5ms loss 1%`; "" for none
    """

    connections: int
    offered_per_sec: int = 0
    server_cores: int = 1
    body_size_bytes: int = 1
    impairment: str = ""


@dataclass(frozen=True)
class Axis:
    """One axis of a sweep.

    key: field of LoadPoint
    word: its name after --sweep; of an impairment also netem's word
    unit: of its values, "" for counts
    label: of a chart's axis
    low, high: of its values
    suffixes: what a value may end with, and by how much that multiplies it
    whole: are its values whole numbers?
    """

    key: str
    word: str
    unit: str
    label: str
    low: float
    high: float
    suffixes: tuple[tuple[str, int], ...] = ()
    whole: bool = True

    def parse(self, text: str) -> float:
        """Return the value of one word of --sweep. UsageError on what is none."""
        place, suffixes = f"--sweep {self.word}", dict(self.suffixes)
        number = text[:-1] if text[-1:] in suffixes else text
        if not re.fullmatch(r"\d{1,12}" if self.whole else r"\d{1,6}(\.\d{1,3})?", number):
            raise UsageError(f"{place}: '{text}' is not a {'whole ' * self.whole}number")
        value = float(number) * suffixes.get(text[-1:], 1)
        if not self.low <= value <= self.high:
            raise UsageError(f"{place}: must be {self.low:g} to {self.high:g}, not {text}")
        return value

    def value(self, point: LoadPoint) -> float:
        """Return where a load point lies on this axis."""
        if self.key == "impairment":
            return amount(point.impairment, self.word)
        return float(getattr(point, self.key))


def _impairment(word: str, unit: str, label: str, most: float) -> Axis:
    return Axis("impairment", word, unit, label, 0, most, whole=False)


CONNECTIONS = Axis("connections", "connections", "", "Connections", 1, MOST_CONNECTIONS)
OFFERED = Axis("offered_per_sec", "rate", "requests/s", "Offered load (requests/s)", 1, MOST_RATE)
AXES = (
    CONNECTIONS,
    OFFERED,
    Axis("server_cores", "cores", "", "Server cores", 1, MOST_CORES),
    Axis("body_size_bytes", "body", "bytes", "Body size (bytes)", 0, MOST_BODY,
         tuple(SUFFIXES.items())),
    _impairment("loss", "%", "Packet loss in each direction (%)", MOST_PERCENT),
    _impairment("duplicate", "%", "Packets duplicated in each direction (%)", MOST_PERCENT),
    _impairment("delay", "ms", "Delay in each direction (ms)", MOST_DELAY_MS),
)
# those that --sweep takes; the rates of an open loop have a command of their own
SWEPT = {axis.word: axis for axis in AXES if axis is not OFFERED}
