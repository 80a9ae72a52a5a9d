# SPDX-License-Identifier: BSD-3-Clause
"""The open-loop client as a load tool: its command line, its account, its trials, and whole runs on a fake host."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, cast

import pytest

from harness.plan import UNKNOWN, Reason, load_wire, settled
from harness.plan import (
    from_json, load_plan, LoadPoint, schedule, to_json, TrialSpec,
    WORKLOADS)
from harness.store import LatencyMeaning, Note, OpenLoop, Problem, Reconcile, TrialRecord
from harness.cli.bench import bench
from harness.run import Loads, RunRequest
from harness.run import open_loop as offered
from harness.errors import ContenderError, Interrupted, MachineError, UsageError
from harness.trial.observe.cpu import ProcStat
from harness.trial.load.base import Load, choose_tool
from harness.trial.load.openload import PROGRAM, TOOL as OPENLOAD
from harness.trial.load.loadgen import TOOL as LOADGEN
from harness.provision.provision import Provisioned
from harness.store.store import load_run
from harness.tests.fixtures.serving_host import ServingHost, at_load, given, interrupt, only_run
from harness.tests.trial.test_trial import Journal
from harness.trial.trial import run_trial
from harness.tests.fixtures.wires import bare_wire

LOAD = Load("198.18.0.2", 80, WORKLOADS["rps"], 64, 2, 3, rate=12_000, seed=5)
ACCOUNT: dict[str, Any] = {
    "arrivals": "poisson", "requests": 90, "bytes": 3510, "duration_seconds": 3.0, "total_requests": 160,
    "intended": 100, "measured": 92, "unsent": 8, "unsent_oldest_us": 12.5, "waited": 4, "reconnects": 3,
    "backlog_middle": 1, "backlog_end": 8, "backlog_longest": 9, "busy_share": 0.25, "client_bound": True,
    "send_lag_us": [[0.5, 90], [1234.5, 2]],
    "errors": {"connect": 0, "reset": 1, "timeout": 0, "content": 0, "status": 0},
    "latency_us": [[20.5, 90], [3000.4, 2]],
    "proc_stat": {"before": "cpu0 1", "after": "cpu0 2"}}


def test_how_it_is_called() -> None:
    words = OPENLOAD.command(LOAD, Path("/x/load.json"), [])
    assert " ".join(words) == (
        f"{PROGRAM} --address 198.18.0.2 --port 80 --connections 64 --threads 2 --rate 12000 --arrivals poisson "
        "--seed 5 --warmup 0 --duration 3 --path / --body-size 1 --output /x/load.json")
    under = OPENLOAD.command(LOAD, Path("/x/load.json"), ["on-lwip", "--"])
    assert under[:2] == ["on-lwip", "--"] and given(under, "--spin") == "1000000"


def test_its_account_is_read_whole() -> None:
    result = OPENLOAD.parse(json.dumps(ACCOUNT))
    assert (result.requests, result.answered, result.requests_per_sec) == (90, 160, 30.0)
    assert result.latency_us == ((20.5, 90), (3000.4, 2)) and result.errors["reset"] == 1
    assert result.open_loop == OpenLoop(
        arrivals="poisson", intended=100, measured=92, unsent=8, client_bound=True,
        unsent_oldest_us=12.5, waited=4, reconnects=3, backlog_middle=1, backlog_end=8, backlog_longest=9,
        send_lag_us=((0.5, 90), (1230, 2)), busy_share=0.25)


@pytest.mark.parametrize("text", ["", "[]", "{}", *(json.dumps(ACCOUNT | {key: value}) for key, value in (
    ("requests", -1), ("unsent", True), ("latency_us", [[1]]), ("latency_us", [[-1, 2]]), ("proc_stat", {}),
    ("errors", {}), ("busy_share", "x"), ("duration_seconds", 0)))])
def test_what_is_no_account_is_said_so(text: str) -> None:
    with pytest.raises(ContenderError, match="openload wrote no usable report"):
        OPENLOAD.parse(text)


def test_loadgens_open_loop() -> None:
    assert " ".join(LOADGEN.words(LOAD, 1, ["loadgen", "--"])).startswith(
        "loadgen -- --mode open --rate 12000 --connections 64")
    account = {"duration_seconds": 2.5, "requests": 29_000, "unsent": 7, "busy_share": 0.5,
               "client_bound": True, "bytes": 1, "errors": dict.fromkeys(ACCOUNT["errors"], 0),
               "latency_us": [[1, 2]], "connect_seconds": 0.5, "total_requests": 30_000, "in_flight": 0,
               "total_connects": 64, "connects_per_sec": 0.0}
    result, _ = LOADGEN.account(json.dumps(account), LOAD, ProcStat("", ""))
    assert result.open_loop == OpenLoop("constant", 30_000, 29_000, 7, True, busy_share=0.5)
    with pytest.raises(ContenderError, match="KeyError"):
        LOADGEN.account(json.dumps({"requests": 1}), LOAD, ProcStat("", ""))


def test_which_tool_makes_an_open_loop() -> None:
    assert choose_tool(WORKLOADS["rps"], open_loop=True) is OPENLOAD
    assert choose_tool(WORKLOADS["rps"], open_loop=True, sockets=False) is LOADGEN
    assert choose_tool(WORKLOADS["rps"], sockets=False) is LOADGEN
    assert LOADGEN.latency(True) is OPENLOAD.latency(True) is LatencyMeaning.FROM_SCHEDULE
    assert LOADGEN.latency(False) is LatencyMeaning.FROM_SENDING


TWO = {"CONTENDERS": "epoll,lwip"}


def trial(host: ServingHost, raw: Path, rate: int) -> TrialRecord:
    wire = bare_wire("tap")
    plan = replace(load_plan("quick", wire, (0, 1), {"DURATION": "2"}), offered=(rate,))
    up = Provisioned(wire, True, "", cast(Any, Journal(host)))
    return run_trial(host, wire, plan, TrialSpec("epoll", LoadPoint(8, rate), 2, 1), 1, up, raw).record


def one_error(kind: str) -> Callable[[dict[str, Any]], None]:
    def change(account: dict[str, Any]) -> None:
        account["errors"][kind] = 1
    return change


def test_a_trial_has_its_rate_and_what_became_of_it(tmp_path: Path) -> None:
    host = ServingHost()
    record = trial(host, tmp_path, 600)
    assert record.valid, record.problems
    assert (record.point.offered_per_sec, record.requests_per_sec, record.client_bound) == (600, 600.0, False)
    assert record.open_loop and (record.open_loop.intended, record.open_loop.unsent) == (1200, 0)
    # two proofs, and of warm-up and load all that was asked, the first request of each connection too
    assert record.reconcile == Reconcile(2 + 608 + 1208, 1818, 1818, 0)
    loads = [call for call in host.calls if "openload" in call and call.startswith("spawn")]
    assert len(loads) == 2 and all("--rate 600" in call and "--seed 3" in call for call in loads)


def test_an_answer_too_few_is_an_invalid_trial(tmp_path: Path) -> None:
    host = ServingHost()
    host.report = lambda account: account.update(total_requests=account["total_requests"] + 1)
    assert trial(host, tmp_path, 600).problems[0] == Note(
        Problem.COUNTS_DIFFER, {"sent": 1820, "counter": "parsed", "count": 1818, "limit": 0})
    wrong = ServingHost()
    wrong.report = one_error("content")
    assert trial(wrong, tmp_path / "2", 600).problems == tuple(
        Note(Problem.LOAD_ERRORS, {"phase": phase, "kind": "content", "count": 1})
        for phase in ("warm-up", "load"))


# --- rates --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rates, loads, expected", [
    ("", "", Loads()), ("20000, 10000", "", Loads(rates=(10_000, 20_000))), ("", "50", Loads(percents=(50,))),
    ("", "10-40,95", Loads(percents=(10, 20, 30, 40, 95)))])
def test_what_is_asked_for(rates: str, loads: str, expected: Loads) -> None:
    assert offered.parse_loads(rates, loads) == expected


@pytest.mark.parametrize("rates, loads, words", [
    ("1", "2", "give one of them"), ("0", "", "RATES=0: '0' is not a whole number from 1"),
    ("10-20", "", "'10-20' is not a whole number"), ("x", "", "'x' is not"), ("", "50%", "'50%' is not"),
    ("", "40-10", "nor a range of them"), ("", "301", "from 1 to 300"), ("1,,2", "", "'' is not")])
def test_what_makes_no_sense_is_refused(rates: str, loads: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        offered.parse_loads(rates, loads)


@pytest.mark.parametrize("settings, words", [
    ({"CONNECTIONS": "8,64"}, "CONNECTIONS=8,64: .*at one number of connections"),
    ({"WORKLOAD": "cps", "CONNECTIONS": "8"}, "WORKLOAD=cps: the open loop asks every connection")])
def test_a_plan_that_is_none_of_an_open_loop(settings: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        offered.open_plan(load_plan("latency", bare_wire("tap"), (0, 1), settings), Loads())


def test_rates_are_the_same_for_all_and_denser_near_each_knee() -> None:
    plan = offered.open_plan(load_plan("latency", bare_wire("tap"), (0, 1), TWO), Loads(percents=(10, 50, 90, 100, 110)))
    assert plan.offered == UNKNOWN and plan.loads == (10, 50, 90, 100, 110)
    assert from_json(json.loads(json.dumps(to_json(plan)))) == plan
    plan = settled(plan, {"epoll": 100_000.0, "lwip": 43_210.0})
    assert plan.offered == (4320, 10_000, 21_600, 38_900, 43_200, 47_500, 50_000, 90_000, 100_000, 110_000)
    assert plan.most_offered == {"lwip": 47_500}, "110 % of what it can do is the first that is too much"
    specs = schedule(plan)
    assert [(spec.contender, spec.offered) for spec in specs[:4]] == [
        ("epoll", 4320), ("lwip", 4320), ("epoll", 10_000), ("lwip", 10_000)]
    assert {spec.offered for spec in specs if spec.contender == "lwip"} == {
        4320, 10_000, 21_600, 38_900, 43_200, 47_500}
    assert from_json(json.loads(json.dumps(to_json(plan)))) == plan


def test_a_limit_has_no_rates() -> None:
    wire = load_wire("tap")
    wire = replace(wire, contenders={**wire.contenders, "uring": replace(
        wire.contenders["uring"], limit=True)})
    plan = offered.open_plan(load_plan("latency", wire, (0, 1), {**TWO, "CONTENDERS": "uring,epoll,lwip"}), Loads())
    assert plan.applicable == ("epoll", "lwip")
    assert plan.not_applicable == {"uring": Reason("closed-loop-only")}


def test_rates_that_are_near_are_one() -> None:
    plan = offered.open_plan(load_plan("latency", bare_wire("tap"), (0, 1), TWO), Loads())
    rates = settled(plan, {"epoll": 100_000.0, "lwip": 99_000.0}).offered
    assert rates == tuple(percent * 1000 for percent in offered.PERCENTS)
    assert settled(plan, {"epoll": 3.0}).offered[0] == 1


@pytest.mark.parametrize("change, words", [
    ({"offered": [5, 5]}, "offered: duplicate value"), ({"offered": [-1]}, "offered: must be 1 to"),
    ({"connections": [1, 2]}, "has one number of connections"),
    ({"most_offered": {"lwip": "x"}}, "must be a whole number")])
def test_a_plan_file_that_is_wrong(change: dict[str, Any], words: str) -> None:
    plan = replace(load_plan("latency", bare_wire("tap"), (0, 1), TWO), offered=(5,))
    with pytest.raises(UsageError, match=words):
        from_json({**json.loads(json.dumps(to_json(plan))), **change})


def test_a_plan_of_a_closed_loop_says_nothing_of_rates() -> None:
    assert not {"offered", "most_offered"} & to_json(load_plan("quick", bare_wire("tap"), (0, 1), {})).keys()


# --- whole runs ---------------------------------------------------------------------------------------------


ORDER = RunRequest("tap", "latency", {**TWO, "CONNECTIONS": "8", "ROUNDS": "2", "DURATION": "2"}, loads=Loads(percents=(50, 120)))


def test_saturation_is_found_and_then_the_rates_are_measured(tmp_path: Path, shown: list[Path]) -> None:
    host = ServingHost()
    bench(ORDER, host, tmp_path, tmp_path / "out")
    run = only_run(tmp_path)
    assert run.id.endswith("-tap-latency") and shown == [run.path]
    assert run.facts.raw["saturation"] == {name: {"requests_per_sec": 1000.0, "trials": [1000.0] * 3, "client_bound": False}
                                       for name in ("epoll", "lwip")}
    assert run.plan.offered == (500, 1200) and run.facts.raw["load_tool"]["name"] == "openload"
    assert [(each.contender, each.point.offered_per_sec, each.round) for each in run.trials] == [
        ("epoll", 500, 0), ("lwip", 500, 0), ("epoll", 1200, 0), ("lwip", 1200, 0),
        ("lwip", 500, 1), ("epoll", 500, 1), ("lwip", 1200, 1), ("epoll", 1200, 1)]
    assert (run.path / "raw" / "saturation" / "0-0").is_dir() and (run.path / "raw" / "0000-epoll-c8-o500-r0").is_dir()
    assert not list((tmp_path / "runs").glob(".*"))
    assert load_run(run.path).plan == run.plan
    assert (run.planned.offered, run.planned.loads) == (UNKNOWN, (50, 120)), "the file is as planned"


def test_given_rates_need_no_saturation(tmp_path: Path, shown: list[Path]) -> None:
    host = ServingHost()
    bench(replace(ORDER, loads=Loads(rates=(700,))), host, tmp_path, tmp_path / "out")
    run = only_run(tmp_path)
    assert run.facts.raw["binaries"]["programs"].keys() >= {"build/openload", "build/epoll_server"}
    assert not run.facts.saturation and run.plan.offered == (700,) and len(run.trials) == 4
    assert not any("--rate 0" in call for call in host.calls)


def test_without_the_client_nothing_is_begun(tmp_path: Path) -> None:
    host = ServingHost()
    host.missing.add("openload")
    with pytest.raises(MachineError, match="missing: build/openload \\(run `make`\\)"):
        bench(ORDER, host, tmp_path, tmp_path / "out")


def test_an_interrupted_run_goes_on_with_its_rates(tmp_path: Path, shown: list[Path]) -> None:
    host = ServingHost()
    # six closed loops of two loads, three trials, and one more
    host.on_load = at_load(12 + 6 + 1, interrupt)
    with pytest.raises(Interrupted, match="3 of 8 trials are kept"):
        bench(ORDER, host, tmp_path, tmp_path / "out")
    again = ServingHost()
    bench(replace(ORDER, plan="", settings={}, resume=only_run(tmp_path).id), again, tmp_path, tmp_path / "out")
    assert len(only_run(tmp_path).trials) == 8 and not any("--rate 0" in call for call in again.calls)


def test_an_invalid_closed_loop_is_an_error_that_says_so(tmp_path: Path, shown: list[Path]) -> None:
    host = ServingHost()
    host.report = one_error("reset")
    with pytest.raises(ContenderError, match="how much epoll can do is not known: 1 reset errors in the warm-up"):
        bench(ORDER, host, tmp_path, tmp_path / "out")


def test_a_rehearsal_says_that_rates_are_yet_to_be_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bench(replace(ORDER, dry_run=True), ServingHost(), tmp_path, tmp_path / "out")
    assert "8 connections and each rate, which depend on what the contenders can do" in capsys.readouterr().out
    bench(replace(ORDER, dry_run=True, loads=Loads(rates=(5, 7))), ServingHost(), tmp_path, tmp_path / "out")
    assert "8 connections and 5, 7 requests/s" in capsys.readouterr().out
