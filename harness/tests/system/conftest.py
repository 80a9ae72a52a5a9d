# SPDX-License-Identifier: BSD-3-Clause
"""The real wire for tests, and servers on it. Sanitized builds, so that a wrong access ends the server."""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Callable, Iterator

import pytest

from harness.trial.server import Running, start
from harness.host import Host, LocalHost
from harness.plan import load_plan, Plan
from harness.provision.provision import Provisioned, provisioned
from harness.tests.fixtures.wires import bare_wire
from harness.provision import ResolvedWire

ROOT = Path(__file__).resolve().parents[3]

# The kernel's servers, all in the place of the contender epoll: the program and options of its own.
KERNEL_SERVERS = {
    "epoll": ("build/epoll_server", ()),
    "epoll of 2 threads": ("build/epoll_server", ("--threads", "2")),
    "uring": ("build/uring_server", ()),
    "uring of 2 threads": ("build/uring_server", ("--threads", "2")),
}


# in the environment of all that a shard starts, so that it can tell its own processes from the other's
SHARD = "STACKDUEL_TEST_SHARD"
# more than two runs need at the same time, so that neither of two shards raises the count while the other gives back
_SHARD_HUGEPAGES = 1200
_HUGEPAGES = Path("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages")
_CLONE_NEWNS, _CLONE_NEWNET, _MS_REC, _MS_PRIVATE = 0x20000, 0x40000000, 0x4000, 0x40000


def pytest_configure(config: pytest.Config) -> None:
    """Give each shard (a worker of pytest-xdist) a machine of its own as far as tests see one."""
    config.addinivalue_line("markers", "exclusive: must have both CPUs and the machine; run outside the shards")
    config.addinivalue_line("markers", "long: takes minutes; part of `make test-long` alone")
    if os.geteuid() != 0:
        return
    os.environ[SHARD] = str(os.getpid())
    if hasattr(config, "workerinput"):
        _isolate()
    elif config.getoption("numprocesses", None) and _HUGEPAGES.exists():
        pages = int(_HUGEPAGES.read_text())
        config.add_cleanup(lambda: _set_hugepages(pages))
        _set_hugepages(pages + _SHARD_HUGEPAGES)


def of_this_shard(process: Path) -> bool:
    """Tell whether a directory of /proc is of a process that this shard has started."""
    words = (process / "environ").read_bytes().split(b"\0")
    return f"{SHARD}={os.environ[SHARD]}".encode() in words


def _set_hugepages(count: int) -> None:
    _HUGEPAGES.write_text(str(count))


def _isolate() -> None:
    """Enter mount and network namespaces of this process's own, with an empty /run.

    A run's lock, journal and namespaces lie below /run, so two shards never see one another's (namespaces(7)).
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS | _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")
    if libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None):
        raise OSError(ctypes.get_errno(), "mount: private")
    if libc.mount(b"tmpfs", b"/run", b"tmpfs", 0, None):
        raise OSError(ctypes.get_errno(), "mount: /run")
    # with what any machine has had after its first mount(8), of libmount's: it never goes again
    for name in ("lock", "mount", "netns", "sshd"):
        Path("/run", name).mkdir()
    # the first namespace leaves /run/netns mounted for good, as on any machine that has had one
    for words in ("link set lo up", "netns add first", "netns delete first"):
        subprocess.run(["ip", *words.split()], check=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if os.geteuid() != 0:
        for item in items:
            item.add_marker(pytest.mark.skip(reason="needs root: namespaces and links"))


class TestBed:
    """A wire that is up; starts servers of one's own options on it."""

    __test__ = False

    def __init__(self, host: Host, wire: ResolvedWire, plan: Plan, up: Provisioned, raw: Path) -> None:
        self.host = host
        self.wire = wire
        self.plan = plan
        self._up = up
        self._raw = raw

    @contextmanager
    def server(self, name: str, *options: str, checked: bool = True, slow: bool = False,
               eal: tuple[str, ...] = ()) -> Iterator[Running]:
        """The contender `name`, or one of KERNEL_SERVERS, with `eal` before its own words and `options` after them;
        the body's end checks that it stops well."""
        contender = self.wire.contenders["epoll" if name in KERNEL_SERVERS else name]
        if name in KERNEL_SERVERS:
            of_its_own, more = KERNEL_SERVERS[name]
            contender, options = replace(contender, program=of_its_own), (*more, *options)
        directory = "build/servers/slow/" if slow else "build/checked/" if checked else "build/"
        program = contender.program.replace("build/", directory)
        contender = replace(contender, program=program, arguments=(*eal, *contender.arguments, *options))
        running = start(self.host, self.wire, contender, self.plan, self._up, self._raw)
        try:
            running.wait_ready()
            yield running
            running.stop()
        finally:
            running.close()

    def connect(self, running: Running, timeout: float = 10) -> socket.socket:
        connection = self.host.connect(self.wire.client.namespace, running.address, running.port, timeout)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestBed]:
    host, wire = LocalHost(), bare_wire("tap")
    plan = load_plan("quick", wire, host.cpus(), {"CONTENDERS": "epoll,lwip"})
    with provisioned(host, wire, plan.contenders, "test", log=print) as up:
        yield TestBed(host, wire, plan, up, tmp_path_factory.mktemp("raw"))


@pytest.fixture(params=[*KERNEL_SERVERS, "lwip"])
def serve(request: pytest.FixtureRequest, bed: TestBed) -> Callable[..., object]:
    """serve(*options): a context manager; every test runs on all servers."""
    return lambda *options: bed.server(request.param, *options)
