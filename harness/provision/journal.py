# SPDX-License-Identifier: BSD-3-Clause
"""The undo journal: what leaves the machine as it was found, on disk before anything is done to it.

One JSON object a line, {"run": id, "step": name, "undo": [action, …]}. An action is plain data, may
be repeated, and does nothing when the thing is gone already (undo.py). Knows nothing of wires.
"""

from __future__ import annotations

import json
from typing import Sequence

from harness.errors import MachineError
from harness.host import Host, Process
from harness.provision.step import STATE_DIR, Action
from harness.provision.undo import Entry, is_action, undo

DIRECTORY = "/run/stackduel"
PATH = f"{DIRECTORY}/journal.jsonl"


class Journal:
    """The journal of one run. Nothing is on disk before the first `record`."""

    def __init__(self, host: Host, run_id: str) -> None:
        self._host = host
        self._run_id = run_id
        self.entries: list[Entry] = []

    def record(self, step: str, actions: Sequence[Action]) -> None:
        """On disk when it returns, so call it before acting. MachineError when the disk refuses."""
        entry = Entry(step, tuple(actions))
        if not self.entries:
            self._host.make_directory(DIRECTORY)
        line = json.dumps({"run": self._run_id, "step": step, "undo": entry.undo})
        self._host.append(PATH, f"{line}\n")
        self.entries.append(entry)

    def process(self, process: Process) -> None:
        """Records a process of ours, to be killed if it outlives the run."""
        self.record(f"process {process.argv[0]}", [["kill", process.pid, process.start_time]])

    def undo(self) -> list[str]:
        """Undoes everything; what failed, one line each. The file goes last, and stays if anything
        did."""
        failed = undo(self._host, self.entries)[1]
        return failed or _remove(self._host)


def left_behind(host: Host) -> bool:
    """Has a run ended without undoing?"""
    return host.exists(DIRECTORY) or bool(_away(host))


def _away(host: Host) -> list[Action]:
    """What brings ports home that are not; unlike the rest of what is done to a machine it outlives
    a reboot."""
    return [["restore_nic", f"{STATE_DIR}/{name}"] for name in host.listing(STATE_DIR)
            if name.endswith(".json")]


def restore(host: Host) -> tuple[list[str], list[str]]:
    """Undoes what the journal on disk says: (what was done, what failed).

    MachineError, with nothing done, when it is not a journal of ours.
    """
    away = Entry("ports of this machine", tuple(_away(host)))
    done, failed = undo(host, [away, *_load(host)])
    return done, failed or _remove(host)


def _remove(host: Host) -> list[str]:
    try:
        host.unlink(PATH)
        host.remove_directory(DIRECTORY)
    except MachineError as error:
        return [f"journal: {error}"]
    return []


def _load(host: Host) -> list[Entry]:
    if not host.exists(PATH):
        return []
    lines = host.read(PATH).split("\n")
    # a line without its end was cut short while being written: its step never acted
    return [_entry(line, number) for number, line in enumerate(lines[:-1], 1)]


def _entry(line: str, number: int) -> Entry:
    try:
        data = json.loads(line)
        entry = Entry(data["step"], tuple(data["undo"]))
        if all(is_action(action) for action in entry.undo):
            return entry
    except (ValueError, KeyError, TypeError):
        pass
    raise MachineError(f"{PATH}:{number} is not an undo journal of stackduel, so nothing was undone;"
                       f" look into it, then remove {DIRECTORY}")
