# SPDX-License-Identifier: BSD-3-Clause
"""Make the pages of gate, noise and trend from their typed results. Knows no file."""

from __future__ import annotations

import json
from typing import Any, Mapping

from harness.plan import Plan
from harness.regression import COST, LEVEL, RATE, GateResult, NoiseResult, Result, Trend
from harness.store import to_json
from harness.report.charts import noise, trend
from harness.report.charts.base import Frame, compact, render as render_chart, styled
from harness.report.format import Places
from harness.report.templates import data_uri, macro, render

SCHEMA = 2


def gate_page(found: GateResult) -> dict[str, bytes]:
    """Return gate.md and gate.json."""
    points = tuple(dict.fromkeys(point for test in found.tests for point in test.points))
    context = {"gate": found, "at": Places.of(points), "RATE": RATE, "COST": COST}
    return {"gate.md": render("gate.md.j2", context), "gate.json": _json(found)}


def gate_failures(found: GateResult) -> list[str]:
    """Return a sentence for each test that says worse."""
    return [line for test in found.tests if test.result == Result.WORSE
            for line in macro("gate.j2", "change", test)]


def noise_page(found: NoiseResult, plan: Plan, facts: Mapping[str, Any],
               sessions: int) -> dict[str, bytes]:
    """Return the page of a noise run; `sessions`: how many the profile of this machine has."""
    at = Places(plan.sweep, found.points)
    frame = Frame(macro("noise.j2", "note", found)[0], str(facts["wire"].get("emulated", "")))
    with styled():
        picture = render_chart(noise.draw(
            found, [compact(at.axis.value(point)) for point in found.points], at.axis.label, frame))
    context = {
        "noise": found, "facts": facts, "at": at, "sessions": sessions,
        "chart": data_uri(picture["svg"]),
        "rounds": sorted({count for row in found.detectable for count in row.detectable_percent})}
    return {"noise.json": _json(found), "noise.html": render("noise.html.j2", context),
            **{f"noise.{kind}": data for kind, data in picture.items()}}


def trend_page(found: Trend) -> dict[str, bytes]:
    """Return the page of a trend."""
    title, = macro("trend.j2", "title", found)
    label, = macro("charts.j2", "trend_label", found.metric, found.unit)
    with styled():
        picture = render_chart(trend.draw(found, label, Frame(macro("trend.j2", "note", title)[0])))
    rows = [(run, line, value, next((change for change in line.changes
                                     if change.run == run.run), None))
            for run in found.runs for line in found.lines for value in line.values
            if value.run == run.run]
    context = {"trend": found, "title": title, "rows": rows, "level": LEVEL,
               "chart": data_uri(picture["svg"])}
    return {"trend.json": _json(found), "trend.html": render("trend.html.j2", context),
            "trend.md": render("trend.md.j2", context),
            **{f"trend.{kind}": data for kind, data in picture.items()}}


def _json(found: GateResult | NoiseResult | Trend) -> bytes:
    return (json.dumps({"schema": SCHEMA, **to_json(found)}, indent=1) + "\n").encode()
