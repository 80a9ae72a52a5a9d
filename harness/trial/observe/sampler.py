# SPDX-License-Identifier: BSD-3-Clause
"""Look at the machine while a trial lasts: before and after its load at everything, meanwhile at
two small files.

The harness has no CPU of its own where two are all there are, so what it reads under load must be
cheap: every 100 ms the byte counter of one interface, by /proc/<pid>/net/dev, which needs no change
of namespace (some 0.1 ms), or the file of a library's counters, which is in memory; every second
the clocks. The walk over all processes, a millisecond for a hundred of them, comes before the load
and after it. Servers are not asked: a signal and a line of output cost a server more than the
interface costs the harness, and not every server counts.
"""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Sequence

from harness.errors import MachineError
from harness.host import Host
from harness.plan import PRELOAD, Contender
from harness.store import MachineUse
from harness.trial.client import Tick
from harness.trial.observe import interference
from harness.trial.observe.counters import glance
from harness.trial.observe.cpu import parse_proc_stat, without_interrupts
from harness.trial.observe.steady_state import INTERVAL_SECONDS, Series

_CLOCKS_SECONDS = 1.0
_CPU = "/sys/devices/system/cpu"
# of the numbers in a line of /proc/net/dev
_RECEIVED, _SENT = 0, 8


class Watch:
    """What one trial's machine did.

    begin() and end() stand around the load that is measured; tick(name) returns what is to be
    called some ten times a second while the load of that name lasts, from just before its tool is
    started. `elsewhere`: the clients are on other machines, whose time and traffic are not looked
    at here.
    """

    def __init__(self, host: Host, contender: Contender, cpus: Sequence[int], server_pid: int,
                 raw: Path, elsewhere: bool = False) -> None:
        self._host = host
        self._cpus = tuple(cpus)
        self._raw = raw
        self._server_pid = server_pid
        self._interface, self._direction, self._of_server = _counted(contender, elsewhere)
        self._library = contender.client.stack == PRELOAD
        self._series: dict[str, list[tuple[float, int]]] = {}
        self._began: dict[str, float] = {}
        self._ended: dict[str, float] = {}
        self._mhz: list[float] = []
        self._clocks_at = 0.0
        self._samples: list[interference.Sample] = []

    def begin(self) -> None:
        self._mhz.clear()
        self._samples = [sample(self._host, self._cpus)]

    def end(self) -> None:
        self._samples.append(sample(self._host, self._cpus))

    def beside(self, other: Watch) -> None:
        """See what `other` has seen of the machine between its begin() and its end()."""
        self._mhz, self._samples = other._mhz, other._samples

    def tick(self, name: str) -> Tick:
        series = self._series.setdefault(name, [])
        self._began.setdefault(name, time.monotonic())

        def look(pid: int) -> None:
            now = time.monotonic()
            if series and now - series[-1][0] < INTERVAL_SECONDS / 2:
                return
            total = self.total(name, pid)
            if total is not None:
                series.append((now, total))
            if now - self._clocks_at >= _CLOCKS_SECONDS:
                self._clocks_at = now
                self.see_clocks()
        return look

    def grown(self, name: str, seconds: float, count: int) -> None:
        """Enter that so many bytes came in so many seconds more, of a load that is paused between.

        Its own clock: pauses are not in it.
        """
        self._began[name] = 0.0
        series = self._series.setdefault(name, [(0.0, 0)])
        at, total = series[-1]
        series.append((at + seconds, total + count))
        self._ended[name] = at + seconds

    def see_clocks(self) -> None:
        self._mhz += clocks(self._host, self._cpus)

    def total(self, name: str, pid: int) -> int | None:
        """Return the bytes of answers so far, as the load of that name counts; None without a
        counter."""
        if self._interface:
            return interface_bytes(self._host, self._server_pid if self._of_server else pid,
                                   self._interface, self._direction)
        if self._library:
            counters = glance(self._raw / f"{name}.counters")
            return counters.counts.get("bytes_received") if counters else None
        return None

    def machine(self) -> MachineUse:
        """Return the machine's use in the load between begin() and end()."""
        before, after = self._samples
        return interference.between(before, after, self._cpus, self._mhz)

    def ended(self, name: str) -> None:
        self._ended[name] = time.monotonic()

    def series(self, name: str) -> Series:
        """Return bytes of answers while that load's tool ran; no samples without a counter."""
        began, samples = self._began.get(name, 0.0), self._series.get(name, [])
        return Series([at - began for at, _ in samples], [total for _, total in samples],
                      self._ended.get(name, began) - began)


def _counted(contender: Contender, elsewhere: bool) -> tuple[str, int, bool]:
    """Return which interface carries the answers ("" for none), in which column of /proc/net/dev,
    and whether it is the server's.

    The client's where its kernel has one here, so that all contenders are counted at one place;
    else the server's.
    """
    client, server = contender.client, contender.endpoint
    if client.stack == "kernel" and client.endpoint.interface and not elsewhere:
        return client.endpoint.interface, _RECEIVED, False
    if contender.stack == "kernel" and server.interface:
        return server.interface, _SENT, True
    return "", _RECEIVED, False


def interface_bytes(host: Host, pid: int, interface: str, column: int) -> int | None:
    """Read the bytes of an interface in the namespace of `pid`; None while there is none."""
    try:
        text = host.read(f"/proc/{pid}/net/dev")
    except MachineError:
        return None
    match = re.search(rf"^\s*{re.escape(interface)}:(.*)$", text, re.M)
    return int(match[1].split()[column]) if match else None


def sample(host: Host, cpus: Sequence[int]) -> interference.Sample:
    """Return the machine now: processes first, so that reading them is in no CPU's time."""
    processes = (_read(host, f"/proc/{name}/stat") for name in host.listing("/proc")
                 if name.isdecimal())
    work = interference.work(processes, os.getpid())
    throttled = [_read(host, f"{_CPU}/cpu{cpu}/thermal_throttle/{kind}_throttle_count")
                 for cpu in cpus for kind in ("core", "package")]
    pressure = interference.pressure_seconds(_read(host, "/proc/pressure/cpu"))
    stat = parse_proc_stat(without_interrupts(host.read("/proc/stat")))
    return interference.Sample(time.monotonic(), stat, work,
                               interference.throttle_events(throttled), pressure)


def clocks(host: Host, cpus: Sequence[int]) -> list[float]:
    """Return MHz of each CPU by its frequency driver, else /proc/cpuinfo; [] where neither tells.

    A virtual machine's is what it was told at its start, for ever.
    """
    now = [_read(host, f"{_CPU}/cpu{cpu}/cpufreq/scaling_cur_freq").strip() for cpu in cpus]
    if any(now):
        return [int(khz) / 1000 for khz in now if khz.isdecimal()]
    mhz: dict[int, float] = {}
    number = -1
    for processor, value in re.findall(r"^processor\s*:\s*(\d+)$|^cpu MHz\s*:\s*([0-9.]+)$",
                                       _read(host, "/proc/cpuinfo"), re.M):
        number = int(processor) if processor else number
        if value:
            mhz[number] = float(value)
    return [mhz[cpu] for cpu in cpus if cpu in mhz]


def _read(host: Host, path: str) -> str:
    """"" where there is no such file, or where its process has ended."""
    try:
        return host.read(path)
    except MachineError:
        return ""
