# SPDX-License-Identifier: BSD-3-Clause
"""Cases of TCP options: MSS, window scaling, timestamps, SACK, and what no server knows."""

from __future__ import annotations

from typing import Any, Sequence

from harness.conformance.case import LARGE, NotTestable, case
from harness.conformance.peer import MODERN, PLAIN, Connection, Peer, request
from harness.conformance.segment import add, distance

_SACK = (("MSS", 1460), ("NOP", None), ("NOP", None), ("SAckOK", b""))
_SCALED = (("MSS", 1460), ("NOP", None), ("WScale", 7))


def _sizes(connection: Connection, seconds: float = 1.0) -> list[int]:
    """Ask for the body, acknowledge nothing, and return the length of each segment of it."""
    connection.get()
    return list({one.seq: len(one.data) for one in connection.data(seconds)}.values())


def _with_raw_options(packet: Any, options: bytes) -> Any:
    """Return a segment whose option bytes are these, right or wrong; 4 bytes a word."""
    data = bytes(packet["TCP"].payload)
    packet["TCP"].remove_payload()
    packet["TCP"].dataofs = 5 + len(options) // 4
    return packet / (options + data)


@case(rfc="RFC 9293 3.7.1 MUST-15", severity="minor", body=LARGE)
def mss_absent(peer: Peer) -> None:
    """To a peer that told no MSS, segments have at most 536 bytes."""
    largest = max(_sizes(peer.connect(options=())))
    peer.expect(largest <= 536, f"a segment of {largest} bytes")


@case(rfc="RFC 9293 3.7.1 MUST-14, MUST-16", severity="wedge", body=LARGE)
def mss_kept(peer: Peer) -> None:
    """No segment is longer than the peer's MSS allows; the server tells its own."""
    connection = peer.connect(options=[("MSS", 800)])
    largest = max(_sizes(connection))
    peer.expect(largest <= 800, f"a segment of {largest} bytes, MSS was 800")
    peer.expect(connection.syn_ack and "MSS" in connection.syn_ack.options, "SYN-ACK without MSS")


@case(rfc="RFC 9293 3.7.1 MUST-16, RFC 6691 2", severity="loss", body=LARGE)
def mss_counts_options(peer: Peer) -> None:
    """Options of a segment count in its length, so that it still fits the path."""
    connection = peer.connect(options=MODERN)
    longest = max(_sizes(connection)) + (12 if connection.timestamps else 0)
    peer.expect(longest <= 1460, f"{longest} bytes of options and data")


@case(rfc="RFC 9293 3.7.1 (CVE-2019-11479)", severity="attack", body=LARGE)
def mss_floor(peer: Peer) -> None:
    """An MSS of 1 or 0 does not cut the answer into crumbs."""
    for mss in (1, 0):
        sizes = _sizes(peer.connect(options=[("MSS", mss)]), 0.6)
        peer.expect(sizes[0] >= 16, f"MSS {mss}: segments of {sizes[0]} bytes")


@case(rfc="RFC 9293 3.7.1 MUST-5", severity="attack", body=LARGE)
def mss_only_on_syn(peer: Peer) -> None:
    """An MSS option after the handshake changes nothing."""
    connection = peer.connect()
    connection.send("A", options=[("MSS", 64)])
    largest = max(_sizes(connection))
    peer.expect(largest == 1460, f"segments of {largest} bytes")


@case(rfc="RFC 9293 3.1 MUST-6", severity="wedge")
def unknown_options(peer: Peer) -> None:
    """Options that nobody knows are skipped, on a SYN and later."""
    unknown: list[Any] = [(254, b"\x12\x34ab"), ("NOP", None), ("NOP", None)]
    connection = peer.connect(options=[*unknown, ("MSS", 1460)])
    connection.send("PA", request(peer.server), options=unknown)
    connection.answer(3)


