# SPDX-License-Identifier: BSD-3-Clause
"""Render reports/templates/, where all sentences of reports stand. Writes no file."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, Mapping, Sequence

import jinja2
import markupsafe

from harness.errors import UsageError
from harness.plan import AS_PUBLISHED
from harness.store import (
    CableNote, Evidence, Interference, NotCalibrated, NotMeasured, Note, Problem, StoppedBy,
    Unsettled)
from harness.report import baselines, format, hardware
from harness.report.charts.svg import SHADES
from harness.report.page import first_screen

TEMPLATES = Path(__file__).resolve().parents[2] / "reports" / "templates"
_FILTERS = (format.number, format.ratio, format.share, format.small_share, format.signed,
            format.interval, format.bounded, format.with_interval, format.saved, format.listed,
            format.counted, format.thousands, hardware.table, hardware.tables, hardware.cards,
            hardware.flatten, hardware.fact)
# the macro of codes.j2 for each kind of code
_MACROS: Mapping[type, str] = {
    Interference: "interference", Problem: "problem", Unsettled: "unsettled",
    NotMeasured: "not_measured", NotCalibrated: "not_calibrated", Evidence: "evidence",
    CableNote: "cable_note", StoppedBy: "stopped"}


@lru_cache(maxsize=None)
def environment(html: bool, markdown: bool = False) -> jinja2.Environment:
    """Return the templates with the filters of format.py; an unknown name is an error.

    What is stored becomes no tag, and in Markdown no link or picture either.
    """
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, autoescape=html,
        finalize=_without_marks if markdown else None)
    made.filters.update({function.__name__: function for function in _FILTERS}, lines=lines,
                        cell=_cell)
    made.globals.update(
        NONE=format.NONE, zip=zip, pair=format.pair, places=format.places, ratio=format.ratio,
        command_line=format.command_line, shades=SHADES, SHOWN=first_screen.SHOWN,
        as_published=list(AS_PUBLISHED),
        **{function.__name__: function for function in (
            baselines.label, baselines.limits, baselines.measured, baselines.absent,
            baselines.others,
            baselines.baselines, baselines.both_ended, baselines.best_at, baselines.polls_like,
            baselines.line,
            baselines.headlines, baselines.emulated, first_screen.ranked,
            first_screen.first_charts, first_screen.more_charts, first_screen.widest)})
    return made


def render(template: str, context: Mapping[str, object]) -> bytes:
    """Render a template; HTML is escaped. UsageError where facts lack what it shows."""
    try:
        made = environment(".html" in template, ".md" in template)
        return made.get_template(template).render(context).encode()
    except (jinja2.UndefinedError, TypeError, ValueError) as error:
        # of facts that no class describes
        raise UsageError(f"facts.json: something that {template} shows is missing or no such "
                         f"thing: {error}") from None


def macro(template: str, name: str, *values: Any) -> list[str]:
    """Return the sentences, one a line, of one macro; plain text."""
    text = getattr(environment(False).get_template(template).module, name)
    return lines(text(*values))


def note_text(note: Note[Any]) -> str:
    """Return a code with its numbers as a phrase; plain text."""
    text, = macro("codes.j2", _MACROS[type(note.code)], note)
    return text


def lines(text: str) -> list[str]:
    """Return the lines of a macro's text that hold something, with single blanks."""
    kind: Any = markupsafe.Markup if isinstance(text, markupsafe.Markup) else str
    return [kind(" ".join(line.split())) for line in text.splitlines() if line.strip()]


def _without_marks(value: object) -> object:
    """Return a text as Markdown shows it; done twice, it stays."""
    return value.replace("<", "&lt;").replace("](", "]\\(") if isinstance(value, str) else value


def _cell(text: object) -> str:
    """Return text as a cell of a Markdown table."""
    return str(text).replace("|", "\\|")


def aligned(rows: Sequence[str]) -> list[str]:
    """Return a table for a terminal from rows of cells parted by ¶; the last column is text."""
    cells = [row.split("¶") for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells)]
    return ["  ".join([*(cell.rjust(width) for cell, width in zip(row[:-1], widths)), row[-1]])
            .rstrip() for row in cells]
