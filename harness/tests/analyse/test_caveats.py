# SPDX-License-Identifier: BSD-3-Clause
"""What a reader must know: disturbed and unsettled trials, limits, a run that is not whole."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from harness.analyse import Summary, summarise
from harness.plan import LoadPoint
from harness.store.codes import Caveat, Note, Problem, Unsettled
from harness.store.store import Run
from harness.store.trial_record import CpuTime, MachineUse, Steady, TrialRecord
from harness.tests.fixtures import runs, synthetic
from harness.tests.fixtures.trial_records import OTHERS

CALM = MachineUse(0.0, 0.0)
STEADY = Steady(0.1, 10, (1.0,) * 30, 0.4)


def watched(blind: str = "") -> Run:
    """A run of today: machine and throughput were followed, the latter not of `blind`."""
    return runs.changed(runs.made((1, 8), 3), lambda trial: replace(
        trial, machine=CALM, steady=None if trial.contender == blind else STEADY))


def late(seconds: float | None, own_ramp: bool = False) -> dict[str, Any]:
    return {"unsettled": Note(Unsettled.LATE, {"seconds": 1.0}),
            "steady": replace(STEADY, settled_after_seconds=seconds, own_ramp=own_ramp)}


def codes(summary: Summary) -> list[Caveat]:
    return [note.code for note in summary.caveats]


def values(summary: Summary, code: Caveat) -> list[dict[str, Any]]:
    return [dict(note.values) for note in summary.caveats if note.code == code]


def test_a_run_of_before_says_nothing() -> None:
    summary = summarise(runs.made())
    assert summary.attempts is None and summary.steadiness is None


def test_a_calm_run_says_only_when_it_settled() -> None:
    summary = summarise(watched())
    steady = summary.steadiness
    assert summary.attempts is None and steady is not None
    assert Caveat.UNSETTLED not in codes(summary) and Caveat.DISTURBED not in codes(summary)
    assert (steady.sampled, steady.unsettled, steady.never, steady.trials) == (12, 0, 0, ())
    assert steady.settled_after_seconds == {"median": 0.4, "max": 0.4}


def test_figures_are_those_of_the_attempt_that_counts() -> None:
    run = watched()
    first = run.trials[0]
    disturbed = replace(first, requests_per_sec=1.0, disturbed=(OTHERS,))
    again = replace(run, trials=(disturbed, replace(first, attempt=1), *run.trials[1:]))
    summary = summarise(again)
    assert summary.points == summarise(run).points
    assert summary.attempts and (summary.attempts.disturbed, summary.attempts.stayed) == (1, 0)
    assert Caveat.DISTURBED in codes(summary)


def test_a_trial_that_stayed_disturbed_counts_and_is_told_of() -> None:
    summary = summarise(runs.spoiled(watched(), {0: {"disturbed": (OTHERS,)}}))
    assert summary.attempts and summary.attempts.stayed == 1
    assert summary.points[0].cells["epoll"].trials == 3 and Caveat.DISTURBED in codes(summary)


def test_a_longer_warmup_is_proposed_where_it_helps() -> None:
    summary = summarise(runs.spoiled(watched(), {
        0: late(1.3), 1: late(2.2), 2: late(None), 3: late(4.7, own_ramp=True)}))
    steady = summary.steadiness
    assert steady and (steady.unsettled, steady.never, steady.warmup_seconds) == (4, 1, 3)
    assert Caveat.UNSETTLED in codes(summary)
    assert [(trial.contender, trial.at.connections, trial.round) for trial in steady.trials] == [
        ("epoll", 1, 0), ("lwip", 1, 0), ("epoll", 8, 0), ("lwip", 8, 0)]


def test_no_warmup_is_proposed_where_none_helps() -> None:
    run = runs.spoiled(watched(), {0: late(None), 3: late(1.7, own_ramp=True)})
    steady = summarise(run).steadiness
    assert steady and steady.unsettled == 2 and steady.warmup_seconds is None


def test_who_could_not_be_followed_is_named() -> None:
    summary = summarise(watched(blind="lwip"))
    assert summary.steadiness and summary.steadiness.unseen == ("lwip",)
    assert values(summary, Caveat.UNSEEN) == [{"contenders": ("lwip",)}]


def test_caveats_say_what_a_reader_must_know() -> None:
    run = runs.made()
    run = runs.told(run, hugepages={"used": False, "why": "the kernel gave 3 of 96 pages"})

    def change(trial: TrialRecord) -> TrialRecord:
        if (trial.contender, trial.point.connections, trial.round) == ("lwip", 1, 0):
            core = replace(trial.cpu_seconds["0"], steal=0.5)
            return replace(trial, cpu_seconds={**trial.cpu_seconds, "0": core})
        return trial
    run = runs.spoiled(runs.changed(run, change),
                       {0: {"problems": (Note(Problem.NOTHING_ANSWERED),)}})
    summary = summarise(replace(run, trials=run.trials[:-1]))
    assert codes(summary) == [
        Caveat.POLLING_IN_GAIN, Caveat.WIRE, Caveat.NO_HUGEPAGES, Caveat.INCOMPLETE, Caveat.INVALID,
        Caveat.STOLEN, Caveat.CLIENT_LIMIT]
    assert values(summary, Caveat.WIRE) == [{"text": synthetic.CAVEAT}]
    assert values(summary, Caveat.NO_HUGEPAGES) == [{"why": "the kernel gave 3 of 96 pages"}]
    assert values(summary, Caveat.INCOMPLETE) == [{"done": 11, "planned": 12, "at_least": 0}]
    assert values(summary, Caveat.INVALID) == [{"invalid": 1, "trials": 11}]
    (stolen,) = values(summary, Caveat.STOLEN)
    assert (stolen["trials"], stolen["of"]) == (1, 11) and 0.10 < stolen["share"] < 0.12
    assert values(summary, Caveat.CLIENT_LIMIT) == [
        {"contenders": ("epoll",), "points": (1,), "compared": 0}]


def test_hugepages_matter_to_user_space_stacks_only() -> None:
    run = runs.made((1,), contenders=("epoll",))
    run = runs.told(run, hugepages={"used": False, "why": "none"})
    assert codes(summarise(run)) == [Caveat.WIRE]


def test_a_shared_cpu_is_said() -> None:
    run = runs.made(client_cpus=[1])
    run = runs.changed(run, lambda trial: replace(
        trial, cpu_seconds={"1": CpuTime("client+server", user=1.0, idle=1.0)}))
    summary = summarise(run)
    assert values(summary, Caveat.SHARED_CPUS) == [{"cpus": (1,)}]
    assert summary.points[0].cells["epoll"].limit.by == "unknown"
    assert summary.points[0].cells["epoll"].cpu_by_role is None


def test_a_wire_that_lost_packets_is_named_with_its_points() -> None:
    lost = {"bridge/tap0": {"rx": 10_000, "tx": 0}}
    run = runs.changed(runs.made((1, 8)), lambda trial: replace(
        trial, dropped=lost if trial.point == LoadPoint(1) else {}))
    assert values(summarise(run), Caveat.WIRE_LIMIT) == [
        {"contenders": ("epoll", "lwip"), "points": (0,)}]


def test_an_end_before_the_precision_was_reached_is_said() -> None:
    for precision, stopped_by in ((5, "interrupted"), (0.1, "futility")):
        early = summarise(runs.made(rounds=4, planned=3, seed=7, precision_percent=precision))
        assert values(early, Caveat.IMPRECISE) == [
            {"stopped_by": stopped_by, "precision_percent": precision,
             "widest_percent": early.statistics.widest_percent}]
    done = summarise(runs.made(rounds=6, planned=3, seed=7, precision_percent=50))
    assert Caveat.IMPRECISE not in codes(done)


def test_cycles_that_are_ticks_of_a_timer_are_called_so() -> None:
    run = runs.told(runs.made(), machine={"cycle_counter": "cntvct_el0", "tsc_hz": 25_000_000})
    assert summarise(run).cycle_counter == "cntvct_el0"
    assert values(summarise(run), Caveat.TIMER_TICKS) == [{"hz": 25_000_000}]
    run = runs.told(run, machine={"cycle_counter": "cntvct_el0"})
    assert values(summarise(run), Caveat.TIMER_TICKS) == [{}]
    for known in ({"cycle_counter": "tsc"}, {}):
        summary = summarise(runs.told(run, machine=known))
        assert summary.cycle_counter == "tsc" and Caveat.TIMER_TICKS not in codes(summary)
