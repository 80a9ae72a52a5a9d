# SPDX-License-Identifier: BSD-3-Clause
"""The command trend: which runs, its page and bad usage."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.cli.main import main
from harness.cli.trend import chosen, show_trend
from harness.errors import UsageError
from harness.regression import RATE, Trend, follow
from harness.report import trend_page
from harness.report.charts import base as charts
from harness.report.charts import trend as chart
from harness.report.charts.base import Frame
from harness.tests.fixtures import synthetic
from harness.tests.fixtures.fake_host import FakeHost
from harness.tests.regression.test_trend import history


def test_the_page_has_every_run_with_its_revision() -> None:
    files = trend_page(follow(history(20, 12, 0.08)))
    page, text = files["trend.html"].decode(), files["trend.md"].decode()
    assert f"{12:040x}"[:12] in page and "between <code>run-11</code> and <code>run-12</code>" in page
    assert "| run-12 | 2026-01-13T00:00:00Z | 000000000000 | lwip/epoll |" in text and text.count("| run-") == 20
    assert "**lwip/epoll** changed by −" in text
    assert files["trend.png"].startswith(b"\x89PNG") and json.loads(files["trend.json"])["schema"] == 2
    assert files == trend_page(follow(history(20, 12, 0.08)))


def drawn(found: Trend) -> str:
    with charts.styled():
        figure = chart.draw(found, "Gain", Frame("note"))
    return " ".join(text.get_text() for text in figure.legends[0].get_texts())


def test_the_legend_names_what_is_marked() -> None:
    assert drawn(follow(history(20, 12, 0.08))) == "lwip/epoll changed here"
    assert drawn(follow(history(6), RATE)) == "epoll lwip"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for number in range(1, 5):
        id_ = f"2026010{number}-000000-tap"
        synthetic.write(tmp_path / "runs" / id_, run=id_, seed=number)
    noise = "20260105-000000-tap-noise"
    synthetic.write(tmp_path / "runs" / noise, run=noise, contenders=("epoll", "epoll#2"))
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
