# SPDX-License-Identifier: BSD-3-Clause
"""Cases of how a connection begins, and of ports where none does."""

from __future__ import annotations

from collections import Counter
from typing import Any

from harness.conformance.case import LARGE, NotTestable, case
from harness.conformance.peer import PLAIN, Connection, Peer, request
from harness.conformance.segment import add, distance

_CLOSED_PORT, _FIXED_PORT = 4, 61500
_BROADCAST = "ff:ff:ff:ff:ff:ff"
# answers come in far less; a busy machine is slow
_SOON = 1.0


def _half_open(peer: Peer) -> Connection:
    connection = peer.connection()
    connection.send("S", seq=connection.iss)
    peer.expect(connection.wait_syn_ack(3), "no SYN-ACK in 3 s")
    return connection


def _no_answer(peer: Peer, port: int, seconds: float = _SOON) -> None:
    segment = peer.segment(seconds, port)
    peer.expect(not segment, f"it was answered: {segment and segment.flags}")


@case(rfc="RFC 6528 3", severity="attack")
def isn_unpredictable(peer: Peer) -> None:
    """The initial sequence number of a connection does not follow from those of others."""
    found = [_half_open(peer).irs for _ in range(64)]
    steps = Counter(distance(one, other) for one, other in zip(found, found[1:]))
    peer.expect(len(set(found)) == 64, f"{len(set(found))} different ones on 64 connections")
    peer.expect(max(steps.values()) < 3, f"a step seen often: {steps.most_common(3)}")
    tops = len({number >> 24 for number in found})
    peer.expect(tops > 32, f"64 of them lie in {tops} of 256 equal ranges")


@case(rfc="RFC 9293 3.4.1", severity="minor", seconds=8)
def isn_clock(peer: Peer) -> None:
    """The initial number of one pair of ends grows with time, so old segments do not fit."""
    first = peer.connect(port=peer.new_port())
    first.send("R", ack=0)
    peer.wait(0.5)
    second = peer.connect(port=first.port)
    step = distance(first.irs, second.irs)
    peer.expect(0 < step < 1 << 30, f"it went from {first.irs} to {second.irs}")


@case(rfc="RFC 6528 3", severity="attack", steers=True, seconds=60)
def isn_differs_after_restart(peer: Peer, server: Any) -> None:
    """A server that was started anew begins with other sequence numbers: its key is new."""
    before = peer.connect(port=_FIXED_PORT)
    before.send("R", ack=0)
    server.restart()
    after = peer.connect(port=_FIXED_PORT)
    step = distance(before.irs, after.irs)
    peer.expect(abs(step) > 1 << 16, f"{step} further on after the restart")


@case(rfc="RFC 9293 3.10.7.2", severity="minor")
def syn_fin(peer: Peer) -> None:
    """A SYN with FIN is dropped, or opens a connection; the server goes on."""
    port = peer.new_port()
    peer.raw(peer.tcp(port, "SF", seq=7))
    segment = peer.segment(_SOON, port)
    peer.expect(not segment or segment.flags == "SA" and segment.ack in (8, 9),
                f"it was answered with {segment and segment.flags}")
    peer.served()


@case(rfc="RFC 9293 3.10.7.2", severity="minor")
def syn_rst(peer: Peer) -> None:
    """A SYN with RST opens nothing."""
    port = peer.new_port()
    peer.raw(peer.tcp(port, "SR", seq=7))
    _no_answer(peer, port)


@case(rfc="RFC 9293 3.10.7.1", severity="minor")
def syn_to_closed_port(peer: Peer) -> None:
    """A SYN to a closed port is reset, with sequence number 0 and an ACK of all it held."""
    port = peer.new_port()
    peer.raw(peer.tcp(port, "S", dport=_CLOSED_PORT, seq=1000, data=b"four"))
    segment = peer.segment(_SOON, port, _CLOSED_PORT)
    if not segment:
        raise NotTestable("closed ports are silent (a firewall?)")
    peer.expect((segment.flags, segment.seq, segment.ack) == ("RA", 0, 1005),
                f"{segment.flags} seq {segment.seq} ack {segment.ack}")


@case(rfc="RFC 9293 3.10.7.1", severity="minor")
def ack_to_closed_port(peer: Peer) -> None:
    """An ACK to a closed port is reset, with the sequence number that it acknowledges."""
    port = peer.new_port()
    peer.raw(peer.tcp(port, "A", dport=_CLOSED_PORT, seq=1000, ack=77))
    segment = peer.segment(_SOON, port, _CLOSED_PORT)
    if not segment:
        raise NotTestable("closed ports are silent (a firewall?)")
    peer.expect((segment.flags, segment.seq) == ("R", 77), f"{segment.flags} seq {segment.seq}")


@case(rfc="RFC 9293 3.10.7.2", severity="minor")
def ack_to_listener(peer: Peer) -> None:
    """An ACK of no connection is reset by a listener too."""
    port = peer.new_port()
    peer.raw(peer.tcp(port, "A", seq=1000, ack=77))
    segment = peer.segment(_SOON, port)
    peer.expect(segment and (segment.flags, segment.seq) == ("R", 77),
                f"{segment and (segment.flags, segment.seq)}")


@case(rfc="RFC 9293 3.10.7.1", severity="attack")
def rst_to_closed_port(peer: Peer) -> None:
    """A RST to a closed port or to a listener is never answered."""
    port = peer.new_port()
    for server_port in (_CLOSED_PORT, peer.port):
        peer.raw(peer.tcp(port, "R", dport=server_port, seq=1000))
        peer.raw(peer.tcp(port, "RA", dport=server_port, seq=1000, ack=5))
        segment = peer.segment(_SOON / 2, port, server_port)
        peer.expect(not segment, f"answered by port {server_port}: {segment and segment.flags}")


