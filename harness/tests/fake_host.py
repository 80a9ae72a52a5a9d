# SPDX-License-Identifier: BSD-3-Clause
"""A machine that exists only in memory: records every act in order, answers by script, fails when told to.

It knows namespaces, links, hugepages and files just well enough that undoing can be seen to be complete.
"""

from __future__ import annotations

import shlex
import signal
import socket
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Iterator, Mapping, Sequence

from harness.errors import MachineError
from harness.host import NETNS_DIRECTORY, Host, Process, Result, command

PAGES = "/sys/kernel/mm/hugepages/hugepages-2048kB"
OK = Result(0, "", "")
ABSENT = "No such file or directory"


class FakeProcess(Process):
    """A child that runs until it is signalled; `code` ends it by script."""

    def __init__(self, host: "FakeHost", pid: int, argv: Sequence[str], stubborn: bool) -> None:
        self.pid, self.start_time, self.argv = pid, 1000 + pid, tuple(argv)
        self.code: int | None = None
        self.signals: list[int] = []
        self._host = host
        self._stubborn = stubborn

    def poll(self) -> int | None:
        return self.code

    def signal(self, number: int) -> None:
        self._host.act(f"signal {self.pid} {signal.Signals(number).name}")
        self.signals.append(number)
        if number == signal.SIGKILL:
            self.code = -number
        elif number in (signal.SIGTERM, signal.SIGINT) and not self._stubborn:
            self.code = 0
        if self.code is not None:
            self._host.alive.pop(self.pid, None)

    def wait(self, timeout: float) -> int:
        if self.code is None:
            raise TimeoutError(f"{self.argv[0]} still runs after {timeout:g} s")
        return self.code


