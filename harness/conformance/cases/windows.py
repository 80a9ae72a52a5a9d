# SPDX-License-Identifier: BSD-3-Clause
"""Cases of flow control: windows, probes of a closed one, silly windows, and when ACKs come."""

from __future__ import annotations

from harness.conformance.case import LARGE, NotTestable, case
from harness.conformance.peer import Connection, Peer, request
from harness.conformance.segment import Segment, add, distance

_MSS = 1460


def _data(segments: list[Segment]) -> list[Segment]:
    return [segment for segment in segments if segment.data]


def _reach(connection: Connection, segments: list[Segment]) -> int:
    """Return the offset after the last byte of the answer that was sent."""
    return max((distance(connection.irs, one.end) - 1 for one in _data(segments)), default=0)


@case(rfc="RFC 9293 3.8.6", severity="wedge", body=LARGE)
def window_kept(peer: Peer) -> None:
    """No byte is sent beyond the peer's window."""
    connection = peer.connect(window=4000)
    connection.get()
    reach = _reach(connection, connection.collect(1))
    peer.expect(0 < reach <= 4000, f"{reach} bytes into a window of 4000")


@case(rfc="RFC 9293 3.8.6 MUST-34", severity="wedge", body=LARGE)
def window_shrunk(peer: Peer) -> None:
    """A window that shrinks is survived: the answer comes when it opens again."""
    connection = peer.connect()
    connection.get()
    connection.receive(1)
    connection.send("A", window=100)
    connection.collect(1)
    connection.send()
    connection.answer(8)


def _closed(peer: Peer) -> Connection:
    """Return a connection whose answer waits for our window, which is closed."""
    connection = peer.connect(window=2 * _MSS)
    connection.get()
    while connection.window:
        peer.expect(connection.receive(2), "nothing comes into an open window")
        taken = distance(connection.irs, connection.ack) - 1
        connection.window = 2 * _MSS - taken
        if taken:
            connection.send()
    return connection


@case(rfc="RFC 9293 3.8.6.1 MUST-36, SHLD-29, SHLD-30", severity="wedge", body=LARGE, seconds=25)
def zero_window_probed(peer: Peer) -> None:
    """A closed window is probed, ever more rarely, and not given up."""
    connection = _closed(peer)
    ack, times = connection.ack, []
    until = peer.now() + 12
    while (left := until - peer.now()) > 0:
        if segment := connection.receive(left):
            peer.expect("R" not in segment.flags, "it was reset")
            times.append(segment.time)
            connection.send("A", ack=ack)
    gaps = [later - earlier for earlier, later in zip(times, times[1:])]
    peer.expect(len(times) >= 2, f"{len(times)} probes in 12 s")
    rarer = len(gaps) < 2 or gaps[-1] > 1.5 * gaps[0]
    peer.expect(rarer, f"seconds between them: {gaps}")
    connection.ack, connection.window = ack, 65535
    connection.send()
    peer.expect(connection.receive(1), "nothing within 1 s of the window's opening")


@case(rfc="RFC 9293 3.8.6.1", severity="wedge", body=LARGE, seconds=20)
def window_opened_unheard(peer: Peer) -> None:
    """Where the segment that opens a window is lost, a probe finds it open."""
    connection = _closed(peer)
    connection.window = 65535
    connection.answer(10)


@case(rfc="RFC 9293 3.8.6.1", severity="wedge", seconds=12)
def zero_window_from_the_start(peer: Peer) -> None:
    """An answer to a peer whose window is closed from the start comes when it opens."""
    connection = peer.connect(window=0)
    connection.get()
    connection.collect(2)
    connection.window = 65535
    connection.send()
    connection.answer(5)


@case(rfc="RFC 9293 3.8.6.2.1 MUST-38", severity="attack", body=LARGE)
def silly_window(peer: Peer) -> None:
    """A window that opens by a few bytes is not filled with a crumb at once."""
    connection = peer.connect()
    connection.get()
    connection.collect(0.1)
    connection.window = 10
    connection.send()
    sent = peer.now()
    crumbs = [segment for segment in connection.collect(0.3)
              if segment.data and len(segment.data) <= 10 and segment.time > sent]
    early = [segment for segment in crumbs if segment.time < sent + 0.05]
    peer.expect(not early, f"{len(early)} segments of at most 10 bytes within 50 ms")


