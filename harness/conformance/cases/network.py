# SPDX-License-Identifier: BSD-3-Clause
"""Cases below TCP: ARP, IP options, fragments, checksums, odd addresses and frames."""

from __future__ import annotations

from typing import Any

from scapy.layers.inet import (IP, TCP, IPOption, IPOption_LSRR, IPOption_NOP, IPOption_RR,
                               fragment)
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.utils import checksum

from harness.conformance.case import case
from harness.conformance.peer import PLAIN, Connection, Peer, request
from harness.conformance.segment import add

_BROADCAST = "ff:ff:ff:ff:ff:ff"
_OTHER_MAC = "02:53:4e:00:00:01"


def _in_pieces(connection: Connection) -> list[Any]:
    """Return a GET as IP fragments; the first has the TCP header and a few bytes of data."""
    packet = connection.build("PA", request(connection.peer.server), ip=connection.peer.ip(flags=0))
    connection.seq = add(connection.seq, len(request(connection.peer.server)))
    return list(fragment(IP(bytes(packet)), 24))


@case(rfc="RFC 5227 2.4, RFC 826", severity="attack")
def arp_claims_server(peer: Peer) -> None:
    """Somebody else's claim of the server's address does not silence the server."""
    for operation in (1, 2):
        peer.raw(ARP(op=operation, hwsrc=_OTHER_MAC, psrc=peer.server, pdst=peer.server),
                 peer.server_mac)
    peer.wait(0.2)
    peer.served(3)


@case(rfc="RFC 826, RFC 1122 2.3.2.1", severity="wedge", seconds=20)
def arp_moved(peer: Peer) -> None:
    """A peer whose MAC changes, and who says so, is served at the new one."""
    peer.served()
    # Linux believes no change within a second of the last
    peer.wait(1.5)
    with peer.twin() as twin:
        peer.answers_arp = False
        twin.raw(ARP(op=1, hwsrc=twin.mac, psrc=twin.address, pdst=twin.address), _BROADCAST)
        twin.served(5)


@case(rfc="RFC 1122 2.3.2.2, RFC 826", severity="attack", alone=True, seconds=30)
def arp_flood(peer: Peer) -> None:
    """SYNs from 200 neighbours that answer nothing do not slow down who is served."""
    connection = peer.connect()
    connection.serves()
    for turn in range(10):
        syns = [peer.frame(peer.tcp(peer.new_port(), "S", seq=turn, options=list(PLAIN),
                                    ip=peer.ip(src=peer.neighbour(20 * turn + number))))
                for number in range(20)]
        peer.flood(syns * 10, 2000)
        connection.serves(0.6)


@case(rfc="RFC 826", severity="attack", alone=True, seconds=30)
def arp_cache_flood(peer: Peer) -> None:
    """2,000 ARP requests of others do not drive out a neighbour that is served."""
    connection = peer.connect()
    connection.serves()
    frames = [bytes(Ether(src=peer.mac, dst=_BROADCAST) / ARP(
        op=1, hwsrc=_OTHER_MAC, psrc=peer.neighbour(number % 200), pdst=peer.server))
        for number in range(2000)]
    peer.flood(frames, 4000)
    connection.serves(1)
    # so that what comes next is believed: see arp_moved
    peer.wait(1.2)


@case(rfc="RFC 1122 3.2.1.8, RFC 9293 MUST-50", severity="wedge")
def ip_options(peer: Peer) -> None:
    """IP options that need nothing are skipped."""
    options = ([IPOption_NOP()] * 4, [IPOption_RR(pointer=4, routers=["0.0.0.0"] * 2)],
               [IPOption(b"\x9e\x04ab")])
    for found in options:
        connection = peer.connection()
        connection.send("S", seq=connection.iss, ip=peer.ip(options=found))
        if connection.establish(1):
            connection.send("PA", request(peer.server), ip=peer.ip(options=found))
            connection.answer(3)
        else:
            peer.expect(found is not options[0], "NOPs in the IP header: no answer")
    peer.served()


@case(rfc="RFC 7126 4.3, 4.4", severity="attack")
def ip_source_route(peer: Peer) -> None:
    """A SYN with a source route is dropped: it would send the answer wherever it says."""
    port = peer.new_port()
    route = IPOption_LSRR(pointer=4, routers=["198.18.0.77"])
    peer.raw(peer.tcp(port, "S", seq=5, options=list(PLAIN), ip=peer.ip(options=[route])))
    answer = peer.segment(1, port)
    peer.expect(not answer, f"it was answered with {answer and answer.flags}")


