# SPDX-License-Identifier: BSD-3-Clause
"""The preload library as a guest in a program: whose sockets it takes, what it costs, what it leaves behind.

The programs are Python scripts, both ends in one process, on a port with nothing behind it (DPDK's net_null).
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Iterator

import pytest

from harness.tests.system.conftest import ROOT

LAUNCHER = ROOT / "build" / "on-lwip"
# Python 3.12 warns a process of several threads that forks; lwIP's are such threads, and forking beside them is tested
PYTHON = ("/usr/bin/python3", "-W", "ignore:This process:DeprecationWarning")
ADDRESS = "198.18.9.9"
PAIR = f"""
import os, signal, socket, sys, time
def pair(address="{ADDRESS}", port=7):
    listener = socket.socket()
    listener.bind((address, port))
    listener.listen()
    client = socket.create_connection((address, port), timeout=10)
    server, _ = listener.accept()
    return listener, client, server
def start(address="{ADDRESS}"):
    listener = socket.create_server((address, 7))
    listener.setblocking(False)
    try:
        listener.accept()
    except BlockingIOError:
        return listener
"""
RUNTIME = Path("/run/dpdk" if os.getuid() == 0 else os.environ.get("XDG_RUNTIME_DIR", "/tmp") + "/dpdk")


@pytest.fixture
def prefix() -> Iterator[str]:
    """EAL's file prefix of one test; whatever runtime directory is left of it makes the test fail."""
    name = f"library-{os.getpid()}"
    yield name
    left = RUNTIME / name
    existed = left.is_dir()
    if existed:
        for path in left.iterdir():
            path.unlink()
        left.rmdir()
    assert not existed, f"{left} was left behind"


def run(prefix: str, script: str, *options: str, device: str = "net_null0,no-rx=1") -> subprocess.CompletedProcess[str]:
    eal = f"--no-huge --no-shconf -m 512 --no-pci --no-telemetry --file-prefix={prefix} --vdev={device}"
    return subprocess.run([LAUNCHER, "--address", ADDRESS, "--eal", eal, *options, "--", *PYTHON, "-c", PAIR + script],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)


def said(done: subprocess.CompletedProcess[str]) -> list[str]:
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


def counters(path: Path) -> dict[str, object]:
    text = path.read_text()
    assert len(text) == 4096
    read: dict[str, object] = json.loads(text)
    return read


# --- whose sockets -----------------------------------------------------------------------------------

def test_takes_what_is_not_on_loopback(prefix: str, tmp_path: Path) -> None:
    done = run(prefix, f"""
listener, client, server = pair()
client.sendall(b"lwip")
print(server.recv(9).decode())
client, server = socket.socketpair()
client.sendall(b"kernel")
print(server.recv(9).decode())
""", "--counters", str(tmp_path / "counters"))
    assert said(done) == ["lwip", "kernel"]
    read = counters(tmp_path / "counters")
    assert {key: read[key] for key in ("connects", "accepts", "closes", "sockets", "listeners", "bytes_sent",
                                       "bytes_received")} == {
        "connects": 1, "accepts": 1, "closes": 3, "sockets": 0, "listeners": 0, "bytes_sent": 4, "bytes_received": 4}


def test_leaves_loopback_to_the_kernel(prefix: str, tmp_path: Path) -> None:
    done = run(prefix, """
listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
server, _ = listener.accept()
client.sendall(b"kernel")
print(server.recv(9).decode())
""", "--counters", str(tmp_path / "counters"))
    assert said(done) == ["kernel"]
    assert not (tmp_path / "counters").exists(), "the stack has started"


def test_rules_choose_by_port(prefix: str) -> None:
    done = run(prefix, f"""
ours, theirs = socket.socket(), socket.socket()
ours.bind(("{ADDRESS}", 80))
print("taken")
try:
    theirs.bind(("{ADDRESS}", 81))
except OSError as error:
    print(error.errno)
""", "--sockets", "tcp:0.0.0.0/0:80")
    assert said(done) == ["taken", "99"]  # EADDRNOTAVAIL: no interface of the kernel has the address


