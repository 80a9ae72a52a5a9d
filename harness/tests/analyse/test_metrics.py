# SPDX-License-Identifier: BSD-3-Clause
"""The table of metrics: what each is of a trial, what a cell takes of several, and who reads it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.analyse import metrics, summarise
from harness.analyse.metrics import CPU_TIME, METRICS, OWN_COUNTERS, Context, figures
from harness.store.codes import Caveat
from harness.store.trial_record import CpuTime, TrialRecord
from harness.tests.fixtures import runs
from harness.tests.fixtures.trial_records import make

GHZ = 2_000_000_000
README = Path(__file__).resolve().parents[3] / "results" / "README.md"


def trial(requests: int, core_seconds: float, server_seconds: float | None = None,
          cycles: float | None = None) -> TrialRecord:
    """A trial that burned so much in all, and of it so much on the server's core."""
    shared = server_seconds is None
    spent = {"0": CpuTime("client+server" if shared else "client",
                          user=core_seconds - (server_seconds or 0.0))}
    if not shared:
        spent["1"] = CpuTime("server", user=server_seconds or 0.0)
    return make(requests=requests, cpu_seconds=spent, cycles_per_request=cycles,
                cpu_us_per_request=None)


def medians(trials: list[TrialRecord], polls: bool = False,
            tsc_hz: int | None = GHZ) -> dict[str, float | None]:
    found = figures(trials, Context(polls, tsc_hz))
    return {key: figure.median for key, figure in found.items() if key != "requests_per_sec"}


def test_requests_for_each_second_that_all_cores_burned() -> None:
    trials = [trial(1000, 0.5, 0.2), trial(3000, 0.5, 0.2), trial(2000, 0.5, 0.2)]
    assert medians(trials, tsc_hz=None) == {"requests_per_core_second": 4000.0}


def test_a_contender_that_sleeps_has_cycles_from_its_cpu_time() -> None:
    found = medians([trial(1000, 0.5, 0.1)])
    assert found["cycles_per_request"] == pytest.approx(200_000)
    assert "burned_cycles_per_request" not in found


def test_a_contender_that_polls_has_its_own_cycles_and_what_it_burned() -> None:
    found = medians([trial(1000, 0.5, 0.1, 1500.0)], polls=True)
    assert found["cycles_per_request"] == 1500.0
    assert found["burned_cycles_per_request"] == pytest.approx(200_000)
    uncounted = medians([trial(1000, 0.5, 0.1)], polls=True)
    assert "cycles_per_request" not in uncounted and "burned_cycles_per_request" in uncounted


@pytest.mark.parametrize("record", [trial(0, 0.5, 0.1), trial(10, 0.0)])
def test_without_requests_or_cpu_time_there_is_no_figure(record: TrialRecord) -> None:
    assert medians([record]) == {}


def test_cores_that_client_and_server_share_have_no_cycles_of_the_server() -> None:
    assert set(medians([trial(10, 0.5)])) == {"requests_per_core_second"}


def test_what_the_load_generator_tells_of_connections() -> None:
    record = make(connections_per_sec=10.0, memory={"resident_bytes": 3, "hugepage_bytes": 4})
    found = medians([record])
    assert (found["connections_per_sec"], found["memory_bytes"]) == (10.0, 7.0)


def test_interrupts_on_a_cpu_without_a_part_are_the_servers() -> None:
    run = runs.made((8,), 1)
    run = runs.told(run, machine={"tsc_hz": GHZ})
    other = CpuTime("other", user=1.5, system=0.1, irq=0.1, softirq=0.2, steal=0.5)
    summary = summarise(runs.changed(run, lambda record: replace(
        record, cpu_seconds={**record.cpu_seconds, "2": other})))
    before, after = (found.points[0].cells["epoll"] for found in (summarise(run), summary))
    requests = run.trials[0].requests
    was, now = before.median("cycles_per_request"), after.median("cycles_per_request")
    assert was and now and now - was == pytest.approx(GHZ * 0.3 / requests, rel=1e-3)
    assert set(after.cpu_by_role or ()) == {"client", "server", "other"}
    codes = [caveat.code for caveat in summary.caveats]
    # what the hypervisor took from a CPU that nobody measures with disturbed nobody
    assert Caveat.ELSEWHERE in codes and Caveat.STOLEN not in codes


def test_where_cycles_are_from_is_said() -> None:
    run = runs.made((8,), 1)
    cells = summarise(run).points[0].cells
    assert cells["epoll"].cycles_from is None, "runs of before know no frequency of the counter"
    assert cells["lwip"].cycles_from == OWN_COUNTERS
    run = runs.told(run, machine={"tsc_hz": GHZ})
    assert summarise(run).points[0].cells["epoll"].cycles_from == CPU_TIME


def test_latency_is_of_the_merged_distribution() -> None:
    trials = [make(latency_histogram_us=((10, 999),)),
              make(latency_histogram_us=((20, 1), (500, 1000)))]
    assert metrics.latency(trials) == {
        "p50": 20, "p90": 500, "p99": 500, "p999": 500, "max": 500}
    assert metrics.latency([])["p99"] is None


def test_every_metric_has_columns_of_its_own_and_values_for_each() -> None:
    columns = [column for metric in METRICS.values() for column in metric.columns]
    assert len(set(columns)) == len(columns)
    cell = summarise(runs.made((8,), 3)).points[0].cells["lwip"]
    for metric in METRICS.values():
        assert len(metric.cells(cell)) == len(metric.columns), metric.key
    low, high = METRICS["requests_per_sec"].cells(cell)[1:]
    assert low is not None and high is not None and low < high


def test_the_readme_lists_every_metric_as_the_table_has_it() -> None:
    rows = "".join(f"| `{metric.key}` | {metric.unit}, {metric.better} is better | {metric.doc} |\n"
                   for metric in METRICS.values())
    assert rows in README.read_text(), rows


@pytest.mark.parametrize("key", METRICS)
def test_a_metric_of_a_trial_that_knows_nothing_is_none(key: str) -> None:
    empty = make(requests=0, latency_histogram_us=(), cpu_seconds={}, cpu_us_per_request=None)
    value = METRICS[key].value(empty, Context(polls=False, tsc_hz=GHZ))
    assert value is None if key != "requests_per_sec" else value == 5.0
