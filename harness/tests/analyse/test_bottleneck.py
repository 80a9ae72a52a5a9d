# SPDX-License-Identifier: BSD-3-Clause
"""What limited a point, and what a gain may be called."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.analyse.stats import Interval
from harness.analyse.bottleneck import CoreUse, Limit, TrialUse, gain_bound, judge_gain, limit


def use(client: float, server: float, own: float | None = None) -> TrialUse:
    return TrialUse((CoreUse("0", "client", client), CoreUse("1", "server", server)), own)


@pytest.mark.parametrize("interval, word", [
    (Interval(1.01, 1.2), "faster"), (Interval(0.8, 0.99), "slower"), (Interval(0.9, 1.1), "inconclusive"),
    (Interval(1.0, 1.2), "inconclusive"), (Interval(0.8, 1.0), "inconclusive"), (None, "inconclusive")])
def test_a_gain_is_judged_by_its_whole_interval(interval: Interval | None, word: str) -> None:
    assert judge_gain(interval, None) == word


@pytest.mark.parametrize("bound, above, below", [
    (None, "faster", "slower"), ("lower", "faster", "inconclusive"), ("upper", "inconclusive", "slower"),
    ("both", "inconclusive", "inconclusive")])
def test_a_bound_must_bear_the_verdict_out(bound: str | None, above: str, below: str) -> None:
    assert judge_gain(Interval(1.1, 1.3), bound) == above
    assert judge_gain(Interval(0.7, 0.9), bound) == below
    assert judge_gain(Interval(0.9, 1.1), bound) == judge_gain(None, bound) == "inconclusive"


@pytest.mark.parametrize("polls, trial, by", [
    (False, use(0.95, 0.99), "client cpu"), (False, use(0.94, 0.95), "server cpu"),
    (False, use(0.94, 0.94), "connections"), (True, use(0.5, 1.0, 0.96), "server cpu"),
    (True, use(0.5, 1.0, 0.5), "connections"), (True, use(0.99, 1.0, 0.99), "client cpu"),
    (True, use(0.5, 1.0), "unknown"), (True, use(0.99, 1.0), "client cpu")])
def test_the_limit_is_the_saturated_side(polls: bool, trial: TrialUse, by: str) -> None:
    found = limit(polls, 8, [trial])
    assert found.by == by
    assert found.evidence.endswith(".") and " %" in found.evidence


def test_a_poller_is_not_judged_by_its_core() -> None:
    assert limit(True, 1, [use(0.4, 1.0, 0.3)]).evidence == (
        "The client's busiest core was 40 % busy and the server's poll loop had work 30 % of the time: "
        "with 1 connection in flight the round trip set the rate.")


def test_the_median_trial_and_the_busiest_core_decide() -> None:
    assert limit(False, 8, [use(0.99, 0.5), use(0.5, 0.5), use(0.6, 0.5)]).by == "connections"
    two = TrialUse((CoreUse("0", "client", 0.2), CoreUse("2", "client", 0.97), CoreUse("1", "server", 0.5)), None)
    assert limit(False, 8, [two]).by == "client cpu"


def test_without_figures_the_limit_is_unknown() -> None:
    assert limit(False, 8, []) == Limit("unknown", "There is no valid trial.")
    assert limit(False, 8, [TrialUse((CoreUse("0", "client", 0.5),), None)]).by == "unknown"
    shared = limit(False, 8, [TrialUse((CoreUse("0", "client+server", 0.99),), None)])
    assert shared.by == "unknown" and "share a core, which was 99 % busy" in shared.evidence


@pytest.mark.parametrize("numerator, denominator, bound", [
    ("client cpu", "server cpu", "lower"), ("connections", "client cpu", "upper"),
    ("client cpu", "client cpu", "both"), ("server cpu", "unknown", None)])
def test_a_client_bound_side_makes_the_gain_a_bound(numerator: str, denominator: str,
                                                    bound: str | None) -> None:
    assert gain_bound(Limit(numerator, ""), Limit(denominator, "")) == bound


def own_client(client: float | None, own: float | None) -> TrialUse:
    """Both ends poll: their cores are busy whatever they do."""
    return TrialUse((CoreUse("0", "client", 1.0), CoreUse("1", "server", 1.0)), own, client)


@pytest.mark.parametrize("trial, by", [
    (own_client(0.95, 0.5), "client cpu"), (own_client(0.96, 0.99), "client cpu"),
    (own_client(0.94, 0.95), "server cpu"), (own_client(0.5, 0.5), "connections"),
    (own_client(None, 0.99), "unknown"), (own_client(0.5, None), "unknown"),
    (own_client(0.99, None), "client cpu")])
def test_a_client_that_polls_is_judged_by_its_own_cycles(trial: TrialUse, by: str) -> None:
    assert limit(True, 8, [trial], client_polls=True).by == by


def test_evidence_on_two_ends_that_poll() -> None:
    assert limit(True, 8, [own_client(0.6, 0.3)], client_polls=True).evidence == (
        "The client's program and stack had work 60 % of the time and the server's poll loop had work 30 % of the "
        "time: with 8 connections in flight the round trip set the rate.")
    assert limit(True, 8, [own_client(None, 0.3)], client_polls=True).evidence == (
        "The client polls and did not count its busy cycles; the server's poll loop had work 30 % of the time.")


def lossy(missed: int, client: float = 0.4, own: float = 0.3, requests: int = 1000) -> TrialUse:
    """The server's NIC missed so many packets of 100,000 that it had."""
    return replace(use(client, 1.0, own), requests=requests, nics={
        "server": {"rx_good_packets": 100_000, "rx_missed_errors": missed}, "client": {"rx_packets": 100_000}})


