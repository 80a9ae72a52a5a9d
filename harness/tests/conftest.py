# SPDX-License-Identifier: BSD-3-Clause
"""What several tests of whole runs need."""

from __future__ import annotations

from pathlib import Path
from typing import Sequence

import pytest

import harness.run.request
import harness.cli.report

# with it two contenders at one or two load points alternate, as they do without a seed
SEED = 106


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
