# SPDX-License-Identifier: BSD-3-Clause
"""The load tool `wrk` (4.1): closed loop, one request in flight a connection.

wrk corrects its latencies for coordinated omission before its script sees them, so a histogram's
counts may sum to more than the requests.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Mapping, Sequence

from harness.store import LatencyMeaning
from harness.trial.load.base import (
    Elsewhere, Load, LoadResult, LoadTool, Pauses, account_of, load_result)

SCRIPT = Path(__file__).resolve().parent / "wrk_report.lua"
ERRORS = ("connect", "read", "write", "status", "timeout")
# wrk's own, and for how many it has memory: 8 bytes for each microsecond
_TIMEOUT_SECONDS, _MOST_TIMEOUT_SECONDS = 2, 120
# of a load that is paused: how long it may take in all, and an answer with the pauses in it
_LONG_SECONDS, _HELD_UP_SECONDS = 3600, 10


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
        seconds = _HELD_UP_SECONDS if load.held_up else min(load.seconds + 1, _MOST_TIMEOUT_SECONDS)
        slow = load.patient or load.turn_seconds > _TIMEOUT_SECONDS or load.held_up
        lasts = _LONG_SECONDS if load.held_up else load.seconds
        waiting = ["--timeout", f"{max(_TIMEOUT_SECONDS, seconds)}s"] if slow else []
        return [*launcher, "wrk", "--threads", str(load.threads), "--connections",
                str(load.connections), "--duration", f"{lasts}s", "--script", str(SCRIPT),
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

    def unpaused(self, result: LoadResult, load: Load, pauses: Pauses) -> LoadResult:
        """Return the result without the requests that were under way in a pause.

        There is one a connection and pause at most, and each took about as long as the shortest
        pause at least: so many, of those from half of that upwards, are left out of the latencies,
        whatever they took without it. They stay in the requests, which were answered.
        """
        seconds = result.duration_seconds - pauses.seconds
        told = dict(uncorrected(dict(result.latency_us), _interval(result, load)))
        under_way, least = pauses.count * load.connections, 1e6 * pauses.least_seconds / 2
        for value in sorted(value for value in told if value >= least):
            left_out = min(under_way, told[value])
            told[value] -= left_out
            under_way -= left_out
        result = replace(result, duration_seconds=seconds)
        latency = corrected({value: count for value, count in told.items() if count},
                            _interval(result, load))
        return replace(result, latency_us=tuple(sorted(latency.items())))


def _interval(result: LoadResult, load: Load) -> int:
    """Return what wrk takes for the time from one request of a connection to the next, in µs; 0
    where it corrects nothing."""
    each = result.requests // load.connections
    return int(1e6 * result.duration_seconds + 0.5) // each if each else 0


def corrected(counts: Mapping[float, int], interval: int) -> dict[float, int]:
    """Return a histogram of µs as wrk corrects it (stats_correct of its stats.c): beside each
    latency those of the requests that would have been sent meanwhile, one each `interval`."""
    return _with_meanwhile(counts, interval, 1)


def uncorrected(counts: Mapping[float, int], interval: int) -> dict[float, int]:
    """Return the histogram of which corrected() makes `counts`."""
    return _with_meanwhile(counts, interval, -1)


def _with_meanwhile(counts: Mapping[float, int], interval: int, sign: int) -> dict[float, int]:
    made = dict(counts)
    if not interval:
        return made
    # from above, where nothing was added: what is taken away tells what the lower ones were
    for value in sorted(counts, reverse=True):
        count = counts.get(value, 0) if sign > 0 else made.get(value, 0)
        below = value - interval
        while count > 0 and value >= 2 * interval and below > interval:
            made[below] = made.get(below, 0) + sign * count
            below -= interval
    return {value: count for value, count in made.items() if count > 0}


TOOL = Wrk()