@pytest.mark.parametrize("trial, by", [
    (lossy(0), "connections"), (lossy(100), "connections"), (lossy(110), "wire"), (lossy(50_000), "wire"),
    (lossy(50_000, own=0.95), "server cpu"), (lossy(50_000, client=0.95), "client cpu"),
    (replace(lossy(50_000), own_share=None), "unknown"), (replace(lossy(50_000), client_bound=True), "client cpu")])
def test_the_wire_is_the_limit_only_where_no_side_is_at_its_end(trial: TrialUse, by: str) -> None:
    assert limit(True, 8, [trial]).by == by


def test_what_a_nic_lost_is_evidence_whatever_was_the_limit() -> None:
    assert limit(True, 1, [lossy(60), lossy(40), lossy(0)]).evidence == (
        "The client's busiest core was 40 % busy and the server's poll loop had work 30 % of the time: "
        "with 1 connection in flight the round trip set the rate. The server's NIC missed 100 packets "
        "(rx_missed_errors).")
    assert limit(True, 8, [lossy(1000, own=0.99)]).evidence == (
        "The client's busiest core was 40 % busy and the server's poll loop had work 99 % of the time. "
        "The server's NIC missed 1,000 packets (rx_missed_errors).")
    assert limit(True, 8, [lossy(25_000)]).evidence == (
        "The client's busiest core was 40 % busy and the server's poll loop had work 30 % of the time: neither was at "
        "its end, and a NIC lost at least 20 % of its packets. The server's NIC missed 25,000 packets "
        "(rx_missed_errors).")


def test_the_median_trial_decides_on_the_wire_too() -> None:
    assert limit(True, 8, [lossy(50_000), lossy(0), lossy(0)]).by == "connections"
    assert limit(True, 8, [lossy(50_000), lossy(9000), lossy(0)]).by == "wire"


def test_both_ends_are_named_and_only_the_largest_of_many_counters() -> None:
    names = ("rx_errors", "rx_crc_errors", "rx_dropped", "tx_dropped", "rx_over_errors", "tx_errors")
    trial = replace(use(0.4, 0.5), requests=10,
                    nics={"client": {name: 1 for name in names}, "server": {"tx_errors": 2}})
    assert limit(False, 8, [trial]).evidence.split(". ", 1)[1] == (
        "The server's NIC had errors with 2 packets (tx_errors). The client's NIC had errors with 1 packet "
        "(rx_crc_errors), dropped 1 packet (rx_dropped), had errors with 1 packet (rx_errors), overran its own memory "
        "with 1 packet (rx_over_errors), and 2 more of its counters tell of losses.")


def test_a_wire_at_its_limit_makes_no_bound() -> None:
    assert gain_bound(Limit("wire", ""), Limit("server cpu", "")) is None