# --- processes ---------------------------------------------------------------------------------------

def test_a_daemon_forks_between_listen_and_the_first_wait(prefix: str) -> None:
    done = run(prefix, f"""
listener = socket.socket()
listener.bind(("{ADDRESS}", 7))
listener.listen()
child = os.fork()
if child == 0:
    client = socket.create_connection(("{ADDRESS}", 7), timeout=10)
    server, _ = listener.accept()
    client.sendall(b"child")
    print(server.recv(9).decode(), flush=True)
    sys.exit(0)
print(os.waitpid(child, 0)[1])
""")
    assert said(done) == ["child", "0"]


def test_a_child_forked_later_is_told_and_does_no_harm(prefix: str) -> None:
    done = run(prefix, """
listener, client, server = pair()
child = os.fork()
if child == 0:
    try:
        client.sendall(b"from the child")
    except OSError as error:
        print(error.errno, flush=True)
    client.close()
    listener.close()
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
client.sendall(b"parent")
print(server.recv(99).decode())
""")
    assert (done.returncode, done.stdout.split()) == (0, ["100", "7", "parent"])  # 100: ENETDOWN
    line, = done.stderr.splitlines()
    assert line.startswith(f"stackduel: lwIP at {ADDRESS} is process ") and "forked after it had started" in line


def test_a_child_of_vfork_closes_nothing_here(prefix: str) -> None:
    done = run(prefix, """
import subprocess
listener, client, server = pair()
subprocess.run(["/bin/true"], check=True, close_fds=True)
client.sendall(b"still")
print(server.recv(99).decode())
""")
    assert said(done) == ["still"]


def test_fork_while_another_thread_waits(prefix: str) -> None:
    done = run(prefix, """
import threading
listener, client, server = pair()
waiting = threading.Thread(target=lambda: print(server.recv(99).decode(), flush=True))
waiting.start()
time.sleep(0.3)
child = os.fork()
if child == 0:
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
client.sendall(b"parent")
waiting.join()
""")
    assert said(done) == ["7", "parent"]


@pytest.mark.exclusive
def test_every_thread_that_sleeps_in_one_epoll_set_wakes(prefix: str) -> None:
    done = run(prefix, """
import select, threading
listener, client, server = pair()
also = socket.create_connection(listener.getsockname(), timeout=10)
also_server, _ = listener.accept()
several = select.epoll()
def wait():
    for fd, _ in several.poll(20, 1):
        os.write(1, b"woken\\n" if fd in (server.fileno(), also_server.fileno()) else b"%d\\n" % fd)
threads = [threading.Thread(target=wait) for _ in range(2)]
for thread in threads:
    thread.start()
time.sleep(0.3)
for end in (server, also_server):
    several.register(end, select.EPOLLIN | select.EPOLLONESHOT)
client.sendall(b"1")
also.sendall(b"2")
for thread in threads:
    thread.join()
""")
    assert said(done) == ["woken", "woken"]


def test_options_reach_a_duplicate_when_the_first_is_closed(prefix: str) -> None:
    done = run(prefix, """
import struct
listener, client, server = pair()
copy = server.dup()
copy.setblocking(True)
server.close()
copy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 50000))
try:
    copy.recv(1)
except BlockingIOError as error:
    print(error.errno)
""")
    assert said(done) == ["11"]  # EAGAIN


def test_numbers_of_descriptors_stay_low(prefix: str) -> None:
    done = run(prefix, "listener, client, server = pair()\nprint(max(listener.fileno(), client.fileno(), "
                       "server.fileno(), os.dup(0)) < 13)")
    assert said(done) == ["True"]


def test_the_limit_of_open_files_stays(prefix: str) -> None:
    done = run(prefix, """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (300, 4000))
pair()
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
""")
    assert said(done) == ["300", "4000"]


def test_affinity_stays(prefix: str) -> None:
    done = run(prefix, "before = os.sched_getaffinity(0)\npair()\nprint(os.sched_getaffinity(0) == before)")
    assert said(done) == ["True"]


