# SPDX-License-Identifier: BSD-3-Clause
"""What a run in the virtual machine must have left, looked at on the host. Pure: reads files, starts nothing."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

FILES = ("report.html", "summary.md", "summary.csv", "throughput.png", "throughput.svg")
LABEL = "EMULATED NIC"


def bench(run: Path, report: Path, driver: str = "vfio-pci") -> list[str]:
    """What is wrong with a run on a card that DPDK has by `driver`, a line each."""
    facts, trials = _facts(run), _trials(run)
    plan = json.loads((run / "plan.json").read_text())
    measured = {(trial["contender"], trial["connections"]) for trial in trials if trial["valid"]}
    wanted = {(name, count) for name in plan["contenders"] for count in plan["connections"]
              if name not in {**plan.get("not_applicable", {}), **facts.get("not_applicable", {})}}
    found = [f"no valid trial of {name} at {count} connections" for name, count in sorted(wanted - measured)]
    found += [f"{trial['contender']} at {trial['connections']}: {problem}" for trial in trials
              for problem in trial["problems"]]
    if facts["nic"]["binding"]["dpdk"] != driver:
        found.append(f"lwIP had the card by {facts['nic']['binding']['dpdk']}, not by {driver}")
    if {"lwip", "epoll"} <= {name for name, _ in wanted} and not facts["nic"].get("rebinds", {}).get("count"):
        found.append("the card changed its driver at no time")
    return [*found, *_labels(facts, trials, report)]


def without_iommu(run: Path, report: Path) -> list[str]:
    """The same on a machine without an IOMMU, whose kernel has no unsafe mode of vfio."""
    return bench(run, report, "uio_pci_generic")


def queues(run: Path, report: Path) -> list[str]:
    """The same of a card with two queues, which must both have received under lwIP."""
    found = bench(run, report)
    port = _facts(run)["ports"]["lwip"]
    # DPDK's virtio tells no hash of a packet, so the stacks sort what the queues bring
    if port["rx_queues"] != 2 or port["steering"] == "none":
        found.append(f"the card gave {port['rx_queues']} queues, steering {port['steering']}")
    for trial in _trials(run):
        counted = {name: count for name, count in trial.get("xstats", {}).get("server", {}).items()
                   if re.fullmatch(r"rx_q\d+_?(good_)?packets", name)}
        if trial["contender"] == "lwip" and trial["connections"] > 8 and len(counted) < 2:
            found.append(f"lwip at {trial['connections']}: not both queues received: {counted}")
    return found


def _labels(facts: dict[str, Any], trials: list[dict[str, Any]], report: Path) -> list[str]:
    """Is it said everywhere that the card is none?"""
    found = [] if facts["wire"].get("emulated") else ["facts.json does not say that the card is emulated"]
    if not all(trial.get("emulated") for trial in trials):
        found.append("not every trial says that the card is emulated")
    missing = [name for name in FILES if not (report / name).is_file()]
    if missing:
        return [*found, f"the report has no {', '.join(missing)}"]
    for name in ("report.html", "throughput.svg"):
        if LABEL not in (report / name).read_text():
            found.append(f"{name} does not say that the card is emulated")
    if LABEL not in (report / "summary.md").read_text().splitlines()[0]:
        found.append("summary.md does not begin with it")
    with open(report / "summary.csv", newline="") as file:
        if not all(row.get("emulated") for row in csv.DictReader(file)):
            found.append("summary.csv does not say it in each row")
    return found


def _facts(run: Path) -> dict[str, Any]:
    return dict(json.loads((run / "facts.json").read_text()))


def _trials(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "trials.jsonl").read_text().splitlines()]
