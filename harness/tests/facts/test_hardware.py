# SPDX-License-Identifier: BSD-3-Clause
"""What a machine and its cards tell of themselves, and null for whatever they do not."""

from __future__ import annotations

import json

from harness.facts.hardware import hardware, interface_facts, nic_facts
from harness.host import LocalHost, Nic, Result
from harness.tests.fixtures.fake_host import FakeHost

CPU = "/sys/devices/system/cpu"
NIC = Nic(pci="0000:02:00.0", interface="server0", driver="ixgbe", vendor="8086", device="10fb",
          subsystem_vendor="8086", subsystem_device="0003", name="Intel Corporation 82599ES", numa_node=1, iommu_group="15",
          group=("0000:02:00.1",), mac="02:00:00:00:00:02", mtu=1500, up=True)
LINK = """Settings for server0:
\tSupported ports: [ FIBRE ]
\tSpeed: 10000Mb/s
\tDuplex: Full
\tAuto-negotiation: off
\tPort: Direct Attach Copper
\tLink detected: yes
"""
RINGS = """Ring parameters for server0:
Pre-set maximums:
RX:\t\t4096
RX Mini:\tn/a
TX:\t\t4096
Current hardware settings:
RX:\t\t512
RX Mini:\tn/a
TX:\t\t256
TX Push:\toff
"""
COALESCING = """Coalesce parameters for server0:
Adaptive RX: on  TX: n/a
stats-block-usecs: n/a

rx-usecs: 3
tx-usecs: 0
"""
MODULE = """\tIdentifier                                : 0x03 (SFP)
\tConnector                                 : 0x21 (Copper pigtail)
\tLength (Copper or Active cable)           : 2m
\tVendor name                               : Cable & Co
\tVendor PN                                 : DAC-2M
"""


def told() -> FakeHost:
    host = FakeHost()
    node = "/sys/devices/system/node/node"
    host.files.update({
        "/sys/class/dmi/id/sys_vendor": "A Maker\n", "/sys/class/dmi/id/product_name": "Server 9000\n",
        "/sys/class/dmi/id/bios_version": "2.4\n", "/sys/class/dmi/id/bios_date": "01/02/2024\n",
        "/proc/cpuinfo": "flags\t\t: sse avx\nmicrocode\t: 0x49\n", f"{CPU}/smt/control": "off\n",
        f"{CPU}/intel_pstate/no_turbo": "1\n", f"{CPU}/cpuidle/current_driver": "intel_idle\n",
        f"{CPU}/cpu0/cpuidle/state0/name": "POLL\n", f"{CPU}/cpu0/cpuidle/state1/name": "C1\n",
        f"{CPU}/cpu0/cpuidle/state10/name": "C6\n", f"{CPU}/cpu0/cpuidle/state10/disable": "1\n",
        f"{CPU}/cpu0/topology/physical_package_id": "0\n", f"{CPU}/cpu1/topology/physical_package_id": "1\n",
        f"{node}0/cpulist": "0-7\n", f"{node}0/meminfo": "Node 0 MemTotal:       1024 kB\n",
        f"{node}0/hugepages/hugepages-2048kB/nr_hugepages": "96\n", f"{node}10/cpulist": "8\n",
        f"{node}2/cpulist": "9\n",
        "/sys/kernel/security/lockdown": "none [integrity] confidentiality\n"})
    host.directories |= {f"{CPU}/cpu0", f"{CPU}/cpu1", f"{CPU}/cpu0/cpuidle/state0", f"{CPU}/cpu0/cpuidle/state1",
                         f"{CPU}/cpu0/cpuidle/state10", f"{node}0", f"{node}2", f"{node}10", "/sys/class/iommu/dmar0",
                         f"{node}0/hugepages/hugepages-2048kB"}
    return host


def test_all_that_the_machine_tells() -> None:
    found = hardware(told())
    assert found["system"] == {"vendor": "A Maker", "product": "Server 9000", "version": None, "board": None}
    assert found["bios"] == {"vendor": None, "version": "2.4", "date": "01/02/2024"}
    assert (found["microcode"], found["packages"], found["smt"], found["turbo"]) == ("0x49", 2, "off", False)
    assert found["c_states"] == {"driver": "intel_idle", "governor": None, "enabled": ["POLL", "C1"]}
    assert found["numa"][0] == {"node": 0, "cpus": "0-7", "memory_kib": 1024, "hugepages": {"2048 KiB": 96}}
    assert [node["node"] for node in found["numa"]] == [0, 2, 10]
    assert (found["hypervisor"], found["iommu"], found["lockdown"]) == ("none", ["dmar0"], "integrity")
    assert json.loads(json.dumps(found)) == found


