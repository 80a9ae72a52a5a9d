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
from typing import Callable, Iterator, Mapping, MutableSequence

from harness.conformance.battery import mac_of, spare_addresses
from harness.conformance.connection import request
from harness.conformance.order import Order
from harness.conformance.peer import Peer
from harness.conformance.segment import add
from harness.store import Impact, Service, to_json

BEFORE_SECONDS, UNDER_SECONDS, SETTLE_SECONDS = 3.0, 6.0, 2.0
_CLIENTS, _PACE_SECONDS, _PATIENCE_SECONDS = 4, 0.02, 2.0
_SOURCE_PORT, _CHECKSUM = 34, 50
_FILES = 4096
Act = Callable[[Peer, float], None]


def _from_port(frame: bytes, port: int) -> bytes:
    """Return the frame from another port, its checksum kept right (RFC 1624)."""
    made = bytearray(frame)
    old, = struct.unpack_from("!H", frame, _SOURCE_PORT)
    total = sum(word ^ 0xffff for word in (old, *struct.unpack_from("!H", frame, _CHECKSUM))) + port
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    struct.pack_into("!H", made, _SOURCE_PORT, port)
    struct.pack_into("!H", made, _CHECKSUM, total ^ 0xffff)
    return bytes(made)


def syn_flood(peer: Peer, seconds: float) -> None:
    """40,000 SYNs a second from one host, whose handshakes never end."""
    frame = peer.frame(peer.tcp(1024, "S", seq=1))
    ports = [_from_port(frame, port) for port in range(1025, 65000)]
    peer.flood((ports[number % len(ports)] for number in range(int(seconds * 40_000))), 40_000)


def on_link_sources(peer: Peer, seconds: float) -> None:
    """2,000 SYNs a second from 200 addresses of this network that nobody has."""
    frames = [peer.frame(peer.tcp(40_000, "S", seq=1, ip=peer.ip(src=peer.neighbour(number))))
              for number in range(200)]
    peer.flood((frames[number % 200] for number in range(int(seconds * 2_000))), 2_000)


def rst_flood(peer: Peer, seconds: float) -> None:
    """2,000 resets a second inside the window of one connection, each with a wrong number."""
    connection = peer.connect()
    frames = peer.frames(connection.build("R"), (add(connection.seq, 1 + number)
                                                 for number in range(20_000)))
    peer.flood((frames[number % 20_000] for number in range(int(seconds * 2_000))), 2_000)


def one_byte_segments(peer: Peer, seconds: float) -> None:
    """GETs in segments of one byte each on one connection, whose answers are never acknowledged."""
    connection = peer.connect()
    text = request(peer.server) * 1000
    peer.flood((peer.frame(connection.build("PA", text[at:at + 1], seq=add(connection.seq, at)))
                for at in range(min(len(text), int(seconds * 10_000)))), 10_000)


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
    syn_flood, on_link_sources, rst_flood, one_byte_segments, unread_answers, unread_input,
    stalled_requests)}


def serve(server: str, port: int, seconds: float) -> Service:
    """Ask as honest clients do, each time on a new connection, and return what they had."""
    until = time.monotonic() + seconds

    def client(_: int) -> list[float | None]:
        return list(_asked(server, port, until))
    with ThreadPoolExecutor(_CLIENTS) as pool:
        asked = [one for some in pool.map(client, range(_CLIENTS)) for one in some]
    answered = sorted(one for one in asked if one is not None)
    p99 = answered[min(len(answered) - 1, int(0.99 * len(answered)))] if answered else None
    return Service(len(answered) / seconds, None if p99 is None else p99 * 1000,
                   len(asked) - len(answered))


def _asked(server: str, port: int, until: float) -> Iterator[float | None]:
    """Yield the seconds that each answer took; None where there was none."""
    while (begin := time.monotonic()) < until:
        try:
            with socket.create_connection((server, port), _PATIENCE_SECONDS) as one:
                one.sendall(request(server))
                yield time.monotonic() - begin if one.recv(4096) else None
        except OSError:
            yield None
        time.sleep(max(0.0, begin + _PACE_SECONDS - time.monotonic()))


def _attack(order: Order, name: str, seconds: float, flooded: MutableSequence[int]) -> None:
    os.nice(19)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(_FILES, hard), hard))
    address = next(spare_addresses(order.network, order.taken))
    with Peer(order.interface, mac_of(address), address, order.server, order.port) as peer:
        peer.flooded = flooded
        ATTACKS[name](peer, seconds)


def measure(order: Order) -> Impact:
    """Measure without and then under the attack that an order names."""
    name, = order.cases
    before = serve(order.server, order.port, BEFORE_SECONDS)
    flooded = multiprocessing.RawArray("Q", 1)
    attacker = multiprocessing.Process(
        target=_attack, args=(order, name, SETTLE_SECONDS + UNDER_SECONDS, flooded), daemon=True)
    attacker.start()
    time.sleep(SETTLE_SECONDS)
    begin, sent = time.monotonic(), flooded[0]
    under = serve(order.server, order.port, UNDER_SECONDS)
    rate = (flooded[0] - sent) / (time.monotonic() - begin)
    if attacker.exitcode not in (None, 0):
        raise SystemExit(f"the attacker of {name} failed")
    attacker.kill()
    attacker.join()
    return Impact(name, (ATTACKS[name].__doc__ or "").strip(), before, under,
                  rate if flooded[0] else None)


if __name__ == "__main__":
    print(json.dumps(to_json(measure(Order.read(sys.argv[1])))))
