# SPDX-License-Identifier: BSD-3-Clause
"""Load tools: how each is called, and its figures from the report that it writes. Knows no server, no wire.

wrk corrects its latencies for coordinated omission before its script sees them, so a histogram's counts may
sum to more than the requests. redis-benchmark does not correct them.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping, Protocol, Sequence

from harness.errors import ContenderError, UsageError
from harness.plan import Workload
from harness.analyse.stats import quantile

SCRIPT = Path(__file__).resolve().parent / "wrk_report.lua"
REDIS_LOAD = Path(__file__).resolve().parents[2] / "wrappers" / "redis_benchmark.py"
# a load whose length tells nothing but a rate; and what redis-benchmark's int holds
CALIBRATION_REQUESTS, MOST_REQUESTS = 5000, 2_000_000_000
# wrk's own
_WRK_TIMEOUT_SECONDS = 2
ERRORS = ("connect", "read", "write", "status", "timeout")
PERMILLES = {"p50": 500, "p90": 900, "p99": 990, "p999": 999, "max": 1000}


@dataclass(frozen=True)
class LoadResult:
    """`histogram`: (microseconds, count), ascending; loadgen tells parts of them. `proc_stat`: its text when the load
    began and ended. `answered`: over the life of the process, where that is more than the load; `open_loop`: what
    became of a schedule of requests (openload.py), None of a closed loop.
    """

    requests: int
    bytes: int
    duration_seconds: float
    errors: dict[str, int]
    histogram: tuple[tuple[float, int], ...]
    proc_stat: tuple[str, str]
    answered: int | None = None
    open_loop: Mapping[str, Any] | None = None

    @property
    def requests_per_sec(self) -> float:
        return round(self.requests / self.duration_seconds, 2)

    @property
    def latency_us(self) -> dict[str, float | None]:
        """Percentiles; null without a single answer."""
        return {name: quantile(self.histogram, permille) if self.histogram else None
                for name, permille in PERMILLES.items()}


@dataclass(frozen=True)
class Load:
    """One load: against which server, of what shape and for how many whole seconds. `patient`: packets may be lost on
    the way, and an answer that came late for that is no error. `rate`: requests/s of an open loop, 0 for a closed one;
    `seed`: of when they come.
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


class Tool(Protocol):
    """A program that loads a server. `name` is its own, and that of its files.

    `programs`: what must be on PATH, with the Debian package that has it. `latency`: how its latencies are to be read.
    """

    name: str
    programs: Mapping[str, str]
    latency: str


class LoadTool(Tool, Protocol):
    """A load tool with sockets that ends with its load and writes a report. `grace_seconds`: how much longer than
    its load it may take. `extra_connections`: those it makes beside the load's. `same_answers`: each answer of the load
    is as long as the proof's (exchange.py). `calibrates`: it needs a load of 0 seconds before any other, in the same
    directory, to learn how many requests one of so many seconds has.
    """

    grace_seconds: float
    extra_connections: int
    same_answers: bool
    calibrates: bool

    def command(self, load: Load, report: Path, launcher: Sequence[str]) -> list[str]:
        """argv; `launcher` are words that must stand before the program that has the sockets."""
        ...

    def environment(self, report: Path) -> dict[str, str]: ...

    def in_flight(self, load: Load) -> int:
        """How many requests may be without an answer when the load ends."""
        ...

    def parse(self, text: str) -> LoadResult:
        """Of what it wrote to `report`. Raises ContenderError when it is something else."""
        ...


def tool_for(workload: Workload) -> LoadTool:
    """Raises UsageError when no tool makes such a load."""
    if workload.name not in _TOOLS:
        raise UsageError(f"no load tool for workload '{workload.name}'; there are some for: {', '.join(_TOOLS)}")
    return _TOOLS[workload.name]


class Wrk:
    """The load tool `wrk` (4.1): closed loop, one request in flight a connection."""

    name = "wrk"
    programs: Mapping[str, str] = {"wrk": "wrk"}
    # beyond its duration: wrk's own time-outs, and a Lua loop over the histogram
    grace_seconds = 30.0
    # its main thread makes one, to see whether there is a server
    extra_connections = 1
    same_answers = True
    calibrates = False
    latency = ("corrected for coordinated omission by wrk itself, "
               "so the counts of a histogram may sum to more than the requests")

    def command(self, load: Load, report: Path, launcher: Sequence[str]) -> list[str]:
        """argv; wrk knows whole seconds only."""
        url = f"http://{load.address}:{load.port}{load.workload.path}"
        # wrk connects anew when it is told that its connection ends
        closing = ["--header", "Connection: close"] if load.workload.connect else []
        # an answer that takes longer is missing from its latencies: none of those that come at all must be
        waiting = ["--timeout", f"{max(_WRK_TIMEOUT_SECONDS, load.seconds + 1)}s"] if load.patient else []
        return [*launcher, "wrk", "--threads", str(load.threads), "--connections", str(load.connections),
                "--duration", f"{load.seconds}s", "--script", str(SCRIPT), *waiting, *closing, url]

    def in_flight(self, load: Load) -> int:
        return load.connections

    def environment(self, report: Path) -> dict[str, str]:
        return {"STACKDUEL_WRK_JSON": str(report)}

    def parse(self, text: str) -> LoadResult:
        """Raises ContenderError when it is not what wrk_report.lua writes."""
        try:
            data = json.loads(text)
            result = LoadResult(
                requests=_count(data["requests"]), bytes=_count(data["bytes"]),
                duration_seconds=_count(data["duration_us"]) / 1e6,
                errors={kind: _count(data["errors"][kind]) for kind in ERRORS},
                histogram=tuple((_count(value), _count(count)) for value, count in data["latency_us"]),
                proc_stat=(str(data["proc_stat"]["before"]), str(data["proc_stat"]["after"])))
        except (ValueError, KeyError, TypeError) as error:
            raise ContenderError(f"wrk wrote no usable report: {error!r}") from None
        if result.duration_seconds <= 0:
            raise ContenderError("wrk wrote no usable report: its duration is 0")
        return result


