# SPDX-License-Identifier: BSD-3-Clause
"""What daemons do under the preload library: give up rights, close what is not theirs, fork.

lwIP has one end of a veth pair (DPDK's net_af_packet, which needs a right), the kernel the other.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterator, Sequence

import pytest

from harness.tests.system.conftest import ROOT
from harness.tests.system.test_library import PYTHON

LAUNCHER = ROOT / "build" / "on-lwip"
LWIP, KERNEL, NOBODY_THERE = "198.18.9.9", "198.18.9.1", "198.18.9.77"
SECONDS = 60
# What a daemon does between listen() and its first wait, or before. 65534: nobody, nogroup.
SERVE = f"""
import ctypes, os, resource, select, signal, socket, sys, time
def drop():
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
def listen(port=80):
    return socket.create_server(("{LWIP}", port))
def serve(listener, count=1):
    ready = select.epoll()
    listener.setblocking(False)
    ready.register(listener, select.EPOLLIN)
    while count > 0:
        for _ in ready.poll():
            connection, _ = listener.accept()
            connection.setblocking(True)
            connection.sendall(connection.recv(99))
            connection.close()
            count -= 1
"""
ASK = f"""
import socket, sys, time
deadline = time.monotonic() + 20
while True:
    try:
        connection = socket.create_connection(("{LWIP}", int(sys.argv[1])), timeout=5)
        break
    except OSError:
        if time.monotonic() > deadline:
            sys.exit("nobody serves")
        time.sleep(0.05)
connection.sendall(sys.argv[2].encode())
print(connection.recv(99).decode())
"""


@dataclass(frozen=True)
class Link:
    """A namespace with both ends of a veth pair."""

    name: str

    def inside(self, *words: str | Path) -> list[str]:
        return ["ip", "netns", "exec", self.name, *map(str, words)]

    def on_lwip(self, *words: str | Path) -> list[str]:
        eal = ("--no-huge --no-shconf -m 512 --no-pci --no-telemetry "
               f"--file-prefix={self.name} --vdev=net_af_packet0,iface=lwip")
        return self.inside(LAUNCHER, "--address", LWIP, "--eal", eal, "--", *words)

    def kill_all(self) -> None:
        """Ends what is left in the namespace: children of a server that was killed, too."""
        for pid in self.run(["ip", "netns", "pids", self.name]).stdout.split():
            os.kill(int(pid), signal.SIGKILL)

    def run(self, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=SECONDS, check=False)

    def start(self, words: Sequence[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)

    def answer(self, text: str, port: int = 80) -> str:
        """What the server at `port` of lwIP's address says to a kernel's client."""
        done = self.run(self.inside(*PYTHON, "-c", ASK, str(port), text))
        return done.stdout.strip() or done.stderr


@pytest.fixture(scope="module")
def link() -> Iterator[Link]:
    one = Link(f"daemons-{os.getpid()}")
    subprocess.run(["ip", "netns", "add", one.name], check=True)
    try:
        for words in ("link add lwip type veth peer name kernel", "link set lo up",
                      "link set lwip up", "link set kernel up",
                      f"address add {KERNEL}/24 dev kernel"):
            subprocess.run(one.inside("ip", *words.split()), check=True)
        # lwIP sees frames as the kernel gives them to the pair, where nobody fills in checksums
        subprocess.run(one.inside("ethtool", "-K", "kernel", "tx", "off"), check=True,
                       capture_output=True)
        yield one
    finally:
        subprocess.run(["ip", "netns", "delete", one.name], check=True)


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    stdout, stderr = process.communicate(timeout=SECONDS)
    return process.returncode, stdout, stderr


# --- rights --------------------------------------------------------------------------------

DROPS = {
    "after listen": "listener = listen(); drop()",
    "before any socket": "drop(); listener = listen()",
    "for a while": "listener = listen(); os.seteuid(65534)",
    "chroot": "listener = listen(); os.chroot('/proc/self/fdinfo')",
    "unshare": "listener = listen(); ctypes.CDLL(None).unshare(0x40000000)",
    "in the background": "listener = listen()\nif os.fork(): os._exit(0)\nos.setsid(); drop()",
    "closes all": "listener = listen(); drop(); os.closerange(listener.fileno() + 1, 1 << 20)",
    "closes each": """
listener = listen()
drop()
for fd in range(listener.fileno() + 1, 4096):
    try:
        os.close(fd)
    except OSError:
        pass
""",
    "few descriptors": "listener = listen(); drop(); "
                       "resource.setrlimit(resource.RLIMIT_NOFILE, (8, 8))",
    "umask": "listener = listen(); os.umask(0o777); os.chdir('/')",
}


@pytest.mark.parametrize("how", DROPS)
def test_serves_without_its_rights(how: str, link: Link) -> None:
    server = link.start(link.on_lwip(*PYTHON, "-c", f"{SERVE}{DROPS[how]}\nserve(listener)"))
    try:
        assert link.answer("hello") == "hello"
        assert ended(server) == (0, "", "")
    finally:
        link.kill_all()


def test_what_cannot_start_any_more_ends_with_a_line(link: Link) -> None:
    """A child without a socket gives up its rights, then wants one: never an endless error."""
    began = time.monotonic()
    done = link.run(link.on_lwip(*PYTHON, "-c", SERVE + """
