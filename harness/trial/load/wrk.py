# SPDX-License-Identifier: BSD-3-Clause
"""The load tool `wrk` (4.1): closed loop, one request in flight a connection.

wrk corrects its latencies for coordinated omission before its script sees them, so a histogram's
counts may sum to more than the requests.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Sequence

from harness.store import LatencyMeaning
from harness.trial.load.base import (
    Elsewhere, Load, LoadResult, LoadTool, account_of, load_result)

SCRIPT = Path(__file__).resolve().parent / "wrk_report.lua"
ERRORS = ("connect", "read", "write", "status", "timeout")
# wrk's own, and for how many it has memory: 8 bytes for each microsecond
_TIMEOUT_SECONDS, _MOST_TIMEOUT_SECONDS = 2, 120


class Wrk(LoadTool):
    """How wrk is called, with a script that writes its figures."""

    name = "wrk"
    programs = {"wrk": "wrk"}
    workloads: tuple[str, ...] = ("rps", "cps", "bandwidth", "nginx-get")
    # beyond its duration: wrk's own time-outs, and a Lua loop over the histogram
    grace_seconds = 30.0
    # its main thread makes one, to see whether there is a server
    extra_connections = 1
    elsewhere = Elsewhere((SCRIPT,), {"STACKDUEL_WRK_TELLS": "1"})

    def latency(self, open_loop: bool) -> LatencyMeaning:
        return LatencyMeaning.CORRECTED

    def command(self, load: Load, report: Path, launcher: Sequence[str]) -> list[str]:
        """Return argv; wrk knows whole seconds only."""
        # wrk connects anew when it is told that its connection ends
        closing = ["--header", "Connection: close"] if load.workload.connect else []
        # an answer that takes longer is an error, and missing from its latencies: none must be
        # where packets are lost, or where answers are long
        seconds = min(load.seconds + 1, _MOST_TIMEOUT_SECONDS)
        slow = load.patient or load.turn_seconds > _TIMEOUT_SECONDS
        waiting = ["--timeout", f"{max(_TIMEOUT_SECONDS, seconds)}s"] if slow else []
        return [*launcher, "wrk", "--threads", str(load.threads), "--connections",
                str(load.connections), "--duration", f"{load.seconds}s", "--script", str(SCRIPT),
                *waiting, *closing, f"http://{load.address}:{load.port}{load.workload.path}"]

    def in_flight(self, load: Load) -> int:
        return load.connections

    def environment(self, report: Path) -> dict[str, str]:
        return {"STACKDUEL_WRK_JSON": str(report)}

    def parse(self, text: str) -> LoadResult:
        with account_of(self.name):
            data = json.loads(text)
            return load_result(data, ERRORS, float(data["steady_seconds"]),
                               duration_seconds=data["duration_us"] / 1e6)


TOOL = Wrk()
