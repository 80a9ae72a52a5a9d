# SPDX-License-Identifier: BSD-3-Clause
"""What a report says of an open loop: sentences, rows, and the values of its charts. Pure.

Knows `open_loop` of summary.json, and no output format.
"""

from __future__ import annotations

from typing import Any, Iterator, Mapping

from harness.report.charts import latency as charts_latency
from harness.report import format as words
from harness.report.headline import Headline

Summary = Mapping[str, Any]
PANELS = (("p50", "p50"), ("p99", "p99"), ("p999", "p99.9"))
COLUMNS = (
    "connections", "offered", "contender", "achieved_median", "achieved_ci95_low", "achieved_ci95_high",
    "latency_p50_us", "latency_p50_ci95_low", "latency_p50_ci95_high", "latency_p90_us",
    "latency_p99_us", "latency_p99_ci95_low", "latency_p99_ci95_high", "latency_p999_us", "latency_max_us", "saturated",
    "intended", "unsent", "waited_share", "send_lag_p50_us", "send_lag_p99_us", "send_lag_max_us", "client_bound",
    "trials_valid", "trials_invalid")
WHAT_IT_IS = (
    "Latency is counted from when a request was meant to be sent, by a schedule that no answer changes, to the "
    "last byte of its answer. So it includes the time that a request waited for a free connection, and the "
    "client's own delay in sending, which is told beside it. Nothing is corrected afterwards, unlike wrk's "
    "figures: wrk waits for each answer before it asks again, and then adds samples that it supposes it has "
    "missed, silently.")
CAPTIONS = {
    "offered": "Latency against offered load, open loop: percentiles of all rounds' requests together, with the 95 % "
               f"interval over rounds, drawn up to a factor 3. {WHAT_IT_IS} Rates without a steady state are left out; "
               "the vertical lines are what each contender answers at most. Star: the knee, with its 95 % interval.",
    "percentiles": "Whole distributions at parts of each contender's saturation, all rounds' requests together. "
                   f"{WHAT_IT_IS}",
}


def headlines(summary: Summary) -> list[Headline]:
    """One for each contender."""
    loop = summary["open_loop"]
    warning = f"{words.banner([summary])}. " if words.banner([summary]) else ""
    return [Headline(warning + _sentence(summary, name, entry, loop), tuple(_details(entry)))
            for name, entry in loop["contenders"].items()]


def _sentence(summary: Summary, name: str, entry: Mapping[str, Any], loop: Mapping[str, Any]) -> str:
    label, knee, saturation = words.label(summary, name), entry["knee"], entry["saturation"]
    most = "" if saturation is None else f"{words.number(saturation['requests_per_sec'])} requests/s at most"
    if not any(point["rounds"] for point in entry["points"]):
        return f"{label} has no valid trial."
    if knee["offered"] is None:
        steady = [point["offered"] for point in entry["points"] if point["rounds"] and not point["saturated"]]
        if not steady:
            return f"{label} was in no steady state at any rate{f', and answers {most}' if most else ''}."
        return (f"{label} takes {words.number(max(steady))} requests/s without a knee"
                f"{f', and answers {most}' if most else ''}.")
    interval = f" {words.interval(knee['ci95'])}" if knee["ci95"] else ""
    return (f"{label} takes {words.number(knee['offered'])}{interval} requests/s before p99 is more than "
            f"{loop['knee_factor']:g} times what it is at low load{f', and answers {most}' if most else ''}.")


def _details(entry: Mapping[str, Any]) -> Iterator[str]:
    saturation = entry["saturation"]
    for each in entry["distributions"]:
        point = next(point for point in entry["points"] if point["offered"] == each["offered"])
        known = ", ".join(f"{title} {words.number(point['latency_us'][key])} µs" for key, title in PANELS)
        yield f"At {100 * each['share']:g} % of that, {words.number(each['offered'])} requests/s: {known}."
    if saturation is not None and saturation["client_bound"]:
        yield "The client was the limit of what it answers at most: a lower bound."
    bound = [point["offered"] for point in entry["points"] if point["client_bound"] and not point["saturated"]]
    if bound:
        yield (f"The client was late itself at {words.listed([words.number(rate) for rate in bound])} requests/s "
               "(hollow): these latencies are upper bounds.")


def table(summary: Summary) -> list[dict[str, Any]]:
    """One row a rate and contender, ready for a page: texts by column."""
    loop, rows = summary["open_loop"], []
    for rate in loop["offered"]:
        for name, entry in loop["contenders"].items():
            point = next((each for each in entry["points"] if each["offered"] == rate), None)
            if point is None:
                continue
            lag = point["send_lag_us"]
            rows.append({
                "offered": rate, "contender": name, "achieved": words.number(point["achieved"]["median"]),
                **{key: words.number(point["latency_us"][key]) for key in ("p50", "p90", "p99", "p999", "max")},
                "p50_ci95": words.interval(point["p50_ci95"]), "p99_ci95": words.interval(point["p99_ci95"]),
                "unsent": f"{point['unsent']:,}", "lag": words.number(lag["p99"]) if lag else words.NONE,
                "waited": words.NONE if point["waited_share"] is None else f"{100 * point['waited_share']:.3g} %",
                "state": _state(point), "rounds": point["rounds"], "invalid": point["invalid"]})
    return rows


