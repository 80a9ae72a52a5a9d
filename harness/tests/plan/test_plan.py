# SPDX-License-Identifier: BSD-3-Clause
"""Plans: what is accepted, what is refused with which words, and the order of trials."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UsageError
from harness.plan import LoadPoint, Reason, without, from_json, load_plan, Plan, PLANS, round_specs, schedule, shares, to_json
from harness.plan.topology import load_wire, with_contenders

WIRE = load_wire("tap")
ALL = ("epoll", "epoll-busypoll", "epoll-mt", "uring", "nginx", "nginx-mt", "epoll-spin", "lwip")
GOOD = 'contenders = ["epoll"]\nconnections = [1]\nrounds = 1\nduration_seconds = 1\nwarmup_seconds = 0\n'


def plan(name: str = "quick", cpus: tuple[int, ...] = (0, 1), **overrides: str) -> Plan:
    return load_plan(name, WIRE, cpus, overrides)


def stem(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize("path", sorted(PLANS.glob("*.toml")), ids=stem)
def test_every_plan_of_ours_loads_with_all_contenders(path: Path) -> None:
    loaded = plan(path.stem)
    assert loaded.name == path.stem
    assert {*loaded.contenders} == {*ALL} and loaded.contenders[0] == "epoll"
    assert loaded.workload.body_size_bytes == 1
    assert from_json(json.loads(json.dumps(to_json(loaded)))) == loaded


@pytest.mark.parametrize("text, size", [("3700", 3700), ("4K", 4096), ("64M", 64 << 20), ("0", 0)])
def test_a_body_size_may_have_a_suffix(text: str, size: int) -> None:
    assert plan(BODY_SIZE=text).workload.body_size_bytes == size


def test_default_and_full_sweep_the_powers_of_two() -> None:
    assert plan("full").connections == (1, 2, 4, 8, 16, 32, 64, 128)
    assert plan("default").connections == plan("quick").connections == (1, 8, 64, 128)


def takes(ours: Plan) -> float:
    """Seconds of a plan whose contenders stay up for a round: around each load, and around each start."""
    assert ours.restart == "round"
    trials, starts = len(schedule(ours)), ours.rounds * len(ours.applicable)
    return trials * (ours.duration_seconds + 0.7) + starts * (ours.warmup_seconds + 2)


def test_default_has_a_first_report_within_four_minutes_for_five_contenders() -> None:
    first = plan("default", CONTENDERS="epoll,epoll-busypoll,uring,nginx,lwip")
    calibration, around = 3 * 1.7 * len(first.load_points), 5
    assert first.precision_percent and takes(first) + calibration + around < 240


@pytest.mark.parametrize("name, rounds, precision, budget", [("quick", 4, 0, 0), ("default", 4, 5, 900),
                                                            ("full", 10, 2, 7200)])
def test_ours_know_when_they_end(name: str, rounds: int, precision: float, budget: int) -> None:
    ours = plan(name)
    assert (ours.rounds, ours.precision_percent, ours.budget_seconds) == (rounds, precision, budget)
    assert ours.most_rounds == (1000 if precision else rounds)


@pytest.mark.parametrize("name", ["quick", "default", "full"])
@pytest.mark.parametrize("wire", ["scale", "ablate"])
def test_a_ladder_and_a_sweep_of_connections_have_fixed_rounds(wire: str, name: str) -> None:
    ours = load_plan(name, load_wire(wire), (0, 1), {})
    assert ours.precision_percent == ours.budget_seconds == 0 and ours.most_rounds == ours.rounds


@pytest.mark.parametrize("settings, rounds, precision, budget", [
    ({"ROUNDS": "2"}, 2, 0, 0),
    ({"ROUNDS": "2", "PRECISION": "5"}, 2, 5, 900),
    ({"ROUNDS": "2", "BUDGET": "60"}, 2, 5, 60),
    ({"PRECISION": "0"}, 4, 0, 0),
    ({"PRECISION": "2.5%"}, 4, 2.5, 900),
    ({"BUDGET": "90s"}, 4, 5, 90), ({"BUDGET": "15m"}, 4, 5, 900), ({"BUDGET": "1h"}, 4, 5, 3600),
    ({"BUDGET": "0"}, 4, 5, 0),
])
def test_so_many_rounds_or_as_many_as_a_precision_takes(settings: dict[str, str], rounds: int,
                                                        precision: float, budget: int) -> None:
    ours = load_plan("default", WIRE, (0, 1), settings)
    assert (ours.rounds, ours.precision_percent, ours.budget_seconds) == (rounds, precision, budget)
    assert from_json(json.loads(json.dumps(to_json(ours)))) == ours


def test_a_budget_alone_is_refused() -> None:
    with pytest.raises(UsageError, match="^BUDGET=1h: a budget ends the search for a precision, and there is none"):
        plan("quick", BUDGET="1h")


def test_a_budget_in_a_file_without_a_precision_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text("connections = [1]\nrounds = 3\nduration_seconds = 1\nwarmup_seconds = 0\nbudget_seconds = 60\n")
    with pytest.raises(UsageError, match="budget_seconds: a budget ends the search"):
        load_plan(str(file), load_wire("tap"), (0, 1), {})


def test_without_seed_and_rule_a_plan_is_written_as_ever() -> None:
    assert not {"seed", "precision_percent", "budget_seconds"} & set(to_json(plan("quick")))
    assert to_json(plan("quick", SEED="7"))["seed"] == 7


# contenders are named here, so that others on this wire change nothing
TWO = "epoll,lwip"
ORDER_OF_7 = [
    [(64, "lwip"), (64, "epoll"), (8, "epoll"), (8, "lwip"), (1, "epoll"), (1, "lwip")],
    [(1, "lwip"), (1, "epoll"), (8, "epoll"), (8, "lwip"), (64, "lwip"), (64, "epoll")]]


def order(plan_: Plan, round_: int) -> list[tuple[int, str]]:
    return [(spec.connections, spec.contender) for spec in round_specs(plan_, round_)]


@pytest.mark.parametrize("port", [False, True], ids=["side by side", "one port in turn"])
def test_a_round_has_every_trial_once_and_what_belongs_together_together(port: bool) -> None:
    dice = random.Random(5)
    base = replace(plan(CONNECTIONS="1,8,64", CONTENDERS=TWO), by_contender=port)
    for _ in range(200):
        shuffled, round_ = replace(base, seed=dice.randrange(1, 1 << 32)), dice.randrange(1000)
        found = order(shuffled, round_)
        assert sorted(found) == sorted(order(base, 0)) and found == order(shuffled, round_)
        together = [key for key, _ in groupby(found, key=lambda pair: pair[1 if port else 0])]
        assert len(together) == (2 if port else 3)


def test_a_seed_gives_the_same_order_for_ever() -> None:
    shuffled = plan(CONNECTIONS="1,8,64", CONTENDERS=TWO, ROUNDS="2", SEED="7")
    assert [order(shuffled, round_) for round_ in (0, 1)] == ORDER_OF_7
    assert schedule(shuffled) == [*round_specs(shuffled, 0), *round_specs(shuffled, 1)]


def test_a_seed_puts_each_contender_first_as_often() -> None:
    shuffled = plan(CONNECTIONS="1,8", CONTENDERS=TWO, SEED="3")
    first = sum(order(shuffled, round_)[0][1] == "epoll" for round_ in range(1000))
    assert 440 < first < 560
    assert sum(order(shuffled, round_)[0][0] == 1 for round_ in range(1000)) in range(440, 560)


def test_quick_ends_under_a_minute_and_a_half_for_two_contenders_and_under_five_for_what_two_cpus_can_have() -> None:
    quick = plan("quick", CONTENDERS="epoll,lwip")
    whole = without(plan("quick"), {"epoll-busypoll": Reason("no-busy-polling")})
    assert takes(whole) < 300 and takes(quick) < 90


def test_order_turns_round_from_round_to_round() -> None:
    order = [(t.round, t.connections, t.contender) for t in schedule(
        plan(CONNECTIONS="1,8", ROUNDS="3", CONTENDERS="epoll,lwip"))]
    a, b = "epoll", "lwip"
    assert order == [(0, 1, a), (0, 1, b), (0, 8, a), (0, 8, b),
                     (1, 1, b), (1, 1, a), (1, 8, b), (1, 8, a),
                     (2, 1, a), (2, 1, b), (2, 8, a), (2, 8, b)]


@pytest.mark.parametrize("connections, cpus, threads", [
    (1, 5, 1), (8, 5, 4), (4, 5, 4), (3, 3, 1), (7, 5, 1), (9, 5, 3)])
def test_threads_are_at_most_one_a_client_cpu_and_divide_the_connections(connections: int, cpus: int,
                                                                         threads: int) -> None:
    trial = schedule(plan(cpus=tuple(range(cpus)), CONNECTIONS=str(connections)))[0]
    assert trial.threads == threads
    assert connections % threads == 0


@pytest.mark.parametrize("cpus, given, client, server", [
    ((0, 1), {}, (0,), (1,)),
    ((2, 5, 7), {}, (2, 5), (7,)),
    ((3,), {}, (3,), (3,)),
    ((0, 1), {"SERVER_CPUS": "0"}, (1,), (0,)),
    ((0, 1), {"CLIENT_CPUS": "1"}, (1,), (0,)),
    ((0, 1, 2, 3), {"CLIENT_CPUS": "0-1,3"}, (0, 1, 3), (2,)),
    ((0, 1), {"CLIENT_CPUS": "0,1"}, (0, 1), (1,)),
])
def test_cpus_by_role(cpus: tuple[int, ...], given: dict[str, str], client: tuple[int, ...],
                      server: tuple[int, ...]) -> None:
    chosen = load_plan("quick", WIRE, cpus, given)
    assert (chosen.client_cpus, chosen.server_cpus) == (client, server)


@pytest.mark.parametrize("connections, clients, shared", [
    ("7", {"a": (0, 1), "b": (0, 1)}, [("a", 4, 2), ("b", 3, 1)]),
    ("3", {"a": (0, 1), "b": (5,), "c": (0,)}, [("a", 1, 1), ("b", 1, 1), ("c", 1, 1)]),
    ("64", {"a": (0, 1, 2, 3)}, [("a", 64, 4)])])
def test_clients_elsewhere_share_the_connections(connections: str, clients: dict[str, tuple[int, ...]],
                                                 shared: list[tuple[str, int, int]]) -> None:
    chosen = load_plan("quick", WIRE, (0, 1), {"CONNECTIONS": connections}, clients=clients)
    parts = shares(chosen, int(connections))
    assert [(part.machine, part.connections, part.threads) for part in parts] == shared
    assert all(part.connections % part.threads == 0 for part in parts)
    assert schedule(chosen)[0].threads == sum(part.threads for part in parts)
    assert from_json(json.loads(json.dumps(to_json(chosen)))) == chosen


def test_with_clients_elsewhere_every_cpu_here_may_serve() -> None:
    clients = {"a": (0, 1, 2), "b": (0, 1)}
    chosen = load_plan("quick", WIRE, (0, 1), {"SERVER_CPUS": "0,1", "CLIENT_CPUS": "1"}, clients=clients)
    assert (chosen.client_cpus, chosen.server_cpus) == ((), (0, 1))
    assert chosen.clients == {"a": (1,), "b": (1,)}
    assert load_plan("quick", WIRE, (0, 1), {}, clients=clients).server_cpus == (1,)
    with pytest.raises(UsageError, match="CLIENT_CPUS=2: b has no CPU 2; there are: 0, 1"):
        load_plan("quick", WIRE, (0, 1), {"CLIENT_CPUS": "2"}, clients=clients)
    with pytest.raises(UsageError, match="SERVER_CPUS=2: this machine has no CPU 2"):
        load_plan("quick", WIRE, (0, 1), {"SERVER_CPUS": "2"}, clients=clients)


def test_each_client_elsewhere_needs_a_connection() -> None:
    clients = {name: (0,) for name in "abc"}
    with pytest.raises(UsageError, match="CONNECTIONS=2,8: 2 cannot be shared among 3 clients: each needs one"):
        load_plan("quick", WIRE, (0, 1), {"CONNECTIONS": "2,8"}, clients=clients)
    alone = load_plan("default", WIRE, (0, 1), {}).connections
    assert load_plan("default", WIRE, (0, 1), {}, clients=clients).connections == tuple(n for n in alone if n >= 3)
    assert load_plan("quick", WIRE, (0, 1), {"CONNECTIONS": "30000"}, clients=clients).connections == (30000,)


def test_a_plan_without_clients_elsewhere_is_written_as_ever() -> None:
    assert "clients" not in to_json(load_plan("quick", WIRE, (0, 1), {}))


def test_overrides_win_and_empty_ones_do_not_count() -> None:
    chosen = plan(CONNECTIONS="4, 2", ROUNDS="7", DURATION="9", WARMUP="0", BODY_SIZE="3700",
                  CONTENDERS="lwip", PORT="8080", SERVER_MAX_CONNECTIONS="50", SERVER_CPUS="")
    assert chosen.connections == (4, 2)
    assert (chosen.rounds, chosen.duration_seconds, chosen.warmup_seconds) == (7, 9, 0)
    assert chosen.workload.body_size_bytes == 3700
    assert chosen.contenders == ("lwip",)
    assert (chosen.port, chosen.server_max_connections, chosen.server_cpus) == (8080, 50, (1,))


def test_server_has_room_for_two_sets_of_connections() -> None:
    assert plan(CONNECTIONS="10000").server_max_connections == 20000
    assert plan(CONNECTIONS="1").server_max_connections == 1024


@pytest.mark.parametrize("name, text, words", [
    ("CONNECTIONS", "0", "must be 1 to 33554432, not 0"),
    ("CONNECTIONS", "-1", "must be 1 to 33554432, not -1"),
    ("CONNECTIONS", "1000000000", "must be 1 to 33554432"),
    ("CONNECTIONS", "abc", "'abc' is not a whole number"),
    ("CONNECTIONS", "1,,2", "'' is not a whole number"),
    ("CONNECTIONS", "1-4", "not a whole number"),
    ("CONNECTIONS", "1_0", "not a whole number"),
    ("CONNECTIONS", "9" * 30, "not a whole number"),
    ("CONNECTIONS", "8,8", "duplicate value 8"),
    ("ROUNDS", "0", "must be 1 to 1000"),
    ("ROUNDS", "1e3", "not a whole number"),
    ("DURATION", "0", "must be 1 to 3600"),
    ("DURATION", "0.5", "not a whole number"),
    ("DURATION", "nan", "not a whole number"),
    ("WARMUP", "-1", "must be 0 to 600"),
    ("BODY_SIZE", "67108865", "must be 0 to 67108864"),
    ("BODY_SIZE", "65M", "must be 0 to 67108864"),
    ("BODY_SIZE", "K", "'' is not a whole number"),
    ("SEED", "-1", "must be 0 to 4294967295"),
    ("SEED", "4294967296", "must be 0 to 4294967295"),
    ("SEED", "x", "'x' is not a whole number"),
    ("PRECISION", "x", "'x' is not a number of percent"),
    ("PRECISION", "nan", "'nan' is not a number of percent"),
    ("PRECISION", "-3", "'-3' is not a number of percent"),
    ("PRECISION", "0.05", "must be 0 (none) or 0.1 to 50 percent, not 0.05"),
    ("PRECISION", "51", "must be 0 (none) or 0.1 to 50 percent, not 51"),
    ("BUDGET", "1d", "'1d' is not a whole number"),
    ("BUDGET", "h", "'' is not a whole number"),
    ("BUDGET", "-1", "must be 0 to 604800"),
    ("ROUNDS", "1K", "'1K' is not a whole number"),
    ("PORT", "0", "must be 1 to 65535"),
    ("PORT", "65536", "must be 1 to 65535"),
    ("SERVER_MAX_CONNECTIONS", "7", "more than server_max_connections (7)"),
    ("SERVER_MAX_CONNECTIONS", "33554433", "must be 1 to 33554432"),
    ("SERVER_CPUS", "2", "this machine has no CPU 2; there are: 0, 1"),
    ("CLIENT_CPUS", "0-1000000000", "not a range of CPUs"),
    ("CLIENT_CPUS", "1-0", "not a range of CPUs"),
    ("CLIENT_CPUS", "0,0", "duplicate value 0"),
    ("CONTENDERS", "nginx-of-mine", "has no contender 'nginx-of-mine'; there are: epoll, epoll-busypoll, "),
    ("CONTENDERS", "epoll,epoll", "duplicate value epoll"),
    ("CONTENDERS", "epoll,", "at least one"),
    ("COLOUR", "red", "unknown setting 'COLOUR'"),
])
def test_silly_settings_are_refused_in_one_line_that_names_them(name: str, text: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_plan("quick", WIRE, (0, 1), {name: text})
    message = str(caught.value)
    assert words in message and "\n" not in message
    assert name in message or "max_connections" in message


@pytest.mark.parametrize("line, words", [
    ("colour = 1", "unknown key 'colour'"),
    ("connections = []", "at least one"),
    ("connections = 8", "must be a list"),
    ("connections = [0]", "must be 1 to 33554432, not 0"),
    ("connections = [1, 1]", "duplicate value 1"),
    ("connections = [true]", "must be a list of whole numbers, not [True]"),
    ("connections = [1.5]", "must be a list of whole numbers, not [1.5]"),
    ('rounds = "3"', "must be a whole number, not '3'"),
    ("duration_seconds = 0.2", "must be a whole number, not 0.2"),
    ('workload = "telnet"', "wire 'tap' has no workload 'telnet'; there are: rps"),
    ('workload = "redis-set"', "wire 'tap' has no workload 'redis-set'; there are: rps"),
    ("workload = []", "must be text"),
    ("contenders = []", "at least one"),
    ('contenders = "epoll"', "must be a list"),
    ("contenders = [1]", "must be a list of text"),
    ("rounds =", "not TOML"),
])
def test_silly_plan_files_are_refused_with_their_name(tmp_path: Path, line: str, words: str) -> None:
    key = line.split(" ")[0]
    kept = [other for other in GOOD.splitlines() if not other.startswith(key)]
    file = tmp_path / "mine.toml"
    file.write_text("\n".join([*kept, line]))
    with pytest.raises(UsageError) as caught:
        plan(str(file))
    assert words in str(caught.value) and "mine.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["connections", "rounds", "duration_seconds", "warmup_seconds"])
def test_a_plan_without_a_needed_key_says_which(tmp_path: Path, key: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("\n".join(line for line in GOOD.splitlines() if not line.startswith(key)))
    with pytest.raises(UsageError, match=f"'{key}' is missing"):
        plan(str(file))


def test_an_own_plan_is_named_after_its_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(GOOD)
    assert plan(str(file)).name == "mine"


def test_an_unknown_plan_names_those_there_are() -> None:
    with pytest.raises(UsageError, match="no plan 'fast'; there are: default, full, gate, latency, quick"):
        plan("fast")


@pytest.mark.parametrize("change", [
    {"schema": 3}, {"rounds": 0}, {"connections": []}, {"connections": [1, "2"]}, {"workload": None},
    {"name": 3}, {"contenders": []}, {"port": 10**9}, {"surplus": 1}, {"workload": {"name": "rps"}},
    {"connections": 5}, {"seed": -1}, {"seed": "x"}, {"precision_percent": "3"}, {"precision_percent": 51},
    {"precision_percent": float("nan")}, {"budget_seconds": -1},
])
def test_a_foreign_plan_json_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        from_json({**to_json(plan()), **change})


@pytest.mark.parametrize("data", [None, [], "plan", {}, {"schema": 1}])
def test_what_is_no_plan_at_all_is_refused(data: Any) -> None:
    with pytest.raises(UsageError, match="not a plan of schema"):
        from_json(data)


def test_without_contenders_a_plan_is_for_all_of_the_wire(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(GOOD.replace('contenders = ["epoll"]\n', ""))
    assert {*plan(str(file)).contenders} == {*ALL}
    assert load_plan("quick", load_wire("redis"), (0, 1), {}).contenders == (
        "redis/kernel", "redis/spin", "redis/lwip")


@pytest.mark.parametrize("wire, settings, name, size", [
    ("tap", {}, "rps", 1), ("nginx", {}, "nginx-get", 1), ("redis", {}, "redis-set", 3),
    ("redis", {"WORKLOAD": "redis-get", "BODY_SIZE": "1K"}, "redis-get", 1024)])
def test_the_wire_knows_its_usual_workload(wire: str, settings: dict[str, str], name: str, size: int) -> None:
    loaded = load_plan("quick", load_wire(wire), (0, 1), settings)
    assert (loaded.workload.name, loaded.workload.body_size_bytes) == (name, size)
    assert from_json(json.loads(json.dumps(to_json(loaded)))) == loaded


def test_redis_is_also_measured_where_others_publish(tmp_path: Path) -> None:
    wire, file = load_wire("redis"), tmp_path / "mine.toml"
    file.write_text(GOOD.replace('"epoll"', '"redis/lwip"'))
    assert load_plan("default", wire, (0, 1), {}).connections == (1, 8, 50, 64, 128)
    assert load_plan("default", wire, (0, 1), {"CONNECTIONS": "1,128"}).connections == (1, 128)
    assert load_plan(str(file), wire, (0, 1), {}).connections == (1,)
    assert load_plan("default", load_wire("nginx"), (0, 1), {}).connections == plan("default").connections


def test_redis_benchmark_has_no_value_of_no_bytes() -> None:
    with pytest.raises(UsageError, match="BODY_SIZE=0: redis-benchmark sends values of 1 byte"):
        load_plan("quick", load_wire("redis"), (0, 1), {"BODY_SIZE": "0"})


@pytest.mark.parametrize("text, axes, points", [
    ("cores=1,2,4", ["cores"], [LoadPoint(64, 0, cores, 1) for cores in (1, 2, 4)]),
    ("body=1,3700,64K", ["body"], [LoadPoint(64, 0, 1, size) for size in (1, 3700, 65536)]),
    ("loss=0,0.1,1", ["loss"], [LoadPoint(64, 0, 1, 1, words) for words in ("", "loss 0.1%", "loss 1%")]),
    ("delay=0,5 body=1,2", ["body", "delay"],
     [LoadPoint(64, 0, 1, size, words) for size in (1, 2) for words in ("", "delay 5ms")]),
    ("connections=1,8", ["connections"], [LoadPoint(1), LoadPoint(8)])])
def test_a_plan_sweeps_one_or_two_axes(text: str, axes: list[str], points: list[LoadPoint]) -> None:
    swept = load_plan("quick", WIRE, tuple(range(5)), {"SWEEP": text, "CONTENDERS": "epoll-mt"})
    assert [axis.word for axis in swept.sweep] == axes and list(swept.load_points) == points
    assert from_json(json.loads(json.dumps(to_json(swept)))) == swept
    for point in points:
        assert swept.at(point).load_points == (point,)


def test_an_axis_says_where_a_load_point_lies() -> None:
    swept = plan(SWEEP="loss=0,0.5", CONNECTIONS="1,8", NETEM="delay 5ms")
    assert [axis.word for axis in swept.sweep] == ["connections", "loss"]
    assert [swept.sweep[1].value(point) for point in swept.load_points] == [0, 0.5, 0, 0.5]
    assert {point.impairment for point in swept.load_points} == {"delay 5ms", "delay 5ms loss 0.5%"}


@pytest.mark.parametrize("settings, words", [
    ({"SWEEP": "cores=1,9"}, "9 cores, and the server has CPU"), ({"SWEEP": "colour=1"}, "must be AXIS=N"),
    ({"SWEEP": "body=1,1"}, "duplicate"), ({"SWEEP": "loss=30"}, "must be 0 to 20"),
    ({"SWEEP": "body=x"}, "not a whole number"),
    ({"SWEEP": "body=1,2 loss=0,1", "CONNECTIONS": "1,2"}, "3 axes vary"),
    ({"SWEEP": "connections=1,2", "CONNECTIONS": "1"}, "not both")])
def test_a_sweep_that_makes_no_sense_is_refused(settings: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        load_plan("quick", WIRE, (0, 1, 2), settings)


def limited(tmp_path: Path, **settings: str) -> Plan:
    """A plan with `bound`, a limit of the kind of epoll, which is named first."""
    file = tmp_path / "bound.toml"
    file.write_text('like = "epoll"\nlimit = true\nmost_body_size = 8\n')
    names = [str(file), *settings.pop("CONTENDERS", "epoll,lwip").split(",")]
    return load_plan("quick", with_contenders(WIRE, names), (0, 1),
                     {"CONTENDERS": ",".join(filter(None, names)), **settings})


def test_a_limit_is_measured_and_never_a_baseline(tmp_path: Path) -> None:
    plan = limited(tmp_path)
    assert plan.contenders == ("epoll", "lwip", "bound")
    assert plan.limits == ("bound",) and plan.compared == ("epoll", "lwip")
    assert {spec.contender for spec in schedule(plan)} == {"epoll", "lwip", "bound"}
    assert from_json(json.loads(json.dumps(to_json(plan)))) == plan
    with pytest.raises(UsageError, match="bound is a limit and no contender"):
        limited(tmp_path, CONTENDERS="")


def test_a_limit_has_none_beyond_its_largest_body(tmp_path: Path) -> None:
    assert limited(tmp_path, BODY_SIZE="8").not_applicable == {}
    assert limited(tmp_path, SWEEP="body=1,9").not_applicable == {
        "bound": Reason("larger-body", {"body_size_bytes": 8})}
