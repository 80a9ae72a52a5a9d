# SPDX-License-Identifier: BSD-3-Clause
"""Attack a server from the client's namespace, and measure what an honest client has meanwhile.

Usage: python3 -m harness.conformance.attacks JSON; JSON: an Order whose `cases` name one attack.
Prints an Impact as JSON. The attacker is another process at the lowest priority.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import socket
import struct
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import cycle, islice
from typing import Callable, Iterator, Mapping, MutableSequence, Sequence

from harness.conformance.battery import mac_of, spare_addresses
from harness.conformance.connection import request
from harness.conformance.order import Order
from harness.conformance.peer import MODERN, Failed, Peer
from harness.conformance.segment import add
from harness.store import Impact, Service, to_json

BEFORE_SECONDS, UNDER_SECONDS, SETTLE_SECONDS = 3.0, 6.0, 2.0
_CLIENTS, _PACE_SECONDS, _PATIENCE_SECONDS = 4, 0.02, 2.0
_ROUND_TRIP_SECONDS = 0.2
# offsets in a frame
_IP_CHECKSUM, _SOURCE_HOST, _SOURCE_PORT, _DESTINATION_PORT = 24, 28, 34, 36
_SEQUENCE, _ACKNOWLEDGED, _FLAGS, _CHECKSUM = 38, 42, 47, 50
_SYN_ACK = 0x12
_FILES = 4096
Act = Callable[[Peer, float], None]


def _changed(frame: bytes, at: int, word: int, checksums: tuple[int, ...] = (_CHECKSUM,)) -> bytes:
    """Return the frame with another 16-bit word there, its checksums kept right (RFC 1624)."""
    made = bytearray(frame)
    old, = struct.unpack_from("!H", frame, at)
    struct.pack_into("!H", made, at, word)
    for place in checksums:
        total = (old ^ 0xffff) + (struct.unpack_from("!H", frame, place)[0] ^ 0xffff) + word
        while total >> 16:
            total = (total & 0xffff) + (total >> 16)
        struct.pack_into("!H", made, place, total ^ 0xffff)
    return bytes(made)


def _numbered(frame: bytes, at: int, number: int) -> bytes:
    """Return the frame with another 32-bit number there."""
    return _changed(_changed(frame, at, number >> 16), at + 2, number & 0xffff)


def _cycle(frames: Sequence[bytes], per_second: int, seconds: float) -> Iterator[bytes]:
    """Yield the frames, again and again, as many as that rate has in that time."""
    return islice(cycle(frames), int(seconds * per_second))


def syn_flood(peer: Peer, seconds: float) -> None:
    """40,000 SYNs a second from one host, whose handshakes never end."""
    frame = peer.frame(peer.tcp(1024, "S", seq=1))
    ports = [_changed(frame, _SOURCE_PORT, port) for port in range(1025, 65000)]
    peer.flood(_cycle(ports, 40_000, seconds), 40_000)


def on_link_sources(peer: Peer, seconds: float) -> None:
    """2,000 SYNs a second from 200 addresses of this network that nobody has."""
    frames = [peer.frame(peer.tcp(40_000, "S", seq=1, ip=peer.ip(src=peer.neighbour(number))))
              for number in range(200)]
    peer.flood(_cycle(frames, 2_000, seconds), 2_000)


def sources_elsewhere(peer: Peer, seconds: float) -> None:
    """2,000 SYNs a second from 60,000 addresses of another network."""
    frame = peer.frame(peer.tcp(40_000, "S", seq=1, ip=peer.ip(src="203.0.0.1")))
    frames = [_changed(frame, _SOURCE_HOST, host, (_IP_CHECKSUM, _CHECKSUM))
              for host in range(1, 60_001)]
    peer.flood(_cycle(frames, 2_000, seconds), 2_000)


def rst_flood(peer: Peer, seconds: float) -> None:
    """2,000 resets a second inside the window of one connection, each with a wrong number."""
    connection = peer.connect()
    frames = peer.frames(connection.build("R"), (add(connection.seq, 1 + number)
                                                 for number in range(20_000)))
    peer.flood(_cycle(frames, 2_000, seconds), 2_000)


def blind_window(peer: Peer, seconds: float) -> None:
    """2,000 segments a second inside the window, with an ACK that is 2^30 off and a window of 1."""
    connection = peer.connect()
    frame = peer.frame(connection.build(ack=add(connection.ack, 1 << 30), window=1))
    peer.flood(_cycle([frame], 2_000, seconds), 2_000)


def late_mss(peer: Peer, seconds: float) -> None:
    """Connections that give an MSS of 1 after the handshake, and have answers sent to them."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with suppress(Failed):
            connection = peer.connect()
            connection.send(options=(("MSS", 1),))
            for _ in range(20):
                connection.serves(1)


