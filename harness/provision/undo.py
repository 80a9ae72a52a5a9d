# SPDX-License-Identifier: BSD-3-Clause
"""Every kind of action that undoes something: how it is done, and how a person would type it. Knows
no step."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Any, Callable, Sequence

from harness.errors import MachineError
from harness.host import Host
from harness.provision.nic import saved_state
from harness.provision.step import Action

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
    """A kind of action: types of its arguments (None: words), how it is done, how a person would
    type it."""

    arguments: tuple[type, ...] | None
    perform: Callable[..., bool]
    describe: Callable[..., str]


def _run(host: Host, *argv: str) -> bool:
    result = host.run(argv, check=False)
    if result.code != 0 and not any(phrase in result.stderr for phrase in GONE):
        raise MachineError(f"`{shlex.join(argv)}` failed (exit {result.code}): {result.complaint}")
    return result.code == 0


def _write(host: Host, path: str, text: str) -> bool:
    if not host.exists(path) or host.read(path).strip() == text:
        return False
    host.write(path, text)
    return True


def _unmount(host: Host, path: str) -> bool:
    lines = host.read("/proc/self/mountinfo").splitlines()
    if path not in (line.split()[4] for line in lines) or host.listing(path):  # what is still in it belongs to somebody else
        return False
    return _run(host, "umount", path)


def _unload(host: Host, module: str) -> bool:
    if not host.exists(f"/sys/module/{module}"):
        return False
    result = host.run(["rmmod", module], check=False)
    # whoever uses it by now may keep it
    if result.code != 0 and "in use" not in result.stderr:
        raise MachineError(f"`rmmod {module}` failed (exit {result.code}): {result.complaint}")
    return result.code == 0


# Every kind of undo action there is.
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
    "unlink": _Kind((str,), lambda host, path: bool(host.unlink(path)), lambda path: f"rm -f {path}"),
    "restore_nic": _Kind((str,), saved_state.restore_nic,
                         lambda path: f"# restore the NIC, as {path} says"),
}


def describe(action: Action) -> str:
    """The action as a command that a person could type."""
    return KINDS[str(action[0])].describe(*action[1:])


def undo(host: Host, entries: Sequence[Entry]) -> tuple[list[str], list[str]]:
    """Undoes, last entry first, to the end whatever fails: (what was done, what failed), one line
    each."""
    done, failed = [], []
    for entry in reversed(entries):
        for action in entry.undo:
            try:
                if KINDS[str(action[0])].perform(host, *action[1:]):
                    done.append(describe(action))
            except (MachineError, OSError) as error:
                failed.append(f"{entry.step}: {error}")
    return done, failed


def is_action(action: Any) -> bool:
    """Tell whether this, read from a file, is an action that there is."""
    if not isinstance(action, list) or not action or action[0] not in KINDS:
        return False
    expected = KINDS[action[0]].arguments
    if expected is None:
        return len(action) > 1 and all(isinstance(word, str) for word in action)
    return len(action) == len(expected) + 1 and all(map(isinstance, action[1:], expected))
