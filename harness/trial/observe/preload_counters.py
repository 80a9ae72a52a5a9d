# SPDX-License-Identifier: BSD-3-Clause
"""Read the counters that the preload library keeps in a file for the program that it serves.

The file is one JSON object padded with blanks, rewritten in place while the program runs and a last
time at its end.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, Mapping, Sequence

READ_SECONDS = 2.0
# the library rewrites its file every 10 ms while the program runs
REWRITTEN_SECONDS = 0.03
_AGAIN_SECONDS = 0.002
CYCLES = ("cycles_busy", "cycles_idle", "cycles_away")


def glance(file: Path) -> dict[str, Any] | None:
    """Return the counters as they stand; None without any yet, or while the file is written."""
    try:
        first, second = file.read_bytes(), file.read_bytes()
        counters = json.loads(first)
    except (OSError, ValueError):
        return None
    return counters if first == second and isinstance(counters, dict) else None


def read(file: Path, timeout: float | None = None) -> dict[str, Any] | None:
    """Return the counters, waited for at most `timeout` s (READ_SECONDS); None when none come."""
    deadline = time.monotonic() + (READ_SECONDS if timeout is None else timeout)
    while (counters := glance(file)) is None and time.monotonic() < deadline:
        time.sleep(_AGAIN_SECONDS)
    return counters


def busy_share(samples: Sequence[Mapping[str, Any]], connections: int) -> float | None:
    """Return the share of the time between first and last sample in which there was work, 0 to 1.

    Of the samples with that many sockets open, which is when the load lasts: what a program does
    before and after is not load. None without two of them, or when they count no cycles.
    """
    loaded = [sample for sample in samples if _count(sample, "sockets") >= connections]
    if len(loaded) < 2:
        return None
    busy, idle, away = (_count(loaded[-1], key) - _count(loaded[0], key) for key in CYCLES)
    total = busy + idle + away
    return round((busy + away) / total, 4) if total > 0 else None


def _count(sample: Mapping[str, Any], key: str) -> int:
    value = sample.get(key, 0)
    return value if isinstance(value, int) else 0
