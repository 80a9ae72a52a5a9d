# SPDX-License-Identifier: BSD-3-Clause
"""Make the index of all runs: sentence, wire, date, and the gain as a sparkline. Writes no file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from harness.analyse import SCHEMA, Summary, summarise
from harness.errors import UsageError
from harness.store import from_json, load_run, read_json
from harness.report.baselines import Line, headlines
from harness.report.charts.looks import look
from harness.report.templates import macro, render

# of a sparkline, in pixels
_WIDTH, _HEIGHT, _EDGE = 120.0, 28.0, 4.0


@dataclass(frozen=True)
class Spark:
    """The gains of one contender over the load points: places in a small picture."""

    points: tuple[tuple[float, float], ...]
    one: float
    colour: str
    text: str


@dataclass(frozen=True)
class Entry:
    """A run; why_not: why it cannot be read."""

    run: str
    started: str = ""
    wire: str = ""
    sentences: tuple[str, ...] = ()
    spark: Spark | None = None
    page: bool = False
    why_not: str = ""


def index_page(runs: Path, out: Path) -> bytes:
    """Return the page of all runs in `runs`, the newest first; `out`: where their reports are."""
    found = [_entry(path, out) for path in runs.glob("*") if path.is_dir()]
    found.sort(key=lambda entry: entry.run, reverse=True)
    return render("index.html.j2", {"entries": found, "width": _WIDTH, "height": _HEIGHT})


def _entry(path: Path, out: Path) -> Entry:
    page = (out / path.name / "report.html").is_file()
    try:
        started, summary = _read(path)
        sentences = tuple(line.partition("¶")[0]
                          for line in macro("headline.j2", "results", summary))
        lines = [line for line in headlines(summary) if line.gains] if summary.points else []
        return Entry(path.name, started, summary.wire, sentences,
                     _spark(lines[0]) if lines else None, page)
    except (UsageError, OSError, ValueError) as error:
        what = (f"{Path(error.filename).name}: {error.strerror}"
                if isinstance(error, OSError) and error.filename else str(error))
        return Entry(path.name, page=page, why_not=what.splitlines()[0])


def _read(path: Path) -> tuple[str, Summary]:
    """Return when a run was started and its summary: the one that its report left, if that is of
    its last trial, else one made anew."""
    kept, trials = path / "summary.json", path / "trials.jsonl"
    (path / "facts.json").stat()
    facts = read_json(path / "facts.json")
    if kept.is_file() and kept.stat().st_mtime >= trials.stat().st_mtime:
        data = read_json(kept)
        if (isinstance(data, dict) and data.get("schema") == SCHEMA
                and isinstance(facts, dict)):
            return str(facts.get("started_at", "")), from_json(Summary, data, str(kept))
    run = load_run(path)
    if not run.trials:
        raise UsageError("no trial yet")
    return run.facts.started_at, summarise(run)


def _spark(line: Line) -> Spark:
    """Return a line's ratios on a logarithmic axis that has 1 on it."""
    logs = [math.log(gain.ratio) for _, gain in line.gains if gain.ratio]
    low, high = min(0.0, *logs), max(0.0, *logs)
    step = (_WIDTH - 2 * _EDGE) / max(1, len(logs) - 1)

    def height(log: float) -> float:
        share = (log - low) / (high - low) if high > low else 0.5
        return round(_HEIGHT - _EDGE - share * (_HEIGHT - 2 * _EDGE), 2)
    text, = macro("index.j2", "spark", line)
    return Spark(tuple((round(_EDGE + step * place, 2), height(log))
                       for place, log in enumerate(logs)),
                 height(0.0), look(line.over)[0].lower(), text)
