# SPDX-License-Identifier: BSD-3-Clause
"""What several tests of whole runs need."""

from __future__ import annotations

from pathlib import Path
from typing import Sequence

import pytest

import harness.show


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Runs whose report was asked for; no chart is drawn."""
    runs: list[Path] = []

    def show(run_dir: Path, published: Sequence[str], out: Path) -> None:
        runs.append(run_dir)
    monkeypatch.setattr(harness.show, "show_run", show)
    return runs
