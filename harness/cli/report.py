# SPDX-License-Identifier: BSD-3-Clause
"""The last stages on the command line: a report written from a run's files, and its gains shown to a person.

Knows no machine and measures nothing: works without root, on any copy of a run.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Sequence

from harness.report import papers as beside
from harness.report import bundle
from harness.report import compare
from harness.report import headline
from harness.report import open_loop as openloop_report
from harness.plan import published
from harness.report import report
from harness.report import format as words
from harness.errors import UsageError
from harness.run import rate
from harness.store.store import OUT, Run, find_run, give_to_user, load_run


def show_run(run_dir: Path, overlays: Sequence[str], out: Path = OUT) -> None:
    """Writes the report to <out>/<id>/. Raises UsageError for a run without a trial, or foreign files."""
    run = load_run(run_dir)
    if not run.trials:
        raise UsageError(f"run {run.id} has no trial yet; RESUME={run.id} runs them")
    files = report.write(run_dir, out / run.id, overlays)
    give_to_user(out / run.id)
    summary = json.loads((out / run.id / "summary.json").read_text())
    print("\n".join([*gains(summary), *beside_figures(run, summary)]))
    _print_pages(files)


def show_comparison(names: Sequence[str], overlays: Sequence[str], out: Path = OUT) -> None:
    """Writes the comparison of runs to <out>/compare-<id>-<id>…/."""
    runs = [find_run(name) for name in names]
    place = out / "-".join(["compare", *(load_run(path).id for path in runs)])
    files = compare.write(runs, place, overlays)
    give_to_user(place)
    _print_pages(files)


def show_bundle(run_dir: Path, published: Sequence[str], out: Path = OUT) -> None:
    """Packs a run to <out>/<id>.tar.gz and says by which hash the archive is known."""
    path = bundle.pack(run_dir, out, published)
    give_to_user(path)
    print(f"{path}\nsha256: {hashlib.sha256(path.read_bytes()).hexdigest()}")


def show_verified(path: str) -> None:
    """CheckFailed where a bundle is not what it was, UsageError where it is none."""
    found = bundle.verify(Path(path))
    print(f"run {found.run}: {found.files} files as they were packed; the report made anew is the same, byte for byte "
          f"({found.regenerated} files)")


def beside_figures(run: Run, summary: dict[str, Any]) -> list[str]:
    """Of a run that was made after a publication: both, load point by load point; [] of any other."""
    if not run.plan.paper:
        return []
    each = beside.beside(run, summary, published.load(run.plan.paper))
    names = [*(f"ours: {name}" for name in each.ours), *(f"theirs: {name}" for name in each.theirs),
             *(f"our gain {name}" for name in each.our_gains), *(f"their gain {name}" for name in each.their_gains)]
    lines = [f"Beside {each.other.short}, on other hardware with other programs; the report lists what differs:"]
    for row in each.rows:
        texts = zip(names, (*row.ours, *row.theirs, *row.our_gains, *row.their_gains))
        lines.append(f"{row.connections:>11}  " + "; ".join(f"{name} {text}" for name, text in texts
                                                            if text != words.NONE))
    return lines + [f"{said}: theirs {theirs}; ours at most {ours}" for said, theirs, ours in each.claims]


def gains(summary: dict[str, Any]) -> list[str]:
    """A table for a terminal: medians, and gains with their intervals."""
    if "ablation" in summary:
        return [line for point in summary["ablation"] for line in _ladder(point)]
    if "open_loop" in summary:
        return openloop_report.lines(summary)
    names = words.names(summary)
    ladder = 1 < len(headline.measured_rungs(summary)) < len(names)
    wide = max(12, *(len(name) + 2 for name in names))
    pairs = {f"{name}/{summary['baseline']}": words.pair(name, summary["baseline"]) for name in names}
    warning = [banner] if (banner := words.banner([summary])) else []
    lines = [*warning, f"{'connections':>11}" + "".join(f"{name:>{wide}}" for name in names) + "  gain [95 % interval]"]
    for point in summary["points"]:
        medians = [point["contenders"][name]["requests_per_sec"]["median"] for name in names]
        cells = "".join(f"{'-' if median is None else rate(median):>{wide}}" for median in medians)
        shown = point["headline"].items() if ladder else [
            (pair, gain) for pair, gain in point["gain"].items() if pair in pairs]
        gain = ", ".join(f"{_over(pair, gain) if ladder else pairs[pair]} {_gain(gain)}" for pair, gain in shown)
        lines.append(f"{point['connections']:>11}{cells}  {gain}".rstrip())
    return lines


def _ladder(point: dict[str, Any]) -> list[str]:
    """What each measure saves, in cycles a request."""
    lines = [f"{words.connections([point['connections']])}, busy cycles a request of the plain design: "
             f"{words.number(point['plain'])}, with all measures: {words.number(point['all'])}",
             f"{'measure':>12}  {'saved when added':<28}saved when left out alone"]
    return lines + [f"{row['name']:>12}  {words.saved(row['saved']):<28}{words.saved(row['saved_alone'])}"
                    for row in point["measures"]]


def _over(name: str, entry: dict[str, Any]) -> str:
    """The pair of a headline: with several kernel servers a line has the gain over the best alone."""
    return words.pair(name, str(entry["over"]))


def _gain(gain: dict[str, Any]) -> str:
    ratio = "-" if gain["ratio"] is None else f"{gain['ratio']:.3g}"
    interval = "[{:.3g}, {:.3g}] ".format(*gain["ci95"]) if gain["ci95"] else ""
    return f"{ratio} {interval}{gain['verdict']}"


def _print_pages(files: Sequence[Path]) -> None:
    for file in files:
        if file.suffix in (".html", ".md"):
            print(file)
