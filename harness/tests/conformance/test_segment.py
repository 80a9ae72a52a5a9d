# SPDX-License-Identifier: BSD-3-Clause
"""Sequence numbers, what a segment says, and what offload left in one piece."""

from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import ARP, Ether

from harness.conformance.packet_socket import split
from harness.conformance.segment import add, distance, line, segment_of


def _segment(data: bytes = b"", **fields: object) -> Ether:
    header = TCP(**{"sport": 80, "dport": 33000, "flags": "A", "window": 64, **fields})
    return Ether(bytes(Ether() / IP(src="198.18.0.2", dst="198.18.0.9", id=7) / header / data))


def test_sequence_numbers_wrap() -> None:
    assert add(0xfffffff0, 0x20) == 0x10
    assert distance(0xfffffff0, 0x10) == 0x20
    assert distance(0x10, 0xfffffff0) == -0x20


def test_a_segment_ends_after_its_data_and_flags() -> None:
    segment = segment_of(_segment(b"four", flags="FA", seq=0xfffffffe))
    assert (segment.data, segment.flags, segment.end) == (b"four", "FA", 3)
    assert segment.has("F", "A") and not segment.has("S")


def test_sack_blocks_are_pairs() -> None:
    segment = segment_of(_segment(options=[("SAck", (10, 20, 30, 40))]))
    assert segment.sack == [(10, 20), (30, 40)]


def test_a_line_is_relative_to_both_initial_numbers() -> None:
    packet = _segment(b"abc", seq=1001, ack=5005, flags="PA",
                      options=[("NOP", None), ("NOP", None), ("SAck", (5010, 5020))])
    assert line(packet, 1000, 5000) == "P. 1:4(3) ack 5 win 64 <nop,nop,sack 10:20>"
    syn = _segment(flags="S", seq=1000, options=[("MSS", 1460), ("NOP", None), ("WScale", 7)])
    assert line(syn, 1000, 0) == "S 0:0(0) win 64 <mss 1460,nop,wscale 7>"
    assert line(_segment(flags="", seq=1000), 1000, 0) == "none 0:0(0) win 64"
    assert "who has" in line(Ether() / ARP(pdst="198.18.0.2"), 0, 0)


def test_what_offload_left_whole_is_cut_as_the_device_would() -> None:
    data = bytes(range(250))
    pieces = [segment_of(Ether(piece)) for piece in
              split(bytes(_segment(data, seq=0xffffffff, flags="FPAC")), 100)]
    assert b"".join(piece.data for piece in pieces) == data
    assert [piece.seq for piece in pieces] == [0xffffffff, 99, 199]
    assert [piece.flags for piece in pieces] == ["AC", "A", "FPA"]
    assert [piece.packet[IP].id for piece in pieces] == [7, 8, 9]
    assert [piece.packet[IP].len for piece in pieces] == [140, 140, 90]
