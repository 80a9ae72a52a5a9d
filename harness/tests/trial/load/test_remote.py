# SPDX-License-Identifier: BSD-3-Clause
"""Loads by several machines as one: an `ssh` and a `wrk` on PATH stand for them, and records for what comes of it."""

from __future__ import annotations

import json
import os
import random
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Iterator, cast

import pytest

from harness.analyse import summarise
from harness.trial.load import remote as sites
from harness.trial.client import Client
from harness.errors import ContenderError, MachineError, UsageError
from harness.host import LocalHost
from harness.store import Note, Problem
from harness.trial.observe.cpu import ProcStat
from harness.trial.load.base import Load, LoadResult
from harness.trial.load.redis_benchmark import RedisBenchmark
from harness.trial.load.wrk import Wrk
from harness.plan import from_json, load_plan, Plan, Share
from harness.provision.provision import Provisioned
from harness.host import connected
from harness.plan.nic_request import SshTarget
from harness.report import write_report
from harness.store.store import load_run
from harness.store.codes import Caveat, Evidence, Note
from harness.tests.fixtures import runs, synthetic
from harness.tests.fixtures.wires import bare_wire
from harness.report.format import command

WIRE = bare_wire("tap")
SSH = """#!/bin/sh
while [ "$1" != -- ]; do shift; done
export MACHINE=$2
for word; do last=$word; done
exec sh -c "$last"
"""
# as many requests as connections, at a latency that is the machine's
WRK = """#!/bin/sh
while [ $# -gt 1 ]; do case $1 in --connections) n=$2;; --script) test -r "$2" || exit 9;; esac; shift; done
[ -e {here}/$MACHINE.silent ] && exec sleep 60
[ -e {here}/$MACHINE.fails ] && {{ echo "unable to connect" >&2; exit 1; }}
[ -e {here}/$MACHINE.late ] && sleep 0.4
echo LOADING; sleep 0.3; echo LOADED
stat='cpu  1 0 0 0\\u000acpu0 1 0 0 0 0 0 0 0\\u000acpu1 0 0 0 0 0 0 0 0\\u000a'
case $MACHINE in one) took=1000000 us=10;; *) took=1100000 us=20;; esac
cat > "$STACKDUEL_WRK_JSON" <<END
{{"duration_us": $took, "steady_seconds": 1.05, "requests": $n, "bytes": $((n * 10)), "latency_us": [[5, 1], [$us, $n]],
 "errors": {{"connect": 0, "read": 0, "write": 0, "status": 0, "timeout": $((us / 20))}},
 "proc_stat": {{"before": "$stat", "after": "$stat"}}}}
END
"""


class NoJournal:
    def process(self, process: object) -> None:
        pass


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in (("ssh", SSH), ("wrk", WRK.format(here=tmp_path))):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def client(here: Path) -> Iterator[Client]:
    with connected(LocalHost(), [SshTarget("one"), SshTarget("u@two")]) as machines:
        plan = load_plan("quick", WIRE, (0, 1), {"CONNECTIONS": "7"},
                         clients={site.destination: site.cpus() for site in machines})
        sites.prepare(machines)
        running = SimpleNamespace(check_alive=lambda when: None)
        (here / "raw").mkdir()
        up = Provisioned(WIRE, True, "", cast(Any, NoJournal()), machines)
        yield Client(LocalHost(), WIRE, plan, up, cast(Any, running), here / "raw")


def whole(client: Client, seconds: int = 1) -> Load:
    return Load("198.18.0.2", 80, client.plan.workload, 7, 2, seconds)


def test_all_clients_load_together_and_count_as_one(client: Client) -> None:
    result, parts = sites.load(client, Wrk(), whole(client), "wrk")
    assert (result.requests, result.bytes, result.duration_seconds) == (7, 70, 1.1)
    assert result.requests_per_sec == round(7 / 1.1, 2)
    assert result.latency_us == ((5, 2), (10, 4), (20, 3))
    assert result.errors == {"connect": 0, "read": 0, "write": 0, "status": 0, "timeout": 1}
    assert "\nbtime " not in result.proc_stat.before and result.proc_stat.before.startswith("cpu ")
    assert result.proc_stat.before != parts[0].result.proc_stat.before
    assert [part.share for part in parts] == [Share("one", 4, 2), Share("u@two", 3, 1)]
    assert parts[0].result.latency_us == ((5, 1), (10, 4))
    assert sites.problems(parts) == []
    assert {path.name for path in client.raw.iterdir()} == {
        f"wrk-{machine}.{kind}" for machine in ("one", "u-two") for kind in ("json", "stdout", "stderr")}
    spent = sites.cpu_seconds(parts, client.plan)
    assert set(spent) == {f"{machine}/{cpu}" for machine in ("one", "u@two") for cpu in (0, 1)}
    assert {states.role for states in spent.values()} == {"client"}


def test_a_client_that_begins_late_makes_a_problem(client: Client, here: Path) -> None:
    (here / "u@two.late").touch()
    _, parts = sites.load(client, Wrk(), whole(client), "wrk")
    [problem] = sites.problems(parts)
    assert problem.code is Problem.LATE_CLIENT and problem.values["machine"] == "u@two"
    assert 0.1 < float(str(problem.values["seconds"])) < 1.1 == problem.values["of_seconds"]
    silent = replace(parts[0], result=replace(parts[0].result, requests=0))
    assert sites.problems([silent]) == [Note(Problem.NOTHING_ANSWERED, {"machine": "one"})]


