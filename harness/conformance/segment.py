# SPDX-License-Identifier: BSD-3-Clause
"""A TCP segment as a value, arithmetic of sequence numbers, and a line of text for each packet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping

from scapy.layers.inet import ICMP, TCP
from scapy.layers.l2 import ARP

_SPACE = 1 << 32


def add(number: int, count: int) -> int:
    """Return a sequence number `count` further on."""
    return (number + count) % _SPACE


def distance(start: int, end: int) -> int:
    """Return how far `end` is after `start`; negative if it is before (RFC 9293 3.4)."""
    return (end - start + _SPACE // 2) % _SPACE - _SPACE // 2


@dataclass(frozen=True)
class Segment:
    """A segment that was received.

    flags: letters in the order FSRPAUEC, as scapy has them
    options: by scapy's name: MSS, WScale, SAckOK, SAck, Timestamp
    """

    time: float
    seq: int
    ack: int
    flags: str
    window: int
    data: bytes
    options: Mapping[str, Any]
    packet: Any

    @property
    def end(self) -> int:
        """Return the sequence number after its last."""
        return add(self.seq, len(self.data) + sum(self.flags.count(flag) for flag in "SF"))

    @property
    def sack(self) -> list[tuple[int, int]]:
        """Return the blocks of its SACK option."""
        edges = self.options.get("SAck", ())
        return list(zip(edges[::2], edges[1::2]))

    def has(self, *flags: str) -> bool:
        """Tell whether it has each of these flags."""
        return all(flag in self.flags for flag in flags)


def segment_of(packet: Any) -> Segment:
    """Read a scapy packet that has a TCP header."""
    tcp = packet[TCP]
    return Segment(float(packet.time), tcp.seq, tcp.ack, str(tcp.flags), tcp.window,
                   bytes(tcp.payload),
                   {name: value for name, value in tcp.options if name != "NOP"}, packet)


def _option(name: str, value: Any, ack: int) -> str:
    if isinstance(value, tuple) and len(value) % 2 or name == "Timestamp" and not value:
        return f"{name}, broken"
    if name == "Timestamp":
        return f"TS val {value[0]} ecr {value[1]}"
    if name == "SAck":
        return "sack " + " ".join(f"{distance(ack, left)}:{distance(ack, right)}"
                                  for left, right in zip(value[::2], value[1::2]))
    return {"MSS": f"mss {value}", "WScale": f"wscale {value}", "SAckOK": "sackOK",
            "NOP": "nop", "EOL": "eol"}.get(name, f"{name} {value!r}")


def line(packet: Any, seq: int, ack: int) -> str:
    """Describe a packet as tcpdump and packetdrill do, its numbers relative to both ISNs."""
    if ARP in packet or TCP not in packet or ICMP in packet:
        return str(packet.summary())
    tcp = packet[TCP]
    start, length, flags = distance(seq, tcp.seq), len(tcp.payload), str(tcp.flags)
    words = [flags.replace("A", ".") or "none", f"{start}:{start + length}({length})"]
    if "A" in flags:
        words.append(f"ack {distance(ack, tcp.ack)}")
    words.append(f"win {tcp.window}")
    if "U" in flags:
        words.append(f"urg {tcp.urgptr}")
    if tcp.options:
        options = [_option(name, value, ack) for name, value in tcp.options]
        words.append(f"<{','.join(options)}>")
    return " ".join(words)
