# SPDX-License-Identifier: BSD-3-Clause
"""What each measure of a ladder saves, in cycles a request, from paired differences. Pure; knows no file, no chart.

A difference is taken within a round, between the two contenders that differ in that measure alone, so that what drifts
from round to round is in both. It depends on which other measures are there: each is told twice.
"""

from __future__ import annotations

import math
from typing import Any, Iterable, Mapping, Sequence

from harness.plan import ablation as ladder, Plan
from harness.analyse import stats
from harness.errors import UsageError

Cycles = Mapping[tuple[str, int], Mapping[int, float]]


def summarise(plan: Plan, facts: Mapping[str, Any],
              trials: Iterable[tuple[str, int, int, float | None]]) -> list[dict[str, Any]]:
    """`ablation` of summary.json, one entry a load point; [] for a run that is no ladder.

    `trials`: contender, connections, round and cycles per request of each valid trial.
    """
    wire = facts.get("wire")
    rows = wire.get("measures") if isinstance(wire, Mapping) else None
    if rows is None:
        return []
    try:
        table = [ladder.Measure(str(name), str(what)) for name, what in rows]
    except (TypeError, ValueError):
        raise UsageError("facts.json: 'measures' is not a list of [name, what it is]") from None
    cycles: dict[tuple[str, int], dict[int, float]] = {}
    for contender, connections, round_, counted in trials:
        if counted is not None:
            cycles.setdefault((contender, connections), {})[round_] = counted
    return [_point(table, connections, cycles) for connections in plan.connections] if table else []


def _point(table: Sequence[ladder.Measure], connections: int, cycles: Cycles) -> dict[str, Any]:
    below, apart = ladder.below(table), ladder.apart(table)
    return {
        "connections": connections,
        "plain": _mean(cycles, ladder.PLAIN, connections),
        "all": _mean(cycles, ladder.added(table[-1].name), connections),
        "measures": [{"name": each.name, "what": each.what,
                      "cycles_per_request": _mean(cycles, ladder.added(each.name), connections),
                      "saved": _difference(cycles, *below[each.name], connections),
                      "saved_alone": _difference(cycles, *apart[each.name], connections)} for each in table],
    }


def _mean(cycles: Cycles, contender: str, connections: int) -> float | None:
    """Means and not medians: so the differences of whole rounds add up from the plain design to all measures."""
    counted = list(cycles.get((contender, connections), {}).values())
    return stats.round_significant(math.fsum(counted) / len(counted)) if counted else None


def _difference(cycles: Cycles, without: str, with_: str, connections: int) -> dict[str, Any]:
    """Cycles a request that the second contender needs fewer than the first."""
    first, second = cycles.get((without, connections), {}), cycles.get((with_, connections), {})
    pairs = [(first[round_], second[round_]) for round_ in sorted(first) if round_ in second]
    if not pairs:
        return {"mean": None, "ci95": None, "rounds": 0}
    mean, interval = stats.paired_difference(pairs)
    return {"mean": stats.round_significant(mean),
            "ci95": None if interval is None else [stats.round_significant(end) for end in interval],
            "rounds": len(pairs)}
