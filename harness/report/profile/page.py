# SPDX-License-Identifier: BSD-3-Clause
"""Make the files of a profile's report. Knows no clock and no machine; sentences are templates'."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping, Sequence

from harness.profile import Layer
from harness.report.profile.flame import ROW, WIDTH, boxes
from harness.report.templates import aligned, macro, render
from harness.store import BESIDE, ContenderProfile, Profile

# one colour a layer in every picture, light and dark
COLOURS: Mapping[str, str] = {
    "application": "#4e79a7", "library": "#a0cbe8", "syscall": "#edc948", "socket": "#b07aa1",
    "tcp": "#e15759", "ip": "#ff9d9a", "driver": "#59a14f", "eal": "#8cd17d", "copy": "#9c755f",
    "wakeup": "#f28e2b", "interrupt": "#ffbe7d", "polling": "#bab0ac", "unknown": "#79706e"}
# from here on a share of samples without a layer is a fault of the table
MOST_UNKNOWN = 0.05
# samples; with fewer, a layer of some percent is chance
LEAST_SAMPLES = 400
_BAR = 620


@dataclass(frozen=True)
class Part:
    """One layer in a bar; x and width in pixels."""

    layer: str
    cycles: float
    share: float
    x: float
    width: float


def profile_page(found: Profile, facts: Mapping[str, Any]) -> dict[str, bytes]:
    """Return profile.html, profile.md, the bars and each flame graph as SVG."""
    flames = {item.contender: {"of": item, "boxes": boxes(item)} for item in found.contenders}
    context = {**_context(found, facts), "flames": flames}
    files = {"profile.html": render("profile.html.j2", context),
             "profile.md": render("profile.md.j2", context),
             "profile.svg": render("profile.svg.html.j2", {**context, "standalone": True})}
    for name, flame in flames.items():
        files[f"flame-{name.replace('/', '-')}.svg"] = render(
            "flame.svg.html.j2", {**context, "flame": flame, "standalone": True})
    return files


def profile_lines(found: Profile) -> list[str]:
    """Return what a terminal shows: cycles a request by layer, and what to mind."""
    context = _context(found, {})
    table = aligned(macro("profile.j2", "table", found, context["layers"]))
    return [*macro("profile.j2", "title", found), *table, *macro("profile.j2", "notes", found,
                                                               MOST_UNKNOWN, LEAST_SAMPLES)]


def _context(found: Profile, facts: Mapping[str, Any]) -> dict[str, Any]:
    layers = [layer.value for layer in Layer if layer.value not in BESIDE and any(
        layer.value in item.cycles_per_request for item in found.contenders)]
    most = max((item.worked for item in found.contenders), default=0.0) or 1.0
    return {"profile": found, "facts": facts, "layers": layers, "colours": COLOURS,
            "bars": {item.contender: _parts(item, layers, most) for item in found.contenders},
            "bar": _BAR, "most_unknown": MOST_UNKNOWN, "least_samples": LEAST_SAMPLES,
            "width": WIDTH, "row": ROW, "standalone": False}


def _parts(of: ContenderProfile, layers: Sequence[str], most: float) -> list[Part]:
    parts, x = [], 0.0
    for layer in layers:
        cycles = of.cycles_per_request.get(layer, 0.0)
        width = _BAR * cycles / most
        parts.append(Part(layer, cycles, cycles / of.worked if of.worked else 0.0, round(x, 1),
                          round(width, 1)))
        x += width
    return parts
