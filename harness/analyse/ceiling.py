# SPDX-License-Identifier: BSD-3-Clause
"""How much the client can take at each load point, from the trials of calibration.jsonl. Pure.

A trial against the cheapest answerer shows the client's ceiling only where the client was what held it back. Elsewhere
the client can do at least as much.
"""

from __future__ import annotations

from typing import Any, Iterable, Mapping

from harness.analyse import bottleneck as verdict
from harness.analyse.link_stats import Line
from harness.plan import Plan
from harness.store.records import Trial, read

NAME = "canned"


def ceilings(plan: Plan, calibration: Iterable[Mapping[str, Any]]) -> dict[int, verdict.Ceiling]:
    """By number of connections; none where that trial is missing or did not count.

    UsageError on a record that is foreign or not of this plan.
    """
    found = {}
    for number, record in enumerate(calibration, 1):
        trial: Trial = read(record, number, plan, file="calibration.jsonl", contenders=(NAME,))
        if trial.valid:
            limit = verdict.limit(False, trial.connections, [trial.use], line=Line())
            found[trial.connections] = verdict.Ceiling(trial.requests_per_sec, limit.by == verdict.CLIENT_CPU,
                                                       limit.evidence)
    return found


def entry(ceiling: verdict.Ceiling) -> dict[str, Any]:
    """As summary.json has it."""
    return {"requests_per_sec": ceiling.requests_per_sec, "contender": NAME, "at_least": not ceiling.reached,
            "evidence": ceiling.evidence}
