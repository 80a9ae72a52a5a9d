# SPDX-License-Identifier: BSD-3-Clause
"""Which attempt at a trial is repeated, and which counts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies

from harness.store import attempts

WHY = ["other programs took 40.0 % of the CPU time, 'cc1' the most"]
STOLEN = ["the hypervisor took 9.0 % of the CPU time"]


def record(attempt: int = 0, disturbed: list[str] | None = None, valid: bool = True, rate: float = 100.0,
           **at: Any) -> dict[str, Any]:
    return {"contender": "epoll", "connections": 8, "round": 0, "valid": valid, "requests_per_sec": rate, **at,
            **({"attempt": attempt} if attempt else {}), **({"disturbed": disturbed} if disturbed else {})}


RECORDS = strategies.lists(strategies.tuples(strategies.sampled_from(["epoll", "lwip"]), strategies.integers(0, 2),
                                             strategies.booleans(), strategies.booleans()), max_size=12)


@pytest.mark.parametrize("of, most, repeated", [
    (record(), 3, False), (record(disturbed=WHY), 3, True), (record(1, WHY), 3, True), (record(2, WHY), 3, False),
    (record(disturbed=WHY, valid=False), 3, False), (record(disturbed=WHY), 1, False), (record(1), 3, False)])
def test_only_a_disturbed_valid_trial_is_repeated_and_only_so_often(of: dict[str, Any], most: int,
                                                                         repeated: bool) -> None:
    assert attempts.again(of, most) is repeated


@given(strategies.floats(0, 1e9), strategies.floats(0, 1e9), strategies.booleans(), strategies.integers(0, 3))
def test_the_decision_does_not_depend_on_what_was_measured(one: float, other: float, disturbed: bool,
                                                           attempt: int) -> None:
    words = WHY if disturbed else None
    assert attempts.again(record(attempt, words, rate=one)) == attempts.again(record(attempt, words, rate=other))


@pytest.mark.parametrize("records, place", [
    ([record()], 0),
    ([record(disturbed=WHY), record(1)], 1),
    ([record(disturbed=WHY), record(1, WHY), record(2, WHY)], 2),
    ([record(disturbed=WHY), record(1, valid=False)], 0),
    ([record(disturbed=WHY), record(1, rate=0.0)], 0),
    ([record(valid=False)], 0),
    ([record(1), record(disturbed=WHY)], 0),
    # a faster one that was disturbed does not count
    ([record(disturbed=WHY, rate=500.0), record(1, rate=90.0)], 1),
])
def test_which_counts(records: list[dict[str, Any]], place: int) -> None:
    assert attempts.counting(records) == [number == place for number in range(len(records))]
    assert attempts.counted(records) == [records[place]]


def test_invalid_attempts_stay_to_be_told_of() -> None:
    assert attempts.figured([record(disturbed=WHY), record(1, WHY), record(2, valid=False)]) == [False, True, True]


def test_runs_of_before_are_counted_as_they_are() -> None:
    records = [record(round=0), record(round=1, valid=False), record(contender="lwip")]
    assert attempts.counted(records) == records and attempts.account(records) == {}


@given(RECORDS)
def test_of_each_trial_exactly_one_counts(rows: list[tuple[str, int, bool, bool]]) -> None:
    records: list[dict[str, Any]] = []
    for contender, round_, disturbed, valid in rows:
        number = attempts.next_attempt(records, (contender, 8, 0, round_))
        records.append(record(number, WHY if disturbed else None, valid, contender=contender, round=round_))
    counted = attempts.counted(records)
    keys = [attempts.key(each) for each in counted]
    assert len(set(keys)) == len(keys) and set(keys) == {attempts.key(each) for each in records}
    assert len({(attempts.key(each), each.get("attempt", 0)) for each in records}) == len(records)
    for each in counted:
        others = [other for other in records if attempts.key(other) == attempts.key(each)]
        if each.get("disturbed") or not attempts.valid_one(each):
            assert not any(attempts.valid_one(other) and not other.get("disturbed") for other in others)


def test_open_loop_trials_differ_by_their_rate() -> None:
    assert len(attempts.counted([record(offered=1000), record(offered=2000)])) == 2


def test_a_run_that_ended_between_two_attempts_goes_on_with_the_next() -> None:
    records = [record(), record(disturbed=WHY, round=1), record(disturbed=WHY, round=2), record(1, round=2)]
    assert attempts.finished(records) == {("epoll", 8, 0, 0), ("epoll", 8, 0, 2)}
    assert attempts.finished(records, most=1) == {("epoll", 8, 0, number) for number in range(3)}
    assert [attempts.next_attempt(records, ("epoll", 8, 0, number)) for number in range(4)] == [1, 1, 2, 0]


def test_the_account_says_what_was_disturbed_by_what() -> None:
    records = [record(disturbed=WHY), record(1, [*WHY, *STOLEN]), record(2, STOLEN), record(round=1, disturbed=WHY),
               record(1, round=1), record(round=2)]
    assert attempts.account(records) == {
        "attempts": 6, "trials": 3, "disturbed": 4, "repeated": 3, "stayed": 1,
        "reasons": [{"kind": "other programs", "disturbed": 3, "stayed": 0},
                    {"kind": "stolen CPU time", "disturbed": 2, "stayed": 1}]}
