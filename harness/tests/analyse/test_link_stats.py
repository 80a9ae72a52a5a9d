# SPDX-License-Identifier: BSD-3-Clause
"""What a trial moved over its wire, and what that says of the limit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.analyse import link_stats as path
from harness.analyse.link_stats import Line, Moved
from harness.analyse.bottleneck import Ceiling, CoreUse, TrialUse, limit

TEN_GIGABIT = Line(speed_mbps=10_000)


def use(moved: Moved, client: float = 0.4, server: float = 0.5) -> TrialUse:
    return TrialUse((CoreUse("0", "client", client), CoreUse("1", "server", server)), None, requests=moved.requests,
                    moved=moved)


def test_little_tells_how_many_requests_were_in_flight() -> None:
    moved = Moved(2.0, 20_000, 0, latency_us=790.0)
    assert moved.in_flight == pytest.approx(7.9)
    assert path.flight([moved]) == "10,000 requests/s of 790 µs each on average are 7.9 in flight at a time"
    assert path.flight([replace(moved, by_median=True, latency_us=12_800.0)]).endswith(
        "12,800 µs each in the median are 128 in flight at a time")
    assert path.flight([replace(moved, latency_us=None)]) == ""
    assert "(10,000 requests/s of 790 µs" in limit(False, 8, [use(moved)]).evidence


@pytest.mark.parametrize("lost, by", [(0, "connections"), (10, "connections"), (11, "wire"), (5000, "wire")])
def test_a_queue_that_loses_more_than_one_in_a_thousand_is_the_limit(lost: int, by: str) -> None:
    found = limit(False, 8, [use(Moved(1.0, 10_000, 0, lost={"bridge/tap0": lost, "bridge/other": 0}))])
    assert found.by == by
    assert ("at bridge/tap0" in found.evidence) == (lost > 0)


def test_a_side_at_its_end_comes_before_the_wire() -> None:
    moved = Moved(1.0, 10_000, 0, lost={"a": 5000})
    assert limit(False, 8, [use(moved, server=0.99)]).by == "server cpu"
    assert limit(False, 8, [use(moved, client=0.99)]).by == "client cpu"


def test_only_the_places_that_lost_most_are_named() -> None:
    moved = Moved(1.0, 10_000, 0, lost={f"place{n}": n for n in range(6)})
    assert path.sentences([moved, moved], Line()) == [
        "Packets lost on the way: 10 at place5, 8 at place4, 6 at place3 and 2 more."]


def test_the_line_rate_counts_every_segment_whole() -> None:
    # 1,000,000 answers of 39 bytes: 117 bytes each on the line, 936 Mb/s
    assert path.line_share(Moved(1.0, 1_000_000, 39_000_000), TEN_GIGABIT) == pytest.approx(0.0936)
    # 64 KiB in 45 segments of 1460 bytes at most
    assert path.line_share(Moved(1.0, 10, 10 * 65_536), Line(speed_mbps=10)) == pytest.approx(
        8 * (655_360 + 449 * 78) / 1e7)
    assert path.line_share(Moved(1.0, 10, 10), Line()) is None


def test_a_full_line_is_the_limit() -> None:
    full = use(Moved(1.0, 10_000, 119_000_000))
    found = limit(False, 8, [full], line=Line(speed_mbps=1000))
    assert found.by == "wire" and "the line was full" in found.evidence
    assert "at least 100 % of the line rate of 1,000 Mb/s" in found.evidence
    assert limit(False, 8, [full], line=TEN_GIGABIT).by == "connections"
    assert limit(False, 8, [full]).by == "connections"


def test_a_tap_costs_a_system_call_for_each_packet() -> None:
    moved = Moved(1.0, 1000, 0, packets=2100)
    assert path.sentences([moved], Line(tap=True)) == [
        "The server moved 2.1 packets a request, each by a system call of the TAP."]
    assert path.sentences([moved], Line()) == [] == path.sentences([replace(moved, packets=None)], Line(tap=True))


def test_the_cores_are_told_by_what_they_did() -> None:
    parts = {"user": 0.1, "system": 0.6, "interrupts": 0.28}
    cores = (CoreUse("0", "client", 0.5, {"user": 0.5}), CoreUse("2", "client", 0.9, {"user": 0.9}),
             CoreUse("1", "server", 0.98, parts))
    found = limit(False, 8, [TrialUse(cores, None)])
    assert found.by == "server cpu" and found.evidence.endswith(
        "Cores of client: CPU 2 90 % (user 90 %), CPU 0 50 % (user 50 %); "
        "of server: CPU 1 98 % (user 10 %, system 60 %, interrupts 28 %).")


@pytest.mark.parametrize("ceiling, by, words", [
    (Ceiling(10_400.0, True, ""), "client cpu", "within 5 % of the client's ceiling"),
    (Ceiling(10_600.0, True, ""), "connections", "The client's ceiling here is 10,600 requests/s."),
    (Ceiling(9_400.0, True, ""), "connections", "it can do more: that trial was disturbed"),
    (Ceiling(10_000.0, False, ""), "connections", "The client can do at least the 10,000 requests/s")])
def test_a_throughput_at_the_clients_ceiling_is_the_clients(ceiling: Ceiling, by: str, words: str) -> None:
    found = limit(False, 8, [use(Moved(1.0, 10_000, 0))], ceiling=ceiling)
    assert found.by == by and words in found.evidence
