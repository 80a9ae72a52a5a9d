# SPDX-License-Identifier: BSD-3-Clause
"""What a run takes over of records of obligations: of the very programs that it measured."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UsageError
from harness.report import terminal_lines, write_report
from harness.store import (
    Conformance, Obligation, Outcome, Result, Run, Severity, UnderTest, adopt_conformance, create_conformance,
    load_run, write_conformance)
from harness.tests.fixtures import synthetic

OBLIGATIONS = (Obligation("small", "It does.", "RFC 1", Severity.MINOR),
               Obligation("large", "It must.", "RFC 2", Severity.ATTACK))
KEPT, MISSED = Outcome(Result.KEPT), Outcome(Result.MISSED, "<b>7</b> answers", ("0.1 > S",))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    place = Path(shutil.copytree(synthetic.GOLDEN, tmp_path / "runs" / "golden"))
    facts = json.loads((place / "facts.json").read_text())
    programs = {item["program"]: {"path": item["program"], "sha256": item["label"]} for item in facts["wire"]["contenders"].values()}
    (place / "facts.json").write_text(json.dumps({**facts, "binaries": {
        "programs": programs, "libraries": {}, "lwip_patches": {}}}))
    return load_run(place)


def _tested(run: Run, name: str, outcome: Outcome = KEPT) -> UnderTest:
    facts = run.facts
    contender = facts.wire.contenders[name]
    return UnderTest(name, name, contender.stack, contender.arguments,
                     {contender.program: facts.binaries.programs[contender.program].sha256},
                     (facts.kernel.release or "") if contender.stack == "kernel" else "", "tap", "r",
                     {"small": outcome, "large": outcome})


def _write(results: Path, id_: str, *tested: UnderTest) -> None:
    write_conformance(create_conformance(id_, results), Conformance(id_, OBLIGATIONS, tested), {})


def test_the_newest_record_of_the_same_program_is_taken(run: Run, tmp_path: Path) -> None:
    _write(tmp_path, "20260101-000000-tap", _tested(run, "epoll"), _tested(run, "lwip"))
    _write(tmp_path, "20260102-000000-tap", _tested(run, "lwip", MISSED))
    found = adopt_conformance(run, tmp_path).conformance
    assert found and [item.contender for item in found.contenders] == ["epoll", "lwip"]
    assert found.contenders[0].outcomes["small"] == KEPT and found.contenders[1].outcomes["small"] == MISSED
    assert load_run(run.path).conformance == found


@pytest.mark.parametrize("other", ({"programs": {"build/lwip_server": "0" * 64}}, {"programs": {}},
                                   {"arguments": ("--waive=all",)}, {"stack": "preload"}, {"kernel": "6.1"}))
def test_another_program_is_not(run: Run, tmp_path: Path, other: dict[str, Any]) -> None:
    _write(tmp_path, "20260101-000000-tap", replace(_tested(run, "lwip"), **other))
    assert adopt_conformance(run, tmp_path).conformance is None
    assert not (run.path / "conformance.json").exists()


def test_a_record_of_cases_that_were_named_says_too_little(run: Run, tmp_path: Path) -> None:
    write_conformance(create_conformance("20260101-000000-tap", tmp_path),
                      Conformance("20260101-000000-tap", OBLIGATIONS, (_tested(run, "lwip"),), named=True), {})
    assert adopt_conformance(run, tmp_path).conformance is None


def test_what_a_run_has_it_keeps(run: Run, tmp_path: Path) -> None:
    _write(tmp_path, "20260101-000000-tap", _tested(run, "lwip"))
    run = adopt_conformance(run, tmp_path)
    _write(tmp_path, "20260102-000000-tap", _tested(run, "lwip", MISSED))
    assert adopt_conformance(run, tmp_path) == run


def test_a_file_that_is_none_of_ours_is_refused(run: Run) -> None:
    (run.path / "conformance.json").write_text('{"schema": 7}')
    with pytest.raises(UsageError, match="conformance.json: not a record of schema 1"):
        load_run(run.path)


def test_the_report_shows_both_beside_the_gain(run: Run, tmp_path: Path) -> None:
    _write(tmp_path, "20260101-000000-tap", _tested(run, "epoll"), _tested(run, "lwip", MISSED))
    adopt_conformance(run, tmp_path)
    run, summary, _ = write_report(run.path, tmp_path / "out")
    assert terminal_lines(run, summary)[-2:] == [
        "Obligations of TCP and IP kept, missed, not testable: epoll 2, 0, 0; lwip 0, 2, 0.",
        "lwip misses attack: large; minor: small."]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "<b>lwip</b> misses attack: large; minor: small." in page and "&lt;b&gt;7&lt;/b&gt; answers" in page
    assert "not tested" not in page
    assert "lwip misses attack: large; minor: small." in (tmp_path / "out" / "summary.md").read_text()


def test_without_a_record_the_report_says_how_to_make_one(run: Run, tmp_path: Path) -> None:
    run, summary, _ = write_report(run.path, tmp_path / "out")
    assert terminal_lines(run, summary)[-1] == (
        "Which obligations of TCP they keep was not tested: `make conformance WIRE=tap`.")
    assert not summary.obligations