def _state(point: Mapping[str, Any]) -> str:
    if not point["rounds"]:
        return "no valid trial"
    return ("saturated" if point["saturated"] else "steady") + (", client-bound" if point["client_bound"] else "")


def rows(summary: Summary) -> Iterator[list[Any]]:
    """Of the CSV, under COLUMNS."""
    loop = summary["open_loop"]
    for name, entry in loop["contenders"].items():
        for point in entry["points"]:
            latency, lag = point["latency_us"], point["send_lag_us"] or {}
            ends = {key: point[key] or (None, None) for key in ("p50_ci95", "p99_ci95")}
            yield [loop["connections"], point["offered"], name, point["achieved"]["median"],
                   *(point["achieved"]["ci95"] or (None, None)), latency["p50"], *ends["p50_ci95"], latency["p90"],
                   latency["p99"], *ends["p99_ci95"], latency["p999"], latency["max"], point["saturated"],
                   point["intended"], point["unsent"], point["waited_share"],
                   *(lag.get(key) for key in ("p50", "p99", "max")), point["client_bound"], point["rounds"],
                   point["invalid"]]


def lines(summary: Summary) -> list[str]:
    """For a terminal: a row a rate and contender, then what each takes."""
    wide = max(len(name) for name in summary["contenders"])
    found = [f"{'offered/s':>10}  {'contender':<{wide}}  {'achieved':>10}"
             f"  {'p50 us':>9}  {'p99 us':>9}  {'p99.9 us':>9}"]
    found += [f"{row['offered']:>10,}  {row['contender']:<{wide}}  {row['achieved']:>10}"
              f"  {row['p50']:>9}  {row['p99']:>9}  {row['p999']:>9}"
              f"  {'' if row['state'] == 'steady' else row['state']}".rstrip() for row in table(summary)]
    return found + [each.sentence for each in headlines(summary)]


def figures(summary: Summary, title: str) -> Iterator[tuple[str, Any]]:
    """The charts, by name; a contender without a steady state is in neither."""
    loop = summary["open_loop"]
    arrivals = words.listed([{"poisson": "Poisson arrivals", "constant": "requests at equal distances"}.get(each, each)
                             for each in loop["arrivals"]] or ["no valid trial"])
    note = (f"Run {summary['run']}; wire {summary['wire']}{f' ({title})' if title else ''}; workload "
            f"{words.workload(summary)}; {words.connections([loop['connections']])}, {arrivals}; "
            f"{words.counted(summary['rounds'], 'round')} of {summary['duration_seconds']:g} s together, latency from "
            "the intended send time.")
    banner = words.banner([summary])
    curves = [_curve(summary, name, style, entry) for style, (name, entry) in enumerate(loop["contenders"].items())]
    if any(one.loads for one in curves):
        yield "offered", charts_latency.against_load(curves, PANELS, note, banner)
    drawn = [charts_latency.Distribution(
        f"{words.label(summary, name)}, {100 * each['share']:g} %: {each['offered'] / 1e3:.3g} k/s", style, dash,
        tuple((at, us) for at, us in each["curve"]))
        for style, (name, entry) in enumerate(loop["contenders"].items())
        for dash, each in enumerate(entry["distributions"]) if each["curve"]]
    if drawn:
        yield "percentiles", charts_latency.distributions(drawn, note, banner)


def _curve(summary: Summary, name: str, style: int, entry: Mapping[str, Any]) -> charts_latency.Curve:
    knee, saturation = entry["knee"], entry["saturation"]
    loads = tuple(charts_latency.Load(
        point["offered"], dict(point["latency_us"]),
        {key: (ends[0], ends[1]) for key in ("p50", "p99") if (ends := point[f"{key}_ci95"])}, point["client_bound"])
        for point in entry["points"] if point["rounds"] and not point["saturated"])
    # between two rates it is where p99 reaches what it is allowed
    measured = (load.latency_us["p99"] for load in loads if load.offered == knee["offered"])
    there = next(measured, None) or knee["limit_us"]
    mark = None if knee["offered"] is None else charts_latency.Knee(
        knee["offered"], there, *(knee["ci95"] or (None, None)))
    return charts_latency.Curve(words.label(summary, name), style, loads, mark,
                                saturation["requests_per_sec"] if saturation else None)
