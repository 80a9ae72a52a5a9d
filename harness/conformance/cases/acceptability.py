# SPDX-License-Identifier: BSD-3-Clause
"""Cases of which segments a server takes, and of blind attacks by those that it should not."""

from __future__ import annotations

from harness.conformance.case import LARGE, case
from harness.conformance.peer import Connection, Peer, request
from harness.conformance.segment import Segment, add, distance

_FAR = 1 << 30


def _not_taken(connection: Connection) -> None:
    """Failed if the GET that was just sent is answered, or the right one is not."""
    data = [segment for segment in connection.collect(0.7) if segment.data]
    connection.peer.expect(not data, f"its data was taken: {len(data)} segments of answer")
    connection.serves()


def _challenged(connection: Connection, sent: str) -> None:
    """Failed unless an ACK of the connection's state came, and the connection goes on."""
    seen = [(one.flags, distance(connection.seq, one.ack)) for one in connection.collect(0.5)]
    connection.peer.expect(("A", 0) in seen, f"{sent} was answered with {seen}, not an ACK")
    connection.serves()


@case(rfc="RFC 9293 3.10.7.4", severity="attack")
def ack_never_sent(peer: Peer) -> None:
    """A segment that acknowledges what was never sent is not taken."""
    connection = peer.connect()
    data = request(peer.server)
    connection.send("PA", data, seq=connection.seq, ack=add(connection.ack, _FAR))
    _not_taken(connection)


@case(rfc="RFC 5961 5.2", severity="attack")
def ack_too_old(peer: Peer) -> None:
    """A segment whose ACK is older than any window is not taken."""
    connection = peer.connect()
    data = request(peer.server)
    connection.send("PA", data, seq=connection.seq, ack=add(connection.ack, -_FAR))
    _not_taken(connection)


@case(rfc="RFC 5961 5.2", severity="wedge")
def ack_a_little_old(peer: Peer) -> None:
    """A segment whose ACK is old, but of this connection, is taken: it was overtaken."""
    connection = peer.connect()
    connection.serves()
    connection.send("PA", request(peer.server), ack=add(connection.ack, -10))
    connection.answer()


@case(rfc="RFC 9293 3.10.7.4", severity="attack")
def no_ack_flag(peer: Peer) -> None:
    """Data without an ACK is dropped."""
    connection = peer.connect()
    connection.send("P", request(peer.server), seq=connection.seq)
    _not_taken(connection)


@case(rfc="RFC 9293 3.10.7.4", severity="attack")
def no_flags(peer: Peer) -> None:
    """Data in a segment without any flag is dropped."""
    connection = peer.connect()
    connection.send("", request(peer.server), seq=connection.seq)
    _not_taken(connection)


@case(rfc="RFC 9293 3.10.7.4", severity="attack")
def data_outside_window(peer: Peer) -> None:
    """Data outside the window is not taken, and is answered with an ACK."""
    connection = peer.connect()
    connection.send("PA", request(peer.server), seq=add(connection.seq, _FAR))
    _challenged(connection, "data outside the window")


@case(rfc="RFC 9293 3.10.7.4", severity="wedge")
def old_data(peer: Peer) -> None:
    """Data that has come before is not taken again, and is answered with an ACK."""
    connection = peer.connect()
    connection.serves()
    connection.send("PA", b"\n", seq=add(connection.seq, -1))
    _challenged(connection, "old data")


@case(rfc="RFC 9293 3.10.7.4", severity="wedge")
def partly_old_data(peer: Peer) -> None:
    """Of data that came in part before, the rest is taken."""
    connection = peer.connect()
    data = request(peer.server)
    connection.send("PA", data[:20])
    connection.send("PA", b"#" * 10 + data[20:], seq=add(connection.seq, -10))
    connection.seq = add(connection.seq, len(data) - 20)
    connection.answer()


@case(rfc="RFC 9293 3.10.7.4", severity="loss")
def out_of_order(peer: Peer) -> None:
    """Data that comes too early is kept, and its first byte missing is acknowledged at once."""
    connection = peer.connect()
    data = request(peer.server)
    connection.send("PA", data[20:], seq=add(connection.seq, 20))
    answer = connection.receive(0.6)
    peer.expect(answer and distance(connection.seq, answer.ack) == 0, "no duplicate ACK in 0.6 s")
    connection.send("A", data[:20])
    connection.seq = add(connection.seq, len(data) - 20)
    connection.answer(2)


@case(rfc="RFC 9293 3.10.7.4", severity="attack")
def conflicting_data(peer: Peer) -> None:
    """Early data that comes twice with other bytes is taken once: one answer or none, no harm."""
    connection = peer.connect()
    data = request(peer.server)
    for early in (data[20:], b"#" * (len(data) - 20), data[24:]):
        start = len(data) - len(early)
        connection.send("PA", early, seq=add(connection.seq, start))
    connection.send("A", data[:20])
    connection.collect(0.7)
    answers = connection.received.count(b"HTTP/1.1 ")
    peer.expect(answers <= 1, f"{answers} answers")
    peer.served()


