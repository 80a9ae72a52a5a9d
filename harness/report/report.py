# SPDX-License-Identifier: BSD-3-Clause
"""From a run to files that people read: HTML page, Markdown summary, CSV, charts. Knows no clock, no machine.

Every byte follows from the run's files (and the published figures asked for): writing twice gives the same.
"""

from __future__ import annotations

import base64
import csv
import errno
import io
import os
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, Iterator, Mapping, Sequence

import jinja2

from harness.analyse import summary as analyse
from harness.report import papers as beside
from harness.report.charts import base as charts
from harness.report.charts import cpu as charts_cpu
from harness.report import hardware as equipment
from harness.report import headline
from harness.report import baselines as kernel_ladder
from harness.report import method
from harness.report import open_loop as openloop_report
from harness.plan import published
from harness.report.charts import ablation as waterfall
from harness.report import format as words
from harness.errors import MachineError, UsageError
from harness.store.store import Run, load_run

TEMPLATES = Path(__file__).resolve().parents[2] / "reports" / "templates"
Summary = Mapping[str, Any]
CAPTIONS = {
    "throughput": "Throughput against the number of connections: medians, with the 95 % interval as a band.",
    "gain": "Gain: throughput over the baseline's, by load point, with its 95 % interval; with several kernel servers "
            "over the best of each load point (thick), and over each of them (thin; intervals in the tables).",
    "rungs": "What each kernel server is worth: its throughput over the baseline's, with its 95 % interval.",
    "latency": "Latency percentiles, as the load tool gives them (see “How this was measured and judged”).",
    "cpu": "CPU time burned for one request on all cores of client and server, and by interrupts on others.",
    **charts_cpu.CAPTIONS,
    "waterfall": "Busy cycles for one request: what each measure saves when it is added to those above it, and what it "
                 "saves when all others are there; 95 % intervals of the differences within each round.",
    **openloop_report.CAPTIONS,
}
# Of some sixty features of an interface, those that change what TCP costs.
_OFFLOADS = ("rx-checksumming", "tx-checksumming", "scatter-gather", "tcp-segmentation-offload",
             "generic-segmentation-offload", "generic-receive-offload", "large-receive-offload")
COLUMNS = (
    "connections", "contender", "requests_per_sec_median", "requests_per_sec_ci95_low",
    "requests_per_sec_ci95_high", "latency_p50_us", "latency_p90_us", "latency_p99_us", "latency_p999_us",
    "latency_max_us", "trials_valid", "trials_invalid", "errors", "cpu_us_per_request_median",
    "cycles_per_request_median", "gain_over", "gain_ratio", "gain_ci95_low", "gain_ci95_high", "gain_verdict",
    "gain_rounds", "gain_bound", "limit_by", "limit_evidence", "connections_per_sec_median", "memory_bytes_median",
    "memory_bytes_per_connection", "bytes_per_connection_reported", "requests_per_core_second_median",
    "requests_per_core_second_ci95_low", "requests_per_core_second_ci95_high", "cycles_from",
    "burned_cycles_per_request_median", "client_ceiling_requests_per_sec", "client_ceiling_at_least",
    "headline_over", "headline_ratio", "headline_ci95_low", "headline_ci95_high", "headline_verdict")
# of gains.csv: every pair of a run with a kernel ladder
GAIN_COLUMNS = ("connections", "contender", "over", "ratio", "ci95_low", "ci95_high", "verdict", "rounds", "bound", "p",
                "p_adjusted", "over_is_best_kernel")
# of what a connection costs, where our load generator held them: key and part of a cell of the summary
_COSTS = (("connections_per_sec", "median"), ("memory_bytes", "median"), ("memory_bytes", "per_connection"),
          ("bytes_per_connection", "total"))
_THICK_AND_THIN = " Thick: over the best kernel server of each load point; thin: over each, intervals in the tables."
# of more contenders a chart has the names, as the tables have them, for their labels leave it no room
_SHORT_FROM = 3
_SHOWN_FACTS = ("started_at", "machine", "kernel", "cpus", "hugepages", "versions", "git", "load_tool")


