# SPDX-License-Identifier: BSD-3-Clause
"""What a request costs: requests for each CPU second burned, and cycles of the server's cores. Pure arithmetic.

Cycles are those of the time stamp counter, which runs at one rate whatever the core does: they are time in another
unit, and not the core's own cycles where its frequency changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Sequence

from harness.analyse import stats

CPU_TIME, OWN_COUNTERS = "cpu time", "own counters"


@dataclass(frozen=True)
class Cost:
    """Of one trial. `core_seconds`: CPU time burned on all cores; `server_seconds`: that of the server's alone, None
    where they are the client's too. `own_cycles`: busy ones a request that the contender counted itself, or None."""

    requests: int
    core_seconds: float
    server_seconds: float | None
    own_cycles: float | None


def figures(costs: Sequence[Cost], polls: bool, tsc_hz: int | None) -> dict[str, Any]:
    """Keys of a cell of summary.json, those left out that cannot be known.

    `polls`: the contender spins, so that its CPU time is all of the time and says nothing of its work. `tsc_hz`: of the
    machine's time stamp counter, None where it is not known.
    """
    found: dict[str, Any] = {}
    rates = [cost.requests / cost.core_seconds for cost in costs if cost.core_seconds > 0 and cost.requests]
    if rates:
        found["requests_per_core_second"] = _figure(rates)
    burned = [tsc_hz * cost.server_seconds / cost.requests for cost in costs
              if tsc_hz and cost.server_seconds and cost.requests]
    own = [cost.own_cycles for cost in costs if cost.own_cycles]
    if own:
        found |= {"cycles_per_request": _figure(own), "cycles_from": OWN_COUNTERS}
    elif burned and not polls:
        found |= {"cycles_per_request": _figure(burned), "cycles_from": CPU_TIME}
    if burned and polls:
        found["burned_cycles_per_request"] = _figure(burned)
    return found


def _figure(values: Sequence[float]) -> dict[str, Any]:
    return {"median": stats.round_significant(stats.median(values)),
            "ci95": stats.rounded_interval(stats.log_t_interval(values))}
