# SPDX-License-Identifier: BSD-3-Clause
"""A gain in two factors: what polling is worth, and what bypass is worth."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Collection

import pytest

from harness.analyse import Summary, summarise
from harness.store import Bound, Caveat, Note, Problem
from harness.tests.fixtures import runs, synthetic

Rates = dict[str, list[float | None]]
SLEEPING: Rates = {"epoll": [10.0, 12.0, 11.0], "uring": [9.0, 8.0, 9.5]}
POLLING: Rates = {"epoll-spin": [40.0, 50.0, 45.0]}
LWIP: Rates = {"lwip": [80.0, 150.0, 90.0]}


def made(rates: Rates, polls: Collection[str] = ("epoll-spin", "epoll-spin-both", "lwip"),
         client_polls: Collection[str] = (), own_client: Collection[str] = (),
         connections: int = 8) -> Summary:
    """Summarise a run with these rates by contender and round; None: that trial is not valid."""
    run = runs.made((connections,), len(next(iter(rates.values()))), tuple(rates))
    wire = synthetic.facts("made", rates)["wire"]
    for name, entry in wire["contenders"].items():
        entry["polls"] = name in polls
        entry["client"] = {"stack": "preload" if name in own_client else "kernel",
                           "polls": name in client_polls}

    def change(trial: Any) -> Any:
        rate = rates[trial.contender][trial.round]
        return replace(trial, requests_per_sec=rate or 1.0,
                       problems=() if rate else (Note(Problem.NOTHING_ANSWERED),))
    return summarise(runs.changed(runs.told(run, wire=wire), change))


def in_gain(summary: Summary) -> list[dict[str, Any]]:
    return [dict(note.values) for note in summary.caveats if note.code == Caveat.POLLING_IN_GAIN]


def test_a_gain_is_polling_times_bypass_each_paired_by_round() -> None:
    (point,) = made({**SLEEPING, **POLLING, **LWIP}).points
    (found,) = point.factors
    assert (found.contender, found.sleeping, found.polling) == ("lwip", "epoll", "epoll-spin")
    polling = [math.log(40 / 10), math.log(50 / 12), math.log(45 / 11)]
    bypass = [math.log(80 / 40), math.log(150 / 50), math.log(90 / 45)]
    both = [a + b for a, b in zip(polling, bypass)]
    for ratio, logs, pair in ((found.by_polling, polling, ("epoll-spin", "epoll")),
                              (found.by_bypass, bypass, ("lwip", "epoll-spin")),
                              (found.gain, both, ("lwip", "epoll"))):
        assert ratio.ratio == pytest.approx(math.exp(math.fsum(logs) / 3), rel=1e-5)
        told = point.gain(*pair)
        assert told and told.ci95 and ratio.ci95 == pytest.approx(told.ci95, rel=1e-5)
    assert found.by_polling.ratio and found.by_bypass.ratio
    assert found.gain.ratio == pytest.approx(
        found.by_polling.ratio * found.by_bypass.ratio, rel=1e-5)


def test_the_headline_is_over_the_best_that_polls_alike_though_one_that_sleeps_is_faster() -> None:
    summary = made({**SLEEPING, "epoll-spin": [5.0, 6.1, 5.4], **LWIP})
    (point,) = summary.points
    assert point.best_kernel == "epoll" and point.headline_over == {"lwip": "epoll-spin"}
    assert summary.headline(point) == {"lwip": point.gain("lwip", "epoll-spin")}
    assert point.factors[0].by_polling.ratio == pytest.approx(0.5, rel=0.01)


def test_of_several_that_poll_the_highest_median_counts_and_its_ends_must_be_the_same() -> None:
    rates: Rates = {**SLEEPING, **POLLING, "epoll-spin-both": [60.0, 70.0, 65.0], **LWIP}
    both = made(rates, client_polls=["epoll-spin-both"], own_client=["lwip"])
    assert both.points[0].factors[0].polling == "epoll-spin-both" and in_gain(both) == []
    assert both.points[0].headline_over == {"lwip": "epoll-spin-both"}
    server_only = made({**SLEEPING, **POLLING, **LWIP}, own_client=["lwip"])
    assert server_only.points[0].factors == ()
    # no one polls at both ends: over the best of all, and polling is in the gain
    assert server_only.points[0].headline_over == {"lwip": "epoll-spin"}
    assert in_gain(server_only) == [{"contenders": ("lwip",)}]


def test_a_round_without_one_of_the_three_is_in_no_factor() -> None:
    (point,) = made({"epoll": [10.0, None, 10.0, 10.0], "epoll-spin": [20.0, 90.0, None, 20.0],
                     "lwip": [40.0, 90.0, 90.0, 40.0]}).points
    (found,) = point.factors
    assert (found.gain.rounds, found.gain.ratio, found.by_polling.ratio, found.by_bypass.ratio) == (
        2, 4.0, 2.0, 2.0)
    (apart,) = made({"epoll": [10.0, None], "epoll-spin": [None, 20.0], "lwip": [40.0, 40.0]}).points
    assert apart.factors == () and apart.headline_over == {"lwip": "epoll-spin"}


def test_without_a_kernel_that_polls_the_gain_is_told_as_one_and_that_is_said_first() -> None:
    summary = made({**SLEEPING, **LWIP})
    assert summary.points[0].factors == () and summary.points[0].headline_over == {"lwip": "epoll"}
    assert summary.caveats[0] == Note(Caveat.POLLING_IN_GAIN, {"contenders": ("lwip",)})


@pytest.mark.parametrize("rates", [
    {**SLEEPING, **POLLING}, {**LWIP, **SLEEPING}, {**POLLING, **LWIP}],
    ids=["kernel servers alone", "the baseline is not the kernel's", "none sleeps"])
def test_where_nothing_is_to_be_told_apart_there_are_no_factors(rates: Rates) -> None:
    summary = made(rates)
    assert summary.points[0].factors == () and in_gain(summary) == []


def test_a_contender_that_sleeps_is_set_beside_the_kernel_that_sleeps() -> None:
    summary = made({**SLEEPING, **POLLING, **LWIP}, polls=["epoll-spin"])
    (point,) = summary.points
    assert point.headline_over == {"lwip": "epoll"} and point.factors == ()


def test_a_client_that_polls_makes_its_limit_no_bound_on_the_servers() -> None:
    """Its client's end is part of what is compared, as where the stack of the client differs."""
    rates: Rates = {"epoll": [10.0, 12.0], "epoll-spin-both": [40.0, 50.0]}
    bounds = [made(rates, client_polls=polls, connections=128).points[0].gains[0].bound
              for polls in ((), ["epoll-spin-both"])]
    assert bounds == [Bound.BOTH, None]