@case(rfc="RFC 791 3.1", severity="attack")
def ip_options_broken(peer: Peer) -> None:
    """IP options with lengths 0, 1 or beyond the header do no harm."""
    for wrong in (b"\x07\x00\x04\x00", b"\x07\x01\x04\x00", b"\x83\xff\x04\x00"):
        packet = bytearray(bytes(peer.tcp(peer.new_port(), "S", seq=5,
                                          ip=peer.ip(options=[IPOption_NOP()] * 4))))
        packet[10:12], packet[20:24] = b"\0\0", wrong
        packet[10:12] = checksum(bytes(packet[:24])).to_bytes(2, "big")
        peer.flood([peer.frame(bytes(packet))], 1000)
    peer.served()


@case(rfc="RFC 1122 3.3.2, RFC 791 3.2", severity="wedge")
def fragments(peer: Peer) -> None:
    """A segment in IP fragments is put together, in any order."""
    for turn in (1, -1):
        connection = peer.connect()
        for piece in _in_pieces(connection)[::turn]:
            peer.raw(piece)
        connection.answer(3)


@case(rfc="RFC 1858 3, RFC 791 3.2", severity="attack")
def fragments_overlapping(peer: Peer) -> None:
    """Fragments that overlap with other bytes give one answer or none, and harm nobody."""
    connection = peer.connect()
    pieces = _in_pieces(connection)
    forged = pieces[1].copy()
    forged.remove_payload()
    forged = forged / (b"#" * 24)
    for piece in (pieces[0], forged, *pieces[1:]):
        piece.chksum = None
        peer.raw(piece)
    connection.collect(0.5)
    answers = connection.received.count(b"HTTP/1.1 ")
    peer.expect(answers <= 1, f"{answers} answers")
    peer.served()


@case(rfc="RFC 1858 3, RFC 3128", severity="attack")
def fragments_tiny(peer: Peer) -> None:
    """A TCP header in two fragments, or one fragment beyond 64 KiB, does no harm."""
    connection = peer.connect()
    packet = connection.build("PA", request(peer.server), ip=peer.ip(flags=0))
    for piece in fragment(IP(bytes(packet)), 8):
        peer.raw(piece)
    peer.raw(peer.ip(flags=0, frag=8190, proto=6) / (b"x" * 400))
    peer.wait(0.2)
    peer.served()


@case(rfc="RFC 1122 3.3.2, RFC 4963", severity="attack", alone=True)
def fragments_unfinished(peer: Peer) -> None:
    """1,000 datagrams of which a part is missing do not keep others from being put together."""
    frames = [peer.frame(peer.ip(flags="MF", id=1 + number, proto=6) / (b"x" * 64))
              for number in range(1000)]
    peer.flood(frames, 5000)
    connection = peer.connect()
    for piece in _in_pieces(connection):
        peer.raw(piece)
    connection.answer(3)


@case(rfc="RFC 9293 3.1 MUST-3", severity="attack")
def tcp_checksum_wrong(peer: Peer) -> None:
    """A segment with a wrong checksum is dropped, its data and its RST."""
    connection = peer.connect()
    for flags, data in (("PA", request(peer.server)), ("R", b"")):
        packet = connection.build(flags, data)
        packet[TCP].chksum = 0x1234
        peer.raw(packet)
    answer = connection.receive(0.5)
    peer.expect(not answer, f"it was answered with {answer and answer.flags}")
    connection.serves()


@case(rfc="RFC 1122 3.2.1.2", severity="attack")
def ip_header_wrong(peer: Peer) -> None:
    """A packet with a wrong IP checksum, version, or length is dropped."""
    connection = peer.connect()
    for wrong in ({"chksum": 0x1234}, {"version": 6}, {"ihl": 4}, {"len": 20}, {"len": 1400}):
        peer.raw(connection.build("PA", request(peer.server), ip=peer.ip(**wrong)))
    answer = connection.receive(0.5)
    peer.expect(not answer, f"it was answered with {answer and answer.flags}")
    connection.serves()


