# SPDX-License-Identifier: BSD-3-Clause
"""Cases of how a connection ends, and of what comes after its end."""

from __future__ import annotations

from harness.conformance.case import LARGE, NotTestable, case
from harness.conformance.peer import MODERN, Connection, Options, PLAIN, Peer, request
from harness.conformance.segment import Segment, add

_CLOSE = "Connection: close\r\n"


def _reset(connection: Connection) -> None:
    """Failed unless a segment of ours is answered with a RST: nothing is left of the connection."""
    connection.send("A")
    answers = connection.collect(0.5)
    connection.peer.expect(any("R" in segment.flags for segment in answers),
                           f"answered with {[segment.flags for segment in answers]}, not a RST")


def _served_last(peer: Peer, options: Options = PLAIN) -> Connection:
    """Let the server close first; its FIN is not acknowledged yet."""
    connection = peer.connect(options=options)
    connection.get(_CLOSE)
    connection.answer()
    if not connection.ends(1):
        raise NotTestable("it leaves the connection open after a request with Connection: close")
    return connection


def _time_wait(peer: Peer, options: Options = PLAIN) -> Connection:
    """Leave the server in TIME-WAIT, if it has that."""
    connection = _served_last(peer, options)
    connection.send("FA")
    peer.wait(0.2)
    return connection


@case(rfc="RFC 9293 3.6", severity="wedge")
def half_close(peer: Peer) -> None:
    """A peer that asks and closes its side still gets the whole answer, and then a FIN."""
    connection = peer.connect()
    connection.send("FPA", request(peer.server))
    connection.answer(3)
    peer.expect(connection.ends(1), "no FIN of the server in 1 s")


@case(rfc="RFC 9293 3.6", severity="wedge", body=LARGE)
def half_close_long_answer(peer: Peer) -> None:
    """A FIN of the peer does not cut an answer that is on the way."""
    connection = peer.connect()
    connection.get()
    connection.receive(2)
    connection.send("FA")
    connection.answer(5)


@case(rfc="RFC 9293 3.6, 3.10.7.4", severity="wedge")
def close(peer: Peer) -> None:
    """A FIN is acknowledged and followed by the server's; then nothing is left."""
    connection = peer.connect()
    connection.send("FA")
    peer.expect(connection.ends(1), "no FIN of the server in 1 s")
    connection.send("A")
    peer.wait(0.1)
    _reset(connection)


@case(rfc="RFC 9293 3.10.7.4", severity="wedge")
def fin_repeated(peer: Peer) -> None:
    """A FIN of the server that is not acknowledged is sent again."""
    connection = peer.connect()
    connection.send("FA")
    fins = [segment for segment in connection.collect(4) if "F" in segment.flags]
    peer.expect(len(fins) >= 2, f"{len(fins)} FINs in 4 s")


@case(rfc="RFC 9293 3.10.7.4", severity="wedge")
def fin_out_of_order(peer: Peer) -> None:
    """A FIN that overtakes data does not end the connection before the data came."""
    connection = peer.connect()
    data = request(peer.server)
    connection.send("FA", seq=add(connection.seq, len(data)))
    peer.wait(0.1)
    connection.send("PA", data)
    connection.seq = add(connection.seq, 1)
    connection.answer(3)


@case(rfc="RFC 9293 3.10.7.4", severity="minor")
def fin_outside_window(peer: Peer) -> None:
    """A FIN outside the window ends nothing."""
    connection = peer.connect()
    connection.send("FA", seq=add(connection.seq, 1 << 30))
    peer.wait(0.1)
    connection.serves(3)


@case(rfc="RFC 9293 3.6", severity="wedge")
def simultaneous_close(peer: Peer) -> None:
    """Where both FINs cross, each is acknowledged."""
    connection = _served_last(peer)
    connection.send("FA", ack=add(connection.ack, -1))
    answers = connection.collect(0.5)
    peer.expect(any(segment.ack == connection.seq for segment in answers), "no ACK of our FIN")
    connection.send("A")


