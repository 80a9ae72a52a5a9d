# SPDX-License-Identifier: BSD-3-Clause
"""What a run in the virtual machine must have left, looked at on the host. Pure: reads files, starts nothing."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from harness.report import note_text
from harness.store import Run, load_run

FILES = ("report.html", "summary.md", "summary.csv", "throughput.png", "throughput.svg")
LABEL = "EMULATED NIC"


def bench(directory: Path, report: Path, driver: str = "vfio-pci") -> list[str]:
    """Return what is wrong with a run on a card that DPDK has by `driver`, a line each."""
    run = load_run(directory)
    nic = run.facts.raw["nic"]
    measured = {(trial.contender, trial.point.connections) for trial in run.trials if trial.valid}
    wanted = {(name, count) for name in run.plan.contenders for count in run.plan.connections
              if name not in run.plan.not_applicable}
    found = [f"no valid trial of {name} at {count} connections" for name, count in sorted(wanted - measured)]
    found += [f"{trial.contender} at {trial.point.connections}: {note_text(problem)}" for trial in run.trials
              for problem in trial.problems]
    if nic["binding"]["dpdk"] != driver:
        found.append(f"lwIP had the card by {nic['binding']['dpdk']}, not by {driver}")
    if {"lwip", "epoll"} <= {name for name, _ in wanted} and not nic.get("rebinds", {}).get("count"):
        found.append("the card changed its driver at no time")
    return [*found, *_labels(run, report)]


def without_iommu(directory: Path, report: Path) -> list[str]:
    """Return the same of a machine without an IOMMU, whose kernel has no unsafe mode of vfio."""
    return bench(directory, report, "uio_pci_generic")


def queues(directory: Path, report: Path) -> list[str]:
    """Return the same of a card with two queues, which must both have received under lwIP."""
    found, run = bench(directory, report), load_run(directory)
    port = run.facts.ports["lwip"]
    # DPDK's virtio tells no hash of a packet, so the stacks sort what the queues bring
    if port["rx_queues"] != 2 or port["steering"] == "none":
        found.append(f"the card gave {port['rx_queues']} queues, steering {port['steering']}")
    for trial in run.trials:
        counted = {name: count for name, count in trial.xstats.get("server", {}).items()
                   if re.fullmatch(r"rx_q\d+_?(good_)?packets", name)}
        if trial.contender == "lwip" and trial.point.connections > 8 and len(counted) < 2:
            found.append(f"lwip at {trial.point.connections}: not both queues received: {counted}")
    return found


def _labels(run: Run, report: Path) -> list[str]:
    """Return where it is not said that the card is emulated."""
    found = [] if run.facts.wire.emulated else ["facts.json does not say that the card is emulated"]
    if not all(trial.emulated for trial in run.trials):
        found.append("not every trial says that the card is emulated")
    missing = [name for name in FILES if not (report / name).is_file()]
    if missing:
        return [*found, f"the report has no {', '.join(missing)}"]
    for name in ("report.html", "throughput.svg"):
        if LABEL not in (report / name).read_text("utf-8"):
            found.append(f"{name} does not say that the card is emulated")
    if LABEL not in (report / "summary.md").read_text("utf-8").splitlines()[0]:
        found.append("summary.md does not begin with it")
    with open(report / "summary.csv", encoding="utf-8", newline="") as file:
        if not all(row.get("emulated") for row in csv.DictReader(file)):
            found.append("summary.csv does not say it in each row")
    return found

