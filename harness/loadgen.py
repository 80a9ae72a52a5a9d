# SPDX-License-Identifier: BSD-3-Clause
"""wrk: its command line, and its figures from the JSON that wrk_report.lua writes. Knows no server, no wire.

wrk corrects its latencies for coordinated omission before its script sees them, so a histogram's counts may
sum to more than the requests.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Sequence

from harness.errors import ContenderError
from harness.stats import quantile

SCRIPT = Path(__file__).resolve().parent / "wrk_report.lua"
ERRORS = ("connect", "read", "write", "status", "timeout")
PERMILLES = {"p50": 500, "p90": 900, "p99": 990, "p999": 999, "max": 1000}


@dataclass(frozen=True)
class LoadResult:
    """`histogram`: (microseconds, count), ascending. `proc_stat`: its text when the load began and ended."""

    requests: int
    bytes: int
    duration_seconds: float
    errors: dict[str, int]
    histogram: tuple[tuple[int, int], ...]
    proc_stat: tuple[str, str]

    @property
    def requests_per_sec(self) -> float:
        return round(self.requests / self.duration_seconds, 2)

    @property
    def latency_us(self) -> dict[str, int | None]:
        """Percentiles; null without a single answer."""
        return {name: quantile(self.histogram, permille) if self.histogram else None
                for name, permille in PERMILLES.items()}


class Wrk:
    """The load tool `wrk` (4.1): closed loop, one request in flight a connection."""

    # beyond its duration: wrk's own time-outs, and a Lua loop over the histogram
    grace_seconds = 30

    def command(self, url: str, connections: int, threads: int, seconds: int) -> list[str]:
        """argv; wrk knows whole seconds only."""
        return ["wrk", "--threads", str(threads), "--connections", str(connections),
                "--duration", f"{seconds}s", "--script", str(SCRIPT), url]

    def environment(self, json_file: Path) -> dict[str, str]:
        return {"STACKDUEL_WRK_JSON": str(json_file)}

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


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} is not a count")
    return value


def rounded(histogram: Sequence[tuple[int, int]]) -> list[list[int]]:
    """The histogram with values from 1000 us on rounded to 3 significant digits, equal ones put together."""
    merged: dict[int, int] = {}
    for value, count in histogram:
        step = 10 ** max(0, len(str(value)) - 3)
        near = (value + step // 2) // step * step
        merged[near] = merged.get(near, 0) + count
    return [[value, merged[value]] for value in sorted(merged)]
