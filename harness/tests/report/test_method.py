# SPDX-License-Identifier: BSD-3-Clause
"""What a report says of how a run was measured and judged."""

from __future__ import annotations
import random
from typing import Any
import pytest
from harness.report import method
from harness.analyse.summary import summarise
from harness.plan import from_json, Plan
from harness.tests.fixtures import synthetic


def made(rounds: int, **rule: Any) -> tuple[Plan, dict[str, Any], list[dict[str, Any]]]:
    plan = from_json({**synthetic.plan([1, 64], 3, ["epoll", "lwip"]), **rule})
    dice = random.Random(1)
    records = [synthetic.trial(dice, name, connections, round_, 0) for round_ in range(rounds)
               for connections in (1, 64) for name in ("epoll", "lwip")]
    return plan, synthetic.facts("made", ["epoll", "lwip"]), records


def text(plan: Plan, facts: dict[str, Any], records: list[dict[str, Any]]) -> str:
    summary = summarise(plan, facts, records)
    return "\n".join(f"{said.subject}: {said.text}" for said in method.sections(plan, facts, records, summary))


def test_the_method_is_that_of_the_run() -> None:
    ruled = text(*made(6, seed=7, precision_percent=50, budget_seconds=900))
    for words in ("drawn by SEED=7", "6 complete rounds. The rule", "within ±50 % of its ratio, or until the next would "
                  "not end within 15 minutes of trials. It ended so: the widest", "disputes no interval",
                  "its 2 gains are judged", "What lasts for the whole run", "stats_correct in wrk 4.1"):
        assert words in ruled, words
    fixed = text(*made(3))
    assert "reversed from round to round" in fixed and "3 complete rounds, of 3 that were fixed beforehand" in fixed
    assert "With fewer than 5 rounds there is no bootstrap" in fixed and "SEED" not in fixed
    assert "It was interrupted before that" in text(*made(4, seed=7, precision_percent=0.1))
    assert "one port in turn" in text(*made(3, seed=7, by_contender=True))


def test_what_the_bootstrap_disputes_is_named() -> None:
    plan, facts, records = made(6)
    summary = summarise(plan, facts, records)
    summary["points"][1]["gain"]["lwip/epoll"]["disputed_by"] = "bootstrap"
    assert "does not bear out t's interval for lwip/epoll at 64" in method.gain(summary)


def test_samples_that_wrk_made_up_are_counted() -> None:
    plan, facts, records = made(3)
    for record in records:
        record["requests"], record["latency_histogram_us"] = 900, [[10, 800], [20, 200]]
    assert method.made_up(records) == pytest.approx(10)
    assert "10 % of all samples are made up so" in method.latency(facts, records)
    for record in records:
        record["requests"] = 1000
    assert "it added none" in method.latency(facts, records)
    assert method.made_up([]) is None


@pytest.mark.parametrize("tool, words", [("loadgen", "Our load generator is a closed loop"),
                                         ("redis-benchmark", "prints p50, p95, p99"), ("hey", "hey's, as it says.")])
def test_each_load_tool_has_its_own_percentiles(tool: str, words: str) -> None:
    said = method.latency({"load_tool": {"name": tool, "latency": "as it says"}}, made(1)[2])
    assert words in said and "made up" not in said


def test_one_contender_has_no_word_of_gains() -> None:
    plan = from_json(synthetic.plan([1], 2, ["lwip"]))
    dice = random.Random(1)
    records = [synthetic.trial(dice, "lwip", 1, round_, 0) for round_ in range(2)]
    said = text(plan, synthetic.facts("made", ["lwip"]), records)
    assert "Gain:" not in said and "Intervals: Every interval" in said
