# SPDX-License-Identifier: BSD-3-Clause
"""What limited a point, by which evidence, and what a trial moved over its wire."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.analyse import trial_use
from harness.analyse.bottleneck import (
    Line, added, ceilings, gain_bound, limit, line_share, losses, lost_share, raised)
from harness.analyse.model import Ceiling, Limit
from harness.analyse.trial_use import CoreUse, Moved
from harness.store.codes import Evidence, LimitedBy, Note
from harness.store.trial_record import CpuTime, TrialRecord
from harness.tests.fixtures.trial_records import make

TEN_GIGABIT = Line(speed_mbps=10_000)


def trial_of(*cores: CoreUse, **changes: Any) -> TrialRecord:
    """Return a trial of a second in which the cores were busy so, and nothing moved."""
    spent = {core.cpu: CpuTime(
        core.role, user=round(100 * (core.share - core.system - core.interrupts)),
        system=round(100 * core.system), softirq=round(100 * core.interrupts),
        idle=round(100 * (1 - core.share))) for core in cores}
    idle = make(cpu_seconds=spent, duration_seconds=1.0, requests=0, bytes=0,
                latency_histogram_us=())
    return replace(idle, **changes)


def use(client: float, server: float, own: float | None = None) -> TrialRecord:
    return trial_of(CoreUse("0", "client", client), CoreUse("1", "server", server), busy_share=own)


def values(found: Limit, code: Evidence) -> list[dict[str, Any]]:
    return [dict(note.values) for note in found.evidence if note.code == code]


def codes(found: Limit) -> list[Evidence]:
    return [note.code for note in found.evidence if note.code != Evidence.CORE]


@pytest.mark.parametrize("polls, trial, by", [
    (False, use(0.95, 0.99), "client cpu"), (False, use(0.94, 0.95), "server cpu"),
    (False, use(0.94, 0.94), "connections"), (True, use(0.5, 1.0, 0.96), "server cpu"),
    (True, use(0.5, 1.0, 0.5), "connections"), (True, use(0.99, 1.0, 0.99), "client cpu"),
    (True, use(0.5, 1.0), "unknown"), (True, use(0.99, 1.0), "client cpu")])
def test_the_limit_is_the_saturated_side(polls: bool, trial: TrialRecord, by: str) -> None:
    assert limit(polls, 8, [trial]).by == by


def test_a_poller_is_not_judged_by_its_core() -> None:
    found = limit(True, 1, [use(0.4, 1.0, 0.3)])
    assert found.evidence[:3] == (
        Note(Evidence.CLIENT_CORE, {"share": 0.4}), Note(Evidence.SERVER_WORK, {"share": 0.3}),
        Note(Evidence.ROUND_TRIP, {"connections": 1}))


def test_the_median_trial_and_the_busiest_core_decide() -> None:
    trials = [use(0.99, 0.5), use(0.5, 0.5), use(0.6, 0.5)]
    assert limit(False, 8, trials).by == "connections"
    two = trial_of(CoreUse("0", "client", 0.2), CoreUse("2", "client", 0.97),
                   CoreUse("1", "server", 0.5))
    assert limit(False, 8, [two]).by == "client cpu"


def test_without_figures_the_limit_is_unknown() -> None:
    assert limit(False, 8, []) == Limit(LimitedBy.UNKNOWN, (Note(Evidence.NO_VALID_TRIAL),))
    alone = limit(False, 8, [trial_of(CoreUse("0", "client", 0.5))])
    assert alone.by == "unknown" and codes(alone) == [Evidence.NO_CPU_TIMES]
    shared = limit(False, 8, [trial_of(CoreUse("0", "client+server", 0.99))])
    assert shared.by == "unknown" and values(shared, Evidence.SHARED_CORE) == [{"share": 0.99}]


@pytest.mark.parametrize("contender, over, bound", [
    ("client cpu", "server cpu", "lower"), ("connections", "client cpu", "upper"),
    ("client cpu", "client cpu", "both"), ("server cpu", "unknown", None),
    ("wire", "server cpu", None)])
def test_a_client_bound_side_makes_the_gain_a_bound(contender: str, over: str,
                                                    bound: str | None) -> None:
    assert gain_bound(Limit(LimitedBy(contender), ()), Limit(LimitedBy(over), ())) == bound


def own_client(client: float | None, own: float | None) -> TrialRecord:
    """Both ends poll: their cores are busy whatever they do."""
    return replace(use(1.0, 1.0, own), client_busy_share=client)


@pytest.mark.parametrize("trial, by", [
    (own_client(0.95, 0.5), "client cpu"), (own_client(0.96, 0.99), "client cpu"),
    (own_client(0.94, 0.95), "server cpu"), (own_client(0.5, 0.5), "connections"),
    (own_client(None, 0.99), "unknown"), (own_client(0.5, None), "unknown"),
    (own_client(0.99, None), "client cpu")])
def test_a_client_that_polls_is_judged_by_its_own_cycles(trial: TrialRecord, by: str) -> None:
    assert limit(True, 8, [trial], client_polls=True).by == by


def test_evidence_on_two_ends_that_poll() -> None:
    both = limit(True, 8, [own_client(0.6, 0.3)], client_polls=True)
    assert codes(both) == [Evidence.CLIENT_WORK, Evidence.SERVER_WORK, Evidence.ROUND_TRIP]
    one = limit(True, 8, [own_client(None, 0.3)], client_polls=True)
    assert codes(one) == [Evidence.CLIENT_UNCOUNTED, Evidence.SERVER_WORK]


def test_the_cores_are_told_by_what_they_did() -> None:
    cores = (CoreUse("0", "client", 0.5, 0.5), CoreUse("2", "client", 0.9, 0.9),
             CoreUse("1", "server", 0.98, 0.1, 0.6, 0.28))
    found = limit(False, 8, [trial_of(*cores)])
    assert [(core["role"], core["cpu"]) for core in values(found, Evidence.CORE)] == [
        ("client", "2"), ("client", "0"), ("server", "1")], "the busiest of each role first"
    assert values(found, Evidence.CORE)[2] == {
        "role": "server", "cpu": "1", "share": 0.98, "user": 0.1, "system": 0.6,
        "interrupts": 0.28}
    many = trial_of(*(CoreUse(str(cpu), "client", 0.5) for cpu in range(7)))
    left = values(limit(False, 8, [many]), Evidence.CORES_LEFT_OUT)
    assert left == [{"role": "client", "count": 3}]


# --- NICs -------------------------------------------------------------------------------------


def lossy(missed: int, client: float = 0.4, own: float = 0.3, requests: int = 1000) -> TrialRecord:
    """The server's NIC missed so many packets of 100,000 that it had."""
    return replace(use(client, 1.0, own), requests=requests, xstats={
        "server": {"rx_good_packets": 100_000, "rx_missed_errors": missed},
        "client": {"rx_packets": 100_000}})


