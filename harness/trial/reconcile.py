# SPDX-License-Identifier: BSD-3-Clause
"""Check that the counters of both ends of a link agree. Pure.

Each sum is over the server's whole life and over all client processes in it. What the receiver may
have less than the sender is bounded by what can be under way when a client process ends, and by
nothing else.
"""

from __future__ import annotations

from typing import Mapping, Sequence

from harness.store import EndCount, Note, Problem
from harness.trial.observe.counters import Counters


def reconcile(clients: Sequence[Counters], server: Counters, answers: int, in_flight: int,
              ring: int) -> dict[str, EndCount]:
    """Return what each end counted.

    answers: that all clients had
    in_flight: requests that may have been without one when a client ended
    ring: packets that the link holds in each direction; they go with the client process
    """
    def up(key: str) -> int:
        return sum(client[key] for client in clients)

    requests, responses = up("bytes_sent"), server["bytes_sent"]
    on_the_link = ring * len(clients)
    return {
        "connections": EndCount(up("connects"), server["accepts"] + server["refused"], 0),
        "bytes_to_server": EndCount(requests, server["bytes_received"],
                                    in_flight * _each(requests, answers)),
        "bytes_to_client": EndCount(responses, up("bytes_received"),
                                    in_flight * _each(responses, answers)),
        "packets_to_server": EndCount(up("tx_packets"), server["rx_packets"],
                                      on_the_link + _lost(server)),
        "packets_to_client": EndCount(server["tx_packets"], up("rx_packets"),
                                      on_the_link + sum(map(_lost, clients))),
    }


def problems(ends: Mapping[str, EndCount]) -> list[Note[Problem]]:
    """Return a note for each pair of counts that does not agree."""
    return [Note(Problem.ENDS_DIFFER, {"what": key, "sent": way.sent, "received": way.received,
                                       "limit": way.limit})
            for key, way in ends.items() if not 0 <= way.sent - way.received <= way.limit]


def _each(total: int, answers: int) -> int:
    """Return the bytes of one, rounded up: never too small, as those under way are in the total."""
    return -(-total // max(1, answers))


def _lost(end: Counters) -> int:
    # packets that its port counted as not received
    return end["rx_dropped"] + end["no_mbuf"]
