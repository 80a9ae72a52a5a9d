# SPDX-License-Identifier: BSD-3-Clause
"""The command trend: which runs, its page and bad usage."""

from __future__ import annotations
import json
import math
from dataclasses import replace
from pathlib import Path
import numpy as np
import pytest
from harness.report import trend_page
from harness.cli.main import main
from harness.errors import UsageError
from harness.regression import GAIN, RATE, Readings, follow
from harness.tests.fixtures import noisy_runs
from harness.tests.fixtures import synthetic
from harness.tests.fixtures.fake_host import FakeHost
from harness.cli.trend import chosen, show_trend


LIKE = noisy_runs.measured()


def history(count: int, at: int = 0, fall: float = 0.0, seed: int = 1) -> list[Readings]:
    """Runs of which the lwip server is slower by `fall` from number `at` on; in no order."""
    dice = np.random.default_rng(seed)
    found = []
    for number in range(count):
        effect = {(RATE, "lwip"): math.log1p(-fall)} if at and number >= at else {}
        run = noisy_runs.draw(LIKE, dice, f"run-{number:02d}", run_sd=0.005, effect=effect)
        facts = {**run.facts, "git": {"revision": f"{number:040x}", "dirty": False}}
        found.append(replace(run, started_at=f"2026-01-{number + 1:02d}T00:00:00Z", facts=facts))
    return found[::-1]


def test_the_page_has_every_run_with_its_revision() -> None:
    files = trend_page(follow(history(20, 12, 0.08)))
    page, text = files["trend.html"].decode(), files["trend.md"].decode()
    assert f"{12:040x}"[:12] in page and "between <code>run-11</code> and <code>run-12</code>" in page
    assert "| run-12 | 2026-01-13T00:00:00Z | 000000000000 | lwip/epoll |" in text and text.count("| run-") == 20
    assert "**lwip/epoll** changed by −" in text
    assert files["trend.png"].startswith(b"\x89PNG") and json.loads(files["trend.json"])["schema"] == 2
    assert files == trend_page(follow(history(20, 12, 0.08)))


def legend(runs: list[Readings], metric: str) -> str:
    return trend_page(follow(runs, metric))["trend.svg"].decode()


def test_the_legend_names_what_is_marked() -> None:
    assert "<!-- changed here -->" in legend(history(20, 12, 0.08), GAIN)
    assert "<!-- changed here -->" not in legend(history(6), RATE)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for number in range(1, 5):
        id_ = f"2026010{number}-000000-tap"
        synthetic.write(tmp_path / "runs" / id_, run=id_, seed=number)
    noise = "20260105-000000-tap-noise"
    synthetic.write(tmp_path / "runs" / noise, run=noise, contenders=("epoll", "epoll-again"))
    return tmp_path


def test_the_last_runs_are_the_newest_of_their_wire_without_noise_runs(results: Path) -> None:
    assert [run.id for run in chosen(["last", "2"], "", results)] == ["20260104-000000-tap", "20260103-000000-tap"]
    assert len(chosen(["last", "9"], "tap", results)) == 4
    with pytest.raises(UsageError, match="no run of wire 'afxdp'"):
        chosen(["last", "2"], "afxdp", results)
    with pytest.raises(UsageError, match="'last' needs a number"):
        chosen(["last", "few"], "", results)


def test_the_command_writes_and_prints(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show_trend(["last", "4"], "p99", "64", "", "", results, tmp_path / "out")
    out = capsys.readouterr().out
    assert "p99 of 4 runs on wire tap, rps, 64 connections" in out and out.count("| 2026010") == 8
    place = tmp_path / "out" / "trend-p99-64-20260104-000000-tap"
    assert sorted(path.name for path in place.iterdir()) == [
        f"trend.{kind}" for kind in ("html", "json", "md", "png", "svg")]


@pytest.mark.parametrize("arguments, words", [
    (["reference"], "two or more different runs"), (["reference", "--point", "x"], "POINT=x"),
    (["nowhere"], "no run 'nowhere'"),
])
def test_bad_usage_is_one_line(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trend", *arguments], FakeHost()) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and words in error
