# SPDX-License-Identifier: BSD-3-Clause
"""Tell which attempt at a trial counts, and whether another is to follow. Pure.

A disturbed trial is run again at once and stays on record. Whether it is repeated depends on what
was seen beside it and on nothing that it measured: a rule that looked at its throughput would keep
those trials that suit it, and move the median (selection bias). So neither an outlier nor a trial
whose throughput did not settle is repeated. Nor is an invalid one: what failed a check once is to
be seen, and a repetition that passes would hide it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Iterable, Sequence

from harness.plan import LoadPoint
from harness.store.codes import Interference
from harness.store.trial_record import TrialRecord

Key = tuple[str, LoadPoint, int]


@dataclass(frozen=True)
class InterferenceCount:
    """How many attempts, and how many trials that count, one kind of interference disturbed."""

    kind: Interference
    disturbed: int
    stayed: int


@dataclass(frozen=True)
class Attempts:
    """Disturbed trials of a run, and what became of them.

    attempts, trials: of the run
    disturbed, repeated: attempts
    stayed: trials that count and are disturbed all the same
    reasons: the most frequent first; a trial may have several
    """

    attempts: int
    trials: int
    disturbed: int
    repeated: int
    stayed: int
    reasons: tuple[InterferenceCount, ...]


def should_retry(record: TrialRecord, most: int) -> bool:
    """Tell whether this trial, the last attempt so far, is repeated; `most` attempts in all."""
    return record.valid and bool(record.disturbed) and record.attempt + 1 < most


def finished(records: Iterable[TrialRecord], most: int) -> set[Key]:
    """Return the trials of which nothing is left to do, also after an interrupted run."""
    return {key for key, record in _last(records).items() if not should_retry(record, most)}


def next_attempt(records: Iterable[TrialRecord], key: Key) -> int:
    """Return the number, from 0, of the next attempt at this trial."""
    return max((record.attempt + 1 for record in records if record.key == key), default=0)


def counting(records: Sequence[TrialRecord]) -> list[bool]:
    """Tell of each record whether it is the one of its attempts that counts.

    The first valid one that was not disturbed; if none, the last valid one; if none, the last.
    Attempts are in the order of their numbers, whatever that of the records.
    """
    groups: dict[Key, list[int]] = {}
    for place, record in enumerate(records):
        groups.setdefault(record.key, []).append(place)
    chosen = set()
    for places in groups.values():
        places.sort(key=lambda place: records[place].attempt)
        valid = [place for place in places if records[place].valid]
        calm = [place for place in valid if not records[place].disturbed]
        chosen.add((calm[:1] or valid[-1:] or places[-1:])[0])
    return [place in chosen for place in range(len(records))]


def counted(records: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Return those that count, in their order: one of each trial."""
    return [record for record, counts in zip(records, counting(records)) if counts]


def reported(records: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Return those that count, and every invalid one: figures leave it out but tell of it."""
    return [record for record, counts in zip(records, counting(records))
            if counts or not record.valid]


def account(records: Sequence[TrialRecord]) -> Attempts | None:
    """Return what became of disturbed trials; None where there was none."""
    counts = {id(record) for record in counted(records)}
    disturbed = [record for record in records if record.disturbed]
    if not disturbed:
        return None
    kinds: Counter[Interference] = Counter()
    stayed: Counter[Interference] = Counter()
    for record in disturbed:
        codes = {note.code for note in record.disturbed}
        kinds.update(codes)
        stayed.update(codes if id(record) in counts else ())
    return Attempts(
        len(records), len(_last(records)), len(disturbed),
        sum(record.attempt > 0 for record in records),
        sum(id(record) in counts for record in disturbed),
        tuple(InterferenceCount(kind, count, stayed[kind]) for kind, count in
              sorted(kinds.items(), key=lambda item: (-item[1], item[0]))))


def _last(records: Iterable[TrialRecord]) -> dict[Key, TrialRecord]:
    return {record.key: record for record in sorted(records, key=lambda record: record.attempt)}