@case(rfc="RFC 9293 3.8.6 SHLD-14", severity="minor")
def receive_window_never_shrinks(peer: Peer) -> None:
    """The right edge of the server's window never goes back."""
    connection = peer.connect()
    edge = 0
    for _ in range(6):
        connection.send("PA", b"GET / HTTP/1.1\r\nHost: x\r\nX: y\r\n\r\n")
        for segment in connection.collect(0.1):
            reach = distance(connection.iss, segment.ack) + (segment.window << connection.scale)
            peer.expect(reach >= edge, f"from {edge} back to {reach}")
            edge = reach
        connection.send()


@case(rfc="RFC 9293 3.8.6.2.2, RFC 1122 4.2.3.3", severity="wedge")
def receive_window_reopens(peer: Peer) -> None:
    """After many requests the server's window is as wide as before."""
    connection = peer.connect()
    first = connection.granted
    for _ in range(40):
        connection.serves()
    peer.expect(connection.granted >= first // 2, f"from {first} to {connection.granted}")


@case(rfc="RFC 9293 3.8.6.3 MUST-40, RFC 1122 4.2.3.2", severity="loss")
def delayed_ack(peer: Peer) -> None:
    """Data that has no answer yet is acknowledged within 0.5 s."""
    connection = peer.connect()
    connection.send("PA", request(peer.server)[:20])
    sent = peer.now()
    answer = connection.receive(2)
    peer.expect(answer and answer.ack == connection.seq, "no ACK in 2 s")
    late = answer.time - sent if answer else 0
    peer.expect(late <= 0.55, f"an ACK after {late:.2f} s")


@case(rfc="RFC 9293 3.8.6.3 SHLD-19, RFC 5681 4.2", severity="loss")
def ack_of_every_second_segment(peer: Peer) -> None:
    """Every second full segment is acknowledged without delay."""
    connection = peer.connect()
    head = b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: "
    connection.send("A", head + b"x" * (_MSS - len(head)))
    connection.send("A", b"x" * _MSS)
    sent = peer.now()
    both = [segment for segment in connection.collect(0.6) if segment.ack == connection.seq]
    peer.expect(both, "two full segments were not acknowledged in 0.6 s")
    peer.expect(both[0].time - sent < 0.15, f"after {both[0].time - sent:.2f} s")


@case(rfc="RFC 9293 3.7.4 SHLD-7", severity="minor")
def nagle(peer: Peer) -> None:
    """A short segment waits while another is unacknowledged, unless the program wants it so."""
    connection = peer.connect()
    connection.get()
    peer.expect(connection.receive(2), "no answer")
    connection.get()
    second = [segment for segment in _data(connection.collect(0.15))
              if distance(connection.ack, segment.end) == 0]
    if second:
        raise NotTestable("its program turns Nagle's algorithm off (TCP_NODELAY), as it may")
    connection.send()
    peer.expect(_data(connection.collect(1)), "the second answer does not come")


@case(rfc="RFC 9293 3.8.6", severity="attack", body=LARGE, seconds=20)
def unread_answers_bound_input(peer: Peer) -> None:
    """Of a peer that reads nothing, requests are not taken without an end: the window closes."""
    connection = peer.connect(window=0)
    data = request(peer.server, f"X: {'x' * 1300}\r\n")
    taken = 0
    while connection.granted >= len(data):
        connection.send("PA", data)
        taken += len(data)
        connection.collect(0.01)
        peer.expect(taken < 8 << 20, f"{taken} bytes taken")
        while connection.granted >= len(data) and (answer := connection.receive(0)):
            peer.expect("R" not in answer.flags, "it was reset")


@case(rfc="RFC 9293 3.10.7.4 MUST-35", severity="wedge", body=LARGE, seconds=20)
def data_into_closed_window(peer: Peer) -> None:
    """ACKs are processed while the server's own window is overrun."""
    connection = peer.connect()
    connection.get()
    connection.receive(2)
    connection.send("A", b"#", seq=add(connection.seq, 1 << 24))
    connection.answer(5)
