# SPDX-License-Identifier: BSD-3-Clause
"""Trials with our own load generator: one process, its counts against the server's, and everything it may say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, Mapping, cast

import pytest

from harness.trial.load import loadgen as own_client
from harness.errors import ContenderError, MachineError
from harness.store import Note, Problem, Reconcile
from harness.trial.load.base import Load
from harness.trial.load.loadgen import TOOL as LOADGEN
from harness.plan import load_plan, LoadPoint, TrialSpec, WORKLOADS
from harness.provision.provision import Provisioned
from harness.tests.fixtures.serving_host import REQUESTS, OwnProcess, ServingHost
from harness.tests.trial.test_trial import Journal
from harness.trial import Outcome, run_trial
from harness.provision import ResolvedWire
from harness.tests.fixtures.wires import bare_wire

WIRE = bare_wire("shm-loadgen")
CLIENT = WIRE.contenders["lwip"].client.endpoint.namespace


def trial(host: ServingHost, raw: Path, contender: str = "lwip", wire: ResolvedWire = WIRE,
          settings: Mapping[str, str] = {}) -> Outcome:
    plan = load_plan("quick", wire, (0, 1), {"DURATION": "2", **settings})
    if wire.contenders[contender].ready == "socket":
        host.files["/run/stackduel/lwip.sock"] = ""
    up = Provisioned(wire, True, "", cast(Any, Journal(host)))
    return run_trial(host, wire, plan, TrialSpec(contender, LoadPoint(8), 0, 1), 1, up, raw)


class Host(ServingHost):
    """The server's socket is there as soon as the server is, though the trial first removes an old one."""

    def unlink(self, path: str | Path) -> bool:
        return True


def command(workload: str, connections: int, size: int | None = None) -> str:
    shape = WORKLOADS[workload]
    load = Load("198.18.0.3", 80, replace(shape, body_size_bytes=size or shape.body_size_bytes), connections, 1, 3)
    return " ".join(LOADGEN.words(load, 1, ["loadgen", "--"]))


def test_how_it_is_called() -> None:
    ends = "--duration 3 --warmup 1 --path / --body-size {} --stay"
    assert command("rps", 64) == f"loadgen -- --mode closed --connections 64 --addresses 1 {ends.format(1)}"
    assert command("cps", 64) == f"loadgen -- --mode connect --connections 64 --addresses 16 {ends.format(600)}"
    assert command("bandwidth", 8, 1 << 20) == (
        f"loadgen -- --mode closed --connections 8 --addresses 1 {ends.format(1048576)}")
    assert command("conns", 1_000_000) == (
        f"loadgen -- --mode closed --connections 1000000 --active 64 --addresses 31 {ends.format(1)}")
    assert command("turns", 1000) == (
        f"loadgen -- --mode closed --connections 1000 --active 64 --rotate --addresses 1 {ends.format(1)}")
    assert "--active" not in command("turns", 64) + command("conns", 10), "all of them are asked anyway"


def test_one_process_is_proof_and_warm_up_and_load(tmp_path: Path) -> None:
    host = Host()
    trial(host, tmp_path)
    spawned = [call for call in host.calls if call.startswith("spawn ")]
    assert len(spawned) == 2 and "net_virtio_user0,path=/run/stackduel/lwip.sock,server=1" in spawned[0]
    assert spawned[1].startswith(f"spawn ip netns exec {CLIENT} taskset -c 0 ")
    assert "net_vhost0,iface=/run/stackduel/lwip.sock,client=1" in spawned[1]
    assert not any("ping" in call or call.startswith("connect ") for call in host.calls)
    server, client = host.processes
    signals = [call for call in host.calls if call.startswith("signal ")]
    assert signals == [f"signal {server.pid} SIGUSR1", f"signal {server.pid} SIGUSR1",
                       f"signal {server.pid} SIGTERM", f"signal {client.pid} SIGTERM"]
    assert sum(call.startswith("journal ") for call in host.calls) == 2 and host.alive == {}