@pytest.mark.parametrize("trial, by", [
    (lossy(0), "connections"), (lossy(100), "connections"), (lossy(110), "wire"),
    (lossy(50_000), "wire"), (lossy(50_000, own=0.95), "server cpu"),
    (lossy(50_000, client=0.95), "client cpu"), (replace(lossy(50_000), busy_share=None), "unknown"),
    (replace(lossy(50_000), client_bound=True), "client cpu")])
def test_the_wire_is_the_limit_only_where_no_side_is_at_its_end(trial: TrialRecord, by: str) -> None:
    assert limit(True, 8, [trial]).by == by


@pytest.mark.parametrize("trials, count, share", [
    ([lossy(60), lossy(40), lossy(0)], 100, None), ([lossy(1000, own=0.99)], 1000, None),
    ([lossy(25_000)], 25_000, 0.2)])
def test_what_a_nic_lost_is_evidence_whatever_was_the_limit(trials: list[TrialRecord], count: int,
                                                            share: float | None) -> None:
    found = limit(True, 1, trials)
    assert values(found, Evidence.NIC_COUNTER) == [
        {"end": "server", "counter": "rx_missed_errors", "count": count, "kind": "missed"}]
    assert values(found, Evidence.NIC_LOST) == ([] if share is None else [{"share": share}])


