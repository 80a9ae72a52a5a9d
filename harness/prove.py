# SPDX-License-Identifier: BSD-3-Clause
"""Proof that the path leads to the contender that it should, and that its answer is right to the last byte.

Knows the response that our servers give (servers/http.h); a server of other make must give the same body.
"""

from __future__ import annotations

import socket
import time

from harness.contender import Running
from harness.errors import ContenderError
from harness.host import Host
from harness.plan import Workload
from harness.wire import Wire

# a body may be 64 MiB, on an emulated path
ANSWER_SECONDS = 60
_PING_TRIES = 3


def expected_body(size: int) -> bytes:
    """The pattern of servers/http.h: a lost, repeated or moved byte shows."""
    return b"".join(b"%07d\n" % k for k in range(size // 8 + 1))[:size]


def expected_response(workload: Workload) -> bytes:
    """Every byte that our servers answer to a GET with."""
    size = workload.body_size_bytes
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + expected_body(size)


def prove_neighbour(host: Host, wire: Wire, running: Running) -> None:
    """Ping, with ARP resolved anew: the contender's own MAC must answer. ContenderError if not."""
    client, end = wire.client.namespace, running.contender.endpoint
    host.flush_neighbours(client)
    for _ in range(_PING_TRIES):
        result = host.run(["ping", "-c", "1", "-W", "1", "-n", end.ip], netns=client, check=False)
        if result.code == 0:
            break
        running.check_alive("when it was pinged")
    else:
        raise ContenderError(f"contender '{running.contender.name}' does not answer a ping at {end.ip} "
                             f"from namespace {client}")
    entry = host.neighbour(client, end.ip)
    if entry is None or entry[0].lower() != end.mac.lower():
        raise ContenderError(f"{end.ip} is at {entry[0] if entry else 'no MAC'} and not at {end.mac}: "
                             f"somebody else answers for contender '{running.contender.name}'")


def prove_answer(host: Host, wire: Wire, running: Running, workload: Workload) -> tuple[int, str]:
    """One request; the response's size in bytes, and what is wrong with it ("" if every byte is right).

    ContenderError when no whole response comes.
    """
    try:
        with host.connect(wire.client.namespace, running.address, running.port, ANSWER_SECONDS) as connection:
            connection.sendall(f"GET {workload.path} HTTP/1.1\r\nHost: {running.address}\r\n\r\n".encode())
            response = _receive(connection)
    except OSError as error:
        running.check_alive("when it was sent a request")
        raise ContenderError(f"contender '{running.contender.name}' did not answer a request at "
                             f"{running.address}:{running.port}: {error}") from None
    return len(response), compare(response, workload, running.contender.counters)


def _receive(connection: socket.socket) -> bytes:
    """One response, as long as its Content-Length says; whatever more is there already comes with it."""
    deadline = time.monotonic() + ANSWER_SECONDS
    received = bytearray()
    size = None
    while size is None or len(received) < size:
        if time.monotonic() > deadline:
            raise TimeoutError(f"only {len(received)} bytes came within {ANSWER_SECONDS} s")
        piece = connection.recv(1 << 18)
        if not piece:
            raise ConnectionError(f"it closed the connection after {len(received)} bytes")
        received += piece
        if size is None:
            size = _whole_size(received)
    return bytes(received)


def _whole_size(received: bytes | bytearray) -> int | None:
    """Bytes of the response that `received` begins; None while its head is incomplete."""
    head, end, _ = bytes(received[:65536]).partition(b"\r\n\r\n")
    if not end:
        if len(received) >= 65536:
            raise ConnectionError("its answer has no end of head within 64 KiB")
        return None
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length" and value.strip().isdigit():
            return len(head) + len(end) + int(value)
    return len(head) + len(end)


def compare(response: bytes, workload: Workload, ours: bool) -> str:
    """What is wrong with a response, "" if nothing: every byte of ours, status and body of another's."""
    expected = expected_response(workload)
    if not ours:
        head, _, body = response.partition(b"\r\n\r\n")
        if head.split(b" ")[1:2] != [b"200"]:
            return f"the answer is not 200 but {head.splitlines()[:1]}"
        response, expected = body, expected_body(workload.body_size_bytes)
    if response == expected:
        return ""
    common = min(len(response), len(expected))
    at = next((i for i in range(common) if response[i] != expected[i]), common)
    return (f"the response differs from byte {at}: {response[at:at + 16]!r} instead of "
            f"{expected[at:at + 16]!r} ({len(response)} bytes, expected {len(expected)})")
