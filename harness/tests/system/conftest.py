# SPDX-License-Identifier: BSD-3-Clause
"""The real wire for tests, and servers on it. Sanitized builds, so that a wrong access ends the server."""

from __future__ import annotations

import os
import socket
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
        directory = "build/slow/" if slow else "build/checked/" if checked else "build/"
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
