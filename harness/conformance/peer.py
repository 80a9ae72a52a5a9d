# SPDX-License-Identifier: BSD-3-Clause
"""A raw peer: a host with connections to the server that is tested."""

from __future__ import annotations

from scapy.layers.inet import TCP

from harness.conformance.connection import ANSWER_SECONDS, Connection, Options, request
from harness.conformance.host import WINDOW, Failed, Host

MSS = 1460
# options of a SYN: as any client of today has them
MODERN: Options = (("MSS", MSS), ("SAckOK", b""), ("Timestamp", (1, 0)), ("NOP", None),
                   ("WScale", 7))
PLAIN: Options = (("MSS", MSS),)
_TWIN_MAC = "02:53:4e:00:00:02"
_TRIES, _TRY_SECONDS = 3, 1.0
_PORTS = range(33000, 61000)


class Peer(Host):
    """A host that opens connections to the server."""

    def __init__(self, interface: str, mac: str, address: str, server: str, port: int,
                 body: int = 1) -> None:
        self._connections: dict[int, Connection] = {}
        super().__init__(interface, mac, address, server, port, body)

    def close(self) -> None:
        """Reset what may still be open, so that the server keeps nothing of it."""
        for connection in self._connections.values():
            connection.send("R", ack=0)
        super().close()

    def twin(self) -> Peer:
        """Return a host of the same address and another MAC."""
        return Peer(self.interface, _TWIN_MAC, self.address, self.server, self.port, self.body)

    def new_port(self) -> int:
        """Return a port of ours that no connection has had."""
        return next(port for port in iter(lambda: self.random.choice(_PORTS), None)
                    if port not in self._connections)

    def connection(self, *, port: int = 0, options: Options = PLAIN,
                   iss: int | None = None, window: int = WINDOW) -> Connection:
        """Return a connection that has sent nothing yet."""
        port = port or self.new_port()
        # what is left of an earlier one of this port is not this one's
        self.inbox = [packet for packet in self.inbox
                       if TCP not in packet or packet[TCP].dport != port]
        iss = self.random.randrange(1 << 32) if iss is None else iss
        self._connections[port] = Connection(self, port, options, iss, window)
        return self._connections[port]

    def connect(self, *, port: int = 0, options: Options = PLAIN, iss: int | None = None,
                window: int = WINDOW, flags: str = "S") -> Connection:
        """Open a connection. Failed if the server does not let it."""
        connection = self.connection(port=port, options=options, iss=iss, window=window)
        for _ in range(_TRIES):
            connection.send(flags, seq=connection.iss)
            if connection.establish(_TRY_SECONDS):
                return connection
        raise Failed(f"no SYN-ACK in {_TRIES * _TRY_SECONDS:g} s")

    def served(self, seconds: float = ANSWER_SECONDS) -> None:
        """Ask for the body on a new connection. Failed if the right answer does not come."""
        connection = self.connect()
        connection.serves(seconds)
        connection.send("R", ack=0)
