# SPDX-License-Identifier: BSD-3-Clause
"""Sends back what it gets, in one of Python's ways; SIGTERM ends it with code 0.

Usage: echo_server.py threads|selectors|asyncio|datagrams ADDRESS PORT
"""

from __future__ import annotations

import asyncio
import os
import selectors
import signal
import socket
import socketserver
import sys


class Handler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while piece := self.request.recv(1 << 16):
            self.request.sendall(piece)


class DatagramHandler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        data, connection = self.request
        connection.sendto(data, self.client_address)


class Threads(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True


def serve_threads(address: str, port: int) -> None:
    with Threads((address, port), Handler) as server:
        server.serve_forever()


def serve_datagrams(address: str, port: int) -> None:
    with socketserver.UDPServer((address, port), DatagramHandler) as server, socket.create_server((address, port)):
        server.serve_forever()


def serve_selectors(address: str, port: int) -> None:
    """One thread, non-blocking; what cannot be sent at once is kept."""
    listener = socket.create_server((address, port))
    listener.setblocking(False)
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    kept: dict[socket.socket, bytearray] = {}
    ended: set[socket.socket] = set()
    while True:
        for key, events in selector.select():
            if key.fileobj is listener:
                connection, _ = listener.accept()
                connection.setblocking(False)
                kept[connection] = bytearray()
                selector.register(connection, selectors.EVENT_READ)
                continue
            connection = key.fileobj  # type: ignore[assignment]
            if events & selectors.EVENT_READ:
                piece = connection.recv(1 << 16)
                kept[connection] += piece
                if not piece:
                    ended.add(connection)
            if kept[connection]:
                try:
                    del kept[connection][:connection.send(kept[connection])]
                except BlockingIOError:
                    pass
            if connection in ended and not kept[connection]:
                selector.unregister(connection)
                ended.discard(connection)
                del kept[connection]
                connection.close()
                continue
            wanted = (selectors.EVENT_WRITE if kept[connection] else 0) | (
                0 if connection in ended else selectors.EVENT_READ)
            selector.modify(connection, wanted)


def serve_asyncio(address: str, port: int) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(1 << 16):
            writer.write(piece)
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def serve() -> None:
        server = await asyncio.start_server(echo, address, port)
        await server.serve_forever()
    asyncio.run(serve())


KINDS = {"threads": serve_threads, "selectors": serve_selectors, "asyncio": serve_asyncio,
         "datagrams": serve_datagrams}

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        KINDS[sys.argv[1]](sys.argv[2], int(sys.argv[3]))
    except SystemExit:
        os.close(2)
        raise
