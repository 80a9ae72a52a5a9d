# SPDX-License-Identifier: BSD-3-Clause
"""What a person sees: the bar's words, plain lines, time left."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from harness.plan import LoadPoint, load_plan, round_specs, schedule
from harness.run.progress import Progress, TimeLeft, clock, code_text, rate
from harness.analyse.stopping_rule import Look
from harness.store.codes import Note, Problem
from harness.store.trial_record import Reconcile, TrialRecord
from harness.plan import load_wire

TWO = {"DURATION": "2", "RESTART": "trial", "CONTENDERS": "epoll,lwip"}
PLAN = load_plan("quick", load_wire("tap"), (0, 1), {"CONNECTIONS": "8", "ROUNDS": "2", **TWO})


PROBLEMS = (Note(Problem.REFUSED, {"count": 2}), Note(Problem.OPTIMISATIONS_UNKNOWN))


@pytest.fixture(autouse=True)
def terminal_that_can_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")


def record(valid: bool = True) -> TrialRecord:
    return TrialRecord("epoll", LoadPoint(8), 0, 0, 1, "2026-01-02T03:04:05Z", 2.0, 93824, 46912.3, 10**6,
                       {"p99": 2100}, ((100.0, 1),), {}, Reconcile(1, 1, 1, 0), {},
                       problems=() if valid else PROBLEMS)


def shown(terminal: bool) -> str:
    out = io.StringIO()
    trials = schedule(PLAN)
    with Progress(PLAN, len(trials), code_text, Console(file=out, force_terminal=terminal, width=200)) as progress:
        for number, spec in enumerate(trials):
            progress.start([spec])
            progress.done([(spec, record(valid=number != 1))])
    return out.getvalue()


def test_plain_lines_are_one_a_trial() -> None:
    lines = shown(terminal=False).splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("[1/4] round 1/2, 8 connections, epoll: 46.9 k/s, p99 2100 us, 0:0")
    assert lines[1] == "[2/4] round 1/2, 8 connections, lwip: INVALID: connections-refused count=2; optimisations-unknown"
    assert lines[2].startswith("[3/4] round 2/2, 8 connections, lwip: 46.9 k/s")


def test_a_terminal_has_a_bar_with_throughput_so_far_and_the_invalid_ones_above_it() -> None:
    text = shown(terminal=True)
    assert "round 2/2, 8 connections, lwip  so far: epoll 46.9 k/s" in text
    assert "left" in text and "4/4" in text
    assert "[2/4] round 1/2, 8 connections, lwip: INVALID" in text
    assert "p99" not in text


def test_time_left_is_the_plans_at_first_and_then_as_measured() -> None:
    now = [100.0]
    left = TimeLeft(PLAN, 3, lambda: now[0])
    assert left.seconds() == 3 * (1 + 2 + 2)
    now[0] += 2
    assert left.seconds() == 13
    now[0] += 5
    left.trials_done()
    assert left.seconds() == 14
    now[0] += 100
    assert left.seconds() == 0


@pytest.mark.parametrize("value, text", [
    (0, "0 /s"), (999, "999 /s"), (12345, "12.3 k/s"), (187544.78, "188 k/s"), (1107349.6, "1.11 M/s")])
def test_rates_are_readable(value: float, text: str) -> None:
    assert rate(value) == text


def test_clock() -> None:
    assert [clock(seconds) for seconds in (0, 59.9, 61, 3600)] == ["0:00", "0:59", "1:01", "60:00"]


RULE = load_plan("quick", load_wire("tap"), (0, 1), {
    **TWO, "CONNECTIONS": "8", "ROUNDS": "5", "PRECISION": "3", "BUDGET": "100s"})


def look(rounds: int, more: int | None, spent: float, widest: float | None = 0.05) -> Look:
    return Look(rounds, None, widest, widest, ("lwip", LoadPoint(8)), None if more is None else rounds + more, spent, 10)


def test_time_left_with_a_rule_is_the_rounds_a_guess_and_a_limit() -> None:
    now = [100.0]
    left = TimeLeft(RULE, 10, lambda: now[0])
    left.looked(look(0, None, 0, None), 2)
    assert left.text() == "round ends in 0:10; at least 5 more rounds, 0:50; at most 1:40"
    now[0] += 4
    assert left.text() == "round ends in 0:06; at least 5 more rounds, 0:46; at most 1:36"
    now[0] += 2
    left.trials_done()
    assert left.text() == "round ends in 0:06; at least 5 more rounds, 0:54; at most 1:34"
    now[0] += 6
    left.trials_done()
    left.looked(look(5, 4, 60), 2)
    assert left.text() == "round ends in 0:12; about 4 more rounds would be needed; at most 0:40"
    left.looked(look(6, 3, 60), 2)
    assert left.text() == "round ends in 0:12; about 3 more rounds, 0:36; at most 0:40"
    left.looked(look(7, 1, 90), 2)
    assert left.text() == "round ends in 0:12; about 1 more round, 0:12; at most 0:12"


def test_time_left_without_a_budget_has_no_limit() -> None:
    left = TimeLeft(replace(RULE, budget_seconds=0), 2, lambda: 0.0)
    left.looked(look(6, 3, 60), 2)
    assert left.text() == "round ends in 0:10; about 3 more rounds, 0:30"


def test_where_rounds_are_fixed_a_look_changes_nothing() -> None:
    left = TimeLeft(PLAN, 3, lambda: 0.0)
    left.looked(look(1, 1, 0), 2)
    assert left.text() == "0:15 left"


def test_lines_of_rounds_without_an_end() -> None:
    out = io.StringIO()
    with Progress(RULE, 10, code_text, Console(file=out, force_terminal=False, width=200)) as progress:
        for rounds in (4, 5):
            progress.looked(look(rounds, 3, 0), 2)
            for spec in round_specs(RULE, rounds):
                progress.start([spec])
                progress.done([(spec, record())])
    lines = out.getvalue().splitlines()
    assert lines[0].startswith("[1] round 5/5+, 8 connections, epoll: 46.9 k/s, p99 2100 us, round ends in 0:0")
    assert lines[2].startswith("[3] round 6, 8 connections, lwip: ")


def test_a_bar_of_rounds_without_an_end_reaches_as_far_as_is_likely() -> None:
    out = io.StringIO()
    with Progress(RULE, 10, code_text, Console(file=out, force_terminal=True, width=200)) as progress:
        progress.looked(look(5, 3, 0), 2)
        spec = round_specs(RULE, 5)[0]
        progress.start([spec])
        progress.done([(spec, record())])
    assert "1/6" in out.getvalue() and "about 3 more rounds" in out.getvalue()
