# SPDX-License-Identifier: BSD-3-Clause
"""Runs on disk: whole at every instant, resumable, and picky about what they read."""

from __future__ import annotations

import errno
import json
import os
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

import harness.store.store
from harness.errors import MachineError, UsageError
from harness.store.convert import to_json
from harness.store.store import (
    Store, check_writable, find_run, give_to_user, load_run, run_id, write_file)
from harness.plan import LoadPoint, load_plan, load_wire
from harness.tests.fixtures import synthetic
from harness.tests.fixtures.trial_records import make as record

PLAN = load_plan("quick", load_wire("tap"), (0, 1), {})
ID = "20261122-010203-tap"
FACTS = synthetic.facts(ID, ("epoll", "lwip"))


def line(**changes: Any) -> str:
    return json.dumps({"schema": 2, **to_json(record()), **changes})


def facts(**changes: Any) -> str:
    return json.dumps({**FACTS, **changes})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.create(ID, PLAN, FACTS, tmp_path)


def fill_disk(monkeypatch: pytest.MonkeyPatch, number: int = errno.ENOSPC) -> None:
    def full(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))
    monkeypatch.setattr(os, "fsync", full)


def test_run_id_is_utc_time_and_wire() -> None:
    assert run_id(datetime(2026, 11, 22, 1, 2, 3, tzinfo=timezone.utc), "tap") == ID


def test_a_new_run_is_readable_before_its_first_trial(store: Store, tmp_path: Path) -> None:
    run = load_run(ID, tmp_path)
    assert (run.id, run.plan, run.trials) == (ID, PLAN, ())
    assert (run.facts, run.facts.raw) == (store.run.facts, FACTS) and run.facts.wire.mtu == 1500
    assert store.raw.is_dir()


def test_what_is_appended_is_on_disk_at_once_and_in_order(store: Store, tmp_path: Path) -> None:
    for number in range(3):
        store.append(record(number))
        assert [trial.sequence for trial in load_run(ID, tmp_path).trials] == list(range(number + 1))
    names = sorted(path.name for path in store.run.path.iterdir())
    assert names == ["facts.json", "plan.json", "raw", "trials.jsonl"]


def test_a_run_keeps_its_id_when_its_directory_is_renamed(store: Store, tmp_path: Path) -> None:
    moved = store.run.path.rename(tmp_path / "elsewhere")
    assert load_run(moved).id == load_run(str(moved)).id == ID


def test_reference_is_the_only_run_there(store: Store, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="must hold exactly one run, holds 0"):
        find_run("reference", tmp_path)
    (tmp_path / "reference").mkdir()
    store.run.path.rename(tmp_path / "reference" / ID)
    assert load_run("reference", tmp_path).id == ID


@pytest.mark.parametrize("name", ["", "20000101-000000-tap", "/nowhere"])
def test_a_run_that_is_not_there_is_said_so(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="no run"):
        load_run(name, tmp_path)


def test_an_id_is_not_taken_twice(store: Store, tmp_path: Path) -> None:
    store.append(record())
    with pytest.raises(UsageError, match=f"RESUME={ID}"):
        Store.create(ID, PLAN, FACTS, tmp_path)
    assert len(load_run(ID, tmp_path).trials) == 1


def test_a_full_disk_loses_nothing_and_says_so(store: Store, tmp_path: Path,
                                               monkeypatch: pytest.MonkeyPatch) -> None:
    store.append(record(0))
    with monkeypatch.context() as full:
        fill_disk(full)
        with pytest.raises(MachineError, match="the disk is full") as caught:
            store.append(record(1))
        assert "trials.jsonl" in str(caught.value) and "\n" not in str(caught.value)
    assert [trial.sequence for trial in load_run(ID, tmp_path).trials] == [0]
    assert not list(store.run.path.glob(".*"))
    store.append(record(1))
    assert [trial.sequence for trial in load_run(ID, tmp_path).trials] == [0, 1]


