# SPDX-License-Identifier: BSD-3-Clause
"""From records to summary: what counts, what is said, what is refused."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import pytest

from harness.analyse.summary import summarise, to_text
from harness.errors import UsageError
from harness.plan import from_json, Plan
from harness.tests.fixtures import synthetic


Made = tuple[Plan, dict[str, Any], list[dict[str, Any]]]


def made(connections: tuple[int, ...] = (1, 64), rounds: int = 3,
         contenders: tuple[str, ...] = ("epoll", "lwip")) -> Made:
    dice = random.Random(1)
    records = [synthetic.trial(dice, contender, count, round_, 0)
               for round_ in range(rounds) for count in connections for contender in contenders]
    plan = from_json(synthetic.plan(connections, rounds, contenders))
    return plan, synthetic.facts("made", contenders), records


def test_the_schema_other_programs_read() -> None:
    summary = summarise(*made())
    assert {key: summary[key] for key in ("schema", "run", "wire", "workload", "baseline")} == {
        "schema": 1, "run": "made", "wire": "tap", "workload": {"name": "rps", "body_size_bytes": 1},
        "baseline": "epoll"}
    point = summary["points"][1]
    assert point["connections"] == 64
    cell = point["contenders"]["lwip"]
    assert set(cell) == {"requests_per_sec", "latency_us", "trials", "invalid", "errors",
                         "cpu_us_per_request", "cycles_per_request", "cycles_from", "requests_per_core_second"}
    assert set(cell["latency_us"]) == {"p50", "p90", "p99", "p999", "max"}
    assert set(point["gain"]) == {"lwip/epoll"}
    assert set(point["gain"]["lwip/epoll"]) == {"ratio", "ci95", "verdict", "rounds", "bound", "p", "p_adjusted"}
    assert set(point["limit"]) == {"epoll", "lwip"} and set(point["limit"]["lwip"]) == {"by", "evidence"}
    assert "cycles_per_request" not in point["contenders"]["epoll"]


def test_figures_are_of_the_valid_trials_only() -> None:
    plan, facts, records = made(connections=(1,))
    for record, rate in zip([r for r in records if r["contender"] == "epoll"], (100.0, 200.0, 9e9)):
        record["requests_per_sec"] = rate
    records[4].update(valid=False, problems=["a check failed"], errors={"read": 2, "write": 1})
    assert records[4]["requests_per_sec"] == 9e9
    cell = summarise(plan, facts, records)["points"][0]["contenders"]["epoll"]
    assert cell["requests_per_sec"]["median"] == 150.0
    assert (cell["trials"], cell["invalid"], cell["errors"]) == (2, 1, 3)


def test_a_gain_pairs_the_same_round() -> None:
    plan, facts, records = made(connections=(1,))
    rates = {("epoll", 0): 100.0, ("lwip", 0): 200.0, ("epoll", 1): 1000.0, ("lwip", 1): 4000.0,
             ("epoll", 2): 1.0, ("lwip", 2): 7.0}
    for record in records:
        record["requests_per_sec"] = rates[record["contender"], record["round"]]
        if record["round"] == 2 and record["contender"] == "lwip":
            record["valid"] = False
    gain = summarise(plan, facts, records)["points"][0]["gain"]["lwip/epoll"]
    assert gain["ratio"] == pytest.approx(math.sqrt(2 * 4), rel=1e-5)
    assert gain["rounds"] == 2
    assert gain["verdict"] == "inconclusive"


def test_three_contenders_gain_over_the_first() -> None:
    point = summarise(*made(contenders=("lwip", "epoll", "uring")))["points"][0]
    assert set(point["gain"]) == {"epoll/lwip", "uring/lwip"}


def test_one_contender_or_one_round() -> None:
    alone = summarise(*made(contenders=("lwip",)))["points"][0]
    assert alone["gain"] == {}
    once = summarise(*made(rounds=1))["points"][0]
    assert once["contenders"]["epoll"]["requests_per_sec"]["ci95"] is None
    assert once["gain"]["lwip/epoll"]["ci95"] is None
    assert once["gain"]["lwip/epoll"]["verdict"] == "inconclusive"


def test_a_point_without_a_valid_trial_is_null_and_not_a_crash() -> None:
    plan, facts, records = made()
    for record in records:
        if record["contender"] == "epoll" and record["connections"] == 64:
            record["valid"] = False
    point = summarise(plan, facts, records)["points"][1]
    cell = point["contenders"]["epoll"]
    assert cell["requests_per_sec"] == {"median": None, "ci95": None}
    assert cell["latency_us"]["p99"] is None and cell["cpu_us_per_request"]["median"] is None
    assert point["gain"]["lwip/epoll"] == {"ratio": None, "ci95": None, "verdict": "inconclusive",
                                           "rounds": 0, "bound": None, "p": None, "p_adjusted": None}
    assert point["limit"]["epoll"]["by"] == "unknown"
    json.loads(to_text(summarise(plan, facts, [])))


def test_latency_is_of_the_merged_distribution() -> None:
    plan, facts, records = made(connections=(1,), rounds=2)
    lwip = [record for record in records if record["contender"] == "lwip"]
    lwip[0]["latency_histogram_us"] = [[10, 999]]
    lwip[1]["latency_histogram_us"] = [[20, 1], [500, 1000]]
    latency = summarise(plan, facts, records)["points"][0]["contenders"]["lwip"]["latency_us"]
    assert latency == {"p50": 20, "p90": 500, "p99": 500, "p999": 500, "max": 500}


def test_cpu_time_is_split_by_role_and_adds_up() -> None:
    plan, facts, records = made(connections=(1,))
    cpu = summarise(plan, facts, records)["points"][0]["contenders"]["lwip"]["cpu_us_per_request"]
    assert cpu["by_role"]["client"] + cpu["by_role"]["server"] == pytest.approx(cpu["median"], rel=1e-5)


def test_caveats_say_what_a_reader_must_know() -> None:
    plan, facts, records = made()
    facts["hugepages"] = {"used": False, "why": "the kernel gave 3 of 96 pages"}
    records[0]["valid"] = False
    records[1]["cpu_seconds"]["0"].update(steal=0.5)
    caveats = summarise(plan, facts, records[:-1])["caveats"]
    assert caveats == [
        synthetic.CAVEAT, "Without hugepages: the kernel gave 3 of 96 pages.",
        "The run is incomplete: it has 11 of 12 trials.",
        "Left out of every figure, because a check failed: 1 of 11 trials.",
        "The hypervisor took CPU time away in 1 of 11 trials, up to 11 %.",
        "The client's CPU was the limit for kernel TCP (epoll) at 64 connections: its throughput there is a "
        "lower bound."]


def test_hugepages_matter_to_polling_contenders_only() -> None:
    plan, facts, records = made(connections=(1,), contenders=("epoll",))
    facts["hugepages"] = {"used": False, "why": "none"}
    assert summarise(plan, facts, records)["caveats"] == [synthetic.CAVEAT]


def test_a_shared_cpu_is_said() -> None:
    plan, facts, records = made()
    shared = from_json({**synthetic.plan((1, 64), 3, ("epoll", "lwip")), "client_cpus": [1]})
    summary = summarise(shared, facts, records)
    assert "Client and server shared CPU 1." in summary["caveats"]
    assert summary["points"][0]["limit"]["epoll"]["by"] == "unknown"
    assert summary["points"][0]["contenders"]["epoll"]["cpu_us_per_request"]["by_role"] is None


def test_the_order_of_records_does_not_matter() -> None:
    plan, facts, records = made()
    assert to_text(summarise(plan, facts, records)) == to_text(summarise(plan, facts, records[::-1]))


@pytest.mark.parametrize("change", [
    {"contender": "nginx"}, {"connections": 7}, {"requests_per_sec": "fast"}, {"requests_per_sec": math.nan},
    {"latency_histogram_us": [[1]]}, {"cpu_seconds": None}, {"errors": [1]}, {"round": None},
    {"cpu_us_per_request": "much"}, {"cpu_seconds": {"0": {"user": "x"}}}])
def test_a_foreign_record_is_refused_by_its_line(change: dict[str, Any]) -> None:
    plan, facts, records = made()
    records[2] = {**records[2], **change}
    with pytest.raises(UsageError, match=r"^trials\.jsonl:3: .*") as caught:
        summarise(plan, facts, records)
    assert "\n" not in str(caught.value)


def test_a_missing_field_and_a_second_record_are_refused() -> None:
    plan, facts, records = made()
    with pytest.raises(UsageError, match="trials.jsonl:13: a second record of epoll at 1 .* in round 0"):
        summarise(plan, facts, [*records, records[0]])
    del records[0]["requests_per_sec"]
    with pytest.raises(UsageError, match="trials.jsonl:1: "):
        summarise(plan, facts, records)


@pytest.mark.parametrize("path", [("run",), ("wire",), ("hugepages",), ("wire", "caveat"),
                                  ("wire", "contenders"), ("wire", "contenders", "lwip"),
                                  ("wire", "contenders", "lwip", "stack")])
def test_missing_facts_are_refused_by_name(path: tuple[str, ...]) -> None:
    plan, facts, records = made()
    table = facts
    for key in path[:-1]:
        table = table[key]
    del table[path[-1]]
    with pytest.raises(UsageError, match=f"facts.json: '{path[-1]}'"):
        summarise(plan, facts, records)


@pytest.mark.parametrize("held, bound, verdict", [
    ((), None, "slower"), (("epoll",), "upper", "slower"), (("lwip",), "lower", "inconclusive"),
    (("epoll", "lwip"), "both", "inconclusive")])
def test_a_gain_that_a_busy_client_bounds_is_called_what_it_shows(held: tuple[str, ...], bound: str | None,
                                                                  verdict: str) -> None:
    plan, facts, records = made(connections=(64,))
    for record in records:
        client = record["cpu_seconds"]["0"]
        client.update(user=2.0 if record["contender"] in held else 0.5, nice=0.0, system=0.0, irq=0.0,
                      softirq=0.0, idle=0.0 if record["contender"] in held else 1.5)
    gain = summarise(plan, facts, records)["points"][0]["gain"]["lwip/epoll"]
    assert gain["ci95"][1] < 1 and (gain["bound"], gain["verdict"]) == (bound, verdict)
