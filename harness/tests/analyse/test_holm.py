# SPDX-License-Identifier: BSD-3-Clause
"""Gains judged together, and what the summary says of how it was measured."""

from __future__ import annotations

import random
from typing import Any

import pytest

from harness.report import method
from harness.analyse.summary import summarise
from harness.analyse.holm import adjust
from harness.plan import from_json, Plan
from harness.tests.fixtures import synthetic


def entry(verdict: str, p: float | None) -> dict[str, Any]:
    return {"verdict": verdict, "p": p}


def test_the_family_is_every_gain_of_the_run_whatever_its_key() -> None:
    points = [{"gain": {"lwip/epoll": entry("faster", 0.01), "uring/epoll": entry("inconclusive", None)}},
              {"gain": {"lwip/epoll": entry("slower", 0.03), "lwip/uring": entry("faster", 0.04)}}]
    adjust(points)
    assert points[0]["gain"]["lwip/epoll"] == {"verdict": "faster", "p": 0.01, "p_adjusted": 0.03}
    assert points[0]["gain"]["uring/epoll"]["p_adjusted"] is None
    assert points[1]["gain"] == {"lwip/epoll": {"verdict": "inconclusive", "p": 0.03, "p_adjusted": 0.06},
                                 "lwip/uring": {"verdict": "inconclusive", "p": 0.04, "p_adjusted": 0.06}}


def test_judging_again_with_more_gains_starts_from_the_p_values() -> None:
    points = [{"gain": {"b/a": entry("faster", 0.02)}}]
    adjust(points)
    assert points[0]["gain"]["b/a"] == {"verdict": "faster", "p": 0.02, "p_adjusted": 0.02}
    points[0]["gain"]["c/a"] = entry("slower", 0.001)
    points[0]["gain"]["d/a"] = entry("inconclusive", 0.5)
    adjust(points)
    assert points[0]["gain"]["b/a"] == {"verdict": "faster", "p": 0.02, "p_adjusted": 0.04}
    adjust([{"gain": {}}])


def made(rounds: int, **rule: Any) -> tuple[Plan, dict[str, Any], list[dict[str, Any]]]:
    plan = from_json({**synthetic.plan([1, 64], 3, ["epoll", "lwip"]), **rule})
    dice = random.Random(1)
    records = [synthetic.trial(dice, name, connections, round_, 0) for round_ in range(rounds)
               for connections in (1, 64) for name in ("epoll", "lwip")]
    return plan, synthetic.facts("made", ["epoll", "lwip"]), records


def test_statistics_of_a_run_with_fixed_rounds() -> None:
    summary = summarise(*made(3))
    assert summary["statistics"] == {
        "method": "t-log-paired", "confidence": 0.95, "seed": 0, "rounds_done": 3, "stopped_by": "rounds",
        "precision_percent": 0, "budget_seconds": 0, "family": 2, "adjustment": "holm"}
    assert summary["rounds"] == 3
    assert summarise(*made(2))["statistics"]["stopped_by"] == "interrupted"


@pytest.mark.parametrize("precision, rounds, by", [(50, 6, "precision"), (0.1, 4, "interrupted")])
def test_statistics_of_a_run_with_a_rule(precision: float, rounds: int, by: str) -> None:
    plan, facts, records = made(rounds, seed=7, precision_percent=precision)
    summary = summarise(plan, facts, records)
    told = summary["statistics"]
    assert (told["rounds_done"], told["stopped_by"], summary["rounds"]) == (rounds, by, rounds)
    assert 0.1 < told["widest_percent"] < 50
    early = [caveat for caveat in summary["caveats"] if "before every gain was known" in caveat]
    assert early == ([] if by == "precision" else [
        f"The run was interrupted before every gain was known to ±0.1 %: the widest interval is "
        f"±{told['widest_percent']:g} %."])
