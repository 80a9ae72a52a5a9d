# SPDX-License-Identifier: BSD-3-Clause
"""From records to summary: what counts, which codes, what is refused; the whole of a small run."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.analyse import Summary, summarise
from harness.errors import UsageError
from harness.plan import Reason
from harness.store import convert, read_facts
from harness.store.codes import Evidence, Note, NotMeasured, Problem, StoppedBy
from harness.store.store import load_run
from harness.store.trial_record import TrialRecord
from harness.tests.fixtures import runs, synthetic

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "analyse-summary.json"
INVALID: dict[str, Any] = {"problems": (Note(Problem.NOTHING_ANSWERED),)}


def to_text(summary: Summary) -> str:
    return json.dumps(convert.to_json(summary), indent=1, sort_keys=True, allow_nan=False) + "\n"


def test_the_whole_summary_of_a_small_run(tmp_path: Path) -> None:
    """`python3 -m harness.tests.analyse.test_summary` writes it anew, after a change meant so."""
    assert json.loads(small()) == json.loads(GOLDEN.read_text())


def small() -> str:
    return to_text(summarise(runs.spoiled(runs.made((1, 64), 3, ("epoll", "uring", "lwip")), {
        4: {**INVALID, "errors": {"read": 3}}})))


def test_what_is_written_is_read_again() -> None:
    summary = summarise(runs.made())
    assert convert.from_json(Summary, json.loads(to_text(summary)), "summary.json") == summary
    assert to_text(summary) == to_text(summarise(runs.made()))


def test_figures_are_of_the_valid_trials_only() -> None:
    rates = iter((100.0, 200.0, 9e9))
    run = runs.changed(runs.made((1,)), lambda trial: replace(
        trial, requests_per_sec=next(rates)) if trial.contender == "epoll" else trial)
    run = runs.spoiled(run, {4: {**INVALID, "errors": {"read": 2, "write": 1}}})
    cell = summarise(run).points[0].cells["epoll"]
    assert cell.median("requests_per_sec") == 150.0
    assert (cell.trials, cell.invalid, cell.errors) == (2, 1, 3)


def test_one_contender_or_one_round() -> None:
    alone = summarise(runs.made(contenders=("lwip",))).points[0]
    assert alone.gains == () and alone.best_kernel is None
    once = summarise(runs.made(rounds=1)).points[0]
    assert once.cells["epoll"].figures["requests_per_sec"].ci95 is None
    gain = once.gain("lwip", "epoll")
    assert gain and gain.ci95 is None and gain.verdict == "inconclusive"


def test_a_point_without_a_valid_trial_is_none_and_not_a_crash() -> None:
    run = runs.changed(runs.made(), lambda trial: replace(trial, **INVALID) if (
        trial.contender, trial.point.connections) == ("epoll", 64) else trial)
    point = summarise(run).points[1]
    cell, gain = point.cells["epoll"], point.gain("lwip", "epoll")
    assert cell.figures == {} and cell.latency_us["p99"] is None and cell.cpu_by_role is None
    assert gain and (gain.ratio, gain.ci95, gain.p, gain.p_adjusted, gain.rounds) == (
        None, None, None, None, 0)
    assert cell.limit.by == "unknown"
    json.loads(to_text(summarise(replace(run, trials=()))))


def test_cpu_time_is_split_by_role_and_adds_up() -> None:
    cell = summarise(runs.made((1,))).points[0].cells["lwip"]
    assert cell.cpu_by_role and sum(cell.cpu_by_role.values()) == pytest.approx(
        cell.median("cpu_us_per_request"), rel=1e-5)


def test_the_order_of_records_does_not_matter() -> None:
    run = runs.made()
    assert to_text(summarise(run)) == to_text(summarise(replace(run, trials=run.trials[::-1])))


def test_a_second_record_and_a_foreign_one_are_refused_by_their_line() -> None:
    run = runs.made()
    with pytest.raises(UsageError, match="trials.jsonl:13: a second record of epoll in round 0"):
        summarise(replace(run, trials=(*run.trials, run.trials[0])))
    changes: tuple[dict[str, Any], ...] = (
        {"contender": "nginx"}, {"point": replace(run.trials[0].point, connections=7)})
    for change in changes:
        with pytest.raises(UsageError, match="trials.jsonl:3: .* not in this run's plan"):
            summarise(runs.spoiled(run, {2: change}))


@pytest.mark.parametrize("path", [
    ("run",), ("wire",), ("hugepages",), ("wire", "caveat"), ("wire", "contenders"),
    ("wire", "contenders", "lwip"), ("wire", "contenders", "lwip", "stack")])
def test_missing_facts_are_refused_by_name(path: tuple[str, ...]) -> None:
    run = runs.made()
    facts = copy.deepcopy(dict(run.facts.raw))
    table: Any = facts
    for key in path[:-1]:
        table = table[key]
    del table[path[-1]]
    with pytest.raises(UsageError, match=f"facts.json: '.*{path[-1]}") as caught:
        summarise(replace(run, facts=read_facts(facts)))
    assert "\n" not in str(caught.value)


def busy(trial: TrialRecord, held: bool) -> TrialRecord:
    core = replace(trial.cpu_seconds["0"], user=2.0 if held else 0.5, nice=0.0, system=0.0,
                   irq=0.0, softirq=0.0, idle=0.0 if held else 1.5)
    return replace(trial, cpu_seconds={**trial.cpu_seconds, "0": core})


@pytest.mark.parametrize("held, bound, verdict", [
    ((), None, "slower"), (("epoll",), "upper", "slower"), (("lwip",), "lower", "inconclusive"),
    (("epoll", "lwip"), "both", "inconclusive")])
def test_a_gain_that_a_busy_client_bounds_is_called_what_it_shows(
        held: tuple[str, ...], bound: str | None, verdict: str) -> None:
    run = runs.changed(runs.made((64,)), lambda trial: busy(trial, trial.contender in held))
    gain = summarise(run).points[0].gain("lwip", "epoll")
    assert gain and gain.ci95 and gain.ci95[1] < 1
    assert (gain.bound, gain.verdict) == (bound, verdict)


def test_a_client_that_is_part_of_what_is_compared_bounds_nothing(tmp_path: Path) -> None:
    run = load_run(synthetic.write(tmp_path, connections=(64,), own_clients=("lwip",)))
    summary = summarise(run)
    assert summary.contenders["lwip"].client == "preload"
    assert summary.points[0].cells["lwip"].limit.by == "client cpu"
    gain = summary.points[0].gain("lwip", "epoll")
    assert gain and gain.bound is None


# --- statistics -------------------------------------------------------------------------------


def test_statistics_of_a_run_with_fixed_rounds() -> None:
    summary = summarise(runs.made())
    told = summary.statistics
    assert (told.method, told.adjustment, told.confidence, told.seed) == (
        "moderated-t-log-paired", "holm-headline-and-rest", 0.95, 0)
    assert (told.rounds_done, told.stopped_by, told.family, told.headline_family) == (
        3, StoppedBy.ROUNDS, 2, 2)
    assert told.widest_percent is None and told.rounds_needed is None and summary.rounds == 3
    early = summarise(runs.made(rounds=2, planned=3))
    assert early.statistics.stopped_by == StoppedBy.INTERRUPTED


@pytest.mark.parametrize("precision, rounds, by", [
    (50, 6, "precision"), (5, 4, "interrupted"), (0.1, 4, "futility")])
def test_statistics_of_a_run_with_a_rule(precision: float, rounds: int, by: str) -> None:
    summary = summarise(runs.made(rounds=rounds, planned=3, seed=7, precision_percent=precision))
    told = summary.statistics
    assert (told.rounds_done, told.stopped_by, summary.rounds) == (rounds, by, rounds)
    assert told.widest_percent and 0.1 < told.widest_percent < 50
    assert told.rounds_needed is not None and (told.rounds_needed > rounds) == (by != "precision")


# --- what is not measured ---------------------------------------------------------------------


def test_whom_this_plan_cannot_measure_is_named_by_code() -> None:
    run = runs.made()
    reason = Reason(NotMeasured.NO_BUSY_POLL.value, {"interface": "tap0"})
    run = replace(run, planned=replace(run.plan, not_applicable={"lwip": reason}), trials=tuple(
        trial for trial in run.trials if trial.contender != "lwip"))
    summary = summarise(run)
    note = summary.contenders["lwip"].not_measured
    assert note and (note.code, note.values) == (NotMeasured.NO_BUSY_POLL, {"interface": "tap0"})
    cell = summary.points[0].cells["lwip"]
    assert cell.not_measured == note and cell.limit.evidence == (Note(Evidence.NOT_MEASURED),)


def test_a_contender_is_not_measured_beyond_its_most() -> None:
    run = runs.made()
    wire: Any = copy.deepcopy(run.facts.raw["wire"])
    wire["contenders"]["epoll"]["most_because"] = "it cannot"
    run = runs.told(run, wire=wire)
    run = replace(run, planned=replace(run.plan, most_connections={"epoll": 8}), trials=tuple(
        trial for trial in run.trials
        if (trial.contender, trial.point.connections) != ("epoll", 64)))
    first, second = summarise(run).points
    assert first.cells["epoll"].not_measured is None
    assert second.cells["epoll"].not_measured == Note(
        NotMeasured.BEYOND, {"connections": 8, "because": "it cannot"})


def test_memory_is_shared_by_the_connections_that_are_more() -> None:
    run = runs.made((100, 10_000), 1)
    run = runs.changed(run, lambda trial: replace(
        trial, memory={"resident_bytes": 1_000_000 + 500 * trial.point.connections}))
    few, many = (point.cells["epoll"] for point in summarise(run).points)
    assert few.memory_per_connection is None and many.memory_per_connection == 500
    assert many.median("memory_bytes") == 6_000_000


def test_points_of_a_sweep_over_another_axis_stand_apart(tmp_path: Path) -> None:
    run = runs.made((8,), 3)
    plan = replace(run.plan, body_sizes=(1, 1000))
    again = tuple(replace(trial, point=replace(trial.point, body_size_bytes=1000))
                  for trial in run.trials)
    summary = summarise(replace(run, planned=plan, trials=(*run.trials, *again)))
    assert summary.sweep == ("body",) and summary.statistics.family == 2
    assert [point.at.body_size_bytes for point in summary.points] == [1, 1000]
    assert summary.points[0].cells == summary.points[1].cells


# --- the client's ceiling ---------------------------------------------------------------------


def test_the_ceiling_stands_with_its_point() -> None:
    run = runs.made()
    canned = replace(busy(run.trials[0], True), contender="canned", round=0)
    summary = summarise(replace(run, calibration=(canned,)))
    first, second = summary.points
    reached = max(first.cells[name].median("requests_per_sec") or 0 for name in first.cells)
    assert first.ceiling and first.ceiling.requests_per_sec >= reached
    assert first.ceiling.raised == first.ceiling.at_least == (canned.requests_per_sec < reached)
    assert second.ceiling is None
    high = replace(canned, requests_per_sec=2 * reached)
    first = summarise(replace(run, calibration=(high,))).points[0]
    assert first.ceiling and (first.ceiling.contender, first.ceiling.at_least) == ("canned", False)
    assert any(note.code == Evidence.CEILING for note in first.cells["epoll"].limit.evidence)


LIMITED = ("epoll", "uring", "lwip", "minimal")


def test_a_limit_is_in_no_gain_and_takes_part_in_no_correction() -> None:
    """All else is as in a run without it: it is measured, and changes nothing."""
    run = runs.made((1, 64), 3, LIMITED, limits=["minimal"])
    summary = summarise(run)
    without = summarise(replace(
        run, planned=replace(run.plan, contenders=LIMITED[:-1], limits=()),
        trials=tuple(trial for trial in run.trials if trial.contender != "minimal")))
    assert [point.gains for point in summary.points] == [point.gains for point in without.points]
    assert summary.statistics == without.statistics and summary.statistics.family > 0
    assert [point.best_kernel for point in summary.points] == [
        point.best_kernel for point in without.points]
    assert [name for name, info in summary.contenders.items() if info.limit] == ["minimal"]
    assert not summary.contenders["minimal"].baseline
    assert summary.points[0].cells["minimal"].figures.keys() == \
        summary.points[0].cells["epoll"].figures.keys()


def test_the_distance_to_a_limit_is_paired_by_round() -> None:
    """In each round the limit has twice the rate and a third of the cycles, whatever the round
    did to both: the factor is exact, and its interval has no width."""
    def change(trial: TrialRecord) -> TrialRecord:
        limit, drift = trial.contender == "minimal", 1.0 + trial.round
        return replace(trial, requests_per_sec=drift * (2000 if limit else 1000),
                       cycles_per_request=drift * (300 if limit else 900))
    run = runs.changed(runs.made((1, 64), 3, ("epoll", "lwip", "minimal"), limits=["minimal"]), change)
    point = summarise(run).points[1]
    assert [factor.contender for factor in point.floor_factors] == ["epoll", "lwip"]
    factor = point.floor_factor("lwip", "minimal")
    assert factor and (factor.throughput.ratio, factor.throughput.rounds) == (2.0, 3)
    assert factor.throughput.ci95 == pytest.approx((2, 2))
    assert factor.cycles.ratio == 3.0 and factor.cycles.ci95 == pytest.approx((3, 3))
    assert point.floor_factor("minimal", "minimal") is None


def test_a_limit_without_a_valid_trial_leaves_a_factor_that_is_not_known() -> None:
    run = runs.changed(runs.made((1,), 2, ("epoll", "minimal"), limits=["minimal"]), lambda trial: replace(
        trial, **INVALID) if trial.contender == "minimal" else trial)
    factor, = summarise(run).points[0].floor_factors
    assert (factor.throughput.ratio, factor.throughput.ci95, factor.throughput.rounds) == (None, None, 0)
    assert summarise(runs.made((1,))).points[0].floor_factors == ()


if __name__ == "__main__":
    GOLDEN.write_text(small())
