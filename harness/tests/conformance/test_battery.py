# SPDX-License-Identifier: BSD-3-Clause
"""The battery: which cases there are, what becomes of one, and what a record and its table hold."""

from __future__ import annotations

import os
import socket
import threading
import time
from itertools import islice
from pathlib import Path
from typing import Callable

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

from harness.conformance import attacks, battery
from harness.conformance.case import BODIES, SMALL, Case, NotTestable, all_cases
from harness.conformance.host import Host
from harness.conformance.order import Order, Report, Wish, message
from harness.conformance.peer import Failed
from harness.report import conformance_lines
from harness.store import (
    Conformance, Impact, Obligation, Outcome, Result, Service, Severity, UnderTest, create_conformance, load_conformance,
    write_conformance)

ORDER = Order("client0", "198.18.0.0/24", ("198.18.0.2", "198.18.0.253"), "198.18.0.2", 80, ("one",))


class FakePeer:
    def __init__(self, *words: object) -> None:
        self.trace: list[str] = []

    def __enter__(self) -> FakePeer:
        return self

    def __exit__(self, *_: object) -> None:
        self.trace.append("closed")


def _case(run: Callable[..., None], steers: bool = False) -> Case:
    return Case(Obligation("one", "It does.", "RFC 1", Severity.LOSS), run, SMALL, False, steers, 1)


@pytest.fixture(autouse=True)
def fake_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(battery, "Peer", FakePeer)


def test_every_case_says_what_it_demands_and_where_that_stands() -> None:
    cases = all_cases()
    assert len(cases) >= 3
    for name, case in cases.items():
        assert case.obligation.case == name and "_" not in name
        assert case.obligation.text.endswith(".") and case.obligation.rfc and case.body in BODIES
        assert not case.steers or case.alone


def test_a_case_that_returns_is_kept_and_has_no_trace() -> None:
    assert battery.run_case(_case(lambda peer: None), ORDER, "198.18.0.254") == Outcome(Result.KEPT)


def test_a_case_that_fails_is_missed_with_all_its_packets() -> None:
    def fails(peer: FakePeer) -> None:
        peer.trace.append("0.1 > S")
        raise Failed("nothing came")
    found = battery.run_case(_case(fails), ORDER, "198.18.0.254")
    assert found == Outcome(Result.MISSED, "nothing came", ("0.1 > S", "closed"))


def test_a_case_may_be_not_testable() -> None:
    def cannot(peer: FakePeer) -> None:
        raise NotTestable("it has no keep-alive")
    assert battery.run_case(_case(cannot), ORDER, "198.18.0.254") == Outcome(
        Result.NOT_TESTABLE, "it has no keep-alive")


def test_a_case_that_steers_gets_the_server() -> None:
    got: list[object] = []
    battery.run_case(_case(lambda peer, server: got.append(server), steers=True), ORDER, "198.18.0.254")
    assert isinstance(got[0], battery.Server)


def test_addresses_are_from_the_top_and_nobody_elses() -> None:
    assert list(islice(battery.spare_addresses(ORDER.network, ORDER.taken), 3)) == [
        "198.18.0.254", "198.18.0.252", "198.18.0.251"]
    assert battery.mac_of("198.18.0.254") == "02:53:4d:12:00:fe"


def test_orders_and_messages_survive_their_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert Order.read(ORDER.text()) == ORDER
    report = Report("one", Outcome(Result.MISSED, "why", ("a", "b")))
    values: tuple[Report | Wish, ...] = (report, Wish("restart"))
    for value in values:
        battery._print(value)
        assert message(capsys.readouterr().out) == value


def _record() -> Conformance:
    def tested(name: str, stack: str, **outcomes: Outcome) -> UnderTest:
        return UnderTest(name, name.upper(), stack, ("--port", "80"), {"build/x": "aa"},
                      "6.1" if stack == "kernel" else "", "tap", "20261130-000000-tap", outcomes)
    kept, missed = Outcome(Result.KEPT), Outcome(Result.MISSED, "7 answers")
    obligations = tuple(Obligation(name, f"It keeps {name}.", "RFC 1 2", severity) for name, severity in (
        ("a", Severity.MINOR), ("b", Severity.ATTACK), ("c", Severity.LOSS)))
    return Conformance("20261130-000000-tap", obligations, (
        tested("epoll", "kernel", a=kept, b=kept, c=missed),
        tested("lwip", "dpdk", a=Outcome(Result.NOT_TESTABLE, "no"), b=missed, c=missed)))


