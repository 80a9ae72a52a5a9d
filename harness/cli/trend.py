# SPDX-License-Identifier: BSD-3-Clause
"""`make trend`: which runs, and the page of a figure over them. Knows files; what is said is trend.py's."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Mapping, Sequence

from harness.regression import change_points as changes
from harness.report.charts import base as charts
from harness.regression import charts_trend
from harness.report import report
from harness.regression import trend
from harness.report import format as words
from harness.errors import UsageError
from harness.regression.paired_logs import readings, trials
from harness.store.store import OUT, RESULTS, Run, find_run, give_to_user, load_run
from harness.regression.trend import Source, Trend
from harness.plan import pairs


def show_trend(names: Sequence[str], metric: str, point: str, contender: str, wire: str = "", results: Path = RESULTS,
               out: Path = OUT) -> None:
    """Writes the page to <out>/trend-<metric>…/ and prints its table. `names`: runs, or "last" and how many."""
    if point and not point.isdecimal():
        raise UsageError(f"POINT={point}: must be a number of connections")
    sources = [Source(readings(run), trials(run)) for run in chosen(names, wire, results)]
    found = trend.trend(sources, metric or trend.GAIN, int(point) if point else None, contender)
    last = found.sources[-1].readings.run
    place = out / "-".join(["trend", found.metric.replace("_", "-"), *([point] if point else []), last])
    files = build(found)
    report.write_files(place, files)
    give_to_user(place)
    print(files["trend.md"].decode(), end="")
    print(place / "trend.html")


def chosen(names: Sequence[str], wire: str, results: Path = RESULTS) -> list[Run]:
    """The runs; after "last N", the newest N of the wire (of the newest run's, if none is given) and its workload."""
    if not names or names[0] != "last":
        return [load_run(find_run(name, results)) for name in names]
    if len(names) != 2 or not re.fullmatch(r"[1-9][0-9]{0,3}", names[1]):
        raise UsageError("RUNS: 'last' needs a number, as in RUNS=\"last 20\"")
    found: list[Run] = []
    for path in sorted((results / "runs").glob("*"), reverse=True):
        if len(found) == int(names[1]) or not (path / "trials.jsonl").is_file():
            continue
        run = load_run(path)
        like = found[0].plan if found else None
        kind = (run.plan.wire, run.plan.workload)
        wanted = (like.wire, like.workload) if like else (wire or run.plan.wire, run.plan.workload)
        if run.trials and not pairs(run.plan.contenders) and not run.plan.offered and kind == wanted:
            found.append(run)
    if not found:
        raise UsageError(f"no run{f' of wire {wire!r}' if wire else ''} under {results / 'runs'}")
    return found


def build(found: Trend) -> dict[str, bytes]:
    """Every file of the page by its name."""
    data = trend.to_json(found)
    with charts.styled():
        picture = charts.render(charts_trend.draw(found, _note(found)))
    context = {"trend": data, "rows": _rows(data), "words": words, "title": _title(found), "level": changes.LEVEL,
               "chart": report.data_uri(picture["svg"]), "number": _number, "percent": _percent}
    return {"trend.json": (json.dumps(data, indent=1) + "\n").encode(),
            "trend.html": report.render("trend.html.j2", context), "trend.md": report.render("trend.md.j2", context),
            **{f"trend.{kind}": bytes_ for kind, bytes_ in picture.items()}}


def _title(found: Trend) -> str:
    plan = found.sources[-1].readings.plan
    at = words.connections([found.point]) if found.point else \
        f"geometric mean over {words.connections(list(found.connections))}"
    return f"{found.metric} of {len(found.sources)} runs on wire {plan.wire}, {plan.workload.name}, {at}"


def _note(found: Trend) -> str:
    return f"{_title(found)}. Bars: 95 % interval of each run's own rounds. A level is the mean between two changes."


def _rows(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One a run and line."""
    rows = []
    for run in data["runs"]:
        for line in data["lines"]:
            for value in line["values"]:
                if value["run"] == run["run"]:
                    step = next((each for each in line["changes"] if each["run"] == run["run"]), None)
                    rows.append({**run, **value, "line": f"{line['contender']}/{line['over']}" if line["over"] else
                                 line["contender"], "change": step})
    return rows


def _number(value: float) -> str:
    return f"{value:.4g}" if value < 1e4 else f"{value:,.0f}"


def _percent(value: float) -> str:
    return f"{value:+.1f} %".replace("-", "−")
