# SPDX-License-Identifier: BSD-3-Clause
"""Contenders against one another at one load point: which pairs, each pair's gain, and which of them is the headline.

Pure; knows trials and what bound them.

The headline of a contender that is not on the kernel's sockets is its gain over the best kernel rung of that point: of
the kernel contenders measured there, all with the same cores, the one with the highest median. The rung is picked by the
very trials that it is compared with, so where several are alike it is the one that chance has favoured: the headline is
then too small, on average, and its interval does not cover that choice. It errs towards the kernel, never towards the
other side (harness/tests/analyse/test_gain.py shows by how much).
"""

from __future__ import annotations

from typing import Any, Sequence

from harness.analyse import stats
from harness.analyse import bottleneck as verdict
from harness.store.records import Contender, Trial


def rungs(contenders: Sequence[Contender]) -> list[Contender]:
    """The kernel ladder of a run, in the plan's order, where the baseline stands on it; else none."""
    return [each for each in contenders if not each.polls] if contenders and not contenders[0].polls else []


def pairs(contenders: Sequence[Contender]) -> list[tuple[Contender, Contender]]:
    """(over, below) of every gain of a run: each contender over the baseline, and what is not on the kernel's sockets
    over each rung of the kernel ladder."""
    first = contenders[0]
    return [(each, below) for each in contenders[1:]
            for below in ([first] if not each.polls else rungs(contenders) or [first])]


def head(points: Sequence[dict[str, Any]], contenders: Sequence[Contender]) -> None:
    """Says of each of a summary's points which kernel rung is best there, and copies the gains over it as the headline.

    `best_kernel` is None, and the headline without entry, where no rung has a valid trial. A run without a ladder, or
    with one contender, is left as it is.
    """
    ladder = rungs(contenders)
    if not ladder or len(contenders) < 2:
        return
    for point in points:
        medians = {rung.name: point["contenders"][rung.name]["requests_per_sec"]["median"] for rung in ladder}
        known = [name for name, median in medians.items() if median is not None]
        best = max(known, key=lambda name: float(medians[name]), default=None)
        point["best_kernel"] = best
        point["headline"] = {} if best is None else {
            each.name: {"over": best, **point["gain"][f"{each.name}/{best}"]} for each in contenders if each.polls}


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
