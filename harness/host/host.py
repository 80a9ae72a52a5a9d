# SPDX-License-Identifier: BSD-3-Clause
"""The machine: the only module that runs commands, starts processes or writes outside a run's own directory.

Knows nothing of wires, contenders, plans or results. Failures are MachineError with one line. pyroute2 is
imported only where it is used, so that doctor runs on a machine that lacks it.
spawn() is for the main thread only: a child dies with the *thread* that started it (PR_SET_PDEATHSIG).
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import importlib.util
import json
import os
import re
import select
import shlex
import shutil
import signal
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Callable, Iterator, Mapping, Sequence, TypeVar

from harness.errors import MachineError

NETNS_DIRECTORY = "/run/netns"
COUNTERS = ("rx_packets", "tx_packets", "rx_bytes", "tx_bytes", "rx_dropped", "tx_dropped", "rx_errors",
            "tx_errors")
T = TypeVar("T")
Log = Callable[[str], None]


@dataclass(frozen=True)
class Result:
    """Exit code (negative: ended by that signal) and what a command printed."""

    code: int
    stdout: str
    stderr: str

    @property
    def complaint(self) -> str:
        """The last line it printed, stderr first: what to show a person."""
        lines = (self.stderr.strip() or self.stdout.strip()).splitlines()
        return lines[-1].strip() if lines else "it printed nothing"


def start_time(pid: int) -> int | None:
    """When `pid` started, in clock ticks since boot (proc(5) stat, field 22); None when it is not there.

    With the pid it names one process for ever, which the pid alone does not.
    """
    try:
        return int(stat_fields(Path(f"/proc/{pid}/stat").read_text(errors="replace"))[19])
    except OSError:
        return None


def stat_fields(text: str) -> list[str]:
    """The fields of /proc/PID/stat after the program's name: state first; the 19th after it is the start time."""
    # the name may hold spaces and parentheses
    return text.rpartition(")")[2].split()


def command(argv: Sequence[str], netns: str | None = None, cpus: Sequence[int] = ()) -> list[str]:
    """argv inside `netns`, pinned to `cpus`, as a person would type it. Each word execs the next: one pid."""
    words = ["ip", "netns", "exec", netns] if netns else []
    if cpus:
        words += ["taskset", "-c", ",".join(str(cpu) for cpu in cpus)]
    return [*words, *argv]


def parse_ethtool(text: str) -> dict[str, int]:
    """Return the counts of `ethtool -S`, `     name: count` lines; whatever is no count is left out."""
    counts = {}
    for line in text.splitlines():
        name, _, value = line.rpartition(":")
        if name and re.fullmatch(r"\d+", value.strip()):
            counts[name.strip()] = int(value)
    return counts


