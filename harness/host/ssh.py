# SPDX-License-Identifier: BSD-3-Clause
"""Another machine, over OpenSSH: a Host whose acts happen there.

There it needs sshd, a POSIX shell and what is to be run. Every program there is run by a shell that watches its
connection: when that goes, for whatever reason, so does the program. Knows no wire, plan or trial.
"""

from __future__ import annotations

import os
import re
import secrets
import shlex
import signal
import socket
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Iterator, Mapping, NoReturn, Protocol, Sequence

from harness.errors import MachineError
from harness.host.host import COUNTERS, Host, Process, Result, command

# the user's own configuration may forward, ask or fork; ours must not
_OPTIONS = ("-T", "-a", "-x", *(word for option in (
    "BatchMode=yes", "ConnectTimeout=10", "ServerAliveInterval=5", "ServerAliveCountMax=3", "LogLevel=INFO",
    "ControlPersist=no", "ClearAllForwardings=yes", "PermitLocalCommand=no", "RemoteCommand=none",
    "RequestTTY=no") for word in ("-o", option)))
_SSH_FAILED = 255
_SHELL = "PATH=$PATH:/usr/sbin:/sbin; LC_ALL=C; export PATH LC_ALL; "
_RUN = _SHELL + 'exec "$@"'
# a line on its stdin is a signal for the program, the end of stdin is the end of both
_WATCHED = _SHELL + (
    'ulimit -n "$(ulimit -H -n)" 2>/dev/null; exec 3<&0; "$@" </dev/null 3<&- & program=$!; '
    '{ while read -r name <&3; do kill -"$name" $program; done; kill -KILL $program; } >/dev/null 2>&1 & watch=$!; '
    'wait $program; code=$?; kill $watch 2>/dev/null; exit $code')
# says when it could begin, and does at a line on its stdin
_POISED = "echo POISED; read -r go || exit 1; " + _WATCHED
# a directory that lasts as long as the connection
_KEPT = _SHELL + ('d=${TMPDIR:-/tmp}/$1; mkdir -m 700 "$d" || exit 1; echo "$d"; while read -r line; do :; done; '
                  'rm -rf "$d"')
_OPEN_SECONDS = 40
_HANG_UP_SECONDS = 5
_POLL_SECONDS = 0.02
_CONTROL = "stackduel-ssh-"
_COMPLETE = 2
# of /proc/net/dev, in the order of COUNTERS
_COLUMNS = (1, 9, 0, 8, 3, 11, 2, 10)


class Target(Protocol):
    """`destination` as ssh takes it, and the interface there, "" for whichever leads to the server."""

    @property
    def destination(self) -> str: ...
    @property
    def interface(self) -> str: ...


class RemoteProcess(Process):
    """A program on another machine, and the ssh here that is its line. It lasts no longer than this object."""

    def __init__(self, ssh: Process, link: socket.socket, argv: Sequence[str]) -> None:
        self.pid, self.start_time, self.argv = ssh.pid, ssh.start_time, tuple(argv)
        self._ssh = ssh
        self._link = link

    def poll(self) -> int | None:
        return self._ended(self._ssh.poll())

    def go(self) -> None:
        """Begins what SshHost.poise() has made ready."""
        self._say("")

    def signal(self, number: int) -> None:
        self._say(signal.Signals(number).name.removeprefix("SIG"))

    def wait(self, timeout: float) -> int:
        code = self._ended(self._ssh.wait(timeout))
        assert code is not None
        return code

    def stop(self, term_timeout: float = 5) -> int:
        """SIGTERM, then SIGKILL, and at last an end of the line itself, which no other machine can refuse."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            self.signal(number)
            try:
                return self.wait(term_timeout)
            except TimeoutError:
                continue
        return self._ended(self._ssh.stop()) or 0

    def hang_up(self) -> None:
        """The end of what it reads, after which it ends by itself."""
        self._link.close()
        try:
            self._ssh.wait(_HANG_UP_SECONDS)
        except TimeoutError:
            self._ssh.stop()

    @property
    def lost(self) -> bool:
        """Has ssh itself failed?"""
        return self._ssh.poll() == _SSH_FAILED

    def _say(self, line: str) -> None:
        try:
            self._link.sendall(line.encode() + b"\n")
        except OSError:
            # it has ended
            pass

    def _ended(self, code: int | None) -> int | None:
        """The program's exit code, negative when a signal ended it, as a shell tells it."""
        if code is None:
            return None
        self._link.close()
        return 128 - code if 128 < code < 128 + signal.NSIG else code


