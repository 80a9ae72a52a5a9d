# SPDX-License-Identifier: BSD-3-Clause
"""Runs that were interrupted and go on, on a fake host: what is kept, what is refused, what is said."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import harness.run.request
import harness.facts.facts
import harness.trial.trial
from harness.cli.bench import bench
from harness.run import RunRequest
from harness.errors import Interrupted, UsageError
from harness.plan import round_specs
from harness.analyse.stopping_rule import FIRST_LOOK, HELD, look
from harness.store.store import Run
from harness.tests.conftest import SEED
from harness.tests.fixtures.serving_host import ServingHost, at_load, interrupt, only_run

# before a test puts another in its place
DRAW = harness.run.request.draw_seed
ROOT = Path(__file__).resolve().parents[3]
TINY = {"CONNECTIONS": "1,8", "ROUNDS": "2", "CALIBRATE": "no", "CONTENDERS": "epoll,lwip",
        "RESTART": "trial"}
ORDER = RunRequest("tap", "quick", TINY)


@pytest.mark.parametrize("load, kept", [(1, 0), (2, 0), (3, 1), (16, 7)])
def test_an_interrupted_run_keeps_its_trials_and_resume_finishes_it(tmp_path: Path, shown: list[Path],
                                                                    load: int, kept: int) -> None:
    host = ServingHost()
    before = host.state()
    host.on_load = at_load(load, interrupt)
    with pytest.raises(Interrupted, match=rf"^interrupted; {kept} of 8 trials are kept, .*RESUME=.*-tap$"):
        bench(ORDER, host, tmp_path, tmp_path / "out")
    assert host.state() == before and shown == []
    run = only_run(tmp_path)
    assert len(run.trials) == kept

    again = ServingHost()
    bench(RunRequest("tap", "", {}, resume=run.id), again, tmp_path, tmp_path / "out")
    whole = only_run(tmp_path)
    assert [t.sequence for t in whole.trials] == list(range(8))
    assert sum("wrk --threads" in call for call in again.calls if call.startswith("spawn")) == 2 * (8 - kept)
    assert [facts["machine"]["cpu_model"] for facts in whole.facts.raw["resumed"]] == ["Test CPU"]
    assert shown == [whole.path]


def test_resuming_a_whole_run_only_reports(tmp_path: Path, shown: list[Path]) -> None:
    bench(ORDER, ServingHost(), tmp_path, tmp_path / "out")
    idle = ServingHost()
    bench(RunRequest("", "", {}, resume=only_run(tmp_path).id), idle, tmp_path, tmp_path / "out")
    assert idle.calls == [] and len(shown) == 2


@pytest.mark.parametrize("order, words", [
    (RunRequest("tap", "full", {}), "has another plan; to finish it give RESUME="),
    (RunRequest("tap", "", {"ROUNDS": "3"}), "has another plan"),
    (RunRequest("veth-of-mine", "", {}), "no wire 'veth-of-mine'"),
])
def test_resume_refuses_another_plan_or_wire(tmp_path: Path, shown: list[Path], order: RunRequest,
                                             words: str) -> None:
    host = ServingHost()
    host.on_load = at_load(3, interrupt)
    with pytest.raises(Interrupted):
        bench(ORDER, host, tmp_path, tmp_path / "out")
    id_ = only_run(tmp_path).id
    idle = ServingHost()
    with pytest.raises(UsageError, match=words):
        bench(RunRequest(order.wire, order.plan, order.settings, resume=id_), idle, tmp_path, tmp_path / "out")
    assert idle.calls == []
    bench(RunRequest("tap", "quick", TINY, resume=id_), ServingHost(), tmp_path, tmp_path / "out")
    assert len(only_run(tmp_path).trials) == 8


def test_resume_refuses_a_machine_without_the_cpus(tmp_path: Path, shown: list[Path]) -> None:
    host = ServingHost()
    host.on_load = at_load(3, interrupt)
    with pytest.raises(Interrupted):
        bench(ORDER, host, tmp_path, tmp_path / "out")
    small = ServingHost()
    small.cpu_list = [0]
    with pytest.raises(UsageError, match="used CPU 1, which this machine has not"):
        bench(RunRequest("tap", "", {}, resume=only_run(tmp_path).id), small, tmp_path, tmp_path / "out")


def files(directory: Path) -> dict[Path, str]:
    return {path: path.read_text() for path in directory.rglob("*") if path.is_file()}


def cut_short(tmp_path: Path, host: ServingHost) -> Run:
    """A run that was interrupted, and its last line cut in the middle."""
    host.on_load = at_load(5, interrupt)
    with pytest.raises(Interrupted):
        bench(ORDER, host, tmp_path, tmp_path / "out")
    run = only_run(tmp_path)
    stored = run.path / "trials.jsonl"
    stored.write_text(stored.read_text()[:-30])
    return run


@pytest.mark.parametrize("file, text, words", [
    ("/proc/cpuinfo", "model name\t: Other CPU\n", 'machine.cpu_model: "Test CPU" then, "Other CPU" now'),
    ("/proc/sys/kernel/osrelease", "6.2\n", 'kernel.release: "6.1.0-test" then, "6.2" now'),
    (str(ROOT / "build" / "build-info.json"), '{"lwip": "9"}', 'versions.lwip: null then, "9" now'),
])
def test_resume_refuses_another_machine_or_binary(tmp_path: Path, shown: list[Path], file: str, text: str,
                                                  words: str) -> None:
    host = ServingHost()
    host.files.pop(str(ROOT / "build" / "build-info.json"), None)
    run = cut_short(tmp_path, host)
    kept = files(tmp_path)
    other = ServingHost()
    other.files[file] = text
    before = other.state()
    with pytest.raises(UsageError) as caught:
        bench(RunRequest("tap", "", {}, resume=run.id), other, tmp_path, tmp_path / "out")
    assert str(caught.value) == f"run {run.id} was measured with other {words}; start a new run"
    assert files(tmp_path) == kept and other.state() == before and shown == []


def test_resume_refuses_another_build_of_either_end(tmp_path: Path, shown: list[Path]) -> None:
    host = ServingHost()
    host.on_load = at_load(5, interrupt)
    with pytest.raises(Interrupted):
        bench(RunRequest("shm", "quick", TINY), host, tmp_path, tmp_path / "out")
    id_ = only_run(tmp_path).id
    for name in ("lwip_server", "on-lwip", "libstackduel_preload.so"):
        other = ServingHost()
        other.digests[name] = "0ther"
        told = rf"binaries\.programs\.build/{name}\.sha256: .* then, \"0ther\" now; start a new"
        with pytest.raises(UsageError, match=told):
            bench(RunRequest("", "", {}, resume=id_), other, tmp_path, tmp_path / "out")
    bench(RunRequest("", "", {}, resume=id_), ServingHost(), tmp_path, tmp_path / "out")
    whole = only_run(tmp_path)
    assert len(whole.trials) == 8 and all(trial.valid for trial in whole.trials)
    assert set(whole.facts.raw["ports"]) == {"lwip", "lwip client"}


def test_resume_as_a_dry_run_writes_nothing(tmp_path: Path, shown: list[Path]) -> None:
    run = cut_short(tmp_path, ServingHost())
    kept = files(tmp_path)
    idle = ServingHost()
    bench(RunRequest("tap", "", {}, resume=run.id, dry_run=True), idle, tmp_path, tmp_path / "out")
    assert files(tmp_path) == kept and idle.calls == []


def test_resume_says_that_it_drops_a_line_cut_short(tmp_path: Path, shown: list[Path],
                                                    capsys: pytest.CaptureFixture[str]) -> None:
    host = ServingHost()
    host.on_load = at_load(5, interrupt)
    with pytest.raises(Interrupted):
        bench(ORDER, host, tmp_path, tmp_path / "out")
    run = only_run(tmp_path)
    file = run.path / "trials.jsonl"
    file.write_text(file.read_text()[:-30])
    capsys.readouterr()
    bench(RunRequest("tap", "", {}, resume=run.id), ServingHost(), tmp_path, tmp_path / "out")
    assert "trials.jsonl:2: the last line is cut short: dropped" in capsys.readouterr().err
    assert len(only_run(tmp_path).trials) == 8


# three rounds at least; in the fake host every contender answers as fast as the other, to the last digit
RULE = RunRequest("tap", "quick", {"CONTENDERS": "epoll,lwip", "CONNECTIONS": "1,8", "ROUNDS": "3", "PRECISION": "3",
                             "CALIBRATE": "no", "RESTART": "trial"})


def test_rounds_go_on_until_the_gains_are_known(tmp_path: Path, shown: list[Path],
                                                capsys: pytest.CaptureFixture[str]) -> None:
    bench(RULE, ServingHost(), tmp_path, tmp_path / "out")
    run = only_run(tmp_path)
    rounds = FIRST_LOOK + HELD
    assert [t.sequence for t in run.trials] == list(range(4 * rounds))
    assert [(t.contender, t.point.connections) for t in run.trials] == [
        (spec.contender, spec.connections) for round_ in range(rounds) for spec in round_specs(run.plan, round_)]
    out = capsys.readouterr().out
    assert f"order of the trials: SEED={SEED}\nat least 3 rounds, until every gain is known to ±3 %\n" in out
    assert (f"{rounds} rounds: every gain is known to ±3 %; half of the gains are known to ±0 % or "
            "better, the least known one to ±0 % (lwip at ") in out
    idle = ServingHost()
    bench(RunRequest("", "", {}, resume=run.id), idle, tmp_path, tmp_path / "out")
    assert idle.calls == []


@pytest.mark.parametrize("load, kept, planned", [(6, 2, 12), (26, 12, 12), (29, 14, 16), (33, 16, 16)])
def test_a_run_with_a_rule_goes_on_as_it_would_have(tmp_path: Path, shown: list[Path], load: int, kept: int,
                                                    planned: int) -> None:
    """Interrupted in the rounds that come in any case, between two rounds, and in one that the rule began."""
    whole = tmp_path / "whole"
    bench(RULE, ServingHost(), whole, tmp_path / "out")
    host = ServingHost()
    host.on_load = at_load(load, interrupt)
    cut = tmp_path / "cut"
    with pytest.raises(Interrupted, match=f"; {kept} of at least {planned} trials are kept"):
        bench(RULE, host, cut, tmp_path / "out")
    bench(RunRequest("tap", "quick", RULE.settings, resume=only_run(cut).id), ServingHost(), cut, tmp_path / "out")

    def order(results: Path) -> list[tuple[int, str, int]]:
        return [(t.sequence, t.contender, t.point.connections) for t in only_run(results).trials]
    assert order(cut) == order(whole)


def test_a_budget_counts_what_the_sessions_before_have_spent(tmp_path: Path, shown: list[Path],
                                                             monkeypatch: pytest.MonkeyPatch) -> None:
    now = [datetime(2026, 1, 2, 3, 4, 5)]

    def later() -> str:
        now[0] += timedelta(seconds=4)
        return f"{now[0]:%Y-%m-%dT%H:%M:%SZ}"
    monkeypatch.setattr(harness.trial.trial, "now", later)
    monkeypatch.setattr(harness.facts.facts, "now", later)
    dice = random.Random(2)

    def unsteady(report: dict[str, Any]) -> None:
        report["duration_us"] = round(report["duration_us"] * dice.uniform(0.96, 1.04))
    host = ServingHost()
    host.report = unsteady
    # a round takes 16 s: six of them, the first two in another session a day before
    order = RunRequest("tap", "quick", {**RULE.settings, "BUDGET": "100"})
    host.on_load = at_load(17, interrupt)
    with pytest.raises(Interrupted):
        bench(order, host, tmp_path, tmp_path / "out")
    now[0] += timedelta(days=1)
    again = ServingHost()
    again.report = unsteady
    bench(RunRequest("tap", "", {}, resume=only_run(tmp_path).id), again, tmp_path, tmp_path / "out")
    run = only_run(tmp_path)
    assert len(run.trials) == 6 * 4
    seen = look(run.plan, run.trials, run.facts.sessions)
    assert (seen.stop, seen.spent_seconds) == ("budget", 96)


def test_a_new_seed_is_drawn_for_every_run_and_kept_by_resume(tmp_path: Path, shown: list[Path]) -> None:
    assert len({DRAW() for _ in range(100)}) == 100 and all(1 <= DRAW() < 1 << 32 for _ in range(100))
    host = ServingHost()
    host.on_load = at_load(3, interrupt)
    with pytest.raises(Interrupted):
        bench(RunRequest("tap", "quick", {**TINY, "SEED": "77"}), host, tmp_path, tmp_path / "out")
    run = only_run(tmp_path)
    assert run.plan.seed == 77
    with pytest.raises(UsageError, match="has another plan"):
        bench(RunRequest("tap", "quick", {**TINY, "SEED": "78"}, resume=run.id), ServingHost(), tmp_path, tmp_path / "out")
    bench(RunRequest("tap", "quick", TINY, resume=run.id), ServingHost(), tmp_path, tmp_path / "out")
    assert only_run(tmp_path).plan.seed == 77
