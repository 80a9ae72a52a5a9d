# SPDX-License-Identifier: BSD-3-Clause
"""All gains of a run judged together, and what the summary says of how it was measured. Pure.

Of twenty gains that are none, each tested at 5 %, one is expected to look like one. So "faster" and "slower" are words
for a whole run: Holm's adjustment keeps the chance that any of them is false at 5 %, whatever the gains have in common.
"""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from harness.analyse import stats
from harness.analyse import stopping_rule as stopping
from harness.analyse import bottleneck as verdict
from harness.plan import Plan

LEVEL, CONFIDENCE = 0.05, 0.95
METHOD, ADJUSTMENT = "t-log-paired", "holm"


def adjust(points: Sequence[dict[str, Any]]) -> None:
    """Writes `p_adjusted` of every gain at every load point, and takes back each verdict that it does not bear out.

    The family is every gain that has a `p`, whatever its key. Called again after gains have been added it starts anew
    from `p`, and a verdict that was taken back stays so: more gains never make one of them surer.
    """
    entries = [entry for point in points for entry in point["gain"].values()]
    tested = [entry for entry in entries if entry["p"] is not None]
    adjusted = stats.holm([entry["p"] for entry in tested])
    for entry in entries:
        entry["p_adjusted"] = None
    for entry, p in zip(tested, adjusted):
        entry["p_adjusted"] = stats.round_significant(p)
        if p >= LEVEL:
            entry["verdict"] = verdict.INCONCLUSIVE


def statistics(plan: Plan, facts: Mapping[str, Any], trials: stopping.Records,
               points: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """`statistics` of the summary; `trials` are the lines of trials.jsonl."""
    seen = stopping.look(plan, trials, stopping.sessions(facts))
    widest = None if seen.widest is None else stats.round_significant(100 * seen.widest, 3)
    return {
        "method": METHOD, "confidence": CONFIDENCE, "seed": plan.seed,
        "rounds_done": seen.rounds, "stopped_by": stopping.ended(plan, trials, seen),
        "precision_percent": plan.precision_percent, "budget_seconds": plan.budget_seconds,
        "family": sum(entry["p"] is not None for point in points for entry in point["gain"].values()),
        "adjustment": ADJUSTMENT,
        **({"widest_percent": widest} if plan.precision_percent else {}),
    }
