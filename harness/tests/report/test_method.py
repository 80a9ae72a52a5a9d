# SPDX-License-Identifier: BSD-3-Clause
"""What a page says of how a run was measured follows from the run: rule, seed, bootstrap, load tool."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.analyse import HELD, LEAST_TO_RESAMPLE, summarise
from harness.report.templates import macro
from harness.store import Run
from harness.tests.fixtures import runs


def order_and_rounds(run: Run) -> str:
    return " ".join([*macro("method.j2", "order", run.plan),
                     *macro("method.j2", "rounds", run.plan, summarise(run), HELD)])


def test_the_method_is_that_of_the_run() -> None:
    ruled = order_and_rounds(runs.made(rounds=6, planned=3, seed=7, precision_percent=50, budget_seconds=900))
    assert all(part in ruled for part in ("SEED=7", "6 complete rounds", "±50 %", "15 minutes"))
    fixed = order_and_rounds(runs.made(rounds=3))
    assert "3 complete rounds, of 3" in fixed and "SEED" not in fixed and "±" not in fixed
    assert len({order_and_rounds(runs.made(rounds=3, seed=7, by_contender=way)) for way in (True, False)}) == 2


def gain(run: Run, disputed: bool = False) -> str:
    summary = summarise(run)
    points = tuple(replace(point, gains=tuple(replace(one, disputed=disputed and point.at.connections == 64)
                                              for one in point.gains)) for point in summary.points)
    return macro("method.j2", "gain", replace(summary, points=points), LEAST_TO_RESAMPLE)[0]


def test_the_bootstrap_disputes_confirms_or_is_not_there() -> None:
    six = runs.made(rounds=6)
    texts = {gain(six), gain(six, disputed=True), gain(runs.made(rounds=3))}
    assert len(texts) == 3 and sum("lwip/epoll at 64" in text for text in texts) == 1
    assert f"fewer than {LEAST_TO_RESAMPLE} rounds" in gain(runs.made(rounds=3))


@pytest.mark.parametrize("requests, percent", [(900, "10"), (1000, "0")])
def test_samples_that_wrk_made_up_are_counted(requests: int, percent: str) -> None:
    run = runs.changed(runs.made(), lambda trial: replace(
        trial, requests=requests, latency_histogram_us=((10, 800), (20, 200))))
    share, = macro("method.j2", "made_up", run.trials)
    assert float(share) == pytest.approx(float(percent))
    assert macro("method.j2", "made_up", ()) == []


def test_each_load_tool_has_its_own_percentiles() -> None:
    def text(name: str, added: Any = None) -> str:
        return macro("method.j2", "latency", {"name": name, "latency": "as it says"}, added)[0]
    tools = [text("wrk"), text("wrk", 10.0), text("wrk", 0.0), text("redis-benchmark"), text("loadgen"), text("hey")]
    assert len(set(tools)) == len(tools)
    assert "10 % of all samples" in tools[1] and "hey's, as it says" in tools[5]


@pytest.mark.parametrize("more", [{}, {"precision_percent": 3.0, "budget_seconds": 61}])
def test_the_brief_of_a_run_has_its_family_and_its_rule(more: dict[str, Any]) -> None:
    run = runs.made(rounds=3, **more)
    text, = macro("method.j2", "brief", run.plan, summarise(run))
    assert "2 gains judged together" in text and ("±3 %" in text and "1:01" in text) == bool(more)