def test_the_record(tmp_path: Path) -> None:
    outcome = trial(Host(), tmp_path)
    record = outcome.record
    assert record.valid and record.problems == ()
    assert (record.requests, record.duration_seconds, record.requests_per_sec) == (
        REQUESTS, 2.0, REQUESTS / 2)
    assert record.reconcile == Reconcile(2 * REQUESTS, 2 * REQUESTS, 2 * REQUESTS, 3)
    assert record.latency_us == {"p50": 1.25, "p90": 1.25, "p99": 1.25, "p999": 1.25, "max": 40}
    assert record.latency_histogram_us == ((1.25, REQUESTS - 1), (40, 1))
    assert record.cycles_per_request == 0.5 and record.busy_share == 0.25
    assert (record.client_busy_share, record.client_bound, record.connections_per_sec) == (0.2, False, 32.0)
    assert record.memory == {"resident_bytes": 1000 << 10, "hugepage_bytes": 2 << 20}
    assert record.cpu_seconds["0"].user == 1.0 and record.ends is None and record.load_tool == "loadgen"
    assert record.client and record.client["rx_packets"] == 7
    assert outcome.ports == {"server": {"driver": "net_tap"}, "client": {"driver": "net_vhost"}}


def test_the_kernels_sockets_are_in_the_kernels_memory(tmp_path: Path) -> None:
    record = trial(Host(), tmp_path, "epoll").record
    assert record.valid and record.memory and record.memory["kernel_bytes"] == 50000 << 10


def changed(**values: Any) -> Callable[[dict[str, Any]], None]:
    return lambda account: account.update(values)


ERRORS = {"connect": 0, "reset": 0, "timeout": 0, "content": 0, "status": 0}


def differ(sent: int) -> list[Note[Problem]]:
    return [Note(Problem.COUNTS_DIFFER, {"sent": sent, "counter": counter, "count": 2000, "limit": 3})
            for counter in ("parsed", "answered")]


@pytest.mark.parametrize("values, problems", [
    ({"errors": {**ERRORS, "content": 2}},
     [Note(Problem.LOAD_ERRORS, {"phase": "load", "kind": "content", "count": 2})]),
    ({"requests": 0, "latency_us": []}, [Note(Problem.NOTHING_ANSWERED)]),
    ({"total_requests": 2 * REQUESTS - 3}, []),
    ({"total_requests": 2 * REQUESTS - 4}, differ(1996)),
    ({"total_requests": 2 * REQUESTS + 1}, differ(2001)),
    ({"total_connects": 9}, [Note(Problem.CONNECTIONS_MISSING, {"arrived": 8, "expected": 9})]),
])
def test_what_makes_a_trial_invalid(tmp_path: Path, values: dict[str, Any],
                                    problems: list[Note[Problem]]) -> None:
    host = Host()
    host.account = changed(**values)
    record = trial(host, tmp_path).record
    assert record.valid is not bool(problems) and record.problems == tuple(problems)


def test_a_load_that_was_cut_short_is_invalid(tmp_path: Path) -> None:
    host = Host()

    def fail(account: dict[str, Any]) -> None:
        client = host.processes[-1]
        client.code = 1
        host.alive.pop(client.pid)
        (tmp_path / "loadgen.stderr").write_text("loadgen: the link went down\n")
    host.account = fail
    record = trial(host, tmp_path).record
    assert record.problems == (Note(Problem.LOAD_TOOL, {
        "what": f"loadgen failed (exit 1): loadgen: the link went down (all in {tmp_path}/loadgen.stderr)"}),)


@pytest.mark.parametrize("code, good", [(0, True), (1, True), (3, False), (-11, False)])
def test_how_a_tool_ends_when_its_server_went_first(tmp_path: Path, code: int, good: bool) -> None:
    host = Host()

    def end(account: dict[str, Any]) -> None:
        client = host.processes[-1]
        assert isinstance(client, OwnProcess)
        client.ends_with = code
    host.account = end
    if good:
        assert trial(host, tmp_path).record.valid
    else:
        with pytest.raises(ContenderError, match=rf"loadgen failed \(exit {code}\)"):
            trial(host, tmp_path)
    assert host.alive == {}


