# SPDX-License-Identifier: BSD-3-Clause
"""Which contenders a plan sets aside, why, and that the run, its report and its resumption keep to that."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from harness.analyse import summarise
from harness.run.request import checked, not_applicable, planned
from harness.report.templates import note_text as words
from harness.provision import ROOT, Provisioned
from harness.run.eligibility import without_far_clients
from harness.tests.fixtures.fake_host import FakeHost
from harness.cli.bench import bench
from harness.run import RunRequest, code_text
from harness.errors import ContenderError, Interrupted, MachineError, UsageError
from harness.plan import from_json, load_plan, Plan, Reason, schedule, to_json, without
from harness.tests.fixtures.serving_host import ServingHost, at_load, interrupt, only_run
from harness.store import load_run
from harness.store.codes import Caveat, Evidence, Note, NotMeasured
from harness.tests.fixtures import runs
from harness.plan import load_wire
from harness.plan import Wire

TINY = {"CONNECTIONS": "8", "ROUNDS": "1"}
NO_NAPI = Reason("no-busy-polling", {"interface": "server0"})
ONE_CORE = {"epoll-mt": Reason("same-as-on-one-core", {"as": "epoll"}),
            "nginx-mt": Reason("same-as-on-one-core", {"as": "nginx"})}
NOT_ALL = Reason("does-not-use-all-cores", {"cores": 2})
A, B = Reason("other", {"text": "a"}), Reason("other", {"text": "b"})


def made(wire: str = "tap", **settings: str) -> tuple[Wire, Plan]:
    found = load_wire(wire)
    return found, load_plan("quick", found, (0, 1, 2), settings)


def test_with_one_core_what_would_be_the_same_is_set_aside() -> None:
    assert made()[1].not_applicable == made("nic")[1].not_applicable == ONE_CORE
    assert made(CONTENDERS="lwip,epoll")[1].not_applicable == {}


@pytest.mark.parametrize("given, why", [({"CONTENDERS": "epoll,uring"}, {"uring"}), ({"CONTENDERS": "epoll,lwip"}, set())])
def test_where_io_uring_is_forbidden_its_server_is_set_aside(given: dict[str, str], why: set[str]) -> None:
    host = FakeHost()
    host.no_io_uring = "forbidden"
    _, plan = planned(RunRequest("tap", "quick", {**TINY, **given}), host)
    assert set(plan.not_applicable) == why
    assert not_applicable(plan, words) == [f"{name}: not applicable: io_uring is not to be had here: forbidden"
                                           for name in why]
    with pytest.raises(MachineError, match="no contender is left: uring: .*forbidden"):
        planned(RunRequest("tap", "quick", {**TINY, "CONTENDERS": "uring"}), host)


def test_a_program_that_may_not_have_io_uring_is_told_why() -> None:
    """The answer is that of the kernel: it forbids io_uring where the limit of open files is used up."""
    script = ("import resource; from harness.host import LocalHost; print(repr(LocalHost().io_uring_refusal()));"
              "resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3)); print(LocalHost().io_uring_refusal())")
    asked = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert asked.stdout.splitlines() == ["''", "Too many open files"], asked.stderr


def test_with_several_cores_only_those_that_use_them_stay() -> None:
    two = {"SERVER_CPUS": "1,2", "CLIENT_CPUS": "0"}
    one = dict.fromkeys(("epoll", "epoll-busypoll", "uring", "nginx"), NOT_ALL)
    assert made(**two)[1].not_applicable == {**one, "lwip": NOT_ALL}
    assert made("nic", **two)[1].not_applicable == one


@pytest.mark.parametrize("settings, why", [
    ({"WORKLOAD": "cps"}, Reason("other-workload", {"workload": "rps"})),
    ({"BODY_SIZE": "2"}, Reason("other-body-size", {"body_size_bytes": 1})),
    ({"SWEEP": "body=1,2"}, Reason("other-body-size", {"body_size_bytes": 1})), ({}, None)])
def test_the_yardstick_answers_one_thing(settings: dict[str, str], why: Reason | None) -> None:
    plan = made("veth", CONTENDERS="epoll,minimal", **settings)[1]
    assert plan.not_applicable == ({"minimal": why} if why else {})


def test_a_sweep_over_cores_has_those_of_one_core_at_one_core() -> None:
    plan = made(CONTENDERS="epoll,epoll-mt,lwip", SWEEP="cores=1,2")[1]
    assert plan.server_cpus == (1, 2) and not plan.not_applicable
    assert [(spec.contender, spec.point.server_cores) for spec in schedule(replace(plan, rounds=1))] == [
        ("epoll", 1), ("epoll-mt", 1), ("lwip", 1), ("epoll-mt", 2)]


def test_who_is_set_aside_stands_last_and_has_no_trial() -> None:
    plan = made(SERVER_CPUS="1,2", CLIENT_CPUS="0", CONTENDERS="epoll,lwip,epoll-mt")[1]
    assert plan.contenders == ("epoll-mt", "epoll", "lwip")
    plan = made(CONTENDERS="epoll,lwip,uring")[1]
    aside = without(plan, {"epoll": A, "lwip": B})
    assert aside.contenders == ("uring", "epoll", "lwip") and aside.not_applicable == {"epoll": A, "lwip": B}
    assert {spec.contender for spec in schedule(aside)} == {"uring"} and checked(aside, code_text) is aside
    assert without(plan, {}) == plan
    with pytest.raises(MachineError, match="^no contender is left: epoll: other text=a; lwip: "):
        checked(without(made(CONTENDERS="epoll,lwip")[1], {"epoll": A, "lwip": B}), code_text)


def test_a_plan_s_file_says_it_only_where_it_is_so() -> None:
    assert "not_applicable" not in to_json(made(CONTENDERS="epoll,lwip")[1])
    data = json.loads(json.dumps(to_json(made()[1])))
    assert from_json(data).not_applicable == ONE_CORE
    assert from_json({**data, "not_applicable": {"lwip": "a"}}).not_applicable == {"lwip": A}, "of schema 1"
    for wrong in ({"nobody": "x"}, {"epoll-mt": ""}, {"epoll-mt": 3}, ["epoll-mt"]):
        with pytest.raises(UsageError):
            from_json({**data, "not_applicable": wrong})


@pytest.mark.parametrize("napi, aside", [(0, {"epoll-busypoll": NO_NAPI, **ONE_CORE}), (1, ONE_CORE)])
def test_a_real_connection_tells_whether_there_are_napi_ids(tmp_path: Path, shown: list[Path], napi: int,
                                                            aside: dict[str, Reason]) -> None:
    host = ServingHost()
    host.napi = napi
    before = host.state()
    bench(RunRequest("tap", "quick", TINY), host, tmp_path, tmp_path / "out")
    run = only_run(tmp_path)
    assert run.plan.not_applicable == aside and run.plan.contenders[0] == "epoll"
    assert run.planned.not_applicable == ONE_CORE, "the plan's file is as planned"
    assert load_run(run.path).plan == run.plan
    assert {trial.contender for trial in run.trials} == {*run.plan.contenders} - {*aside}
    assert all(trial.valid for trial in run.trials), [trial.problems for trial in run.trials]
    probes = [call for call in host.calls if call.startswith("spawn") and "--busy-poll" in call]
    assert len(probes) == 1 + napi and host.state() == before
    # the trial of nginx is checked against its own count
    counts = next(trial.reconcile for trial in run.trials if trial.contender == "nginx")
    assert counts.parsed is None and counts.answered == counts.sent > 0


@pytest.mark.parametrize("napi, said", [("none", "did not count its connections with a NAPI id")])
def test_a_server_that_cannot_tell_fails_the_run(tmp_path: Path, napi: object, said: str) -> None:
    host = ServingHost()
    host.napi = napi
    before = host.state()
    with pytest.raises(ContenderError, match=f"'epoll-busypoll' {said}"):
        bench(RunRequest("tap", "quick", TINY), host, tmp_path, tmp_path / "out")
    assert host.state() == before and not list((tmp_path / "runs").iterdir())


def test_no_contender_left_is_one_line_and_nothing_is_touched(tmp_path: Path) -> None:
    host = ServingHost()
    host.cpu_list = [0, 1, 2]
    settings = {**TINY, "CONTENDERS": "epoll,lwip", "SERVER_CPUS": "1,2", "CLIENT_CPUS": "0"}
    with pytest.raises(MachineError, match="^no contender is left: epoll: not applicable: it does not use all 2 server cores; lwip: "):
        bench(RunRequest("tap", "quick", settings), host, tmp_path, tmp_path / "out")
    assert host.calls == []


def test_what_is_not_chosen_need_not_be_there(tmp_path: Path, shown: list[Path]) -> None:
    host = ServingHost()
    host.missing = {"uring_server", "nginx"}
    bench(RunRequest("tap", "quick", {**TINY, "CONTENDERS": "epoll,epoll-mt,lwip"}), host, tmp_path, tmp_path / "out")
    assert [trial.contender for trial in only_run(tmp_path).trials] == ["epoll", "lwip"]
    lacking = r"missing: nginx \(package nginx-light, .*\), build/uring_server \(run `make`\)$"
    with pytest.raises(MachineError, match=lacking):
        bench(RunRequest("tap", "quick", TINY), host, tmp_path / "other", tmp_path / "out")


def test_a_run_that_goes_on_keeps_what_was_decided(tmp_path: Path, shown: list[Path]) -> None:
    host = ServingHost()
    host.on_load = at_load(3, interrupt)
    with pytest.raises(Interrupted):
        bench(RunRequest("tap", "quick", TINY), host, tmp_path, tmp_path / "out")
    run = only_run(tmp_path)
    again = ServingHost()
    again.napi = 1
    bench(RunRequest("tap", "quick", TINY, resume=run.id), again, tmp_path, tmp_path / "out")
    whole = only_run(tmp_path)
    assert whole.plan == run.plan and "epoll-busypoll" in whole.plan.not_applicable
    assert not any("--busy-poll" in call for call in again.calls)
    assert [trial.contender for trial in whole.trials] == [
        spec.contender for spec in schedule(whole.plan)]
    assert len(whole.trials) == 5


def test_a_rehearsal_says_what_can_be_told_without_the_machine(tmp_path: Path,
                                                               capsys: pytest.CaptureFixture[str]) -> None:
    bench(RunRequest("tap", "quick", TINY, dry_run=True), ServingHost(), tmp_path, tmp_path / "out")
    said = capsys.readouterr().out
    assert "# epoll-mt: not applicable: on one server core it is the same as epoll\n" in said
    assert "6 trials of epoll, epoll-busypoll, uring, nginx, epoll-spin, lwip at 8" in said


@pytest.mark.parametrize("sites, aside", [((), set()), ((object(),), {"epoll-spin-both"})])
def test_a_client_that_is_to_poll_is_on_this_machine(sites: tuple[Any, ...], aside: set[str]) -> None:
    wire, plan = made("shm", CONTENDERS="epoll,epoll-spin,epoll-spin-both,lwip")
    found = without_far_clients(wire, plan, Provisioned(cast(Any, wire), True, "", cast(Any, None), sites))
    assert found == dict.fromkeys(aside, Reason("client-elsewhere", {}))
    assert all("on other machines" in words(Note(NotMeasured(why.code), why.values)) for why in found.values())


def test_the_summary_says_why_there_is_nothing() -> None:
    run = runs.made(contenders=("epoll", "lwip", "uring"))
    aside = without(run.plan, {"uring": Reason("same-as-on-one-core", {"as": "epoll"})})
    kept = tuple(trial for trial in run.trials if trial.contender != "uring")
    found = summarise(replace(run, planned=aside, trials=kept))
    why = Note(NotMeasured.ONE_CORE, {"as": "epoll"})
    assert found.contenders["uring"].not_measured == why
    for point in found.points:
        assert point.cells["uring"].not_measured == why
        assert point.cells["uring"].limit.evidence == (Note(Evidence.NOT_MEASURED),)
    codes = [note.code for note in found.caveats]
    assert Caveat.NOT_APPLICABLE in codes and Caveat.INCOMPLETE not in codes
    two = replace(run, planned=replace(run.plan, contenders=("epoll", "lwip")), trials=kept)
    assert found.points[0].cells["lwip"] == summarise(two).points[0].cells["lwip"]