def write(run_dir: Path, out: Path, published_names: Sequence[str] = ()) -> list[Path]:
    """Write the report of the run in `run_dir` to `out`, and its summary.json where that is not there yet.

    Returns the report's files. Raises UsageError on a foreign run or an unknown publication, MachineError if
    `out` cannot be written.
    """
    run, summary = loaded(run_dir)
    names = published_names or ([run.plan.paper] if run.plan.paper else [])
    files = build(run, summary, [published.load(name) for name in names])
    _keep_summary(run_dir / "summary.json", files["summary.json"])
    return write_files(out, files)


def loaded(run_dir: Path) -> tuple[Run, dict[str, Any]]:
    """A run and its summary. Raises UsageError on a foreign run."""
    run = load_run(run_dir)
    return run, analyse.summarise(run.plan, run.facts, run.old_trials, run.old_calibration)


def build(run: Run, summary: Summary, others: Sequence[published.Published]) -> dict[str, bytes]:
    """Every file of the report by its name."""
    with charts.styled():
        pictures = {name: charts.render(figure) for name, figure in figures(run, summary, others)}
    files = {f"{name}.{kind}": data for name, kinds in pictures.items() for kind, data in kinds.items()}
    context = {
        "summary": summary, "facts": run.facts, "plan": run.plan, "words": words, "published": others,
        "charts": {name: data_uri(kinds["svg"]) for name, kinds in pictures.items()},
        "captions": {name: CAPTIONS[name.partition("-")[0]] for name in pictures},
        "headline": headlines(summary), "title": headline.title(summary),
        "ladder": kernel_ladder.ladder(summary), "open_loop": openloop_report, "machine": list(words.flatten(
            {**{key: run.facts.get(key) for key in _SHOWN_FACTS},
             **({"clients": run.facts["clients"]} if "clients" in run.facts else {})}, skip=("cpu_flags",))),
        "offloads": offloads(run.facts), "ports": run.facts.get("ports", {}),
        "problems": words.problems(run.old_trials),
        "method": {"sections": method.sections(run.plan, run.facts, run.old_trials, summary),
                   "brief": method.brief(run.plan, summary)},
        "command": words.command(run.plan, equipment.order(run.facts)),
        "banner": words.banner([summary]), "equipment": equipment.sections(run.facts),
        "tunings": equipment.tunings(run.facts), "equipment_in_brief": equipment.brief(run.facts),
        "asked_nics": any("xstats" in trial for trial in run.old_trials), "besides": besides(run, summary, others),
    }
    files["summary.json"] = analyse.to_text(summary).encode()
    files["report.html"] = render("report.html.j2", context)
    files["summary.md"] = render("summary.md.j2", context)
    files["summary.csv"] = figures_table((), [((), summary)]) if "open_loop" not in summary else table(
        openloop_report.COLUMNS, openloop_report.rows(summary))
    if context["ladder"]:
        files["gains.csv"] = gains_table(summary)
    return files


def headlines(summary: Summary) -> list[headline.Headline]:
    """What the run says, in plain words."""
    return openloop_report.headlines(summary) if "open_loop" in summary else headline.headline(summary)


def besides(run: Run, summary: Summary, others: Sequence[published.Published]) -> list[beside.Beside]:
    """Ours beside each publication asked for; on a NIC, as they were measured on, beside the seed's in any case."""
    if "ablation" in summary or "open_loop" in summary:
        return []
    of = others or ([published.load(beside.SEED)] if summary["wire"] == "nic" else [])
    return [beside.beside(run, summary, other) for other in of]


