# SPDX-License-Identifier: BSD-3-Clause
"""Two contenders against one another at one load point. Pure; knows trials and what bound them."""

from __future__ import annotations

from typing import Any, Sequence

from harness import stats, verdict
from harness.records import Trial


def gain(over: Sequence[Trial], baseline: Sequence[Trial], bound: str | None) -> dict[str, Any]:
    """The ratio of throughputs, paired by round, with its interval, its verdict and what the client made of it."""
    below = {trial.round: trial.requests_per_sec for trial in baseline if trial.valid}
    pairs = [(trial.requests_per_sec, below[trial.round])
             for trial in sorted(over, key=lambda trial: trial.round) if trial.valid and trial.round in below]
    if not pairs:
        return {"ratio": None, "ci95": None, "verdict": verdict.INCONCLUSIVE, "rounds": 0, "bound": None,
                "p": None}
    ratio, interval = stats.paired_gain(pairs)
    ratios = [ours / theirs for ours, theirs in pairs]
    p = stats.log_t_p_value(ratios)
    return {"ratio": stats.round_significant(ratio), "ci95": stats.rounded_interval(interval),
            "verdict": verdict.judge_gain(interval, bound), "rounds": len(pairs), "bound": bound,
            "p": None if p is None else stats.round_significant(p),
            **({"disputed_by": "bootstrap"} if stats.disputed(ratios) else {})}
