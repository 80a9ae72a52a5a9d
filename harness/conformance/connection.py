# SPDX-License-Identifier: BSD-3-Clause
"""Our end of a connection: it keeps count, and does nothing by itself."""

from __future__ import annotations

import re
import time
from typing import Any, Callable, Sequence

from harness.conformance.host import Failed, Host
from harness.conformance.segment import Segment, add, distance

Options = Sequence[tuple[str, Any]]
ANSWER_SECONDS = 10.0
_CONTENT_LENGTH = re.compile(rb"\r\nContent-Length: *(\d+)\r\n", re.IGNORECASE)


def request(host: str, more: str = "") -> bytes:
    """Return a GET with these header lines more, each with its end of line."""
    return f"GET / HTTP/1.1\r\nHost: {host}\r\n{more}\r\n".encode()


class Connection:
    """Our end of one connection.

    seq, ack: of our next segment. ack follows the data that came in order
    window: field of our next segment
    granted: the server's window at present, in bytes
    mss, scale: the server's; scale is 0 unless both sides had the option
    timestamps: both sides had the option, so send() adds it
    sack: both sides had the option, so acknowledge() tells what came out of order
    received: the server's data in order, from its first byte
    lost: segments of which it says so are as if they had not come
    stall: the longest that the server has taken to send data since our last segment
    """

    def __init__(self, peer: Host, port: int, options: Options, iss: int,
                 window: int) -> None:
        self.peer, self.port, self.options = peer, port, list(options)
        self.iss, self.irs = iss, 0
        peer.isns[port] = iss, 0
        self.seq, self.ack = add(self.iss, 1), 0
        self.window, self.granted = window, 0
        self.mss, self.scale, self.timestamps, self.sack = 536, 0, False, False
        self.syn_ack: Segment | None = None
        self.recent = 0
        self.finished = False
        self.received = bytearray()
        self.lost: Callable[[Segment], bool] = lambda segment: False
        self.stall = 0.0
        self._sent_at, self._dropped = 0.0, False
        self._early: dict[int, Segment] = {}

    # what goes out

    def send(self, flags: str = "A", data: bytes = b"", *, seq: int | None = None,
             ack: int | None = None, window: int | None = None, options: Options | None = None,
             ip: Any = None, urgent: int = 0) -> None:
        """Send a segment. Without `seq` it is our next one, and counts as sent."""
        self.peer.raw(self.build(flags, data, seq=seq, ack=ack, window=window, options=options,
                                 ip=ip, urgent=urgent))
        self._sent_at = time.time()
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

    def get(self, more: str = "") -> None:
        """Send a GET in one segment, with these header lines more."""
        self.send("PA", request(self.peer.server, more))

    def acknowledge(self) -> None:
        """Acknowledge what came, with SACK blocks if both sides know them, the newest first."""
        early = list(self._early.values())[:-4:-1] if self.sack else []
        edges = [edge for segment in early for edge in (segment.seq, segment.end)]
        sack = [("NOP", None), ("NOP", None), ("SAck", tuple(edges))] if edges else []
        self.send("A", options=[*self.stamp(), *sack])

    # what comes in

    def receive(self, seconds: float) -> Segment | None:
        """Return the next segment of this connection, None if none comes in time."""
        segment = self.peer.segment(seconds, self.port)
        if segment:
            if segment.data:
                self.stall = max(self.stall, segment.time - self._sent_at)
            self._dropped = self.lost(segment)
            if not self._dropped:
                self._count(segment)
        return segment

    def collect(self, seconds: float) -> list[Segment]:
        """Return all that comes in so many seconds, also what is read later on a busy machine."""
        until, found = time.time() + seconds, []
        while True:
            left = until - time.time()
            segment = self.receive(max(left, 0))
            if segment:
                found.append(segment)
            if segment.time > until if segment else left <= 0:
                return found

    def data(self, seconds: float) -> list[Segment]:
        """Return the segments with data that come in so many seconds. Failed if none does."""
        found = [segment for segment in self.collect(seconds) if segment.data]
        self.peer.expect(found, f"no data in {seconds:g} s")
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
        self.peer.isns[self.port] = self.iss, segment.seq
        self.syn_ack, self.irs, self.ack = segment, segment.seq, segment.end
        self.mss, self.granted = segment.options.get("MSS", 536), segment.window
        self.scale = segment.options.get("WScale", 0) if "WScale" in ours else 0
        self.timestamps = "Timestamp" in ours and "Timestamp" in segment.options
        self.sack = "SAckOK" in ours and "SAckOK" in segment.options
        return segment

    def answer(self, seconds: float = ANSWER_SECONDS, acknowledge: bool = True) -> bytes:
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
            # a probe of a closed window has an old number, and wants an ACK too
            probe = distance(segment.seq, self.ack) > 0
            if acknowledge and not self._dropped and (segment.end != segment.seq or probe):
                self.acknowledge()
        size = int(length[1])
        self.peer.expect(head.startswith(b"HTTP/1.1 200") and size == self.peer.body,
                         f"an answer of {size} bytes: {head[:60]!r}")
        self.received = bytearray(body[size:])
        return body[:size]

    def ends(self, seconds: float) -> bool:
        """Wait for the server's FIN, and tell whether it came."""
        until = time.monotonic() + seconds
        while not self.finished and self.receive(until - time.monotonic()):
            pass
        return self.finished

    def serves(self, seconds: float = ANSWER_SECONDS) -> None:
        """Ask for the body. Failed if the right answer does not come."""
        self.get()
        self.answer(seconds)

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
