# SPDX-License-Identifier: BSD-3-Clause
"""Several runs laid over one another: charts, table, CSV. Knows no clock, no machine; same bytes each time.

Runs may differ in anything; what they differ in is said. Nothing is tested between runs, which were not
interleaved.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Iterator, Sequence

from harness.report.charts import base as charts
from harness.report import headline
from harness.plan import published
from harness.report import report
from harness.report import format as words
from harness.errors import UsageError
from harness.store.store import Run

CAPTIONS = {
    "throughput": "Throughput against the number of connections: medians, with the 95 % interval of each run "
                  "as a band.",
    "gain": "Gain of each run: throughput over its own baseline's, or over the best of its kernel servers where it has "
            "several, by load point, with its 95 % interval.",
}
CAVEAT = ("These runs were made one after the other, maybe on different machines: every interval covers one "
          "run, and none covers the difference between two runs. Compare gains rather than throughputs.")


def write(run_dirs: Sequence[Path], out: Path, published_names: Sequence[str] = ()) -> list[Path]:
    """Write the comparison of two or more runs to `out`; returns its files.

    Raises UsageError on fewer than two different runs, a foreign run or an unknown publication, MachineError
    if `out` cannot be written.
    """
    runs = [report.loaded(path) for path in run_dirs]
    ids = [run.id for run, _ in runs]
    for run, summary in runs:
        if "open_loop" in summary:
            raise UsageError(f"run {run.id} is of an open loop: compare lays throughput and gain of closed loops over "
                             f"one another; its own report: make report RUN={run.id}")
    if len(runs) < 2 or len(set(ids)) < len(ids):
        raise UsageError(f"compare needs two or more different runs, not: {', '.join(ids) or 'none'}")
    return report.write_files(out, build(runs, [published.load(name) for name in published_names]))


def build(runs: Sequence[tuple[Run, report.Summary]],
          others: Sequence[published.Published]) -> dict[str, bytes]:
    """Every file of the comparison by its name."""
    summaries = [summary for _, summary in runs]
    with charts.styled():
        pictures = {name: charts.render(figure) for name, figure in _figures(summaries, others)}
    context = {
        "runs": runs, "title": _title(summaries), "caveats": [CAVEAT, *_differences(summaries)],
        "contenders": _names(summaries), "gains": _gains(summaries), "rows": list(_rows(summaries)),
        "words": words, "published": others, "captions": CAPTIONS, "banner": words.banner(summaries),
        "charts": {name: report.data_uri(kinds["svg"]) for name, kinds in pictures.items()},
    }
    return {
        **{f"{name}.{kind}": data for name, kinds in pictures.items() for kind, data in kinds.items()},
        "compare.html": report.render("compare.html.j2", context),
        "compare.md": report.render("compare.md.j2", context),
        "compare.csv": report.figures_table(("run", "wire"), [((summary["run"], summary["wire"]), summary)
                                                              for summary in summaries]),
    }


def _figures(summaries: Sequence[report.Summary],
             others: Sequence[published.Published]) -> Iterator[tuple[str, Any]]:
    lines = [(summary, name) for summary in summaries for name in _drawn(summary)]
    note = f"{_title(summaries)}; 95 % intervals, each of one run.{words.overlay_note(others)}"
    called, banner = _called(summaries), words.banner(summaries)
    rates = [report.throughput_series(summary, name, style, f"{called[summary['run']]}: {name}")
             for style, (summary, name) in enumerate(lines)]
    yield "throughput", charts.throughput([*rates, *report.published_rates(others)], note, banner)
    gains = [report.headline_series(summary, name, style, f"{called[summary['run']]}: {name} over the best", weight=1)
             if _has_ladder(summary) else
             report.gain_series(summary, name, style,
                                f"{called[summary['run']]}: {words.pair(name, summary['baseline'])}")
             for style, (summary, name) in enumerate(lines)
             if (name not in headline.rungs(summary) if _has_ladder(summary) else name != summary["baseline"])]
    if gains:
        baselines = {"best kernel server" if _has_ladder(summary) else summary["baseline"] for summary in summaries}
        over = baselines.pop() if len(baselines) == 1 else "own baseline"
        lines_of_others = report.published_gains(others)
        yield "gain", charts.gain([*gains, *lines_of_others], note, f"Gain (throughput ratio to {over})", banner)


def _has_ladder(summary: report.Summary) -> bool:
    """Several kernel servers, and something to compare with the best of them?"""
    return 1 < len(headline.rungs(summary)) < len(summary["contenders"])


def _drawn(summary: report.Summary) -> list[str]:
    """The contenders of a run that a chart over several runs has room for: of a kernel ladder, the rungs that are the
    best somewhere."""
    best = headline.best_at(summary) if _has_ladder(summary) else {}
    rungs = headline.rungs(summary) if best else []
    return [name for name in summary["contenders"]
            if (name in best or name not in rungs) and not words.absent(summary, name)]


def _called(summaries: Sequence[report.Summary]) -> dict[str, str]:
    """The shortest name of each run in a chart: its workload where that is all they differ in, else its id.

    Of one workload with bodies of several sizes, the size.
    """
    runs = {summary["run"]: summary["workload"] for summary in summaries}
    names = {run: str(workload["name"]) for run, workload in runs.items()}
    sizes = {run: f"{workload['body_size_bytes']:,} bytes" for run, workload in runs.items()}
    marks = {summary["run"]: " (emulated)" if summary.get("emulated") else "" for summary in summaries}
    alike = len({words.wire(summary) for summary in summaries}) == 1
    for called in (names, sizes) if len(set(names.values())) in (1, len(runs)) else ():
        if alike and len(set(called.values())) == len(runs):
            return {run: f"{name}{marks[run]}" for run, name in called.items()}
    return {run: f"{run}{mark}" for run, mark in marks.items()}


def _title(summaries: Sequence[report.Summary]) -> str:
    wires = list(dict.fromkeys(words.wire(summary) for summary in summaries))
    return f"{len(summaries)} runs on " + (f"wire {wires[0]}" if len(wires) == 1 else
                                           f"different wires ({words.listed(wires)})")


def _differences(summaries: Sequence[report.Summary]) -> list[str]:
    """What makes the runs unlike each other before any stack does."""
    found = []
    workloads = list(dict.fromkeys(words.workload(summary) for summary in summaries))
    if len(workloads) > 1:
        found.append(f"The workloads differ: {words.listed(workloads)}.")
    wires = [(words.wire(summary), summary["caveats"][:1]) for summary in summaries]
    for wire, caveats in dict((wire, caveats) for wire, caveats in wires).items():
        found += [f"Wire {wire}: {caveat}" for caveat in caveats]
    return found


def _names(summaries: Sequence[report.Summary]) -> list[str]:
    return list(dict.fromkeys(name for summary in summaries for name in summary["contenders"]))


def _gains(summaries: Sequence[report.Summary]) -> dict[str, str]:
    """Every gain that is shown, by its key in a summary, and how it is written; of a kernel ladder those over the best
    rung, by the contender alone."""
    return {**{f"{name}/{summary['baseline']}": words.pair(name, summary["baseline"]) for summary in summaries
               for name in summary["contenders"] if name != summary["baseline"]},
            **{name: f"{name} over the best kernel server" for summary in summaries if _has_ladder(summary)
               for name in summary["contenders"] if name not in headline.rungs(summary)}}


def _rows(summaries: Sequence[report.Summary]) -> Iterator[tuple[int, list[tuple[str, Any]]]]:
    """(connections, [(run, its point)]) by ascending connections, with the runs that have that load point."""
    counts = sorted({point["connections"] for summary in summaries for point in summary["points"]})
    for count in counts:
        yield count, [(summary["run"], {**point, "gain": {**point["gain"], **(point["headline"] if _has_ladder(summary)
                                                                              else {})}})
                      for summary in summaries for point in summary["points"] if point["connections"] == count]