class FakeHost(Host):
    """`calls`: every act, in order. `fail_at`: the number of the act (from 1) that fails, without effect.

    `answers`: argv prefix -> result; the longest that fits counts. `prints`: program's name -> its stdout.
    `digests`: program's name -> its sha256. `targets`: symbolic link -> last name of its target. `page_limit`: how many hugepages the machine gives. `alive`: pid -> start time of processes it has.
    """

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.fail_at = 0
        self.answers: dict[tuple[str, ...], Result] = {}
        self.prints: dict[str, str] = {}
        self.stubborn: set[str] = set()
        self.missing: set[str] = set()
        self.missing_modules: set[str] = set()
        self.root = True
        self.cpu_list = [0, 1]
        self.holder: int | None = None
        self.page_limit = 1 << 20
        self.files: dict[str, str] = {f"{PAGES}/nr_hugepages": "4\n", f"{PAGES}/free_hugepages": "1\n"}
        self.directories: set[str] = {PAGES, "/run"}
        self.links: set[tuple[str, str]] = set()
        self.mounts: set[str] = set()
        self.alive: dict[int, int] = {}
        self.paused: set[int] = set()
        self.inside: dict[str, list[int]] = {}
        self.connections: list[socket.socket] = []
        self.counters: dict[str, dict[str, dict[str, int]]] = {}
        self.neighbours: dict[str, tuple[str, str]] = {}
        self.processes: list[FakeProcess] = []
        self.digests: dict[str, str] = {}
        self.targets: dict[str, str] = {}

    def state(self) -> object:
        """All that a run could leave changed."""
        return dict(self.files), set(self.directories), set(self.links), set(self.mounts), dict(self.alive), set(
            self.paused)

    def act(self, call: str) -> None:
        self.calls.append(call)
        if len(self.calls) == self.fail_at:
            raise MachineError(f"scripted failure of `{call}`")

    def run(self, argv: Sequence[str], *, netns: str | None = None, timeout: float = 30,
            check: bool = True) -> Result:
        words = command(argv, netns)
        self.act("run " + shlex.join(words))
        fitting = [prefix for prefix in self.answers if tuple(words[:len(prefix)]) == prefix]
        result = self.answers[max(fitting, key=len)] if fitting else self._perform(words)
        if check and result.code != 0:
            raise MachineError(f"`{shlex.join(words)}` failed (exit {result.code}): {result.complaint}")
        return result

    def _perform(self, words: Sequence[str]) -> Result:
        match list(words):
            case ["ip", "netns", "add", name]:
                if NETNS_DIRECTORY not in self.mounts:
                    self.mounts.add(NETNS_DIRECTORY)
                    self.directories.add(NETNS_DIRECTORY)
                self.directories.add(f"{NETNS_DIRECTORY}/{name}")
            case ["ip", "netns", "del", name]:
                if not self.exists(f"{NETNS_DIRECTORY}/{name}"):
                    return Result(1, "", f'Cannot remove namespace file "{name}": {ABSENT}\n')
                self.directories.discard(f"{NETNS_DIRECTORY}/{name}")
                self.links = {link for link in self.links if link[0] != name}
            case ["ip", "netns", "pids", name]:
                pids = [pid for pid in self.inside.get(name, []) if pid in self.alive]
                return Result(0, "".join(f"{pid}\n" for pid in pids), "")
            case ["ip", "-n", name, *rest]:
                if not self.exists(f"{NETNS_DIRECTORY}/{name}"):
                    return Result(1, "", f'Cannot open network namespace "{name}": {ABSENT}\n')
                return self._link(name, rest)
            case ["umount", path]:
                self.mounts.discard(path)
            case ["modprobe", name]:
                self.directories.add(f"/sys/module/{name.replace('-', '_')}")
            case ["rmmod", name]:
                self.directories.discard(f"/sys/module/{name}")
        return OK

    def _link(self, netns: str, words: Sequence[str]) -> Result:
        match list(words):
            case ["link", "add", name, *options]:
                self.links.add((netns, name))
                if "peer" in options:
                    self.links.add((options[-1], options[options.index("peer") + 2]))
            case ["tuntap", "add", "dev", name, *_]:
                self.links.add((netns, name))
            case ["link", "del", name]:
                if (netns, name) not in self.links:
                    return Result(1, "", f'Cannot find device "{name}"\n')
                self.links.discard((netns, name))
        return OK

    def spawn(self, argv: Sequence[str], *, netns: str | None = None, cpus: Sequence[int] = (), stdout: Path,
              stderr: Path, env: Mapping[str, str] | None = None) -> FakeProcess:
        self.act("spawn " + shlex.join(command(argv, netns, cpus)))
        program = Path(argv[0]).name
        stdout.write_text(self.prints.get(program, ""))
        stderr.write_text("")
        process = FakeProcess(self, 100 + len(self.processes), argv, program in self.stubborn)
        self.processes.append(process)
        self.alive[process.pid] = process.start_time
        return process

    def spawn_linked(self, argv: Sequence[str], link: socket.socket, *, stdout: Path | None = None,
                     stderr: Path) -> FakeProcess:
        return self.spawn(argv, stdout=stdout or Path("/dev/null"), stderr=stderr)

    def interactive(self, argv: Sequence[str], *, netns: str | None = None) -> int:
        self.act("interactive " + shlex.join(command(argv, netns)))
        return 0

    def read(self, path: str | Path) -> str:
        if str(path) == "/proc/self/mountinfo":
            return "".join(f"30 25 0:26 / {mount} rw - tmpfs tmpfs rw\n" for mount in sorted(self.mounts))
        if str(path) not in self.files:
            raise MachineError(f"cannot read {path}: {ABSENT}")
        return self.files[str(path)]

    def sha256(self, path: str | Path) -> str | None:
        return self.digests.get(Path(path).name, "5ha" * 21) if self.exists(path) else None

    def write(self, path: str | Path, text: str) -> None:
        self.act(f"write {path} {text}")
        if Path(path).name == "nr_hugepages":
            before, unused = int(self.files[str(path)]), str(Path(path).with_name("free_hugepages"))
            text = f"{min(int(text), self.page_limit)}\n"
            self.files[unused] = f"{int(self.files[unused]) + int(text) - before}\n"
        self.files[str(path)] = text

    def append(self, path: str | Path, text: str) -> None:
        self.act(f"append {path} {text.strip()}")
        self.files[str(path)] = self.files.get(str(path), "") + text

    def make_directory(self, path: str | Path) -> None:
        self.act(f"mkdir {path}")
        self.directories.add(str(path))

    def remove_directory(self, path: str | Path) -> bool:
        self.act(f"rmdir {path}")
        if str(path) not in self.directories or self.listing(path):
            return False
        self.directories.discard(str(path))
        return True

    def unlink(self, path: str | Path) -> bool:
        self.act(f"unlink {path}")
        return self.files.pop(str(path), None) is not None

    def exists(self, path: str | Path) -> bool:
        if str(path).startswith(("/run/", "/sys/", "/dev/vhost")):
            return str(path) in self.files or str(path) in self.directories
        return Path(path).name not in self.missing

    def wait_for(self, condition: Callable[[], bool], seconds: float) -> bool:
        return condition()

    def link_target(self, path: str | Path) -> str:
        return self.targets.get(str(path), "")

    def listing(self, path: str | Path) -> list[str]:
        return sorted(Path(name).name for name in [*self.files, *self.directories]
                      if str(Path(name).parent) == str(path))

    def which(self, program: str) -> str | None:
        return None if program in self.missing else f"/usr/bin/{program}"

    def has_module(self, name: str) -> bool:
        return name not in self.missing_modules

    def is_root(self) -> bool:
        return self.root

    def cpus(self) -> list[int]:
        return list(self.cpu_list)

    def kill(self, pid: int, started: int) -> bool:
        self.act(f"kill {pid}")
        if self.alive.get(pid) != started:
            return False
        del self.alive[pid]
        return True

    def pause(self, pid: int, started: int) -> bool:
        self.act(f"pause {pid}")
        if self.alive.get(pid) != started:
            return False
        self.paused.add(pid)
        return True

    def resume(self, pid: int, started: int) -> bool:
        self.act(f"resume {pid}")
        if self.alive.get(pid) != started:
            return False
        self.paused.discard(pid)
        return True

    def kill_inside(self, netns: str) -> bool:
        self.act(f"kill inside {netns}")
        found = [pid for pid in self.inside.get(netns, []) if self.alive.pop(pid, None) is not None]
        return bool(found)

    @contextmanager
    def lock(self, directory: str) -> Iterator[None]:
        if self.holder is not None:
            raise MachineError(f"another run (pid {self.holder}) is using this machine")
        yield

    def connect(self, netns: str | None, address: str, port: int, timeout: float) -> socket.socket:
        self.act(f"connect {netns} {address}:{port}")
        if not self.connections:
            raise ConnectionRefusedError(f"{address}:{port}: connection refused")
        return self.connections.pop(0)

    def link_counters(self, netns: str | None) -> dict[str, dict[str, int]]:
        return {name: dict(counters) for name, counters in self.counters.get(netns or "", {}).items()}

    def neighbour(self, netns: str | None, ip: str) -> tuple[str, str] | None:
        return self.neighbours.get(ip)
