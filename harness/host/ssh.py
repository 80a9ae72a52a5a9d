# SPDX-License-Identifier: BSD-3-Clause
"""Another machine, over OpenSSH: a Host whose acts happen there. Knows no wire, plan or trial.

There it needs sshd, a POSIX shell and what is to be run. Every program there is run by a shell that
watches its connection (remote.sh): when that goes, for whatever reason, so does the program.
"""

from __future__ import annotations

import os
import re
import secrets
import shlex
import signal
import socket
import stat
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Iterator, Mapping, Protocol, Sequence

from harness.errors import MachineError
from harness.host.host import Host, Process, Result, command, parse_cpu_list

# the user's own configuration may forward, ask or fork; ours must not
_OPTIONS = ("-T", "-a", "-x", *(word for option in (
    "BatchMode=yes", "ConnectTimeout=10", "ServerAliveInterval=5", "ServerAliveCountMax=3",
    "LogLevel=INFO", "ControlPersist=no", "ClearAllForwardings=yes", "PermitLocalCommand=no",
    "RemoteCommand=none", "RequestTTY=no") for word in ("-o", option)))
_SSH_FAILED = 255
_SCRIPT = " ".join(line for line in Path(__file__).with_name("remote.sh").read_text("utf-8")
                   .splitlines() if not line.startswith("#"))
_OPEN_SECONDS = 40
_HANG_UP_SECONDS = 5
_POLL_SECONDS = 0.02
_CONTROL = "stackduel-ssh-"
# what ssh says, and what to do about it
_SEE = "see that it is on, and that this machine has a way to it beside the cable that is measured"
_NEXT = {
    "Host key verification failed":
        "run `{command}` once by hand and see that the key it shows is that machine's",
    "Permission denied":
        "put your public key there (`ssh-copy-id {destination}`; root has keys of its own, in"
        " /root/.ssh) until `{command}` works without a password",
    "Could not resolve hostname": "mend the name, or give the address",
    "Connection refused": "start sshd there, or say its port in ~/.ssh/config",
    "timed out": _SEE, "No route to host": _SEE, "unreachable": _SEE,
    "": "see that `{command}` works, without a question",
}


class Target(Protocol):
    """A machine as ssh names it, and its interface; "" for whichever leads to the server."""

    @property
    def destination(self) -> str: ...
    @property
    def interface(self) -> str: ...


class RemoteProcess(Process):
    """A program on another machine; it lasts no longer than the ssh here that is its line."""

    def __init__(self, ssh: Process, link: socket.socket, argv: Sequence[str]) -> None:
        self.pid, self.start_time, self.argv = ssh.pid, ssh.start_time, tuple(argv)
        self._ssh = ssh
        self._link = link

    def poll(self) -> int | None:
        code = self._ssh.poll()
        return None if code is None else self._ended(code)

    def go(self) -> None:
        """Begin what SshHost.poise() has made ready."""
        self._send("")

    def signal(self, number: int) -> None:
        self._send(signal.Signals(number).name.removeprefix("SIG"))

    def wait(self, timeout: float) -> int:
        return self._ended(self._ssh.wait(timeout))

    def stop(self, term_timeout: float = 5) -> int:
        """Send SIGTERM, then SIGKILL, and at last end the line, which no machine can refuse."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            self.signal(number)
            try:
                return self.wait(term_timeout)
            except TimeoutError:
                continue
        return self._ended(self._ssh.stop())

    def hang_up(self) -> None:
        """End what it reads, after which it ends by itself."""
        self._link.close()
        try:
            self._ssh.wait(_HANG_UP_SECONDS)
        except TimeoutError:
            self._ssh.stop()

    @property
    def lost(self) -> bool:
        """Return whether ssh itself has failed."""
        return self._ssh.poll() == _SSH_FAILED

    def _send(self, line: str) -> None:
        # one that has ended takes nothing
        with suppress(OSError):
            self._link.sendall(line.encode() + b"\n")

    def _ended(self, code: int) -> int:
        """Return the program's exit code, negative when a signal ended it."""
        self._link.close()
        # a shell adds 128 to the signal's number
        return 128 - code if 128 < code < 128 + signal.NSIG else code


