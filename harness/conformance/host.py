# SPDX-License-Identifier: BSD-3-Clause
"""A host on the wire of which no kernel knows: it sends any packet, and keeps what comes.

It answers ARP, and nothing else unasked.
"""

from __future__ import annotations

import random
import time
from itertools import islice
from typing import Any, Callable, Iterable, Iterator, MutableSequence, TypeVar

from scapy.layers.inet import IP, TCP, in4_chksum
from scapy.layers.l2 import ARP, Ether
from scapy.utils import checksum

from harness.conformance.packet_socket import Frame, PacketSocket, renumbered
from harness.conformance.segment import Segment, line, segment_of

WINDOW = 65535
_BROADCAST = "ff:ff:ff:ff:ff:ff"
_TRIES, _TRY_SECONDS = 3, 1.0
_IPV4, _TCP, _WHO_HAS = b"\x08\x00", 6, 1
# of flood()
_BATCHES_PER_SECOND = 1000
# lines that the trace keeps: the first of them tell what went wrong
_TRACE_LINES = 1000
Self = TypeVar("Self", bound="Host")


class Failed(Exception):
    """The server did not do what it must: says what was seen."""


def _checksums_right(ip: Any, data: bytes) -> bool:
    header = ip.ihl * 4
    return bool(checksum(data[:header]) == 0 and in4_chksum(_TCP, ip, data[header:]) == 0)