@case(rfc="RFC 9293 3.6.1, RFC 1122 4.2.2.13", severity="minor")
def data_after_close(peer: Peer) -> None:
    """Data to a server that has closed is answered with a RST: nobody will read it."""
    connection = _served_last(peer)
    connection.send("A")
    connection.send("PA", request(peer.server))
    answers = [segment.flags for segment in connection.collect(1)]
    if answers == ["A"]:
        raise NotTestable("it closes its own side alone, and goes on reading, as it may")
    peer.expect("R" in "".join(answers), f"answered with {answers}")


@case(rfc="RFC 9293 3.6.1 MUST-13, 3.10.7.4", severity="minor")
def time_wait_acknowledges(peer: Peer) -> None:
    """In TIME-WAIT the peer's FIN that comes again is acknowledged again."""
    connection = _time_wait(peer)
    connection.collect(0.1)
    connection.send("FA", seq=add(connection.seq, -1))
    answer: Segment | None = connection.receive(1)
    peer.expect(answer and answer.flags == "A" and answer.ack == connection.seq,
                f"answered with {answer and answer.flags}")


@case(rfc="RFC 9293 3.6.1, RFC 6191 2", severity="wedge")
def time_wait_reopened(peer: Peer) -> None:
    """A SYN beyond the numbers of the old connection opens a new one from TIME-WAIT."""
    old = _time_wait(peer)
    new = peer.connect(port=old.port, iss=add(old.seq, 100000))
    new.serves()


@case(rfc="RFC 6191 2", severity="wedge")
def time_wait_reopened_by_timestamp(peer: Peer) -> None:
    """A SYN with a newer timestamp opens a new connection, whatever its number."""
    old = _time_wait(peer, MODERN)
    if not old.timestamps:
        raise NotTestable("it has no timestamps")
    later = [*MODERN[:2], ("Timestamp", (old.clock(), 0)), *MODERN[3:]]
    peer.connect(port=old.port, iss=add(old.seq, -100000), options=later).serves()


@case(rfc="RFC 9293 3.10.7.4", severity="minor")
def time_wait_old_syn(peer: Peer) -> None:
    """A SYN of an old number in TIME-WAIT opens nothing; it is answered with an ACK."""
    connection = _time_wait(peer)
    connection.collect(0.1)
    connection.send("S", seq=add(connection.iss, -1000))
    answer = connection.receive(1)
    peer.expect(not answer or "S" not in answer.flags, "a SYN-ACK")


@case(rfc="RFC 1337 3", severity="minor")
def time_wait_rst(peer: Peer) -> None:
    """A RST does not end TIME-WAIT early.

    Linux lets it, unless net.ipv4.tcp_rfc1337 is set; so the kernel misses this.
    """
    connection = _time_wait(peer)
    connection.collect(0.1)
    connection.send("R", ack=0)
    connection.send("FA", seq=add(connection.seq, -1))
    answer = connection.receive(1)
    peer.expect(answer and "R" not in answer.flags, f"afterwards: {answer and answer.flags}")


@case(rfc="RFC 9293 3.10.7.4", severity="attack")
def rst_while_answering(peer: Peer) -> None:
    """A connection that is reset in the middle of answers leaves the server at others' service."""
    for _ in range(20):
        connection = peer.connect(window=100)
        connection.get()
        connection.send("R", ack=0)
    peer.served()


@case(rfc="RFC 9293 3.10.7.4", severity="minor")
def data_beyond_fin(peer: Peer) -> None:
    """Data that claims to lie beyond the peer's own FIN is not taken."""
    connection = peer.connect()
    connection.send("FPA", request(peer.server))
    connection.send("PA", request(peer.server))
    connection.collect(1)
    answers = connection.received.count(b"HTTP/1.1 200")
    peer.expect(answers == 1, f"{answers} answers")


@case(rfc="RFC 9112 9.6", severity="wedge", options=("--max-connections", "20"))
def last_segment_unacknowledged(peer: Peer) -> None:
    """Clients that never acknowledge the last answer do not keep the places of others."""
    for _ in range(20):
        peer.connect().get(_CLOSE)
    peer.served(5)
    peer.wait(4)
    peer.served()
