# SPDX-License-Identifier: BSD-3-Clause
"""Cases of lost segments: how soon the server notices, and what it sends again."""

from __future__ import annotations

from typing import Callable, Sequence

from harness.conformance.case import LARGE, NotTestable, case
from harness.conformance.peer import MODERN, Connection, Peer
from harness.conformance.segment import Segment, add, distance

_SACK = (("MSS", 1460), ("NOP", None), ("NOP", None), ("SAckOK", b""))
_PLAIN = (("MSS", 1460),)
# less than any retransmission time-out
_AT_ONCE = 0.15


def _loses(connection: Connection, numbers: Sequence[int], times: int = 1) -> list[Segment]:
    """Let the segments of the answer with these numbers be lost, so many times each.

    Returns the list of all that come, lost ones too: it grows.
    """
    found: list[Segment] = []
    left = {number * 1460: times for number in numbers}

    def lost(segment: Segment) -> bool:
        found.append(segment)
        start = distance(connection.irs, segment.seq) - 1
        if segment.data and left.get(start, 0) > 0:
            left[start] -= 1
            return True
        return False
    connection.lost = lost
    return found


def _recovers(peer: Peer, options: Sequence[tuple[str, object]], numbers: Sequence[int],
              times: int = 1) -> tuple[Connection, list[Segment]]:
    """Get an answer of which some is lost."""
    connection = peer.connect(options=options)
    if options is _SACK and not connection.sack:
        raise NotTestable("it has no SACK")
    found = _loses(connection, numbers, times)
    connection.get()
    connection.answer(12)
    return connection, [segment for segment in found if segment.data]


@case(rfc="RFC 5681 3.2", severity="loss", body=LARGE)
def fast_retransmit(peer: Peer) -> None:
    """After three duplicate ACKs what is missing is sent again at once, without a time-out."""
    connection, _ = _recovers(peer, _PLAIN, [2])
    peer.expect(connection.stall < _AT_ONCE, f"{connection.stall:.2f} s without data")


@case(rfc="RFC 5681 3.2", severity="loss", body=LARGE)
def one_duplicate_ack(peer: Peer) -> None:
    """One duplicate ACK is no loss: segments overtake each other."""
    connection = peer.connect()
    connection.get()
    flight = connection.data(0.1)
    connection.send("A", ack=flight[0].end)
    connection.send("A", ack=flight[0].end)
    again = [segment for segment in connection.collect(0.05) if segment.seq == flight[0].end]
    peer.expect(not again, "sent again after one duplicate ACK")


@case(rfc="RFC 6582 3.2", severity="loss", body=LARGE)
def several_losses(peer: Peer) -> None:
    """Three losses in one window are made good without a time-out, also without SACK."""
    connection, _ = _recovers(peer, _PLAIN, [1, 3, 5])
    peer.expect(connection.stall < _AT_ONCE, f"{connection.stall:.2f} s without data")


@case(rfc="RFC 6675 5", severity="loss", body=LARGE)
def several_losses_sack(peer: Peer) -> None:
    """With SACK four losses in one window are made good, and nothing else is sent twice."""
    connection, found = _recovers(peer, _SACK, [1, 3, 4, 6])
    again = len(found) - len({segment.seq for segment in found})
    peer.expect(connection.stall < _AT_ONCE, f"{connection.stall:.2f} s without data")
    peer.expect(again <= 5, f"{again} segments sent twice for 4 that were lost")


@case(rfc="RFC 6298 5.4, RFC 5681 3.1", severity="wedge", body=LARGE, seconds=20)
def repetition_lost(peer: Peer) -> None:
    """Where the repetition is lost too, the answer still comes."""
    _recovers(peer, _PLAIN, [3], 3)


@case(rfc="RFC 8985 7, RFC 6298 5", severity="loss", body=LARGE)
def tail_loss(peer: Peer) -> None:
    """The last segment lost, with no later one to tell of it, is sent again within 1 s."""
    last = (LARGE + 30) // 1460
    connection, _ = _recovers(peer, _SACK if peer.connect(options=_SACK).sack else _PLAIN, [last])
    peer.expect(connection.stall < 1, f"after {connection.stall:.2f} s")


