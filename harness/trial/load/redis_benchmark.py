# SPDX-License-Identifier: BSD-3-Clause
"""The load tool `redis-benchmark` (7.0): closed loop without pipelining, SET or GET of one key.

It knows numbers of requests and no durations, so each load is as long as the one before it had the
rate for. It ends at the first answer that is an error, and only with the last answer of all.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Sequence

from harness.errors import ContenderError
from harness.store import Histogram, LatencyMeaning
from harness.trial.load.base import Load, LoadResult, LoadTool, account_of, load_result

WRAPPER = Path(__file__).resolve().parents[2] / "wrappers" / "redis_benchmark.py"
# a load whose length tells nothing but a rate, of so many requests and bytes at most; and what
# redis-benchmark's int holds
CALIBRATION_REQUESTS, _CALIBRATION_BYTES, MOST_REQUESTS = 5000, 256 << 20, 2_000_000_000


class RedisBenchmark(LoadTool):
    """How redis-benchmark is called, and the text that it prints.

    It prints p50, p95, p99, max, halvings (75 %, 87.5 %, …) and counts by 0.1 ms: between these
    the next higher latency counts.
    """

    name = "redis-benchmark"
    programs = {"redis-benchmark": "redis-tools", "setpriv": "util-linux"}
    workloads = ("redis-set", "redis-get")
    # a rate may fall by half from one load to the next; redis-benchmark itself waits for ever
    grace_seconds = 60.0
    # it asks for the server's configuration
    extra_connections = 1
    # the proof's says more than the load's
    same_answers = False
    calibrates = True

    def latency(self, open_loop: bool) -> LatencyMeaning:
        return LatencyMeaning.SOME_PERCENTILES

    def command(self, load: Load, report: Path, launcher: Sequence[str]) -> list[str]:
        """Return argv; as many requests as the last load had the rate for, ContenderError without
        one."""
        test = load.workload.name.removeprefix("redis-")
        threads = ["--threads", str(load.threads)] if load.threads > 1 else []
        return [sys.executable, str(WRAPPER), str(report), *launcher, "redis-benchmark",
                "-h", load.address, "-p", str(load.port), "-t", test, "-c", str(load.connections),
                *threads, "-d", str(max(1, load.workload.body_size_bytes)),
                "-n", str(self._requests(load, report))]

    def parse(self, text: str) -> LoadResult:
        """Return what wrappers/redis_benchmark.py writes of one test."""
        with account_of(self.name):
            data = json.loads(text)
            words = data["text"]
            requests = int(_match(r"^  (\d+) requests completed in ", words))
            # below 0 where its clock was set back meanwhile
            rate = float(_match(
                r"^  throughput summary: (-?(?:[0-9.]+|inf)) requests per second$", words))
            if not requests:
                raise ValueError("no requests")
            return load_result(
                data, (), float(data["steady_seconds"]), requests=requests,
                bytes=requests * _reply_bytes(words),
                duration_seconds=requests / rate,
                latency_us=_histogram(_percentiles(words, requests)))

    def _requests(self, load: Load, report: Path) -> int:
        if not load.seconds:
            most = _CALIBRATION_BYTES // max(1, load.workload.body_size_bytes)
            return max(load.connections, min(CALIBRATION_REQUESTS, most))
        before = [report.with_name(f"{name}.json") for name in ("warmup", "calibration")]
        last = next((path for path in before if path != report and path.exists()), None)
        if last is None:
            raise ContenderError(f"{report.parent} has no load from which the rate of "
                                 "redis-benchmark is known")
        rate = self.parse(last.read_text("utf-8")).requests_per_sec
        return min(MOST_REQUESTS, max(load.connections, round(rate * load.seconds)))


def _match(pattern: str, text: str) -> str:
    match = re.search(pattern, text, re.M)
    if not match:
        raise ValueError(f"nothing is like {pattern!r}")
    return match[1]


def _reply_bytes(words: str) -> int:
    """Return the bytes of one reply in RESP: redis-benchmark counts none."""
    size = int(_match(r"^  (\d+) bytes payload$", words))
    return {"SET": len("+OK\r\n"), "GET": len(f"${size}\r\n\r\n") + size}[
        _match(r"^====== (\w+) ======$", words)]


def _percentiles(words: str, requests: int) -> list[tuple[int, int]]:
    """Return (microseconds, how many requests took no longer), of all that it prints of them."""
    rows = [(float(value), int(count)) for value, count in re.findall(
        r"^[0-9.]+% <= ([0-9.]+) milliseconds \(cumulative count (\d+)\)$", words, re.M)]
    columns = _match(r"^ +avg +min +p50 +p95 +p99 +max\n +([0-9. ]+)$", words).split()
    p95, p99, most = map(float, columns[3:])
    rows += [(p95, -(-requests * 95 // 100)), (p99, -(-requests * 99 // 100)), (most, requests)]
    return [(round(value * 1000), count) for value, count in rows if value <= most]


def _histogram(rows: Sequence[tuple[int, int]]) -> Histogram:
    """Put each request at the least value that it is known not to exceed."""
    counts: dict[float, int] = {}
    before = 0
    for value, count in sorted(rows):
        if count > before:
            counts[value] = counts.get(value, 0) + count - before
            before = count
    if not counts:
        raise ValueError("no latencies")
    return tuple(counts.items())


TOOL = RedisBenchmark()
