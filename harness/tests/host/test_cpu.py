# SPDX-License-Identifier: BSD-3-Clause
"""Which processor, and whose guest: from what x86-64 and aarch64 machines show of themselves."""

from __future__ import annotations

import pytest

from harness.host import Result, cpu_model, hypervisor, is_guest
from harness.tests.fixtures.fake_host import FakeHost

X86 = "processor\t: 0\nmodel name\t: A CPU\nflags\t\t: fpu sse{}\n"
ARM = ("processor\t: 0\nFeatures\t: fp asimd\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x3\n"
       "CPU part\t: 0xd0c\nCPU revision\t: 1\n")


def machine(cpuinfo: str, lscpu: str = "", **dmi: str) -> FakeHost:
    host = FakeHost()
    host.files["/proc/cpuinfo"] = cpuinfo
    host.answers[("lscpu",)] = Result(0, lscpu, "")
    host.files |= {f"/sys/class/dmi/id/{name}": f"{text}\n" for name, text in dmi.items()}
    return host


@pytest.mark.parametrize("cpuinfo, lscpu, model", [
    (X86.format(""), "Model name: another\n", "A CPU"),
    (ARM, "Model name:   Neoverse-N1\n", "Neoverse-N1, implementer 0x41, part 0xd0c, variant 0x3, revision 1"),
    (ARM, "Model name:   -\n", "implementer 0x41, part 0xd0c, variant 0x3, revision 1"),
    (ARM, "", "implementer 0x41, part 0xd0c, variant 0x3, revision 1"),
    ("", "", None)])
def test_processors_are_told_apart(cpuinfo: str, lscpu: str, model: str | None) -> None:
    assert cpu_model(machine(cpuinfo, lscpu)) == model


def test_without_lscpu_the_numbers_tell() -> None:
    host = machine(ARM)
    host.missing = {"lscpu"}
    assert cpu_model(host) == "implementer 0x41, part 0xd0c, variant 0x3, revision 1"
    assert cpu_model(host) != cpu_model(machine(ARM.replace("0xd0c", "0xd40")))


@pytest.mark.parametrize("cpuinfo, lscpu, vendor, product, whose", [
    (X86.format(""), "Hypervisor vendor: KVM\n", "QEMU", "", "none"),
    (X86.format(" hypervisor"), "Hypervisor vendor: KVM\n", "QEMU", "", "KVM"),
    (X86.format(" hypervisor"), "", "QEMU", "", "QEMU"),
    (X86.format(" hypervisor"), "", "", "", None),
    (ARM, "Hypervisor vendor: KVM\n", "", "", "KVM"),
    (ARM, "", "QEMU", "KVM Virtual Machine", "QEMU"),
    (ARM, "", "Amazon EC2", "m6g.large", "Amazon EC2"),
    (ARM, "", "Amazon EC2", "m6g.metal", "none"),
    (ARM, "", "Microsoft Corporation", "Virtual Machine", "Microsoft Corporation"),
    (ARM, "", "Ampere(R)", "Mt. Jade", "none"),
    (ARM, "", "", "", None)])
def test_a_guest_is_known_on_both_processors(cpuinfo: str, lscpu: str, vendor: str, product: str, whose: str | None) -> None:
    host = machine(cpuinfo, lscpu, sys_vendor=vendor, product_name=product)
    assert hypervisor(host) == whose
    known = None if whose is None else whose != "none"
    assert is_guest(host) == (known if cpuinfo is ARM else "hypervisor" in cpuinfo)


@pytest.mark.parametrize("name, text, whose", [
    ("hypervisor/compatible", "xen,xen-4.17\0xen,xen\0", "xen,xen-4.17"),
    ("compatible", "linux,dummy-virt\0", "linux,dummy-virt"), ("compatible", "raspberrypi,4-model-b\0", None)])
def test_a_guest_without_a_bios_is_known_by_its_device_tree(name: str, text: str, whose: str | None) -> None:
    host = machine(ARM)
    host.files[f"/proc/device-tree/{name}"] = text
    assert hypervisor(host) == whose and is_guest(host) == (True if whose else None)
