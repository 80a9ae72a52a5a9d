# SPDX-License-Identifier: BSD-3-Clause
"""Lay several runs over one another: charts, table, CSV. Same bytes each time.

Runs may differ in anything; the page lists in what. Nothing is tested between runs, which were not
interleaved.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Iterator, Sequence

from harness.analyse import Point, Summary
from harness.plan import LoadPoint, Published, load_published
from harness.store import Run
from harness.errors import UsageError
from harness.report.baselines import baselines, best_at, kernel_servers, measured, others
from harness.report.charts.base import DASHES, Frame, pictures
from harness.report.charts.lines import figures, gain
from harness.report.figures import (
    RATE, figure, grouped, lines, published_gains, published_rates, ratio, scale_of)
from harness.report.format import Places, by_name
from harness.report.report import loaded, write_files
from harness.report.tables import runs_table
from harness.report.templates import macro, render


def write_comparison(run_dirs: Sequence[Path], out: Path, names: Sequence[str] = ()) -> list[Path]:
    """Write the comparison of two or more runs to `out`; return its files.

    Raises UsageError on fewer than two different runs, runs that sweep different axes, a foreign
    run or an unknown publication, MachineError if `out` cannot be written.
    """
    runs = [loaded(path) for path in run_dirs]
    ids = [run.id for run, _ in runs]
    for run, summary in runs:
        if summary.open_loop:
            raise UsageError(f"run {run.id} is of an open loop: compare lays throughput and gain "
                             "of closed loops over one another; its own report: make report "
                             f"RUN={run.id}")
        if summary.sweep != runs[0][1].sweep:
            raise UsageError(f"runs {ids[0]} and {run.id} sweep different axes: no chart has room "
                             "for both")
    if len(runs) < 2 or len(set(ids)) < len(ids):
        raise UsageError("compare needs two or more different runs, not: "
                         f"{', '.join(ids) or 'none'}")
    return write_files(out, build(runs, [load_published(name) for name in names]))


def build(runs: Sequence[tuple[Run, Summary]], published: Sequence[Published]) -> dict[str, bytes]:
    """Return every file of the comparison by its name."""
    summaries = [summary for _, summary in runs]
    files, charts = pictures(_figures(summaries, published))
    context = {
        "runs": runs, "summaries": summaries, "published": published, "gains": _gains(summaries),
        "contenders": list(dict.fromkeys(name for summary in summaries
                                         for name in summary.contenders)),
        "rows": list(_rows(summaries)), "at": _places(summaries),
        "charts": charts,
    }
    return {
        **files,
        "compare.html": render("compare.html.j2", context),
        "compare.md": render("compare.md.j2", context),
        "compare.csv": runs_table(("run", "wire"), [((summary.run, summary.wire), summary)
                                                    for summary in summaries]),
    }


def _figures(summaries: Sequence[Summary],
             published: Sequence[Published]) -> Iterator[tuple[str, Any]]:
    drawn = [(summary, name) for summary in summaries for name in _drawn(summary)]
    called = short_names(summaries)
    # the look is the contender's, the dash the run's
    dashes = {summary.run: DASHES[number % len(DASHES)]
              for number, summary in enumerate(summaries)}
    axis = _places(summaries).axis
    theirs = [other for other in published if other.series and axis.key == "connections"]
    frame = Frame(*macro("charts.j2", "compare_note", summaries, theirs),
                  *macro("words.j2", "banner", summaries))
    rates = [one for summary, name in drawn
             for one in lines(summary, name, f"{called[summary.run]}: {name}",
                              figure(name, "requests_per_sec"), dash=dashes[summary.run])]
    panels = grouped([*rates, *published_rates(theirs)])
    scale = scale_of(axis, panels)
    yield "throughput", figures(panels, scale, RATE, frame)
    gains = [one for summary, name in drawn
             for below in [_below(summary, name)] if below != name
             for one in lines(summary, name, macro(
                 "charts.j2", "compare_gain", called[summary.run], name, below)[0],
                 ratio(summary, name, below), dash=dashes[summary.run])]
    if gains:
        over = {_below(summary, "") for summary, _ in drawn}
        text, = macro("charts.j2", "compare_axis", list(over))
        yield "gain", gain(grouped([*gains, *published_gains(theirs)]), scale, text, frame)


def _below(summary: Summary, name: str) -> str:
    """Return over whom a gain is: "" for the best kernel server, itself for none."""
    if not _has_best(summary):
        return summary.baseline
    return name if name and name in kernel_servers(summary) else ""


def _has_best(summary: Summary) -> bool:
    """Tell whether there are several kernel servers, and something to compare with them."""
    return len(baselines(summary)) > 1 and bool(others(summary))


def _drawn(summary: Summary) -> list[str]:
    """Return the contenders that a chart over several runs has room for.

    Of several kernel servers those that are the best somewhere.
    """
    kernel = kernel_servers(summary) if _has_best(summary) else []
    return [name for name in measured(summary)
            if name not in kernel or name in best_at(summary)]


def short_names(summaries: Sequence[Summary]) -> dict[str, str]:
    """Return the shortest name of each run in a chart.

    Its workload where that is all they differ in, its body size in one workload, else its id.
    """
    names = {summary.run: summary.workload for summary in summaries}
    sizes = {summary.run: f"{summary.body_size_bytes:,} bytes" for summary in summaries}
    wires = {(summary.wire, summary.tap, summary.impairment, summary.softirq)
             for summary in summaries}
    found = {summary.run: summary.run for summary in summaries}
    for called in (sizes, names) if len(set(names.values())) in (1, len(summaries)) else ():
        if len(wires) == 1 and len(set(called.values())) == len(summaries):
            found = called
    return {summary.run: found[summary.run] + (" (emulated)" if summary.emulated else "")
            for summary in summaries}


def _gains(summaries: Sequence[Summary]) -> list[tuple[str, str]]:
    """Return every pair whose gain is shown: (contender, over), "" for the best kernel server."""
    return list(dict.fromkeys(
        (name, below) for summary in summaries for name, info in summary.contenders.items()
        if name != summary.baseline and not info.limit
        for below in (summary.baseline, *([""] if _has_best(summary) and name not in
                                          kernel_servers(summary) else []))))


def _rows(summaries: Sequence[Summary]) -> Iterator[tuple[LoadPoint, list[tuple[Summary, Point]]]]:
    """Yield each load point in order, with the runs that have it."""
    found = _places(summaries)
    rows: dict[tuple[float, ...], list[tuple[Summary, Point]]] = {}
    for summary in summaries:
        for point in summary.points:
            key = tuple(axis.value(point.at) for axis in found.axes)
            rows.setdefault(key, []).append((summary, point))
    for _, row in sorted(rows.items()):
        yield row[0][1].at, row


def _places(summaries: Sequence[Summary]) -> Places:
    """Return the load points of all runs."""
    return Places(by_name(summaries[0].sweep), tuple(dict.fromkeys(
        point.at for summary in summaries for point in summary.points)))