def test_a_client_that_fails_is_told_with_its_last_words_and_ends_the_others(client: Client, here: Path) -> None:
    (here / "u@two.fails").touch()
    (here / "one.silent").touch()
    with pytest.raises(ContenderError, match=r"^wrk failed on u@two \(exit 1\): unable to connect \(all in .*wrk-u-"):
        sites.load(client, Wrk(), whole(client), "wrk")
    # the shell that watches its line takes a moment to end
    deadline = time.monotonic() + 30
    while running(client.provisioned.sites[0].directory):
        assert time.monotonic() < deadline, "the other client's wrk still runs"
        time.sleep(0.02)


def running(word: str) -> list[str]:
    """Command lines with a word in them."""
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            line = (directory / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        found += [line] if word in line else []
    return found


def test_a_client_that_never_begins_is_told(client: Client, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sites, "_START_SECONDS", 0.5)
    (here / "one.silent").touch()
    with pytest.raises(ContenderError, match="^one has not said LOADING in time"):
        sites.load(client, Wrk(), whole(client), "wrk")


def test_only_wrk_can_load_from_elsewhere(client: Client) -> None:
    with pytest.raises(UsageError, match="^redis-benchmark, .* cannot load from another machine: wrk can"):
        sites.load(client, RedisBenchmark(), whole(client), "x")


def test_a_histogram_of_all_is_in_order() -> None:
    def result(*histogram: tuple[float, int]) -> LoadResult:
        return LoadResult(1, 1, 1.0, {}, tuple(histogram), ProcStat("", ""))
    both = sites.together([result((1, 2), (9, 1)), result((3, 4), (9, 5))], ProcStat("", ""))
    assert both.latency_us == ((1, 2), (3, 4), (9, 6))


def elsewhere(record: dict[str, Any], busy: float) -> dict[str, Any]:
    """The record as two machines would have made it, each with a CPU 1 like the server's."""
    core = {**record["cpu_seconds"]["0"], "user": 2 * busy, "system": 0.0, "softirq": 0.0, "idle": 2 - 2 * busy}
    return {**record, "cpu_seconds": {"one/1": core, "u@two/1": {**core, "user": 0.0, "idle": 2.0},
                                      "1": record["cpu_seconds"]["1"]}}


def remote_plan() -> Plan:
    return from_json({**synthetic.plan((8,), 1, ("epoll", "lwip")), "client_cpus": [],
                      "clients": {"one": [1], "u@two": [1]}})


@pytest.mark.parametrize("busy, by", [(0.99, "client cpu"), (0.5, "connections")])
def test_cpus_of_equal_number_on_other_machines_are_the_clients(busy: float, by: str) -> None:
    dice, plan = random.Random(1), remote_plan()
    records = [elsewhere(synthetic.trial(dice, name, 8, 0, place), busy)
               for place, name in enumerate(("epoll", "lwip"))]
    summary = summarise(runs.of(plan, synthetic.facts("x", ("epoll", "lwip")), records))
    assert all(note.code != Caveat.SHARED_CPUS for note in summary.caveats)
    cell = summary.points[0].cells["epoll"]
    assert cell.limit.by == by and cell.limit.evidence[0] == Note(
        Evidence.CLIENT_CORE, {"share": busy})
    burned = {role: sum(float(states[key]) for cpu, states in records[0]["cpu_seconds"].items()
                        for key in ("user", "system", "softirq") if ("/" in cpu) == (role == "client"))
              for role in ("client", "server")}
    split = cell.cpu_by_role
    assert split is not None
    assert split["client"] / split["server"] == pytest.approx(burned["client"] / burned["server"], rel=1e-4)


def test_a_run_with_clients_elsewhere_is_reported_and_says_how_to_run_it_again(tmp_path: Path) -> None:
    run = synthetic.write(tmp_path / "run", connections=(8,), rounds=2)
    lines = [json.loads(line) for line in (run / "trials.jsonl").read_text().splitlines()]
    (run / "trials.jsonl").write_text("".join(json.dumps(elsewhere(line, 0.5)) + "\n" for line in lines))
    (run / "plan.json").write_text(json.dumps({**json.loads((run / "plan.json").read_text()), "client_cpus": [],
                                               "clients": {"one": [1], "u@two": [1]}}))
    _, _, files = write_report(run, tmp_path / "out")
    assert {"report.html", "summary.md", "summary.csv"} <= {path.name for path in files}
    assert "CLIENT='ssh:one;ssh:u@two' CLIENT_CPUS=1 SERVER_CPUS=1" in command(load_run(run).plan)


def test_a_lost_line_is_no_fault_of_the_contender(client: Client, here: Path) -> None:
    """An ssh that ends with its own exit code."""
    (here / "bin" / "wrk").write_text("#!/bin/sh\necho 'Connection reset by peer' >&2\nexit 255\n")
    with pytest.raises(MachineError, match="^client .* cannot be reached by ssh: Connection reset by peer; see that"):
        sites.load(client, Wrk(), whole(client), "wrk")