def test_a_disk_that_fails_otherwise_says_how(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    fill_disk(monkeypatch, errno.EIO)
    with pytest.raises(MachineError, match="trials.jsonl: Input/output error"):
        store.append(record())


def test_a_place_that_cannot_be_written_is_found_out_beforehand(tmp_path: Path) -> None:
    check_writable(tmp_path)
    assert list((tmp_path / "runs").iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError, match="cannot write"):
        check_writable(tmp_path / "file")


def test_resume_goes_on_where_the_run_ended(store: Store, tmp_path: Path) -> None:
    store.append(record(0))
    again = Store.resume(ID, tmp_path)
    assert again.drop_cut_line() == ""
    again.append(record(1))
    run = load_run(ID, tmp_path)
    assert [trial.sequence for trial in run.trials] == [0, 1]
    assert run.facts.run == ID


def test_a_last_line_cut_short_is_refused_by_a_report_and_dropped_by_resume(store: Store,
                                                                            tmp_path: Path) -> None:
    store.append(record(0))
    store.append(record(1))
    file = store.run.path / "trials.jsonl"
    whole = file.read_text()
    for end in (1, 20, len(whole) // 2 - 3):
        file.write_text(whole[:-end])
        with pytest.raises(UsageError, match=rf"trials\.jsonl:2: the last line is cut short; RESUME={ID}"):
            load_run(ID, tmp_path)
    cut = file.read_text()
    again = Store.resume(ID, tmp_path)
    assert file.read_text() == cut
    dropped = again.drop_cut_line()
    assert "trials.jsonl:2" in dropped and "runs again" in dropped
    assert [trial.sequence for trial in again.run.trials] == [0]
    assert len(load_run(ID, tmp_path).trials) == 1


@pytest.mark.parametrize("text, words", [
    ("{", "truncated or not JSON"),
    ("", "truncated or not JSON"),
    ("[]", "not a trial of schema 2 or 1"),
    ('{"schema": 3}', "not a trial of schema 2 or 1"),
    ('{"schema": 2}', "'contender' is missing"),
    ('{"schema": 1}', "'contender' is missing"),
    (line(requests="10"), "'requests' is missing or of a wrong type"),
    (line(requests=True), "'requests' is missing or of a wrong type"),
    (line(requests_per_sec=float("nan")), "'requests_per_sec' is missing or of a wrong type"),
    (line(latency_histogram_us=[[1]]), "'latency_histogram_us' is missing or of a wrong type"),
    (line(latency_histogram_us=[[1, 1.5]]), "'latency_histogram_us' is missing or of a wrong type"),
    (line(problems=[{"code": "bad luck"}]), "'problems.0' is missing or of a wrong type"),
    (line(problems="no"), "'problems' is missing or of a wrong type"),
    (line(point={}), "'point.connections' is missing or of a wrong type"),
    (line(cpu_seconds={"0": {"role": "client", "user": "1"}}), "'cpu_seconds.0.user' is missing"),
    (line(contender="other"), "not in this run's plan"),
    (line(point=to_json(LoadPoint(77))), "not in this run's plan"),
    (line(point=to_json(LoadPoint(1, impairment="loss 1%"))), "not in this run's plan"),
    (line(round=PLAN.rounds), "not in this run's plan"),
    (line(round=-1), "not in this run's plan"),
])
def test_a_foreign_line_is_refused_with_file_and_line(store: Store, tmp_path: Path, text: str,
                                                      words: str) -> None:
    file = store.run.path / "trials.jsonl"
    file.write_text(f"{line()}\n{text}\n{line(round=2)}\n")
    with pytest.raises(UsageError) as caught:
        load_run(ID, tmp_path)
    assert f"{file}:2: " in str(caught.value) and words in str(caught.value)
    with pytest.raises(UsageError, match=":2: "):
        Store.resume(ID, tmp_path)


def test_fields_that_a_later_version_added_are_ignored(store: Store, tmp_path: Path) -> None:
    (store.run.path / "trials.jsonl").write_text(line(temperature=7) + "\n")
    assert load_run(ID, tmp_path).trials == (record(),)


@pytest.mark.parametrize("name, text, words", [
    ("facts.json", "{", "facts.json:1: truncated or not JSON"),
    ("facts.json", "[]", "facts.json: not facts of schema 1"),
    ("facts.json", '{"schema": 1}', "facts.json: 'run' is missing"),
    ("facts.json", facts(run="../../etc"), "facts.json: 'run' is '../../etc', which is no id"),
    ("facts.json", facts(run=""), "facts.json: 'run' is '', which is no id"),
    ("facts.json", facts(ports=[]), "facts.json: 'ports' is missing or of a wrong type"),
    ("facts.json", facts(ports={"lwip": 1}), "facts.json: 'ports.lwip' is missing or of"),
    ("facts.json", facts(offloads={"a/b": None}), "facts.json: 'offloads.a/b' is missing or of"),
    ("plan.json", '{"schema": 1,', "plan.json:1: truncated or not JSON"),
    ("plan.json", "{}", "plan.json: not a plan of schema 2"),
])
def test_foreign_facts_and_plans_are_refused(store: Store, tmp_path: Path, name: str, text: str,
                                             words: str) -> None:
    (store.run.path / name).write_text(text)
    with pytest.raises(UsageError) as caught:
        load_run(ID, tmp_path)
    assert words in str(caught.value)


def test_binary_and_missing_files_are_refused(store: Store, tmp_path: Path) -> None:
    (store.run.path / "trials.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="not text"):
        load_run(ID, tmp_path)
    (store.run.path / "trials.jsonl").unlink()
    with pytest.raises(UsageError, match="cannot read: No such file"):
        load_run(ID, tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_files_made_under_sudo_go_to_the_user(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    give_to_user(store.run.path)
    assert store.run.path.stat().st_uid == 0
    monkeypatch.setenv("SUDO_UID", "12345")
    monkeypatch.setenv("SUDO_GID", "12346")
    give_to_user(store.run.path)
    for path in (store.run.path, store.raw, store.run.path / "trials.jsonl"):
        assert (path.stat().st_uid, path.stat().st_gid) == (12345, 12346)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_under_sudo_only_the_projects_own_directory_above_goes_to_the_user(
        store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_UID", "12345")
    monkeypatch.setenv("SUDO_GID", "12346")
    above = store.run.path.parent
    give_to_user(store.run.path)
    assert store.run.path.stat().st_uid == 12345 and above.stat().st_uid == 0
    monkeypatch.setattr(harness.store.store, "RESULTS", tmp_path)
    give_to_user(store.run.path)
    assert above.stat().st_uid == 12345 and tmp_path.stat().st_uid == 0


def test_a_link_that_another_planted_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("theirs")
    for name in ("facts.json", ".facts.json.tmp"):
        (tmp_path / name).symlink_to(victim)
    write_file(tmp_path / "facts.json", "ours")
    assert victim.read_text() == "theirs" and not (tmp_path / "facts.json").is_symlink()
    assert (tmp_path / "facts.json").read_text() == "ours" and not (tmp_path / ".facts.json.tmp").exists()
