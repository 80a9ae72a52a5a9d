# SPDX-License-Identifier: BSD-3-Clause
"""What can be asked of a machine and done to it. Knows no wire, contender, plan or result.

A kind of host (local.py, dry_run.py, ssh.py) defines what it can do, and refuses the rest. Failures
are MachineError with one line.
"""

from __future__ import annotations

import json
import re
import signal
import socket
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Callable, Mapping, Protocol, Sequence

from harness.errors import MachineError

NETNS_DIRECTORY = "/run/netns"
# counters of an interface, and their columns in /proc/net/dev
COUNTERS = {"rx_packets": 1, "tx_packets": 9, "rx_bytes": 0, "tx_bytes": 8, "rx_dropped": 3,
            "tx_dropped": 11, "rx_errors": 2, "tx_errors": 10}
# of an entry in /proc/net/arp that has a MAC (ATF_COM)
_COMPLETE = 2
# this process's start by the clock of the machine, which may be set while a run lasts, and by a
# steady one
_STARTED = datetime.now(timezone.utc), time.monotonic()
Log = Callable[[str], None]


@dataclass(frozen=True)
class Result:
    """Exit code (negative: ended by that signal) and output of a command."""

    code: int
    stdout: str
    stderr: str

    @property
    def complaint(self) -> str:
        """Return the last line that it printed, stderr first: what to show a person."""
        lines = (self.stderr.strip() or self.stdout.strip()).splitlines()
        return lines[-1].strip() if lines else "it printed nothing"


class Process(Protocol):
    """A program that was started. `start_time`: with the pid it names one process for ever."""

    pid: int
    argv: tuple[str, ...]
    start_time: int

    def poll(self) -> int | None:
        """Return the exit code, negative when a signal ended it; None while it runs."""

    def signal(self, number: int) -> None:
        """Send a signal; do nothing when the process has ended."""

    def signal_all(self, number: int) -> None:
        """Send a signal as signal() does, here also to what it has started in its session."""
        self.signal(number)

    def signal_main(self, number: int) -> None:
        """Send a signal as signal() does, to its main thread alone: any other may take the process's,
        and what the main one waits for then goes on."""
        self.signal(number)

    def wait(self, timeout: float) -> int:
        """Return the exit code. TimeoutError after `timeout` seconds."""
        ...

    def stop(self, term_timeout: float = 5) -> int:
        """Send SIGTERM, then SIGKILL after `term_timeout` seconds. Return the exit code."""
        self.signal(signal.SIGTERM)
        try:
            return self.wait(term_timeout)
        except TimeoutError:
            self.signal(signal.SIGKILL)
            return self.wait(30)