class Host:
    """One host on the wire, at the end of an Ethernet interface of this namespace.

    body: bytes of the body that the server answers a GET with
    trace: a line for each packet, both ways, as tcpdump would print it
    wrong_checksums: how many of the server's segments had one; they were dropped
    answers_arp: it tells its MAC to who asks
    flooded: one number: of the frames that flood() has sent; another process may share it
    isns: by port of ours, both initial numbers of its connection, which the trace counts from
    """

    def __init__(self, interface: str, mac: str, address: str, server: str, port: int,
                 body: int = 1) -> None:
        self.interface, self.mac, self.address = interface, mac, address
        self.server, self.port, self.body = server, port, body
        self.trace: list[str] = []
        self.wrong_checksums = 0
        self.answers_arp = True
        self.flooded: MutableSequence[int] = [0]
        self.random = random.Random()
        self._start = time.time()
        self._socket = PacketSocket(interface, mac, address)
        self.inbox: list[Any] = []
        self.isns: dict[int, tuple[int, int]] = {}
        self.server_mac = self._resolve()

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()

    @staticmethod
    def expect(condition: object, seen: str) -> None:
        """Raise Failed with what was seen, unless the condition holds."""
        if not condition:
            raise Failed(seen)

    def _resolve(self) -> str:
        for _ in range(_TRIES):
            self.raw(ARP(op="who-has", hwsrc=self.mac, psrc=self.address, pdst=self.server),
                     _BROADCAST)
            if reply := self.receive(_TRY_SECONDS, lambda packet: ARP in packet
                                     and packet[ARP].psrc == self.server):
                return str(reply[ARP].hwsrc)
        raise Failed(f"no ARP reply of {self.server} in {_TRIES * _TRY_SECONDS:g} s")

    @staticmethod
    def now() -> float:
        """Return the time, by the clock of Segment.time."""
        return time.time()

    def neighbour(self, number: int) -> str:
        """Return one of 200 addresses on this wire that are not ours."""
        address = f"{self.address.rpartition('.')[0]}.{10 + number % 200}"
        return address if address != self.address else self.neighbour(number + 1)

    # what goes out

    def raw(self, packet: Any, mac: str = "") -> None:
        """Send a scapy packet; without an Ethernet header it goes to the server, or to `mac`."""
        if Ether not in packet:
            packet = Ether(src=self.mac, dst=mac or self.server_mac) / packet
        self._note(packet, time.time(), ">")
        self._socket.send(bytes(packet))

    def frame(self, packet: Any) -> bytes:
        """Build a frame to the server, for flood()."""
        return bytes(Ether(src=self.mac, dst=self.server_mac) / packet)

    def frames(self, packet: Any, sequences: Iterable[int]) -> list[bytes]:
        """Build the frame of a segment with each of these sequence numbers."""
        frame = self.frame(packet)
        return [renumbered(frame, sequence) for sequence in sequences]

    def flood(self, frames: Iterable[bytes], per_second: float) -> None:
        """Send frames, at most so many a second; the trace tells their number alone."""
        begin, number, left = time.monotonic(), 0, iter(frames)
        while batch := list(islice(left, max(1, int(per_second / _BATCHES_PER_SECOND)))):
            number += len(batch)
            if (ahead := begin + number / per_second - time.monotonic()) > 0:
                time.sleep(ahead)
            self._socket.send_all(batch)
            self.flooded[0] += len(batch)
        self.trace.append(f"{time.time() - self._start:9.6f} > {number} frames, "
                          f"{per_second:g} a second")

    def ip(self, **fields: Any) -> Any:
        """Return an IP header to the server."""
        usual = {"src": self.address, "dst": self.server, "flags": "DF",
                 "id": self.random.randrange(1, 1 << 16)}
        return IP(**{**usual, **fields})

    def tcp(self, port: int, flags: str, *, data: bytes = b"", ip: Any = None,
            **fields: Any) -> Any:
        """Return a segment from this port of ours to the server's; fields: scapy's TCP's."""
        usual = {"sport": port, "dport": self.port, "flags": flags, "window": WINDOW}
        return (self.ip() if ip is None else ip) / TCP(**{**usual, **fields}) / data

    # what comes in

    def wait(self, seconds: float) -> None:
        """Let time pass; ARP is answered, and what comes stays."""
        self.receive(seconds, lambda packet: False)

    def receive(self, seconds: float, wanted: Callable[[Any], bool] = lambda packet: True) -> Any:
        """Return the next scapy packet that is wanted, None if none comes; others stay."""
        until, passed = time.monotonic() + seconds, 0
        while True:
            for number, packet in enumerate(self.inbox[passed:], passed):
                if wanted(packet):
                    return self.inbox.pop(number)
            passed = len(self.inbox)
            left = until - time.monotonic()
            frames = self._socket.receive(max(left, 0))
            if not frames and left <= 0:
                return None
            for frame in frames:
                self._take(frame)

    def caught(self) -> Iterator[bytes]:
        """Yield the frames that have come, unread; ARP is not answered."""
        while frames := self._socket.receive(0):
            yield from (frame.data for frame in frames)

    def segment(self, seconds: float, port: int, server_port: int = 0) -> Segment | None:
        """Return the next segment of the server to this port of ours, None if none comes."""
        packet = self.receive(seconds, lambda packet: (
            TCP in packet and packet[IP].src == self.server and packet[IP].proto == _TCP
            and packet[TCP].dport == port and packet[TCP].sport == (server_port or self.port)))
        return packet and segment_of(packet)

    def _take(self, frame: Frame) -> None:
        data = frame.data
        if data[12:14] == _IPV4:
            # the padding of a short frame is no data
            data = data[:14 + int.from_bytes(data[16:18], "big")]
        packet = Ether(data)
        packet.time = frame.time
        if TCP in packet and packet[IP].proto == _TCP and not packet[IP].flags.MF:
            if frame.checked and not _checksums_right(packet[IP], data[14:]):
                self.wrong_checksums += 1
                return self._note(packet, frame.time, "< wrong checksum:")
        self._note(packet, frame.time, "<")
        self.inbox.append(packet)
        if self.answers_arp and ARP in packet:
            asked = packet[ARP]
            if asked.op == _WHO_HAS and asked.pdst == self.address:
                self.raw(ARP(op="is-at", hwsrc=self.mac, psrc=self.address, hwdst=asked.hwsrc,
                             pdst=asked.psrc), packet[Ether].src)

    def _note(self, packet: Any, when: float, word: str) -> None:
        if len(self.trace) < _TRACE_LINES:
            ours, server = 0, 0
            if TCP in packet:
                port = packet[TCP].sport if word == ">" else packet[TCP].dport
                ours, server = self.isns.get(port, (0, 0))
                if "S" in packet[TCP].flags and word != ">":
                    server = packet[TCP].seq
            text = line(packet, *((ours, server) if word == ">" else (server, ours)))
            self.trace.append(f"{when - self._start:9.6f} {word} {text}")
