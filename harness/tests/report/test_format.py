# SPDX-License-Identifier: BSD-3-Clause
"""The headline's sentences: a verdict, and why it is not another."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from harness.report import format as words
from harness.plan import load_plan
from harness.plan import load_wire
from harness.report.headline import headline


def gain(verdict: str, ratio: float, ci95: list[float] | None, bound: str | None = None) -> dict[str, Any]:
    return {"ratio": ratio, "ci95": ci95, "verdict": verdict, "rounds": 3, "bound": bound}


def details(*gains: dict[str, Any]) -> tuple[str, ...]:
    points = [{"connections": number, "gain": {"b/a": entry}} for number, entry in enumerate(gains, 1)]
    return headline({"baseline": "a", "contenders": {"a": {"label": "A"}, "b": {"label": "B"}},
                     "points": points})[0].details


def test_each_reason_of_an_inconclusive_gain_is_a_line_of_its_own() -> None:
    assert details(gain("inconclusive", 1.2, None), gain("inconclusive", 1.1, [0.9, 1.3]),
                   gain("inconclusive", 0.8, [0.7, 0.9], "lower"), gain("inconclusive", 1.2, [1.1, 1.3], "both"),
                   gain("faster", 2.0, [1.9, 2.1]), gain("inconclusive", 1.1, [1.01, 1.2])) == (
        "Faster at 5 connections: 2.00× [1.90, 2.10].",
        "Inconclusive at 1 connection: 1.20×; too few rounds for an interval.",
        "Inconclusive at 2 connections: 1.10× [0.90, 1.30]; the interval spans 1.",
        "Inconclusive at 3 and 4 connections: ≥ 0.80× [0.70, 0.90] (at 3) to 1.20× [1.10, 1.30] (at 4); "
        "the client was the limit.",
        "Inconclusive at 6 connections: 1.10× [1.01, 1.20]; the interval excludes 1, but that may be chance among so many "
        "gains.",
        "Client-bound at 3 connections: the gain there is a lower bound.",
        "Client-bound at 4 connections: the gain there is no measure of the servers: the client was the limit "
        "of both.")


def test_a_pair_of_names_with_a_slash_is_told_apart() -> None:
    assert words.pair("lwip", "epoll") == "lwip/epoll"
    assert words.pair("redis/lwip", "redis/kernel") == "redis/lwip over redis/kernel"


def test_a_command_line_keeps_empty_words_and_blanks() -> None:
    assert words.command_line("redis-server", ["--save", "", "--eal", "a b", "{port}"]) == (
        "redis-server --save '' --eal 'a b' {port}")


def test_the_command_of_a_run_on_a_nic_names_its_client_once() -> None:
    plan = load_plan("quick", load_wire("tap"), (0, 1), {"CONTENDERS": "epoll,lwip"})
    away = replace(plan, wire="nic", clients={"me@there": (0,)})
    order = {"NIC": "eth1", "CLIENT": "ssh:me@there", "TUNE": "max", "FORCE": "1"}
    said = words.command(away, order)
    assert said.startswith("sudo make bench NIC=eth1 CLIENT=ssh:me@there TUNE=max FORCE=1 CONTENDERS=epoll,lwip ")
    assert said.count("CLIENT=") == 1 and "NOIOMMU" not in said
    assert words.command(plan).startswith("sudo make bench-tap CONTENDERS=")
    assert not any(key in words.command(plan) for key in ("SEED", "PRECISION", "BUDGET"))


def test_the_command_of_a_run_with_a_rule_has_its_seed_and_its_rule() -> None:
    plan = load_plan("default", load_wire("tap"), (0, 1), {"SEED": "7"})
    said = words.command(plan)
    assert " ROUNDS=5 " in said and said.endswith(" PRECISION=3 BUDGET=900s SEED=7")
    settings = dict(word.split("=", 1) for word in said.split()[3:])
    assert replace(load_plan("quick", load_wire("tap"), (0, 1), settings), name="default") == plan
