# SPDX-License-Identifier: BSD-3-Clause
"""`gate`: choose the runs that are compared, write and print the result."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Mapping, Sequence

from harness.cli.trend import alike, stored_runs
from harness.errors import CheckFailed, MachineError, UsageError
from harness.regression import (
    AT_BASE, THRESHOLD, judge, judge_interleaved, load_profile, machine_of, profile_file, readings)
from harness.report import (
    gate_failures, gate_page, interleaved_failures, interleaved_page, write_files)
from harness.store import OUT, RESULTS, Run, disk_reason, find_run, give_to_user, load_run


def show_gate(base: Sequence[str], head: str, threshold: str, results: Path = RESULTS,
              out: Path = OUT) -> None:
    """Compare and print.

    base: names of runs; none where HEAD has its own base, a contender `X@base` beside `X`
    head: a run; "" for the newest of the same kind
    Raises CheckFailed when something got worse, UsageError when the runs do not compare.
    """
    if not base:
        _show_interleaved(head, threshold, results, out)
        return
    before = [load_run(find_run(name, results)) for name in base]
    after = load_run(find_run(head, results)) if head else newest(before, results)
    profile = load_profile(profile_file(after.plan.wire, machine_of(after.facts), results))
    found = judge([readings(run) for run in before], readings(after), _threshold(threshold),
                  profile)
    _tell(out / "-".join(["gate", *found.base, found.head]), gate_page(found),
          gate_failures(found))


def _show_interleaved(head: str, threshold: str, results: Path, out: Path) -> None:
    """Judge the contenders of one run by their bases, which it has too."""
    runs = [load_run(find_run(head, results))] if head else stored_runs(results)
    run = next((run for run in runs
                if any(name.endswith(AT_BASE) for name in run.plan.contenders)), None)
    if run is None:
        raise UsageError('gate: against which run? BASE=<run>, or BASE="<run> <run> …"; without '
                         f"one, HEAD=<run> must have a contender 'X{AT_BASE}' beside 'X'")
    found = judge_interleaved(readings(run), _threshold(threshold))
    _tell(out / f"gate-{found.run}", interleaved_page(found), interleaved_failures(found))


def _tell(place: Path, files: Mapping[str, bytes], failures: Sequence[str]) -> None:
    """Write and print the page. CheckFailed on failures."""
    write_files(place, files)
    give_to_user(place)
    text = files["gate.md"].decode()
    _append(os.environ.get("GITHUB_STEP_SUMMARY", ""), text)
    print(text, end="")
    if failures:
        raise CheckFailed(f"{'; '.join(failures)}; {place / 'gate.md'}")


def newest(base: Sequence[Run], results: Path = RESULTS) -> Run:
    """Return the newest run of BASE's wire and workload: none of them, and no noise run."""
    taken = {run.id for run in base}
    plan = base[0].plan
    found = next((run for run in stored_runs(results)
                  if run.id not in taken and alike(run.plan, plan)), None)
    if found is None:
        raise UsageError(f"gate: no other run of wire '{plan.wire}' and workload "
                         f"'{plan.workload.name}' under {results / 'runs'}: measure one, or give "
                         "HEAD=<run>")
    return found


def _threshold(text: str) -> float:
    """Return percent. UsageError on what is none, or not within 0 to 100."""
    try:
        value = float(text or THRESHOLD)
    except ValueError:
        value = -1.0
    if not 0 <= value < 100:
        raise UsageError(f"THRESHOLD={text}: must be percent, 0 or more and below 100")
    return value


def _append(file: str, text: str) -> None:
    """Append to the summary of a CI job, where one asks for it."""
    if not file:
        return
    try:
        with open(file, "a", encoding="utf-8") as summary:
            summary.write(text)
    except OSError as error:
        raise MachineError(f"GITHUB_STEP_SUMMARY: {disk_reason(error, Path(file))}") from error