class _Forwarded(socket.socket):
    """A connection from another machine: ssh is at the other end of it here, and says why when there is none."""

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
        refused = None if piece else self._why()
        if refused:
            raise refused
        return piece

    def close(self) -> None:
        super().close()
        if self.ssh.poll() is None:
            self.ssh.stop(1)
        self.stderr.unlink(missing_ok=True)

    def _why(self) -> OSError | None:
        """Its ssh has come to an end, or is just about to: why, None if well."""
        try:
            if not self.ssh.wait(2):
                return None
        except TimeoutError:
            return None
        said = _last(self.stderr.read_text(errors="replace"))
        # what the far end answered is told to the ssh that the others share
        said = _last(self.master.read_text(errors="replace")) if "refused by peer" in said else said
        forbidden = "; allow it there: AllowTcpForwarding in sshd_config" if "prohibited" in said else ""
        return ConnectionError(f"{said}{forbidden}")


class SshHost(Host):
    """Another machine, as far as the client's end of a trial needs one. It has no namespaces of ours: `netns` is
    not looked at.

    Whoever has one calls open() first and close() at last. `control`: where its files may be, a name that nothing has.
    `interface`: the one towards the server; preflight.py finds it out where the user has not said it.
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

    def open(self) -> None:
        """The connection that all others share, and a directory there that goes with it. MachineError when not."""
        out, err = Path(f"{self._control}.out"), Path(f"{self._control}.err")
        name = f"stackduel-{secrets.token_hex(8)}"
        self._line = self._start(["-M"], _KEPT, [name], out, err)
        deadline = time.monotonic() + _OPEN_SECONDS
        while not self.directory:
            # a start-up file of the login shell may have said something before
            self.directory = next((line for line in out.read_text(errors="replace").split("\n")[:-1]
                                   if line.endswith(f"/{name}")), "")
            if not self.directory and (self._line.poll() is not None or time.monotonic() > deadline):
                said = err.read_text(errors="replace")
                self.close()
                raise self._lost(said)
            time.sleep(_POLL_SECONDS)

    def close(self) -> None:
        """Its end, whatever state it is in: the directory there goes first, then the connection."""
        line, self._line = self._line, None
        if line is not None:
            line.hang_up()
        for kind in ("", ".out", ".err"):
            self._local.unlink(self._control + kind)

    def run(self, argv: Sequence[str], *, netns: str | None = None, timeout: float = 30,
            check: bool = True) -> Result:
        try:
            result = self._local.run(["ssh", *self._options(), "--", self.destination, _words(_RUN, argv)],
                                     timeout=timeout, check=False)
        except MachineError:
            raise MachineError(f"`{shlex.join(argv)}` did not end on {self.destination} within {timeout:g} s; "
                               f"see that `{self._try()}` works") from None
        if result.code == _SSH_FAILED:
            raise self._lost(result.stderr)
        if check and result.code != 0:
            raise MachineError(f"`{shlex.join(argv)}` failed on {self.destination} (exit {result.code}): "
                               f"{result.complaint}")
        return result

    def spawn(self, argv: Sequence[str], *, netns: str | None = None, cpus: Sequence[int] = (), stdout: Path,
              stderr: Path, env: Mapping[str, str] | None = None) -> RemoteProcess:
        """As Host. Pinned where that machine has taskset; it ends with the connection, at the latest."""
        return self._start([], _WATCHED, self._pinned(argv, cpus, env or {}), stdout, stderr)

    def poise(self, argv: Sequence[str], *, cpus: Sequence[int], stdout: Path, stderr: Path,
              env: Mapping[str, str]) -> RemoteProcess:
        """As spawn(), but for its go(), which is of use from when its stdout has the line POISED: a login shell may
        take its time, and several machines are to begin together."""
        return self._start([], _POISED, self._pinned(argv, cpus, env), stdout, stderr)

    def connect(self, netns: str | None, address: str, port: int, timeout: float) -> socket.socket:
        """As Host, by the kernel of that machine. A refusal comes with what is first received, as OSError."""
        ours, theirs = socket.socketpair()
        with theirs:
            connection = _Forwarded(fileno=ours.detach())
            self._connections += 1
            connection.stderr = Path(f"{self._control}.{self._connections}.err")
            connection.master = Path(f"{self._control}.err")
            connection.ssh = self._local.spawn_linked(
                ["ssh", *self._options(), "-W", f"{address}:{port}", "--", self.destination], theirs,
                stderr=connection.stderr)
        connection.settimeout(timeout)
        return connection

    def read(self, path: str | Path) -> str:
        result = self.run(["cat", str(path)], check=False)
        if result.code:
            raise MachineError(f"cannot read {path} on {self.destination}: {result.complaint}")
        return result.stdout

    def write(self, path: str | Path, text: str) -> None:
        """Replaces the content; the text goes as one word, so it is no place for what is long."""
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
        ranges = [part.split("-") for part in line[1].split(",")]
        return sorted(cpu for ends in ranges for cpu in range(int(ends[0]), int(ends[-1]) + 1))

    def link_counters(self, netns: str | None) -> dict[str, dict[str, int]]:
        counters = {}
        for line in self.read("/proc/net/dev").splitlines()[2:]:
            name, _, columns = line.partition(":")
            numbers = columns.split()
            counters[name.strip()] = {key: int(numbers[at]) for key, at in zip(COUNTERS, _COLUMNS)}
        return counters

    def neighbour(self, netns: str | None, ip: str) -> tuple[str, str] | None:
        for line in self.read("/proc/net/arp").splitlines()[1:]:
            words = line.split()
            if words[0] == ip and int(words[2], 16) & _COMPLETE:
                return words[3], "COMPLETE"
        return None

    def clock_ahead(self) -> tuple[float, float]:
        """Return by how many seconds that machine's clock is ahead of this one's, and how unsure that is."""
        before = time.time()
        # not every date knows parts of seconds
        whole, _, part = self.run(["date", "+%s.%N"]).stdout.strip().partition(".")
        after = time.time()
        exact = part.isdigit()
        unsure = (after - before) / 2 + (0.0 if exact else 0.5)
        return round(float(f"{whole}.{part if exact else 5}") - (before + after) / 2, 3), round(unsure, 3)

    def flush_neighbours(self, netns: str | None) -> None:
        """Of the interface to the server, if its user may; an entry that stays is compared all the same."""
        if self.interface and self.which("ip"):
            self.run(["ip", "neighbour", "flush", "dev", self.interface], check=False)

    def _refused(self, *args: Any, **options: Any) -> NoReturn:
        raise MachineError(f"{self.destination} is another machine: only what a client needs is done there")

    query = Host.query
    text = Host.text
    nic_statistics = Host.nic_statistics

    def wait_for(self, condition: Callable[[], bool], seconds: float) -> bool:
        return self._local.wait_for(condition, seconds)

    # whatever else a Host can do would be done to this machine
    interactive: Any = _refused
    sha256: Any = _refused
    append: Any = _refused
    make_directory: Any = _refused
    remove_directory: Any = _refused
    unlink: Any = _refused
    has_module: Any = _refused
    kill: Any = _refused
    pause: Any = _refused
    resume: Any = _refused
    kill_inside: Any = _refused
    lock: Any = _refused
    spawn_linked: Any = _refused

    def lost(self, stderr: Path) -> MachineError:
        """Why a RemoteProcess was lost, by what its ssh said."""
        return self._lost(stderr.read_text(errors="replace"))

    def _options(self) -> list[str]:
        return [*_OPTIONS, "-o", "ControlMaster=no", "-S", self._control]

    def _pinned(self, argv: Sequence[str], cpus: Sequence[int], env: Mapping[str, str]) -> list[str]:
        variables = [f"{name}={value}" for name, value in env.items()]
        return [*(["env", *variables] if variables else []),
                *command(argv, cpus=cpus if self.which("taskset") else ())]

    def _start(self, options: Sequence[str], script: str, argv: Sequence[str], stdout: Path,
               stderr: Path) -> RemoteProcess:
        ours, theirs = socket.socketpair()
        shared = [*_OPTIONS, *options, "-S", self._control] if options else self._options()
        with theirs:
            ssh = self._local.spawn_linked(["ssh", *shared, "--", self.destination, _words(script, argv)], theirs,
                                           stdout=stdout, stderr=stderr)
        return RemoteProcess(ssh, ours, argv)

    def _lost(self, said: str) -> MachineError:
        last = _last(said)
        step = next((step for words, step in _NEXT if words in said), "see that `{command}` works, without a question")
        return MachineError(f"client {self.destination} cannot be reached by ssh: {last.rstrip('.')}; "
                            + step.format(command=self._try(), destination=self.destination))


    def _try(self) -> str:
        """What a person would type, as the user whose keys are asked for."""
        return f"{'sudo ' if self._local.is_root() else ''}ssh {self.destination} true"


# what ssh says, and what to do about it
_NEXT = (
    ("Host key verification failed", "run `{command}` once by hand and see that the key it shows is that machine's"),
    ("Permission denied", "put your public key there (`ssh-copy-id {destination}`; root has keys of its own, in "
                          "/root/.ssh) until `{command}` works without a password"),
    ("Could not resolve hostname", "mend the name, or give the address"),
    ("Connection refused", "start sshd there, or say its port in ~/.ssh/config"),
    *((words, "see that it is on, and that this machine has a way to it beside the cable that is measured")
      for words in ("timed out", "No route to host", "unreachable")),
)


def _words(script: str, argv: Sequence[str]) -> str:
    """One word for ssh, which the login shell there takes apart again."""
    return shlex.join(["exec", "sh", "-c", script, "stackduel", *argv])


def _last(said: str) -> str:
    """What ssh said last, without its own name for itself."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1].removeprefix("ssh: ") if lines else "it said nothing"


