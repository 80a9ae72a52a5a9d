# SPDX-License-Identifier: BSD-3-Clause
"""Bytes between our standard streams, or our terminal, and the guest's ports, without ever waiting for either.

Knows nothing of what is in them.
"""

from __future__ import annotations

import os
import select
import selectors
import socket
import sys
import termios
import tty
from contextlib import contextmanager
from typing import Callable, Iterator

CHUNK = 65536


class Input:
    """Our standard input to a port of the guest; the end of it too."""

    def __init__(self, selector: selectors.BaseSelector, port: socket.socket) -> None:
        self._selector = selector
        self._port = port.dup()  # so that the selector can have one for each direction
        self._pending = b""
        port.setblocking(False)
        self._listen()

    def _listen(self) -> None:
        try:
            self._selector.register(0, selectors.EVENT_READ, self.readable)
        except (OSError, ValueError, KeyError):  # closed from the start
            self._end()

    def _end(self) -> None:
        try:
            self._port.shutdown(socket.SHUT_WR)
        except OSError:  # the guest's end is gone
            pass

    def readable(self) -> bool:
        try:
            self._pending = os.read(0, CHUNK)
        except OSError:  # a terminal that is gone
            self._pending = b""
        self._selector.unregister(0)
        if not self._pending:
            self._end()
        else:
            self._selector.register(self._port, selectors.EVENT_WRITE, self.writable)
        return True

    def writable(self) -> bool:
        try:
            self._pending = self._pending[self._port.send(self._pending):]
        except BlockingIOError:
            return True
        except OSError:
            self._selector.unregister(self._port)
            return True
        if not self._pending:
            self._selector.unregister(self._port)
            self._listen()
        return True

    def close(self) -> None:
        self._port.close()


def output(port: socket.socket, descriptor: int) -> Callable[[], bool]:
    """What, called when `port` has something, passes it on to `descriptor`; False at the end of the stream. When nobody
    reads there any more it is dropped, so that the guest need not wait."""
    def readable() -> bool:
        try:
            data = port.recv(CHUNK)
        except BlockingIOError:
            return True
        except ConnectionError:
            return False
        try:
            _write(descriptor, data)
        except BrokenPipeError:
            pass
        return bool(data)
    return readable


def _write(descriptor: int, data: bytes) -> None:
    while data:
        try:
            data = data[os.write(descriptor, data):]
        except BlockingIOError:  # somebody made our standard output so
            select.select([], [descriptor], [])


@contextmanager
def raw_terminal() -> Iterator[None]:
    """Our terminal is raw while the body runs: each key is the guest's."""
    before = termios.tcgetattr(0)
    tty.setraw(0)
    try:
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)


def terminal_size() -> tuple[int, int] | None:
    """(rows, columns) when both ends of us are one; None otherwise."""
    if not (sys.stdin and sys.stdin.isatty() and sys.stdout.isatty()):
        return None
    size = os.get_terminal_size(0)
    return size.lines, size.columns