def figures(run: Run, summary: Summary, others: Sequence[published.Published]) -> Iterator[tuple[str, Any]]:
    """The charts of a run; the gain's is left out where there is one contender only."""
    if "ablation" in summary:
        yield from _waterfalls(run, summary)
        return
    if "open_loop" in summary:
        yield from openloop_report.figures(summary, str(run.facts["wire"].get("title", "")))
        return
    note, banner = words.note(summary, str(run.facts["wire"].get("title", ""))), words.banner([summary])
    overlay = words.overlay_note(others)
    # a contender keeps its look whichever others are measured
    names = [(number, name) for number, name in enumerate(summary["contenders"]) if name in words.names(summary)]
    short = len(names) > _SHORT_FROM
    rates = [throughput_series(summary, name, number, name if short else "") for number, name in names]
    yield "throughput", charts.throughput([*rates, *charts_cpu.ceiling(summary["points"]), *published_rates(others)],
                                          note + overlay, banner)
    for name, (lines, label) in gain_lines(summary).items():
        theirs = published_gains(others) if name == "gain" else []
        thin = _THICK_AND_THIN if any(line.weight < 1 for line in lines) else ""
        yield name, charts.gain([*lines, *theirs], note + thin + (overlay if theirs else ""), label, banner)
    panels = [(title, [_latency_series(summary, name, number, key, name if short else "") for number, name in names])
              for key, title in (("p50", "p50"), ("p99", "p99"), ("p999", "p99.9"))]
    yield "latency", charts.latency(panels, note, banner)
    points = summary["points"]
    bars = [charts_cpu.Bars(name if short else words.label(summary, name), charts.COLOURS[number % len(charts.COLOURS)],
                        tuple(_parts(point["contenders"][name]["cpu_us_per_request"]) for point in points))
            for number, name in names]
    yield "cpu", charts_cpu.cpu([point["connections"] for point in points], bars, note, banner)

    def make(name: str, number: int, pick: charts_cpu.Pick) -> charts.Series:
        return _series(summary, name, number, pick, name if short else "")
    yield from charts_cpu.figures(points, names, make, note, banner)


def _waterfalls(run: Run, summary: Summary) -> Iterator[tuple[str, Any]]:
    """One a load point that has the plain design's figure."""
    drawn = [each for each in summary["ablation"] if each["plain"] is not None]
    for each in drawn:
        name = "waterfall" if len(drawn) == 1 else f"waterfall-{each['connections']}"
        steps = [waterfall.Step(row["name"], _saving(row["saved"]), _saving(row["saved_alone"]))
                 for row in each["measures"]]
        note = words.note(summary, str(run.facts["wire"].get("title", "")))
        yield name, waterfall.draw(each["plain"], steps, f"{words.connections([each['connections']])}. {note}",
                                   words.banner([summary]))


def _saving(saved: Mapping[str, Any]) -> waterfall.Saving:
    return waterfall.Saving(saved["mean"], *(saved["ci95"] or (None, None)))


def throughput_series(summary: Summary, name: str, style: int, label: str = "") -> charts.Series:
    """One contender's throughput in requests/s, hollow where client-bound; `label` instead of its own."""
    return _series(summary, name, style, lambda cell: (cell["requests_per_sec"]["median"],
                                                       cell["requests_per_sec"]["ci95"]), label)


def gain_series(summary: Summary, name: str, style: int, label: str = "") -> charts.Series:
    """One contender's gain over the baseline, its verdicts as markers; `label` instead of its own."""
    points = _measured(summary, name)
    values = [_gain_value(point["gain"][f"{name}/{summary['baseline']}"]) for point in points]
    return charts.series(label or words.label(summary, name), style, [point["connections"] for point in points], values)


def headline_series(summary: Summary, name: str, style: int, label: str,
                    weight: float = charts.THICK) -> charts.Series:
    """One contender's gain over the best kernel rung of each load point, its verdicts as markers; solid if thick."""
    points = _measured(summary, name)
    values = [_gain_value(entry) if (entry := point["headline"].get(name)) else charts.Value(None) for point in points]
    line = charts.series(label, style, [point["connections"] for point in points], values)
    return replace(line, weight=weight, dash="-" if weight > 1 else line.dash)


def gain_lines(summary: Summary) -> dict[str, tuple[list[charts.Series], str]]:
    """The charts of gains by name, each with its lines and what its axis says; {} where there is one contender.

    With a kernel ladder: the gain over the best rung thick, that over each rung thin in the rung's own look, which has
    its interval in the tables; and what each rung is over the baseline.
    """
    names, ladder = list(summary["contenders"]), headline.rungs(summary)
    of = {name: number for number, name in enumerate(names) if not words.absent(summary, name)}
    others = [name for name in of if name not in (ladder or names[:1])]
    above = [name for name in of if name != names[0]]
    if len(ladder) < 2 or not others:
        return {"gain": ([gain_series(summary, name, of[name]) for name in above],
                         f"Gain (throughput ratio to {names[0]})")} if above else {}
    lines = [headline_series(summary, name, of[name], f"{name} over the best") for name in others]
    if len(others) == 1:
        lines += [_thin(_plain_gain(summary, others[0], rung, of[rung], f"over {rung}"))
                  for rung in ladder if rung in of]
    worth = [_plain_gain(summary, name, names[0], of[name], name) for name in ladder if name in of and name != names[0]]
    return {"gain": (lines, "Gain (throughput ratio to kernel)"),
            **({"rungs": (worth, f"Throughput ratio to {names[0]}")} if worth else {})}