def test_a_record_comes_back_from_disk(tmp_path: Path) -> None:
    place = create_conformance("20261130-000000-tap", tmp_path)
    write_conformance(place, _record(), {})
    assert load_conformance(place) == _record()


def test_the_table_has_the_worst_first_and_tells_why_another_differs_from_the_kernel() -> None:
    lines = conformance_lines(_record())
    assert [line.split()[0] for line in lines[1:4]] == ["b", "c", "a"]
    assert lines[1].split() == ["b", "attack", "1", "2", "kept", "missed"]
    assert "epoll: 2 kept, 1 missed, 0 not testable" in lines
    # what the kernel misses too is no difference
    assert [line for line in lines if "misses" in line] == [
        "lwip misses b (attack): It keeps b. RFC 1 2: 7 answers"]


def test_a_frame_from_another_address_has_right_checksums() -> None:
    made = [bytes(Ether(dst="02:00:00:00:00:01", src="02:00:00:00:00:02") / IP(src=f"203.0.{host}", dst="198.18.0.2") / TCP(flags="S", seq=1))
            for host in ("0.1", "234.96")]
    assert attacks._changed(made[0], 28, 234 << 8 | 96, (24, 50)) == made[1]


def test_a_frame_from_another_port_has_a_right_checksum() -> None:
    frame = bytes(Ether() / IP(src="198.18.0.9", dst="198.18.0.2") / TCP(sport=1024, dport=80, flags="S", seq=1))
    for port in (1025, 40_000, 64_999):
        expected = Ether() / IP(src="198.18.0.9", dst="198.18.0.2") / TCP(sport=port, dport=80, flags="S", seq=1)
        assert attacks._changed(frame, 34, port)[14:] == bytes(expected)[14:]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: packet sockets")
def test_a_flood_sends_each_frame_once_in_order_and_counts_them(monkeypatch: pytest.MonkeyPatch) -> None:
    mac, address = "02:53:4d:00:00:07", "198.18.0.7"
    monkeypatch.setattr(Host, "_resolve", lambda self: mac)
    frames = [bytes(Ether(dst=mac, src=mac) / IP(dst=address) / TCP(seq=number)) for number in range(1000)]
    with Host("lo", mac, address, address, 80) as sender:
        begin = time.monotonic()
        sender.flood(frames, 20_000)
        assert time.monotonic() - begin > 0.9 * len(frames) / 20_000
        while got := sender._socket.receive(0.2):
            assert [frame.data for frame in got] == [frames.pop(0)]
    assert frames == [] and list(sender.flooded) == [1000]


def test_honest_clients_are_counted_and_timed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def answer() -> None:
            while True:
                try:
                    with listener.accept()[0] as one:
                        one.recv(4096)
                        one.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                except OSError:
                    return
        threading.Thread(target=answer, daemon=True).start()
        found = attacks.serve(lambda _, until: attacks.asked("127.0.0.1", port, until), 0.5)
        listener.shutdown(socket.SHUT_RDWR)
    assert found.answers_per_sec > 0 and found.p99_ms and found.failed == 0


def test_honest_clients_of_nobody_have_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    found = attacks.serve(lambda _, until: attacks.asked("127.0.0.1", port, until), 0.2)
    assert found.answers_per_sec == 0 and found.p99_ms is None and found.failed > 0


def test_attacks_have_a_table_with_a_row_for_each_contender() -> None:
    before, under = Service(190.2, 4.25, 0), Service(0, None, 31)
    tested = UnderTest("lwip", "L", "dpdk", (), {}, "", "tap", "r", {}, (Impact("syn-flood", "SYNs.", before, under, 39_870.4),))
    assert conformance_lines(Conformance("r", (), (tested,)))[1].split() == [
        "syn-flood", "lwip", "39870", "190", "0", "4.2", "-", "0", "31"]