@case(rfc="RFC 9293 3.1 MUST-7", severity="attack")
def option_lengths_wrong(peer: Peer) -> None:
    """Options with lengths 0, 1 or beyond the header do no harm."""
    for wrong in (b"\x02\x00\x05\xb4", b"\x02\x01\x05\xb4", b"\xfd\x00\x00\x00",
                  b"\xfe\xff\x00\x00", b"\x01\x01\x01\x08", b"\x03\x28\x01\x01"):
        port = peer.new_port()
        peer.raw(_with_raw_options(peer.tcp(port, "S", seq=5), wrong))
        connection = peer.connect()
        packet = connection.build("PA", request(peer.server))
        peer.raw(_with_raw_options(packet, wrong))
        peer.wait(0.1)
    peer.served()


@case(rfc="RFC 9293 3.1", severity="attack")
def data_offset_wrong(peer: Peer) -> None:
    """A segment whose data offset is below 5, or beyond its end, is dropped."""
    for offset in (0, 4, 15):
        connection = peer.connect()
        packet = connection.build("PA", request(peer.server)[:20])
        packet["TCP"].dataofs = offset
        peer.raw(packet)
        data = request(peer.server)
        connection.send("PA", data)
        connection.answer(3)


@case(rfc="RFC 7323 2.2", severity="wedge", body=LARGE)
def scale_only_if_offered(peer: Peer) -> None:
    """Without a scale of the peer there is none in the SYN-ACK, and its windows are as told."""
    connection = peer.connect(window=3000)
    peer.expect(connection.syn_ack and "WScale" not in connection.syn_ack.options,
                "the SYN-ACK has a scale")
    flight = sum(_sizes(connection, 0.15))
    peer.expect(flight <= 3000, f"{flight} bytes into a window of 3000")


@case(rfc="RFC 7323 2.2, 2.3", severity="loss", body=LARGE)
def scale_used(peer: Peer) -> None:
    """A scale of the peer is applied to its windows after the handshake."""
    connection = peer.connect(options=_SCALED, window=60)
    if not connection.scale:
        raise NotTestable("it has no window scaling")
    flight = sum(_sizes(connection, 0.15))
    peer.expect(1460 < flight <= 60 << 7, f"{flight} bytes into a window of 60 << 7")


@case(rfc="RFC 7323 2.2", severity="attack", body=LARGE)
def scale_only_on_syn(peer: Peer) -> None:
    """A scale option after the handshake changes nothing."""
    connection = peer.connect(options=_SCALED, window=60)
    connection.send("A", options=[("WScale", 14), ("NOP", None)])
    flight = sum(_sizes(connection, 0.15))
    most = 60 << (7 if connection.scale else 0)
    peer.expect(flight <= most, f"{flight} bytes into a window of {most}")


@case(rfc="RFC 7323 2.3", severity="minor")
def scale_above_14(peer: Peer) -> None:
    """A scale above 14 is no reason to refuse a connection."""
    peer.connect(options=[("MSS", 1460), ("NOP", None), ("WScale", 255)]).serves(3)


@case(rfc="RFC 7323 2.2", severity="wedge")
def syn_ack_window_unscaled(peer: Peer) -> None:
    """The window of a SYN-ACK is as told, and takes at least one full segment."""
    connection = peer.connect(options=_SCALED)
    window = connection.syn_ack.window if connection.syn_ack else 0
    peer.expect(window >= 1460, f"a window of {window}")


@case(rfc="RFC 7323 3.2", severity="loss")
def timestamps_echoed(peer: Peer) -> None:
    """Every segment has a timestamp, once both ends offered it, and echoes the last one."""
    connection = peer.connect(options=MODERN)
    if not connection.timestamps:
        raise NotTestable("it has no timestamps")
    connection.get()
    sent = connection.clock()
    for segment in connection.collect(0.3):
        echo = segment.options.get("Timestamp", (0, 0))[1]
        peer.expect(abs(distance(sent, echo)) < 2000, f"echo of {distance(sent, echo)} ms ago")


@case(rfc="RFC 7323 3.2", severity="wedge")
def timestamps_only_if_offered(peer: Peer) -> None:
    """Without the option of the peer no segment has a timestamp."""
    connection = peer.connect()
    connection.get()
    found = [connection.syn_ack, *connection.collect(0.3)]
    peer.expect(not any(segment and "Timestamp" in segment.options for segment in found),
                "a timestamp that was not offered")


