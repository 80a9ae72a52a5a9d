# SPDX-License-Identifier: BSD-3-Clause
"""Made-up runs of an open loop: latencies of a queue whose knee is known. Measured nowhere."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any, Mapping, Sequence

from harness.tests import synthetic

# requests/s that each can do, and us that one of them takes alone
CAN = {"epoll": (100_000, 10.0), "lwip": (40_000, 25.0)}
RATES = (10_000, 20_000, 30_000, 36_000, 40_000, 50_000, 60_000, 70_000, 80_000, 90_000, 100_000, 105_000)
MOST = {"lwip": 50_000}
SECONDS = 2


def queue_p99(contender: str, rate: int) -> float:
    """Of an M/M/1 queue: the time in the system is exponential with mean S / (1 - load)."""
    can, alone = CAN[contender]
    return math.log(100) * alone / (1 - rate / can)


def histogram(contender: str, rate: int, count: int, factor: float) -> list[list[float]]:
    """Places of the exponential distribution; of a queue that is too full, what waited longest stands last."""
    can, alone = CAN[contender]
    if rate >= can:
        return [[round(1000.0 * step, 3), count // 100] for step in range(1, 101)]
    mean = factor * alone / (1 - rate / can)
    counts: dict[float, int] = {}
    for step in range(2000):
        value = float(f"{-math.log(1 - (step + 0.5) / 2000) * mean:.3g}")
        counts[value] = counts.get(value, 0) + count // 2000
    return [[value, counts[value]] for value in sorted(counts)]


def trial(dice: random.Random, contender: str, rate: int, round_: int, sequence: int,
          seed_factor: float) -> dict[str, Any]:
    can, _ = CAN[contender]
    intended = rate * SECONDS // 2000 * 2000
    done = min(intended, int(0.9 * intended) // 2000 * 2000) if rate >= can else intended
    latencies = histogram(contender, rate, done, seed_factor * dice.lognormvariate(0, 0.03))
    done = sum(int(count) for _, count in latencies)
    record = synthetic.trial(dice, contender, 64, round_, sequence)
    return {**record, "offered": rate, "requests": done, "requests_per_sec": done / SECONDS, "client_bound": False,
            "latency_histogram_us": latencies, "errors": {"reset": 0},
            "open_loop": {"arrivals": "poisson", "intended": intended, "measured": done, "unsent": intended - done,
                          "unsent_oldest_us": 0.0, "waited": intended // 10, "backlog_middle": 0,
                          "backlog_end": intended - done, "backlog_longest": 5, "busy_share": 0.5,
                          "send_lag_us": [[0.5, intended - 20], [40.5, 20]], "client_bound": False}}


def write(directory: Path, *, rounds: int = 3, rates: Sequence[int] = RATES, saturation: bool = True,
          contenders: Sequence[str] = ("epoll", "lwip"),
          change: Mapping[tuple[str, int], Mapping[str, Any]] = {}) -> Path:
    """A whole run in `directory`. `change`: fields of `open_loop` of the trials at (contender, rate)."""
    dice = random.Random(3)
    records: list[dict[str, Any]] = []
    for round_ in range(rounds):
        factor = dice.lognormvariate(0, 0.02)
        for rate in rates:
            for name in contenders:
                if rate <= MOST.get(name, rate):
                    record = trial(dice, name, rate, round_, len(records), factor)
                    record["open_loop"].update(change.get((name, rate), {}))
                    records.append(record)
    plan = {**synthetic.plan((64,), rounds, contenders), "offered": list(rates),
            "most_offered": {name: most for name, most in MOST.items() if name in contenders}}
    facts = synthetic.facts("20260102-030405-tap-latency", contenders)
    facts["load_tool"] = {"name": "openload", "latency": "counted from when each request was meant to be sent"}
    if saturation:
        facts["saturation"] = {name: {"requests_per_sec": CAN[name][0], "trials": [CAN[name][0]] * 3,
                                      "client_bound": False} for name in contenders}
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "plan.json").write_text(json.dumps(plan, indent=1) + "\n")
    (directory / "facts.json").write_text(json.dumps(facts, indent=1) + "\n")
    (directory / "trials.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return directory
