# SPDX-License-Identifier: BSD-3-Clause
"""This machine: the only module that runs commands or writes outside a run's own directory.

spawn() is for the main thread only: a child dies with the *thread* that started it (setpriv(1)).
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import hashlib
import importlib.util
import os
import select
import shlex
import shutil
import signal
import socket
import struct
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Callable, Iterator, Mapping, Sequence, TypeVar

from harness.errors import MachineError
from harness.host.host import NETNS_DIRECTORY, Host, Process, Result, command, start_time

# io_uring_setup(2), the same number on every architecture; SINGLE_ISSUER and DEFER_TASKRUN
_IO_URING_SETUP, _RING_FLAGS = 425, 1 << 12 | 1 << 13
_DIES_WITH_US = ("setpriv", "--pdeathsig", "KILL")
T = TypeVar("T")


class LocalProcess(Process):
    """A child of ours. Kept until waited for, so its pid cannot name another process meanwhile."""

    def __init__(self, popen: subprocess.Popen[bytes], argv: Sequence[str]) -> None:
        self._popen = popen
        self.pid = popen.pid
        self.argv = tuple(argv)
        self.start_time = start_time(popen.pid) or 0

    def poll(self) -> int | None:
        return self._popen.poll()

    def signal(self, number: int) -> None:
        self._popen.send_signal(number)

    def signal_all(self, number: int) -> None:
        # spawn() makes it the leader of a group; its number is its own until it was waited for
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    def signal_main(self, number: int) -> None:
        if self.poll() is None:
            ctypes.CDLL(None).tgkill(self.pid, self.pid, number)

    def wait(self, timeout: float) -> int:
        if self.poll() is None:
            # Popen.wait() would ask every 50 ms
            handle = os.pidfd_open(self.pid)
            try:
                select.select([handle], [], [], timeout)
            finally:
                os.close(handle)
        code = self.poll()
        if code is None:
            raise TimeoutError(f"{self.argv[0]} still runs after {timeout:g} s")
        return code


class LocalHost(Host):
    """The real machine."""

    def run(self, argv: Sequence[str], *, netns: str | None = None, timeout: float = 30,
            check: bool = True) -> Result:
        words = command(argv, netns)
        try:
            done = subprocess.run(
                [*_DIES_WITH_US, *words], stdin=subprocess.DEVNULL, capture_output=True,
                encoding="utf-8", errors="replace", timeout=timeout, start_new_session=True,
                env={**os.environ, "LC_ALL": "C"})
        except subprocess.TimeoutExpired:
            raise MachineError(f"`{shlex.join(words)}` took longer than {timeout:g} s") from None
        except OSError as error:
            raise _cannot_start(words, error) from None
        result = Result(done.returncode, done.stdout, done.stderr)
        if check and result.code != 0:
            raise MachineError(f"`{shlex.join(words)}` failed (exit {result.code}): "
                               f"{result.complaint}")
        return result

    def spawn(self, argv: Sequence[str], *, netns: str | None = None, cpus: Sequence[int] = (),
              stdout: Path, stderr: Path, env: Mapping[str, str] | None = None) -> Process:
        words = command(argv, netns, cpus)
        return _start(argv, words, subprocess.DEVNULL, stdout, stderr, env or {})

    def spawn_linked(self, argv: Sequence[str], link: socket.socket, *, stdout: Path | None = None,
                     stderr: Path) -> Process:
        return _start(argv, argv, link.fileno(), stdout or link.fileno(), stderr, {})

    def interactive(self, argv: Sequence[str], *, netns: str | None = None) -> int:
        # not SIG_IGN, which every program started from a shell would inherit
        before = signal.signal(signal.SIGINT, lambda number, frame: None)
        try:
            return subprocess.run([*_DIES_WITH_US, *command(argv, netns)]).returncode
        except OSError as error:
            raise _cannot_start(argv, error) from None
        finally:
            signal.signal(signal.SIGINT, before)

    def read(self, path: str | Path) -> str:
        with _or_cannot("read", path):
            return Path(path).read_text("utf-8", "replace")

    def sha256(self, path: str | Path) -> str | None:
        try:
            return hashlib.sha256(Path(path).read_bytes()).hexdigest()
        except OSError:
            return None

    def write(self, path: str | Path, text: str) -> None:
        with _or_cannot("write", path):
            Path(path).write_text(text, "utf-8", "surrogateescape")

    def append(self, path: str | Path, text: str) -> None:
        data = text.encode()
        with _or_cannot("write", path), open(path, "ab", buffering=0, opener=_for_root) as file:
            size = os.fstat(file.fileno()).st_size
            if file.write(data) != len(data):
                file.truncate(size)
                raise MachineError(f"cannot write {path}: disk full; make room and run again")
            os.fsync(file.fileno())

    def make_directory(self, path: str | Path) -> None:
        with _or_cannot("make", path):
            Path(path).mkdir(mode=0o700, exist_ok=True)

    def remove_directory(self, path: str | Path) -> bool:
        try:
            os.rmdir(path)
        except OSError as error:
            # it is gone, others have something in it, or have mounted it
            if error.errno in (errno.ENOENT, errno.EBUSY, errno.ENOTEMPTY, errno.EEXIST):
                return False
            raise MachineError(f"cannot remove {path}: {error.strerror}") from None
        return True

    def unlink(self, path: str | Path) -> bool:
        with _or_cannot("remove", path), suppress(FileNotFoundError):
            os.unlink(path)
            return True
        return False

    def exists(self, path: str | Path) -> bool:
        return os.path.exists(path)

    def link_target(self, path: str | Path) -> str:
        try:
            return os.path.basename(os.readlink(path))
        except OSError:
            return ""

    def listing(self, path: str | Path) -> list[str]:
        try:
            return sorted(os.listdir(path))
        except OSError:
            return []

    def which(self, program: str) -> str | None:
        return shutil.which(program, path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin")

    def has_module(self, name: str) -> bool:
        return importlib.util.find_spec(name) is not None

    def is_root(self) -> bool:
        return os.geteuid() == 0

    def cpus(self) -> list[int]:
        return sorted(os.sched_getaffinity(0))

    def send(self, pid: int, started: int, number: signal.Signals) -> bool:
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            return False
        try:
            # the descriptor holds on to the process: what is checked is what is signalled
            if start_time(pid) != started or select.select([handle], [], [], 0)[0]:
                return False
            signal.pidfd_send_signal(handle, number)
            if number == signal.SIGKILL and not select.select([handle], [], [], 10)[0]:
                raise MachineError(f"process {pid} does not end after SIGKILL")
            return True
        except ProcessLookupError:
            return False
        except OSError as error:
            raise MachineError(f"cannot send {number.name} to {pid}: {error.strerror}") from None
        finally:
            os.close(handle)

    @contextmanager
    def lock(self, directory: str) -> Iterator[None]:
        # flock(2) leaves no file behind and goes with its holder; no child inherits it
        with _or_cannot("lock", directory):
            held = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise MachineError(f"another run ({_lock_holder(directory)}) is using this machine;"
                                   " wait for its end or stop it") from None
            yield
        finally:
            os.close(held)

    def io_uring_refusal(self) -> str:
        parameters = struct.pack("<3I", 0, 0, _RING_FLAGS).ljust(120, b"\0")
        libc = ctypes.CDLL(None, use_errno=True)
        ring = libc.syscall(_IO_URING_SETUP, 1, ctypes.create_string_buffer(parameters))
        if ring >= 0:
            os.close(ring)
            return ""
        code = ctypes.get_errno()
        if code == errno.EPERM:
            return "forbidden, by a container's seccomp filter or kernel.io_uring_disabled"
        return {errno.ENOSYS: "this kernel has none, or a seccomp filter hides it",
                errno.EINVAL: "this kernel is older than Linux 6.1"}.get(code, os.strerror(code))

    def _table(self, name: str, netns: str | None) -> list[str]:
        # no program is started for it, beside a load that is measured
        with _or_cannot("read", f"/proc/net/{name}"):
            return inside(netns, Path(f"/proc/thread-self/net/{name}").read_text).splitlines()

    def connect(self, netns: str | None, address: str, port: int, timeout: float) -> socket.socket:
        return inside(netns, lambda: socket.create_connection((address, port), timeout))


def inside(netns: str | None, act: Callable[[], T]) -> T:
    """Do `act` in a network namespace; in a new thread, for setns(2) moves its caller."""
    def enter() -> T:
        if netns:
            with (_or_cannot("enter namespace", netns),
                  open(f"{NETNS_DIRECTORY}/{netns}", "rb") as file):
                if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), 0):
                    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return act()
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(enter).result()


def _start(argv: Sequence[str], words: Sequence[str], stdin: int, stdout: Path | int, stderr: Path,
           env: Mapping[str, str]) -> Process:
    """Start `words` in a new session, the output in new files or where a descriptor leads."""
    try:
        with ExitStack() as files:
            out = stdout if isinstance(stdout, int) else files.enter_context(
                open(stdout, "wb")).fileno()
            err = files.enter_context(open(stderr, "wb"))
            popen = subprocess.Popen([*_DIES_WITH_US, *words], stdin=stdin, stdout=out, stderr=err,
                                     start_new_session=True,
                                     env={**os.environ, "LC_ALL": "C", **env})
    except OSError as error:
        raise _cannot_start(words, error) from None
    return LocalProcess(popen, argv)


def _for_root(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


@contextmanager
def _or_cannot(act: str, path: str | Path) -> Iterator[None]:
    """Make an OSError one line: what could not be done, to what, and why."""
    try:
        yield
    except OSError as error:
        raise MachineError(f"cannot {act} {path}: {error.strerror}") from None


def _cannot_start(words: Sequence[str], error: OSError) -> MachineError:
    return MachineError(f"cannot start `{shlex.join(words)}`: {error.filename}: {error.strerror}")


def _lock_holder(directory: str) -> str:
    """Return "pid N" of the process that holds the lock, by /proc/locks."""
    status = os.stat(directory)
    place = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    for line in Path("/proc/locks").read_text("utf-8").splitlines():
        words = line.split()
        if words[1] == "FLOCK" and words[5] == place:
            return f"pid {words[4]}"
    return "pid unknown"