class RedisBenchmark:
    """The load tool `redis-benchmark` (7.0): closed loop without pipelining, SET or GET of one key.

    It knows numbers of requests and no durations, so each load is as long as the one before it had the rate for.
    It ends at the first answer that is an error, and only with the last answer of all.
    """

    name = "redis-benchmark"
    programs: Mapping[str, str] = {"redis-benchmark": "redis-tools", "setpriv": "util-linux"}
    # a rate may fall by half from one load to the next; redis-benchmark itself waits for ever
    grace_seconds = 60.0
    # it asks for the server's configuration
    extra_connections = 1
    # the proof's says more than the load's
    same_answers = False
    calibrates = True
    latency = ("not corrected for coordinated omission: redis-benchmark counts from each request it sent; between the "
               "percentiles that it prints (p50, p95, p99, max and halvings) the next higher one counts")

    def command(self, load: Load, report: Path, launcher: Sequence[str]) -> list[str]:
        """argv; the number of requests is that of the last load's rate. ContenderError without one before it."""
        test = load.workload.name.removeprefix("redis-")
        threads = ["--threads", str(load.threads)] if load.threads > 1 else []
        return [sys.executable, str(REDIS_LOAD), str(report), *launcher, "redis-benchmark", "-h", load.address,
                "-p", str(load.port), "-t", test, "-c", str(load.connections), *threads,
                "-d", str(max(1, load.workload.body_size_bytes)), "-n", str(self._requests(load, report))]

    def in_flight(self, load: Load) -> int:
        return 0

    def environment(self, report: Path) -> dict[str, str]:
        return {}

    def parse(self, text: str) -> LoadResult:
        """Raises ContenderError when it is not what wrappers/redis_benchmark.py writes of one test."""
        try:
            data = json.loads(text)
            said = data["text"]
            requests = int(_found(r"^  (\d+) requests completed in ", said))
            if not requests:
                raise ValueError("no requests")
            duration = requests / float(_found(r"^  throughput summary: ([0-9.]+) requests per second$", said))
            return LoadResult(
                requests=requests, bytes=requests * _reply_bytes(said), duration_seconds=duration, errors={},
                histogram=_cumulated(_percentiles(said, requests)),
                proc_stat=(str(data["proc_stat"]["before"]), str(data["proc_stat"]["after"])))
        except (ValueError, KeyError, TypeError, ZeroDivisionError) as error:
            raise ContenderError(f"redis-benchmark printed no usable account: {error!r}") from None

    def _requests(self, load: Load, report: Path) -> int:
        if not load.seconds:
            return CALIBRATION_REQUESTS
        before = [report.with_name(f"{name}.json") for name in ("warmup", "calibration")]
        last = next((path for path in before if path != report and path.exists()), None)
        if last is None:
            raise ContenderError(f"{report.parent} has no load from which the rate of redis-benchmark is known")
        rate = self.parse(last.read_text()).requests_per_sec
        return min(MOST_REQUESTS, max(load.connections, round(rate * load.seconds)))


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text, re.M)
    if not match:
        raise ValueError(f"nothing is like {pattern!r}")
    return match[1]


def _reply_bytes(said: str) -> int:
    """Of one reply, in RESP: redis-benchmark counts no bytes. KeyError for a test that is not ours."""
    size = int(_found(r"^  (\d+) bytes payload$", said))
    return {"SET": len("+OK\r\n"), "GET": len(f"${size}\r\n\r\n") + size}[_found(r"^====== (\w+) ======$", said)]


def _percentiles(said: str, requests: int) -> list[tuple[int, int]]:
    """(microseconds, how many requests took no longer), of everything that it prints of its latencies."""
    rows = [(float(value), int(count)) for value, count in re.findall(
        r"^[0-9.]+% <= ([0-9.]+) milliseconds \(cumulative count (\d+)\)$", said, re.M)]
    columns = _found(r"^ +avg +min +p50 +p95 +p99 +max\n +([0-9. ]+)$", said).split()
    p95, p99, most = map(float, columns[3:])
    rows += [(p95, -(-requests * 95 // 100)), (p99, -(-requests * 99 // 100)), (most, requests)]
    return [(round(value * 1000), count) for value, count in rows if value <= most]


def _cumulated(rows: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """A histogram with each request at the least value that it is known not to exceed."""
    histogram: dict[int, int] = {}
    before = 0
    for value, count in sorted(rows):
        if count > before:
            histogram[value] = histogram.get(value, 0) + count - before
            before = count
    if not histogram:
        raise ValueError("no latencies")
    return tuple(histogram.items())


_WRK, _REDIS = Wrk(), RedisBenchmark()
_TOOLS: Mapping[str, LoadTool] = {"rps": _WRK, "cps": _WRK, "bandwidth": _WRK, "nginx-get": _WRK,
                                  "redis-set": _REDIS, "redis-get": _REDIS}


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} is not a count")
    return value


def rounded(histogram: Sequence[tuple[float, int]]) -> list[list[float]]:
    """The histogram with values from 1000 us on rounded to 3 significant digits, equal ones put together."""
    merged: dict[float, int] = {}
    for value, count in histogram:
        near = value
        if value >= 1000:
            step = 10 ** (len(str(int(value))) - 3)
            near = int(value + step // 2) // step * step
        merged[near] = merged.get(near, 0) + count
    return [[value, merged[value]] for value in sorted(merged)]
