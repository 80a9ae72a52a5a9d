# SPDX-License-Identifier: BSD-3-Clause
"""Cases of how much a server has on the way: at first, later, after a pause, after a loss."""

from __future__ import annotations

from harness.conformance.case import LARGE, case
from harness.conformance.peer import Connection, Peer
from harness.conformance.segment import add, distance

_QUIET = 0.3
_BEFORE_TIMEOUT = 0.15  # seconds: less than the least time after which a TCP sends again
_SMALL_MSS = (("MSS", 536),)


def _flight(connection: Connection, seconds: float = _QUIET) -> int:
    """Return how many bytes are on the way when the server waits for us.

    Those in flight are not acknowledged; what is sent again does not count.
    """
    ack = connection.ack
    return max(distance(ack, segment.end) for segment in connection.data(seconds))


@case(rfc="RFC 6928 2", severity="loss", body=LARGE)
def initial_window(peer: Peer) -> None:
    """At first at most 10 segments, or 14,600 bytes, are sent."""
    connection = peer.connect()
    connection.get()
    flight = _flight(connection)
    peer.expect(flight <= 10 * 1460, f"{flight} bytes")
    small = peer.connect(options=_SMALL_MSS)
    small.get()
    flight = _flight(small)
    peer.expect(flight <= 10 * 536, f"{flight} bytes at an MSS of 536")


@case(rfc="RFC 5681 3.1", severity="loss", body=LARGE)
def slow_start(peer: Peer) -> None:
    """In slow start each round trip sends at most twice as much as the last, and soon more."""
    connection = peer.connect(options=_SMALL_MSS)
    connection.get()
    flights = [_flight(connection, _BEFORE_TIMEOUT)]
    for _ in range(2):
        connection.acknowledge()
        flights.append(_flight(connection, _BEFORE_TIMEOUT))
    most = max(after - 2 * before for before, after in zip(flights, flights[1:]))
    peer.expect(most <= 536 and flights[-1] > flights[0], f"bytes a round trip: {flights}")


@case(rfc="RFC 5681 3.1, RFC 3465", severity="attack", body=LARGE)
def ack_division(peer: Peer) -> None:
    """Many ACKs for one segment do not open the window as many segments' would."""
    connection = peer.connect()
    connection.get()
    ack = connection.ack
    first = _flight(connection)
    acks = [peer.frame(connection.build("A", ack=add(ack, 14 * part))) for part in range(1, 101)]
    peer.flood(acks, 20000)
    more = [segment for segment in connection.collect(_QUIET) if segment.data]
    reach = max((distance(ack, segment.end) for segment in more), default=first)
    peer.expect(reach <= first + 4 * 1460, f"{(reach - first) // 1460} segments more for one")


@case(rfc="RFC 5681 4.1", severity="loss", body=LARGE)
def idle_restart(peer: Peer) -> None:
    """After a pause the server begins with its first window again.

    Linux does so with its CUBIC and Reno; with BBR it paces instead, and misses this.
    """
    connection = peer.connect(options=_SMALL_MSS)
    for _ in range(2):
        connection.serves()
    peer.wait(2.5)
    connection.get()
    flight = _flight(connection)
    peer.expect(flight <= 10 * 536, f"{flight} bytes at once after 2.5 s")


@case(rfc="RFC 5681 3.1 (4)", severity="loss", body=LARGE, seconds=20)
def window_falls_after_loss(peer: Peer) -> None:
    """After a loss at most three quarters of what was on the way are sent.

    Linux does so with its CUBIC and Reno; with BBR, which measures the path, it misses this.
    """
    connection = peer.connect(options=_SMALL_MSS)
    connection.get()
    for _ in range(2):
        _flight(connection)
        connection.acknowledge()
    before = _flight(connection)
    hole = connection.ack
    connection.send("A")
    lost = [segment for segment in [connection.receive(1)] if segment]
    peer.expect(lost, "nothing more")
    connection.collect(0.05)
    for _ in range(4):
        connection.send("A", ack=hole)
    connection.collect(0.1)
    connection.acknowledge()
    after = _flight(connection)
    peer.expect(after <= before * 3 // 4 + 536, f"{before} bytes before, {after} after")
