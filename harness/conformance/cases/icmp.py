# SPDX-License-Identifier: BSD-3-Clause
"""Cases of ICMP: errors that help, that are forged, and that are no reason to give up."""

from __future__ import annotations

from typing import Any

from scapy.layers.inet import ICMP, IP, TCP

from harness.conformance.case import LARGE, case
from harness.conformance.peer import MODERN, Connection, Peer
from harness.conformance.segment import Segment, add

_UNREACHABLE, _QUENCH, _EXCEEDED = 3, 4, 11
_NEEDS_FRAGMENTATION = 4


def _error(connection: Connection, kind: int, code: int, number: int, **fields: Any) -> None:
    """Send an ICMP error that quotes the server's segment with this sequence number."""
    peer = connection.peer
    quoted = IP(src=peer.server, dst=peer.address, flags="DF", len=1500, id=1) / TCP(
        sport=peer.port, dport=connection.port, seq=number, ack=connection.seq, flags="A")
    peer.raw(peer.ip() / ICMP(type=kind, code=code, **fields) / bytes(quoted)[:28])


def _unheard(peer: Peer, options: Any = MODERN) -> tuple[Connection, list[Segment]]:
    """Return a connection whose answer is on the way, and none of it acknowledged."""
    connection = peer.connect(options=options)
    connection.get()
    return connection, connection.data(0.1)


@case(rfc="RFC 1191 3, RFC 1122 4.2.3.9", severity="wedge", body=LARGE)
def path_mtu(peer: Peer) -> None:
    """After "fragmentation needed" what was lost is sent again in smaller segments, soon."""
    connection, flight = _unheard(peer)
    _error(connection, _UNREACHABLE, _NEEDS_FRAGMENTATION, flight[0].seq, nexthopmtu=800)
    sent = peer.now()
    later = [segment for segment in connection.data(2) if segment.time > sent]
    peer.expect(later, "nothing was sent again in 2 s")
    longest = max(segment.packet[IP].len for segment in later)
    peer.expect(longest <= 800, f"packets of {longest} bytes, for a path of 800")
    peer.expect(later[0].time - sent < 1, f"after {later[0].time - sent:.1f} s")


@case(rfc="RFC 1191 3", severity="attack", body=LARGE)
def path_mtu_floor(peer: Peer) -> None:
    """A path MTU below 68 bytes is not believed: no answer is cut into crumbs."""
    connection, flight = _unheard(peer)
    for mtu in (0, 28, 60):
        _error(connection, _UNREACHABLE, _NEEDS_FRAGMENTATION, flight[0].seq, nexthopmtu=mtu)
    sizes = [len(segment.data) for segment in connection.collect(1.5) if segment.data]
    peer.expect(not sizes or min(sizes[:5]) >= 16, f"segments of {sizes[:5]} bytes")
    connection.answer(5)


@case(rfc="RFC 5927 4.1, 7.2", severity="attack", body=LARGE)
def path_mtu_forged(peer: Peer) -> None:
    """One that quotes a number outside what is on the way is not believed."""
    connection, flight = _unheard(peer)
    for number in (add(connection.ack, 1 << 30), add(connection.ack, -(1 << 30))):
        _error(connection, _UNREACHABLE, _NEEDS_FRAGMENTATION, number, nexthopmtu=600)
    peer.wait(0.2)
    connection.acknowledge()
    longest = max(segment.packet[IP].len for segment in connection.data(1))
    peer.expect(longest >= max(one.packet[IP].len for one in flight), f"{longest} bytes a packet")


@case(rfc="RFC 1191 3", severity="attack", body=LARGE)
def path_mtu_never_grows(peer: Peer) -> None:
    """One that tells more than the link carries does not make packets longer."""
    connection, flight = _unheard(peer)
    _error(connection, _UNREACHABLE, _NEEDS_FRAGMENTATION, flight[0].seq, nexthopmtu=9000)
    again = [segment for segment in connection.collect(1) if segment.data]
    peer.expect(all(segment.packet[IP].len <= 1500 for segment in again), "more than 1500 bytes")
    connection.answer(5)


