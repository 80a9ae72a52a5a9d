# SPDX-License-Identifier: BSD-3-Clause
"""Runs on a fake machine that is disturbed: what is repeated, kept, counted and said, and how such a run goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Sequence

import pytest

from harness.analyse import summarise
from harness.store import Caveat, Interference, Note, TrialRecord
from harness.report import format as words
from harness.cli.bench import bench
from harness.run import RunRequest
from harness.errors import CheckFailed, Interrupted
from harness.tests.fixtures.serving_host import ServingHost, only_run
from harness.tests.trial.observe.test_interference import stat

# loads one after the other: what disturbs loads in turns is in trial/test_turns.py
SETTINGS = {"TURN": "0", "CONTENDERS": "epoll,lwip", "CONNECTIONS": "8", "ROUNDS": "1", "WARMUP": "0", "CALIBRATE": "no"}


class BusyHost(ServingHost):
    """A machine on which cc1 burns all day during the loads of these numbers, from 1."""

    def __init__(self, *busy: int, interrupt_at: int = 0) -> None:
        super().__init__()
        self.directories.add("/proc/77")
        self.files["/proc/77/stat"] = stat(77, "cc1", 1)
        self.burned = self.loads = 0
        self.busy, self.interrupt_at = busy, interrupt_at
        self.on_load = self._load_began

    def _load_began(self, wrk: Any) -> None:
        self.loads += 1
        if self.loads == self.interrupt_at:
            raise KeyboardInterrupt
        if self.loads in self.busy:
            self.burned += 100_000
            self.files["/proc/77/stat"] = stat(77, "cc1", 1, (self.burned, 0, 0, 0))


def run(host: ServingHost, directory: Path, resume: str = "", **settings: str) -> tuple[TrialRecord, ...]:
    order = RunRequest("tap", "", {}, resume=resume) if resume else RunRequest("tap", "quick", {**SETTINGS, **settings})
    bench(order, host, directory, directory / "out")
    return only_run(directory).trials


def brief(trials: Sequence[TrialRecord]) -> list[tuple[str, int, bool]]:
    return [(trial.contender, trial.attempt, bool(trial.disturbed)) for trial in trials]


def test_nothing_is_repeated_on_a_calm_machine(tmp_path: Path, shown: list[Path]) -> None:
    trials = run(BusyHost(), tmp_path)
    assert brief(trials) == [("epoll", 0, False), ("lwip", 0, False)]


def test_a_disturbed_trial_is_repeated_at_once_and_kept(tmp_path: Path, shown: list[Path],
                                                       capsys: pytest.CaptureFixture[str]) -> None:
    trials = run(BusyHost(1), tmp_path)
    assert brief(trials) == [("epoll", 0, True), ("epoll", 1, False), ("lwip", 0, False)]
    assert [trial.sequence for trial in trials] == [0, 0, 1]
    assert trials[0].disturbed == (Note(Interference.OTHERS, {"share": 1.0, "most": "cc1"}),)
    found = only_run(tmp_path)
    assert sorted(path.name for path in (found.path / "raw").iterdir()) == [
        "0000-epoll-c8-r0", "0000-epoll-c8-r0-a1", "0001-lwip-c8-r0"]
    assert ("[1/2] round 1/1, 8 connections, epoll: disturbed: other programs took 100.0 % of the CPU time, "
            "cc1 the most; it runs again\n") in capsys.readouterr().out


def test_a_machine_that_stays_busy_gets_three_attempts_and_says_so(tmp_path: Path, shown: list[Path]) -> None:
    trials = run(BusyHost(*range(1, 99)), tmp_path)
    assert brief(trials) == [(name, attempt, True) for name in ("epoll", "lwip") for attempt in range(3)]
    found = only_run(tmp_path)
    summary = summarise(found)
    assert summary.attempts and (summary.attempts.attempts, summary.attempts.disturbed) == (6, 6)
    assert (summary.attempts.trials, summary.attempts.stayed) == (2, 2)
    assert summary.points[0].cells["epoll"].trials == 1
    codes = [note.code for note in summary.caveats]
    assert Caveat.DISTURBED in codes and Caveat.INCOMPLETE not in codes


def test_one_attempt_may_be_asked_for(tmp_path: Path, shown: list[Path]) -> None:
    assert brief(run(BusyHost(1, 2), tmp_path, ATTEMPTS="1")) == [("epoll", 0, True), ("lwip", 0, True)]


def test_the_command_to_run_again_says_how_often_where_it_is_not_the_usual(tmp_path: Path, shown: list[Path]) -> None:
    run(BusyHost(), tmp_path / "once", ATTEMPTS="1")
    run(BusyHost(), tmp_path / "usual")
    assert " ATTEMPTS=1" in words.command(only_run(tmp_path / "once").plan)
    assert "ATTEMPTS" not in words.command(only_run(tmp_path / "usual").plan)


def test_an_invalid_trial_is_not_repeated(tmp_path: Path, shown: list[Path]) -> None:
    host = BusyHost(1)

    def fail(report: dict[str, Any]) -> None:
        report["errors"]["read"] = int(host.loads == 0)
    host.report = fail
    with pytest.raises(CheckFailed, match="no valid trial of epoll at 8"):
        run(host, tmp_path)
    trials = only_run(tmp_path).trials
    assert brief(trials) == [("epoll", 0, True), ("lwip", 0, False)] and not trials[0].valid


@pytest.mark.parametrize("interrupted, kept", [(2, 1), (3, 2)])
def test_a_run_interrupted_between_attempts_goes_on_with_the_next(tmp_path: Path, shown: list[Path], interrupted: int,
                                                                kept: int) -> None:
    with pytest.raises(Interrupted, match=r"^interrupted; 1 of 2 trials are kept"):
        run(BusyHost(1, 2, interrupt_at=interrupted), tmp_path)
    found = only_run(tmp_path)
    assert len(found.trials) == kept
    trials = run(BusyHost(), tmp_path, resume=found.id)
    assert brief(trials) == [*[("epoll", attempt, True) for attempt in range(kept)], ("epoll", kept, False),
                             ("lwip", 0, False)]


def test_the_decision_is_the_same_whatever_was_measured(tmp_path: Path, shown: list[Path]) -> None:
    for name, factor in (("slow", 1), ("fast", 50)):
        host = BusyHost(2)

        def scale(report: dict[str, Any], factor: int = factor) -> None:
            for time in ("duration_us", "steady_seconds"):
                report[time] *= factor
        host.report = scale
        assert brief(run(host, tmp_path / name)) == [("epoll", 0, False), ("lwip", 0, True), ("lwip", 1, False)]


def test_a_slower_clock_than_before_at_the_same_load_is_a_disturbance(tmp_path: Path, shown: list[Path]) -> None:
    host, clock = ServingHost(), "/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq"
    host.ticks, seen = 1, [0]

    def tick(wrk: Any) -> None:
        seen[0] += 1
        host.files[clock] = "3000000\n" if seen[0] <= 2 else "2000000\n"
    host.on_tick = tick
    trials = run(host, tmp_path, ROUNDS="2")
    assert [trial.machine.mhz.max for trial in trials[:3] if trial.machine and trial.machine.mhz] == [3000.0, 3000.0, 2000.0]
    assert brief(trials[2:]) == [(name, attempt, True) for name in ("lwip", "epoll") for attempt in range(3)]
    assert trials[2].disturbed == (Note(Interference.CLOCK, {"mhz": 2000.0, "before_mhz": 3000.0}),)