@case(rfc="RFC 894, RFC 1122 2.3.3", severity="wedge")
def frame_padded(peer: Peer) -> None:
    """Bytes of a frame after the end of its IP packet are no data."""
    connection = peer.connect()
    packet = connection.build("PA", request(peer.server))
    connection.seq = add(connection.seq, len(request(peer.server)))
    frame = peer.frame(packet)
    peer.flood([frame + b"#" * 30], 1)
    connection.answer(3)


@case(rfc="RFC 9293 3.9.2.3 MUST-63 (land)", severity="attack")
def source_is_server(peer: Peer) -> None:
    """Packets that seem to come from the server itself are dropped."""
    for flags in ("S", "SA", "A"):
        peer.raw(peer.tcp(peer.port, flags, seq=5, ack=5, ip=peer.ip(src=peer.server)))
        peer.raw(peer.tcp(4444, flags, seq=5, ack=5, ip=peer.ip(src=peer.server)))
    answer = peer.segment(0.3, peer.port)
    peer.expect(not answer, "an answer came out")
    peer.served()


@case(rfc="RFC 1122 3.2.1.3, RFC 9293 MUST-63", severity="attack")
def martians(peer: Peer) -> None:
    """SYNs from addresses that nobody can have open nothing."""
    port = peer.new_port()
    for source in ("127.0.0.1", "224.0.0.1", "255.255.255.255", "0.0.0.0", "240.1.2.3"):
        peer.raw(peer.tcp(port, "S", seq=5, options=list(PLAIN), ip=peer.ip(src=source)))
    found = peer.receive(0.5, lambda packet: TCP in packet and packet[TCP].dport == port)
    peer.expect(not found, "a SYN-ACK")
    peer.served()


@case(rfc="RFC 1122 3.2.1.3", severity="minor")
def other_destination(peer: Peer) -> None:
    """A packet to another address at the server's MAC is neither served nor passed on."""
    port = peer.new_port()
    peer.raw(peer.tcp(port, "S", seq=5, ip=peer.ip(dst=peer.neighbour(3))))
    peer.raw(peer.tcp(port, "S", seq=5, ip=peer.ip(dst="192.0.2.1")))
    found = peer.receive(0.5, lambda packet: TCP in packet and packet[TCP].dport == port)
    peer.expect(not found, "an answer")


@case(rfc="IEEE 802.1Q 6.9", severity="wedge")
def vlan_priority(peer: Peer) -> None:
    """A frame with a tag that has a priority and no VLAN is taken like one without."""
    port = peer.new_port()
    peer.raw(Ether(src=peer.mac, dst=peer.server_mac) / Dot1Q(prio=5, vlan=0) / peer.tcp(
        port, "S", seq=5, options=list(PLAIN)))
    answer = peer.segment(1, port)
    peer.expect(answer and "S" in answer.flags, "no SYN-ACK")


@case(rfc="IEEE 802.1Q 6.9", severity="minor")
def vlan_other(peer: Peer) -> None:
    """A frame of a VLAN that the server is not in is dropped."""
    port = peer.new_port()
    peer.raw(Ether(src=peer.mac, dst=peer.server_mac) / Dot1Q(vlan=77) / peer.tcp(
        port, "S", seq=5, options=list(PLAIN)))
    answer = peer.segment(0.5, port)
    peer.expect(not answer, f"it was answered with {answer and answer.flags}")


@case(rfc="RFC 1122 2.3.3, 3.2.1", severity="attack")
def broken_frames(peer: Peer) -> None:
    """Frames that end in the middle of a header, or of no known protocol, do no harm."""
    whole = peer.frame(peer.tcp(peer.new_port(), "S", seq=5, options=list(PLAIN)))
    arp = bytes(Ether(src=peer.mac, dst=peer.server_mac) / ARP(pdst=peer.server))
    cut = [frame[:length] for frame in (whole, arp) for length in range(14, len(frame), 3)]
    kinds = [whole[:12] + kind.to_bytes(2, "big") + whole[14:] for kind in (0, 46, 0x86dd, 0xffff)]
    protocols = [peer.frame(peer.ip(proto=number) / (b"x" * 40)) for number in (0, 1, 2, 17, 255)]
    peer.flood([*cut, *kinds, *protocols], 500)
    peer.served()


@case(rfc="RFC 9293", severity="wedge", alone=True)
def served_after_all(peer: Peer) -> None:
    """After all other cases the server serves 50 connections, with right checksums."""
    for _ in range(50):
        peer.served(2)
    peer.expect(not peer.wrong_checksums, f"{peer.wrong_checksums} wrong checksums")
