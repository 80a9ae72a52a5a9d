# SPDX-License-Identifier: BSD-3-Clause
"""`trend`: choose runs, write and print the page of a figure over them."""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path
from typing import Iterator, Sequence

from harness.errors import UsageError
from harness.plan import Plan, pairs
from harness.regression import GAIN, follow, readings
from harness.report import trend_page, write_files
from harness.store import OUT, RESULTS, Run, find_run, give_to_user, load_run


def show_trend(names: Sequence[str], metric: str, point: str, contender: str, wire: str = "",
               results: Path = RESULTS, out: Path = OUT) -> None:
    """Write the page and print its table. `names`: runs, or "last" and how many."""
    if point and not point.isdecimal():
        raise UsageError(f"POINT={point}: must be a number of connections")
    runs = [readings(run) for run in chosen(names, wire, results)]
    found = follow(runs, metric or GAIN, int(point) if point else None, contender)
    place = out / "-".join(["trend", found.metric.replace("_", "-"), *([point] if point else []),
                            found.runs[-1].run])
    files = trend_page(found)
    write_files(place, files)
    give_to_user(place)
    print(files["trend.md"].decode(), end="")
    print(place / "trend.html")


def chosen(names: Sequence[str], wire: str, results: Path = RESULTS) -> list[Run]:
    """Return the runs; "last N": the newest N of the wire (of the newest run's) and workload."""
    if not names or names[0] != "last":
        return [load_run(find_run(name, results)) for name in names]
    if len(names) != 2 or not re.fullmatch(r"[1-9][0-9]{0,3}", names[1]):
        raise UsageError("RUNS: 'last' needs a number, as in RUNS=\"last 20\"")
    runs = (run for run in stored_runs(results)
            if not run.plan.offered and wire in ("", run.plan.wire))
    newest = next(runs, None)
    if newest is None:
        raise UsageError(f"no run{f' of wire {wire!r}' if wire else ''} under {results / 'runs'}")
    before = (run for run in runs if alike(run.plan, newest.plan))
    return [newest, *islice(before, int(names[1]) - 1)]


def stored_runs(results: Path) -> Iterator[Run]:
    """Yield the runs that have trials, the newest first; no noise run."""
    for path in sorted((results / "runs").glob("*"), reverse=True):
        if (path / "trials.jsonl").is_file():
            run = load_run(path)
            if run.trials and not pairs(run.plan.contenders):
                yield run


def alike(one: Plan, other: Plan) -> bool:
    """Tell whether two plans measure the same workload on the same wire."""
    return (one.wire, one.workload, one.offered) == (other.wire, other.workload, other.offered)
