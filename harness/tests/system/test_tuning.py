# SPDX-License-Identifier: BSD-3-Clause
"""Tuning on this machine: a veth of our own is given back as it was, and so are /proc and /sys."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Iterator

import pytest

from harness.provision import journal as undoing
from harness.provision.tuning.cpus import CPUS
from harness.errors import MachineError
from harness.provision.tuning.ethtool import Interface
from harness.host import LocalHost, stat_fields
from harness.provision.journal import Entry
from harness.provision.tuning import machine_steps, results, tune_interface
from harness.provision.tuning.machine import SYSCTL, WORKQUEUES, Paused

pytestmark = pytest.mark.exclusive

HOST = LocalHost()
NETNS = "tuning-test"
# all that the steps may touch
FILES = [*(f"{CPUS}/cpu{cpu}/{name}" for cpu in HOST.cpus() for name in (
    "cpufreq/scaling_governor", "power/pm_qos_resume_latency_us")),
    f"{SYSCTL}/kernel/numa_balancing", f"{SYSCTL}/kernel/nmi_watchdog", WORKQUEUES]


@pytest.fixture
def interface() -> Iterator[str]:
    HOST.run(["ip", "netns", "add", NETNS])
    try:
        HOST.run(["ip", "-n", NETNS, "link", "add", "near", "numrxqueues", "2", "numtxqueues", "2", "type", "veth",
                  "peer", "name", "far", "numrxqueues", "2", "numtxqueues", "2"])
        yield "near"
    finally:
        HOST.run(["ip", "netns", "del", NETNS])


def contents() -> dict[str, str]:
    """Of those FILES that are there."""
    found: dict[str, str] = {}
    for path in FILES:
        try:
            found[path] = HOST.read(path)
        except MachineError:
            continue
    return found


def test_an_interface_comes_back_as_it_was(interface: str) -> None:
    before = Interface(HOST, NETNS, interface).settings()
    assert before["channels"] == {"rx": "2", "tx": "2"} and before["offloads"]["generic-receive-offload"] == "off"
    assert Interface(HOST, NETNS, interface).change("channels", {"rx": "1", "tx": "1"}) == ""
    assert Interface(HOST, NETNS, interface).change("offloads", {"generic-receive-offload": "on", "rx-checksumming": "off",
                                                       "tx-tcp-segmentation": "off", "rx-vlan-offload": "off"}) == ""
    changed = Interface(HOST, NETNS, interface).settings()
    assert changed["channels"] != before["channels"] and changed["offloads"] != before["offloads"]
    assert Interface(HOST, NETNS, interface).restore(before) == []
    assert Interface(HOST, NETNS, interface).settings() == before


def test_what_cannot_be_given_back_is_said(interface: str) -> None:
    failed = Interface(HOST, NETNS, interface).restore({"rings": {"rx": "64"}, "channels": {"rx": "1"}})
    assert failed == ["`ethtool -G near rx 64`: netlink error: Operation not supported"]
    assert Interface(HOST, NETNS, interface).show("channels").now["rx"] == "1"


def test_a_veth_has_channels_and_nothing_else_to_tune(interface: str) -> None:
    found = {entry.what: entry for entry in tune_interface(HOST, NETNS, interface, "0000:ff:1f.7", "fair", [0])}
    assert found["channels"].got == "rx 1 tx 1"
    assert all("Operation not supported" in found[what].why for what in ("rings", "flow control"))
    assert found["interrupts"].why == "the kernel shows no interrupt of 0000:ff:1f.7"


@pytest.mark.parametrize("level", ["fair", "max"])
def test_the_machine_is_as_before(level: str) -> None:
    before, cpus = contents(), HOST.cpus()
    assert before
    entries = []
    steps = machine_steps(level, cpus[:1], cpus[-1:])
    for step in steps:
        entries.append(Entry(step.name, tuple(step.undo(HOST))))
        step.up(HOST)
    try:
        assert len(results(steps)) == len(steps)
        # each setting took, or it is said why not
        assert all(entry.got or entry.why for entry in results(steps))
    finally:
        _, failed = undoing.undo(HOST, entries)
    assert failed == [] and contents() == before


def test_a_program_is_paused_and_goes_on(tmp_path: Path) -> None:
    program = tmp_path / "tuning-idle"
    shutil.copy("/bin/sleep", program)
    process = HOST.spawn([str(program), "60"], stdout=tmp_path / "o", stderr=tmp_path / "e")

    def state() -> str:
        return stat_fields(HOST.read(f"/proc/{process.pid}/stat"))[0]
    try:
        # between fork and exec it has another name
        while not (undo := (step := Paused("tuning-idle", "a test")).undo(HOST)):
            assert process.poll() is None
        step.up(HOST)
        assert undo == [["continue", process.pid, process.start_time]]
        assert step.result and step.result.got == "paused" and Paused("tuning-idle", "a test").undo(HOST) == []
        done, failed = undoing.undo(HOST, [Entry("pause", tuple(undo))])
        assert done == [f"kill -CONT {process.pid}"] and failed == [] and state() != "T"
    finally:
        process.stop()
