# SPDX-License-Identifier: BSD-3-Clause
"""The client's ceiling: when it is looked for, that it survives an interruption, and what the report makes of it."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, Mapping

import pytest

from harness.run import calibration
from harness.report import write_report
from harness.analyse import Summary, summarise
from harness.cli.bench import bench
from harness.run import RunRequest
from harness.run.calibration import NAME
from harness.errors import Interrupted, MachineError, UsageError
from harness.plan import load_plan, Plan
from harness.store import NotCalibrated, Note, to_json
from harness.store.store import CALIBRATION, load_run
from harness.tests.fixtures import synthetic
from harness.tests.fixtures.serving_host import ServingHost, at_load, interrupt, only_run
from harness.tests.fixtures.wires import bare_wire
from harness.provision import ResolvedWire

SETTINGS = {"CONTENDERS": "epoll,lwip", "CONNECTIONS": "1,8", "ROUNDS": "1", "DURATION": "2"}
ORDER = RunRequest("tap", "quick", SETTINGS)


def planned(wire: str, settings: Mapping[str, str] = {}) -> tuple[ResolvedWire, Plan]:
    there = bare_wire(wire)
    return there, load_plan("quick", there, (0, 1), settings)


@pytest.mark.parametrize("wire, settings, why", [
    ("tap", {"CALIBRATE": "no"}, Note(NotCalibrated.OFF)),
    ("tap", {"CONTENDERS": "lwip"}, Note(NotCalibrated.NO_PATH)),
    ("shm-loadgen", {}, Note(NotCalibrated.COUNTS_ITSELF)),
    ("ablate", {}, Note(NotCalibrated.COUNTS_ITSELF)),
    ("redis", {}, Note(NotCalibrated.WORKLOAD, {"workload": "redis-set"})),
    ("nginx", {}, Note(NotCalibrated.WORKLOAD, {"workload": "nginx-get"})),
    ("afpacket", {"WORKLOAD": "cps"}, Note(NotCalibrated.CLOSES))])
def test_where_it_is_not_looked_for_the_reason_is_told(
        wire: str, settings: Mapping[str, str], why: Note[NotCalibrated]) -> None:
    assert calibration.why_not(*planned(wire, settings)) == why
    assert calibration.facts(ServingHost(), *planned(wire, settings)) == {
        "why_not": to_json(why)}


def test_an_emulated_nic_has_no_ceiling_worth_knowing() -> None:
    wire, plan = planned("tap")
    assert calibration.why_not(replace(wire, emulated="QEMU's e1000e"), plan) == Note(
        NotCalibrated.EMULATED)


@pytest.mark.parametrize("wire", ["tap", "afpacket", "afxdp", "shm"])
def test_the_answerer_has_the_place_of_a_kernel_contender(wire: str) -> None:
    there, plan = planned(wire)
    assert calibration.why_not(there, plan) is None
    canned, epoll = calibration.canned(there, plan), there.contenders["epoll"]
    assert (canned.program, canned.endpoint, canned.link, canned.client) == (
        "build/canned_server", epoll.endpoint, epoll.link, epoll.client)


def test_three_trials_a_load_point_before_the_rounds_all_points_in_turn(tmp_path: Path, shown: list[Path],
                                                  capsys: pytest.CaptureFixture[str]) -> None:
    host = ServingHost()
    before = host.state()
    bench(ORDER, host, tmp_path, tmp_path / "out")
    run = load_run(only_run(tmp_path).path)
    assert [(r.contender, r.round, r.point.connections, r.valid) for r in run.calibration] == [
        (NAME, round_, connections, True) for round_ in range(3) for connections in (1, 8)]
    assert len(run.trials) == 4 and host.state() == before
    started = [call for call in host.calls if call.startswith("spawn") and "_server" in call]
    assert ["canned_server" in call for call in started] == [True, True, True, False, False], \
        "once a round"
    assert run.facts.raw["calibration"]["instead_of"] == "epoll"
    assert "\ncalibration, 1 connections: 500 /s\n" in capsys.readouterr().out


def test_without_the_program_the_way_out_is_told(tmp_path: Path, shown: list[Path],
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "has_program", lambda host, name: False)
    with pytest.raises(MachineError, match="build/canned_server is not there: run `make`.*CALIBRATE=no"):
        bench(ORDER, ServingHost(), tmp_path, tmp_path / "out")
    bench(replace(ORDER, settings={**SETTINGS, "CALIBRATE": "no"}), ServingHost(), tmp_path / "other", tmp_path / "out")


# the first of the answerer's loads in a round is its warm-up
@pytest.mark.parametrize("load, kept", [(1, 0), (2, 0), (3, 1), (5, 2), (9, 5)])
def test_an_interrupted_calibration_goes_on_where_it_was(tmp_path: Path, shown: list[Path], load: int,
                                                         kept: int) -> None:
    host = ServingHost()
    before = host.state()
    host.on_load = at_load(load, interrupt)
    with pytest.raises(Interrupted, match="0 of 4 trials are kept"):
        bench(ORDER, host, tmp_path, tmp_path / "out")
    assert host.state() == before
    run = load_run(only_run(tmp_path).path)
    assert len(run.calibration) == kept
    again = ServingHost()
    bench(RunRequest("tap", "", {}, resume=run.id), again, tmp_path, tmp_path / "out")
    assert [r.point.connections for r in load_run(run.path).calibration] == [1, 8] * 3
    assert sum("canned_server" in call for call in again.calls if call.startswith("spawn")) == 3 - kept // 2


def stored(tmp_path: Path, rates: Mapping[int, float], idle: float = 0.0) -> Path:
    """A made-up run whose client had so many requests/s of the answerer, and `idle` s of 2 to spare."""
    path = synthetic.write(tmp_path / "run", connections=(8, 64), rounds=3)
    records = []
    for number, (connections, rate) in enumerate(rates.items()):
        record = synthetic.trial(random.Random(7), "epoll", connections, 0, number)
        record |= {"contender": NAME, "requests_per_sec": rate}
        record["cpu_seconds"]["0"] |= {"user": 2 - idle, "system": 0.0, "softirq": 0.0, "idle": idle}
        records.append(record)
    (path / CALIBRATION).write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def summary_of(path: Path) -> Summary:
    return summarise(load_run(path))


def test_a_contender_at_the_ceiling_is_client_bound_and_its_gain_a_bound(tmp_path: Path) -> None:
    path = stored(tmp_path, {8: 1e9, 64: 1e9})
    at_8 = summary_of(path).points[0]
    rate = max(cell.median("requests_per_sec") or 0 for cell in at_8.cells.values())
    assert at_8.ceiling and rate
    assert at_8.ceiling.requests_per_sec == 1e9 and not at_8.ceiling.at_least
    assert at_8.cells["epoll"].limit.by != "client cpu" != at_8.cells["lwip"].limit.by
    shutil.rmtree(path)
    point = summary_of(stored(tmp_path, {8: 1.04 * rate})).points[0]
    gain = point.gain("lwip", "epoll")
    bound = [name for name, cell in point.cells.items() if cell.limit.by == "client cpu"]
    assert len(bound) == 1 and gain and gain.bound is not None
    shutil.rmtree(path)
    # below what a contender had it was none: raised, and nobody is bound for having raised it
    raised = summary_of(stored(tmp_path, {8: 0.9 * rate})).points[0]
    assert raised.ceiling and raised.ceiling.raised and raised.ceiling.requests_per_sec == rate
    assert all(cell.limit.by != "client cpu" for cell in raised.cells.values())


def test_where_the_client_had_time_to_spare_it_can_do_more(tmp_path: Path) -> None:
    points = summary_of(stored(tmp_path, {8: 500_000.0, 64: 500_000.0}, idle=1.0)).points
    assert [point.ceiling and (point.ceiling.at_least, point.ceiling.requests_per_sec)
            for point in points] == [(True, 500_000.0)] * 2
    assert points[0].cells["epoll"].limit.by != "client cpu"


def test_without_a_calibration_there_is_no_ceiling(tmp_path: Path) -> None:
    path = synthetic.write(tmp_path / "run", rounds=1)
    assert all(point.ceiling is None for point in summary_of(path).points)


def test_a_calibration_that_did_not_count_is_no_ceiling(tmp_path: Path) -> None:
    path = stored(tmp_path, {8: 1e9})
    record = json.loads((path / CALIBRATION).read_text())
    record |= {"valid": False, "problems": ["3 reads failed"]}
    (path / CALIBRATION).write_text(json.dumps(record) + "\n")
    assert all(point.ceiling is None for point in summary_of(path).points)


@pytest.mark.parametrize("change, words", [
    ({"contender": "lwip"}, "calibration.jsonl:1: lwip at 8 connections"),
    ({"connections": 9}, "calibration.jsonl:1: a load point that is not in this run's plan"),
    ({"requests": "many"}, "calibration.jsonl:1: 'requests' is missing or of a wrong type")])
def test_foreign_records_are_refused(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    path = stored(tmp_path, {8: 1e9})
    record = json.loads((path / CALIBRATION).read_text()) | change
    (path / CALIBRATION).write_text(json.dumps(record) + "\n")
    with pytest.raises(UsageError, match=words):
        summary_of(path)


def test_a_line_cut_short_is_refused_but_by_a_run_that_goes_on(tmp_path: Path, shown: list[Path]) -> None:
    host = ServingHost()
    host.on_load = at_load(5, interrupt)
    with pytest.raises(Interrupted):
        bench(ORDER, host, tmp_path, tmp_path / "out")
    run = only_run(tmp_path)
    file = run.path / CALIBRATION
    file.write_text(file.read_text()[:-30])
    with pytest.raises(UsageError, match="calibration.jsonl:2: the last line is cut short; RESUME="):
        load_run(run.path)
    bench(RunRequest("tap", "", {}, resume=run.id), ServingHost(), tmp_path, tmp_path / "out")
    assert len(load_run(run.path).calibration) == 6


def test_the_page_tells_the_ceiling_or_why_there_is_none(tmp_path: Path) -> None:
    path = stored(tmp_path, {8: 1e9, 64: 2e9})
    facts = json.loads((path / "facts.json").read_text())
    for told, words in (({"program": "build/canned_server", "instead_of": "epoll"}, "in the place of epoll"),
                        ({"why_not": {"code": "switched-off"}}, "was not measured: CALIBRATE=no switched"),
                        ({"why_not": "nobody asked"}, "ceiling was not measured: nobody asked.")):
        (path / "facts.json").write_text(json.dumps({**facts, "calibration": told}))
        write_report(path, tmp_path / "out")
        assert words in (tmp_path / "out" / "report.html").read_text()


def test_the_setting_is_yes_or_no_and_old_plans_have_none(tmp_path: Path) -> None:
    assert planned("tap")[1].calibrate and not planned("tap", {"CALIBRATE": "no"})[1].calibrate
    with pytest.raises(UsageError, match="CALIBRATE=perhaps: must be yes or no"):
        planned("tap", {"CALIBRATE": "perhaps"})
    assert not load_run(synthetic.write(tmp_path / "run")).plan.calibrate
    file = tmp_path / "own.toml"
    file.write_text('connections = [1]\nrounds = 1\nduration_seconds = 1\nwarmup_seconds = 0\ncalibrate = "no"\n')
    with pytest.raises(UsageError, match="calibrate: must be true or false"):
        load_plan(str(file), bare_wire("tap"), (0, 1), {})
