# SPDX-License-Identifier: BSD-3-Clause
"""`make gate`: which runs are compared, and what is said of it: Markdown, JSON, the summary of a CI job.

Knows files and no statistics.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Mapping, Sequence

from harness.regression import gate
from harness.regression import noise_profile
from harness.report import report
from harness.report import format as words
from harness.errors import CheckFailed, MachineError, UsageError
from harness.plan import Plan
from harness.regression.paired_logs import COST, RATE, readings
from harness.store.store import OUT, RESULTS, Run, disk_reason, find_run, give_to_user, load_run
from harness.plan import pairs

_FIGURES = {RATE: "requests/s", COST: "server cost a request"}


def show_gate(base: Sequence[str], head: str, threshold: str, results: Path = RESULTS, out: Path = OUT) -> None:
    """Compares and prints; `base`: names of runs, each maybe several; empty `head`: the newest run of the same kind.

    Raises CheckFailed when something got worse, UsageError when the runs do not compare.
    """
    names = [name for words_ in base for name in words_.split()]
    if not names:
        raise UsageError('gate: against which run? BASE=<run>, or BASE="<run> <run> …"')
    before = [load_run(find_run(name, results)) for name in names]
    after = load_run(find_run(head, results)) if head else newest(before, results)
    limit = _threshold(threshold)
    profile = noise_profile.load(noise_profile.place(after.plan.wire, noise_profile.machine(after.facts), results))
    found = gate.gate([readings(run) for run in before], readings(after), limit, profile)
    text = markdown(found)
    place = out / "-".join(["gate", *found["base"], found["head"]])
    report.write_files(place, {"gate.md": text.encode(), "gate.json": (json.dumps(found, indent=1) + "\n").encode()})
    give_to_user(place)
    _append(os.environ.get("GITHUB_STEP_SUMMARY", ""), text)
    print(text, end="")
    if not found["passed"]:
        raise CheckFailed(f"{'; '.join(row['told'] for row in found['tests'] if row['result'] == gate.WORSE)}; "
                          f"{place / 'gate.md'}")


def newest(base: Sequence[Run], results: Path = RESULTS) -> Run:
    """The newest run of the wire and workload of BASE that is none of them, and no noise run. UsageError if none."""
    taken = {run.id for run in base}
    plan = base[0].plan
    for path in sorted((results / "runs").glob("*"), reverse=True):
        if path.name not in taken and (path / "trials.jsonl").is_file():
            run = load_run(path)
            if _alike(run.plan, plan) and run.id not in taken and run.trials and not pairs(run.plan.contenders):
                return run
    raise UsageError(f"gate: no other run of wire '{plan.wire}' and workload '{plan.workload.name}' under "
                     f"{results / 'runs'}: measure one, or give HEAD=<run>")


def _alike(one: Plan, other: Plan) -> bool:
    return (one.wire, one.workload, one.offered) == (other.wire, other.workload, other.offered)


def _threshold(text: str) -> float:
    """Percent. UsageError on what is none, or not within 0 to 100."""
    try:
        value = float(text or gate.THRESHOLD)
    except ValueError:
        value = -1.0
    if not 0 <= value < 100:
        raise UsageError(f"THRESHOLD={text}: must be percent, 0 or more and below 100")
    return value


def _append(file: str, text: str) -> None:
    """To the summary of a CI job, where one asks for it."""
    if not file:
        return
    try:
        with open(file, "a", encoding="utf-8") as summary:
            summary.write(text)
    except OSError as error:
        raise MachineError(f"GITHUB_STEP_SUMMARY: {disk_reason(error, Path(file))}") from error


def markdown(found: Mapping[str, Any]) -> str:
    """gate.md"""
    return report.render("gate.md.j2", {
        "gate": found, "words": words, "figures": _FIGURES, "percent": _percent, "p": _p,
        "pooled": [row for row in found["tests"] if row["pooled"]],
        "single": [row for row in found["tests"] if not row["pooled"]],
        "worse": [row for row in found["tests"] if row["result"] == gate.WORSE],
        "other": [row for row in found["tests"] if row["result"] == gate.OTHER]}).decode()


def _percent(value: float) -> str:
    return f"{value:+.1f} %".replace("-", "−")


def _p(value: float) -> str:
    return "<0.0001" if value < 0.0001 else f"{value:.2g}"
