# SPDX-License-Identifier: BSD-3-Clause
"""Figures for other tools: each format is read by a parser that is not ours, and equals summary.json."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families as parsed

from harness.analyse import METRICS, Better, summarise
from harness.cli.main import main
from harness.errors import MachineError, UsageError
from harness.report import FORMATS, export, loaded
from harness.store import Run, to_json
from harness.tests.fixtures import runs, synthetic_open
from harness.tests.fixtures.fake_host import FakeHost

GOLDEN = Path(__file__).resolve().parents[1] / "data" / "run-golden"


def of(run: Run, form: str) -> str:
    return export(run, summarise(run), form).decode()


@pytest.fixture
def run() -> Run:
    """Of schema 1."""
    return loaded(GOLDEN)[0]


@pytest.fixture
def points(run: Run) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(json.dumps(to_json(summarise(run))))["points"]
    return found


def test_csv_has_the_figures_of_the_summary(run: Run, points: list[dict[str, Any]]) -> None:
    rows = {(int(row["connections"]), row["contender"]): row for row in csv.DictReader(of(run, "csv").splitlines())}
    assert len(rows) == sum(len(point["cells"]) for point in points) == 8
    for point in points:
        for name, cell in point["cells"].items():
            row = rows[point["at"]["connections"], name]
            assert float(row["requests_per_sec_median"]) == cell["figures"]["requests_per_sec"]["median"]
            assert float(row["latency_p99_us"]) == cell["latency_us"]["p99"]


def test_github_action_benchmark_has_what_is_better_when_bigger(run: Run, points: list[dict[str, Any]]) -> None:
    entries = json.loads(of(run, "github-action-benchmark"))
    assert all({"name", "unit", "value", "range", "extra"} >= {*entry} >= {"name", "unit", "value"} and
               isinstance(entry["value"], (int, float)) for entry in entries)
    found = {entry["name"]: entry for entry in entries}
    assert len(found) == len(entries)
    bigger = {key for key, metric in METRICS.items() if metric.better == Better.HIGHER} | {"gain over epoll"}
    assert {name.rpartition(": ")[2] for name in found} <= bigger
    for point in points:
        place = f"{point['at']['connections']} connection{'s' * (point['at']['connections'] > 1)}, body_size_bytes 1"
        for name, cell in point["cells"].items():
            figure = cell["figures"]["requests_per_sec"]
            entry = found[f"tap/rps/{name}: {place}: requests_per_sec"]
            assert (entry["value"], entry["unit"]) == (figure["median"], "1/s")
            assert list(map(float, entry["range"].split(" to "))) == figure["ci95"]
        (gain,) = point["gains"]
        assert found[f"tap/rps/lwip: {place}: gain over epoll"]["value"] == gain["ratio"]


def test_bencher_metric_format_has_measures_by_benchmark(run: Run, points: list[dict[str, Any]]) -> None:
    found = json.loads(of(run, "bencher"))
    assert len(found) == 8
    for name, measures in found.items():
        assert len(name) <= 1024 and all(len(slug) <= 64 and "_" not in slug for slug in measures)
        assert all({"value"} <= {*metric} <= {"value", "lower_value", "upper_value"} for metric in measures.values())
    cell, (gain,) = points[1]["cells"]["lwip"], points[1]["gains"]
    measures = found["tap/rps/lwip: 8 connections, body_size_bytes 1"]
    low, high = cell["figures"]["requests_per_sec"]["ci95"]
    assert measures["throughput"] == {
        "value": cell["figures"]["requests_per_sec"]["median"], "lower_value": low, "upper_value": high}
    assert measures["latency-p99-us"] == {"value": cell["latency_us"]["p99"]}
    assert measures["gain-over-epoll"]["value"] == gain["ratio"]


def samples(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """What Prometheus's own parser reads; every line is a sample of a gauge with help, and none stands twice."""
    families = list(parsed(text))
    assert all(family.type == "gauge" and family.documentation for family in families)
    read = [sample for family in families for sample in family.samples]
    assert all(sample.timestamp is None for sample in read)
    found = {(sample.name, frozenset(sample.labels.items())): sample.value for sample in read}
    assert len(found) == len(read) == sum(not line.startswith("#") for line in text.splitlines())
    return found