def test_the_median_trial_decides_on_the_wire_too() -> None:
    assert limit(True, 8, [lossy(50_000), lossy(0), lossy(0)]).by == "connections"
    assert limit(True, 8, [lossy(50_000), lossy(9000), lossy(0)]).by == "wire"


def test_both_ends_are_named_and_only_the_largest_of_many_counters() -> None:
    names = ("rx_errors", "rx_crc_errors", "rx_dropped", "tx_dropped", "rx_over_errors",
             "tx_errors")
    trial = replace(use(0.4, 0.5), requests=10,
                    xstats={"client": {name: 1 for name in names}, "server": {"tx_errors": 2}})
    found = limit(False, 8, [trial])
    assert [(nic["end"], nic["counter"], nic["kind"]) for nic in
            values(found, Evidence.NIC_COUNTER)] == [
        ("server", "tx_errors", "errors"), ("client", "rx_crc_errors", "errors"),
        ("client", "rx_dropped", "dropped"), ("client", "rx_errors", "errors"),
        ("client", "rx_over_errors", "overrun")]
    assert values(found, Evidence.NIC_COUNTERS_LEFT_OUT) == [{"end": "client", "count": 2}]


@pytest.mark.parametrize("name, kind", [
    ("rx_missed_errors", "missed"), ("imissed", "missed"), ("rx_nombuf", "no-buffer"),
    ("rx_no_buffer_count", "no-buffer"), ("rx_mbuf_allocation_errors", "no-buffer"),
    ("alloc_rx_buff_failed", "no-buffer"), ("rx_out_of_buffer", "no-buffer"),
    ("rx_fifo_errors", "overrun"), ("tx_fifo_underrun", "overrun"),
    ("tx_timeout_count", "stalled"), ("tx_queue_0_drops", "dropped"),
    ("rx_discards_phy", "dropped"), ("rx_wqe_err", "errors"), ("rx_crc_errors", "errors"),
    ("fdir_miss", None), ("tx_dropless", None), ("rx_good_packets", None),
    ("rx_hwtstamp_cleared_errors", None), ("corr_ecc_errors", None),
    ("uncorr_ecc_errors", "errors"), ("rx_smbus_errors", None)])
def test_counters_of_losses_are_known_by_name(name: str, kind: str | None) -> None:
    assert losses({name: 3}) == ([(name, 3, kind)] if kind else []) and losses({name: 0}) == []


def test_one_packet_under_several_names_is_lost_once() -> None:
    counts = {"rx_errors": 50, "rx_crc_errors": 50, "rx_good_packets": 950, "tx_timeouts": 10_000}
    assert lost_share(counts, 10) == pytest.approx(0.05)
    assert lost_share({"rx_errors": 50}, 950) == pytest.approx(0.05), "no packets are counted"
    assert lost_share({}, 950) == 0
    assert added([{"a": 1}, {"a": 2, "b": 3}]) == {"a": 3, "b": 3}


# --- the wire ---------------------------------------------------------------------------------


def moving(moved: Moved, client: float = 0.4, server: float = 0.5) -> TrialRecord:
    """Return the trial that moved this."""
    histogram = ((moved.latency_us, moved.requests),) if moved.latency_us else ()
    ports = None if moved.packets is None else {"rx_packets": moved.packets, "tx_packets": 0}
    return replace(use(client, server), requests=moved.requests, bytes=moved.bytes, server=ports,
                   duration_seconds=moved.seconds, latency_histogram_us=histogram,
                   dropped={place: {"rx": count} for place, count in moved.lost.items()})


def test_little_tells_how_many_requests_were_in_flight() -> None:
    moved = Moved(2.0, 20_000, 0, latency_us=790.0)
    assert moved.in_flight == pytest.approx(7.9)
    assert values(limit(False, 8, [moving(moved)]), Evidence.ROUND_TRIP) == [
        {"connections": 8, "in_flight": 7.9, "requests_per_sec": 10_000.0, "latency_us": 790.0,
         "by_median": 0}]
    unknown = limit(False, 8, [moving(replace(moved, latency_us=None))])
    assert values(unknown, Evidence.ROUND_TRIP) == [{"connections": 8}]


