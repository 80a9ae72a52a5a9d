# SPDX-License-Identifier: BSD-3-Clause
"""Choose the charts of a run and the values of each. Knows the summary, no file and no page."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Callable, Iterator, Sequence

from harness.analyse import OpenLoopSummary, Point, Summary
from harness.plan import Axis, Published
from harness.store import LimitedBy
from harness.report.baselines import baselines, label, limits, measured, others
from harness.report.charts import ablation, cpu
from harness.report.charts.factors import Stack, factors
from harness.report.charts.base import COLOURS, GREY, Frame, Scale, compact, look
from harness.report.charts.latency import Curve, Whole, against_load, distributions
from harness.report.charts.lines import (
    PALE, THICK, THIN, VERDICT_MARKERS, Panel, Series, Value, figures, gain, latency, overlay,
    series)
from harness.report.format import places
from harness.report.templates import macro

Pick = Callable[[Point], Value]
# a line, and the words of the second axis's value that it stands at; "" with one axis
Line = tuple[str, Series]
RATE = "Throughput (requests/s)"
PERCENTILES = (("p50", "p50"), ("p99", "p99"), ("p999", "p99.9"))
# with more contenders a chart has their names: their labels would leave it no room
_SHORT_FROM = 3
# from so many lines on the percentiles stand below one another
_STACK_FROM = 5
# of what a polling contender burned: its own colour, and a look that no contender has
_BURNED_DASH, _BURNED_MARKERS = (0, (1, 2)), ("+", "1", "2", "3")


def draw(summary: Summary, title: str, published: Sequence[Published]) -> Iterator[tuple[str, Any]]:
    """Yield (name, figure) of each chart; one contender alone has no gain."""
    if summary.ablation:
        yield from _waterfalls(summary, title)
    elif summary.open_loop:
        yield from _open_loop(summary, summary.open_loop, title)
    else:
        yield from _closed_loop(summary, title, published)


def frame_of(summary: Summary, note: str, *values: Any) -> Frame:
    """Return what stands around every chart of a run; `note`: a macro of charts.j2."""
    return Frame(*macro("charts.j2", note, summary, *values),
                 *macro("words.j2", "banner", [summary]))


def scale_of(axis: Axis, panels: Sequence[Panel]) -> Scale:
    """Return the x axis of some panels."""
    values = [x for panel in panels for one in panel.series for x in one.xs]
    return Scale.of(axis.label, values, linear=axis.word == "cores")


def _waterfalls(summary: Summary, title: str) -> Iterator[tuple[str, Any]]:
    """Yield one a load point that has the plain design's figure."""
    drawn = [entry for entry in summary.ablation if entry.plain is not None]
    for entry in drawn:
        name = "waterfall" if len(drawn) == 1 else f"waterfall-{entry.at.connections}"
        frame = frame_of(summary, "ablation_note", title, entry)
        yield name, ablation.draw(entry.plain or 0.0, entry.optimisations, frame, entry.priced)


def _open_loop(summary: Summary, loop: OpenLoopSummary, title: str) -> Iterator[tuple[str, Any]]:
    """Yield latency against load, and distributions, of contenders with a steady state."""
    frame = frame_of(summary, "open_loop_note", title)
    curves = [Curve(label(summary, name), name, contender)
              for name, contender in loop.contenders.items()]
    if any(one.steady for one in curves):
        yield "offered", against_load(curves, PERCENTILES, frame)
    drawn = [Whole(macro("charts.j2", "whole", one.label, entry)[0], one.name, dash, entry.curve)
             for one in curves for dash, entry in enumerate(one.of.distributions) if entry.curve]
    if drawn:
        yield "percentiles", distributions(drawn, frame)


