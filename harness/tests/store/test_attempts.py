# SPDX-License-Identifier: BSD-3-Clause
"""Which attempt at a trial is repeated, and which counts."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies

from harness.plan import LoadPoint
from harness.store import attempts
from harness.store.attempts import Attempts, InterferenceCount
from harness.store.codes import Interference, Note, Problem
from harness.store.trial_record import TrialRecord
from harness.tests.fixtures.trial_records import OTHERS, STOLEN, make

WHY, AT = (OTHERS,), LoadPoint(8)


def record(attempt: int = 0, disturbed: tuple[Note[Interference], ...] = (), valid: bool = True,
           rate: float = 100.0, contender: str = "epoll", round_: int = 0,
           point: LoadPoint = AT) -> TrialRecord:
    return make(contender=contender, point=point, round=round_, attempt=attempt, disturbed=disturbed,
                requests_per_sec=rate, problems=() if valid else (Note(Problem.REFUSED, {"count": 1}),))


RECORDS = strategies.lists(strategies.tuples(
    strategies.sampled_from(["epoll", "lwip"]), strategies.integers(0, 2), strategies.booleans(),
    strategies.booleans()), max_size=12)


@pytest.mark.parametrize("of, most, repeated", [
    (record(), 3, False), (record(disturbed=WHY), 3, True), (record(1, WHY), 3, True),
    (record(2, WHY), 3, False), (record(disturbed=WHY, valid=False), 3, False),
    (record(disturbed=WHY), 1, False), (record(1), 3, False)])
def test_only_a_disturbed_valid_trial_is_repeated_and_only_so_often(of: TrialRecord, most: int,
                                                                    repeated: bool) -> None:
    assert attempts.should_retry(of, most) is repeated


@given(strategies.floats(1, 1e9), strategies.floats(1, 1e9), strategies.booleans(),
       strategies.integers(0, 3))
def test_the_decision_does_not_depend_on_what_was_measured(one: float, other: float, disturbed: bool,
                                                           attempt: int) -> None:
    why = WHY if disturbed else ()
    assert (attempts.should_retry(record(attempt, why, rate=one), 3)
            == attempts.should_retry(record(attempt, why, rate=other), 3))


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
def test_which_counts(records: list[TrialRecord], place: int) -> None:
    assert attempts.counting(records) == [number == place for number in range(len(records))]
    assert attempts.counted(records) == [records[place]]


def test_invalid_attempts_stay_to_be_told_of() -> None:
    records = [record(disturbed=WHY), record(1, WHY), record(2, valid=False)]
    assert attempts.reported(records) == records[1:]


def test_undisturbed_trials_all_count() -> None:
    records = [record(round_=0), record(round_=1, valid=False), record(contender="lwip")]
    assert attempts.counted(records) == records and attempts.account(records) is None


@given(RECORDS)
def test_of_each_trial_exactly_one_counts(rows: list[tuple[str, int, bool, bool]]) -> None:
    records: list[TrialRecord] = []
    for contender, round_, disturbed, valid in rows:
        number = attempts.next_attempt(records, (contender, AT, round_))
        records.append(record(number, WHY if disturbed else (), valid, contender=contender,
                              round_=round_))
    counted = attempts.counted(records)
    keys = [one.key for one in counted]
    assert len(set(keys)) == len(keys) and set(keys) == {one.key for one in records}
    assert len({(one.key, one.attempt) for one in records}) == len(records)
    for one in counted:
        if one.disturbed or not one.valid:
            assert not any(other.valid and not other.disturbed
                           for other in records if other.key == one.key)


def test_trials_at_other_points_are_other_trials() -> None:
    points = [LoadPoint(8, 1000), LoadPoint(8, 2000), LoadPoint(8, server_cores=2),
              LoadPoint(8, body_size_bytes=3700), LoadPoint(8, impairment="loss 1%")]
    assert len(attempts.counted([record(point=point) for point in points])) == 5


def test_a_run_that_ended_between_two_attempts_goes_on_with_the_next() -> None:
    records = [record(), record(disturbed=WHY, round_=1), record(disturbed=WHY, round_=2),
               record(1, round_=2)]
    assert attempts.finished(records, 3) == {("epoll", AT, 0), ("epoll", AT, 2)}
    assert attempts.finished(records, 1) == {("epoll", AT, number) for number in range(3)}
    assert [attempts.next_attempt(records, ("epoll", AT, number)) for number in range(4)] == [1, 1, 2, 0]


def test_the_account_says_what_was_disturbed_by_what() -> None:
    records = [record(disturbed=WHY), record(1, (OTHERS, STOLEN)), record(2, (STOLEN,)),
               record(round_=1, disturbed=WHY), record(1, round_=1), record(round_=2)]
    assert attempts.account(records) == Attempts(
        attempts=6, trials=3, disturbed=4, repeated=3, stayed=1,
        reasons=(InterferenceCount(Interference.OTHERS, disturbed=3, stayed=0),
                 InterferenceCount(Interference.STOLEN, disturbed=2, stayed=1)))
