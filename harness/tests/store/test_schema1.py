# SPDX-License-Identifier: BSD-3-Clause
"""Lines of schema 1 become the trials that schema 2 has, codes for their sentences."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UsageError
from harness.plan import LoadPoint, from_json
from harness.store import convert
from harness.store.codes import Interference, Note, Problem, Unsettled
from harness.store.schema1 import facts, read
from harness.store.store import Store, load_run
from harness.store.trial_record import TrialRecord
from harness.tests.fixtures import synthetic

PLAN = from_json({**synthetic.plan((1, 8), 1, ("epoll", "lwip")), "netem": "loss 1%"})
PROBLEMS = {
    "after the load: the response differs from byte 5":
        Note(Problem.WRONG_ANSWER, {"when": "after", "what": "the response differs from byte 5"}),
    "warm-up: 3 read errors":
        Note(Problem.LOAD_ERRORS, {"phase": "warm-up", "count": 3, "kind": "read"}),
    "not one request was answered": Note(Problem.NOTHING_ANSWERED),
    "u@two had not one answer": Note(Problem.NOTHING_ANSWERED, {"machine": "u@two"}),
    "10 responses of 64 bytes came as 7 bytes":
        Note(Problem.WRONG_BYTES, {"requests": 10, "size": 64, "bytes": 7}),
    "the clients had 9 answers but the server parsed 7 requests; at most 1 more can have been in flight":
        Note(Problem.COUNTS_DIFFER, {"sent": 9, "counter": "parsed", "count": 7, "limit": 1}),
    "bytes to server: one end counted 9, the other 7: at most 1 fewer, for what was under way when a "
    "client ended":
        Note(Problem.ENDS_DIFFER, {"what": "bytes_to_server", "sent": 9, "received": 7, "limit": 1}),
    "only 7 of 9 connections arrived":
        Note(Problem.CONNECTIONS_MISSING, {"arrived": 7, "expected": 9}),
    "4 connections were refused": Note(Problem.REFUSED, {"count": 4}),
    "2 answers were errors": Note(Problem.HTTP_ERRORS, {"count": 2}),
    "the server did not say which measures it had in force": Note(Problem.OPTIMISATIONS_UNKNOWN),
    "the server had steer, lent in force, which 'lwip-plain' is without":
        Note(Problem.OPTIMISATIONS_IN_FORCE, {"names": ("steer", "lent")}),
    "one began 0.5 s after the first client, in a load of 2.0 s":
        Note(Problem.LATE_CLIENT, {"machine": "one", "seconds": 0.5, "of_seconds": 2.0}),
    "loadgen failed (exit 1): it said nothing (all in raw/x)":
        Note(Problem.LOAD_TOOL, {"what": "loadgen failed (exit 1): it said nothing (all in raw/x)"}),
    "3 reads failed": Note(Problem.OTHER, {"text": "3 reads failed"}),
}
DISTURBED = {
    "the hypervisor took 3.1 % of the CPU time": Note(Interference.STOLEN, {"share": 0.031}),
    "other programs took 4.0 % of the CPU time": Note(Interference.OTHERS, {"share": 0.04}),
    "other programs took 26.7 % of the CPU time, 'cc1' the most":
        Note(Interference.OTHERS, {"share": 0.267, "most": "cc1"}),
    "the clock was at most 1200 MHz, and 3000 MHz in a trial before":
        Note(Interference.CLOCK, {"mhz": 1200, "before_mhz": 3000}),
    "the processor throttled 7 times for its heat": Note(Interference.THROTTLING, {"events": 7}),
    "the moon was full": Note(Interference.OTHER, {"text": "the moon was full"}),
}
SETTLED = "throughput settled 0.5 s after the measured interval had begun, and moved its mean by -12 %"
STILL = "when it ended, from one half of the measured interval to the other by 41 %"
UNSETTLED = {
    SETTLED: Note(Unsettled.LATE, {"seconds": 0.5, "shift": -0.12}),
    f"{SETTLED}, though the warm-up had settled":
        Note(Unsettled.OWN_RAMP, {"seconds": 0.5, "shift": -0.12}),
    f"throughput was still falling {STILL}": Note(Unsettled.NEVER, {"change": -0.41}),
    f"throughput was still rising {STILL}": Note(Unsettled.NEVER, {"change": 0.41}),
    "who knows": Note(Unsettled.OTHER, {"text": "who knows"}),
}


def line(**changes: Any) -> dict[str, Any]:
    return {**synthetic.trial(random.Random(1), "epoll", 8, 0, 3), **changes}


@pytest.mark.parametrize("text", PROBLEMS)
def test_a_problem_becomes_its_code(text: str) -> None:
    record = read(line(valid=False, problems=[text]), PLAN, "x:1")
    assert record.problems == (PROBLEMS[text],) and not record.valid


@pytest.mark.parametrize("text", DISTURBED)
def test_an_interference_becomes_its_code(text: str) -> None:
    assert read(line(disturbed=[text]), PLAN, "x:1").disturbed == (DISTURBED[text],)


@pytest.mark.parametrize("text", UNSETTLED)
def test_what_was_unsettled_becomes_its_code(text: str) -> None:
    assert read(line(unsettled=text), PLAN, "x:1").unsettled == UNSETTLED[text]


def test_axes_that_a_line_has_not_are_the_plans() -> None:
    assert read(line(offered=700), PLAN, "x:1").point == LoadPoint(8, 700, 1, 1, "loss 1%")


def test_every_other_field_stays_as_it_was() -> None:
    before = line(busy_share=None, machine={
        "steal_share": 0.1, "others_share": 0.0, "mhz": None, "throttled": None,
        "pressure_cpu_some_share": 0.5})
    record = read(before, PLAN, "x:1")
    after = json.loads(json.dumps(convert.to_json(record)))
    for key in ("contender", "round", "sequence", "threads", "started_at", "requests", "bytes",
                "requests_per_sec", "latency_us", "latency_histogram_us", "errors", "reconcile"):
        assert after[key] == before[key]
    assert {cpu: times.user for cpu, times in record.cpu_seconds.items()} == {
        cpu: states["user"] for cpu, states in before["cpu_seconds"].items()}
    assert record.machine and (record.machine.steal_share, record.machine.mhz) == (0.1, None)
    assert record.busy_share is None and record.valid
    assert convert.from_json(TrialRecord, after, "x:1") == record


@pytest.mark.parametrize("changes, field", [
    ({"problems": "no"}, "problems"), ({"requests": "10"}, "requests"), ({"round": True}, "round"),
    ({"connections": None}, "point.connections"), ({"machine": {}}, "machine.steal_share")])
def test_a_wrong_type_is_told_with_its_place(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(UsageError, match=f"^x:1: '{field}' is missing or of a wrong type$"):
        read(line(**changes), PLAN, "x:1")


def test_an_invalid_line_without_a_reason_stays_invalid() -> None:
    assert not read(line(valid=False), PLAN, "x:1").valid


def test_the_optimisations_of_an_ablation_have_the_name_of_today() -> None:
    rows = [["batch", "packets sent in bursts"]]
    old = {"run": "a", "wire": {"name": "ablate", "measures": rows, "contenders": {}}}
    new = {"run": "a", "wire": {"name": "ablate", "optimisations": rows, "contenders": {}}}
    assert facts(old) == facts(new) == new and "measures" in old["wire"]


def test_a_real_run_of_schema_1_is_read_whole() -> None:
    run = load_run(Path(__file__).parents[1] / "data" / "20261122-031854-tap")
    assert len(run.trials) == 80 and all(record.valid for record in run.trials)
    assert {record.point.connections for record in run.trials} == set(run.plan.connections)


def test_a_run_of_schema_1_is_written_on_in_schema_2(tmp_path: Path) -> None:
    synthetic.write(tmp_path / "runs" / "20260102-030405-tap", connections=(8,), rounds=2)
    store = Store.resume("20260102-030405-tap", tmp_path)
    old = store.run.trials
    store.append(old[0])
    assert load_run(store.run.path).trials == (*old, old[0])
    lines = (store.run.path / "trials.jsonl").read_text().splitlines()
    assert {json.loads(text)["schema"] for text in lines} == {2}
