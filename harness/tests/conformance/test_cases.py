# SPDX-License-Identifier: BSD-3-Clause
"""Cases pass where their rule is kept, and fail where it is broken: against a small responder."""

from __future__ import annotations

from typing import Iterator

import pytest

from harness.conformance import host
from harness.conformance.case import all_cases
from harness.conformance.connection import Connection
from harness.conformance.peer import Failed, Peer
from harness.tests.conformance.responder import ADDRESS, PORT, Responder

BREAKS = {"isn": "isn-unpredictable", "ack": "ack-never-sent", "flags": "no-flags",
          "rst": "rst-in-window", "syn": "syn-in-window", "reset": "syn-to-closed-port",
          "checksum": "tcp-checksum-wrong"}


@pytest.fixture
def peer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Peer]:
    monkeypatch.setattr(host, "PacketSocket", Responder)
    with Peer("none", "02:00:00:00:00:09", "198.18.0.9", ADDRESS, PORT) as made:
        yield made


@pytest.mark.parametrize("case", BREAKS.values())
def test_a_case_passes_where_its_rule_is_kept(peer: Peer, case: str) -> None:
    all_cases()[case].run(peer)
    assert any("SA" in line or "S." in line or "R" in line for line in peer.trace)


@pytest.mark.parametrize("rule,case", BREAKS.items())
def test_a_case_fails_where_its_rule_is_broken(peer: Peer, monkeypatch: pytest.MonkeyPatch,
                                               rule: str, case: str) -> None:
    monkeypatch.setattr(Responder, "breaks", rule)
    with pytest.raises(Failed):
        all_cases()[case].run(peer)


def test_an_answer_is_read_whole_and_acknowledged(peer: Peer) -> None:
    connection = peer.connect()
    connection.get()
    assert connection.answer() == b"0"
    assert peer.trace[-1].endswith("> . 37:37(0) ack 40 win 65535")
    assert connection.granted == 65535 and connection.mss == 1460


def test_data_that_overtook_other_is_told_by_sack(peer: Peer) -> None:
    connection = Connection(peer, 40000, (), 0, 65535)
    connection.ack, connection.sack = 101, True
    for seq, data in ((111, b"b" * 5), (121, b"c" * 5), (101, b"a" * 12)):
        packet = peer.tcp(80, "A", dport=40000, data=data, seq=seq)
        connection._count(host.segment_of(packet))
        if seq == 121:
            connection.acknowledge()
            assert peer.trace[-1].endswith("<nop,nop,sack 121:126 111:116>")
    assert (connection.ack, bytes(connection.received)) == (116, b"a" * 12 + b"b" * 3)


def test_silence_of_the_server_is_a_failure(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = peer.connect()
    with pytest.raises(Failed, match="0 bytes of the answer, then nothing until 0.1 s had passed"):
        connection.answer(0.1)
