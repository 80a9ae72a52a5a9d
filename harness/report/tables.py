# SPDX-License-Identifier: BSD-3-Clause
"""Write the figures of runs as CSV: a row a contender and load point, a row a gain."""

from __future__ import annotations

import csv
import io
from typing import Any, Iterable, Iterator, Sequence

from harness.analyse import METRICS, Cell, Gain, Limit, OpenLoopSummary, Point, Summary
from harness.plan import Axis, LoadPoint
from harness.report.baselines import baselines
from harness.report.format import by_name

_METRICS = [metric for metric in METRICS.values() if not metric.of_trials]
_INTERVAL = ("ratio", "ci95_low", "ci95_high", "verdict")
COLUMNS = (
    "contender", *(column for metric in _METRICS for column in metric.columns),
    "trials_valid", "trials_invalid", "errors", "cycles_from", "memory_bytes_per_connection",
    "bytes_per_connection_reported", "gain_over", *(f"gain_{part}" for part in _INTERVAL),
    "gain_rounds", "gain_bound", "headline_over", *(f"headline_{part}" for part in _INTERVAL),
    "limit_by", "limit_evidence", "client_ceiling_requests_per_sec", "client_ceiling_at_least")
FLOOR_COLUMNS = ("contender", "limit", *(
    f"{what}_{part}" for what in ("throughput", "cycles")
    for part in ("factor", "ci95_low", "ci95_high", "rounds", "bound")))
GAIN_COLUMNS = ("contender", "over", *_INTERVAL, "rounds", "bound", "p", "p_adjusted",
                "over_is_best_kernel")
OFFERED_COLUMNS = (
    "connections", "offered", "contender", "achieved_median", "achieved_ci95_low",
    "achieved_ci95_high", "latency_p50_us", "latency_p50_ci95_low", "latency_p50_ci95_high",
    "latency_p90_us", "latency_p99_us", "latency_p99_ci95_low", "latency_p99_ci95_high",
    "latency_p999_us", "latency_max_us", "saturated", "intended", "unsent", "waited_share",
    "send_lag_p50_us", "send_lag_p99_us", "send_lag_max_us", "client_bound", "trials_valid",
    "trials_invalid")


def summary_table(summary: Summary) -> bytes:
    """Return the CSV of one run."""
    if summary.open_loop:
        return table(OFFERED_COLUMNS, _offered(summary.open_loop))
    return runs_table((), [((), summary)])


def runs_table(columns: Sequence[str], runs: Sequence[tuple[Sequence[str], Summary]]) -> bytes:
    """Return the CSV of all figures of some runs; `columns` name what each row begins with.

    The last column says what played the part of the NIC, where that was so in any of them.
    """
    swept = axes([summary for _, summary in runs])
    emulated = any(summary.emulated for _, summary in runs)
    rows = ([*lead, *at(swept, point.at), name, *_cell(summary, point, name, cell),
             *([summary.emulated] * emulated)]
            for lead, summary in runs for point in summary.points
            for name, cell in point.cells.items())
    return table((*columns, *swept, *COLUMNS, *(["emulated"] * emulated)), rows)


def gains_table(summary: Summary) -> bytes | None:
    """Return the CSV of every gain of a run with several kernel servers; None for others."""
    if len(baselines(summary)) < 2 or summary.ablation or summary.open_loop:
        return None
    swept, emulated = axes([summary]), [summary.emulated] if summary.emulated else []
    rows = ([*at(swept, point.at), gain.contender, gain.over, *_gain(gain), gain.rounds,
             gain.bound, gain.p, gain.p_adjusted,
             "yes" if gain.over == point.best_kernel else "no", *emulated]
            for point in summary.points for gain in point.gains)
    return table((*swept, *GAIN_COLUMNS, *(["emulated"] * len(emulated))), rows)


def floor_table(summary: Summary) -> bytes | None:
    """Return the CSV of how far each contender is from each limit; None of a run without one."""
    swept = axes([summary])
    rows = [[*at(swept, point.at), one.contender, one.limit, *(
        value for factor in (one.throughput, one.cycles)
        for value in (factor.ratio, *(factor.ci95 or (None, None)), factor.rounds, factor.bound))]
        for point in summary.points for one in point.floor_factors]
    return table((*swept, *FLOOR_COLUMNS), rows) if rows else None


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """Return CSV with a header; empty where there is no figure."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue().encode()


def axes(summaries: Sequence[Summary]) -> dict[str, Axis]:
    """Return the columns of a load point: connections, and what else varies in any run."""
    every = [axis for summary in summaries for axis in by_name(summary.sweep)]
    return {axis.word if axis.key == "impairment" else axis.key: axis
            for axis in (*by_name(("connections",)), *every)}


def at(swept: dict[str, Axis], point: LoadPoint) -> list[float]:
    """Return the values of such columns."""
    values = [axis.value(point) for axis in swept.values()]
    return [int(value) if value.is_integer() else value for value in values]


def _cell(summary: Summary, point: Point, name: str, cell: Cell) -> Iterator[Any]:
    """Yield the values of COLUMNS after the contender."""
    for metric in _METRICS:
        yield from metric.cells(cell)
    told = cell.bytes_per_connection or {}
    yield from (cell.trials, cell.invalid, cell.errors, cell.cycles_from,
                cell.memory_per_connection, told.get("total"))
    gain = point.gain(name, summary.baseline)
    yield from (gain.over if gain else None, *_gain(gain), gain.rounds if gain else None,
                gain.bound if gain else None)
    best = summary.headline(point).get(name)
    yield from (best.over if best else None, *_gain(best))
    yield from (cell.limit.by, evidence(cell.limit))
    ceiling = point.ceiling
    yield from (ceiling.requests_per_sec, ceiling.at_least) if ceiling else (None, None)


def _gain(gain: Gain | None) -> tuple[object, ...]:
    """Return the values of _INTERVAL."""
    if gain is None:
        return (None,) * len(_INTERVAL)
    return gain.ratio, *(gain.ci95 or (None, None)), gain.verdict


def evidence(limit: Limit) -> str:
    """Return the codes of a limit's evidence with their numbers: client-core share=0.97; …"""
    return "; ".join(" ".join([
        note.code, *(f"{key}={value}" for key, value in note.values.items())])
        for note in limit.evidence)


def _offered(loop: OpenLoopSummary) -> Iterator[tuple[Any, ...]]:
    """Yield the values of OFFERED_COLUMNS."""
    for name, contender in loop.contenders.items():
        for point in contender.points:
            latency, lag, none = point.latency_us, point.send_lag_us or {}, (None, None)
            yield (loop.connections, point.offered, name, point.achieved.median,
                   *(point.achieved.ci95 or none), latency["p50"], *(point.p50_ci95 or none),
                   latency["p90"], latency["p99"], *(point.p99_ci95 or none), latency["p999"],
                   latency["max"], point.saturated, point.intended, point.unsent,
                   point.waited_share, *(lag.get(key) for key in ("p50", "p99", "max")),
                   point.client_bound, point.rounds, point.invalid)