@case(rfc="RFC 3042 2", severity="loss", body=LARGE)
def limited_transmit(peer: Peer) -> None:
    """Each of the first two duplicate ACKs lets one new segment out."""
    # of short segments the server's buffer holds more than the first window
    connection = peer.connect(options=[("MSS", 536)])
    connection.get()
    flight = connection.data(0.1)
    reach = max(distance(connection.irs, segment.end) for segment in flight)
    for _ in range(2):
        connection.send("A", ack=flight[0].seq)
    new = [segment for segment in connection.collect(0.1) if segment.data
           and distance(connection.irs, segment.end) > reach]
    peer.expect(1 <= len(new) <= 2, f"{len(new)} new segments after two duplicate ACKs")


def _after_timeout(peer: Peer) -> tuple[Connection, list[Segment], list[Segment]]:
    """Let a whole window be unheard until the server sends its first segment again."""
    connection = peer.connect(options=MODERN)
    connection.get()
    flight: list[Segment] = []
    until = peer.now() + 4
    while peer.now() < until:
        segment = connection.receive(until - peer.now())
        if segment and segment.data:
            if flight and segment.seq == flight[0].seq:
                break
            if not any(segment.seq == other.seq for other in flight):
                flight.append(segment)
    else:
        peer.expect(False, "nothing was sent again in 4 s")
    return connection, flight, [segment for segment in connection.collect(0.12) if segment.data]


@case(rfc="RFC 5681 3.1 (7), RFC 6298 5.4", severity="loss", body=LARGE)
def loss_window(peer: Peer) -> None:
    """After a time-out one segment is sent, and no more before it is acknowledged."""
    _, _, more = _after_timeout(peer)
    peer.expect(not more, f"{len(more)} segments more without an ACK")


@case(rfc="RFC 5682 2", severity="loss", body=LARGE)
def spurious_timeout(peer: Peer) -> None:
    """ACKs that were only late show that the time-out was: the window is not sent twice."""
    connection, flight, _ = _after_timeout(peer)
    # what a peer says that had the first transmission, and not the second
    connection.recent = flight[0].options.get("Timestamp", (0, 0))[0]
    connection.send("A", ack=flight[0].end)
    again = [segment.seq for segment in connection.collect(0.05)]
    for segment in flight[1:]:
        connection.send("A", ack=segment.end, options=connection.stamp())
    again += [segment.seq for segment in connection.collect(0.1)]
    twice = sum(segment.seq in again for segment in flight)
    peer.expect(twice <= 2, f"{twice} of {len(flight)} segments sent again in vain")


@case(rfc="RFC 9293 3.8.1, RFC 5681 3.2", severity="attack", body=LARGE)
def ack_beyond_sent(peer: Peer) -> None:
    """ACKs of what was not sent yet do not move the window, nor end the connection."""
    connection = peer.connect()
    connection.get()
    flight = connection.data(0.1)
    connection.send("A", ack=add(flight[-1].end, 100000))
    peer.expect(not [segment for segment in connection.collect(0.1) if segment.data and distance(
        flight[-1].end, segment.seq) > 0], "new data after an ACK of what was never sent")
    connection.acknowledge()
    connection.answer(5)


@case(rfc="RFC 2018 8", severity="attack", body=LARGE)
def sack_of_nothing(peer: Peer) -> None:
    """SACK blocks of what was never sent, or backwards, do no harm."""
    connection = peer.connect(options=_SACK)
    connection.get()
    connection.collect(0.1)
    start = add(connection.irs, 1)
    for left, right in ((1 << 28, 1 << 29), (5000, 3000), (-(1 << 28), 1 << 28), (0, 0)):
        block: Callable[[int], int] = lambda offset: add(start, offset)
        connection.send("A", ack=start, options=[("NOP", None), ("NOP", None), (
            "SAck", (block(left), block(right)))])
    connection.acknowledge()
    connection.answer(5)
