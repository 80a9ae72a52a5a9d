# SPDX-License-Identifier: BSD-3-Clause
"""What a trial moved over its wire: packets lost, system calls of a TAP, share of the line rate, requests in flight.

Pure arithmetic, and the sentences that tell of it. Knows no record, no machine and no verdict.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Mapping, Sequence

from harness.analyse.stats import median

# bytes that a segment takes beside its payload: preamble, Ethernet's header and FCS, gap (IEEE 802.3: 8 + 14 + 4 + 12);
# the least headers of IPv4 and TCP (RFC 791, RFC 9293)
_FRAMING, _HEADERS = 38, 40
# interfaces that are named with what they lost
_NAMED = 3


@dataclass(frozen=True)
class Line:
    """Of a contender's wire. `tap`: the server has its packets by system calls of a TAP. `speed_mbps`: 10^6 bits/s in
    each direction, None where nobody knows or nothing is there that has a speed."""

    tap: bool = False
    speed_mbps: int | None = None
    mtu: int = 1500


@dataclass(frozen=True)
class Moved:
    """In one trial. `bytes`: of answers, as the client's program had them. `latency_us`: mean of the load tool's
    histogram, None without one; its median (`by_median`) where the tool has added samples to correct for coordinated
    omission, which the mean would take for requests. `packets`: through the port of a server that has its own, both
    ways together; None for others. `lost`: packets dropped or with errors, by place."""

    seconds: float
    requests: int
    bytes: int
    latency_us: float | None = None
    packets: int | None = None
    lost: Mapping[str, int] = field(default_factory=dict)
    by_median: bool = False

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds if self.seconds > 0 else 0.0

    @property
    def in_flight(self) -> float | None:
        """How many requests were under way at a time, on average (Little 1961: rate times mean latency)."""
        return None if self.latency_us is None else self.rate * self.latency_us / 1e6

    @property
    def lost_share(self) -> float:
        """The least share of its packets that the place with the most losses lost: an answer is a packet at least."""
        lost = max(self.lost.values(), default=0)
        return lost / (lost + max(self.requests, self.packets or 0)) if lost else 0.0


def line_share(moved: Moved, line: Line) -> float | None:
    """The least share of the line rate that the answers took, each in whole segments of its own; None where no speed is
    known."""
    if not line.speed_mbps or moved.seconds <= 0:
        return None
    full = line.mtu - _HEADERS
    segments = max(moved.requests, -(-moved.bytes // full))
    bits = 8 * (moved.bytes + segments * (_FRAMING + _HEADERS))
    return bits / moved.seconds / (line.speed_mbps * 1e6)


def shares(moved: Sequence[Moved], line: Line) -> tuple[float, float]:
    """(share of packets lost, share of the line rate), medians over trials; 0 where it is not known."""
    if not moved:
        return 0.0, 0.0
    return (median([each.lost_share for each in moved]), median([line_share(each, line) or 0.0 for each in moved]))


def flight(moved: Sequence[Moved]) -> str:
    """"12,300 requests/s of 80 µs each on average are 0.98 in flight at a time", of the middle trial by its rate; ""
    without latencies."""
    known = [each for each in moved if each.in_flight is not None]
    if not known:
        return ""
    middle = sorted(known, key=lambda each: each.rate)[(len(known) - 1) // 2]
    flying = middle.in_flight or 0.0
    return (f"{middle.rate:,.0f} requests/s of {middle.latency_us:,.0f} µs each "
            f"{'in the median' if middle.by_median else 'on average'} are "
            f"{f'{flying:.0f}' if flying >= 10 else f'{flying:.2g}'} in flight at a time")


def sentences(moved: Sequence[Moved], line: Line) -> list[str]:
    """What is known of the wire: system calls, losses, line rate."""
    told = []
    calls = [each.packets / each.requests for each in moved if each.packets is not None and each.requests]
    if line.tap and calls:
        told.append(f"The server moved {median(calls):.2g} packets a request, each by a system call of the TAP.")
    lost: dict[str, int] = {}
    for each in moved:
        for place, count in each.lost.items():
            lost[place] = lost.get(place, 0) + count
    found = sorted(((count, place) for place, count in lost.items() if count > 0), key=lambda one: (-one[0], one[1]))
    if found:
        more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        told.append("Packets lost on the way: " + ", ".join(f"{count:,} at {place}" for count, place in found[:_NAMED])
                    + f"{more}.")
    used = [share for each in moved if (share := line_share(each, line)) is not None]
    if used:
        told.append(f"The answers took at least {100 * median(used):.0f} % of the line rate of "
                    f"{line.speed_mbps:,} Mb/s.")
    return told
