# SPDX-License-Identifier: BSD-3-Clause
"""What a run in the virtual machine must have left is missed when it is not there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable

import pytest

from ci.vm import checks
from harness.tests.fixtures import synthetic_nic

Change = Callable[[dict[str, Any]], Any]


def made(tmp_path: Path, change: Change = lambda data: None) -> tuple[Path, Path]:
    """Make directories of a run and of its report, as they should be but for `change`."""
    run, report = synthetic_nic.write(tmp_path / "run"), tmp_path / "report"
    data: dict[str, Any] = {name: json.loads((run / f"{name}.json").read_text()) for name in ("facts", "plan")}
    data["facts"]["ports"]["lwip"] = {"rx_queues": 2, "steering": "port"}
    data["trials"] = [json.loads(line) for line in (run / "trials.jsonl").read_text().splitlines()]
    for trial in data["trials"]:
        trial["xstats"] = {"server": {"rx_q0_good_packets": 7, "rx_q1_good_packets": 5}}
    data |= {"report.html": "EMULATED NIC", "throughput.svg": "EMULATED NIC", "throughput.png": "x",
             "summary.md": "**EMULATED NIC**\n", "summary.csv": "connections,emulated\n1,QEMU's e1000e\n"}
    change(data)
    report.mkdir()
    for name in ("facts", "plan"):
        (run / f"{name}.json").write_text(json.dumps(data.pop(name)))
    (run / "trials.jsonl").write_text("".join(json.dumps(each) + "\n" for each in data.pop("trials")))
    for name, text in data.items():
        (report / name).write_text(text)
    return run, report


def without_trials(contender: str, connections: int) -> Change:
    """Return the change that takes these trials away."""
    return lambda data: data.update(trials=[trial for trial in data["trials"] if (
        trial["contender"], trial["connections"]) != (contender, connections)])


def test_a_run_as_it_should_be(tmp_path: Path) -> None:
    assert checks.queues(*made(tmp_path)) == []


def test_what_was_not_applicable_is_not_missed(tmp_path: Path) -> None:
    def add(data: dict[str, Any]) -> None:
        data["plan"]["contenders"].append("epoll-mt")
        data["plan"]["not_applicable"] = {"epoll-mt": "one server core"}
    assert checks.bench(*made(tmp_path, add)) == []


@pytest.mark.parametrize("change, said", [
    (without_trials("lwip", 64), "no valid trial of lwip at 64 connections"),
    (lambda data: data["trials"][0].update(valid=False, problems=["lost"]), "epoll at 1: lost"),
    (lambda data: data["facts"]["nic"]["binding"].update(dpdk="e1000e"), "lwIP had the card by e1000e, not by vfio-pci"),
    (lambda data: data["facts"]["nic"].pop("rebinds"), "the card changed its driver at no time"),
    (lambda data: data["facts"]["wire"].pop("emulated"), "facts.json does not say that the card is emulated"),
    (lambda data: data["trials"][2].pop("emulated"), "not every trial says that the card is emulated"),
    (lambda data: data.pop("throughput.png"), "the report has no throughput.png"),
    (lambda data: data.update({"report.html": "x"}), "report.html does not say that the card is emulated"),
    (lambda data: data.update({"summary.md": "x\nEMULATED NIC"}), "summary.md does not begin with it"),
    (lambda data: data.update({"summary.csv": "connections,emulated\n1,\n"}), "summary.csv does not say it in each row"),
    (lambda data: data["facts"]["ports"]["lwip"].update(rx_queues=1), "the card gave 1 queues, steering port"),
    (lambda data: data["trials"][5]["xstats"]["server"].pop("rx_q1_good_packets"),
     "lwip at 64: not both queues received: {'rx_q0_good_packets': 7}")])
def test_what_is_missing_is_said(tmp_path: Path, change: Change, said: str) -> None:
    assert said in checks.queues(*made(tmp_path, change))
