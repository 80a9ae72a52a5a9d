# SPDX-License-Identifier: BSD-3-Clause
"""What a step is: something that a run does to the machine, with what it needs and what undoes it."""

from __future__ import annotations

from typing import Protocol, Sequence

from harness.host import Host

# plain data: a kind of action (undo.py has them all) and its arguments
Action = Sequence[str | int]


class Step(Protocol):
    """A step; a class that derives from it needs nothing, undoes nothing and does nothing, but for what it defines."""

    @property
    def name(self) -> str: ...

    def check(self, host: Host) -> str | None:
        """Return what is missing and how to get it; None if nothing is. Changes nothing."""
        return None

    def undo(self, host: Host) -> list[Action]:
        """Return what will undo the step; called before `up`."""
        return []

    def up(self, host: Host) -> None:
        """Do it. MachineError when the machine refuses."""
