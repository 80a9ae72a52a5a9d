# SPDX-License-Identifier: BSD-3-Clause
"""The summary of a CI job: 60 lines at most, whatever was measured."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Callable

import pytest

from harness.analyse import Summary
from harness.plan import load_published
from harness.report.report import build, loaded
from harness.report import report
from harness.store import Run, find_run
from harness.tests.fixtures import synthetic, synthetic_nic, synthetic_open, synthetic_own

EIGHT = (1, 2, 4, 8, 16, 32, 64, 128)
FIVE = ("epoll", "uring", "nginx", "minimal", "lwip")


MADE: dict[str, Callable[[Path], Path]] = {
    "tap": lambda path: Path(shutil.copytree(find_run("reference"), path)),
    "shm": lambda path: synthetic.write(path, own_clients=("lwip",)),
    "many": lambda path: synthetic.write(path, contenders=FIVE, connections=EIGHT, rounds=3),
    "open": synthetic_open.write, "ablate": synthetic_own.climb, "scale": synthetic_own.scale,
    "nic": synthetic_nic.write, "single": lambda path: synthetic.write(path, contenders=("epoll",))}


def of(run: Run, summary: Summary, *papers: str) -> list[str]:
    return build(run, summary, [load_published(name) for name in papers])["summary.md"].decode().splitlines()


@pytest.fixture(autouse=True)
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """No picture is looked at here."""
    monkeypatch.setattr(report, "pictures", lambda _: ({}, {}))


@pytest.mark.parametrize("kind", MADE)
def test_it_has_sixty_lines_at_most_with_result_how_sure_and_three_reservations(kind: str, tmp_path: Path) -> None:
    found, summary = loaded(MADE[kind](tmp_path / "run"))
    lines = of(found, summary, *(["tinyhttpd-lwip-dpdk"] if kind == "tap" else []))
    assert 10 <= len(lines) <= 60
    text = "\n".join(lines)
    assert "No interval covers what lasts for a whole run." in text and "`report.html`" in lines[-1]
    said = [line for line in lines if line.startswith("> ")]
    assert len(said) == min(3, len(summary.caveats)) + (len(summary.caveats) > 3)


def test_more_load_points_than_there_is_room_for_are_counted(tmp_path: Path) -> None:
    many = tuple(range(1, 31))
    lines = of(*loaded(synthetic.write(tmp_path / "run", contenders=FIVE, connections=many, rounds=2)))
    assert len(lines) <= 60 and "20 more load points in `summary.csv`." in lines
