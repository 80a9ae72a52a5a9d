# SPDX-License-Identifier: BSD-3-Clause
"""What a step is: something that a run does to the machine, with what it needs and what undoes
it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Sequence

from harness.host import Host

# plain data: a kind of action (undo.py has them all) and its arguments
Action = Sequence[str | int]
# for what a reboot does not undo: where ports belong (nic/saved_state.py)
STATE_DIR = "/var/lib/stackduel"


class Step:
    """A step; a class that derives from it needs nothing, undoes nothing and does nothing, but for
    what it defines."""

    @property
    def name(self) -> str:
        raise NotImplementedError

    def check(self, host: Host) -> str | None:
        """Return what is missing and how to get it; None if nothing is. Changes nothing."""
        return None

    def undo(self, host: Host) -> list[Action]:
        """Return what will undo the step; called before `up`."""
        return []

    def up(self, host: Host) -> None:
        """Do it. MachineError when the machine refuses."""


@dataclass(frozen=True)
class Commands(Step):
    """A step made of commands. `absent`: a path that must not exist yet, or it is somebody
    else's."""

    title: str
    commands: tuple[tuple[str, ...], ...]
    actions: tuple[Action, ...]
    absent: str = ""

    @property
    def name(self) -> str:
        return self.title

    def check(self, host: Host) -> str | None:
        if self.absent and host.exists(self.absent):
            return f"{self.absent} is there already and not ours; see who uses it, then remove it"
        return None

    def undo(self, host: Host) -> list[Action]:
        return list(self.actions)

    def up(self, host: Host) -> None:
        for argv in self.commands:
            host.run(argv)


def commands(title: str, up: str, down: str, absent: str = "") -> Commands:
    """Return a step of commands written as in a shell, one a line. `down` undoes them."""
    return Commands(title, tuple(tuple(shlex.split(line)) for line in up.strip().splitlines()),
                    tuple(("run", *shlex.split(line)) for line in down.strip().splitlines()), absent)