@pytest.mark.exclusive
def test_a_thread_that_may_sleep_burns_no_core(prefix: str) -> None:
    script = """
listener, client, server = pair()
server.settimeout(1)
before = time.process_time()
try:
    server.recv(1)
except TimeoutError:
    print(time.process_time() - before < 0.5)
"""
    assert said(run(prefix, script, "--idle", "sleep:1000")) == ["True"]
    assert said(run(prefix, script)) == ["False"]


# --- the end -----------------------------------------------------------------------------------------

@pytest.mark.parametrize("end, code", [("sys.exit(3)", 3), ("os._exit(4)", 4), ("os.abort()", -6),
                                       ("os.kill(os.getpid(), signal.SIGTERM)", -15),
                                       ("os.kill(os.getpid(), signal.SIGSEGV)", -11)])
def test_leaves_no_socket_file_and_no_directory(prefix: str, tmp_path: Path, end: str, code: int) -> None:
    wire = tmp_path / "wire"
    done = run(prefix, f"""
listener = start()
print(os.path.exists("{wire}"), flush=True)
{end}
""", device=f"net_vhost0,iface={wire}")
    assert (done.stdout.split(), done.returncode) == (["True"], code), done.stderr
    assert not wire.exists()


def test_a_socket_file_left_by_sigkill_is_no_obstacle(prefix: str, tmp_path: Path) -> None:
    wire = tmp_path / "wire"
    killed = run(prefix, "start()\nos.kill(os.getpid(), signal.SIGKILL)", device=f"net_vhost0,iface={wire}")
    assert killed.returncode == -9 and wire.exists()
    assert said(run(prefix, "start()\nprint('again')", device=f"net_vhost0,iface={wire}")) == ["again"]


def test_what_cannot_start_ends_the_program_with_a_line(prefix: str) -> None:
    done = run(prefix, f"""
for _ in range(2):
    try:
        socket.create_connection(("{ADDRESS}", 7))
    except OSError as error:
        print(error.errno)
""")
    assert done.stdout.split() == ["111", "111"]  # ECONNREFUSED: nobody listens, but the stack runs
    done = subprocess.run([LAUNCHER, "--address", ADDRESS, "--eal", f"--no-huge --no-shconf -m 512 --no-pci "
                           f"--no-telemetry --file-prefix={prefix}", "--", *PYTHON, "-c", f"""
import socket
socket.create_connection(("{ADDRESS}", 7))
"""], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.returncode) == ("", 3)
    assert done.stderr.splitlines() == ["stackduel: no port 0: give EAL a device, as in --vdev=net_tap0"]


def test_a_name_unfit_for_json_is_told_as_it_can_be(prefix: str, tmp_path: Path) -> None:
    eal = f"--no-huge --no-shconf -m 512 --no-pci --no-telemetry --file-prefix={prefix} --vdev=net_null0,no-rx=1"
    name = 'a"b\\' + "c" * 5000
    done = subprocess.run([LAUNCHER, "--address", ADDRESS, "--eal", eal, "--counters", str(tmp_path / "counters"), "--",
                           "bash", "-c", f"exec -a '{name}' curl -s http://{ADDRESS}:7/"], stdin=subprocess.DEVNULL,
                          timeout=60, check=False)
    assert done.returncode == 7  # curl could not connect
    assert str(counters(tmp_path / "counters")["program"]).startswith("a_b_ccc")


def test_without_the_launcher_all_sockets_stay_with_the_kernel() -> None:
    environment = {**os.environ, "LD_PRELOAD": str(ROOT / "build" / "libstackduel_preload.so")}
    done = subprocess.run([*PYTHON, "-c", "import socket; print(socket.create_server(('127.0.0.1', 0)) is not None)"],
                          env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.split() == ["True"]
    line, = done.stderr.splitlines()
    assert line.startswith("stackduel: ") and "all sockets stay with the kernel" in line
