# SPDX-License-Identifier: BSD-3-Clause
"""Write the figures of a run in the formats of other tools. Knows no file.

The formats are described at:
github-action-benchmark: https://github.com/benchmark-action/github-action-benchmark (custom tools)
bencher: https://bencher.dev/docs/reference/bencher-metric-format
prometheus: https://prometheus.io/docs/instrumenting/exposition_formats, its names after
https://prometheus.io/docs/practices/naming; node_exporter's textfile collector takes no timestamps
"""

from __future__ import annotations

import json
import re
from itertools import groupby
from typing import Callable, Mapping

from harness.analyse import Better, Summary
from harness.errors import MachineError, UsageError
from harness.report.export.values import GAIN, Value, values
from harness.report.tables import summary_table
from harness.store import PERCENTILES, Run

_MICRO = 1_000_000
# a name, its help, labels and the figure
_Sample = tuple[str, str, Mapping[str, str], float]
_PARQUET = "parquet"


def export(run: Run, summary: Summary, form: str) -> bytes:
    """Return a run's figures in a format. UsageError on an unknown one, and where there are none.

    MachineError on one that no package of this release can write.
    """
    if form == _PARQUET:
        raise MachineError("FORMAT=parquet: needs pyarrow, which Debian 12 and 13 do not package: "
                           "export csv, and convert it where pyarrow is")
    if form not in FORMATS:
        raise UsageError(f"FORMAT={form}: must be one of {', '.join(FORMATS)}")
    if not any(values(summary)):
        raise UsageError(f"run {run.id} has no figure: no trial of it is valid")
    return FORMATS[form](run, summary)


def _csv(_: Run, summary: Summary) -> bytes:
    return summary_table(summary)


def _conditions(summary: Summary) -> dict[str, str]:
    """Return what the figures are of, by name: others are not to be set beside them."""
    body = "" if "body" in summary.sweep else str(summary.body_size_bytes)
    given = {"wire": summary.wire, "workload": summary.workload, "body_size_bytes": body, "tap": summary.tap,
             "impairment": summary.impairment, "softirq": summary.softirq,
             "emulated": summary.emulated}
    return {name: value for name, value in given.items() if value}


def _name(summary: Summary, value: Value) -> str:
    more = _conditions(summary)
    wire, workload = more.pop("wire"), more.pop("workload")
    return ", ".join([f"{wire}/{workload}/{value.contender}: {value.place}",
                      *(f"{name} {text}" for name, text in more.items())])


def _metric(value: Value) -> str:
    return f"gain over {value.over}" if value.over else value.key


def _github(run: Run, summary: Summary) -> bytes:
    """Return what its tool customBiggerIsBetter takes, so without latencies and costs."""
    return _json([{
        "name": f"{_name(summary, value)}: {_metric(value)}", "unit": value.unit,
        "value": value.estimate,
        **({"range": "{} to {}".format(*value.ci95)} if value.ci95 else {}),
        "extra": f"run {run.id}; {value.doc}; range: 95 % interval",
    } for value in values(summary) if value.better == Better.HIGHER])


def _bencher(_: Run, summary: Summary) -> bytes:
    found: dict[str, dict[str, dict[str, float]]] = {}
    for value in values(summary):
        ends = zip(("lower_value", "upper_value"), value.ci95 or ())
        found.setdefault(_name(summary, value), {})[_slug(value)] = {
            "value": value.estimate, **dict(ends)}
    return _json(found)


def _slug(value: Value) -> str:
    """Return a measure's slug; throughput is Bencher's own, in operations a second."""
    if value.key == "requests_per_sec":
        return "throughput"
    key = f"latency_{value.key}_us" if value.key in PERCENTILES else value.key
    return _metric(value).replace(" ", "-") if value.over else key.replace("_", "-")


def _prometheus(run: Run, summary: Summary) -> bytes:
    shared = _conditions(summary)
    samples: list[_Sample] = [("stackduel_run_info", "the run that the figures are of", {
        **shared, "run": run.id, "started_at": run.facts.started_at,
        "revision": run.facts.git.revision or ""}, 1)]
    samples += [
        (_base_name(value), _help(value),
         {**shared, "contender": value.contender, **({"over": value.over} if value.over else {}),
          **{name: str(number) for name, number in value.labels.items()},
          **({"quantile": f"{PERCENTILES[value.key] / 1000:g}"} if value.key in PERCENTILES
             else {}), "statistic": statistic},
         number / _MICRO if value.unit == "µs" else number)
        for value in values(summary)
        for statistic, number in zip(("estimate", "ci95_low", "ci95_high"),
                                     (value.estimate, *(value.ci95 or ())))]
    lines = []
    # the lines of a metric stand together
    for (name, line), group in groupby(sorted(samples, key=_family), _family):
        lines += [f"# HELP {name} {_escaped(line)}", f"# TYPE {name} gauge"]
        lines += [f"{name}{{{_labels(labels)}}} {number:.12g}" for *_, labels, number in group]
    return ("\n".join(lines) + "\n").encode()


def _family(sample: _Sample) -> tuple[str, str]:
    return sample[:2]


def _base_name(value: Value) -> str:
    """Return a metric's name, which ends with its base unit."""
    if value.key in PERCENTILES:
        return "stackduel_latency_seconds"
    if value.key == GAIN:
        return "stackduel_gain_ratio"
    key = value.key.replace("_us_", "_seconds_")
    return f"stackduel_{re.sub('_per_sec$', '_per_second', key)}"


def _help(value: Value) -> str:
    return "latency, quantiles by nearest rank" if value.key in PERCENTILES else value.doc


def _labels(labels: Mapping[str, str]) -> str:
    return ",".join('{}="{}"'.format(name, _escaped(text).replace('"', r'\"'))
                    for name, text in labels.items())


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _json(data: object) -> bytes:
    return (json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


FORMATS: Mapping[str, Callable[[Run, Summary], bytes]] = {
    "csv": _csv, "github-action-benchmark": _github, "bencher": _bencher,
    "prometheus": _prometheus}