@case(rfc="RFC 9293 3.4", severity="wedge")
def numbers_wrap(peer: Peer) -> None:
    """Sequence numbers go on at 0 after 2^32 - 1, within a request too."""
    connection = peer.connect(iss=(1 << 32) - 12)
    for _ in range(3):
        connection.serves(3)


@case(rfc="RFC 9293 3.10.7.4, RFC 5961 5", severity="attack")
def blind_window(peer: Peer) -> None:
    """One blind segment within the window does not change the peer's window."""
    connection = peer.connect()
    connection.send("A", b"#", seq=add(connection.seq, 1000), ack=add(connection.ack, _FAR),
                    window=1)
    connection.send("A", seq=add(connection.seq, 1000), ack=add(connection.ack, -_FAR), window=1)
    connection.serves(1.5)


@case(rfc="RFC 9293 3.10.7.4", severity="wedge", body=LARGE)
def old_window(peer: Peer) -> None:
    """A window of a segment that was overtaken does not replace a newer one."""
    connection = peer.connect()
    connection.get()
    connection.send("A", seq=add(connection.seq, -5), window=0)
    sizes = sum(len(segment.data) for segment in connection.collect(1))
    peer.expect(sizes > 0, "nothing comes")
    connection.send("A", seq=add(connection.seq, -5), window=0)
    connection.answer(5)


@case(rfc="RFC 9293 3.8.5, RFC 6093", severity="minor")
def urgent_data(peer: Peer) -> None:
    """A segment with URG and a pointer far beyond its data is read like others."""
    connection = peer.connect()
    connection.send("PAU", request(peer.server), urgent=0xffff)
    connection.answer(3)
    peer.served()


@case(rfc="RFC 5961 3.2, RFC 9293 3.10.7.4", severity="wedge")
def rst_exact(peer: Peer) -> None:
    """A RST with the very number expected ends the connection at once."""
    connection = peer.connect()
    connection.send("R", ack=0)
    connection.send("A")
    answer = connection.receive(1)
    peer.expect(answer and "R" in answer.flags, f"afterwards: {answer and answer.flags}")


@case(rfc="RFC 5961 3.2", severity="attack")
def rst_in_window(peer: Peer) -> None:
    """A RST elsewhere in the window is answered with an ACK, and ends nothing."""
    connection = peer.connect()
    connection.send("R", seq=add(connection.seq, 1000), ack=0)
    _challenged(connection, "a RST in the window")


@case(rfc="RFC 9293 3.10.7.4", severity="attack")
def rst_outside_window(peer: Peer) -> None:
    """A RST outside the window is dropped without a word."""
    connection = peer.connect()
    connection.send("R", seq=add(connection.seq, _FAR), ack=0)
    connection.send("R", seq=add(connection.seq, -1), ack=0)
    answer: Segment | None = connection.receive(0.5)
    peer.expect(not answer, f"it was answered with {answer and answer.flags}")
    connection.serves()


@case(rfc="RFC 5961 4.2", severity="attack")
def syn_in_window(peer: Peer) -> None:
    """A SYN on an open connection is answered with an ACK, and ends nothing."""
    connection = peer.connect()
    connection.send("S", seq=add(connection.seq, 1000))
    _challenged(connection, "a SYN in the window")


@case(rfc="RFC 5961 4.2", severity="attack")
def syn_outside_window(peer: Peer) -> None:
    """A SYN of another number is answered with an ACK too: who restarted learns of the old one."""
    connection = peer.connect()
    connection.send("S", seq=add(connection.seq, _FAR))
    _challenged(connection, "a SYN outside the window")


@case(rfc="RFC 5961 4.2", severity="attack")
def syn_ack_in_window(peer: Peer) -> None:
    """A SYN-ACK on an open connection is answered with an ACK, and ends nothing."""
    connection = peer.connect()
    connection.send("SA", seq=add(connection.seq, 1000))
    _challenged(connection, "a SYN-ACK in the window")


@case(rfc="RFC 5961 7", severity="attack", alone=True)
def challenge_acks_limited(peer: Peer) -> None:
    """2,000 RSTs in the window within a second get at most 100 challenge ACKs."""
    connection = peer.connect()
    rst = connection.build("R", ack=0)
    peer.flood(peer.frames(rst, (add(connection.seq, 1 + number) for number in range(2000))), 2000)
    answers = len(connection.collect(0.5))
    peer.expect(0 < answers <= 100, f"{answers} answers")
    peer.wait(1)
    connection.serves()


@case(rfc="RFC 5961 7, RFC 9293 3.10.7.4", severity="attack", alone=True)
def ack_loop(peer: Peer) -> None:
    """Pure ACKs outside the window are not answered each: two ends would go on for ever."""
    connection = peer.connect()
    for seq, ack in ((-_FAR, 0), (0, _FAR)):
        segment = connection.build("A", ack=add(connection.ack, ack))
        numbers = (add(connection.seq, seq + number) for number in range(300))
        peer.flood(peer.frames(segment, numbers), 1000)
        answers = len(connection.collect(0.3))
        peer.expect(answers <= 30, f"{answers} answers to 300")
    connection.serves()
