# SPDX-License-Identifier: BSD-3-Clause
"""What several tests of whole runs need, and of whole reports."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Sequence

import pytest
from matplotlib.figure import Figure

import harness.run.request
import harness.cli.report
import harness.trial.turns

# with it two contenders at one or two load points alternate, as they do without a seed
SEED = 106
PNG = b"\x89PNG\r\n\x1a\n"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "png: looks at the pixels or bytes of pictures")
    # a test that calls make is no part of the make that called pytest
    for name in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS"):
        os.environ.pop(name, None)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name a parameter of bytes by its argument: compressed data holds the time it was made.

    Every process of pytest-xdist must collect the same names.
    """
    return argname if isinstance(val, bytes) else None


@pytest.fixture(autouse=True)
def drawn_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw each chart of a report as SVG alone, unless the test looks at its PNG too.

    Both are drawn from one figure by the same code of matplotlib, down to the last step.
    """
    if request.node.get_closest_marker("png"):
        return
    save = Figure.savefig

    def savefig(figure: Figure, to: Any, format: str, **options: Any) -> None:
        if format == "png":
            to.write(PNG)
        else:
            save(figure, to, format=format, **options)
    monkeypatch.setattr(Figure, "savefig", savefig)


@pytest.fixture(autouse=True)
def quick_turns(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loads that take turns on a fake host take no time."""
    if "system" not in request.path.parts:
        monkeypatch.setattr(harness.trial.turns, "sleep", lambda seconds: None)


@pytest.fixture(autouse=True)
def drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """The order of every run is known."""
    monkeypatch.setattr(harness.run.request, "draw_seed", lambda: SEED)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Runs whose report was asked for; no chart is drawn."""
    runs: list[Path] = []

    def show(run_dir: Path, published: Sequence[str], out: Path) -> None:
        runs.append(run_dir)
    monkeypatch.setattr(harness.cli.report, "show_run", show)
    return runs
