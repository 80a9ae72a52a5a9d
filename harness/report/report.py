# SPDX-License-Identifier: BSD-3-Clause
"""Make the report of a run: HTML page, Markdown summary, CSV, charts. Knows no clock, no machine.

Every byte follows from the run's files and the published figures asked for: writing twice gives the
same.
"""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any, Mapping, Sequence

from harness.analyse import HELD, LEAST_TO_RESAMPLE, SCHEMA, Summary, summarise
from harness.plan import Published, load_published
from harness.store import REFERENCE, Run, load_run, to_json, write_file
from harness.errors import MachineError, UsageError
from harness.report.baselines import kernel_servers
from harness.report.charts.base import pictures
from harness.report.figures import draw
from harness.report.format import command, places
from harness.report.papers import SEED, Comparison, compare
from harness.report.tables import floor_table, gains_table, summary_table
from harness.report.templates import aligned, macro, render


def write_report(run_dir: Path, out: Path,
                 names: Sequence[str] = ()) -> tuple[Run, Summary, list[Path]]:
    """Write the report of a run to `out`, and its summary.json beside the run.

    The committed reference is only read: what a report wrote there would change a clone.
    Returns run, summary and the report's files. Raises UsageError on a foreign run or an unknown
    publication, MachineError if `out` cannot be written.
    """
    run, summary = loaded(run_dir)
    if not run.trials:
        raise UsageError(f"run {run.id} has no trial yet; RESUME={run.id} runs them")
    names = names or ([run.plan.paper] if run.plan.paper else [])
    files = build(run, summary, [load_published(name) for name in names])
    if REFERENCE not in run_dir.resolve().parents:
        _keep_summary(run_dir / "summary.json", files["summary.json"])
    return run, summary, write_files(out, files)


def loaded(run_dir: Path) -> tuple[Run, Summary]:
    """Return a run and its summary. Raises UsageError on a foreign run."""
    run = load_run(run_dir)
    return run, summarise(run)


def build(run: Run, summary: Summary, published: Sequence[Published]) -> dict[str, bytes]:
    """Return every file of the report by its name."""
    title = run.facts.wire.title
    files, charts = pictures(draw(summary, title, published))
    context = {
        "summary": summary, "facts": run.facts.raw, "plan": run.plan, "trials": run.trials,
        "published": published, "charts": charts, "at": places(summary), "comparisons": comparisons(run, summary, published),
        "command": command(run.plan, run.facts.nic.order), "rounds_held": HELD,
        "bootstrap_from": LEAST_TO_RESAMPLE,
        "conformance": run.conformance,
        "several_kernels": len(kernel_servers(summary)) > 1 and bool(summary.points)
        and not summary.ablation,
    }
    files["summary.json"] = (json.dumps(
        {"schema": SCHEMA, **to_json(summary)}, indent=1, sort_keys=True, ensure_ascii=False,
        allow_nan=False) + "\n").encode()
    files["report.html"] = render("report.html.j2", context)
    files["summary.md"] = render("summary.md.j2", context)
    files["summary.csv"] = summary_table(summary)
    if gains := gains_table(summary):
        files["gains.csv"] = gains
    if floors := floor_table(summary):
        files["floor.csv"] = floors
    return files


def comparisons(run: Run, summary: Summary, published: Sequence[Published]) -> list[Comparison]:
    """Compare the run with each requested paper; NIC runs are always compared with the seed's."""
    if summary.ablation or summary.open_loop:
        return []
    wanted = published or ([load_published(SEED)] if summary.wire == "nic" else [])
    return [compare(run, summary, other) for other in wanted]


def terminal_lines(run: Run, summary: Summary) -> list[str]:
    """Return what a terminal shows of a run: its gains, and the paper that it was made after."""
    lines = macro("words.j2", "banner", [summary])
    if summary.ablation:
        for point in summary.ablation:
            lines += [*macro("terminal.j2", "optimisations_title", point),
                      *aligned(macro("terminal.j2", "optimisations", point))]
    elif summary.open_loop:
        lines += aligned(macro("terminal.j2", "offered", summary))
        lines += [line.partition("¶")[0] for line in macro("headline.j2", "results", summary)]
    else:
        lines += aligned(macro("terminal.j2", "gains", summary))
    if not summary.ablation:
        lines += macro("conformance.j2", "brief", summary)
    if run.plan.paper:
        paper = compare(run, summary, load_published(run.plan.paper))
        lines += macro("terminal.j2", "paper", paper)
    return lines


def write_files(out: Path, files: Mapping[str, bytes]) -> list[Path]:
    """Write every file whole into the directory `out`. Raises MachineError if the disk refuses."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MachineError(f"{out}: cannot write the report: {error.strerror or error}") from error
    for name, data in files.items():
        write_file(out / name, data)
    return [out / name for name in sorted(files)]


def _keep_summary(path: Path, data: bytes) -> None:
    """Keep summary.json beside the run; one that may not be written is still reported."""
    if path.is_file() and path.read_bytes() == data:
        return
    try:
        write_file(path, data)
    except MachineError as error:
        cause = error.__cause__
        if not isinstance(cause, OSError) or cause.errno not in (
                errno.EACCES, errno.EPERM, errno.EROFS):
            raise