def _closed_loop(summary: Summary, title: str,
                 published: Sequence[Published]) -> Iterator[tuple[str, Any]]:
    axis, frame = places(summary).axis, frame_of(summary, "note", title, [])
    theirs = [other for other in published if other.series and axis.key == "connections"]
    with_theirs = frame_of(summary, "note", title, theirs)
    shown = [(name, name if len(measured(summary)) > _SHORT_FROM else label(summary, name))
             for name in measured(summary)]

    def of(key: str) -> list[Line]:
        return [one for name, text in shown
                if any(key in point.cells[name].figures for point in summary.points)
                for one in lines(summary, name, text, figure(name, key))]
    rates = [one for name, text in shown
             for one in lines(summary, name, text, figure(name, "requests_per_sec"))]
    scale = scale_of(axis, grouped(rates))
    panels = grouped([*rates, *limit_lines(summary, "requests_per_sec"), *_ceiling(summary),
                      *published_rates(theirs)])
    yield "throughput", figures(panels, scale_of(axis, panels), RATE, with_theirs)
    for name, (drawn, text) in gain_lines(summary).items():
        extra = published_gains(theirs) if name == "gain" else []
        thin = any(one.weight == THIN for _, one in drawn)
        around = with_theirs if extra else frame
        around = replace(around, note=" ".join([around.note, *macro("charts.j2", "thin", thin)]))
        panels = grouped([*drawn, *extra])
        yield name, gain(panels, scale_of(axis, panels), text, around)
    if any(point.factors for point in summary.points):
        yield "factors", _factors(summary, frame)
    yield "latency", latency(_percentiles(summary, shown), scale, frame)
    yield "cpu", _cpu(summary, shown, frame)
    if efficiency := of("requests_per_core_second"):
        yield "efficiency", figures(grouped(efficiency), scale, "Requests per CPU second", frame)
    burned = [(title, replace(one, label=f"{one.label}, burned", dash=_BURNED_DASH, weight=PALE,
                              marker=_BURNED_MARKERS[COLOURS.index(one.colour) % 4]))
              for title, one in of("burned_cycles_per_request")]
    if cycles := [*of("cycles_per_request"), *burned]:
        yield "cycles", figures(grouped([*cycles, *limit_lines(summary, "cycles_per_request")]), scale,
                                "Timer ticks per request" if summary.cycle_counter == "cntvct_el0"
                                else "Cycles per request", frame)


def lines(summary: Summary, name: str, text: str, pick: Pick,
          **look: Any) -> list[Line]:
    """Return one contender's line for each value of a second axis; `look`: what is not the contender's own."""
    found = places(summary)
    points = {point.at: point for point in summary.points}
    drawn = []
    for title, line in found.lines(found.points):
        here = [at for at in line if points[at].cells[name].not_measured is None]
        if here:
            drawn.append((title, replace(series(
                text, name, [found.axis.value(at) for at in here],
                [pick(points[at]) for at in here]), **look)))
    return drawn


def grouped(drawn: Sequence[Line]) -> list[Panel]:
    """Return a panel for each value of the second axis; a line without one stands in the first."""
    found: dict[str, list[Series]] = {}
    for title, one in drawn:
        key = title if title or not found else next(iter(found))
        found.setdefault(key, []).append(one)
    return [Panel(title, tuple(some)) for title, some in found.items()]


def figure(name: str, key: str) -> Pick:
    """Return what picks one figure of a contender, hollow where it was client-bound."""
    def pick(point: Point) -> Value:
        cell = point.cells[name]
        known = cell.figures.get(key)
        low, high = known.ci95 if known and known.ci95 else (None, None)
        return Value(known.median if known else None, low, high,
                     cell.limit.by == LimitedBy.CLIENT_CPU)
    return pick


def ratio(summary: Summary, name: str, below: str, judged: bool = True,
          interval: bool = True) -> Pick:
    """Return what picks a gain; over the best kernel server for "". `judged`: marked by verdict."""
    def pick(point: Point) -> Value:
        found = point.gain(name, below) if below else summary.headline(point).get(name)
        if found is None:
            return Value(None)
        low, high = found.ci95 if found.ci95 and interval else (None, None)
        return Value(found.ratio, low, high, found.bound is not None,
                     VERDICT_MARKERS[found.verdict] if judged else None)
    return pick


def gain_lines(summary: Summary) -> dict[str, tuple[list[Line], str]]:
    """Return the charts of gains by name, each with its lines and its axis; {} for one contender.

    With several kernel servers: the gain over the best thick, that over each thin in its own look
    (its interval is in the tables); and what each of them is over the baseline.
    """
    kernel, above = baselines(summary), others(summary)
    first = summary.baseline
    if len(kernel) < 2 or not above:
        drawn = [one for name in measured(summary) if name != first
                 for one in lines(summary, name, label(summary, name),
                                  ratio(summary, name, first))]
        return {"gain": (drawn, f"Gain (throughput ratio to {first})")} if drawn else {}
    drawn = [one for name in above
             for one in lines(summary, name, f"{name} over the best",
                              ratio(summary, name, ""), weight=THICK, dash="-")]
    if len(above) == 1:
        drawn += [one for name in kernel
                  for one in lines(summary, above[0], f"over {name}", ratio(
                     summary, above[0], name, judged=False, interval=False), weight=THIN,
                     marker=look(name)[1], dash=look(name)[2])]
    worth = [one for name in kernel if name != first
             for one in lines(summary, name, name,
                              ratio(summary, name, first, judged=False))]
    return {"gain": (drawn, "Gain (throughput ratio to kernel)"),
            "baselines": (worth, f"Throughput ratio to {first}")}


