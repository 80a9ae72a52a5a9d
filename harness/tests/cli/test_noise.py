# SPDX-License-Identifier: BSD-3-Clause
"""The command noise: runs, pages, the profile and bad usage."""

from __future__ import annotations
import json
from dataclasses import replace
from pathlib import Path
from typing import Any
import pytest
from harness.regression import noise
from harness.regression import noise_profile
from harness.cli.main import main
from harness.cli.bench import bench
from harness.run import RunRequest
from harness.errors import CheckFailed, Interrupted
from harness.cli.noise import noise_run, show_noise
from harness.regression import RATE, Readings, readings
from harness.store.store import Run, load_run
from harness.tests.fixtures import synthetic
from harness.tests.fixtures.fake_host import FakeHost
from harness.tests.fixtures.serving_host import ServingHost, at_load, interrupt, only_run
from harness.plan import pairs


NAMES = ("epoll", "epoll#2")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """15 rounds at 4 load points: 12 comparisons of 5."""
    return load_run(synthetic.write(tmp_path / "20260102-030405-tap-noise", run="20260102-030405-tap-noise", rounds=15,
                                    contenders=NAMES, seed=1))


def test_a_noise_run_is_measured_as_any_run(tmp_path: Path) -> None:
    host = ServingHost()
    before = host.state()
    run = noise_run("tap", "quick", {"CONTENDERS": "epoll", "ROUNDS": "2"}, 10, host, tmp_path, tmp_path / "out")
    assert run.id.endswith("-tap-noise") and run.plan.contenders == NAMES
    # 4 load points: three comparisons each make the 10
    assert run.plan.rounds == 6 and len(run.trials) == 6 * 4 * 2 and host.state() == before
    assert {trial.contender for trial in run.trials} == set(NAMES)
    assert load_run(run.path).facts.raw["noise"] == {"rounds": 2, "precision_percent": 0}
    started = [call for call in host.calls if call.startswith("spawn") and "epoll_server" in call]
    assert len(started) == 2 * run.plan.rounds


def test_a_noise_run_that_was_interrupted_goes_on(tmp_path: Path, shown: list[Path]) -> None:
    host = ServingHost()
    host.on_load = at_load(5, interrupt)
    with pytest.raises(Interrupted):
        noise_run("tap", "quick", {"CONTENDERS": "lwip", "ROUNDS": "2", "TURN": "0"}, 4, host, tmp_path, tmp_path / "out")
    begun = only_run(tmp_path)
    bench(RunRequest("", "", {}, resume=begun.id), ServingHost(), tmp_path, tmp_path / "out")
    assert len(only_run(tmp_path).trials) == 16 and only_run(tmp_path).plan.contenders == ("lwip", "lwip#2")


def faster(run: Run) -> Readings:
    found = readings(run)
    return replace(found, values={**found.values, (RATE, "epoll#2"): 2 * found.values[RATE, "epoll#2"]})


def test_the_page_and_the_profile_are_written(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        show_noise(run, "5", tmp_path / "results", tmp_path / "out")
    out = capsys.readouterr().out
    assert "epoll: 5 rounds show a change of " in out and "simulated: " in out
    place = tmp_path / "out" / f"noise-{run.id}"
    page = (place / "noise.html").read_text()
    assert "12 comparisons of 5 rounds" in page and "mean of all" in page
    assert "this machine's profile has 1 session" in page
    assert json.loads((place / "noise.json").read_text())["measured"]["comparisons"] == 12
    (file,) = (tmp_path / "results" / "noise").iterdir()
    assert file.name.startswith("tap-")
    profile = noise_profile.load(file)
    assert profile and [each.run for each in profile.sessions] == [run.id]
    assert profile.sessions[0].pairs["epoll#2/epoll"][RATE].round_sd[0] == pytest.approx(0.057, rel=0.6)


def test_a_machine_that_calls_too_much_fails_the_command(run: Run, tmp_path: Path,
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.cli.noise.readings", faster)
    with pytest.raises(CheckFailed, match=r"called different, more than 5 % allow"):
        show_noise(run, "5", tmp_path / "results", tmp_path / "out")


@pytest.mark.parametrize("arguments, words", [
    (["--comparisons", "0"], "COMPARISONS=0"), (["--run", "reference"], "how many rounds a comparison has"),
    (["--wire", "tap", "--set", "CONTENDERS=nobody"], "has no contender 'nobody'"),
    (["--wire", "tap", "--set", "ROUNDS=1"], "needs 2 rounds"),
    (["--wire", "tap", "--set", "PRECISION=2"], "PRECISION is not a setting of noise; bench, reproduce take it"),
])
def test_bad_usage_is_one_line(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["noise", *arguments], FakeHost()) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and words in error
