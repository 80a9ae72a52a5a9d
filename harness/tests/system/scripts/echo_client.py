# SPDX-License-Identifier: BSD-3-Clause
"""Sends bytes to an echo over several connections at once, half-closes each, and compares what comes back.

Usage: echo_client.py threads|selectors|asyncio|datagrams ADDRESS PORT
"""

from __future__ import annotations

import asyncio
import random
import selectors
import socket
import sys
from concurrent.futures import ThreadPoolExecutor

CONNECTIONS = 6
SIZE = (2 << 20) + 1
DATAGRAMS = 200
TIMEOUT = 60


def payload(number: int) -> bytes:
    return random.Random(number).randbytes(SIZE)


def by_threads(address: str, port: int) -> None:
    """Blocking; one thread sends while another receives."""
    def exchange(number: int) -> bytes:
        with socket.create_connection((address, port), TIMEOUT) as connection, ThreadPoolExecutor(1) as pool:
            received = pool.submit(receive, connection)
            connection.sendall(payload(number))
            connection.shutdown(socket.SHUT_WR)
            return received.result()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        compare(list(pool.map(exchange, range(CONNECTIONS))))


def receive(connection: socket.socket) -> bytes:
    received = bytearray()
    while piece := connection.recv(1 << 16):
        received += piece
    return bytes(received)


def by_selectors(address: str, port: int) -> None:
    """One thread, from a connect that does not wait to the end of all."""
    selector = selectors.DefaultSelector()
    received = [bytearray() for _ in range(CONNECTIONS)]
    left = [memoryview(payload(number)) for number in range(CONNECTIONS)]
    for number in range(CONNECTIONS):
        connection = socket.socket()
        connection.setblocking(False)
        connection.connect_ex((address, port))
        selector.register(connection, selectors.EVENT_WRITE, number)
    while selector.get_map():
        ready = selector.select(TIMEOUT)
        assert ready, "nothing happens"
        for key, events in ready:
            assert isinstance(key.fileobj, socket.socket)
            number, connection = key.data, key.fileobj
            if events & selectors.EVENT_WRITE:
                assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
                left[number] = left[number][connection.send(left[number]):]
                if not left[number]:
                    connection.shutdown(socket.SHUT_WR)
                wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if left[number] else 0)
                selector.modify(connection, wanted, number)
            if events & selectors.EVENT_READ:
                piece = connection.recv(1 << 16)
                received[number] += piece
                if not piece:
                    selector.unregister(connection)
                    connection.close()
    compare([bytes(each) for each in received])


def by_asyncio(address: str, port: int) -> None:
    async def exchange(number: int) -> bytes:
        reader, writer = await asyncio.open_connection(address, port)
        writer.write(payload(number))
        writer.write_eof()
        received = await reader.read()
        writer.close()
        await writer.wait_closed()
        return received

    async def every() -> list[bytes]:
        return list(await asyncio.gather(*map(exchange, range(CONNECTIONS))))
    compare(asyncio.run(asyncio.wait_for(every(), TIMEOUT)))


def by_datagrams(address: str, port: int) -> None:
    """One in flight, on a socket that is connected and on one that is not; sent again when it is lost."""
    for connected in (True, False):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
            connection.settimeout(2)
            if connected:
                connection.connect((address, port))
            for number in range(DATAGRAMS // 2):
                data = random.Random(number).randbytes(number * 14)
                if connected:
                    connection.send(data)
                    got, source = connection.recv(2048), (address, port)
                else:
                    connection.sendto(data, (address, port))
                    got, source = connection.recvfrom(2048)
                assert (got, source) == (data, (address, port)), number


def compare(received: list[bytes]) -> None:
    for number, data in enumerate(received):
        assert data == payload(number), f"connection {number}: {len(data)} bytes of {SIZE}"


KINDS = {"threads": by_threads, "selectors": by_selectors, "asyncio": by_asyncio, "datagrams": by_datagrams}

if __name__ == "__main__":
    KINDS[sys.argv[1]](sys.argv[2], int(sys.argv[3]))
    print(f"right: {DATAGRAMS} datagrams" if sys.argv[1] == "datagrams"
          else f"right: {CONNECTIONS} connections of {SIZE} bytes")