child = os.fork()
if child == 0:
    drop()
    serve(listen())
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""))
    assert (done.returncode, done.stdout) == (0, "3\n")
    line, = done.stderr.splitlines()
    assert re.fullmatch(r"stackduel: no port 0: DPDK says: .*AF_PACKET.*", line)
    assert time.monotonic() - began < 20


# --- other processes -----------------------------------------------------------------------

def test_a_program_that_it_starts_uses_the_kernel(link: Link) -> None:
    """Never two stacks at one address: the connection lives on."""
    listening = link.start(link.inside(*PYTHON, "-c", f"""
import socket
listener = socket.create_server(("{KERNEL}", 7))
connection, _ = listener.accept()
print(connection.recv(9).decode(), flush=True)
connection.sendall(b"lwip")
print(connection.recv(9).decode())
"""))
    kernels = link.start(link.inside(*PYTHON, "-c", f"""
import socket
connection, peer = socket.create_server(("{KERNEL}", 8)).accept()
connection.sendall(peer[0].encode())
"""))
    try:
        time.sleep(0.5)
        done = link.run(link.on_lwip(*PYTHON, "-c", f"""
import os, socket, subprocess, sys
connection = socket.create_connection(("{KERNEL}", 7), timeout=10)
connection.sendall(b"before")
print(connection.recv(9).decode(), flush=True)
child = '''
import socket
print(socket.create_connection(("{KERNEL}", 8), timeout=10).recv(99).decode())
'''
subprocess.run([sys.executable, "-c", child], check=True)
os.system("true")
connection.sendall(b"after")
"""))
        assert (done.returncode, done.stdout.split()) == (0, ["lwip", KERNEL])
        line, = done.stderr.splitlines()
        assert re.fullmatch(rf"stackduel: lwIP at {LWIP} is process \d+'s alone: the kernel has "
                            r"the sockets of process \d+ \(python3\S*\)", line)
        assert ended(listening) == (0, "before\nafter\n", "")
    finally:
        link.kill_all()


def test_a_second_process_waits_until_the_first_has_ended(link: Link) -> None:
    """Two workers of one listener: the second one sleeps, says so once, and takes over."""
    server = link.start(link.on_lwip(*PYTHON, "-c", SERVE + """
listener = listen()
for worker in range(2):
    if os.fork() == 0:
        time.sleep(worker)
        drop()
        serve(listener)
        print(time.process_time() < 3, flush=True)
        os._exit(0)
for _ in range(2):
    os.wait()
"""))
    try:
        time.sleep(3)
        assert [link.answer(text) for text in ("first", "second")] == ["first", "second"]
        code, stdout, stderr = ended(server)
        assert (code, stdout) == (0, "True\nTrue\n")
        line, = stderr.splitlines()
        assert "until it ends, nothing reaches process" in line
    finally:
        link.kill_all()