def orphans(peer: Peer, seconds: float) -> None:
    """40,000 connections, as fast as they come, whose last segment is never acknowledged."""
    syn = peer.frame(peer.tcp(1024, "S", seq=1))
    ask = peer.frame(peer.tcp(1024, "PA", seq=2, data=request(
        peer.server, "Connection: close\r\n")))
    until = time.monotonic() + seconds
    for first in range(1025, 41_025, 50):
        peer.flood([_changed(syn, _SOURCE_PORT, port) for port in range(first, first + 50)], 10_000)
        asked = []
        for frame in peer.caught():
            if len(frame) > _FLAGS and frame[_FLAGS] == _SYN_ACK:
                port, sequence = struct.unpack_from("!HI", frame, _DESTINATION_PORT)
                asked.append(_numbered(_changed(ask, _SOURCE_PORT, port), _ACKNOWLEDGED,
                                       add(sequence, 1)))
        peer.flood(asked, 40_000)
        if time.monotonic() > until:
            return


def one_byte_segments(peer: Peer, seconds: float) -> None:
    """GETs in segments of one byte each on one connection, whose answers are never acknowledged."""
    connection = peer.connect()
    text = request(peer.server) * 2000
    frames = {byte: peer.frame(connection.build("PA", bytes((byte,)))) for byte in set(text)}
    peer.flood((_numbered(frames[byte], _SEQUENCE, add(connection.seq, number))
                for number, byte in enumerate(text[:int(seconds * 10_000)])), 10_000)


def _mute(peer: Peer, clients: int, data: bytes, seconds: float) -> None:
    """Have so many ordinary sockets send what they can of this, and read nothing."""
    mute = []
    until = time.monotonic() + seconds
    for _ in range(clients):
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        one.settimeout(0.2)
        mute.append(one)
        with suppress(OSError):
            one.connect((peer.server, peer.port))
            one.setblocking(False)
            one.send(data)
        if time.monotonic() > until:
            break
    time.sleep(max(0.0, until - time.monotonic()))
    for one in mute:
        one.close()