def test_prometheus_has_base_units_and_labels(run: Run, points: list[dict[str, Any]]) -> None:
    text = of(run, "prometheus")
    names = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(names) == len({*names}) and text.endswith("\n")
    found = samples(text)
    shared = {"wire": "tap", "workload": "rps", "body_size_bytes": "1"}
    for point in points:
        for name, cell in point["cells"].items():
            labels = {**shared, "contender": name, "connections": str(point["at"]["connections"])}

            def read(metric: str, **more: str) -> float:
                return found[f"stackduel_{metric}", frozenset({**labels, "statistic": "estimate", **more}.items())]
            assert read("requests_per_second") == cell["figures"]["requests_per_sec"]["median"]
            low, high = cell["figures"]["requests_per_sec"]["ci95"]
            assert read("requests_per_second", statistic="ci95_low") == low
            assert read("requests_per_second", statistic="ci95_high") == high
            assert read("latency_seconds", quantile="0.99") == pytest.approx(cell["latency_us"]["p99"] / 1e6, rel=1e-9)
            assert read("cpu_seconds_per_request") == pytest.approx(
                cell["figures"]["cpu_us_per_request"]["median"] / 1e6, rel=1e-9)
        (gain,) = point["gains"]
        assert found["stackduel_gain_ratio", frozenset({
            **labels, "contender": "lwip", "over": "epoll", "statistic": "estimate"}.items())] == gain["ratio"]


def test_labels_with_quotes_backslashes_and_line_ends_are_read_back(run: Run) -> None:
    odd = 'a "b" \\n c\nd\\'
    found = samples(export(run, replace(summarise(run), emulated=odd), "prometheus").decode())
    assert all(dict(labels)["emulated"] == odd for _, labels in found)


def test_another_wire_workload_or_impairment_is_another_benchmark(run: Run) -> None:
    summary = summarise(run)
    others = [summary, replace(summary, wire="veth"), replace(summary, workload="cps"),
              replace(summary, impairment="delay 5ms"), replace(summary, emulated="QEMU's e1000e"),
              replace(summary, softirq="client"), replace(summary, tap="vhost-net"),
              replace(summary, body_size_bytes=64)]
    names = [{*json.loads(export(run, other, "bencher"))} for other in others]
    assert len(set[str]().union(*names)) == sum(map(len, names)) == 64


def test_an_open_loop_has_its_rates(tmp_path: Path) -> None:
    run, summary = loaded(synthetic_open.write(tmp_path))
    loop = summary.open_loop
    assert loop
    (point,) = [point for point in loop.contenders["lwip"].points if point.offered == 20_000]
    name = f"tap/rps/lwip: {loop.connections} connections, 20,000 requests/s, body_size_bytes 1"
    measures = json.loads(of(run, "bencher"))[name]
    assert point.p99_ci95 and measures["latency-p99-us"] == {
        "value": point.latency_us["p99"], "lower_value": point.p99_ci95[0], "upper_value": point.p99_ci95[1]}
    assert measures["achieved-requests-per-sec"]["value"] == point.achieved.median
    found = samples(of(run, "prometheus"))
    assert {dict(labels)["offered"] for metric, labels in found if metric == "stackduel_latency_seconds"} == {
        str(rate) for rate in loop.offered}


def test_what_cannot_be_written_is_one_line(run: Run) -> None:
    with pytest.raises(UsageError, match="FORMAT=xml: must be one of csv, github-action-benchmark, bencher, prometheus"):
        of(run, "xml")
    with pytest.raises(MachineError, match="FORMAT=parquet: needs pyarrow"):
        of(run, "parquet")
    for form in FORMATS:
        with pytest.raises(UsageError, match="has no figure"):
            of(replace(runs.made(), trials=()), form)


def test_the_command_writes_a_file_or_stdout(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    file = tmp_path / "figures.prom"
    assert main(["export", str(GOLDEN), "--format", "prometheus", "--output", str(file)], FakeHost()) == 0
    assert main(["export", str(GOLDEN), "FORMAT=prometheus"], FakeHost()) == 0
    assert capsysbinary.readouterr() == (file.read_bytes(), b"") and file.stat().st_size > 1000


@pytest.mark.parametrize("words, code, complaint", [
    ([str(GOLDEN), "--format", "xml"], 2, "FORMAT=xml"), ([str(GOLDEN), "--format", "parquet"], 3, "pyarrow"),
    (["nowhere"], 2, "no run 'nowhere'"), ([str(GOLDEN), "--output", "/nowhere/at/all"], 3, "/nowhere/at/all")])
def test_bad_usage_is_one_line(words: list[str], code: int, complaint: str,
                               capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", *words], FakeHost()) == code
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and complaint in error