@case(rfc="RFC 4821 7, RFC 8899 (RFC 2923 2.1)", severity="loss", body=LARGE, seconds=25)
def path_mtu_black_hole(peer: Peer) -> None:
    """Where long packets vanish and no ICMP tells, shorter ones are tried.

    Linux does so only with net.ipv4.tcp_mtu_probing; so the kernel misses this by default.
    """
    connection = peer.connect(options=MODERN)
    connection.lost = lambda segment: bool(segment.packet[IP].len > 1000)
    connection.get()
    until = peer.now() + 12
    # a head alone may be short
    while len(connection.received) < 2000 and peer.now() < until:
        connection.receive(until - peer.now())
    peer.expect(len(connection.received) >= 2000, "nothing of the body in short packets in 12 s")


@case(rfc="RFC 9293 3.9.2.2 MUST-56, RFC 5927 5.2", severity="attack")
def soft_errors(peer: Peer) -> None:
    """Net and host unreachable, and time exceeded, end no connection."""
    connection = peer.connect()
    connection.serves()
    for kind, code in ((_UNREACHABLE, 0), (_UNREACHABLE, 1), (_UNREACHABLE, 5), (_EXCEEDED, 0)):
        _error(connection, kind, code, connection.ack)
    connection.serves(3)


@case(rfc="RFC 5927 5.2, RFC 5461", severity="attack", body=LARGE)
def hard_errors(peer: Peer) -> None:
    """Protocol and port unreachable do not end a connection that is open: anybody can send them."""
    connection, flight = _unheard(peer)
    for code in (2, 3):
        _error(connection, _UNREACHABLE, code, flight[0].seq)
    connection.acknowledge()
    connection.answer(5)


@case(rfc="RFC 5927 4.1", severity="attack")
def forged_error_in_handshake(peer: Peer) -> None:
    """An error with a number that fits nothing does not end a handshake."""
    connection = peer.connection()
    connection.send("S", seq=connection.iss)
    peer.expect(connection.wait_syn_ack(3), "no SYN-ACK")
    for code in (1, 3):
        _error(connection, _UNREACHABLE, code, add(connection.irs, 1 << 30))
    peer.wait(0.1)
    connection.send("A")
    connection.serves(3)


@case(rfc="RFC 6633 3, RFC 9293 3.9.2.2 MUST-55", severity="attack", body=LARGE)
def source_quench(peer: Peer) -> None:
    """Source quench is ignored: it does not slow an answer."""
    connection, flight = _unheard(peer)
    for _ in range(5):
        _error(connection, _QUENCH, 0, flight[0].seq)
    connection.acknowledge()
    connection.answer(5)
    peer.expect(connection.stall < 1, f"{connection.stall:.1f} s without data")


@case(rfc="RFC 1122 3.2.2.6", severity="minor")
def echo(peer: Peer) -> None:
    """A ping is answered with its data."""
    peer.raw(peer.ip() / ICMP(type=8, id=7, seq=9) / b"stackduel")
    reply = peer.receive(1, lambda packet: ICMP in packet and packet[ICMP].type == 0)
    peer.expect(reply and bytes(reply[ICMP].payload) == b"stackduel", "no echo reply")


@case(rfc="RFC 1122 3.2.2", severity="attack")
def error_of_error(peer: Peer) -> None:
    """An error is never answered with an error, nor a broken one with anything."""
    for data in (b"", b"\x45", b"\x45" + b"\0" * 19, b"\x4f" + b"\xff" * 27):
        for kind in (_UNREACHABLE, _EXCEEDED, _QUENCH, 12, 5):
            peer.raw(peer.ip() / ICMP(type=kind, code=1) / data)
    reply = peer.receive(0.5, lambda packet: ICMP in packet)
    peer.expect(not reply, "an error was answered")
    peer.served()


@case(rfc="RFC 1122 3.2.2.2, RFC 1812 5.2.7.2", severity="attack")
def redirect(peer: Peer) -> None:
    """A redirect of our address to nobody does not turn the answers away."""
    connection = peer.connect()
    connection.serves()
    quoted = IP(src=peer.server, dst=peer.address) / TCP(sport=peer.port, dport=connection.port)
    peer.raw(peer.ip() / ICMP(type=5, code=1, gw=peer.server) / bytes(quoted)[:28])
    connection.serves(3)
