# SPDX-License-Identifier: BSD-3-Clause
"""A raw peer: a host of its own on the wire, of which no kernel knows.

It answers ARP, and nothing else unasked.
"""

from __future__ import annotations

import random
import re
import time
from typing import Any, Callable, Iterable, Sequence

from scapy.layers.inet import IP, TCP, in4_chksum
from scapy.layers.l2 import ARP, Ether
from scapy.utils import checksum

from harness.conformance.packet_socket import Frame, PacketSocket
from harness.conformance.segment import Segment, add, distance, line, segment_of

MSS, WINDOW = 1460, 65535
Options = Sequence[tuple[str, Any]]
# options of a SYN: as any client of today has them
MODERN = (("MSS", MSS), ("SAckOK", b""), ("Timestamp", (1, 0)), ("NOP", None), ("WScale", 7))
PLAIN = (("MSS", MSS),)
_BROADCAST = "ff:ff:ff:ff:ff:ff"
_TRIES, _TRY_SECONDS, _ANSWER_SECONDS = 3, 1.0, 10.0
_PORTS = range(33000, 61000)
_TCP, _WHO_HAS = 6, 1
_CONTENT_LENGTH = re.compile(rb"\r\nContent-Length: *(\d+)\r\n", re.IGNORECASE)
# lines that the trace keeps: the first of them tell what went wrong
_TRACE_LINES = 1000


class Failed(Exception):
    """The server did not do what it must: says what was seen."""


def _checksums_right(packet: Any) -> bool:
    ip = packet[IP]
    header, data = bytes(ip)[:ip.ihl * 4], bytes(ip)[ip.ihl * 4:ip.len]
    return bool(checksum(header) == 0 and in4_chksum(_TCP, ip, data) == 0)


