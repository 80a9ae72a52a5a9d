# SPDX-License-Identifier: BSD-3-Clause
"""Read what a program counts: one JSON object that it prints, or that the preload library keeps.

The library's is a file, padded with blanks, rewritten in place while the program runs and a last
time at its end.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Mapping, Sequence

from harness.errors import UsageError
from harness.store import Json, from_json

READ_SECONDS = 2.0
# the library rewrites its file every 10 ms while the program runs
REWRITTEN_SECONDS = 0.03
_AGAIN_SECONDS = 0.002
CYCLES = ("cycles_busy", "cycles_idle", "cycles_away")
# numbers that count nothing
_NO_COUNT = ("tsc_hz", "pid", "bytes_per_connection")


@dataclass(frozen=True)
class Counters:
    """What a program has counted so far (servers/common/counters.h, servers/loadgen/report.c).

    counts: by name
    tsc_hz: cycles in a second
    optimisations, obligations: names of those in force
    bytes_per_connection: by part of the server
    port: what DPDK says of its port (servers/stack/port/port_report.c), as facts.json has it
    xstats: what that port's NIC counts
    """

    counts: Mapping[str, int] = field(default_factory=dict)
    tsc_hz: int | None = None
    optimisations: tuple[str, ...] | None = None
    obligations: tuple[str, ...] | None = None
    bytes_per_connection: Mapping[str, int] | None = None
    port: Json = field(default_factory=dict)
    xstats: Mapping[str, int] | None = None

    def __getitem__(self, name: str) -> int:
        return self.counts.get(name, 0)

    def __contains__(self, name: str) -> bool:
        return name in self.counts

    def since(self, before: Counters) -> dict[str, int]:
        return {name: count - before[name] for name, count in self.counts.items()}


def counters_of(text: str | bytes) -> Counters | None:
    """Return the counters in a JSON object; None where that is none."""
    try:
        data = json.loads(text)
        counts = {name: value for name, value in data.items()
                  if type(value) is int and name not in _NO_COUNT}
        more = {name: value for name, value in data.items()
                if value is not None and (name == "tsc_hz" or not isinstance(value, int))}
        return from_json(Counters, {**more, "counts": counts}, "counters")
    except (ValueError, AttributeError, UsageError):
        return None


def glance(file: Path) -> Counters | None:
    """Return the counters as they stand; None without any yet, or while the file is written."""
    try:
        first, second = file.read_bytes(), file.read_bytes()
    except OSError:
        return None
    return counters_of(first) if first == second else None


def read(file: Path, timeout: float | None = None) -> Counters | None:
    """Return the counters, waited for at most `timeout` s (READ_SECONDS); None when none come."""
    deadline = time.monotonic() + (READ_SECONDS if timeout is None else timeout)
    while (counters := glance(file)) is None and time.monotonic() < deadline:
        time.sleep(_AGAIN_SECONDS)
    return counters


def client_busy_share(turns: Sequence[Sequence[Counters]], connections: int) -> float | None:
    """Return the share of the time between first and last sample of each turn in which there was
    work, 0 to 1.

    Of the samples with that many sockets open, which is when the load lasts: what a program does
    before and after is not load. None without two of them, or when they count no cycles.
    """
    worked = total = 0
    for samples in turns:
        loaded = [sample for sample in samples if sample["sockets"] >= connections]
        if len(loaded) > 1:
            busy, idle, away = (loaded[-1][key] - loaded[0][key] for key in CYCLES)
            worked, total = worked + busy + away, total + busy + idle + away
    return round(worked / total, 4) if total > 0 else None
