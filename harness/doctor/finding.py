# SPDX-License-Identifier: BSD-3-Clause
"""Define what the doctor finds: a line of its answer."""

from __future__ import annotations

from dataclasses import dataclass

OK, NOTE, MISSING = "ok", "note", "missing"


@dataclass(frozen=True)
class Finding:
    """A line of the doctor's.

    `state`: OK, NOTE (works without, or not as well) or MISSING
    `advice`: what to do about it
    """

    state: str
    thing: str
    advice: str = ""

    def __str__(self) -> str:
        start = ":" if "\n" in self.advice else ": "
        return f"{self.state:<8} {self.thing}" + (start + self.advice if self.advice else "")


def lacking(thing: str, package: str) -> Finding:
    """Return the finding that a program or library is missing, which comes in a package."""
    return Finding(MISSING, thing, f"`sudo make deps`, or install package {package}")
