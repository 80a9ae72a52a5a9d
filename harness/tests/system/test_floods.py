# SPDX-License-Identifier: BSD-3-Clause
"""Floods of half-open and of whole connections: lwip_server counts them, serves on, and holds no more for them than its
limits say. The release build, as the sanitizers' allocator keeps what was freed."""

from __future__ import annotations

import re
import socket
from pathlib import Path

from harness.trial.server import Running
from harness.tests.system.conftest import TestBed
from harness.tests.system.test_servers import (GET, OK, assert_serves, in_client_namespace, read_exactly, syn,
                                               wait_for)

SLACK_KIB = 256


def anonymous_kib(running: Running) -> int:
    """The server's own memory."""
    found = re.search(r"^Anonymous:\s+(\d+) kB", Path(f"/proc/{running.pid}/smaps_rollup").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])


def flood(bed: TestBed, running: Running, frames: list[bytes], kept: socket.socket) -> None:
    """All frames, and in between the server must serve an old connection and a new one."""
    with in_client_namespace(bed, socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.bind((bed.wire.client.interface, 0))
        for at in range(0, len(frames), 2000):
            for frame in frames[at:at + 2000]:
                wire.send(frame)
            kept.sendall(GET)
            assert read_exactly(kept, len(OK)) == OK
            assert_serves(bed, running)


def test_a_flood_of_syns_is_counted_bounded_and_stops_nobody(bed: TestBed) -> None:
    # more neighbours than the ARP table holds
    senders = list(range(20, 220))
    with bed.server("lwip", "--backlog", "64", checked=False) as running, bed.connect(running) as kept:
        frames = [syn(bed, running, 20_000 + port, f"198.18.0.{host}") for port in range(50) for host in senders]
        flood(bed, running, frames, kept)  # brings the allocator to its size
        before, counted = anonymous_kib(running), running.snapshot()
        again = [syn(bed, running, 30_000 + port, f"198.18.0.{host}") for port in range(50) for host in senders]
        flood(bed, running, again, kept)
        after, counters = anonymous_kib(running), running.snapshot()
    assert counted is not None and counters is not None
    arrived = counters["rx_packets"] - counted["rx_packets"]
    cookies = counters["syn_cookies_sent"] - counted["syn_cookies_sent"]
    assert arrived > len(again) / 2
    # every SYN found the backlog full and was answered with a cookie: all but those that were lost on the way here,
    # and so were those of the new connections in between
    assert arrived - 200 <= cookies <= len(again) + len(again) // 2000
    assert counters["syn_dropped"] == 0
    assert counters["refused"] == 0
    assert after <= before + SLACK_KIB


def refuse_many(bed: TestBed, running: Running, count: int) -> None:
    for _ in range(count):
        with in_client_namespace(bed, socket.AF_INET, socket.SOCK_STREAM) as connection:
            connection.settimeout(10)
            try:
                connection.connect((running.address, running.port))
                assert connection.recv(1) == b""
            except ConnectionError:
                pass


def test_a_flood_of_connections_leaves_what_the_server_holds_as_it_was(bed: TestBed) -> None:
    with bed.server("lwip", "--max-connections", "50", checked=False) as running:
        held = []
        for number in range(3):
            kept = [bed.connect(running) for _ in range(50)]
            refuse_many(bed, running, 100)
            for connection in kept:
                connection.sendall(GET)
                assert read_exactly(connection, len(OK)) == OK
                connection.close()
            counters = wait_for(running, lambda now: now["accepts"] == now["closes"], 10)
            assert (counters["accepts"], counters["closes"]) == (50 * (number + 1), 50 * (number + 1))
            assert counters["refused"] == 100 * (number + 1)
            held.append(anonymous_kib(running))
        assert_serves(bed, running)
    assert held[-1] <= held[0] + SLACK_KIB
