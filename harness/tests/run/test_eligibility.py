# SPDX-License-Identifier: BSD-3-Clause
"""Which contenders a plan sets aside, why, and that the run, its report and its resumption keep to that."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness.report import headline
from harness.analyse.summary import summarise
from harness.run.eligibility import by_plan, checked, set_aside
from harness.run.run import Order, bench
from harness.errors import ContenderError, Interrupted, MachineError, UsageError
from harness.plan import from_json, load_plan, Plan, schedule, to_json
from harness.tests.fixtures.serving_host import ServingHost, at_load, interrupt, only_run
from harness.tests.analyse.test_summary import made as made_up
from harness.plan import load_wire
from harness.plan import Wire

TINY = {"CONNECTIONS": "8", "ROUNDS": "1"}
NO_NAPI = "the driver of server0 gives no NAPI id"
ONE_CORE = {"epoll-mt": "one server core: the same as epoll", "nginx-mt": "one server core: the same as nginx"}


def made(wire: str = "tap", **settings: str) -> tuple[Wire, Plan]:
    found = load_wire(wire)
    return found, load_plan("quick", found, (0, 1, 2), settings)


def test_with_one_core_what_would_be_the_same_is_set_aside() -> None:
    assert by_plan(*made()) == by_plan(*made("nic")) == ONE_CORE
    assert by_plan(*made(CONTENDERS="lwip,epoll")) == {}


def test_with_several_cores_only_those_that_use_them_stay() -> None:
    two = {"SERVER_CPUS": "1,2", "CLIENT_CPUS": "0"}
    one = dict.fromkeys(("epoll", "epoll-busypoll", "uring", "nginx"), "uses one core of the 2")
    assert by_plan(*made(**two)) == {**one, "lwip": "uses one core of the 2"}
    assert by_plan(*made("nic", **two)) == one


@pytest.mark.parametrize("settings, why", [
    ({"WORKLOAD": "cps"}, "answers workload rps only"), ({"BODY_SIZE": "2"}, "answers with a body of 1 only, in bytes"),
    ({}, "")])
def test_the_yardstick_answers_one_thing(settings: dict[str, str], why: str) -> None:
    assert by_plan(*made("veth", CONTENDERS="epoll,minimal", **settings)) == ({"minimal": why} if why else {})


def test_who_is_set_aside_stands_last_and_has_no_trial() -> None:
    plan = made(SERVER_CPUS="1,2", CLIENT_CPUS="0", CONTENDERS="epoll,lwip,epoll-mt")[1]
    aside = set_aside(plan, {"epoll": "a", "lwip": "b"})
    assert aside.contenders == ("epoll-mt", "epoll", "lwip") and aside.not_applicable == {"epoll": "a", "lwip": "b"}
    assert {spec.contender for spec in schedule(aside)} == {"epoll-mt"} and checked(aside) is aside
    assert set_aside(plan, {}) is plan
    with pytest.raises(MachineError, match="^no contender is applicable: epoll is not applicable: a; lwip is "):
        checked(set_aside(made(CONTENDERS="epoll,lwip")[1], {"epoll": "a", "lwip": "b"}))


def test_a_plan_s_file_says_it_only_where_it_is_so() -> None:
    plan = made()[1]
    assert "not_applicable" not in to_json(plan)
    data = json.loads(json.dumps(to_json(set_aside(plan, ONE_CORE))))
    assert from_json(data).not_applicable == ONE_CORE
    for wrong in ({"nobody": "x"}, {"epoll-mt": ""}, {"epoll-mt": 3}, ["epoll-mt"]):
        with pytest.raises(UsageError, match="not_applicable of a plan"):
            from_json({**data, "not_applicable": wrong})


@pytest.mark.parametrize("napi, aside", [(0, {"epoll-busypoll": NO_NAPI, **ONE_CORE}), (1, ONE_CORE)])
def test_a_real_connection_tells_whether_there_are_napi_ids(tmp_path: Path, shown: list[Path], napi: int,
                                                            aside: dict[str, str]) -> None:
    host = ServingHost()
    host.napi = napi
    before = host.state()
    bench(Order("tap", "quick", TINY), host, tmp_path, tmp_path / "out")
    run = only_run(tmp_path)
    assert run.plan.not_applicable == aside and run.plan.contenders[0] == "epoll"
    assert {trial["contender"] for trial in run.old_trials} == {*run.plan.contenders} - {*aside}
    assert all(trial["valid"] for trial in run.old_trials), [trial["problems"] for trial in run.old_trials]
    probes = [call for call in host.calls if call.startswith("spawn") and "--busy-poll" in call]
    assert len(probes) == 1 + napi and host.state() == before
    # the trial of nginx is checked against its own count
    counts = next(trial["reconcile"] for trial in run.old_trials if trial["contender"] == "nginx")
    assert counts["parsed"] is None and counts["answered"] == counts["sent"] > 0


@pytest.mark.parametrize("napi, said", [("none", "did not count its connections with a NAPI id")])
def test_a_server_that_cannot_tell_fails_the_run(tmp_path: Path, napi: object, said: str) -> None:
    host = ServingHost()
    host.napi = napi
    before = host.state()
    with pytest.raises(ContenderError, match=f"'epoll-busypoll' {said}"):
        bench(Order("tap", "quick", TINY), host, tmp_path, tmp_path / "out")
    assert host.state() == before and not list((tmp_path / "runs").iterdir())


def test_no_contender_left_is_one_line_and_nothing_is_touched(tmp_path: Path) -> None:
    host = ServingHost()
    host.cpu_list = [0, 1, 2]
    settings = {**TINY, "CONTENDERS": "epoll,lwip", "SERVER_CPUS": "1,2", "CLIENT_CPUS": "0"}
    with pytest.raises(MachineError, match="^no contender is applicable: epoll is not applicable: uses one core of "):
        bench(Order("tap", "quick", settings), host, tmp_path, tmp_path / "out")
    assert host.calls == []


def test_what_is_not_chosen_need_not_be_there(tmp_path: Path, shown: list[Path]) -> None:
    host = ServingHost()
    host.missing = {"uring_server", "nginx"}
    bench(Order("tap", "quick", {**TINY, "CONTENDERS": "epoll,epoll-mt,lwip"}), host, tmp_path, tmp_path / "out")
    assert [trial["contender"] for trial in only_run(tmp_path).old_trials] == ["epoll", "lwip"]
    lacking = r"missing: nginx \(package nginx-light, .*\), build/uring_server \(run `make`\)$"
    with pytest.raises(MachineError, match=lacking):
        bench(Order("tap", "quick", TINY), host, tmp_path / "other", tmp_path / "out")


def test_a_run_that_goes_on_keeps_what_was_decided(tmp_path: Path, shown: list[Path]) -> None:
    host = ServingHost()
    host.on_load = at_load(3, interrupt)
    with pytest.raises(Interrupted):
        bench(Order("tap", "quick", TINY), host, tmp_path, tmp_path / "out")
    run = only_run(tmp_path)
    again = ServingHost()
    again.napi = 1
    bench(Order("tap", "quick", TINY, resume=run.id), again, tmp_path, tmp_path / "out")
    whole = only_run(tmp_path)
    assert whole.plan == run.plan and "epoll-busypoll" in whole.plan.not_applicable
    assert not any("--busy-poll" in call for call in again.calls)
    assert [trial["contender"] for trial in whole.old_trials] == [
        spec.contender for spec in schedule(whole.plan)]
    assert len(whole.old_trials) == 4


def test_a_rehearsal_says_what_can_be_told_without_the_machine(tmp_path: Path,
                                                               capsys: pytest.CaptureFixture[str]) -> None:
    bench(Order("tap", "quick", TINY, dry_run=True), ServingHost(), tmp_path, tmp_path / "out")
    said = capsys.readouterr().out
    assert "# epoll-mt is not applicable: one server core: the same as epoll\n" in said
    assert "5 trials of epoll, epoll-busypoll, uring, nginx, lwip at 8" in said


def test_the_summary_says_why_there_is_nothing() -> None:
    plan, facts, trials = made_up(contenders=("epoll", "lwip", "uring"))
    why = "one server core: the same as epoll"
    aside = set_aside(plan, {"uring": why})
    kept = [trial for trial in trials if trial["contender"] != "uring"]
    found = summarise(aside, facts, kept)
    assert {point["contenders"]["uring"]["not_measured"] for point in found["points"]} == {f"(not applicable: {why})"}
    assert {point["limit"]["uring"]["evidence"] for point in found["points"]} == {
        f"Not measured (not applicable: {why})."}
    assert not any("incomplete" in caveat for caveat in found["caveats"])
    assert f"Not applicable here, so not measured: kernel TCP (io_uring) ({why})." in found["caveats"]
    assert [each.sentence.partition(":")[0] for each in headline.headline(found)] == [
        "lwIP on DPDK (net_tap) against kernel TCP (epoll)"]
    assert found["points"][0]["contenders"]["lwip"] == summarise(
        replace(plan, contenders=("epoll", "lwip")), facts, kept)["points"][0]["contenders"]["lwip"]
