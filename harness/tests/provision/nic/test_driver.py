# SPDX-License-Identifier: BSD-3-Clause
"""By which driver a card comes to DPDK, on recorded machines, and what is said when it cannot."""

from __future__ import annotations

import pytest

from harness.provision.nic.driver import NO_IOMMU, Binding, bind_command, choose_binding, kernel_driver
from harness.errors import MachineError
from harness.host import DEVICES, find_nic
from harness.host.pci import GROUPS
from harness.provision.nic.driver import Pmd, pmd_of
from harness.tests.fixtures.recorded import RecordedHost

FIRST, SECOND = "0000:81:00.0", "0000:81:00.1"
RELEASE = "6.1.0-28-amd64"


def refused(host: RecordedHost, nic: str, noiommu: bool = False) -> str:
    with pytest.raises(MachineError) as caught:
        choose_binding(host, find_nic(host, nic), noiommu)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def with_no_iommu_mode() -> RecordedHost:
    host = RecordedHost("x710-no-iommu")
    host.commands["modinfo -F parm vfio"] = ("enable_unsafe_noiommu_mode:Enable UNSAFE, no-IOMMU mode.  This mode"
                                             " provides no device isolation, no DMA translation (bool)\n")
    return host


@pytest.mark.parametrize("noiommu", [False, True])
@pytest.mark.parametrize("machine, nic", [("x710", SECOND), ("qemu", "01:00.0"), ("qemu", "eth1")])
def test_behind_an_iommu_it_is_vfio_whatever_else_is_allowed(machine: str, nic: str, noiommu: bool) -> None:
    host = RecordedHost(machine)
    assert choose_binding(host, find_nic(host, nic), noiommu) == Binding(
        "vfio-pci", True, ("vfio-pci",), (), "vfio-pci behind an IOMMU")


def test_what_is_loaded_or_built_in_is_not_loaded_again() -> None:
    host = RecordedHost("x710-vfio")
    assert choose_binding(host, find_nic(host, SECOND), False).modules == ()
    assert not any(line.startswith("modprobe --show-depends") for line in host.asked)


def test_the_commands_to_bind() -> None:
    assert bind_command("vfio-pci", SECOND) == ("dpdk-devbind.py", "--force", "-b", "vfio-pci", SECOND)


def test_a_shared_card_needs_no_binding_but_modules() -> None:
    host = RecordedHost("mlx5")
    nic = find_nic(host, "enp59s0f1np1")
    expected = Binding("", True, ("ib_uverbs", "mlx5_ib"), (),
                       "shared with its kernel driver mlx5_core (bifurcated), never rebound")
    assert choose_binding(host, nic, False) == expected
    host.put("/sys/module", {"mlx5_ib": {}, "ib_uverbs": {}})
    assert choose_binding(host, nic, False).modules == ()
    for gone in ("mlx5_ib", "ib_uverbs"):
        host.put(f"/sys/module/{gone}", None)
    host.commands["modprobe --show-depends ib_uverbs"] = {"code": 1, "stderr": "modprobe: FATAL: Module not found"}
    assert refused(host, "enp59s0f1np1").startswith(
        "DPDK needs the kernel's module ib_uverbs to share 0000:3b:00.1 (enp59s0f1np1) with mlx5_core, and kernel")


def test_no_iommu_is_said_with_the_way_to_one() -> None:
    host = RecordedHost("x710-no-iommu")
    line = (f"{SECOND} (enp129s0f1) is behind no IOMMU: add intel_iommu=on to the kernel's command line and reboot,"
            " with VT-d on in the BIOS, or give NOIOMMU=1, which lets the card write to all of this machine's memory")
    assert refused(host, SECOND) == line
    host.put("/proc/cmdline", "root=/dev/sda2 intel_iommu=on\n")
    assert "intel_iommu=on stands on the kernel's command line already, so switch VT-d on in the BIOS" in refused(
        host, SECOND)
    host.put("/proc/cpuinfo", "vendor_id\t: AuthenticAMD\n")
    assert "add amd_iommu=on to the kernel's command line and reboot, with AMD-Vi (IOMMU) on" in refused(host, SECOND)
    host.put("/proc/cpuinfo", "CPU implementer\t: 0x41\n")
    assert "switch the IOMMU on in the firmware, or give NOIOMMU=1" in refused(host, SECOND)


