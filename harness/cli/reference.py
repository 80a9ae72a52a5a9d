# SPDX-License-Identifier: BSD-3-Clause
"""Make a run the committed reference run, with the charts that README shows."""

from __future__ import annotations

import shutil
from pathlib import Path

from harness.cli.report import show_run
from harness.errors import UsageError
from harness.store import OUT, RESULTS, load_run

FILES = ("facts.json", "plan.json", "trials.jsonl", "calibration.jsonl", "conformance.json")
CHARTS = ("throughput.png", "gain.png")


def make_reference(name: str, results: Path = RESULTS, out: Path = OUT) -> None:
    """Copy the run of that id in the place of the reference run, and write its report.

    Charts of other runs beside it stay.
    """
    source = results / "runs" / name
    if not name or not (source / "trials.jsonl").is_file():
        raise UsageError(f"no run '{name}' under {results / 'runs'}")
    run, place = load_run(source), results / "reference"
    for before in place.glob("*/"):
        shutil.rmtree(before)
    (place / run.id).mkdir(parents=True)
    for file in FILES:
        if (source / file).is_file():
            shutil.copy(source / file, place / run.id)
    show_run(place / run.id, (), out)
    shutil.copy(out / run.id / "summary.json", place / run.id)
    for file in CHARTS:
        shutil.copy(out / run.id / file, place)