def test_turbo_of_either_driver() -> None:
    host = told()
    host.files[f"{CPU}/intel_pstate/no_turbo"] = "0\n"
    assert hardware(host)["turbo"] is True
    del host.files[f"{CPU}/intel_pstate/no_turbo"]
    assert hardware(host)["turbo"] is None
    host.files[f"{CPU}/cpufreq/boost"] = "0\n"
    assert hardware(host)["turbo"] is False


def test_a_guest_says_whose_it_is() -> None:
    host = told()
    host.files["/proc/cpuinfo"] = "flags\t\t: sse hypervisor\n"
    host.answers[("lscpu",)] = Result(0, "Architecture: x86_64\nHypervisor vendor:     KVM\n", "")
    assert hardware(host)["hypervisor"] == "KVM"
    host.answers[("lscpu",)] = Result(0, "", "")
    assert hardware(host)["hypervisor"] == "A Maker"
    del host.files["/sys/class/dmi/id/sys_vendor"]
    assert hardware(host)["hypervisor"] is None


def test_what_a_machine_does_not_tell_is_null() -> None:
    found = hardware(FakeHost())
    assert found["turbo"] is found["smt"] is found["packages"] is found["hypervisor"] is found["lockdown"] is None
    assert found["numa"] == found["iommu"] == [] and found["c_states"]["enabled"] is None


def test_this_machine_tells_its_processors() -> None:
    assert hardware(LocalHost())["packages"]


def asked(**answers: str) -> FakeHost:
    host = FakeHost()
    for option, text in answers.items():
        words = ("ethtool", *([f"-{option}"] if option != "link" else []), "server0")
        host.answers[("ip", "netns", "exec", "there", *words)] = Result(0, text, "")
    return host


def test_all_that_a_card_and_its_driver_tell() -> None:
    host = asked(link=LINK, i="driver: ixgbe\nversion: 6.1.0\nfirmware-version: 0x800003df, 1.2\n", g=RINGS,
                 c=COALESCING, l="Channel parameters:\nPre-set maximums:\nCombined:\t8\nCurrent hardware settings:\nCombined:\t2\n",
                 a="Pause parameters for server0:\nAutonegotiate:\toff\nRX:\ton\nTX:\toff\n", m=MODULE)
    device = "/sys/bus/pci/devices/0000:02:00.0"
    host.files |= {f"{device}/current_link_speed": "5.0 GT/s PCIe\n", f"{device}/current_link_width": "4\n",
                   f"{device}/max_link_width": "8\n"}
    assert nic_facts(host, NIC, "there", "server0") == {
        "pci": "0000:02:00.0", "name": "Intel Corporation 82599ES", "id": "8086:10fb", "subsystem": "8086:0003",
        "numa_node": 1, "iommu_group": "15", "iommu_group_shared_with": ["0000:02:00.1"],
        "pcie": {"speed": "5.0 GT/s PCIe", "width": "4", "max_speed": None, "max_width": "8"},
        "interface": "server0", "driver": "ixgbe", "driver_version": "6.1.0", "firmware": "0x800003df, 1.2",
        "speed_mbps": 10000, "duplex": "Full", "port": "Direct Attach Copper", "autonegotiation": "off", "link": "yes",
        "module": {"identifier": "0x03 (SFP)", "vendor": "Cable & Co", "part": "DAC-2M",
                   "connector": "0x21 (Copper pigtail)", "length": "2m"},
        "rings": {"now": {"rx": 512, "tx": 256}, "most": {"rx": 4096, "tx": 4096}},
        "channels": {"now": {"combined": 2}, "most": {"combined": 8}},
        "coalescing": {"rx-usecs": 3, "tx-usecs": 0, "adaptive-rx": "on"},
        "pause": {"autonegotiate": "off", "rx": "on", "tx": "off"}}


def test_a_driver_that_tells_nothing() -> None:
    found = interface_facts(asked(link="Settings for server0:\n\tSpeed: Unknown!\n\tDuplex: Unknown! (255)\n"),
                            "there", "server0")
    assert found.pop("interface") == "server0" and set(found.values()) == {None}


def test_a_card_without_an_interface_is_asked_nothing() -> None:
    host = FakeHost()
    found = nic_facts(host, NIC, None, "")
    assert found["pci"] == NIC.pci and found["driver"] is found["rings"] is found["interface"] is None
    assert not host.calls