def test_the_median_stands_for_latencies_that_the_tool_corrected() -> None:
    record = make(requests=3, latency_histogram_us=((10, 2), (40, 1)), duration_seconds=1.0)
    assert trial_use.moved(record).latency_us == 20 and not trial_use.moved(record).by_median
    corrected = replace(record, requests=2)
    assert trial_use.moved(corrected).latency_us == 10 and trial_use.moved(corrected).by_median
    assert trial_use.moved(replace(record, latency_histogram_us=())).latency_us is None


def test_a_ports_own_losses_stand_beside_those_of_interfaces() -> None:
    record = make(dropped={"a/b": {"rx": 1, "tx": 2}}, server={
        "rx_packets": 5, "tx_packets": 6, "rx_dropped": 1, "tx_dropped": 1, "no_mbuf": 1})
    moved = trial_use.moved(record)
    assert moved.lost == {"a/b": 3, "server-port": 3} and moved.packets == 11


@pytest.mark.parametrize("lost, by", [
    (0, "connections"), (10, "connections"), (11, "wire"), (5000, "wire")])
def test_a_queue_that_loses_more_than_one_in_a_thousand_is_the_limit(lost: int, by: str) -> None:
    moved = Moved(1.0, 10_000, 0, lost={"bridge/tap0": lost, "bridge/other": 0})
    found = limit(False, 8, [moving(moved)])
    assert found.by == by
    assert values(found, Evidence.PLACE_LOST) == (
        [{"place": "bridge/tap0", "packets": lost}] if lost else [])


def test_a_side_at_its_end_comes_before_the_wire() -> None:
    moved = Moved(1.0, 10_000, 0, lost={"a": 5000})
    assert limit(False, 8, [moving(moved, server=0.99)]).by == "server cpu"
    assert limit(False, 8, [moving(moved, client=0.99)]).by == "client cpu"


def test_only_the_places_that_lost_most_are_named() -> None:
    moved = Moved(1.0, 10_000, 0, lost={f"place{n}": n for n in range(6)})
    found = limit(False, 8, [moving(moved), moving(moved)])
    assert values(found, Evidence.PLACE_LOST) == [
        {"place": "place5", "packets": 10}, {"place": "place4", "packets": 8},
        {"place": "place3", "packets": 6}]
    assert values(found, Evidence.PLACES_LEFT_OUT) == [{"count": 2}]


def test_the_line_rate_counts_every_segment_whole() -> None:
    # 1,000,000 answers of 39 bytes: 117 bytes each on the line, 936 Mb/s
    assert line_share(Moved(1.0, 1_000_000, 39_000_000), TEN_GIGABIT) == pytest.approx(0.0936)
    # 64 KiB in 45 segments of 1460 bytes at most
    assert line_share(Moved(1.0, 10, 10 * 65_536), Line(speed_mbps=10)) == pytest.approx(
        8 * (655_360 + 449 * 78) / 1e7)
    assert line_share(Moved(1.0, 10, 10), Line()) is None


def test_a_full_line_is_the_limit() -> None:
    full = moving(Moved(1.0, 10_000, 119_000_000))
    found = limit(False, 8, [full], line=Line(speed_mbps=1000))
    assert found.by == "wire" and values(found, Evidence.LINE_FULL)
    (share,) = values(found, Evidence.LINE_SHARE)
    assert share["share"] == pytest.approx(1, abs=0.01) and share["speed_mbps"] == 1000
    assert limit(False, 8, [full], line=TEN_GIGABIT).by == "connections"
    assert limit(False, 8, [full]).by == "connections"


def test_a_tap_costs_a_system_call_for_each_packet() -> None:
    trial = moving(Moved(1.0, 1000, 0, packets=2100))
    calls = values(limit(False, 8, [trial], line=Line(tap=True)), Evidence.TAP_CALLS)
    assert calls == [{"packets_per_request": 2.1}]
    assert not values(limit(False, 8, [trial]), Evidence.TAP_CALLS)


# --- the client's ceiling ---------------------------------------------------------------------


