# SPDX-License-Identifier: BSD-3-Clause
"""Do the counters of both ends of a link agree? Pure arithmetic on what client and server counted themselves.

Each sum is over the server's whole life and over all client processes in it. What the receiver may have less than
the sender is bounded by what can be under way when a client process ends, and by nothing else.
"""

from __future__ import annotations

from typing import Any, Mapping, Sequence

Counters = Mapping[str, Any]


def reconcile(clients: Sequence[Counters], server: Counters, answers: int, in_flight: int,
              ring: int) -> dict[str, dict[str, int]]:
    """What each end counted: results/README.md, `ends`.

    `answers`: that all clients had. `in_flight`: requests that may have been without one when a client ended.
    `ring`: packets that the link holds in each direction; they go with the client process that shares it.
    """
    def up(key: str) -> int:
        return sum(_count(client, key) for client in clients)

    requests, responses = up("bytes_sent"), _count(server, "bytes_sent")
    return {
        "connections": _way(up("connects"), _count(server, "accepts") + _count(server, "refused"), 0),
        "bytes_to_server": _way(requests, _count(server, "bytes_received"), in_flight * _each(requests, answers)),
        "bytes_to_client": _way(responses, up("bytes_received"), in_flight * _each(responses, answers)),
        "packets_to_server": _way(up("tx_packets"), _count(server, "rx_packets"),
                                  ring * len(clients) + _lost(server)),
        "packets_to_client": _way(_count(server, "tx_packets"), up("rx_packets"),
                                  ring * len(clients) + sum(map(_lost, clients))),
    }


def problems(ends: Mapping[str, Mapping[str, int]]) -> list[str]:
    """One line for each pair of counts that does not agree."""
    return [f"{key.replace('_', ' ')}: one end counted {way['sent']}, the other {way['received']}: at most "
            f"{way['limit']} fewer, for what was under way when a client ended"
            for key, way in ends.items() if not 0 <= way["sent"] - way["received"] <= way["limit"]]


def _way(sent: int, received: int, limit: int) -> dict[str, int]:
    return {"sent": sent, "received": received, "limit": limit}


def _each(total: int, answers: int) -> int:
    """Bytes of one, rounded up: those under way are in the total, so it is never too small."""
    return -(-total // max(1, answers))


def _lost(end: Counters) -> int:
    """Packets that its port counted as not received."""
    return _count(end, "rx_dropped") + _count(end, "no_mbuf")


def _count(counters: Counters, key: str) -> int:
    value = counters.get(key, 0)
    return value if isinstance(value, int) else 0
