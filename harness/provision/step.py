# SPDX-License-Identifier: BSD-3-Clause
"""Define a step: something that a run does to the machine, what it needs and what undoes it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Mapping, Sequence

from harness.host import Host

# plain data: a kind of action (journal.py has them all) and its arguments
Action = Sequence[str | int]
# for what a reboot does not undo: where ports belong (nic/saved_state.py)
STATE_DIR = "/var/lib/stackduel"


class Step:
    """A step. One needs, undoes and does nothing, but for what its class defines.

    title: its name, a format of the step itself
    """

    title: str

    @property
    def name(self) -> str:
        return self.title.format(self)

    def check(self, host: Host) -> str:
        """Return what is missing and how to get it; "" if nothing is. Changes nothing."""
        return ""

    def undo(self, host: Host) -> list[Action]:
        """Return what will undo the step; called before `up`."""
        return []

    def up(self, host: Host) -> None:
        """Do it. MachineError when the machine refuses."""


@dataclass(frozen=True)
class Commands(Step):
    """A step made of commands. `absent`: a path of somebody else's if it is there already."""

    title: str
    commands: Sequence[Sequence[str]]
    actions: Sequence[Action]
    absent: str = ""

    def check(self, host: Host) -> str:
        if self.absent and host.exists(self.absent):
            return f"{self.absent} is there already and not ours; see who uses it, then remove it"
        return ""

    def undo(self, host: Host) -> list[Action]:
        return list(self.actions)

    def up(self, host: Host) -> None:
        for argv in self.commands:
            host.run(argv)


@dataclass(frozen=True)
class Write(Step):
    """One setting of the kernel, as it is needed."""

    title = "{0.text} in {0.path}"
    path: str
    text: str

    def undo(self, host: Host) -> list[Action]:
        return written_back(host, {self.path: self.text})

    def up(self, host: Host) -> None:
        host.write(self.path, self.text)


@dataclass(frozen=True)
class Directories(Step):
    """Directories that programs of the run make and leave behind: those that are not there yet."""

    title: str
    paths: Sequence[str]

    def undo(self, host: Host) -> list[Action]:
        return [["rmdir", path] for path in self.paths if not host.exists(path)]


def written_back(host: Host, wanted: Mapping[str, str]) -> list[Action]:
    """Return what undoes the writing of each text to its path; nothing where it is so already."""
    before = {path: host.text(path) for path in wanted}
    return [["write", path, text] for path, text in before.items()
            if text not in ("", wanted[path])]


def lines(text: str) -> tuple[tuple[str, ...], ...]:
    """Return commands written as in a shell, one a line."""
    return tuple(tuple(shlex.split(line)) for line in text.strip().splitlines())


def commands(title: str, up: str, down: str) -> Commands:
    """Return a step of commands written as in a shell, one a line. `down` undoes them."""
    return Commands(title, lines(up), [("run", *argv) for argv in lines(down)])
