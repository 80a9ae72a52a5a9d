# SPDX-License-Identifier: BSD-3-Clause
"""A made-up run on a network card, hardware or emulated, the same for the same seed.

The figures were measured nowhere and stand in no report but the tests'.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Collection, Mapping

from harness.tests import synthetic

EMULATED = "QEMU's e1000e"
HARDWARE: dict[str, Any] = {
    "system": {"vendor": "A Maker", "product": "Server 9000", "version": None, "board": "X1"},
    "bios": {"vendor": "Bios Inc.", "version": "2.4", "date": "01/02/2024"}, "microcode": "0x49", "packages": 2,
    "smt": "off", "turbo": False, "frequency_driver": "intel_pstate",
    "c_states": {"driver": "intel_idle", "governor": "menu", "enabled": ["POLL", "C1"]},
    "numa": [{"node": 0, "cpus": "0-7", "memory_kib": 1024, "hugepages": {"2048 KiB": 96, "1048576 KiB": None}}],
    "hypervisor": "none", "iommu": ["dmar0"], "lockdown": None}
CARD: dict[str, Any] = {
    "pci": "0000:02:00.0", "name": "Intel Corporation 82599ES", "id": "8086:10fb", "subsystem": "8086:0003",
    "numa_node": 0, "iommu_group": "15", "iommu_group_shared_with": [],
    "pcie": {"speed": "5.0 GT/s PCIe", "width": "8", "max_speed": "5.0 GT/s PCIe", "max_width": "8"},
    "interface": "server0", "driver": "ixgbe", "driver_version": "6.1.0", "firmware": "0x800003df",
    "speed_mbps": 10000, "duplex": "Full", "port": "Direct Attach Copper", "autonegotiation": "off", "link": "yes",
    "module": {"identifier": "0x03 (SFP)", "vendor": "Cable & Co", "part": "DAC-2M", "connector": None, "length": "2m"},
    "rings": {"now": {"rx": 512, "tx": 512}, "most": {"rx": 4096, "tx": 4096}}, "channels": None,
    "coalescing": {"rx-usecs": 1}, "pause": {"rx": "off", "tx": "off"}}
TUNING = [{"what": "CPU governor", "asked": "performance", "got": "performance", "why": "no change of frequency"},
          {"what": "rings", "asked": {"rx": 1024}, "got": None, "why": "the driver refused | Invalid argument"}]
ORDER = {"NIC": "0000:02:00.0", "CLIENT": "ssh:me@there,if=eth1;ssh:me@elsewhere", "TUNE": "fair", "FORCE": "1"}


def nic(emulated: str = "") -> dict[str, Any]:
    return {"server": CARD, "client": {**CARD, "pci": "0000:02:00.1", "interface": "client0"},
            "binding": {"dpdk": "vfio-pci", "mode": "vfio-pci behind an IOMMU", "kernel": "ixgbe"},
            "emulated": emulated, "rebinds": {"count": 3, "seconds": [3.25, 2.5, 3.0]},
            "notes": ["the clocks differ by 2 s"], "order": ORDER}


def counted(contender: str, missed: int) -> dict[str, dict[str, int]]:
    """`xstats` of a record; what is not lost is not looked at."""
    server = {"rx_good_packets": 50_000, "tx_good_packets": 50_000} if contender == "lwip" else {"rx_packets": 50_000}
    return {"client": {"rx_packets": 50_000}, "server": {**server, **({"rx_missed_errors": missed} if missed else {})}}


def write(directory: Path, *, run: str = "20260102-030405-nic", emulated: str = EMULATED, missed: int = 0,
          contenders: Collection[str] = ("epoll", "lwip"), facts: Mapping[str, Any] = {}) -> Path:
    """`missed`: packets that the server's NIC says it missed in every trial. `facts`: replaces some."""
    synthetic.write(directory, run=run, contenders=contenders)
    plan = json.loads((directory / "plan.json").read_text())
    (directory / "plan.json").write_text(json.dumps({**plan, "wire": "nic", "by_contender": True}))
    told = json.loads((directory / "facts.json").read_text())
    told["wire"] |= {"name": "nic", "title": "a bound NIC", **({"emulated": emulated} if emulated else {})}
    told |= {"hardware": HARDWARE, "nic": nic(emulated), "tuning": TUNING, **facts}
    (directory / "facts.json").write_text(json.dumps(told))
    lines = [json.loads(line) for line in (directory / "trials.jsonl").read_text().splitlines()]
    (directory / "trials.jsonl").write_text("".join(json.dumps({
        **line, "xstats": counted(line["contender"], missed), **({"emulated": emulated} if emulated else {})}) + "\n"
        for line in lines))
    return directory
