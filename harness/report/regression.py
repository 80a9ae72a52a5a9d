# SPDX-License-Identifier: BSD-3-Clause
"""Make the pages of gate, noise and trend from their typed results. Knows no file."""

from __future__ import annotations

import json
from typing import Any, Iterator

from harness.plan import Plan
from harness.regression import (
    COST, LEVEL, RATE, GateResult, Interleaved, NoiseResult, Result, Trend)
from harness.store import to_json
from harness.report.charts import noise, trend
from harness.report.charts.base import Frame, compact, pictures
from harness.report.format import Places
from harness.report.hardware import Facts
from harness.report.templates import macro, render

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


def interleaved_page(found: Interleaved) -> dict[str, bytes]:
    """Return gate.md and gate.json of a run that has change and base."""
    context = {"gate": found, "at": Places.of(found.points)}
    return {"gate.md": render("interleaved.md.j2", context), "gate.json": _json(found)}


def interleaved_failures(found: Interleaved) -> list[str]:
    """Return a sentence for each test that says worse."""
    return [line for test in found.tests if test.worse
            for line in macro("interleaved.j2", "change", test)]


def noise_page(found: NoiseResult, plan: Plan, facts: Facts,
               sessions: int) -> dict[str, bytes]:
    """Return the page of a noise run; `sessions`: how many the profile of this machine has."""
    at = Places(plan.sweep, found.points)
    frame = Frame(macro("noise.j2", "note", found)[0], str(facts["wire"].get("emulated", "")))

    def drawn() -> Iterator[tuple[str, Any]]:
        names = [compact(at.axis.value(point)) for point in found.points]
        yield "noise", noise.draw(found, names, at.axis.label, frame)
    files, charts = pictures(drawn())
    rounds = {count for row in found.detectable for count in row.detectable_percent}
    context = {"noise": found, "facts": facts, "at": at, "sessions": sessions, "charts": charts,
               "rounds": sorted(rounds)}
    return {**files, "noise.json": _json(found), "noise.html": render("noise.html.j2", context)}


def trend_page(found: Trend) -> dict[str, bytes]:
    """Return the page of a trend."""
    title, = macro("trend.j2", "title", found)

    def drawn() -> Iterator[tuple[str, Any]]:
        label, = macro("charts.j2", "trend_label", found.metric, found.unit)
        yield "trend", trend.draw(found, label, Frame(macro("trend.j2", "note", title)[0]))
    files, charts = pictures(drawn())
    context = {"trend": found, "title": title, "level": LEVEL, "charts": charts}
    return {**files, "trend.json": _json(found), "trend.html": render("trend.html.j2", context),
            "trend.md": render("trend.md.j2", context)}


def _json(found: GateResult | Interleaved | NoiseResult | Trend) -> bytes:
    return (json.dumps({"schema": SCHEMA, **to_json(found)}, indent=1) + "\n").encode()