class _Forwarded(socket.socket):
    """A connection from another machine: ssh is at its other end here, and says why it failed."""

    ssh: Process
    stderr: Path
    master: Path

    def sendall(self, *args: Any) -> None:
        try:
            super().sendall(*args)
        except OSError as error:
            raise self._why() or error from None

    def recv(self, *args: Any) -> bytes:
        try:
            piece = super().recv(*args)
        except TimeoutError:
            raise
        except OSError as error:
            raise self._why() or error from None
        if not piece and (refused := self._why()):
            raise refused
        return piece

    def close(self) -> None:
        super().close()
        if self.ssh.poll() is None:
            self.ssh.stop(1)
        self.stderr.unlink(missing_ok=True)

    def _why(self) -> OSError | None:
        """Return why its ssh has ended, or is just about to; None if well."""
        try:
            if not self.ssh.wait(2):
                return None
        except TimeoutError:
            return None
        reason = _last(self.stderr.read_text("utf-8", "replace"))
        if "refused by peer" in reason:
            # only the ssh that the others share knows what the far end answered
            reason = _last(self.master.read_text("utf-8", "replace"))
        if "prohibited" in reason:
            reason += "; allow it there: AllowTcpForwarding in sshd_config"
        return ConnectionError(reason)


class SshHost(Host):
    """Another machine, as far as the client's end of a trial needs one.

    It has no namespaces of ours: `netns` is not looked at. Call open() first and close() at last.
    `control`: where its files may be, a name that nothing has
    `interface`: the one towards the server; link_check.py finds it where the user has not named it
    """

    def __init__(self, local: Host, target: Target, control: str) -> None:
        self.destination = target.destination
        self.interface = target.interface
        self.directory = ""
        self._local = local
        self._control = control
        self._line: RemoteProcess | None = None
        self._connections = 0
        self._known: dict[str, str | None] = {}

    def refusal(self, act: str) -> MachineError:
        return MachineError(f"{self.destination} is another machine: only what a client needs is "
                            "done there")

    def open(self) -> None:
        """Open the connection that all others share, with a directory there that goes with it."""
        out, err = Path(f"{self._control}.out"), Path(f"{self._control}.err")
        name = f"stackduel-{secrets.token_hex(8)}"
        self._line = self._start(["-M"], "directory", [name], out, err)
        deadline = time.monotonic() + _OPEN_SECONDS
        while not self.directory:
            # a start-up file of the login shell may have printed something before
            lines = out.read_text("utf-8", "replace").split("\n")[:-1]
            self.directory = next((line for line in lines if line.endswith(f"/{name}")), "")
            if not self.directory and (self._line.poll() is not None
                                       or time.monotonic() > deadline):
                lost = self.lost(err)
                self.close()
                raise lost
            time.sleep(_POLL_SECONDS)

    def close(self) -> None:
        """End it, whatever state it is in: the directory there goes first, then the connection."""
        line, self._line = self._line, None
        if line is not None:
            line.hang_up()
        for kind in ("", ".out", ".err"):
            self._local.unlink(self._control + kind)

    def run(self, argv: Sequence[str], *, netns: str | None = None, timeout: float = 30,
            check: bool = True) -> Result:
        try:
            result = self._local.run(["ssh", *self._shared(), *self._words("run", argv)],
                                     timeout=timeout, check=False)
        except MachineError:
            raise MachineError(f"`{shlex.join(argv)}` did not end on {self.destination} within "
                               f"{timeout:g} s; see that `{self._try()}` works") from None
        if result.code == _SSH_FAILED:
            raise self._lost(result.stderr)
        if check and result.code != 0:
            raise MachineError(f"`{shlex.join(argv)}` failed on {self.destination} (exit "
                               f"{result.code}): {result.complaint}")
        return result

    def spawn(self, argv: Sequence[str], *, netns: str | None = None, cpus: Sequence[int] = (),
              stdout: Path, stderr: Path, env: Mapping[str, str] | None = None) -> RemoteProcess:
        """Start a program there, pinned if it has taskset; it ends with the connection."""
        return self._start([], "watched", self._pinned(argv, cpus, env or {}), stdout, stderr)

    def poise(self, argv: Sequence[str], *, cpus: Sequence[int], stdout: Path, stderr: Path,
              env: Mapping[str, str]) -> RemoteProcess:
        """Make a program ready to begin at go(), once its stdout has the line POISED.

        A login shell may take its time, and several machines are to begin together.
        """
        return self._start([], "poised", self._pinned(argv, cpus, env), stdout, stderr)

    def connect(self, netns: str | None, address: str, port: int, timeout: float) -> socket.socket:
        """Return a connection by that machine's kernel. recv() raises a refusal, OSError."""
        ours, theirs = socket.socketpair()
        with theirs:
            connection = _Forwarded(fileno=ours.detach())
            self._connections += 1
            connection.stderr = Path(f"{self._control}.{self._connections}.err")
            connection.master = Path(f"{self._control}.err")
            connection.ssh = self._local.spawn_linked(
                ["ssh", *self._shared(), "-W", f"{address}:{port}", "--", self.destination], theirs,
                stderr=connection.stderr)
        connection.settimeout(timeout)
        return connection

    def read(self, path: str | Path) -> str:
        result = self.run(["cat", str(path)], check=False)
        if result.code:
            raise MachineError(f"cannot read {path} on {self.destination}: {result.complaint}")
        return result.stdout

    def write(self, path: str | Path, text: str) -> None:
        """Replace the content; the text goes as one word, so it is no place for what is long."""
        # one line, whatever the login shell thinks of several
        word = text.replace("\\", "\\\\").replace("\n", "\\n")
        self.run(["sh", "-c", 'printf %b "$1" > "$2"', "sh", word, str(path)])

    def exists(self, path: str | Path) -> bool:
        return self.run(["test", "-e", str(path)], check=False).code == 0

    def listing(self, path: str | Path) -> list[str]:
        return sorted(self.run(["ls", "-A", str(path)], check=False).stdout.split("\n")[:-1])

    def link_target(self, path: str | Path) -> str:
        return os.path.basename(self.run(["readlink", str(path)], check=False).stdout.strip())

    def which(self, program: str) -> str | None:
        if program not in self._known:
            found = self.run(["sh", "-c", 'command -v "$1"', "sh", program], check=False)
            self._known[program] = found.stdout.strip() or None
        return self._known[program]

    def is_root(self) -> bool:
        return self.run(["id", "-u"]).stdout.strip() == "0"

    def cpus(self) -> list[int]:
        line = re.search(r"^Cpus_allowed_list:\s*(\S+)$", self.read("/proc/self/status"), re.M)
        if line is None:
            raise MachineError(f"{self.destination} does not tell its CPUs in /proc/self/status")
        return parse_cpu_list(line[1])

    def clock_ahead(self) -> tuple[float, float]:
        """Return how many seconds that machine's clock is ahead of ours, and how unsure that is."""
        before, began = time.time(), time.monotonic()
        # not every date knows parts of seconds
        whole, _, part = self.run(["date", "+%s.%N"]).stdout.strip().partition(".")
        half = (time.monotonic() - began) / 2
        exact = part.isdigit()
        there = float(f"{whole}.{part if exact else 5}")
        return round(there - before - half, 3), round(half + (0.0 if exact else 0.5), 3)

    def flush_neighbours(self, netns: str | None) -> None:
        """Flush those of the interface to the server, if its user may."""
        if self.interface and self.which("ip"):
            self.run(["ip", "neighbour", "flush", "dev", self.interface], check=False)

    def lost(self, stderr: Path) -> MachineError:
        """Return why a RemoteProcess was lost, by what its ssh printed."""
        return self._lost(stderr.read_text("utf-8", "replace"))

    def _shared(self) -> list[str]:
        return [*_OPTIONS, "-o", "ControlMaster=no", "-S", self._control]

    def _words(self, mode: str, argv: Sequence[str]) -> list[str]:
        """Return where to, and one word that the login shell there takes apart again."""
        return ["--", self.destination,
                shlex.join(["exec", "sh", "-c", _SCRIPT, "stackduel", mode, *argv])]

    def _pinned(self, argv: Sequence[str], cpus: Sequence[int],
                env: Mapping[str, str]) -> list[str]:
        variables = [f"{name}={value}" for name, value in env.items()]
        return [*(["env", *variables] if variables else []),
                *command(argv, cpus=cpus if self.which("taskset") else ())]

    def _start(self, options: Sequence[str], mode: str, argv: Sequence[str], stdout: Path,
               stderr: Path) -> RemoteProcess:
        ours, theirs = socket.socketpair()
        shared = [*_OPTIONS, *options, "-S", self._control] if options else self._shared()
        with theirs:
            ssh = self._local.spawn_linked(["ssh", *shared, *self._words(mode, argv)], theirs,
                                           stdout=stdout, stderr=stderr)
        return RemoteProcess(ssh, ours, argv)

    def _lost(self, printed: str) -> MachineError:
        step = next(step for words, step in _NEXT.items() if words in printed)
        return MachineError(f"client {self.destination} cannot be reached by ssh: "
                            f"{_last(printed).rstrip('.')}; "
                            + step.format(command=self._try(), destination=self.destination))

    def _try(self) -> str:
        """Return what a person would type, as the user whose keys are used."""
        return f"{'sudo ' if self._local.is_root() else ''}ssh {self.destination} true"