class Peer:
    """One host on the wire, at the end of an Ethernet interface of this namespace.

    body: bytes of the body that the server answers a GET with
    trace: a line for each packet, both ways, as tcpdump would print it
    wrong_checksums: how many of the server's segments had one; they were dropped
    answers_arp: it tells its MAC to who asks
    """

    def __init__(self, interface: str, mac: str, address: str, server: str, port: int,
                 body: int = 1) -> None:
        self.interface, self.mac, self.address = interface, mac, address
        self.server, self.port, self.body = server, port, body
        self.trace: list[str] = []
        self.wrong_checksums = 0
        self.answers_arp = True
        self.random = random.Random()
        self._start = time.time()
        self._socket = PacketSocket(interface, mac, address)
        self._inbox: list[Any] = []
        self._connections: dict[int, Connection] = {}
        self.server_mac = self._resolve()

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Reset what may still be open, so that the server keeps nothing of it."""
        for connection in self._connections.values():
            connection.send("R", ack=0)
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

    # what goes out

    def raw(self, packet: Any, mac: str = "") -> None:
        """Send a scapy packet; without an Ethernet header it goes to the server, or to `mac`."""
        if Ether not in packet:
            packet = Ether(src=self.mac, dst=mac or self.server_mac) / packet
        frame = bytes(packet)
        self._note(Ether(frame), time.time(), ">")
        self._socket.send(frame)

    def frame(self, packet: Any) -> bytes:
        """Build a frame to the server, for flood()."""
        return bytes(Ether(src=self.mac, dst=self.server_mac) / packet)

    def flood(self, frames: Iterable[bytes], per_second: float) -> None:
        """Send frames, at most so many a second; the trace tells their number alone."""
        begin, number = time.monotonic(), 0
        for number, frame in enumerate(frames, 1):
            if (ahead := begin + number / per_second - time.monotonic()) > 0:
                time.sleep(ahead)
            self._socket.send(frame)
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

    def receive(self, seconds: float, wanted: Callable[[Any], bool] = lambda packet: True) -> Any:
        """Return the next scapy packet that is wanted, None if none comes; others stay."""
        until, passed = time.monotonic() + seconds, 0
        while True:
            for number, packet in enumerate(self._inbox[passed:], passed):
                if wanted(packet):
                    return self._inbox.pop(number)
            passed = len(self._inbox)
            left = until - time.monotonic()
            frames = self._socket.receive(max(left, 0))
            if not frames and left <= 0:
                return None
            for frame in frames:
                self._take(frame)

    def segment(self, seconds: float, port: int, server_port: int = 0) -> Segment | None:
        """Return the next segment of the server to this port of ours, None if none comes."""
        packet = self.receive(seconds, lambda packet: (
            TCP in packet and packet[IP].src == self.server and packet[IP].proto == _TCP
            and packet[TCP].dport == port and packet[TCP].sport == (server_port or self.port)))
        return packet and segment_of(packet)

    def _take(self, frame: Frame) -> None:
        packet = Ether(frame.data)
        packet.time = frame.time
        if IP in packet and packet[IP].proto == _TCP and TCP in packet:
            whole = not packet[IP].flags.MF
            if frame.checked and whole and not _checksums_right(packet):
                self.wrong_checksums += 1
                return self._note(packet, frame.time, "< wrong checksum:")
            # the padding of a short frame is no data
            packet = Ether(frame.data[:14 + packet[IP].len])
            packet.time = frame.time
        self._note(packet, frame.time, "<")
        self._inbox.append(packet)
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
                if connection := self._connections.get(port):
                    ours, server = connection.iss, connection.irs
                if "S" in packet[TCP].flags and word != ">":
                    server = packet[TCP].seq
            text = line(packet, *((ours, server) if word == ">" else (server, ours)))
            self.trace.append(f"{when - self._start:9.6f} {word} {text}")

    # connections

    def new_port(self) -> int:
        """Return a port of ours that no connection has had."""
        return next(port for port in iter(lambda: self.random.choice(_PORTS), None)
                    if port not in self._connections)

    def connection(self, *, port: int = 0, options: Options = PLAIN) -> Connection:
        """Return a connection that has sent nothing yet."""
        port = port or self.new_port()
        self._connections[port] = Connection(self, port, options)
        return self._connections[port]

    def connect(self, *, port: int = 0, options: Options = PLAIN) -> Connection:
        """Open a connection. Failed if the server does not let it."""
        connection = self.connection(port=port, options=options)
        for _ in range(_TRIES):
            connection.send("S", seq=connection.iss)
            if connection.establish(_TRY_SECONDS):
                return connection
        raise Failed(f"no SYN-ACK in {_TRIES * _TRY_SECONDS:g} s")

    def served(self, seconds: float = _ANSWER_SECONDS) -> None:
        """Ask for the body on a new connection. Failed if the right answer does not come."""
        connection = self.connect()
        connection.get()
        connection.answer(seconds)
        connection.send("R", ack=0)


class Connection:
    """Our end of one connection: it keeps count, and does nothing by itself.

    seq, ack: of our next segment. ack follows the data that came in order
    window: field of our next segment
    granted: the server's window at present, in bytes
    mss, scale: the server's; scale is 0 unless both sides had the option
    timestamps: both sides had the option, so send() adds it
    received: the server's data in order, from its first byte
    """

    def __init__(self, peer: Peer, port: int, options: Options) -> None:
        self.peer, self.port, self.options = peer, port, list(options)
        self.iss = peer.random.randrange(1 << 32)
        self.irs = 0
        self.seq, self.ack = add(self.iss, 1), 0
        self.window, self.granted = WINDOW, 0
        self.mss, self.scale, self.timestamps = 536, 0, False
        self.syn_ack: Segment | None = None
        self.recent = 0
        self.finished = False
        self.received = bytearray()
        self._early: dict[int, Segment] = {}

    # what goes out

    def send(self, flags: str = "A", data: bytes = b"", *, seq: int | None = None,
             ack: int | None = None, window: int | None = None, options: Options | None = None,
             ip: Any = None, urgent: int = 0) -> None:
        """Send a segment. Without `seq` it is our next one, and counts as sent."""
        self.peer.raw(self.build(flags, data, seq=seq, ack=ack, window=window, options=options,
                                 ip=ip, urgent=urgent))
        if seq is None:
            self.seq = add(self.seq, len(data) + flags.count("S") + flags.count("F"))

    def build(self, flags: str = "A", data: bytes = b"", *, seq: int | None = None,
              ack: int | None = None, window: int | None = None, options: Options | None = None,
              ip: Any = None, urgent: int = 0) -> Any:
        """Return what send() would send."""
        if options is None:
            options = self.options if "S" in flags else self.stamp()
        ack = ack if ack is not None else self.ack if "A" in flags else 0
        return self.peer.tcp(self.port, flags, data=data, ip=ip, ack=ack, options=list(options),
                             seq=self.seq if seq is None else seq, urgptr=urgent,
                             window=self.window if window is None else window)

    def clock(self) -> int:
        """Return our clock of timestamps, in ms."""
        return int(time.time() * 1000) % (1 << 32)

    def stamp(self) -> list[tuple[str, Any]]:
        """Return the timestamp option of a segment of now, [] where it was not negotiated."""
        stamp = ("Timestamp", (self.clock(), self.recent))
        return [("NOP", None), ("NOP", None), stamp] if self.timestamps else []

    def get(self, path: str = "/") -> None:
        """Send a GET, in one segment."""
        self.send("PA", request(self.peer.server, path))

    # what comes in

    def receive(self, seconds: float) -> Segment | None:
        """Return the next segment of this connection, None if none comes in time."""
        segment = self.peer.segment(seconds, self.port)
        if segment:
            self._count(segment)
        return segment

    def collect(self, seconds: float) -> list[Segment]:
        """Return all that comes in so many seconds."""
        until, found = time.monotonic() + seconds, []
        while (left := until - time.monotonic()) > 0:
            if segment := self.receive(left):
                found.append(segment)
        return found

    def establish(self, seconds: float) -> Segment | None:
        """Wait for the SYN-ACK and acknowledge it; None if it does not come."""
        segment = self.wait_syn_ack(seconds)
        if segment:
            self.send("A")
        return segment

    def wait_syn_ack(self, seconds: float) -> Segment | None:
        """Wait for the SYN-ACK and take over what it says; None if it does not come."""
        segment = self.receive(seconds)
        if segment is None:
            return None
        self.peer.expect(segment.has("S", "A") and segment.ack == add(self.iss, 1),
                         f"the answer to a SYN has flags {segment.flags} and acknowledges "
                         f"{distance(self.iss, segment.ack)}")
        ours = dict(self.options)
        self.syn_ack, self.irs, self.ack = segment, segment.seq, segment.end
        self.mss, self.granted = segment.options.get("MSS", 536), segment.window
        self.scale = segment.options.get("WScale", 0) if "WScale" in ours else 0
        self.timestamps = "Timestamp" in ours and "Timestamp" in segment.options
        return segment

    def answer(self, seconds: float = _ANSWER_SECONDS, acknowledge: bool = True) -> bytes:
        """Receive one whole answer, acknowledge each segment, and return its body.

        Failed if it does not come, or has another length than the server is to answer with.
        """
        until = time.monotonic() + seconds
        while True:
            head, found, body = bytes(self.received).partition(b"\r\n\r\n")
            length = _CONTENT_LENGTH.search(head + b"\r\n") if found else None
            if length and len(body) >= int(length[1]):
                break
            segment = self.receive(until - time.monotonic())
            if segment is None or "R" in segment.flags:
                raise Failed(f"{len(self.received)} bytes of the answer, then "
                             f"{'a RST' if segment else f'nothing until {seconds:g} s had passed'}")
            if acknowledge and (segment.data or "F" in segment.flags):
                self.send("A")
        size = int(length[1])
        self.peer.expect(head.startswith(b"HTTP/1.1 200") and size == self.peer.body,
                         f"an answer of {size} bytes: {head[:60]!r}")
        self.received = bytearray(body[size:])
        return body[:size]

    def _count(self, segment: Segment) -> None:
        if "A" in segment.flags and "S" not in segment.flags:
            self.granted = segment.window << self.scale
        if "Timestamp" in segment.options:
            self.recent = segment.options["Timestamp"][0]
        if "S" in segment.flags or "R" in segment.flags:
            return
        if distance(self.ack, segment.end) > 0:
            self._early[segment.seq] = segment
        while ready := next((other for other in self._early.values()
                             if distance(other.seq, self.ack) >= 0), None):
            del self._early[ready.seq]
            if distance(self.ack, ready.end) > 0:
                self.received += ready.data[distance(ready.seq, self.ack):]
                self.ack, self.finished = ready.end, self.finished or "F" in ready.flags


def request(host: str, path: str = "/") -> bytes:
    """Return the bytes of a GET."""
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