def test_a_forked_process_does_not_serve_for_its_parent(link: Link) -> None:
    """It gives up its rights, then goes to the background: too late, which it is told once."""
    done = link.run(link.on_lwip(*PYTHON, "-c", SERVE + """
listener = listen()
drop()
child = os.fork()
if child == 0:
    serve(listener)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""))
    assert (done.returncode, done.stdout) == (0, "3\n")
    line, = done.stderr.splitlines()
    assert "forked after it had started" in line


@pytest.fixture
def site() -> Iterator[Path]:
    """A directory that nginx's workers, who are nobody, may read."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        path.chmod(0o755)
        (path / "large").write_bytes(b"x" * 20_000_000)
        (path / "nginx.conf").write_text(f"""
daemon off; pid {path}/pid; error_log {path}/log; worker_processes 1; user nobody nogroup;
events {{ }}
http {{ access_log off; server {{ listen {LWIP}:80; root {path}; }} }}
""")
        yield path


def test_a_worker_of_nginx_drains_after_a_reload(link: Link, site: Path) -> None:
    """The new one waits until it has, with a line, and then serves."""
    server = link.start(link.on_lwip("nginx", "-p", site, "-c", site / "nginx.conf"))
    fetch = link.inside("curl", "--silent", "--show-error", "--output", "/dev/null", "--write-out",
                        "%{http_code} %{size_download}", f"http://{LWIP}/large")
    patient = [*fetch, "--retry", "30", "--retry-connrefused", "--retry-delay", "1"]
    try:
        assert link.run(patient).stdout == "200 20000000"
        slow = link.start([*fetch, "--limit-rate", "4M"])
        time.sleep(1.5)
        os.kill(int((site / "pid").read_text()), signal.SIGHUP)
        assert ended(slow) == (0, "200 20000000", "")
        assert link.run(patient).stdout == "200 20000000"
        os.kill(int((site / "pid").read_text()), signal.SIGTERM)
        assert ended(server) == (0, "", "")
        log = (site / "log").read_text()  # where nginx has its stderr
        assert log.count("stackduel: ") == 1 and "until it ends, nothing reaches process" in log
    finally:
        link.kill_all()


# --- who is not there ----------------------------------------------------------------------

SEEK = """
import errno, os, select, socket, sys, time
def tell(what):
    began = time.monotonic()
    try:
        said = what()
    except OSError as error:
        said = errno.errorcode[error.errno]
    print(said, round(time.monotonic() - began), flush=True)
def later(address):
    client = socket.socket()
    client.setblocking(False)
    client.connect_ex(address)
    ready = select.epoll()
    ready.register(client, select.EPOLLOUT)
    (_, events), = ready.poll(20)
    error = client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    return f"{events & (select.EPOLLERR | select.EPOLLHUP)} {errno.errorcode[error]}"
def datagram(address):
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.connect(address)
    client.settimeout(5)
    client.send(b"x")
    try:
        return client.recv(9)
    except TimeoutError:
        return "silence"
"""


@pytest.fixture(params=["kernel", "lwIP"])
def seek(request: pytest.FixtureRequest, link: Link) -> Callable[[str], list[str]]:
    """Runs a script on the kernel's end too, where it proves itself; 3 to 5 s print the same."""
    def seeking(script: str) -> list[str]:
        words = (*PYTHON, "-c", SEEK + script)
        done = link.run(link.inside(*words) if request.param == "kernel" else link.on_lwip(*words))
        assert (done.returncode, done.stderr) == (0, "")
        return [re.sub(r" [345]$", " some", line) for line in done.stdout.splitlines()]

    return seeking


def test_a_host_that_is_not_there(seek: Callable[[str], list[str]]) -> None:
    assert seek(f"""
tell(lambda: socket.create_connection(("{NOBODY_THERE}", 80)))
tell(lambda: later(("{NOBODY_THERE}", 80)))
tell(lambda: datagram(("{NOBODY_THERE}", 80)))
tell(lambda: socket.create_connection(("203.0.113.1", 80)))
""") == ["EHOSTUNREACH some", "24 EHOSTUNREACH some", "silence some", "ENETUNREACH 0"]


def test_a_host_that_refuses(link: Link) -> None:
    done = link.run(link.on_lwip(*PYTHON, "-c", SEEK + f"""
for _ in range(2):  # the first is also the start of EAL
    tell(lambda: socket.create_connection(("{KERNEL}", 1)))
"""))
    assert (done.stdout.splitlines()[1], done.stderr) == ("ECONNREFUSED 0", "")


# --- devices -------------------------------------------------------------------------------

EAL = ("--no-huge", "-m", "64", "--no-pci", "--no-shconf", "--no-telemetry", "--log-level=error",
       "--file-prefix=daemons")
STARTERS: dict[str, Callable[..., list[str | Path]]] = {
    "lwip_server": lambda *eal: [ROOT / "build/lwip_server", *eal, "--", "--address", LWIP],
    "loadgen": lambda *eal: [ROOT / "build/loadgen", *eal, "--", "--server", KERNEL],
    "on-lwip": lambda *eal: [LAUNCHER, "--address", LWIP, "--eal", " ".join(eal), "--", *PYTHON,
                             "-c", f"import socket; socket.create_connection(('{KERNEL}', 1))"],
}


@pytest.mark.parametrize("device, says", [
    ("net_af_packet0,iface=nobody", "no port 0: DPDK says: .*net_af_packet0.*No such device"),
    ("net_nobody0", 'EAL did not start: DPDK says: .*"net_nobody0"'),
])
@pytest.mark.parametrize("program", STARTERS)
def test_a_device_that_is_not_there_is_one_line(program: str, device: str, says: str,
                                                link: Link) -> None:
    done = link.run(link.inside(*STARTERS[program](*EAL, f"--vdev={device}")))
    line, = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (3, "")
    assert re.fullmatch(f"(stackduel|{program}): {says}.*", line)


@pytest.mark.parametrize("program", STARTERS)
def test_a_device_that_may_not_be_opened_is_one_line(program: str, link: Link) -> None:
    done = link.run(link.inside("setpriv", "--bounding-set", "-net_raw", "--inh-caps", "-net_raw",
                                *STARTERS[program](*EAL, "--vdev=net_af_packet0,iface=lwip")))
    line, = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (3, "")
    assert re.fullmatch(f"(stackduel|{program}): no port 0: DPDK says: .*AF_PACKET.*", line)
