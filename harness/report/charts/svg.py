# SPDX-License-Identifier: BSD-3-Clause
"""Put a chart into a page: colours that follow it, a value's text on hover, ids of its own."""

from __future__ import annotations

import html
import re
from typing import Any

from harness.report.charts.looks import DARK

# what else charts draw in, on a white page and on a dark one: paper, grid, notes, warning
PAPER = "#FFFFFF"
SHADES = {colour.lower(): dark for colour, dark in {
    **DARK, PAPER: "#16181C", "#CCCCCC": "#3C4148", "#555555": "#A8ADB5", "#444444": "#B8BDC5",
    "#666666": "#9A9FA7", "#B00000": "#FF7B72"}.items()}
_TIP = "tip:"
_MARKED = re.compile(r"<g id=(\"tip:[^\"]*\"|'tip:[^']*')>")
_USED = re.compile(r"(?<=url\(#)[^)]+|(?<=href=\"#)[^\"]+")
_STYLE = re.compile(r'style="[^"]*"')


def tip(artist: Any, text: str) -> None:
    """Let what is drawn tell its value where a pointer rests on it."""
    artist.set_gid(_TIP + text)


def titled(svg: bytes) -> bytes:
    """Return a picture in which a marked shape has its text as its title."""
    def title(found: re.Match[str]) -> str:
        text = html.unescape(found[1][1:-1]).removeprefix(_TIP)
        return f'<g class="tip"><title>{html.escape(text, quote=False)}</title>'
    return _MARKED.sub(title, svg.decode()).encode()


def inline(name: str, svg: bytes) -> str:
    """Return a picture as a part of a page: no size, no fixed colour, no id of another chart."""
    text = svg.decode()
    text = text[text.index("<svg"):]
    size, = re.findall(r'viewBox="[^"]*"', text[:text.index(">")])
    text = re.sub(r"^<svg[^>]*>", f'<svg class="chart" role="img" aria-label="{name}" {size}>',
                  text)
    text = re.sub(r"\s*<metadata>.*?</metadata>|\s*<style.*?</style>", "", text, flags=re.DOTALL)
    used = {*_USED.findall(text)}
    text = re.sub(r' id="([^"]*)"', lambda found: f' id="{name}-{found[1]}"'
                  if found[1] in used else "", text)
    text = _USED.sub(lambda found: f"{name}-{found[0]}", text).replace("xlink:href", "href")
    return _STYLE.sub(lambda style: re.sub(r"#[0-9a-f]{6}", _variable, style[0]),
                      re.sub(r"\n\s*", "\n", text)).strip()


def _variable(colour: re.Match[str]) -> str:
    """Return the page's variable for a colour that has one, else the colour."""
    return f"var(--c{colour[0][1:]})" if colour[0] in SHADES else colour[0]