def ceiling(rate: float, at_least: bool = False) -> Ceiling:
    return Ceiling(rate, "canned", at_least, ())


@pytest.mark.parametrize("found, by, code", [
    (ceiling(10_400.0), "client cpu", Evidence.CEILING),
    (ceiling(10_600.0), "connections", Evidence.CEILING),
    (ceiling(10_000.0, at_least=True), "connections", Evidence.CEILING_AT_LEAST)])
def test_a_throughput_at_the_clients_ceiling_is_the_clients(found: Ceiling, by: str,
                                                            code: Evidence) -> None:
    judged = limit(False, 8, [moving(Moved(1.0, 10_000, 0))], ceiling=found)
    assert judged.by == by and codes(judged)[-1] == code
    assert (Evidence.NEAR_CEILING in codes(judged)) == (by == "client cpu")


@pytest.mark.parametrize("busy, at_least", [(0.99, False), (0.5, True)])
def test_a_ceiling_is_one_only_where_the_client_was_at_its_end(busy: float, at_least: bool) -> None:
    spent = {"0": CpuTime("client", user=busy, idle=1 - busy), "1": CpuTime("server", idle=1.0)}
    trial = make(contender="canned", requests_per_sec=10_000.0, cpu_seconds=spent)
    found = ceilings([trial])[trial.point]
    assert (found.requests_per_sec, found.contender, found.at_least) == (
        10_000.0, "canned", at_least)


def test_a_ceiling_is_the_median_of_its_trials() -> None:
    """One disturbed trial in three, at half of the rate, is not the ceiling."""
    spent = {"0": CpuTime("client", user=1.0), "1": CpuTime("server", idle=1.0)}
    trials = [make(contender="canned", round=round_, requests_per_sec=rate, cpu_seconds=spent)
              for round_, rate in enumerate([110_000.0, 55_000.0, 112_000.0])]
    found = ceilings(trials)[trials[0].point]
    assert found.requests_per_sec == 110_000.0 and not found.at_least


def test_a_ceiling_below_a_contender_is_raised_and_binds_nobody_by_its_height() -> None:
    low = ceiling(9_000.0)
    found = raised(low, {"epoll": 10_000.0, "uring": 9_900.0, "nginx": None})
    assert (found.requests_per_sec, found.contender, found.at_least, found.raised) == (
        10_000.0, "epoll", True, True)
    assert found.evidence == (Note(Evidence.CEILING_RAISED, {
        "requests_per_sec": 10_000.0, "contender": "epoll", "measured": 9_000.0}),)
    judged = limit(False, 8, [moving(Moved(1.0, 10_000, 0))], ceiling=found)
    assert judged.by == "connections" and Evidence.NEAR_CEILING not in codes(judged)
    assert raised(low, {"epoll": 9_000.0}) == raised(low, {}) == low
    # its client at its end: that tells it, whoever raised it
    spent = {"0": CpuTime("client", user=0.99, idle=0.01), "1": CpuTime("server", idle=1.0)}
    bound = make(requests_per_sec=10_000.0, cpu_seconds=spent)
    assert limit(False, 8, [bound], ceiling=found).by == "client cpu"


# --- one record -------------------------------------------------------------------------------


def test_shares_leave_out_what_the_hypervisor_took() -> None:
    spent = {"0": CpuTime("client", user=0.5, softirq=0.5, idle=1.0, steal=2.0),
             "1": CpuTime("server", nice=0.5, idle=0.5), "2": CpuTime("other", user=9.0, irq=0.25)}
    record = make(cpu_seconds=spent)
    client, server = trial_use.cores_of(record)
    assert (client.share, client.user, client.system, client.interrupts) == (0.5, 0.25, 0.0, 0.25)
    assert server.share == 0.5
    assert trial_use.burned_seconds(record) == {"client": 1.0, "server": 0.5, "other": 0.25}
    assert trial_use.server_seconds(record) == 0.75
    assert trial_use.steal_share(record) == pytest.approx(2 / 5), "of the plan's CPUs alone"
    assert trial_use.elsewhere_share(record) == pytest.approx(9 / 1.75)
