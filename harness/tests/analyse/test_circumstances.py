# SPDX-License-Identifier: BSD-3-Clause
"""What a report says of disturbed and unsettled trials, and that it says nothing of runs of before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.analyse import circumstances
from harness.report import report
from harness.store.store import load_run
from harness.tests.fixtures.synthetic import write

MACHINE = {"steal_share": 0.0, "others_share": 0.0, "mhz": None, "throttled": None, "pressure_cpu_some_share": None}
WHY = "other programs took 40.0 % of the CPU time, 'cc1' the most"


def looked_at(directory: Path, *changes: tuple[int, dict[str, Any]], blind: str = "") -> Path:
    """The synthetic run as one of today, with `changes` to the records of these places."""
    write(directory, connections=(1, 8), rounds=3)
    records = [json.loads(line) for line in (directory / "trials.jsonl").read_text().splitlines()]
    for record in records:
        record["machine"] = MACHINE
        if record["contender"] != blind:
            record["steady"] = {"interval_seconds": 0.1, "warmup_intervals": 10, "requests_per_sec": [1.0] * 30,
                                "settled_after_seconds": 0.4}
    for place, change in changes:
        steady = change.pop("steady", {})
        records[place] = {**records[place], **change, "steady": {**records[place].get("steady", {}), **steady}}
    (directory / "trials.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return directory


def summary_of(directory: Path) -> dict[str, Any]:
    return report.loaded(directory)[1]


def page(directory: Path) -> str:
    run, summary = report.loaded(directory)
    return report.build(run, summary, [])["report.html"].decode()


def late(seconds: float | None, **more: Any) -> dict[str, Any]:
    return {"unsettled": "throughput settled late", "steady": {"settled_after_seconds": seconds, **more}}


def test_a_run_of_before_says_nothing(tmp_path: Path) -> None:
    summary = summary_of(write(tmp_path))
    assert not {"attempts", "steadiness"} & set(summary)
    assert "Disturbed and repeated" not in page(tmp_path)


def test_a_calm_run_says_only_when_it_settled(tmp_path: Path) -> None:
    summary = summary_of(looked_at(tmp_path))
    assert "attempts" not in summary and not any("settled" in line for line in summary["caveats"])
    assert summary["steadiness"] == {"sampled": 12, "unsettled": 0, "never": 0,
                                     "settled_after_seconds": {"median": 0.4, "max": 0.4}}
    assert "Settled too late" not in page(tmp_path)


def test_figures_are_those_of_the_attempt_that_counts(tmp_path: Path) -> None:
    plain = summary_of(looked_at(tmp_path / "a"))
    again = looked_at(tmp_path / "b")
    lines = (again / "trials.jsonl").read_text().splitlines()
    first = json.loads(lines[0])
    spoiled = {**first, "requests_per_sec": 1.0, "disturbed": [WHY]}
    (again / "trials.jsonl").write_text("\n".join([json.dumps(spoiled), json.dumps({**first, "attempt": 1}),
                                                   *lines[1:], ""]))
    summary = summary_of(again)
    assert summary["points"] == plain["points"]
    assert summary["attempts"] == {"attempts": 13, "trials": 12, "disturbed": 1, "repeated": 1, "stayed": 0,
                                   "reasons": [{"kind": "other programs", "disturbed": 1, "stayed": 0}]}
    assert ("1 attempt of 13 was disturbed (other programs); 1 repetition was made, and every trial that counts was "
            "undisturbed.") in summary["caveats"]
    assert "<td>other programs</td><td>1</td><td>0</td>" in page(again)


def test_a_trial_that_stayed_disturbed_counts_and_is_told_of(tmp_path: Path) -> None:
    summary = summary_of(looked_at(tmp_path, (0, {"disturbed": [WHY]})))
    assert summary["attempts"]["stayed"] == 1 and summary["points"][0]["contenders"]["epoll"]["trials"] == 3
    assert any("1 of 12 trials that count stayed disturbed" in line for line in summary["caveats"])


def test_a_longer_warmup_is_proposed_where_it_helps(tmp_path: Path) -> None:
    summary = summary_of(looked_at(tmp_path, (0, late(1.3)), (1, late(2.2)), (2, late(None)),
                                   (3, late(4.7, own_ramp=True))))
    assert summary["steadiness"]["unsettled"] == 4 and summary["steadiness"]["never"] == 1
    assert summary["steadiness"]["warmup_seconds"] == 3
    assert any("in 4 of 12 trials, 1 of them not at all; they count. WARMUP=3 would have been long enough" in line
               for line in summary["caveats"])
    text = page(tmp_path)
    assert "Settled too late" in text and text.count("<td>throughput settled late</td>") == 4


def test_no_warmup_is_proposed_where_none_helps(tmp_path: Path) -> None:
    summary = summary_of(looked_at(tmp_path, (0, late(None)), (3, late(1.7, own_ramp=True))))
    assert "warmup_seconds" not in summary["steadiness"] and not any("WARMUP" in line for line in summary["caveats"])


def test_who_could_not_be_followed_is_named(tmp_path: Path) -> None:
    summary = summary_of(looked_at(tmp_path, blind="lwip"))
    assert summary["steadiness"]["contenders"] == ["lwip"]
    assert any("could not be seen for lwip:" in line for line in summary["caveats"])


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    looked_at(tmp_path, (0, {"disturbed": [WHY]}), (1, late(1.3)))
    run = load_run(tmp_path)
    assert circumstances.summarise(run.plan, run.old_trials) == circumstances.summarise(run.plan, run.old_trials)
    assert page(tmp_path) == page(tmp_path)