def _plain_gain(summary: Summary, name: str, below: str, style: int, label: str) -> charts.Series:
    """A gain whose marker is its own look's, and not the verdict's."""
    points = _measured(summary, name)
    values = [replace(_gain_value(point["gain"][f"{name}/{below}"]), marker=None) for point in points]
    return charts.series(label, style, [point["connections"] for point in points], values)


def _thin(series: charts.Series) -> charts.Series:
    """Without its intervals, which would cover those of what is read first."""
    return replace(series, weight=charts.THIN, values=tuple(replace(value, low=None, high=None)
                                                            for value in series.values))


def _gain_value(gain: Mapping[str, Any]) -> charts.Value:
    low, high = gain["ci95"] or (None, None)
    return charts.Value(gain["ratio"], low, high, gain["bound"] is not None, charts.VERDICT_MARKERS[gain["verdict"]])


def _measured(summary: Summary, name: str) -> list[Mapping[str, Any]]:
    """The load points at which a contender was to be measured."""
    return [point for point in summary["points"] if "not_measured" not in point["contenders"][name]]


def _latency_series(summary: Summary, name: str, style: int, key: str, label: str) -> charts.Series:
    return _series(summary, name, style, lambda cell: (cell["latency_us"][key], None), label)


def published_rates(others: Sequence[published.Published]) -> list[charts.Series]:
    """Grey overlays of other people's throughput in requests/s."""
    every = [(f"{series.label} ({other.short})", other.connections, series.requests_per_sec)
             for other in others for series in other.series.values()]
    return [_overlay(*one, style) for style, one in enumerate(every)]


def published_gains(others: Sequence[published.Published]) -> list[charts.Series]:
    """Grey overlays of other people's gains over their own baseline."""
    every = [(f"{other.series[name].label} ({other.short})", other.connections, ratios)
             for other in others for name, ratios in other.gains().items()]
    return [_overlay(*one, style) for style, one in enumerate(every)]


def _overlay(label: str, points: Sequence[int], figures: Sequence[float | None], style: int) -> charts.Series:
    """Without the load points that it has no figure for."""
    known = [(point, figure) for point, figure in zip(points, figures) if figure is not None]
    return charts.overlay(label, style, [point for point, _ in known], [figure for _, figure in known])


def _series(summary: Summary, name: str, style: int,
            pick: Callable[[Mapping[str, Any]], tuple[float | None, Sequence[float] | None]],
            label: str = "") -> charts.Series:
    values = []
    points = _measured(summary, name)
    for point in points:
        centre, interval = pick(point["contenders"][name])
        low, high = interval or (None, None)
        values.append(charts.Value(centre, low, high, point["limit"][name]["by"] == "client cpu"))
    return charts.series(label or words.label(summary, name), style, [point["connections"] for point in points], values)


def _cycles(cell: Mapping[str, Any]) -> tuple[float | None, Sequence[float] | None]:
    cycles = cell.get("cycles_per_request", {})
    return cycles.get("median"), cycles.get("ci95")


def _parts(cpu: Mapping[str, Any]) -> dict[str, float] | None:
    if cpu["median"] is None:
        return None
    return dict(cpu["by_role"]) if cpu["by_role"] else {"both": cpu["median"]}