def published_rates(published: Sequence[Published]) -> list[Line]:
    """Return grey lines of other people's throughput in requests/s."""
    return _overlays([(other, one.label, one.requests_per_sec)
                      for other in published for one in other.series.values()])


def published_gains(published: Sequence[Published]) -> list[Line]:
    """Return grey lines of other people's gains over their own baseline."""
    return _overlays([(other, other.series[name].label, ratios)
                      for other in published for name, ratios in other.gains().items()])


def _overlays(every: Sequence[tuple[Published, str, Sequence[float | None]]]) -> list[Line]:
    """Return lines without the load points that they have no figure for."""
    known = [[(x, y) for x, y in zip(other.connections, ys) if y is not None]
             for other, _, ys in every]
    return [("", overlay(f"{text} ({other.short})", style, [x for x, _ in pairs],
                         [y for _, y in pairs]))
            for style, ((other, text, _), pairs) in enumerate(zip(every, known))]


def limit_lines(summary: Summary, key: str) -> list[Line]:
    """Return a dashed grey line for each limit, without intervals."""
    return [(title, overlay(macro("charts.j2", "limit", name)[0], 1, one.xs,
                            [value.centre for value in one.values]))
            for name in limits(summary)
            if any(key in point.cells[name].figures for point in summary.points)
            for title, one in lines(summary, name, name, figure(name, key))]


def _ceiling(summary: Summary) -> list[Line]:
    """Return a thin grey line through what the client can take, marked where it may be more."""
    found = places(summary)
    known = {point.at: point.ceiling for point in summary.points if point.ceiling}
    text, = macro("charts.j2", "ceiling", any(one.at_least for one in known.values()))
    return [(title, Series(
        text, GREY, "", "-", tuple(found.axis.value(at) for at in line),
        tuple(Value(known[at].requests_per_sec,
                    marker=r"$\uparrow$" if known[at].at_least else None) for at in line), PALE))
        for title, line in found.lines(list(known)) if line]


def _percentiles(summary: Summary,
                 shown: Sequence[tuple[str, str]]) -> dict[str, list[Panel]]:
    """Return a row for each value of the second axis, a column for each percentile."""
    rows: dict[str, list[Panel]] = {}
    for key, title in PERCENTILES:
        for panel in grouped([one for name, text in shown
                              for one in lines(summary, name, text, _latency(name, key))]):
            rows.setdefault(panel.title, []).append(replace(panel, title=title))
    if len(rows) == 1 and len(shown) >= _STACK_FROM:
        return {panel.title: [replace(panel, title="")]
                for panels in rows.values() for panel in panels}
    return rows


def _latency(name: str, key: str) -> Pick:
    def pick(point: Point) -> Value:
        cell = point.cells[name]
        return Value(cell.latency_us[key], hollow=cell.limit.by == LimitedBy.CLIENT_CPU)
    return pick


def _factors(summary: Summary, frame: Frame) -> Any:
    """Draw the gains in two factors, polling in the colour of the kernel server that polls."""
    found = places(summary)
    known = {(point.at, one.contender): one for point in summary.points for one in point.factors}
    polling = next(one.polling for one in known.values())
    rows = {title: [
        Stack(name, (look(polling)[0], look(name)[0]), tuple(known.get((at, name)) for at in line))
        for name in dict.fromkeys(name for _, name in known)]
        for title, line in found.lines(found.points)}
    names = dict.fromkeys(compact(found.axis.value(at)) for at in found.points)
    return factors(rows, list(names), found.axis.label,
                   replace(frame, note=" ".join([frame.note, *macro("charts.j2", "factors")])))


def _cpu(summary: Summary, shown: Sequence[tuple[str, str]], frame: Frame) -> Any:
    found = places(summary)
    points = {point.at: point for point in summary.points}
    rows = {title: [
        cpu.Bars(text, look(name)[0],
                 tuple(_parts(points[at], name) for at in line)) for name, text in shown]
        for title, line in found.lines(found.points)}
    names = dict.fromkeys(compact(found.axis.value(at)) for at in found.points)
    return cpu.cpu(rows, list(names), found.axis.label, frame)


def _parts(point: Point, name: str) -> dict[str, float] | None:
    median = point.cells[name].median("cpu_us_per_request")
    by_role = point.cells[name].cpu_by_role
    return None if median is None else dict(by_role) if by_role else {"both": median}