@pytest.mark.parametrize("values, words", [
    ({"requests": "many"}, "'requests' is"), ({"latency_us": [[-1, 2]]}, "'latency_us' is"),
    ({"busy_share": float("nan")}, "'busy_share' is"), ({"errors": {}}, "KeyError"),
    ({"duration_seconds": 0}, "its duration is 0"), ({"in_flight": True}, "'in_flight' is")])
def test_an_account_that_is_none_is_an_error(tmp_path: Path, values: dict[str, Any], words: str) -> None:
    host = Host()
    host.account = changed(**values)
    with pytest.raises(ContenderError, match="loadgen wrote no usable report: .*" + words):
        trial(host, tmp_path)
    assert host.alive == {}


class Ailing(Host):
    """loadgen ends at once with a code and last words."""

    def __init__(self, code: int) -> None:
        super().__init__()
        self.ends_with = code

    def spawn(self, *args: Any, **options: Any) -> Any:
        process = super().spawn(*args, **options)
        if isinstance(process, OwnProcess):
            process.stdout.write_text("")
            process.code = self.ends_with
            options["stderr"].write_text("loadgen: no port\n")
            self.alive.pop(process.pid, None)
        return process


@pytest.mark.parametrize("code, error", [(1, ContenderError), (2, ContenderError), (3, MachineError),
                                         (-11, ContenderError)])
def test_a_tool_that_ends_before_its_account(tmp_path: Path, code: int, error: type[Exception]) -> None:
    host = Ailing(code)
    with pytest.raises(error, match=rf"loadgen failed \(exit {code}\): loadgen: no port"):
        trial(host, tmp_path)
    assert host.alive == {}


@pytest.mark.parametrize("said, words", [("", "had not opened its connections within"),
                                         ("CONNECTED 8\n", "did not begin to measure within")])
def test_a_tool_that_hangs_is_given_up(tmp_path: Path, said: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_client, "GRACE_SECONDS", -100.0)
    host = Host()
    connect = host._connect

    def quiet(loadgen: OwnProcess, argv: Any) -> None:
        connect(loadgen, argv)
        loadgen.stdout.write_text(said)
    monkeypatch.setattr(host, "_connect", quiet)
    with pytest.raises(ContenderError, match=f"loadgen {words}"):
        trial(host, tmp_path)
    assert host.alive == {}


def test_a_server_that_dies_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host()

    def die(loadgen: OwnProcess, argv: Any) -> None:
        assert host.serving is not None
        loadgen.stdout.write_text("CONNECTED 8\n")
        host.serving.code = -9
    monkeypatch.setattr(host, "_connect", die)
    with pytest.raises(ContenderError, match="'lwip' was killed by SIGKILL under load"):
        trial(host, tmp_path)


@pytest.mark.parametrize("said, problems", [
    (["offload"], ()), ([], ()),
    (["offload", "timers"], (Note(Problem.OPTIMISATIONS_IN_FORCE, {"names": ("timers",)}),)),
    (None, (Note(Problem.OPTIMISATIONS_UNKNOWN),))])
def test_optimisations_left_out_are_asked_for(tmp_path: Path, said: list[str] | None,
                                              problems: tuple[Note[Problem], ...]) -> None:
    host = Host()

    def tell(account: dict[str, Any]) -> None:
        assert host.serving is not None
        if said is not None:
            host.serving.counters["optimisations"] = said
    host.account = tell
    record = trial(host, tmp_path, "plain", bare_wire("scale")).record
    assert record.problems == problems
    assert any(call.endswith("--max-connections 11024 --without=lookup,timers,pools") or
               "--without=lookup,timers,pools" in call for call in host.calls if call.startswith("spawn "))


def test_the_account_stays_among_the_raw_files(tmp_path: Path) -> None:
    trial(Host(), tmp_path)
    lines = (tmp_path / "loadgen.stdout").read_text().splitlines()
    assert lines[:2] == ["CONNECTED 8", "MEASURING"] and json.loads(lines[2])["program"] == "loadgen"
