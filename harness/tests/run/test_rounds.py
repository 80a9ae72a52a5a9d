# SPDX-License-Identifier: BSD-3-Clause
"""Contenders that stay up for a round, on a fake host: who is started, paused and ended, and what is counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.cli.bench import bench
from harness.errors import ContenderError, Interrupted, UsageError
from harness.plan import Plan, load_plan, load_wire
from harness.run import RunRequest
from harness.tests.fixtures.fake_host import FakeProcess
from harness.tests.fixtures.serving_host import LoadingProcess, ServingHost, at_load, interrupt, only_run

TINY = {"CONNECTIONS": "1,8", "ROUNDS": "2", "CALIBRATE": "no", "CONTENDERS": "epoll,nginx,lwip"}


def run(host: ServingHost, directory: Path, resume: str = "", **settings: str) -> Any:
    order = RunRequest("tap", "" if resume else "quick", {} if resume else {**TINY, **settings}, resume=resume)
    bench(order, host, directory, directory / "out")
    return only_run(directory).trials


def servers(host: ServingHost, name: str) -> list[FakeProcess]:
    return [process for process in host.processes if any(word.endswith(f"/{name}") for word in process.argv)]


def signals(process: FakeProcess) -> list[str]:
    """What it was sent, without requests for its counters."""
    return [name for name in ({18: "CONT", 19: "STOP", 15: "TERM"}.get(number) for number in process.signals) if name]


def test_each_is_started_once_a_round_and_serves_every_load_point(tmp_path: Path, shown: list[Path]) -> None:
    host = ServingHost()
    before = host.state()
    trials = run(host, tmp_path)
    assert len(trials) == 12 and all(trial.valid for trial in trials) and host.state() == before
    for name in ("epoll_server", "nginx.py", "lwip_server"):
        assert len(servers(host, name)) == 2
    ports = {name: str(load_wire("tap").port_of(name, 80)) for name in ("epoll", "nginx")}
    assert ports["epoll"] == "80" and len(ports["nginx"]) == 2
    for name, program in (("epoll", "epoll_server"), ("nginx", "nginx.py")):
        assert all(ports[name] in server.argv for server in servers(host, program))
    loads = sum("wrk --threads" in call for call in host.calls)
    assert loads == 12 + 6, "a warm-up belongs to a start"


def test_one_that_is_started_for_each_trial_has_the_port_of_the_plan(tmp_path: Path, shown: list[Path]) -> None:
    host = ServingHost()
    run(host, tmp_path, RESTART="trial")
    assert len(servers(host, "nginx.py")) == 4 and all("80" in server.argv for server in servers(host, "nginx.py"))


def test_only_one_that_polls_is_paused_and_never_in_its_turn(tmp_path: Path, shown: list[Path]) -> None:
    host = ServingHost()
    asked: list[tuple[str, list[str]]] = []

    def look(wrk: LoadingProcess) -> None:
        assert host.serving is not None
        for server in servers(host, "lwip_server"):
            if server.code is None:
                asked.append(("turn" if server is host.serving else "out", signals(server)[-1:]))
    host.on_load = look
    run(host, tmp_path)
    assert {last for turn, (last,) in ((turn, last or [""]) for turn, last in asked) if turn == "out"} == {"STOP"}
    assert {last for turn, (last,) in ((turn, last or [""]) for turn, last in asked) if turn == "turn"} <= {"", "CONT"}
    for name in ("epoll_server", "nginx.py"):
        assert all(signals(server) == ["TERM"] for server in servers(host, name))
    for server in servers(host, "lwip_server"):
        sent = signals(server)
        assert sent[-1] == "TERM" and sent.count("STOP") == sent.count("CONT")


def test_two_on_one_device_take_turns_with_restarts(tmp_path: Path, shown: list[Path]) -> None:
    host = ServingHost()
    trials = run(host, tmp_path, CONTENDERS="epoll,lwip,lwip#2", ROUNDS="1", TURN="0")
    assert all(trial.valid for trial in trials) and len(trials) == 6
    assert len(servers(host, "lwip_server")) in (3, 4) and len(servers(host, "epoll_server")) == 1


def test_requests_that_nobody_sent_end_the_run(tmp_path: Path, shown: list[Path]) -> None:
    host = ServingHost()
    host.on_load = at_load(5, lambda wrk: stray())

    def stray() -> None:
        for server in servers(host, "epoll_server"):
            if server is not host.serving and server.code is None:
                getattr(server, "counters")["requests_parsed"] += 20
    with pytest.raises(ContenderError, match="'epoll' counted 20 requests after its trial had ended, and [0-9]+ were"):
        run(host, tmp_path, CONTENDERS="lwip,epoll", SEED="3", CONNECTIONS="1,2,8", TURN="0")
    assert host.alive == {}


def test_one_that_died_out_of_its_turn_is_told(tmp_path: Path, shown: list[Path]) -> None:
    host = ServingHost()

    def kill(wrk: LoadingProcess) -> None:
        for server in servers(host, "epoll_server"):
            if server is not host.serving:
                server.code = -9
    host.on_load = kill
    with pytest.raises(ContenderError, match="'epoll' was killed by SIGKILL (while others had their turns|before it)"):
        run(host, tmp_path)


@pytest.mark.parametrize("load", [2, 5, 8])
def test_a_run_interrupted_in_a_round_leaves_nobody_up_and_starts_anew(tmp_path: Path, shown: list[Path],
                                                                     load: int) -> None:
    host = ServingHost()
    before = host.state()
    host.on_load = at_load(load, interrupt)
    with pytest.raises(Interrupted):
        run(host, tmp_path)
    assert host.state() == before and host.alive == {}
    again = ServingHost()
    trials = run(again, tmp_path, resume=only_run(tmp_path).id)
    assert [trial.sequence for trial in trials] == list(range(12)) and all(trial.valid for trial in trials)


def planned(wire: str, **settings: str) -> Plan:
    return load_plan("quick", load_wire(wire), (0, 1), settings)


def test_who_is_started_for_each_trial_all_the_same(tmp_path: Path) -> None:
    cases: list[tuple[str, dict[str, str]]] = [
        ("tap", {"WORKLOAD": "cps"}), ("tap", {"NETEM": "delay 5ms"}), ("shm-loadgen", {}), ("ablate", {}),
        ("tap", {"RESTART": "trial"})]
    for wire, settings in cases:
        assert planned(wire, **settings).restart == "trial"
    with pytest.raises(UsageError, match="RESTART=round: on wire 'shm-loadgen' each trial has a fresh contender: its"):
        planned("shm-loadgen", RESTART="round")


def test_ports_have_as_many_digits_or_are_shared() -> None:
    wire = load_wire("tap")
    kernels = [item.name for item in wire.contenders.values() if item.stack == "kernel"]
    assert [wire.port_of(name, 80) for name in kernels] == list(range(80, 80 + len(kernels)))
    assert [wire.port_of(name, 98) for name in kernels[:3]] == [98, 99, 0] and wire.port_of("lwip", 80) == 80
    epoll, nginx, lwip = (wire.contenders[name] for name in ("epoll", "nginx", "lwip"))
    assert not epoll.excludes(nginx) and not epoll.excludes(lwip) and lwip.excludes(lwip)
    nic = load_wire("nic").contenders
    assert nic["epoll"].excludes(nic["lwip"]) and not nic["epoll"].excludes(nic["nginx"])
