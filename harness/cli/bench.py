# SPDX-License-Identifier: BSD-3-Clause
"""Measure and report: one run, or one for each workload of a wire that has several."""

from __future__ import annotations

import sys
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Iterator, Sequence

from harness.errors import CheckFailed, StackduelError
from harness.host import Host
from harness.run import (
    RunRequest, Words, by_workload, code_text, listed, measure, point_text, stopped)
from harness.store import OUT, RESULTS, Run, counted


def bench(request: RunRequest, host: Host, results: Path = RESULTS, out: Path = OUT,
          published: Sequence[str] = (), report: bool = True) -> None:
    """Measure and report all that is asked for; of several runs also their comparison.

    A run with a precision is reported as soon as it has the rounds of its plan, and again after
    each further one. Errors end it early, with what was measured kept and reported. CheckFailed,
    after the reports, when a contender has no valid trial at some load point.
    """
    failed: list[str] = []
    paths: list[str] = []
    # where nothing is reported, what makes sentences need not be there
    words: Words = code_text
    if report:
        from harness.report import note_text as words
    for item in by_workload(request):
        shown = _Shown(published, out) if report else None
        with _reported(shown):
            run = measure(item, host, results, shown.after_round if shown else lambda _: None,
                          words)
        if run is None:
            continue
        paths.append(str(run.path))
        if why := stopped(run):
            print(words(why), flush=True)
        if shown:
            from harness.cli.report import show_run
            show_run(run.path, published, out)
        else:
            print(f"measured: {run.path}; its report: make report RUN={run.id}", file=sys.stderr)
        failed += _invalid(run, out / run.id, words)
    if len(paths) > 1 and report:
        from harness.cli.report import show_comparison
        show_comparison(paths, published, out)
    if failed:
        raise CheckFailed("; ".join(failed))


@dataclass
class _Shown:
    """The report of a run that goes on."""

    published: Sequence[str]
    out: Path
    runs: list[Run] = field(default_factory=list)

    def after_round(self, run: Run) -> None:
        """Show the first report whole, and write each further one in its place."""
        # charts take long to import, and not every machine that measures has what they need
        from harness.cli.report import show_run
        if self.runs:
            with redirect_stdout(StringIO()):
                show_run(run.path, self.published, self.out)
        else:
            show_run(run.path, self.published, self.out)
            print("first report; it is refined until every gain is known well enough or the budget "
                  "is spent. Ctrl-C leaves it as of the last round.", flush=True)
        self.runs.append(run)


@contextmanager
def _reported(shown: _Shown | None) -> Iterator[None]:
    """Where a run that was reported already ends early, report what it has by then."""
    try:
        yield
    except StackduelError:
        if shown and shown.runs:
            from harness.cli.report import show_run
            show_run(shown.runs[-1].path, shown.published, shown.out)
        raise


def _invalid(run: Run, report: Path, words: Words) -> list[str]:
    """Return a line where a contender has trials at a load point, and not one that counts."""
    cells: dict[tuple[str, str], list[bool]] = {}
    for trial in counted(run.trials):
        at = trial.contender, point_text(trial.point, run.plan)
        cells.setdefault(at, []).append(trial.valid)
    bad = [f"{name} at {point}" for (name, point), valid in cells.items() if not any(valid)]
    if not bad:
        return []
    first = next(trial for trial in run.trials
                 if f"{trial.contender} at {point_text(trial.point, run.plan)}" == bad[0])
    return [f"no valid trial of {', '.join(bad)} ({listed(first.problems, words)}); the report is "
            f"in {report}"]
