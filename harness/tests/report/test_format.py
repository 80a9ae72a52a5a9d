# SPDX-License-Identifier: BSD-3-Clause
"""Numbers, load points and commands as a reader reads them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.plan import AXES, LoadPoint, load_plan, load_wire
from harness.report import format
from harness.report.format import Places, by_name


@pytest.mark.parametrize("value, text", [(0.998, "0.998×"), (1.004, "1.004×"), (1.0, "1.00×"),
                                         (12.84, "12.8×"), (0.031, "0.031×"), (None, format.NONE)])
def test_a_ratio_never_reads_as_1_unless_it_is(value: float | None, text: str) -> None:
    assert format.ratio(value) == text


def points(key: str, *values: int | str) -> list[LoadPoint]:
    changes: list[dict[str, Any]] = [{key: value} for value in values]
    return [replace(LoadPoint(64), **change) for change in changes]


@pytest.mark.parametrize("word, key, values, text", [
    ("connections", "connections", (1,), "1 connection"), ("connections", "connections", (8,), "8 connections"),
    ("connections", "connections", (1, 1_000_000), "1 and 1,000,000 connections"),
    ("cores", "server_cores", (1,), "1 server core"), ("cores", "server_cores", (1, 2, 4), "1, 2 and 4 server cores"),
    ("body", "body_size_bytes", (1,), "a body of 1 byte"), ("body", "body_size_bytes", (3700,), "a body of 3700 bytes"),
    ("body", "body_size_bytes", (1, 65536), "bodies of 1 and 65,536 bytes"),
    ("loss", "impairment", ("", "loss 0.1%"), "0 and 0.1 % loss"),
    ("rate", "offered_per_sec", (50_000,), "50,000 requests/s")])
def test_load_points_are_named_by_their_axis(word: str, key: str, values: tuple[int, ...], text: str) -> None:
    found = points(key, *values)
    assert Places(by_name((word,)), tuple(found)).listed(found) == text


def test_every_axis_has_its_words() -> None:
    assert all(format.phrase(axis, ["2"]) and by_name((axis.word,)) == (axis,) for axis in AXES)


def test_neighbours_of_a_sweep_are_drawn_together() -> None:
    sweep = points("connections", 1, 2, 4, 8, 16)
    at = Places.of(sweep)
    assert at.stretches([sweep[0], sweep[1], sweep[3]]) == "1 to 2 and 8 connections"
    assert at.stretches(sweep) == "1 to 16 connections" and at.stretches([]) == ""
    assert at.span(sweep) == "1 to 16 connections" and at.span(sweep[:1]) == "1 connection"


def test_two_axes_are_told_together() -> None:
    sweep = [LoadPoint(connections, server_cores=cores) for connections in (1, 64) for cores in (1, 2)]
    at = Places.of(sweep)
    assert [axis.word for axis in at.axes] == ["connections", "cores"]
    assert at.value(sweep[1]) == "1, 2 server cores"
    assert at.listed(sweep) == "1 and 64 connections with 1 server core; 1 and 64 connections with 2 server cores"
    assert at.stretches(sweep[2:3]) == "64 connections with 1 server core"


def test_a_pair_of_names_with_a_slash_is_told_apart() -> None:
    assert format.pair("lwip", "epoll") == "lwip/epoll"
    assert format.pair("redis/lwip", "redis/kernel") == "redis/lwip over redis/kernel"


def test_a_command_line_keeps_empty_words_and_blanks() -> None:
    assert format.command_line("redis-server", ["--save", "", "--eal", "a b", "{port}"]) == (
        "redis-server --save '' --eal 'a b' {port}")


def test_the_command_of_a_run_on_a_nic_names_its_client_once() -> None:
    plan = load_plan("quick", load_wire("tap"), (0, 1), {"CONTENDERS": "epoll,lwip"})
    away = replace(plan, wire="nic", clients={"me@there": (0,)})
    order = {"NIC": "eth1", "CLIENT": "ssh:me@there", "TUNE": "max", "FORCE": "1"}
    said = format.command(away, order)
    assert said.startswith("sudo make bench NIC=eth1 CLIENT=ssh:me@there TUNE=max FORCE=1 CONTENDERS=epoll,lwip ")
    assert said.count("CLIENT=") == 1 and "NOIOMMU" not in said
    assert format.command(plan).startswith("sudo make bench-tap CONTENDERS=")
    assert not any(key in format.command(plan) for key in ("SEED", "PRECISION", "BUDGET"))


def test_the_command_of_a_run_with_a_rule_has_its_seed_and_its_rule() -> None:
    plan = load_plan("default", load_wire("tap"), (0, 1), {"SEED": "7"})
    said = format.command(plan)
    assert f" ROUNDS={plan.rounds} " in said and said.endswith(f" PRECISION={plan.precision_percent:g} BUDGET=900s SEED=7")
    settings = dict(word.split("=", 1) for word in said.split()[3:])
    assert replace(load_plan("quick", load_wire("tap"), (0, 1), settings), name="default") == plan
