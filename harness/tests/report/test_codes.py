# SPDX-License-Identifier: BSD-3-Clause
"""Every code has a sentence, with its numbers in it."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Mapping

import pytest

from harness.analyse import Attempts, Steadiness, Summary
from harness.report.report import loaded
from harness.report.templates import environment, macro, note_text

from harness.store import (
    CableNote, Caveat, Evidence, Interference, NotCalibrated, NotMeasured, Note, Problem, StoppedBy, Unsettled)
from harness.tests.fixtures import synthetic

# what each value of a code is in these tests
VALUES: Mapping[str, Any] = {
    "share": 0.031, "most": "cc1", "mhz": 2000, "before_mhz": 3000, "events": 7, "when": "before", "what": "bytes",
    "phase": "load", "kind": "read", "count": 11, "requests": 12, "size": 13, "bytes": 14, "counter": "parsed",
    "sent": 21, "limit": 22, "received": 23, "arrived": 24, "expected": 25, "names": ("tso", "pools"),
    "machine": "me@there", "seconds": 1.5, "of_seconds": 9, "text": "for a reason", "shift": 0.07, "change": 0.08,
    "connections": 31, "requests_per_sec": 32, "as": "epoll", "cores": 4, "interface": "eth0", "workload": "cps",
    "body_size_bytes": 33, "because": "it would never end", "contenders": ("epoll",), "points": (0, 2), "compared": 0,
    "why": "no pages", "cpus": (2, 3), "done": 41, "planned": 42, "at_least": 1, "invalid": 43, "trials": 44, "of": 45,
    "stopped_by": "budget", "precision_percent": 3.0, "widest_percent": 5.5, "role": "client", "cpu": "7",
    "user": 0.5, "system": 0.25, "interrupts": 0.12, "in_flight": 0.98, "latency_us": 80.0, "by_median": 1,
    "place": "a bridge", "packets": 51, "speed_mbps": 10_000,
    "server": "server0", "server_mbps": 10_000, "client": "eth7", "client_mbps": 1000, "ahead_seconds": 1.5,
    "version": "4.2.0", "here": "4.1.0", "packets_per_request": 2.5, "end": "server",
    "told_seconds": 5.01, "turn_seconds": 8.5, "contender": "uring", "measured": 30,
}
NIC_COUNTER: Mapping[str, Any] = {"end": "server", "counter": "rx_missed_errors", "count": 52, "kind": "missed"}


@pytest.fixture(scope="module")
def summary(tmp_path_factory: pytest.TempPathFactory) -> Summary:
    _, found = loaded(synthetic.write(tmp_path_factory.mktemp("codes") / "run"))
    absent = Note(NotMeasured.ONE_CORE, {"as": "epoll"})
    return replace(
        found, contenders={name: replace(info, not_measured=absent) for name, info in found.contenders.items()},
        attempts=Attempts(9, 8, 3, 1, 2, ()), steadiness=Steadiness(8, 3, 1, None, (), 4, ()))


@pytest.mark.parametrize("kind", [Interference, Problem, Unsettled, NotMeasured, NotCalibrated, Evidence,
                                  CableNote])
def test_each_code_has_a_sentence_of_its_own(kind: type[StrEnum]) -> None:
    found = {note_text(Note(code, NIC_COUNTER if code == Evidence.NIC_COUNTER else VALUES)) for code in kind}
    assert len(found) == len(kind) and all(found)


def test_a_code_with_its_numbers_is_a_phrase_for_a_terminal() -> None:
    assert note_text(Note(Interference.OTHERS, {"share": 0.159, "most": "cc1"})) == \
        "other programs took 15.9 % of the CPU time, cc1 the most"
    assert note_text(Note(NotMeasured.NOT_ALL_CORES, {"cores": 4})) == \
        "not applicable: it does not use all 4 server cores"


def test_each_caveat_has_a_sentence_of_its_own(summary: Summary) -> None:
    found = {code: macro("codes.j2", "caveat", Note(code, VALUES), summary)[0] for code in Caveat}
    assert len(set(found.values())) == len(Caveat)
    assert "1 and 64 connections" in found[Caveat.CLIENT_LIMIT]


def test_each_end_of_a_run_has_a_phrase() -> None:
    assert len({macro("codes.j2", "stopped_by", code)[0] for code in StoppedBy}) == len(StoppedBy)


@pytest.mark.parametrize("code, values, shown", [
    (Evidence.ROUND_TRIP, {"connections": 8}, "8 connections"),
    (Evidence.ROUND_TRIP, {"connections": 1, "in_flight": 0.98}, "0.98"),
    (Evidence.CORE, VALUES, "CPU 7 (client)"), (Evidence.LINE_SHARE, VALUES, "10,000 Mb/s"),
    (Evidence.NIC_LOST, {"share": 0.000131}, "0.013 %"), (Evidence.CLIENT_CORE, {"share": 0.97}, "97 %")])
def test_numbers_stand_in_the_sentence(code: Evidence, values: Mapping[str, Any], shown: str) -> None:
    assert shown in macro("codes.j2", "evidence", Note(code, values))[0]


def test_what_is_not_known_is_left_out() -> None:
    for kind, name, code in ((Interference, "interference", Interference.OTHERS),
                             (Problem, "problem", Problem.NOTHING_ANSWERED), (Unsettled, "unsettled", Unsettled.NEVER)):
        values: dict[str, Any] = {"share": 0.5} if code is Interference.OTHERS else {}
        assert macro("codes.j2", name, Note(code, values))


def test_a_page_escapes_what_a_code_holds() -> None:
    module: Any = environment(True).get_template("codes.j2").module
    assert "<b>" not in module.problem(Note(Problem.OTHER, {"text": "<b>"}))
