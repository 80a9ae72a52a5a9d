# SPDX-License-Identifier: BSD-3-Clause
"""A trial that was disturbed is run again at once and stays on record: which is repeated, and which counts. Pure.

Whether a trial is repeated depends on what was seen beside it (disturbance.py) and on nothing that it measured: a rule
that looked at its throughput would keep those trials that suit it, and move the median (selection bias). So neither an
outlier nor a trial whose throughput did not settle is repeated. Nor is an invalid one: what failed a check once is to
be seen, and a repetition that passes would hide it.
"""

from __future__ import annotations

from typing import Any, Iterable, Mapping, Sequence

from harness.plan import MOST_ATTEMPTS

Record = Mapping[str, Any]
Key = tuple[str, int, int, int]


def key(record: Record) -> Key:
    """What the attempts at one trial share: contender, connections, offered load (0: closed loop), round."""
    return record["contender"], record["connections"], record.get("offered", 0), record["round"]


def again(record: Record, most: int = MOST_ATTEMPTS) -> bool:
    """Is this trial, the last attempt so far, to be repeated? `most` attempts in all."""
    return bool(record["valid"] and record.get("disturbed")) and int(record.get("attempt", 0)) + 1 < most


def finished(records: Iterable[Record], most: int = MOST_ATTEMPTS) -> set[Key]:
    """The trials of which nothing is left to do, where a run was interrupted between two attempts."""
    return {at for at, record in _last(records).items() if not again(record, most)}


def next_attempt(records: Iterable[Record], of: Key) -> int:
    """The number, from 0, of the next attempt at this trial."""
    return max((int(record.get("attempt", 0)) + 1 for record in records if key(record) == of), default=0)


def counting(records: Sequence[Record]) -> list[bool]:
    """For each record: is it the one of its attempts that counts?

    The first valid one that was not disturbed; if none, the last valid one; if none, the last. Attempts are in the
    order of their numbers, whatever that of the records.
    """
    groups: dict[Key, list[int]] = {}
    for place, record in enumerate(records):
        groups.setdefault(key(record), []).append(place)
    chosen = set()
    for places in groups.values():
        places.sort(key=lambda place: int(records[place].get("attempt", 0)))
        valid = [place for place in places if valid_one(records[place])]
        calm = [place for place in valid if not records[place].get("disturbed")]
        chosen.add((calm[:1] or valid[-1:] or places[-1:])[0])
    return [place in chosen for place in range(len(records))]


def counted(records: Sequence[Record]) -> list[Record]:
    """Those that count, in their order: one of each trial."""
    return [record for record, counts in zip(records, counting(records)) if counts]


def figured(records: Sequence[Record]) -> list[bool]:
    """For each record: is it to be looked at for figures? Those that count, and every invalid one, which figures leave
    out but tell of."""
    return [counts or not valid_one(record) for record, counts in zip(records, counting(records))]


def valid_one(record: Record) -> bool:
    """A trial without an answer has measured nothing."""
    return record["valid"] is True and record["requests_per_sec"] > 0


def account(records: Sequence[Record]) -> dict[str, Any]:
    """A summary's `attempts`; {} where no trial was disturbed.

    `disturbed` and `repeated`: attempts; `stayed`: trials that count and are disturbed all the same; `reasons`: by
    kind, how many attempts and how many of the trials that stayed (one may have several), the most frequent first.
    """
    disturbed = [(record, counts) for record, counts in zip(records, counting(records)) if record.get("disturbed")]
    if not disturbed:
        return {}
    kinds: dict[str, list[int]] = {}
    for record, counts in disturbed:
        for kind in dict.fromkeys(map(_kind, record["disturbed"])):
            sums = kinds.setdefault(kind, [0, 0])
            sums[0] += 1
            sums[1] += counts
    return {"attempts": len(records), "trials": len(_last(records)), "disturbed": len(disturbed),
            "repeated": sum(int(record.get("attempt", 0)) > 0 for record in records),
            "stayed": sum(counts for _, counts in disturbed),
            "reasons": [{"kind": kind, "disturbed": sums[0], "stayed": sums[1]} for kind, sums in
                        sorted(kinds.items(), key=lambda each: (-each[1][0], each[0]))]}


def _last(records: Iterable[Record]) -> dict[Key, Record]:
    """By trial, its last attempt."""
    last: dict[Key, Record] = {}
    for record in sorted(records, key=lambda each: int(each.get("attempt", 0))):
        last[key(record)] = record
    return last


_KINDS: Mapping[str, str] = {
    "the hypervisor took": "stolen CPU time", "other programs took": "other programs",
    "the clock was": "lower clock", "the processor throttled": "throttling"}


def _kind(sentence: str) -> str:
    return next((name for beginning, name in _KINDS.items() if sentence.startswith(beginning)), sentence)