def now() -> str:
    """Return the time in UTC, to the second, as facts and trials record it."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class Process:
    """A child of ours. Kept until waited for, so its pid cannot name another process meanwhile."""

    def __init__(self, popen: subprocess.Popen[bytes], argv: Sequence[str]) -> None:
        self._popen = popen
        self.pid = popen.pid
        self.argv = tuple(argv)
        self.start_time = start_time(popen.pid) or 0

    def poll(self) -> int | None:
        """Exit code, negative when a signal ended it; None while it runs."""
        return self._popen.poll()

    def signal(self, number: int) -> None:
        """Sends the signal; does nothing when the process has ended."""
        self._popen.send_signal(number)

    def wait(self, timeout: float) -> int:
        """Exit code. Raises TimeoutError after `timeout` seconds."""
        try:
            return self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"{self.argv[0]} (pid {self.pid}) still runs after {timeout:g} s") from None

    def stop(self, term_timeout: float = 5) -> int:
        """SIGTERM, then SIGKILL after `term_timeout` seconds. Returns the exit code."""
        self.signal(signal.SIGTERM)
        try:
            return self.wait(term_timeout)
        except TimeoutError:
            self.signal(signal.SIGKILL)
            return self.wait(30)


class Host:
    """The real machine."""

    def run(self, argv: Sequence[str], *, netns: str | None = None, timeout: float = 30,
            check: bool = True) -> Result:
        """Runs to the end, without input.

        MachineError when it cannot start, takes more than `timeout` seconds, or (`check`) fails.
        """
        words = command(argv, netns)
        try:
            done = subprocess.run(["setpriv", "--pdeathsig", "KILL", *words], stdin=subprocess.DEVNULL,
                                  capture_output=True, text=True, errors="replace", timeout=timeout,
                                  start_new_session=True, env={**os.environ, "LC_ALL": "C"})
        except subprocess.TimeoutExpired:
            raise MachineError(f"`{shlex.join(words)}` took longer than {timeout:g} s") from None
        except OSError as error:
            raise _cannot_start(words, error) from None
        result = Result(done.returncode, done.stdout, done.stderr)
        if check and result.code != 0:
            raise MachineError(f"`{shlex.join(words)}` failed (exit {result.code}): {result.complaint}")
        return result

    def query(self, argv: Sequence[str], *, netns: str | None = None, check: bool = True) -> Result:
        """run(), of a command that changes nothing: a rehearsal runs it too."""
        return self.run(argv, netns=netns, check=check)

    def spawn(self, argv: Sequence[str], *, netns: str | None = None, cpus: Sequence[int] = (), stdout: Path,
              stderr: Path, env: Mapping[str, str] | None = None) -> Process:
        """Starts a program, its output in two new files, `env` added to our own. The caller stops it.

        A session of its own keeps the terminal's Ctrl-C from it; it dies with the harness. MachineError when
        it cannot start.
        """
        return _start(argv, command(argv, netns, cpus), subprocess.DEVNULL, stdout, stderr, env or {})

    def spawn_linked(self, argv: Sequence[str], link: socket.socket, *, stdout: Path | None = None,
                     stderr: Path) -> Process:
        """As spawn(), with `link` for the program to read, and to write to where no file is given.

        `link` stays the caller's, who closes it. The program sees its end when the other end goes, with the harness too.
        """
        return _start(argv, argv, link.fileno(), link.fileno() if stdout is None else stdout, stderr, {})

    def interactive(self, argv: Sequence[str], *, netns: str | None = None) -> int:
        """Runs on the harness's own terminal until it ends; its exit code. Ctrl-C is left to it."""
        # not SIG_IGN, which every program started from a shell would inherit
        before = signal.signal(signal.SIGINT, lambda number, frame: None)
        try:
            return subprocess.run(["setpriv", "--pdeathsig", "KILL", *command(argv, netns)]).returncode
        except OSError as error:
            raise _cannot_start(argv, error) from None
        finally:
            signal.signal(signal.SIGINT, before)

    def read(self, path: str | Path) -> str:
        """Text of a file, undecodable bytes replaced. MachineError when it cannot be read."""
        try:
            return Path(path).read_text(errors="replace")
        except OSError as error:
            raise MachineError(f"cannot read {path}: {error.strerror}") from None

    def text(self, path: str | Path) -> str:
        """Return a file without its last newline; "" where it is not there or tells nothing (speed without link)."""
        try:
            return self.read(path).strip()
        except MachineError:
            return ""

    def sha256(self, path: str | Path) -> str | None:
        """Of a file's bytes, as hex digits; None when it cannot be read."""
        try:
            return hashlib.sha256(Path(path).read_bytes()).hexdigest()
        except OSError:
            return None

    def write(self, path: str | Path, text: str) -> None:
        """Replaces the content. MachineError when it cannot."""
        try:
            Path(path).write_text(text)
        except OSError as error:
            raise MachineError(f"cannot write {path}: {error.strerror}") from None

    def append(self, path: str | Path, text: str) -> None:
        """Adds to the end and returns when it is on disk; on failure (MachineError) the file is as it was."""
        descriptor = -1
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            size = os.fstat(descriptor).st_size
            data = text.encode()
            if os.write(descriptor, data) != len(data):
                os.ftruncate(descriptor, size)
                raise MachineError(f"cannot write {path}: the file system is full; make room and run again")
            os.fsync(descriptor)
        except OSError as error:
            raise MachineError(f"cannot write {path}: {error.strerror}") from None
        finally:
            if descriptor >= 0:
                os.close(descriptor)

    def make_directory(self, path: str | Path) -> None:
        """Makes one directory for root alone; one that is there already is fine."""
        try:
            Path(path).mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise MachineError(f"cannot make {path}: {error.strerror}") from None

    def remove_directory(self, path: str | Path) -> bool:
        """False when it was gone already, or when somebody else has put something into it, or mounted it."""
        return self._remove(path, os.rmdir)

    def unlink(self, path: str | Path) -> bool:
        """False when it was gone already."""
        return self._remove(path, os.unlink)

    @staticmethod
    def _remove(path: str | Path, remove: Callable[[str | Path], None]) -> bool:
        try:
            remove(path)
        except FileNotFoundError:
            return False
        except OSError as error:
            if remove is os.rmdir and Path(path).is_dir() and (error.errno == errno.EBUSY or any(Path(path).iterdir())):
                return False
            raise MachineError(f"cannot remove {path}: {error.strerror}") from None
        return True

    def exists(self, path: str | Path) -> bool:
        return os.path.exists(path)

    def wait_for(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Asks until it is so, or until `seconds` have passed; whether it is so."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        return True

    def link_target(self, path: str | Path) -> str:
        """Last name of what a symbolic link points to; "" when there is no such link."""
        try:
            return os.path.basename(os.readlink(path))
        except OSError:
            return ""

    def listing(self, path: str | Path) -> list[str]:
        """Names in a directory, sorted; none when there is no such directory."""
        try:
            return sorted(os.listdir(path))
        except OSError:
            return []

    def which(self, program: str) -> str | None:
        """Its path; also one that only root has on PATH."""
        return shutil.which(program, path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin")

    def has_module(self, name: str) -> bool:
        """Can this Python import it?"""
        return importlib.util.find_spec(name) is not None

    def is_root(self) -> bool:
        return os.geteuid() == 0

    def cpus(self) -> list[int]:
        """Numbers of the CPUs this process may use, ascending."""
        return sorted(os.sched_getaffinity(0))

    def kill(self, pid: int, started: int) -> bool:
        """SIGKILL, and wait for its end. False when that process (`started`: see start_time) runs no more."""
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            return False
        try:
            # the descriptor holds on to the process looked at, so what is checked is what is killed
            if start_time(pid) != started or select.select([handle], [], [], 0)[0]:
                return False
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            if not select.select([handle], [], [], 10)[0]:
                raise MachineError(f"process {pid} does not end after SIGKILL")
            return True
        except ProcessLookupError:
            return False
        finally:
            os.close(handle)

    def pause(self, pid: int, started: int) -> bool:
        """SIGSTOP. False when that process (`started`: see start_time) runs no more."""
        return self._send(pid, started, signal.SIGSTOP)

    def resume(self, pid: int, started: int) -> bool:
        """SIGCONT. False when that process runs no more."""
        return self._send(pid, started, signal.SIGCONT)

    @staticmethod
    def _send(pid: int, started: int, number: signal.Signals) -> bool:
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            return False
        try:
            if start_time(pid) != started:
                return False
            signal.pidfd_send_signal(handle, number)
            return True
        except ProcessLookupError:
            return False
        except OSError as error:
            raise MachineError(f"cannot send {number.name} to process {pid}: {error.strerror}") from None
        finally:
            os.close(handle)

    def kill_inside(self, netns: str) -> bool:
        """SIGKILL to all processes in a namespace, and wait for their end. False when there was none."""
        killed = False
        for _ in range(10):  # one that forks meanwhile is caught by the next round
            pids = [int(pid) for pid in self.run(["ip", "netns", "pids", netns], check=False).stdout.split()]
            if not pids:
                return killed
            for pid in pids:
                killed |= self.kill(pid, start_time(pid) or 0)
        raise MachineError(f"processes in namespace {netns} keep starting others: {pids}")

    @contextmanager
    def lock(self, directory: str) -> Iterator[None]:
        """Holds `directory`, which must be there, from any network namespace. MachineError when it is held.

        flock(2) leaves no file behind and goes with its holder, however that ends; no child inherits it.
        """
        try:
            held = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise MachineError(f"cannot lock {directory}: {error.strerror}") from None
        try:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise MachineError(f"another run ({_lock_holder(directory)}) is using this machine;"
                                   " wait for its end or stop it") from None
            yield
        finally:
            os.close(held)

    def connect(self, netns: str | None, address: str, port: int, timeout: float) -> socket.socket:
        """A TCP connection from `netns`, with `timeout` (s); the caller closes it. OSError when refused."""
        return _inside(netns, lambda: socket.create_connection((address, port), timeout))

    def link_counters(self, netns: str | None) -> dict[str, dict[str, int]]:
        """COUNTERS of every interface (kernel's rtnl_link_stats64), by interface name."""
        from pyroute2 import IPRoute  # type: ignore[import]

        def ask() -> dict[str, dict[str, int]]:
            with IPRoute() as route:
                links = list(route.get_links())
            stats = {link.get_attr("IFLA_IFNAME"): link.get_attr("IFLA_STATS64") for link in links}
            return {name: {key: int(counters[key]) for key in COUNTERS} for name, counters in stats.items()}
        return _inside(netns, ask)

    def nic_statistics(self, netns: str | None, interface: str) -> dict[str, int]:
        """What a NIC and its driver have counted, by the driver's names; {} for an interface that has none."""
        return parse_ethtool(self.run(["ethtool", "-S", interface], netns=netns, check=False).stdout)

    def neighbour(self, netns: str | None, ip: str) -> tuple[str, str] | None:
        """(MAC, state such as "REACHABLE") of the ARP entry for `ip`; None when there is none with a MAC."""
        for entry in json.loads(self.run(["ip", "-j", "neighbour", "show", ip], netns=netns).stdout or "[]"):
            if "lladdr" in entry:
                return str(entry["lladdr"]), " ".join(entry.get("state", []))
        return None

    def flush_neighbours(self, netns: str | None) -> None:
        self.run(["ip", "neighbour", "flush", "all"], netns=netns)


def _start(argv: Sequence[str], words: Sequence[str], stdin: int, stdout: Path | int, stderr: Path,
           env: Mapping[str, str]) -> Process:
    """`argv` as `words`, in a session of its own, its output in new files or where a descriptor leads."""
    try:
        with ExitStack() as files:
            out = files.enter_context(open(stdout, "wb")).fileno() if isinstance(stdout, Path) else stdout
            err = files.enter_context(open(stderr, "wb"))
            popen = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *words], stdin=stdin, stdout=out, stderr=err,
                                     start_new_session=True, env={**os.environ, **env})
    except OSError as error:
        raise _cannot_start(words, error) from None
    return Process(popen, argv)


def _inside(netns: str | None, ask: Callable[[], T]) -> T:
    """`ask()` in a network namespace; in a thread of its own, for setns(2) moves the thread that calls it."""
    def enter() -> T:
        if netns:
            import pyroute2.netns  # type: ignore[import]
            try:
                # flags=0: pyroute2 would make a namespace that is missing
                pyroute2.netns.setns(netns, flags=0)
            except OSError as error:
                raise MachineError(f"cannot enter namespace {netns}: {error.strerror}") from None
        return ask()
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(enter).result()


def _cannot_start(words: Sequence[str], error: OSError) -> MachineError:
    return MachineError(f"cannot start `{shlex.join(words)}`: {error.filename}: {error.strerror}")


def _lock_holder(directory: str) -> str:
    """"pid N": the process that holds the lock, by /proc/locks."""
    status = os.stat(directory)
    place = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    for line in Path("/proc/locks").read_text().splitlines():
        words = line.split()
        if words[1] == "FLOCK" and words[5] == place:
            return f"pid {words[4]}"
    return "pid unknown"
