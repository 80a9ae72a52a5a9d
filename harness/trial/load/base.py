# SPDX-License-Identifier: BSD-3-Clause
"""Define what a load tool is, and keep the registry of all. Knows no server, no wire, no tool.

A load tool is one file: a module of this folder, or of a folder named in STACKDUEL_LOAD_TOOLS
(several are separated by a colon), with an instance of LoadTool called TOOL.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Iterator, Mapping, Sequence

from harness.errors import ContenderError, UsageError
from harness.plan import Workload
from harness.store import (
    PERCENTILES, Histogram, LatencyMeaning, OpenLoop, from_json, quantile)
from harness.trial.observe.cpu import ProcStat

FOLDERS = "STACKDUEL_LOAD_TOOLS"
# By how much a load's time by its tool's clock and by a steady one may differ: /proc/uptime is in
# ticks of 10 ms, and between the two readings at either end a busy CPU may do something else.
_CLOCK_SECONDS, _CLOCK_SHARE = 0.2, 0.02
# as much as the slowest wire carries in a second
_LEAST_BYTES_PER_SECOND = 10e6


@dataclass(frozen=True)
class LoadResult:
    """What became of a load, by the names that most tools' reports have.

    latency_us: histogram of latencies
    proc_stat: when the load began and when it had ended
    total_requests: answered over the life of the process, where that is more than the load
    open_loop: what became of a schedule of requests; None of a closed loop
    told_seconds: what the tool's own clock made of duration_seconds, where that jumped
    """

    requests: int
    bytes: int
    duration_seconds: float
    errors: Mapping[str, int]
    latency_us: Histogram
    proc_stat: ProcStat
    total_requests: int | None = None
    open_loop: OpenLoop | None = None
    told_seconds: float | None = None

    def __post_init__(self) -> None:
        if min(self.requests, self.bytes, *self.errors.values()) < 0:
            raise ValueError("one of its counts is negative")

    @property
    def answered(self) -> int:
        return self.requests if self.total_requests is None else self.total_requests

    @property
    def requests_per_sec(self) -> float:
        return round(self.requests / self.duration_seconds, 2)

    @property
    def percentiles_us(self) -> dict[str, float | None]:
        """Return the percentiles; None without a single answer."""
        return {name: quantile(self.latency_us, permille) if self.latency_us else None
                for name, permille in PERCENTILES.items()}


@dataclass(frozen=True)
class Load:
    """One load: against which server, of what shape and for how many whole seconds.

    patient: packets may be lost on the way, and an answer that came late for that is no error
    rate: requests/s of an open loop; 0 for a closed one
    seed: of when they come
    held_up: it is paused, and its requests under way with it
    """

    address: str
    port: int
    workload: Workload
    connections: int
    threads: int
    seconds: int
    patient: bool = False
    rate: int = 0
    seed: int = 0
    held_up: bool = False

    @property
    def most_seconds(self) -> float:
        """Return how long it takes with the answers under way at its end."""
        return self.seconds + self.turn_seconds

    @property
    def turn_seconds(self) -> float:
        """Return how long an answer on every connection takes on a slow wire."""
        return self.connections * self.workload.body_size_bytes / _LEAST_BYTES_PER_SECOND


@dataclass(frozen=True)
class Elsewhere:
    """What a tool needs to load from another machine.

    files: that are copied there; the tool's argv names them by their path here
    environment: makes it print a line LOADING when its load begins, and LOADED when it has ended
    """

    files: tuple[Path, ...]
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Pauses:
    """What a load was held up by, of which its tool knows nothing.

    count: of pauses
    seconds: of all together
    least_seconds: of the shortest
    """

    count: int
    seconds: float
    least_seconds: float


class LoadTool:
    """A program that loads a server. Most have sockets, end with their load and write a report.
    One whose clock can be set says in its report how long it took by another (load_result).

    name: its own, and that of its files
    programs: what must be on PATH, or below the project's folder, with its Debian package
    workloads: names of those that it can make
    open_loop, closed_loop: whether it can make the one and the other
    usual: chosen where nothing is asked for; one for each workload and loop
    has_sockets: whether its sockets are those of its machine; else it is a stack of its own
    grace_seconds: how much longer than its load, and the answers under way, it may take
    extra_connections: that it makes beside the load's
    same_answers: each answer of the load is as long as the one that proved the path
    calibrates: it needs a load of 0 seconds before any other, in the same directory, to learn how
        many requests one of so many seconds has
    elsewhere: None where it cannot load from another machine
    """

    name: str
    workloads: tuple[str, ...]
    programs: Mapping[str, str] = {}
    closed_loop = True
    open_loop = False
    usual = True
    has_sockets = True
    grace_seconds = 30.0
    extra_connections = 0
    same_answers = True
    calibrates = False
    elsewhere: Elsewhere | None = None

    def latency(self, open_loop: bool) -> LatencyMeaning:
        """Return from when its latencies count."""
        return LatencyMeaning.FROM_SCHEDULE if open_loop else LatencyMeaning.FROM_SENDING

    def command(self, load: Load, report: Path, launcher: Sequence[str]) -> list[str]:
        """Return argv; `launcher` are words that stand before the program that has the sockets."""
        raise NotImplementedError

    def environment(self, report: Path) -> dict[str, str]:
        """Return what it needs to find its report."""
        return {}

    def in_flight(self, load: Load) -> int:
        """Return how many requests may be without an answer when the load ends."""
        return 0

    def parse(self, text: str) -> LoadResult:
        """Return what its report says; ContenderError when it is none."""
        raise NotImplementedError

    def unpaused(self, result: LoadResult, load: Load, pauses: Pauses) -> LoadResult:
        """Return the result of a load that was paused by SIGSTOP and ended by SIGINT, without what the
        pauses did to it. Of a tool that plan.load_plan.PAUSABLE names."""
        raise NotImplementedError


def load_tools() -> Mapping[str, LoadTool]:
    """Return every load tool by its name."""
    return {tool.name: tool for tool in _all(os.environ.get(FOLDERS, ""))}


def choose_tool(workload: Workload, *, open_loop: bool = False, sockets: bool = True,
                name: str = "") -> LoadTool:
    """Return the tool for a workload, `name` or the usual one; UsageError when there is none.

    sockets: whether the client has a kernel's (or a library's); else its tool is a stack itself
    """
    able = [tool for tool in load_tools().values() if workload.name in tool.workloads
            and tool.has_sockets == sockets and (tool.open_loop if open_loop else tool.closed_loop)]
    loop = "an open" if open_loop else "a closed"
    if name:
        if name not in load_tools():
            raise UsageError(f"no load tool '{name}'; there are: {', '.join(sorted(load_tools()))}")
        able = [tool for tool in able if tool.name == name]
        if not able:
            raise UsageError(f"{name} cannot make {loop} loop of workload '{workload.name}' here")
    for tool in able:
        if tool.usual or name:
            return tool
    raise UsageError(f"no load tool makes {loop} loop of workload '{workload.name}' here")


@cache
def _all(folders: str) -> tuple[LoadTool, ...]:
    here = Path(__file__).parent
    files = [(f"{__package__}.{file.stem}", file) for file in sorted(here.glob("*.py"))]
    files += [(f"stackduel_load_tools.{file.stem}", file)
              for folder in filter(None, folders.split(":"))
              for file in sorted(Path(folder).glob("*.py"))]
    modules = [_module(name, file) for name, file in files
               if file.name != "__init__.py" and file != Path(__file__)]
    return tuple(tool for module in modules
                 if isinstance(tool := getattr(module, "TOOL", None), LoadTool))


def _module(name: str, file: Path) -> ModuleType:
    if name.startswith(f"{__package__}."):
        return importlib.import_module(name)
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise UsageError(f"{file}: no module of Python")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def account_of(name: str) -> Iterator[None]:
    """Turn what is wrong with a report that is read within into a ContenderError."""
    try:
        yield
    except (ValueError, KeyError, TypeError, ZeroDivisionError, UsageError) as error:
        raise ContenderError(f"{name} wrote no usable report: {error!r}") from None


def load_result(data: Any, kinds: Sequence[str], steady_seconds: float | None = None,
                **more: Any) -> LoadResult:
    """Return the result that a report of JSON holds, whose errors are of so many kinds.

    steady_seconds: from the load's begin to its end by a clock that cannot be set, as
        time.monotonic() and /proc/uptime are; None of a tool whose own clock is one
    more: what it has under another name

    UsageError, KeyError, TypeError or ValueError where it is none.
    """
    errors = {kind: data["errors"][kind] for kind in kinds}
    result = from_json(LoadResult, {**data, **more, "errors": errors}, "report")
    told = result.duration_seconds
    seconds = told if steady_seconds is None else steady_seconds
    if not seconds > 0:
        raise ValueError("its duration is 0")
    if told > 0 and abs(told - seconds) <= _CLOCK_SECONDS + _CLOCK_SHARE * seconds:
        return result
    return replace(result, duration_seconds=seconds, told_seconds=told)