def rows(summary: Summary) -> Iterator[list[Any]]:
    """One row a contender and load point, in the order of COLUMNS; None where there is no figure."""
    for point in summary["points"]:
        for name, cell in point["contenders"].items():
            rate, latency = cell["requests_per_sec"], cell["latency_us"]
            gain = point["gain"].get(f"{name}/{summary['baseline']}", {})
            limit = point["limit"][name]
            yield [point["connections"], name, rate["median"], *(rate["ci95"] or (None, None)),
                   *(latency[key] for key in analyse.PERCENTILES), cell["trials"], cell["invalid"],
                   cell["errors"], cell["cpu_us_per_request"]["median"], _cycles(cell)[0],
                   summary["baseline"] if gain else None, gain.get("ratio"),
                   *(gain.get("ci95") or (None, None)), gain.get("verdict"), gain.get("rounds"),
                   gain.get("bound"), limit["by"], limit["evidence"],
                   *(cell.get(key, {}).get(part) for key, part in _COSTS), *_efficiency(cell),
                   *(point.get("client_ceiling", {}).get(key) for key in ("requests_per_sec", "at_least")),
                   *_headline_cells(point, name)]


def _efficiency(cell: Mapping[str, Any]) -> list[Any]:
    rate = cell.get("requests_per_core_second", {})
    return [rate.get("median"), *(rate.get("ci95") or (None, None)), cell.get("cycles_from"),
            cell.get("burned_cycles_per_request", {}).get("median")]


def _headline_cells(point: Mapping[str, Any], name: str) -> list[Any]:
    """The gain over the best kernel rung; None for a contender that has none."""
    entry = point.get("headline", {}).get(name, {})
    return [entry.get("over"), entry.get("ratio"), *(entry.get("ci95") or (None, None)), entry.get("verdict")]


def gains_table(summary: Summary) -> bytes:
    """CSV of every pair of contenders that a gain is given of, in the order of GAIN_COLUMNS."""
    names, emulated = list(summary["contenders"]), summary.get("emulated")
    lines = ([point["connections"], name, below, gain["ratio"], *(gain["ci95"] or (None, None)), gain["verdict"],
              gain["rounds"], gain["bound"], gain.get("p"), gain.get("p_adjusted"),
              "yes" if below == point["best_kernel"] else "no", *([emulated] if emulated else [])]
             for point in summary["points"] for name in names for below in names
             if (gain := point["gain"].get(f"{name}/{below}")) is not None)
    return table((*GAIN_COLUMNS, *(["emulated"] if emulated else [])), lines)


def figures_table(columns: Sequence[str], summaries: Sequence[tuple[Sequence[str], Summary]]) -> bytes:
    """CSV of all figures of some runs, each row led by what stands beside its summary under `columns`.

    The last column says what played the part of the NIC, where that was the case in any of them.
    """
    marked = any(summary.get("emulated") for _, summary in summaries)
    lines = ([*lead, *row, *([summary.get("emulated")] if marked else [])]
             for lead, summary in summaries for row in rows(summary))
    return table((*columns, *COLUMNS, *(["emulated"] if marked else [])), lines)


def table(columns: Sequence[str], lines: Iterator[list[Any]]) -> bytes:
    """CSV with a header; empty where there is no figure."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(lines)
    return text.getvalue().encode()


def offloads(facts: Mapping[str, Any]) -> list[tuple[str, list[str], list[str]]]:
    """(interface, active, not active) of the offloads that change what TCP costs, by kernel interface."""
    return [(interface, [name for name in _OFFLOADS if name in active],
             [name for name in _OFFLOADS if name not in active])
            for interface, active in sorted(facts.get("offloads", {}).items())]


def data_uri(svg: bytes) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode()


def render(template: str, context: Mapping[str, Any]) -> bytes:
    """A template of reports/templates/ with `context`; an unknown name is an error, HTML is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True, autoescape=".html" in template)
    try:
        return environment.get_template(template).render(context).encode()
    except jinja2.UndefinedError as error:
        raise UsageError(f"facts.json: something that {template} shows is missing: {error}") from None


def write_files(out: Path, files: Mapping[str, bytes]) -> list[Path]:
    """Write every file whole into the directory `out`. Raises MachineError if the disk refuses."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            replace_file(out / name, data)
    except OSError as error:
        raise MachineError(f"{out}: cannot write the report: {error.strerror or error}") from error
    return [out / name for name in sorted(files)]


def replace_file(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _keep_summary(path: Path, data: bytes) -> None:
    """summary.json beside the run. A run on a medium that cannot be written is still reported."""
    if path.is_file() and path.read_bytes() == data:
        return
    try:
        replace_file(path, data)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            return
        raise MachineError(f"{path}: cannot write: {error.strerror or error}") from error
