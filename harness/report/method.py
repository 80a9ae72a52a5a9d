# SPDX-License-Identifier: BSD-3-Clause
"""Write what the old summary says of the end of a run; goes with it."""

from __future__ import annotations

from typing import Any, Mapping

from harness.plan import Plan

Summary = Mapping[str, Any]


def reservations(plan: Plan, summary: Summary) -> list[str]:
    """What the end of a run with a rule leaves to be desired; sentences for the caveats."""
    told = summary["statistics"]
    if not plan.precision_percent or told["stopped_by"] not in ("budget", "interrupted"):
        return []
    widest = told["widest_percent"]
    what = "not every gain has an interval" if widest is None else f"the widest interval is ±{widest:g} %"
    why = "The time budget ended" if told["stopped_by"] == "budget" else "The run was interrupted"
    return [f"{why} before every gain was known to ±{plan.precision_percent:g} %: {what}."]