def test_the_unsafe_mode_is_only_written_when_it_is_asked_for() -> None:
    host = with_no_iommu_mode()
    assert "NOIOMMU=1" in refused(host, SECOND)
    nic = find_nic(host, SECOND)
    assert choose_binding(host, nic, True) == Binding("vfio-pci", False, ("vfio-pci",), ((NO_IOMMU, "1"),),
                                              "vfio-pci without an IOMMU (unsafe mode)")
    host.put("/sys/module/vfio/parameters/enable_unsafe_noiommu_mode", "N\n")
    host.put("/sys/module/vfio_pci", {})
    assert choose_binding(host, nic, True).modules == () and choose_binding(host, nic, True).writes == ((NO_IOMMU, "1"),)
    host.put("/sys/module/vfio/parameters/enable_unsafe_noiommu_mode", "Y\n")
    assert choose_binding(host, nic, True).writes == ()


def test_a_kernel_without_the_unsafe_mode_has_a_second_choice() -> None:
    host = RecordedHost("x710-no-iommu")
    expected = Binding("uio_pci_generic", False, ("uio_pci_generic",), (), "uio_pci_generic without an IOMMU (this"
                       " kernel has no vfio-pci with a no-IOMMU mode)")
    assert choose_binding(host, find_nic(host, SECOND), True) == expected
    # its vfio is loaded and has no such parameter
    host.put("/sys/module/vfio", {"parameters": {}})
    assert choose_binding(host, find_nic(host, SECOND), True) == expected


def test_neither_of_the_two() -> None:
    host = RecordedHost("virtual-machine")
    assert refused(host, "eth0", True) == (
        "0000:00:03.0 (eth0) is behind no IOMMU, kernel 6.18.44 has no vfio-pci, and uio_pci_generic, the second"
        " choice, is missing: kernel 6.18.44 has no modules here (/lib/modules/6.18.44); install its package (Debian:"
        " linux-image-6.18.44), or boot the distribution's kernel (linux-image-amd64)")
    host.missing = {"modprobe"}
    assert refused(host, "eth0", True).endswith("modprobe is missing; run `sudo make deps`, or install package kmod")


def test_lockdown_forbids_the_second_choice_alone() -> None:
    host = RecordedHost("x710-no-iommu")
    host.put("/sys/kernel/security/lockdown", "none [integrity] confidentiality\n")
    assert refused(host, SECOND, True).endswith(
        "and uio_pci_generic, the second choice, is forbidden by the kernel's lockdown (integrity, in"
        " /sys/kernel/security/lockdown): switch Secure Boot off, or add intel_iommu=on to the kernel's command line"
        " and reboot, with VT-d on in the BIOS")
    behind = RecordedHost("x710")
    behind.put("/sys/kernel/security/lockdown", "none [integrity] confidentiality\n")
    assert choose_binding(behind, find_nic(behind, SECOND), False).driver == "vfio-pci"


def test_a_virtual_function_does_not_go_with_uio() -> None:
    host = RecordedHost("x710-no-iommu")
    host.put(f"{DEVICES}/{SECOND}", {"vendor": "0x8086\n", "device": "0x10ca\n"})
    assert "does not work with DPDK's driver net_e1000_igb_vf: add intel_iommu=on" in refused(host, SECOND, True)


@pytest.mark.parametrize("shown", [
    {"code": 1, "stderr": "modprobe: FATAL: Module vfio-pci not found in directory /lib/modules/6.1.0-28-amd64"},
    "install /bin/false \n", ""])
