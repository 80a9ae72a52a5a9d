# SPDX-License-Identifier: BSD-3-Clause
"""Real trials beside a program that burns the server's CPU, and the two bounds on what others ran held against it.

No test here needs a calm machine: what it cannot have is not asked for, but that all that was seen fits together.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

import pytest

from harness.store import Interference, counted, load_run, should_retry
from harness.trial.observe import interference as disturbance
from harness.trial.observe import sampler as sampling
from harness.host import LocalHost
from harness.tests.system.test_bench import harness, run_directory

pytestmark = pytest.mark.exclusive

ONE = ("--plan", "quick", "--set", "CONNECTIONS=8", "--set", "ROUNDS=1", "--set", "DURATION=1",
       "--set", "CONTENDERS=epoll,lwip", "--set", "CALIBRATE=no", "--set", "SEED=106", "--set", "TURN=0")


@contextmanager
def burning(cpu: int) -> Iterator[int]:
    """A program of no use on that CPU; its pid. It is below nobody here: the shell that starts it ends at once."""
    started = subprocess.run(["sh", "-c", 'taskset -c "$0" "$1" -c "while True: pass" > /dev/null & echo $!', str(cpu),
                              sys.executable], stdout=subprocess.PIPE, text=True, check=True)
    pid = int(started.stdout)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)


def test_what_burns_the_servers_cpu_marks_and_repeats_every_trial(tmp_path: Path) -> None:
    with burning(LocalHost().cpus()[-1]):
        done = harness(tmp_path, "bench", "--wire", "tap", *ONE, "--set", "WARMUP=1", "--set", "ATTEMPTS=2")
    assert done.returncode == 0, done.stderr
    trials = load_run(run_directory(tmp_path)).trials
    assert [(trial.contender, trial.attempt) for trial in trials] == [
        (name, attempt) for name in ("epoll", "lwip") for attempt in range(2)]
    for trial in trials:
        assert not trial.problems and trial.machine and trial.steady
        assert trial.machine.others_share > disturbance.MOST_OTHERS_SHARE
        assert Interference.OTHERS in [note.code for note in trial.disturbed]
        # the load was followed on this wire, whatever the contender counts itself
        assert len(trial.steady.requests_per_sec) - trial.steady.warmup_intervals >= 5
    # which may not be all that disturbed it
    assert any("lwip: disturbed: " in line and "other programs took " in line for line in done.stdout.splitlines())
    run = run_directory(tmp_path)
    assert len(list((run / "raw").glob("*-a1"))) == 2
    summary = json.loads((run / "summary.json").read_text())
    assert summary["attempts"]["disturbed"] == 4 and summary["attempts"]["stayed"] == 2
    assert "disturbed" in [note["code"] for note in summary["caveats"]]
    report = (tmp_path / "out" / run.name / "report.html").read_text()
    assert "Disturbed and repeated" in report


def test_whatever_the_machine_does_only_disturbed_trials_are_repeated(tmp_path: Path) -> None:
    done = harness(tmp_path, "bench", "--wire", "tap", *ONE, "--set", "WARMUP=0", "--set", "ATTEMPTS=2",
                   "--set", "REPORT=no")
    assert done.returncode == 0, done.stderr
    trials = load_run(run_directory(tmp_path)).trials
    for before, after in zip(trials, trials[1:]):
        assert (before.key == after.key) is should_retry(before, 2)
    assert not should_retry(trials[-1], 2) and len(counted(trials)) == 2
    assert all(trial.machine and 0 <= share <= 1 for trial in trials if trial.machine
               for share in (trial.machine.steal_share, trial.machine.others_share))


def test_a_burning_program_is_others_and_a_childs_time_is_ours() -> None:
    host = LocalHost()
    cpus = host.cpus()
    with burning(cpus[-1]):
        before = sampling.sample(host, cpus)
        time.sleep(1)
        foreign = disturbance.between(before, sampling.sample(host, cpus), cpus, [])
    before = sampling.sample(host, cpus)
    # below the process that samples, as servers and load tools are
    subprocess.run([sys.executable, "-c", "import time\nwhile time.process_time() < 0.5: pass"], check=True)
    after = sampling.sample(host, cpus)
    grown = sum(seconds for _, seconds in after.work.others.values()) - sum(
        seconds for _, seconds in before.work.others.values())
    assert foreign.others_share > disturbance.MOST_OTHERS_SHARE
    assert after.work.ours - before.work.ours >= 0.45
    # all that ran in that time on any CPU: ours and others, within the ticks that each is counted in
    assert grown + 0.45 <= len(cpus) * (after.at - before.at) * 1.1 + 0.2