def clear(local: Host) -> list[str]:
    """Removes what killed runs have left of their connections here: the directories, [] when there was none."""
    parent = _parent(local)
    dead = [f"{parent}/{name}" for name in local.listing(parent) if re.fullmatch(_CONTROL + r"\d+", name)
            and not local.exists(f"/proc/{name.removeprefix(_CONTROL)}")]
    for directory in dead:
        for name in local.listing(directory):
            local.unlink(f"{directory}/{name}")
        local.remove_directory(directory)
    return dead


def _parent(local: Host) -> str:
    return "/run" if local.is_root() else tempfile.gettempdir()


@contextmanager
def connected(local: Host, targets: Sequence[Target]) -> Iterator[tuple[SshHost, ...]]:
    """The machines, for the body of the `with`. MachineError when one cannot be reached; nothing stays of any."""
    if local.which("ssh") is None:
        raise MachineError("a client on another machine needs ssh here: `sudo apt-get install openssh-client`")
    clear(local)
    directory = f"{_parent(local)}/{_CONTROL}{os.getpid()}"
    local.make_directory(directory)
    sites = tuple(SshHost(local, target, f"{directory}/{number}") for number, target in enumerate(targets))
    try:
        for site in sites:
            site.open()
        yield sites
    finally:
        for site in sites:
            site.close()
        local.remove_directory(directory)
