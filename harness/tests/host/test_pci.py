# SPDX-License-Identifier: BSD-3-Clause
"""What is read of network cards, and how they are found by name, on recorded machines."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.errors import UsageError
from harness.host import DEVICES, driver_of, emulated, find_nic, interface_of, network_devices, Result
from harness.host import Nic
from harness.host.pci import GROUPS
from harness.tests.fixtures.recorded import RecordedHost


def test_a_port_of_a_server() -> None:
    host = RecordedHost("x710")
    assert [nic.pci for nic in network_devices(host)] == ["0000:04:00.0", "0000:81:00.0", "0000:81:00.1"]
    assert find_nic(host, "enp129s0f1") == Nic(
        pci="0000:81:00.1", interface="enp129s0f1", driver="i40e", vendor="8086", device="1572",
        subsystem_vendor="8086", subsystem_device="0000",
        name="Intel Corporation Ethernet Controller X710 for 10GbE SFP+", numa_node=1, iommu_group="42", group=(),
        mac="3c:fd:fe:00:00:21", mtu=1500, up=True)
    assert not find_nic(host, "enp129s0f0").up


def test_an_interface_of_a_virtio_device_is_its_pci_devices() -> None:
    host = RecordedHost("virtual-machine")
    nic = find_nic(host, "eth0")
    assert (nic.pci, nic.driver, nic.mtu, nic.numa_node) == ("0000:00:03.0", "virtio-pci", 1400, -1)
    assert interface_of(host, nic.pci) == "eth0" and driver_of(host, nic.pci) == "virtio-pci"


@pytest.mark.parametrize("text", ["0000:81:00.1", "81:00.1", "enp129s0f1"])
def test_every_way_to_name_it(text: str) -> None:
    assert find_nic(RecordedHost("x710"), text).pci == "0000:81:00.1"


def test_hex_digits_in_capitals() -> None:
    assert find_nic(RecordedHost("mlx5"), "0000:3B:00.1").interface == "enp59s0f1np1"


@pytest.mark.parametrize("text, complaint", [
    ("81:00.7", "no PCI device 0000:81:00.7; there are: 0000:04:00.0 (eno1), 0000:81:00.0 (enp129s0f0), "
                "0000:81:00.1 (enp129s0f1)"),
    ("00:1c.0", "0000:00:1c.0 is no network card (PCI class 060400); there are: "),
    ("lo", "interface 'lo' is not on a PCI card, so DPDK cannot have it; there are: "),
    ("eth7", "no network card 'eth7', which is neither an interface nor a PCI address here; there are: "),
    ("../net/eno1", "no network card '../net/eno1', which is neither"),
    ("", "no network card ''")])
def test_what_is_none(text: str, complaint: str) -> None:
    with pytest.raises(UsageError) as caught:
        find_nic(RecordedHost("x710"), text)
    assert str(caught.value).startswith(complaint) and "\n" not in str(caught.value)


def test_a_machine_without_a_card_says_so() -> None:
    host = RecordedHost("virtual-machine")
    host.put(f"{DEVICES}/0000:00:03.0", None)
    with pytest.raises(UsageError, match="this machine has no network card on its PCI bus"):
        find_nic(host, "eth1")


def test_a_card_that_no_driver_of_the_kernels_has() -> None:
    nic = find_nic(RecordedHost("x710-vfio"), "81:00.0")
    assert (nic.interface, nic.driver, nic.mac, nic.mtu, nic.up) == ("", "vfio-pci", "", 0, False)


def test_a_name_without_lspci() -> None:
    host = RecordedHost("x710")
    host.missing = {"lspci"}
    assert find_nic(host, "eno1").name == "8086:1521" and "lspci -Dmm" not in host.asked


def test_what_shares_the_group_without_bridges() -> None:
    nic = find_nic(RecordedHost("x710-shared-group"), "81:00.0")
    assert (nic.iommu_group, nic.group) == ("40", ("0000:81:00.1", "0000:82:00.0"))


def test_a_group_that_vfio_made_without_an_iommu_is_none() -> None:
    host = RecordedHost("x710-vfio")
    host.put(f"{GROUPS}/42/name", "vfio-noiommu\n")
    assert find_nic(host, "81:00.1").iommu_group == ""


@pytest.mark.parametrize("machine, name, played", [
    ("virtual-machine", "eth0", "paravirtual virtio-net"), ("qemu", "eth0", "QEMU's e1000e"),
    ("qemu", "eth1", "paravirtual virtio-net"), ("x710", "enp129s0f0", ""), ("mlx5", "enp59s0f0np0", "")])
def test_hardware_or_not(machine: str, name: str, played: str) -> None:
    host = RecordedHost(machine)
    assert emulated(host, find_nic(host, name)) == played


@pytest.mark.parametrize("ids, maker, guest, played", [
    ("8086:100e 1af4:1100", "QEMU", True, "QEMU's e1000"),
    ("8086:10d3 8086:0000", "QEMU", True, "QEMU's e1000e"),
    ("8086:10d3 8086:a01f", "QEMU", True, ""),              # a real 82574L that was given to the guest
    ("8086:10d3 8086:0000", "Supermicro", False, ""),       # a real one whose board has no number
    ("8086:10d3 15ad:07d0", "VMware, Inc.", True, "VMware's e1000e"),
    ("15ad:07b0 15ad:07b0", "QEMU", True, "paravirtual vmxnet3"),
    ("8086:100e 8086:001e", "innotek GmbH", True, "VirtualBox's e1000"),
    ("8086:10d3 8086:0000", "Some Cloud", True, "a hypervisor's e1000e"),
    ("10ec:8139 1af4:1100", "", False, "QEMU's rtl8139"),
    ("abcd:1234 1af4:1100", "", False, "QEMU's abcd:1234"),
    ("8086:1572 8086:0007", "QEMU", True, "")])
def test_who_plays_its_part(ids: str, maker: str, guest: bool, played: str) -> None:
    host = RecordedHost("x710")
    host.put("/sys/class/dmi/id/sys_vendor", f"{maker}\n")
    host.put("/proc/cpuinfo", f"flags\t\t: fpu {'hypervisor' if guest else 'vmx'} sse\n")
    card, board = (pair.split(":") for pair in ids.split())
    nic = replace(find_nic(host, "eno1"), vendor=card[0], device=card[1], subsystem_vendor=board[0],
                  subsystem_device=board[1])
    assert emulated(host, nic) == played


def test_a_failing_lspci_is_no_failure() -> None:
    host = RecordedHost("x710")
    host.commands["lspci -Dmm"] = {"code": 1, "stderr": "lspci: Cannot open /proc/bus/pci"}
    assert find_nic(host, "eno1").name == "8086:1521"
    assert host.query(["lspci", "-Dmm"], check=False) == Result(1, "", "lspci: Cannot open /proc/bus/pci")