def unread_answers(peer: Peer, seconds: float) -> None:
    """1,316 sockets that each send 10.8 kB of GETs and read no answer."""
    text = request(peer.server)
    _mute(peer, 1316, text * (10_800 // len(text)), seconds)


def unread_input(peer: Peer, seconds: float) -> None:
    """600 sockets that send GETs as long as they can and read no answer."""
    _mute(peer, 600, request(peer.server) * 10_000, seconds)


def stalled_requests(peer: Peer, seconds: float) -> None:
    """2,000 sockets that send half a request."""
    _mute(peer, 2000, request(peer.server)[:-2], seconds)


ATTACKS: Mapping[str, Act] = {act.__name__.replace("_", "-"): act for act in (
    syn_flood, on_link_sources, sources_elsewhere, rst_flood, blind_window, late_mss,
    one_byte_segments, unread_answers, unread_input, orphans, stalled_requests)}
# attacks whose honest clients are far away
_FROM_AFAR = ("syn-flood",)
# honest client by its number, until when -> seconds that each answer took, None where none came
Ask = Callable[[int, float], Iterator["float | None"]]


def serve(ask: Ask, seconds: float) -> Service:
    """Ask as honest clients do, each time on a new connection, and return what they had."""
    until = time.monotonic() + seconds

    def client(number: int) -> list[float | None]:
        return list(ask(number, until))
    with ThreadPoolExecutor(_CLIENTS) as pool:
        tries = [one for some in pool.map(client, range(_CLIENTS)) for one in some]
    answered = sorted(one for one in tries if one is not None)
    p99 = answered[min(len(answered) - 1, int(0.99 * len(answered)))] if answered else None
    return Service(len(answered) / seconds, None if p99 is None else p99 * 1000,
                   len(tries) - len(answered))


def asked(server: str, port: int, until: float) -> Iterator[float | None]:
    """Yield the seconds that each answer took a client of the kernel's; None where none came."""
    while (begin := time.monotonic()) < until:
        try:
            with socket.create_connection((server, port), _PATIENCE_SECONDS) as one:
                one.sendall(request(server))
                yield time.monotonic() - begin if one.recv(4096) else None
        except OSError:
            yield None
        time.sleep(max(0.0, begin + _PACE_SECONDS - time.monotonic()))


def _asked_from_afar(order: Order, address: str, until: float) -> Iterator[float | None]:
    """Yield as asked(), of a host that the server's segments take 200 ms to and back.

    It waits itself: not every kernel has netem, and one host's netem would delay the attacker too.
    """
    with Peer(order.interface, mac_of(address), address, order.server, order.port) as peer:
        while (begin := time.monotonic()) < until:
            try:
                connection = peer.connection(options=MODERN)
                connection.send("S", seq=connection.iss)
                peer.expect(connection.wait_syn_ack(_PATIENCE_SECONDS), "no SYN-ACK")
                peer.wait(_ROUND_TRIP_SECONDS)
                connection.send("A")
                connection.serves(_PATIENCE_SECONDS)
                yield time.monotonic() - begin
            except Failed:
                yield None
            connection.send("R", ack=0)


def _attack(order: Order, name: str, seconds: float, flooded: MutableSequence[int]) -> None:
    os.nice(19)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(_FILES, hard), hard))
    address = _address(order, 0)
    with Peer(order.interface, mac_of(address), address, order.server, order.port) as peer:
        peer.flooded = flooded
        ATTACKS[name](peer, seconds)


def _address(order: Order, number: int) -> str:
    return next(islice(spare_addresses(order.network, order.taken), number, None))


def measure(order: Order) -> Impact:
    """Measure without and then under the attack that an order names."""
    name, = order.cases

    def ask(number: int, until: float) -> Iterator[float | None]:
        if name in _FROM_AFAR:
            return _asked_from_afar(order, _address(order, 1 + number), until)
        return asked(order.server, order.port, until)
    before = serve(ask, BEFORE_SECONDS)
    flooded = multiprocessing.RawArray("Q", 1)
    attacker = multiprocessing.Process(
        target=_attack, args=(order, name, SETTLE_SECONDS + UNDER_SECONDS, flooded), daemon=True)
    attacker.start()
    time.sleep(SETTLE_SECONDS)
    begin, sent = time.monotonic(), flooded[0]
    under = serve(ask, UNDER_SECONDS)
    rate = (flooded[0] - sent) / (time.monotonic() - begin)
    if attacker.exitcode not in (None, 0):
        raise SystemExit(f"the attacker of {name} failed")
    attacker.kill()
    attacker.join()
    return Impact(name, (ATTACKS[name].__doc__ or "").strip(), before, under,
                  rate if flooded[0] else None)


if __name__ == "__main__":
    print(json.dumps(to_json(measure(Order.read(sys.argv[1])))))
