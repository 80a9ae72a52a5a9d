# SPDX-License-Identifier: BSD-3-Clause
"""Cases of retransmission timers and keep-alive."""

from __future__ import annotations

from typing import Any

from harness.conformance.case import KEEPALIVE, LARGE, case
from harness.conformance.peer import Connection, Peer
from harness.conformance.segment import Segment

# the RFC's least time-out is 1 s; today's stacks go down to 0.2 s, and none below
_LEAST_SECONDS = 0.15


def _gaps(segments: list[Segment]) -> list[float]:
    """Return the seconds between transmissions of the first of these segments' bytes."""
    times = [segment.time for segment in segments if segment.seq == segments[0].seq]
    return [later - earlier for earlier, later in zip(times, times[1:])]


@case(rfc="RFC 6298 2, 5.5, 5.7", severity="loss", seconds=12)
def syn_ack_repeated(peer: Peer) -> None:
    """A SYN-ACK that is not acknowledged comes again after 1 to 3 s, and then more rarely."""
    connection = peer.connection()
    connection.send("S", seq=connection.iss)
    found = [segment for segment in connection.collect(8) if "S" in segment.flags]
    peer.expect(len(found) >= 2, f"{len(found)} SYN-ACKs in 8 s")
    gaps = _gaps(found)
    peer.expect(0.8 <= gaps[0] <= 3.6, f"again after {gaps[0]:.2f} s")
    peer.expect(len(gaps) < 2 or gaps[1] > 1.5 * gaps[0], f"no back-off: {gaps}")


@case(rfc="RFC 6298 2.4, 5.5", severity="loss", seconds=15)
def data_repeated(peer: Peer) -> None:
    """Data that is not acknowledged is sent again, ever more rarely, never in haste."""
    connection = peer.connect()
    connection.get()
    found = connection.data(10)
    gaps = _gaps(found)
    seen = " ".join(f"{gap:.2f}" for gap in gaps)
    peer.expect(len(gaps) >= 2, f"sent {len(gaps) + 1} times in 10 s ({seen})")
    peer.expect(gaps[0] >= _LEAST_SECONDS and gaps[0] <= 3.5, f"again after {gaps[0]:.2f} s")
    # the first may be a probe of the tail (RFC 8985 7), which is no time-out
    peer.expect(gaps[-1] > 1.5 * gaps[1] or len(gaps) < 3, f"no back-off: {seen}")
    connection.acknowledge()
    connection.serves()


@case(rfc="RFC 6298 3, 5 (Karn)", severity="loss", seconds=30)
def karn(peer: Peer) -> None:
    """An ACK of what was sent twice is no measure of the round trip: the time-out stays long."""
    connection = peer.connect()
    times = []
    for wait in (8.5, 10.0):
        connection.get()
        found = connection.data(wait)
        times.append([segment.time - found[0].time for segment in found])
        connection.acknowledge()
        connection.received.clear()
    peer.expect(len(times[0]) > 2, f"sent {len(times[0])} times in 8.5 s")
    # the second and later transmissions: the first repetition may be a probe of the tail
    first, second = times[0][2], times[1][2] if len(times[1]) > 2 else 10.0
    peer.expect(second > 1.3 * first, f"the third transmission after {first:.2f} s, then again "
                f"after {second:.2f} s")


@case(rfc="RFC 6298 2.2, 2.3", severity="loss", seconds=15)
def timeout_follows_round_trip(peer: Peer) -> None:
    """On a path of 0.4 s, nothing is sent twice in vain once it was measured."""
    connection = peer.connection()
    connection.send("S", seq=connection.iss)
    peer.expect(connection.wait_syn_ack(3), "no SYN-ACK")
    peer.wait(0.4)
    connection.send("A")
    twice = 0
    for _ in range(6):
        connection.get()
        answer = connection.receive(3)
        while answer and not answer.data:
            answer = connection.receive(3)
        peer.expect(answer, "no answer")
        twice = sum(1 for segment in connection.collect(0.4) if segment.data)
        connection.acknowledge()
        peer.wait(0.4)
    peer.expect(not twice, f"sent {twice + 1} times, at a round trip that had been measured")


def _probes_answered(connection: Connection, seconds: float) -> int:
    """Acknowledge what comes for so long; return how many came. Failed if the connection ends."""
    probes, until = 0, connection.peer.now() + seconds
    while segment := connection.receive(until - connection.peer.now()):
        connection.peer.expect(not set("RF") & set(segment.flags),
                               f"it was ended with {segment.flags}")
        probes += 1
        connection.send()
    return probes


@case(rfc="RFC 9293 3.8.4 MUST-24 to MUST-29", severity="wedge", seconds=15)
def idle_connection_kept(peer: Peer) -> None:
    """A connection that is idle for 10 s is there still."""
    connection = peer.connect()
    connection.serves()
    _probes_answered(connection, 10)
    connection.serves()


@case(rfc="RFC 9293 3.8.4 MUST-24 to MUST-27", severity="minor", options=KEEPALIVE)
def keepalive_probes(peer: Peer) -> None:
    """An idle connection is probed, and kept while the peer answers."""
    connection = peer.connect()
    connection.serves()
    probes = _probes_answered(connection, 7)
    peer.expect(probes >= 2, f"{probes} probes in 7 s; one was to come every 2 s")
    connection.serves()


@case(rfc="RFC 9293 3.8.4 MUST-28", severity="wedge", options=KEEPALIVE)
def keepalive_gives_up(peer: Peer) -> None:
    """An idle connection whose peer answers no probe is given up, after more than one."""
    connection = peer.connect()
    connection.serves()
    probes = [one for one in connection.collect(8) if not set("RF") & set(one.flags)]
    peer.expect(len(probes) >= 2, f"{len(probes)} probes in 8 s")
    connection.send("A")
    answers = connection.collect(0.5)
    peer.expect(any("R" in one.flags for one in answers), "8 s after the last byte it is there")


@case(rfc="RFC 9293 3.8.4 MUST-28", severity="wedge", steers=True, seconds=40, options=KEEPALIVE)
def paused_server_keeps_idle(peer: Peer, server: Any) -> None:
    """A server that was stopped for longer than its probes last resets no peer when it goes on."""
    connection = peer.connect()
    connection.serves()
    server.pause()
    # a kernel probes for a process that is stopped
    _probes_answered(connection, 10)
    server.resume()
    _probes_answered(connection, 4)
    connection.serves()


@case(rfc="RFC 9293 3.8.3 MUST-20, RFC 1122 4.2.3.5", severity="wedge", body=LARGE, seconds=15)
def silence_is_survived(peer: Peer) -> None:
    """A peer that is silent for 6 s in the middle of an answer gets the rest of it."""
    connection = peer.connect()
    connection.get()
    for segment in connection.collect(6):
        peer.expect("R" not in segment.flags, "it was reset")
    connection.acknowledge()
    connection.answer(8)
