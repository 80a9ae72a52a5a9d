# SPDX-License-Identifier: BSD-3-Clause
"""A server's TCP in a few lines, which keeps what some cases demand, or breaks one rule of it."""

from __future__ import annotations

import random
import time
from collections import deque
from dataclasses import dataclass
from typing import Sequence

from scapy.layers.inet import IP, TCP, in4_chksum
from scapy.layers.l2 import ARP, Ether

from harness.conformance.packet_socket import Frame
from harness.conformance.segment import add, distance

ADDRESS, MAC, PORT = "198.18.0.2", "02:00:00:00:00:02", 80
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n0"
_WINDOW = 65535


@dataclass
class _State:
    received: int
    sent: int
    mss: int
    established: bool = False
    request: bytes = b""


class Responder:
    """Stands in for a PacketSocket: what is sent to it is answered at once.

    breaks: the rule that it does not keep, "" for none
    """

    breaks = ""

    def __init__(self, *_: object) -> None:
        self._out: deque[bytes] = deque()
        self._states: dict[int, _State] = {}

    def close(self) -> None:
        pass

    def receive(self, seconds: float) -> list[Frame]:
        if not self._out:
            time.sleep(seconds)
            return []
        return [Frame(time.time(), self._out.popleft(), True)]

    def send(self, frame: bytes) -> None:
        packet = Ether(frame)
        if ARP in packet:
            if packet[ARP].pdst == ADDRESS:
                self._out.append(bytes(Ether(src=MAC, dst=packet.src) / ARP(
                    op=2, hwsrc=MAC, psrc=ADDRESS, hwdst=packet.src, pdst=packet[ARP].psrc)))
            return
        right = in4_chksum(6, packet[IP], bytes(packet[IP])[packet[IP].ihl * 4:]) == 0
        if right or self.breaks == "checksum":
            self._take(packet)

    def send_all(self, frames: Sequence[bytes]) -> None:
        for frame in frames:
            self.send(frame)

    def _answer(self, to: Ether, flags: str, seq: int, ack: int = 0, data: bytes = b"") -> None:
        self._out.append(bytes(
            Ether(src=MAC, dst=to.src) / IP(src=ADDRESS, dst=to[IP].src) / TCP(
                sport=to[TCP].dport, dport=to[TCP].sport, flags=flags, seq=seq, ack=ack,
                window=_WINDOW, options=[("MSS", 1460)] if "S" in flags else []) / data))

    def _take(self, packet: Ether) -> None:
        tcp = packet[TCP]
        state, flags, data = self._states.get(tcp.sport), str(tcp.flags), bytes(tcp.payload)
        if state is None:
            if flags == "S" and tcp.dport == PORT:
                isn = 6510 if self.breaks == "isn" else random.randrange(1 << 32)
                self._states[tcp.sport] = _State(add(tcp.seq, 1), add(isn, 1), 1460)
                self._answer(packet, "SA", isn, add(tcp.seq, 1))
            elif "A" in flags and "R" not in flags:
                self._answer(packet, "R", tcp.ack)
            elif "R" not in flags and tcp.dport != PORT:
                self._answer(packet, "RA", 1 if self.breaks == "reset" else 0,
                             add(tcp.seq, 1 + len(data)))
            return
        ahead = distance(state.received, tcp.seq)
        if "R" in flags:
            if ahead == 0 or 0 < ahead < _WINDOW and self.breaks == "rst":
                del self._states[tcp.sport]
            elif 0 < ahead < _WINDOW:
                self._answer(packet, "A", state.sent, state.received)
        elif "S" in flags and self.breaks == "syn":
            del self._states[tcp.sport]
        elif "S" in flags or data and (ahead < 0 or ahead >= _WINDOW):
            self._answer(packet, "A", state.sent, state.received)
        elif self.breaks == "flags" or "A" in flags and (
                tcp.ack == state.sent or self.breaks == "ack"):
            self._read(packet, state, data)

    def _read(self, packet: Ether, state: _State, data: bytes) -> None:
        state.received = add(state.received, len(data))
        state.request += data
        while b"\r\n\r\n" in state.request:
            state.request = state.request.partition(b"\r\n\r\n")[2]
            self._answer(packet, "PA", state.sent, state.received, _ANSWER)
            state.sent = add(state.sent, len(_ANSWER))
