# SPDX-License-Identifier: BSD-3-Clause
"""The harness in a process of its own, without starting Python again, which an emulated machine does slowly; and what a
run could leave changed on the machine.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable, NoReturn

from harness.run import run as bench
from harness.cli.main import main
from harness.host import LocalHost, network_devices

END_SECONDS = 120


class Forked:
    """`python3 -m harness WORDS`, its output in files of `directory`."""

    def __init__(self, directory: Path, *words: str) -> None:
        self.directory = directory
        self.pid = os.fork()
        if not self.pid:
            self._run(words)

    def _run(self, words: tuple[str, ...]) -> NoReturn:
        code = 70
        try:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            for descriptor, name in ((1, "out"), (2, "err")):
                os.dup2(os.open(self.directory / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), descriptor)
            sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w", 1)
            code = main(words, LocalHost())
            sys.stdout.flush()
        finally:
            os._exit(code)

    @property
    def said(self) -> list[str]:
        """Lines that it said to the user at its end."""
        return [line for line in (self.directory / "err").read_text(errors="replace").splitlines()
                if line.startswith("stackduel: ") or line.startswith("Traceback")]

    @property
    def out(self) -> str:
        return (self.directory / "out").read_text(errors="replace")

    def wait(self, seconds: float = END_SECONDS) -> int:
        """Its exit code; it is killed, and the test fails, when it does not end."""
        until = time.monotonic() + seconds
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() > until:
                self.kill()
                raise AssertionError(f"no end after {seconds:g} s: {self.said}, {self.out[-500:]}")
            time.sleep(0.1)

    def under_load(self, program: str) -> None:
        """Returns when wrk asks `program`. The test fails when the harness ends before."""
        def so() -> bool:
            assert os.waitpid(self.pid, os.WNOHANG) == (0, 0), f"it ended: {self.said}, {self.out[-500:]}"
            return running(program) and running("wrk")
        until(f"wrk asks {program}", so, 150)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def until(what: str, so: Callable[[], bool], seconds: float = 60) -> None:
    """Returns when it is so."""
    end = time.monotonic() + seconds
    while not so():
        assert time.monotonic() < end, f"{what}: not within {seconds:g} s"
        time.sleep(0.2)


def running(name: str) -> bool:
    """Is there a process of this name that is no zombie?"""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            _, _, after = stat.read_text().partition(f" ({name}) ")
        except OSError:
            continue
        if after and after[0] not in "ZX":
            return True
    return False


def machine() -> dict[str, object]:
    """All that a run could leave changed, as plain data."""
    def text(*argv: str) -> str:
        return subprocess.run(argv, capture_output=True, text=True).stdout
    links = [{key: link.get(key) for key in ("ifname", "mtu", "address", "txqlen")} | {
        "up": "UP" in link["flags"],
        "addresses": sorted(f"{each['local']}/{each['prefixlen']}" for each in link["addr_info"]
                            if each["scope"] != "link")} for link in json.loads(text("ip", "-j", "address"))]
    return {"links": sorted(links, key=lambda link: str(link["ifname"])),
            "routes": sorted(line.replace("linkdown", "").strip() for line in text("ip", "route").splitlines()), "namespaces": text("ip", "netns"),
            "drivers": {nic.pci: nic.driver for nic in network_devices(LocalHost())},
            "hugepages": Path("/proc/sys/vm/nr_hugepages").read_text(),
            "mounts": sorted(line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()
                             if "netns" in line or "hugetlbfs" in line),
            "run": sorted(name for name in os.listdir("/run") if name in ("stackduel", "netns", "dpdk")),
            "lasting": sorted(os.listdir("/var/lib/stackduel")) if os.path.isdir("/var/lib/stackduel") else [],
            "processes": [name for name in ("lwip_server", "epoll_server", "wrk") if running(name)],
            "settings": {path: Path(path).read_text() for path in ("/proc/sys/kernel/numa_balancing",)
                         if os.path.exists(path)}}
