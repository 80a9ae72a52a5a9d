# SPDX-License-Identifier: BSD-3-Clause
"""The undo journal: what leaves the machine as it was found, on disk before anything is done to it.

One JSON object a line, {"run": id, "step": name, "undo": [action, …]}. An action is plain data, may
be repeated, and does nothing when the thing is gone already. Knows no wire and no step.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import Any, Callable, Sequence

from harness.errors import MachineError
from harness.host import Host, Process
from harness.provision.nic import saved_state
from harness.provision.step import STATE_DIR, Action

DIRECTORY = "/run/stackduel"
PATH = f"{DIRECTORY}/journal.jsonl"
# what `ip`, `tc` and `umount` say of a thing that is no longer there
GONE = ("No such file or directory", "Cannot find device", "Cannot open network namespace",
        "not mounted", "Cannot delete qdisc with handle of zero", "Cannot find specified qdisc",
        "Invalid handle")


@dataclass(frozen=True)
class Entry:
    """One step and the actions that undo it, in the order to do them in."""

    step: str
    undo: tuple[Action, ...]


@dataclass(frozen=True)
class _Kind:
    """A kind of action.

    arguments: their types; None: any number of words
    perform: does it, and returns whether there was something to do
    describe: returns how a person would type it
    """

    arguments: tuple[type, ...] | None
    perform: Callable[..., bool]
    describe: Callable[..., str]


def _run(host: Host, *argv: str, gone: Sequence[str] = GONE) -> bool:
    result = host.run(argv, check=False)
    if result.code != 0 and not any(phrase in result.stderr for phrase in gone):
        raise MachineError(f"`{shlex.join(argv)}` failed (exit {result.code}): {result.complaint}")
    return result.code == 0


def _write(host: Host, path: str, text: str) -> bool:
    if not host.exists(path) or host.read(path).strip() == text:
        return False
    host.write(path, text)
    return True


def _unmount(host: Host, path: str) -> bool:
    mounted = (line.split()[4] for line in host.read("/proc/self/mountinfo").splitlines())
    # what is still in it belongs to somebody else
    return path in mounted and not host.listing(path) and _run(host, "umount", path)


def _unload(host: Host, module: str) -> bool:
    # whoever uses it by now may keep it
    return host.exists(f"/sys/module/{module}") and _run(host, "rmmod", module, gone=["in use"])


# every kind of undo action there is
KINDS = {
    "run": _Kind(None, _run, lambda *argv: shlex.join(argv)),
    "write": _Kind((str, str), _write, lambda path, text: f"echo {text} > {path}"),
    "kill": _Kind((int, int), lambda host, pid, started: bool(host.kill(pid, started)),
                  lambda pid, started: f"kill -KILL {pid}"),
    "continue": _Kind((int, int), lambda host, pid, started: bool(host.resume(pid, started)),
                      lambda pid, started: f"kill -CONT {pid}"),
    "kill_inside": _Kind((str,), lambda host, netns: bool(host.kill_inside(netns)),
                         lambda netns: f"ip netns pids {netns} | xargs -r kill -KILL"),
    "unmount_if_empty": _Kind((str,), _unmount, lambda path: f"umount {path}"),
    "unload": _Kind((str,), _unload, lambda module: f"rmmod {module}"),
    "rmdir": _Kind((str,), lambda host, path: bool(host.remove_directory(path)),
                   lambda path: f"rmdir {path}"),
    "unlink": _Kind((str,), lambda host, path: bool(host.unlink(path)),
                    lambda path: f"rm -f {path}"),
    "restore_nic": _Kind((str,), saved_state.restore_nic,
                         lambda path: f"# restore the NIC, as {path} says"),
}


class Journal:
    """The journal of one run. Nothing is on disk before the first `record`."""

    def __init__(self, host: Host, run_id: str) -> None:
        self._host = host
        self._run_id = run_id
        self.entries: list[Entry] = []

    def record(self, step: str, actions: Sequence[Action]) -> None:
        """Put a step on disk: call it before acting. MachineError when the disk refuses."""
        entry = Entry(step, tuple(actions))
        if not self.entries:
            self._host.make_directory(DIRECTORY)
        line = json.dumps({"run": self._run_id, "step": step, "undo": entry.undo})
        self._host.append(PATH, f"{line}\n")
        self.entries.append(entry)

    def process(self, process: Process) -> None:
        """Record a process of ours, to be killed if it outlives the run."""
        self.record(f"process {process.argv[0]}", [["kill", process.pid, process.start_time]])

    def undo(self) -> list[str]:
        """Undo everything. Return what failed, a line each; the file stays if anything did."""
        return undo(self._host, self.entries)[1] or _remove(self._host)


def left_behind(host: Host) -> bool:
    """Return whether a run ended without undoing."""
    return host.exists(DIRECTORY) or bool(_ports_away(host))


def restore(host: Host) -> tuple[list[str], list[str]]:
    """Undo what the journal on disk says: (what was done, what failed).

    MachineError, with nothing done, when it is not a journal of ours.
    """
    away = Entry("ports of this machine", tuple(_ports_away(host)))
    text = host.read(PATH) if host.exists(PATH) else ""
    # a line without its end was cut short while being written: its step never acted
    entries = [_entry(line, number) for number, line in enumerate(text.split("\n")[:-1], 1)]
    done, failed = undo(host, [away, *entries])
    return done, failed or _remove(host)


def describe(action: Action) -> str:
    """Return the action as a command that a person could type."""
    return KINDS[str(action[0])].describe(*action[1:])


def undo(host: Host, entries: Sequence[Entry]) -> tuple[list[str], list[str]]:
    """Undo, last entry first, to the end whatever fails: (what was done, what failed)."""
    done, failed = [], []
    for entry in reversed(entries):
        for action in entry.undo:
            try:
                if KINDS[str(action[0])].perform(host, *action[1:]):
                    done.append(describe(action))
            except (MachineError, OSError) as error:
                failed.append(f"{entry.step}: {error}")
    return done, failed


def _ports_away(host: Host) -> list[Action]:
    """Return what brings ports home. Where they are outlives a reboot, unlike all else."""
    return [["restore_nic", f"{STATE_DIR}/{name}"] for name in host.listing(STATE_DIR)
            if name.endswith(".json")]


def _remove(host: Host) -> list[str]:
    try:
        host.unlink(PATH)
        host.remove_directory(DIRECTORY)
    except MachineError as error:
        return [f"journal: {error}"]
    return []


def _entry(line: str, number: int) -> Entry:
    try:
        data = json.loads(line)
        entry = Entry(data["step"], tuple(data["undo"]))
        if all(map(_is_action, entry.undo)):
            return entry
    except (ValueError, KeyError, TypeError):
        pass
    raise MachineError(f"{PATH}:{number} is not an undo journal of stackduel, so nothing was "
                       f"undone; look into it, then remove {DIRECTORY}")


def _is_action(action: Any) -> bool:
    if not isinstance(action, list):
        return False
    kind, *words = action
    types = KINDS[kind].arguments
    types = (str,) * max(1, len(words)) if types is None else types
    return [type(word) for word in words] == list(types)