@case(rfc="RFC 9293 3.10.7.2", severity="minor")
def fin_to_listener(peer: Peer) -> None:
    """A FIN, or a segment without flags, to a listener is dropped."""
    port = peer.new_port()
    peer.raw(peer.tcp(port, "F", seq=1000))
    peer.raw(peer.tcp(port, "", seq=1000, data=b"x"))
    _no_answer(peer, port)


@case(rfc="RFC 9293 3.10.7.4", severity="attack")
def handshake_ack_wrong(peer: Peer) -> None:
    """A handshake is not completed by an ACK of another number, which is reset."""
    connection = _half_open(peer)
    wrong = add(connection.ack, 1 << 30)
    connection.send("A", ack=wrong)
    segment = connection.receive(_SOON)
    peer.expect(segment and "R" in segment.flags and segment.seq == wrong,
                f"answered with {segment and (segment.flags, distance(wrong, segment.seq))}")
    connection.send("A")
    connection.serves()


@case(rfc="RFC 9293 3.10.7.4", severity="wedge")
def syn_again(peer: Peer) -> None:
    """A SYN that comes twice gets the same SYN-ACK twice."""
    connection = _half_open(peer)
    first = connection.irs
    connection.send("S", seq=connection.iss)
    again = connection.wait_syn_ack(_SOON)
    peer.expect(again and again.seq == first, f"{again and again.seq}, before {first}")
    connection.send("A")
    connection.serves()


@case(rfc="RFC 9293 3.10.7.4", severity="attack", body=LARGE)
def syn_again_with_other_options(peer: Peer) -> None:
    """A second SYN of a handshake does not change what the first one said of MSS."""
    connection = _half_open(peer)
    connection.send("S", seq=connection.iss, options=[("MSS", 100)])
    connection.send("A")
    connection.get()
    sizes = [len(segment.data) for segment in connection.collect(1) if segment.data]
    peer.expect(sizes and max(sizes) == 1460, f"segments of {max(sizes, default=0)} bytes")


@case(rfc="RFC 9293 3.10.7.4", severity="attack")
def syn_other_number(peer: Peer) -> None:
    """A forged second SYN with another number does not harm a handshake."""
    connection = _half_open(peer)
    connection.send("S", seq=add(connection.iss, 1 << 28))
    peer.wait(0.1)
    connection.send("A")
    connection.serves()


@case(rfc="RFC 9293 3.10.7.4", severity="attack")
def handshake_rst_outside(peer: Peer) -> None:
    """A RST outside the window does not end a handshake; one with the very number does."""
    connection = _half_open(peer)
    connection.send("R", seq=add(connection.seq, 1 << 28), ack=0)
    connection.send("A")
    connection.serves()
    other = _half_open(peer)
    other.send("R", seq=other.seq, ack=0)
    other.send("A", seq=other.seq)
    answer = other.receive(_SOON)
    peer.expect(answer and "R" in answer.flags, f"after the RST: {answer and answer.flags}")


@case(rfc="RFC 9293 3.4, 3.10.7.2", severity="minor")
def syn_with_data(peer: Peer) -> None:
    """Data on a SYN is kept, or not acknowledged: a GET that came so is answered once."""
    connection = peer.connection()
    data = request(peer.server)
    connection.send("S", data, seq=connection.iss)
    segment = peer.segment(3, connection.port)
    peer.expect(segment and distance(connection.iss, segment.ack) in (1, 1 + len(data)),
                f"{segment and distance(connection.iss, segment.ack)} acknowledged")
    connection.ack = add(segment.seq, 1) if segment else 0
    connection.send("A", seq=segment.ack if segment else 0)
    connection.send("PA", data)
    connection.answer()


@case(rfc="RFC 9293 3.10.7.4", severity="wedge")
def data_with_the_handshake_ack(peer: Peer) -> None:
    """Data on the ACK that completes a handshake is taken."""
    connection = _half_open(peer)
    connection.serves()


@case(rfc="RFC 9293 3.10.7.4", severity="wedge")
def handshake_ack_lost(peer: Peer) -> None:
    """Where the ACK of a handshake is lost, the first data completes it."""
    connection = _half_open(peer)
    peer.wait(1.2)
    connection.serves()


@case(rfc="RFC 9293 3.5 MUST-10", severity="minor")
def simultaneous_open(peer: Peer) -> None:
    """Two ends that open at once get one connection."""
    raise NotTestable("a server that only listens opens nothing")


@case(rfc="RFC 9293 3.9.1 MUST-57", severity="attack")
def syn_to_broadcast(peer: Peer) -> None:
    """A SYN to a broadcast or multicast address is dropped."""
    ports = []
    for address, mac in (("255.255.255.255", _BROADCAST), ("224.0.0.1", "01:00:5e:00:00:01"),
                         (peer.server, _BROADCAST)):
        ports.append(peer.new_port())
        syn = peer.tcp(ports[-1], "S", ip=peer.ip(dst=address), seq=7, options=list(PLAIN))
        peer.raw(syn, mac)
    for port in ports:
        _no_answer(peer, port, 0.4)


@case(rfc="RFC 4987 3.6", severity="attack", options=("--backlog", "64"))
def syn_flood(peer: Peer) -> None:
    """A client far away gets in while SYNs that nobody answers fill the backlog many times."""
    syns = [peer.frame(peer.tcp(1024 + number, "S", seq=1, options=list(PLAIN)))
            for number in range(600)]
    peer.flood(syns[:300], 5000)
    peer.wait(0.2)
    connection = _half_open(peer)
    peer.flood(syns[300:], 5000)
    peer.wait(0.2)
    connection.serves()
