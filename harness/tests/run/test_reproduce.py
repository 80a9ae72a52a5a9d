# SPDX-License-Identifier: BSD-3-Clause
"""Publications measured again: the plan that a file becomes, what is left out and why, ours beside theirs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Mapping

import pytest

import harness.cli.reproduce
from harness.report import differences, write_report
from harness.report.papers import compare
from harness.report.report import loaded as load_summary
from harness.report.report import terminal_lines
from harness.cli.main import main
from harness.cli.bench import bench
from harness.run import RunRequest
from harness.errors import CheckFailed, UsageError
from harness.plan.nic_request import NicRequest
from harness.plan import from_json, load_plan, to_json
from harness.plan.published import METHOD, NOT_STATED, load_published, of_paper
from harness.cli.reproduce import errands, reproduce
from harness.tests.fixtures import synthetic
from harness.tests.fixtures.serving_host import ServingHost, only_run
from harness.tests.report.test_report import Page
from harness.plan import load_wire

TINY = {"CONNECTIONS": "1,8", "ROUNDS": "1", "DURATION": "1"}


def test_a_table_becomes_the_settings_of_a_plan() -> None:
    (errand,) = errands(load_published("tinyhttpd-lwip-dpdk"), load_wire("tap"), 1)
    assert errand.settings == {
        "WORKLOAD": "rps", "CONNECTIONS": "1,2,4,8,16,32,64,128", "BODY_SIZE": "1", "DURATION": "10",
        "PAPER": "tinyhttpd-lwip-dpdk"}
    assert errand.left_out == ()


@pytest.mark.parametrize("cores, run, left", [(1, "32", 2), (8, "256", 2), (32, "1024", 2), (4, "", 3)])
def test_only_points_with_as_many_server_cores_are_run(cores: int, run: str, left: int) -> None:
    (errand,) = errands(load_published("bench-iip"), load_wire("tap"), cores)
    assert errand.settings.get("CONNECTIONS", "") == run and bool(errand.settings) is bool(run)
    assert len(errand.left_out) == left
    assert all(f"ours {cores}" in why and "server core" in why for why in errand.left_out)


def test_a_claim_becomes_a_run_of_the_workload_that_measures_the_same() -> None:
    rps, cps, conns = errands(load_published("f-stack"), load_wire("tap"), 1)
    assert rps.settings == {"WORKLOAD": "rps", "PAPER": "f-stack"}
    assert cps.settings == {"WORKLOAD": "cps", "PAPER": "f-stack"}
    assert not conns.settings and conns.left_out == (
        "Not run for “10 million concurrent connections”: wrk, the client of wire 'tap', asks every connection that it "
        "opens",)
    *_, conns = errands(load_published("f-stack"), load_wire("scale"), 1)
    assert conns.settings == {"WORKLOAD": "conns", "SWEEP_TO": "10000000", "PAPER": "f-stack"}
    assert not any(each.settings for each in errands(load_published("f-stack"), load_wire("redis"), 1))


def test_every_paper_makes_a_plan_that_is_stored_and_read_again() -> None:
    for paper in ("tinyhttpd", "iip", "fstack"):
        made = [each for other in of_paper(paper) for each in errands(other, load_wire("tap"), 1) if each.settings]
        assert made
        for errand in made:
            plan = load_plan("default", load_wire("tap"), (0, 1), errand.settings)
            assert plan.paper == errand.paper.name
            assert from_json(json.loads(json.dumps(to_json(plan)))) == plan
    assert "paper" not in to_json(load_plan("default", load_wire("tap"), (0, 1), {}))


def test_an_unknown_paper_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no paper 'nope' to reproduce; there are: iip, fstack, tinyhttpd$"):
        of_paper("nope")
    assert [each.name for each in of_paper("fstack")] == ["f-stack-helloworld", "f-stack"]
    assert [each.name for each in of_paper("f-stack")] == ["f-stack"]


def test_every_difference_is_listed_and_what_is_not_stated_says_so(tmp_path: Path) -> None:
    run, _ = load_summary(synthetic.write(tmp_path / "run"))
    for paper in ("tinyhttpd-lwip-dpdk", "bench-iip", "f-stack", "f-stack-helloworld"):
        other = load_published(paper)
        table = list(differences(run.plan, run.facts.raw, other))
        assert [what for what, _, _ in table] == list(METHOD.values())
        assert all(ours and theirs for _, ours, theirs in table)
        stated = {what: theirs for (what, _, theirs) in table if theirs != NOT_STATED}
        assert len(stated) == len(other.method)

    def ours_of(facts: Mapping[str, Any]) -> dict[str, str]:
        keys = {what: key for key, what in METHOD.items()}
        return {keys[what]: ours for what, ours, _ in differences(run.plan, facts, other)}
    ours = ours_of(run.facts.raw)
    assert ours["cpu"] == "A made-up CPU" and ours["client"] == "wrk 4.1.0 on CPU 0 of the same machine"
    assert ours["kernel"] == "6.1.0 Debian GNU/Linux 12 (bookworm)"
    assert ours["server_program"] == "epoll: kernel TCP (epoll); lwip: lwIP on DPDK (net_tap)"
    assert ours["duration"] == "2 s a load point in each of 3 rounds, after 1 s of warm-up"
    bare = ours_of({})
    assert bare["kernel"] == "not known" and bare["cpu"] == "not known" and bare["server_program"] == "epoll; lwip"


def made_again(tmp_path: Path, paper: str, workload: str = "rps") -> Path:
    """A made-up run that was to be set beside a publication."""
    run = synthetic.write(tmp_path / "run", connections=(1, 32), rounds=2)
    plan = json.loads((run / "plan.json").read_text())
    plan["paper"], plan["workload"]["name"] = paper, workload
    (run / "plan.json").write_text(json.dumps(plan))
    return run


def test_the_report_sets_both_side_by_side_without_being_asked(tmp_path: Path) -> None:
    run = made_again(tmp_path, "bench-iip")
    write_report(run, tmp_path / "out")
    page = Page((tmp_path / "out" / "report.html").read_text()).text
    text = page[page.index("Compared with published figures"):]
    assert "256 – – 1,891,960 – 8,837,323 – – 9,997,752 22,040,945 – – 4.67× – – 5.28× 11.6×" in text
    assert "what differs ours theirs" in text and "two Xeon Gold 6326" in text and "tuning none" in text
    assert "sudo make reproduce PAPER=bench-iip WIRE=tap CONTENDERS=epoll,lwip" in page
    assert all(what in text for what in METHOD.values())


def test_a_claim_stands_beside_our_best_of_the_same_metric(tmp_path: Path) -> None:
    for number, (workload, expected) in enumerate({
            "rps": ["epoll: ", *["not measured by this run's workload (rps)"] * 2],
            "conns": ["not measured by this run's workload (conns)"] * 2 + ["epoll: 32; lwip: 32"]}.items()):
        run = made_again(tmp_path / str(number), "f-stack", workload)
        loaded, summary = load_summary(run)
        claims = compare(loaded, summary, load_published("f-stack")).claims
        assert [said for said, _, _ in claims] == ["“5 million RPS”", "“1 million CPS”",
                                                   "“10 million concurrent connections”"]
        assert [theirs for _, theirs, _ in claims] == ["5,000,000 requests/s", "1,000,000 connections/s",
                                                       "10,000,000 connections"]
        for (_, _, ours), start in zip(claims, expected):
            assert ours.startswith(start)
    write_report(run, tmp_path / "out")
    page = Page((tmp_path / "out" / "report.html").read_text()).text
    assert "“10 million concurrent connections” 10,000,000 connections epoll: 32; lwip: 32" in page
    assert "Grey, dashed" not in page, "there is no line to draw"
    assert "theirs 5,000,000 requests/s" in "\n".join(terminal_lines(loaded, summary))


def test_with_several_kernel_servers_ours_is_the_gain_over_the_best(tmp_path: Path) -> None:
    run, summary = load_summary(synthetic.write(tmp_path / "run", contenders=("epoll", "uring", "lwip")))
    each = compare(run, summary, load_published("tinyhttpd-lwip-dpdk"))
    gains = [column for column in each.columns if column.kind == "our gain"]
    assert [column.name for column in gains] == ["lwip over the best kernel server", "lwip/epoll"]
    point = next(point for point in summary.points if point.at.connections == 64)
    assert f"{summary.headline(point)['lwip'].ratio:.2f}×" in gains[0].texts[64]


def test_a_rehearsal_shows_plan_and_differences_and_needs_no_root(capsys: pytest.CaptureFixture[str]) -> None:
    host = ServingHost()
    host.root = False
    before = host.state()
    reproduce("iip", "tap", "", {"ROUNDS": "2"}, NicRequest(), True, host)
    said = capsys.readouterr().out
    assert "# Not run at 256 connections: theirs had 8 server cores, ours 1\n" in said
    assert "CONNECTIONS=32 ROUNDS=2 " in said
    assert all(f"{what:>{max(map(len, METHOD.values()))}}  ours: " in said for what in METHOD.values())
    assert said.count("theirs: ") == len(METHOD)
    assert host.calls == [] and host.state() == before


def test_a_paper_is_measured_and_its_plan_kept(tmp_path: Path, shown: list[Path],
                                               monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness.cli.reproduce, "bench",
                        lambda order, host: bench(order, host, tmp_path, tmp_path / "out"))
    assert main(["reproduce", "tinyhttpd", "--plan", "quick", *(f"--set={key}={value}" for key, value in TINY.items())],
                ServingHost()) == 0
    run = only_run(tmp_path)
    assert run.plan.paper == "tinyhttpd-lwip-dpdk" and run.plan.connections == (1, 8), "what is given goes first"
    assert run.plan.workload.body_size_bytes == 1 and shown == [run.path]


def test_a_run_that_fails_a_check_does_not_keep_the_next_one_back(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[Any] = []

    def failing(order: RunRequest, host: ServingHost) -> None:
        ran.append(order.settings)
        raise CheckFailed(f"{order.settings['WORKLOAD']} is bad")
    monkeypatch.setattr(harness.cli.reproduce, "bench", failing)
    with pytest.raises(CheckFailed, match="^rps is bad; rps is bad; cps is bad$"):
        reproduce("fstack", "tap", "", {}, NicRequest(), False, ServingHost())
    assert [each["PAPER"] for each in ran] == ["f-stack-helloworld", "f-stack", "f-stack"]


@pytest.mark.parametrize("argv, words", [
    (["reproduce", "nope"], "no paper 'nope' to reproduce"),
    (["reproduce", "iip", "--set=SERVER_CPUS=0,1"], "Not run at 32 connections: theirs had 1 server core, ours 2"),
    (["reproduce", "tinyhttpd", "--wire", "redis"], "wire 'redis' has no workload 'rps'"),
    (["reproduce", "tinyhttpd", "--nic", "eth1"], "--nic is for the wire with a NIC")])
def test_what_cannot_be_reproduced_is_one_line(argv: list[str], words: str,
                                               capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv, ServingHost()) == 2
    err = capsys.readouterr().err
    assert words in err and err.count("\n") == 1