class Host:
    """A machine. A method that a kind of host does not define raises MachineError."""

    def refusal(self, act: str) -> MachineError:
        """Say that this kind of host does not do so."""
        return MachineError(f"{type(self).__name__} does not {act}")

    def run(self, argv: Sequence[str], *, netns: str | None = None, timeout: float = 30,
            check: bool = True) -> Result:
        """Run a command to its end, without input.

        MachineError when it cannot start, takes more than `timeout` seconds, or (`check`) fails.
        """
        raise self.refusal("run commands")

    def query(self, argv: Sequence[str], *, netns: str | None = None, check: bool = True) -> Result:
        """Run a command that changes nothing: a dry run runs it too."""
        return self.run(argv, netns=netns, check=check)

    def query_json(self, argv: Sequence[str], *, netns: str | None = None,
                   check: bool = True) -> Any:
        """Return what a command that changes nothing prints as JSON; [] where it prints nothing."""
        return json.loads(self.query(argv, netns=netns, check=check).stdout.strip() or "[]")

    def spawn(self, argv: Sequence[str], *, netns: str | None = None, cpus: Sequence[int] = (),
              stdout: Path, stderr: Path, env: Mapping[str, str] | None = None) -> Process:
        """Start a program, its output in two new files, `env` added to ours. The caller stops it.

        A session of its own keeps the terminal's Ctrl-C from it; it dies with the harness.
        """
        raise self.refusal("start programs")

    def spawn_linked(self, argv: Sequence[str], link: socket.socket, *, stdout: Path | None = None,
                     stderr: Path) -> Process:
        """Start a program that reads from `link`, and writes to it where no file is given.

        `link` stays the caller's, who closes it. The program sees its end when the other end goes.
        """
        raise self.refusal("start programs")

    def interactive(self, argv: Sequence[str], *, netns: str | None = None) -> int:
        """Run on the harness's own terminal, Ctrl-C left to the command. Return its exit code."""
        raise self.refusal("run commands")

    def read(self, path: str | Path) -> str:
        """Return the text of a file, undecodable bytes replaced."""
        raise self.refusal("read files")

    def text(self, path: str | Path) -> str:
        """Return a file's text, stripped; "" where it cannot be read (as speed without a link)."""
        try:
            return self.read(path).strip()
        except MachineError:
            return ""

    def sha256(self, path: str | Path) -> str | None:
        """Return the hash of a file's bytes, as hex digits; None when it cannot be read."""
        raise self.refusal("hash files")

    def write(self, path: str | Path, text: str) -> None:
        """Replace the content of a file."""
        raise self.refusal("write files")

    def append(self, path: str | Path, text: str) -> None:
        """Add to a file, and return when it is on disk; on failure the file is as it was."""
        raise self.refusal("write files")

    def make_directory(self, path: str | Path) -> None:
        """Make one directory for root alone; one that is there already is fine."""
        raise self.refusal("make directories")

    def remove_directory(self, path: str | Path) -> bool:
        """Return False when it is gone already, or when somebody else has put something into it."""
        raise self.refusal("remove directories")

    def unlink(self, path: str | Path) -> bool:
        """Remove a file. Return False when it is gone already."""
        raise self.refusal("remove files")

    def exists(self, path: str | Path) -> bool:
        raise self.refusal("read files")

    def wait_for(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Ask until it is so, or until `seconds` have passed. Return whether it is so."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        return True

    def link_target(self, path: str | Path) -> str:
        """Return the last name of what a symbolic link points to; "" when there is no such link."""
        raise self.refusal("read files")

    def listing(self, path: str | Path) -> list[str]:
        """Return the names in a directory, sorted; none when there is no such directory."""
        raise self.refusal("read files")

    def which(self, program: str) -> str | None:
        """Return a program's path; also of one that only root has on PATH."""
        raise self.refusal("look for programs")

    def has_module(self, name: str) -> bool:
        """Return whether this Python can import a module."""
        raise self.refusal("look for modules")

    def is_root(self) -> bool:
        raise self.refusal("tell who runs it")

    def cpus(self) -> list[int]:
        """Return the numbers of the CPUs this process may use, ascending."""
        raise self.refusal("tell its CPUs")

    def send(self, pid: int, started: int, number: signal.Signals) -> bool:
        """Send a signal to a process; after SIGKILL wait for its end.

        Return False when that process (`started`: its start_time) runs no more.
        """
        raise self.refusal("send signals")

    def kill(self, pid: int, started: int) -> bool:
        return self.send(pid, started, signal.SIGKILL)

    def pause(self, pid: int, started: int) -> bool:
        return self.send(pid, started, signal.SIGSTOP)

    def resume(self, pid: int, started: int) -> bool:
        return self.send(pid, started, signal.SIGCONT)

    def kill_inside(self, netns: str) -> bool:
        """Kill all processes in a namespace, and wait for their end. Return False without any."""
        killed = False
        for _ in range(10):  # one that forks meanwhile is caught by the next round
            listed = self.run(["ip", "netns", "pids", netns], check=False)
            pids = [int(pid) for pid in listed.stdout.split()]
            if not pids:
                return killed
            for pid in pids:
                killed |= self.kill(pid, start_time(pid) or 0)
        raise MachineError(f"processes in namespace {netns} keep starting others: {pids}")

    def lock(self, directory: str) -> AbstractContextManager[None]:
        """Hold `directory`, from any network namespace. MachineError when another process does."""
        raise self.refusal("lock")

    def io_uring_refusal(self) -> str:
        """Return why this process may not have a ring of io_uring as our server wants it; "" if
        it may."""
        raise self.refusal("ask for io_uring")

    def connect(self, netns: str | None, address: str, port: int, timeout: float) -> socket.socket:
        """Return a TCP connection from `netns`, with `timeout` (s); the caller closes it.

        OSError when refused.
        """
        raise self.refusal("connect")

    def link_counters(self, netns: str | None) -> dict[str, dict[str, int]]:
        """Return COUNTERS of every interface, by its name."""
        found = {}
        for line in self._table("dev", netns)[2:]:
            name, _, columns = line.partition(":")
            numbers = columns.split()
            found[name.strip()] = {key: int(numbers[at]) for key, at in COUNTERS.items()}
        return found

    def nic_statistics(self, netns: str | None, interface: str) -> dict[str, int]:
        """Return the driver's own counters; {} for an interface that has none."""
        shown = self.run(["ethtool", "-S", interface], netns=netns, check=False)
        return parse_ethtool(shown.stdout)

    def neighbour(self, netns: str | None, ip: str) -> str:
        """Return the MAC of the ARP entry for `ip`; "" when there is none with a MAC."""
        entries = (line.split() for line in self._table("arp", netns)[1:])
        return next((words[3] for words in entries
                     if words[0] == ip and int(words[2], 16) & _COMPLETE), "")

    def flush_neighbours(self, netns: str | None) -> None:
        self.run(["ip", "neighbour", "flush", "all"], netns=netns)

    def _table(self, name: str, netns: str | None) -> list[str]:
        """Return the lines of a file in /proc/net, which every namespace has for itself."""
        return self.query(["cat", f"/proc/net/{name}"], netns=netns).stdout.splitlines()


def command(argv: Sequence[str], netns: str | None = None, cpus: Sequence[int] = ()) -> list[str]:
    """Return argv as a person would type it inside `netns`, pinned to `cpus`.

    Each word execs the next: one pid.
    """
    words = ["ip", "netns", "exec", netns] if netns else []
    if cpus:
        words += ["taskset", "-c", ",".join(str(cpu) for cpu in cpus)]
    return [*words, *argv]


def start_time(pid: int) -> int | None:
    """Return when `pid` started, in clock ticks since boot; None when it is not there."""
    try:
        return int(stat_fields(Path(f"/proc/{pid}/stat").read_text("utf-8", "replace"))[19])
    except OSError:
        return None


def stat_fields(text: str) -> list[str]:
    """Return the fields of /proc/PID/stat after the program's name; [0] state, [19] start time."""
    # the name may hold spaces and parentheses
    return text.rpartition(")")[2].split()


def parse_cpu_list(text: str) -> list[int]:
    """Return a set of CPUs as the kernel writes it, "0-2,5"."""
    ends = [part.split("-") for part in text.strip().split(",") if part]
    return [cpu for end in ends for cpu in range(int(end[0]), int(end[-1]) + 1)]


def parse_ethtool(text: str) -> dict[str, int]:
    """Return the counts of `ethtool -S`; whatever is no count is left out."""
    pairs = (line.rpartition(":") for line in text.splitlines())
    return {name.strip(): int(value) for name, _, value in pairs
            if name and re.fullmatch(r"\s*\d+\s*", value)}


def now() -> str:
    """Return the time in UTC, to the second, as facts and trials record it: it never goes back."""
    wall, steady = _STARTED
    return f"{wall + timedelta(seconds=time.monotonic() - steady):%Y-%m-%dT%H:%M:%SZ}"