def test_a_module_that_is_not_there_or_forbidden(shown: object) -> None:
    host = RecordedHost("x710")
    host.commands["modprobe --show-depends vfio-pci"] = shown
    assert refused(host, SECOND) == (
        f"no vfio-pci for {SECOND} (enp129s0f1): kernel {RELEASE} has no such module, or its configuration forbids it"
        " (`modprobe --show-depends`); boot the distribution's kernel (Debian: linux-image-amd64)")


def test_a_group_that_is_shared_with_devices_in_use() -> None:
    host = RecordedHost("x710-shared-group")
    assert refused(host, FIRST) == (
        f"{FIRST} (enp129s0f0) shares IOMMU group 40 with {SECOND} (i40e), 0000:82:00.0 (mpt3sas), and a group is given"
        " to user space whole: unbind these too if nothing uses them (`dpdk-devbind.py -u 0000:81:00.1 0000:82:00.0`),"
        " or put the card into another slot")


@pytest.mark.parametrize("driver", ["", "vfio-pci", "pci-stub"])
def test_what_shares_a_group_without_harm(driver: str) -> None:
    host = RecordedHost("x710-shared-group")
    for other in (SECOND, "0000:82:00.0"):
        host.put(f"{DEVICES}/{other}/driver", f"-> drivers/{driver}" if driver else None)
    assert choose_binding(host, find_nic(host, FIRST), False).driver == "vfio-pci"


def test_a_card_that_dpdk_has_no_driver_for() -> None:
    assert refused(RecordedHost("desktop"), "enp5s0") == (
        "the installed DPDK has no driver for 0000:05:00.0 (enp5s0) (10ec:8168): use another card, or a DPDK that has"
        " one")


@pytest.mark.parametrize("machine, nic, pmd", [
    ("x710", "eno1", Pmd("net_e1000_igb", ("igb_uio", "uio_pci_generic", "vfio-pci"))),
    ("x710", SECOND, Pmd("net_i40e", ("igb_uio", "uio_pci_generic", "vfio-pci"))),
    ("mlx5", "3b:00.0", Pmd("mlx5_eth", ("ib_uverbs", "mlx5_core", "mlx5_ib"))),
    ("virtual-machine", "eth0", Pmd("net_virtio", ("igb_uio", "uio_pci_generic", "vfio-pci"))),
    ("desktop", "enp5s0", None)])
def test_which_driver_of_dpdk_takes_it(machine: str, nic: str, pmd: Pmd | None) -> None:
    host = RecordedHost(machine)
    assert pmd_of(host, find_nic(host, nic)) == pmd


def test_the_driver_to_go_back_to() -> None:
    host = RecordedHost("x710")
    assert kernel_driver(host, find_nic(host, SECOND)) == "i40e"
    bound = RecordedHost("x710-vfio")
    assert kernel_driver(bound, find_nic(bound, SECOND)) == "i40e"
    bound.put("/sys/module/i40e", None)
    assert kernel_driver(bound, find_nic(bound, SECOND)) == "i40e"
    alias = next(line for line in bound.commands if line.startswith("modprobe --res") and "sd00000000" in line)
    bound.commands[alias] = "virtio_pci\n"
    assert kernel_driver(bound, find_nic(bound, SECOND)) == "virtio-pci"
    bound.commands[alias] = {"code": 1, "stderr": "modprobe: FATAL: Module not found"}
    with pytest.raises(MachineError, match=f"no driver of this kernel takes {SECOND}"):
        kernel_driver(bound, find_nic(bound, SECOND))


def test_a_card_that_is_bound_without_an_iommu_is_not_behind_one() -> None:
    host = RecordedHost("x710-vfio")
    host.put(f"{GROUPS}/42/name", "vfio-noiommu\n")
    assert "is behind no IOMMU" in refused(host, SECOND)