@case(rfc="RFC 7323 5.3", severity="attack")
def paws(peer: Peer) -> None:
    """A segment with an older timestamp than the last one is not taken, and gets an ACK."""
    connection = peer.connect(options=MODERN)
    if not connection.timestamps:
        raise NotTestable("it has no timestamps")
    connection.serves()
    old = ("Timestamp", (connection.clock() - 60000, connection.recent))
    connection.send("PA", request(peer.server), seq=connection.seq,
                    options=[("NOP", None), ("NOP", None), old])
    answer = connection.receive(1)
    peer.expect(answer and not answer.data, f"{answer and len(answer.data)} bytes of answer")
    connection.serves()


@case(rfc="RFC 2018 2", severity="loss")
def sack_offered(peer: Peer) -> None:
    """To a peer that knows SACK, the SYN-ACK offers it; to another it does not."""
    peer.expect(not peer.connect(options=PLAIN).sack, "SACK to a peer without")
    peer.expect(peer.connect(options=_SACK).sack, "the SYN-ACK has no SACK-permitted")


def _sacks(peer: Peer, sent: Sequence[tuple[int, bytes]]) -> tuple[Connection, list[Any]]:
    """Send early data, and return the SACK blocks of the last answer, from the next byte."""
    connection = peer.connect(options=_SACK)
    if not connection.sack:
        raise NotTestable("it has no SACK")
    blocks: list[Any] = []
    for offset, data in sent:
        connection.send("A", data, seq=add(connection.seq, offset))
        answer = connection.receive(0.6)
        blocks = [tuple(distance(connection.seq, edge) for edge in block)
                  for block in (answer.sack if answer else [])]
    return connection, blocks


@case(rfc="RFC 2018 4", severity="loss")
def sack_sent(peer: Peer) -> None:
    """An ACK tells what came out of order, the newest block first."""
    _, blocks = _sacks(peer, [(10, b"#####"), (20, b"#####")])
    peer.expect(blocks == [(20, 25), (10, 15)], f"blocks {blocks} for 10:15 and then 20:25")


@case(rfc="RFC 2883 4.1", severity="minor")
def dsack_sent(peer: Peer) -> None:
    """An ACK of data that came twice tells so in its first block."""
    _, blocks = _sacks(peer, [(0, b"GET / HTTP"), (0, b"GET / HTTP")])
    peer.expect(blocks[:1] == [(0, 10)], f"blocks {blocks}")


@case(rfc="RFC 3168 6.1.1, RFC 9293 SHLD-8", severity="minor")
def ecn_offered(peer: Peer) -> None:
    """A SYN that offers ECN is accepted with ECE, one that does not with none."""
    plain = peer.connect()
    peer.expect(plain.syn_ack and "E" not in plain.syn_ack.flags, "ECE without an offer")
    connection = peer.connect(flags="SEC")
    flags = connection.syn_ack.flags if connection.syn_ack else ""
    peer.expect("E" in flags and "C" not in flags, f"a SYN-ACK with flags {flags}")


@case(rfc="RFC 3168 6.1.3", severity="loss")
def ecn_echoed(peer: Peer) -> None:
    """A mark of congestion is echoed until the peer says it has heard it."""
    connection = peer.connect(flags="SEC")
    if not connection.syn_ack or "E" not in connection.syn_ack.flags:
        raise NotTestable("it has no ECN")
    connection.send("PA", request(peer.server), ip=peer.ip(tos=3))
    marked = [segment for segment in connection.collect(0.3) if "E" in segment.flags]
    peer.expect(marked, "no ECE after a segment with CE")
    connection.send("PAC", request(peer.server), ip=peer.ip(tos=2))
    later = [segment for segment in connection.collect(0.3) if segment.ack == connection.seq]
    peer.expect(later and "E" not in later[-1].flags, "ECE still, after CWR")


@case(rfc="RFC 3168 6.1.2", severity="loss", body=LARGE)
def ecn_heeded(peer: Peer) -> None:
    """An echo of congestion is answered with CWR on new data."""
    connection = peer.connect(flags="SEC")
    if not connection.syn_ack or "E" not in connection.syn_ack.flags:
        raise NotTestable("it has no ECN")
    connection.get()
    connection.collect(0.15)
    connection.send("AE")
    peer.expect(any("C" in segment.flags for segment in connection.collect(0.5)), "no CWR")
