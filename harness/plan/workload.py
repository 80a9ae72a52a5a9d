# SPDX-License-Identifier: BSD-3-Clause
"""Workloads: the shape of request, response and connection, one row each. Knows no load tool and no wire."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping

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


WORKLOADS: Mapping[str, Workload] = {each.name: each for each in (
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