def _last(printed: str) -> str:
    """Return the last line that ssh printed, without its own name."""
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    return lines[-1].removeprefix("ssh: ") if lines else "it said nothing"


def clear(local: Host) -> list[str]:
    """Remove what killed runs have left of their connections here. Return the directories."""
    parent = _parent(local)
    dead = [f"{parent}/{name}" for name in local.listing(parent)
            if re.fullmatch(_CONTROL + r"\d+", name)
            and not local.exists(f"/proc/{name.removeprefix(_CONTROL)}")]
    for directory in dead:
        for name in local.listing(directory):
            local.unlink(f"{directory}/{name}")
        local.remove_directory(directory)
    return dead


def _parent(local: Host) -> str:
    """Return a directory that nobody else writes to: who knows a name there could be who ssh asks."""
    if local.is_root():
        return "/run"
    own = f"{tempfile.gettempdir()}/stackduel-{os.geteuid()}"
    local.make_directory(own)
    state = os.lstat(own)
    if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.geteuid() or state.st_mode & 0o077:
        raise MachineError(f"{own} is not a directory for you alone, and ssh would have its "
                           "sockets there: remove it, or set TMPDIR")
    return own


@contextmanager
def connected(local: Host, targets: Sequence[Target]) -> Iterator[tuple[SshHost, ...]]:
    """Yield the machines. MachineError when one cannot be reached; nothing stays of any."""
    if local.which("ssh") is None:
        raise MachineError("a client on another machine needs ssh here: `sudo apt-get install "
                           "openssh-client`")
    clear(local)
    directory = f"{_parent(local)}/{_CONTROL}{os.getpid()}"
    local.make_directory(directory)
    sites = tuple(SshHost(local, target, f"{directory}/{number}")
                  for number, target in enumerate(targets))
    try:
        for site in sites:
            site.open()
        yield sites
    finally:
        for site in sites:
            site.close()
        local.remove_directory(directory)
