# SPDX-License-Identifier: BSD-3-Clause
"""Sets values in a memcached by its text protocol over several connections, and compares what it gives back.

Usage: memcached_client.py ADDRESS PORT
"""

from __future__ import annotations

import random
import socket
import sys
from io import BufferedRWPair

CONNECTIONS = 8
SIZES = [0, 1, 1447, 1448, 1449, 65_536, 500_000, 1_000_000]


def main(address: str, port: int) -> None:
    generator = random.Random(1)
    small = {f"small{number}": generator.randbytes(generator.randrange(3000)) for number in range(396)}
    values = {**small, **{f"size{size}": generator.randbytes(size) for size in SIZES}}
    connections = [socket.create_connection((address, port), 30) for _ in range(CONNECTIONS)]
    streams = [connection.makefile("rwb") for connection in connections]
    for number, (key, value) in enumerate(values.items()):
        store(streams[number % CONNECTIONS], key, value)
    # each key is read by another connection than the one that set it
    for number, (key, value) in enumerate(values.items()):
        assert fetch(streams[(number + 1) % CONNECTIONS], [key]) == {key: value}, key
    assert fetch(streams[0], list(small)) == small
    pipelined(streams[1], small)
    counts = statistics(streams[2])
    assert (counts["curr_items"], counts["cmd_set"]) == (len(values), len(values)), counts
    assert counts["cmd_get"] == counts["get_hits"] == len(values) + 2 * len(small), counts
    for connection in connections:
        connection.close()
    print(f"right: {len(values)} values, {CONNECTIONS} connections")


def store(stream: BufferedRWPair, key: str, value: bytes) -> None:
    stream.write(b"set %s 0 0 %d\r\n%s\r\n" % (key.encode(), len(value), value))
    stream.flush()
    assert stream.readline() == b"STORED\r\n", key


def fetch(stream: BufferedRWPair, keys: list[str]) -> dict[str, bytes]:
    stream.write(f"get {' '.join(keys)}\r\n".encode())
    stream.flush()
    return values_of(stream)


def values_of(stream: BufferedRWPair) -> dict[str, bytes]:
    """The values of one answer, to its END."""
    found = {}
    while (line := stream.readline()) != b"END\r\n":
        word, key, _, size = line.split()
        assert word == b"VALUE", line
        found[key.decode()] = stream.read(int(size))
        assert stream.read(2) == b"\r\n"
    return found


def pipelined(stream: BufferedRWPair, values: dict[str, bytes]) -> None:
    """All requests before the first answer is read."""
    stream.write("".join(f"get {key}\r\n" for key in values).encode())
    stream.flush()
    for key, value in values.items():
        assert values_of(stream) == {key: value}, key


def statistics(stream: BufferedRWPair) -> dict[str, int]:
    stream.write(b"stats\r\n")
    stream.flush()
    found = {}
    while (line := stream.readline()) != b"END\r\n":
        _, key, value = line.decode().split(maxsplit=2)
        if value.strip().isdigit():
            found[key] = int(value)
    return found


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
