# SPDX-License-Identifier: BSD-3-Clause
"""What doctor says of one NIC, and the list for a person who named none, on recorded machines."""

from __future__ import annotations

import pytest

from harness.cli.main import main
from harness.errors import UsageError
from harness.doctor.nic import candidates, examine, nic_doctor, would_do
from harness.plan.nic_request import NicRequest
from harness.host import DEVICES, find_nic, INTERFACES
from harness.tests.fixtures.recorded import RecordedHost

FIRST, SECOND = "0000:81:00.0", "0000:81:00.1"
X710 = "Intel Corporation Ethernet Controller X710 for 10GbE SFP+, driver i40e"


def said(host: RecordedHost, order: NicRequest) -> list[str]:
    return [str(finding) for finding in examine(host, order)]


def test_a_nic_that_can_be_used(capsys: pytest.CaptureFixture[str]) -> None:
    assert nic_doctor(RecordedHost("x710"), NicRequest(SECOND, "if:enp129s0f0")) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"ok       {SECOND} enp129s0f1: {X710}, 10000 Mb/s, link up, NUMA node 1",
        "ok       root",
        "ok       nothing uses it: no route, address, ssh session, bond, bridge, VLAN or file system",
        "ok       driver for the kernel's turn: i40e",
        "ok       DPDK's driver: net_i40e",
        "ok       way to DPDK: vfio-pci behind an IOMMU",
        f"ok       client {FIRST} enp129s0f0: {X710}, link down, NUMA node 1",
        "what would be done (DRY_RUN=1 prints every command):",
        "  modprobe vfio-pci",
        "  ip link set enp129s0f1 netns stackduel-server name server0",
        f"  for lwIP: dpdk-devbind.py --force -b vfio-pci {SECOND}",
        f"  for the kernel, and at the end: dpdk-devbind.py --force -b i40e {SECOND}",
        "  at the end: its name, addresses, routes and settings as they were (`make restore` after a crash)"]


def test_a_nic_in_use_ends_with_3_and_no_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert nic_doctor(RecordedHost("x710"), NicRequest("eno1")) == 3
    out = capsys.readouterr().out
    assert out.count("\nno       in use: ") == 3 and "what would be done" not in out
    assert "note     client: none named: give CLIENT=if:<interface>|ssh:<user>@<host>\n" in out


def test_force_overrules_what_uses_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert nic_doctor(RecordedHost("x710"), NicRequest("eno1", force=True)) == 0
    assert capsys.readouterr().out.count("note     in use: ") == 3


def test_no_iommu_and_the_same_with_leave_to_do_without() -> None:
    host = RecordedHost("x710-no-iommu")
    assert any(line.startswith(f"missing  way to DPDK: {SECOND} (enp129s0f1) is behind no IOMMU: add ")
               for line in said(host, NicRequest(SECOND)))
    order = NicRequest(SECOND, noiommu=True)
    assert "missing" not in "".join(said(host, order))
    assert would_do(host, find_nic(host, SECOND), order)[0] == "modprobe uio_pci_generic"


def test_the_unsafe_mode_is_among_what_would_be_done() -> None:
    host = RecordedHost("x710-no-iommu")
    host.commands["modinfo -F parm vfio"] = "enable_unsafe_noiommu_mode:Enable UNSAFE (bool)\n"
    assert would_do(host, find_nic(host, SECOND), NicRequest(SECOND, noiommu=True))[:2] == [
        "modprobe vfio-pci", "echo 1 > /sys/module/vfio/parameters/enable_unsafe_noiommu_mode"]


def test_a_shared_card_is_not_rebound(capsys: pytest.CaptureFixture[str]) -> None:
    host = RecordedHost("mlx5")
    assert nic_doctor(host, NicRequest("enp59s0f1np1")) == 0
    out = capsys.readouterr().out
    assert "note     no link on enp59s0f1np1: plug its cable in, and set the other end up\n" in out
    assert "  modprobe ib_uverbs\n  modprobe mlx5_ib\n" in out
    assert "  for lwIP: nothing, DPDK shares it with mlx5_core\n" in out and "dpdk-devbind" not in out


def test_a_card_that_is_bound_already_is_to_be_given_back_first() -> None:
    host = RecordedHost("x710-vfio")
    assert ("missing  driver for the kernel's turn: vfio-pci has the card, so that there is no interface to give back:"
            f" give it to the kernel first, `sudo dpdk-devbind.py -b i40e {FIRST}`") in said(host, NicRequest(FIRST))
    assert any(line.startswith("no       in use: dpdk-testpmd (pid 4711) has it open")
               for line in said(host, NicRequest(SECOND)))


def test_a_driver_without_an_interface() -> None:
    host = RecordedHost("x710")
    host.put(f"{DEVICES}/{FIRST}/net/enp129s0f0", None)
    host.put(f"{INTERFACES}/enp129s0f0", None)
    lines = said(host, NicRequest(FIRST))
    assert "missing  driver for the kernel's turn: i40e has made no interface that is seen from here" in lines
    assert any(line.startswith("no       in use: its driver i40e is bound") for line in lines)


def test_what_a_machine_lacks() -> None:
    host = RecordedHost("x710")
    host.missing, host.root = {"dpdk-devbind.py", "lspci"}, False
    lines = said(host, NicRequest(SECOND))
    assert "missing  dpdk-devbind.py: `sudo make deps`, or install package dpdk" in lines
    assert "missing  lspci: `sudo make deps`, or install package pciutils" in lines
    assert "note     not root: not all is seen that other users do over it" in lines


def test_no_driver_of_dpdk() -> None:
    lines = said(RecordedHost("desktop"), NicRequest("enp5s0"))
    assert "missing  DPDK's driver: the installed DPDK has none for 10ec:8168: use another card" in lines


def test_an_emulated_nic_is_called_so() -> None:
    assert "note     it is emulated: paravirtual virtio-net: its figures are marked so everywhere" in said(
        RecordedHost("virtual-machine"), NicRequest("eth0"))


@pytest.mark.parametrize("client, line", [
    ("if:eno1", "no       client eno1: in use: it carries the default route via 192.0.2.1"),
    ("if:enp129s0f1", f"missing  client enp129s0f1: it is the card itself ({SECOND}); a cable has two ends"),
    ("if:eth7", "missing  client eth7: no network card 'eth7'"),
    ("ssh:me@there", "note     client: ssh:me@there: the run looks at that machine before it begins")])
def test_the_other_end(client: str, line: str) -> None:
    assert any(each.startswith(line) for each in said(RecordedHost("x710"), NicRequest(SECOND, client)))


def test_force_is_for_the_client_too() -> None:
    lines = said(RecordedHost("x710"), NicRequest(SECOND, "if:eno1", force=True))
    assert any(line.startswith("ok       client 0000:04:00.0 eno1: ") for line in lines)


def test_candidates_of_a_server() -> None:
    lines = candidates(RecordedHost("x710"))
    assert lines[0] == "network cards of this machine:"
    at = lines.index(f"  {SECOND} enp129s0f1: {X710}, 10000 Mb/s, link up, NUMA node 1")
    assert lines[at + 1] == f"    can be used: sudo make bench NIC={SECOND} CLIENT=if:enp129s0f0"
    at = lines.index("  0000:04:00.0 eno1: Intel Corporation I350 Gigabit Network Connection, driver igb, 1000 Mb/s,"
                     " link up, NUMA node 0")
    assert lines[at + 1].startswith("    no: it carries the default route via 192.0.2.1 (FORCE=1 would cut")
    wires = lines[lines.index("wires that need no NIC:") + 1:]
    assert "  sudo make bench-tap             Linux bridge, DPDK net_tap" in wires
    assert any(line.startswith("  sudo make bench-app APP=redis   ") for line in wires)
    assert not any(line.split()[3] == "bench-nic" for line in wires)


def test_the_only_free_port_needs_another_machine() -> None:
    lines = candidates(RecordedHost("mlx5"))
    assert ("    can be used: sudo make bench NIC=0000:3b:00.1 CLIENT=if:<interface>|ssh:<user>@<host>") in lines
    assert any(line.startswith("    no: it has 4 virtual functions") for line in lines)


@pytest.mark.parametrize("machine, line", [
    ("x710-no-iommu", f"    no: {FIRST} (enp129s0f0) is behind no IOMMU: add intel_iommu=on"),
    ("desktop", "    no: the installed DPDK has none for 10ec:8168: use another card"),
    ("x710-vfio", "    no: vfio-pci has the card, so that there is no interface to give back"),
    ("x710-shared-group", f"    no: {FIRST} (enp129s0f0) shares IOMMU group 40 with {SECOND} (i40e)")])
def test_why_not(machine: str, line: str) -> None:
    assert any(each.startswith(line) for each in candidates(RecordedHost(machine)))


def test_a_machine_without_a_card() -> None:
    host = RecordedHost("virtual-machine")
    host.put(f"{DEVICES}/0000:00:03.0", None)
    assert candidates(host)[:2] == ["this machine has no network card on its PCI bus", "wires that need no NIC:"]


def test_without_a_nic_bench_lists_and_ends_with_3(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--wire", "nic"], RecordedHost("x710")) == 3
    out, err = capsys.readouterr()
    assert out.splitlines() == candidates(RecordedHost("x710"))
    assert err.startswith("stackduel: no NIC was named: give NIC=") and err.count("\n") == 1


def test_doctor_of_a_nic_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["doctor", "--nic", "enp129s0f1", "--client", "if:enp129s0f0"]
    assert main(argv, RecordedHost("x710")) == 0
    assert main(["doctor", "--nic", "eno1"], RecordedHost("x710")) == 3
    assert main(["doctor", "--nic", "eth7"], RecordedHost("x710")) == 2
    assert capsys.readouterr().err.startswith("stackduel: no network card 'eth7'")


def test_an_unknown_card_is_a_mistake() -> None:
    with pytest.raises(UsageError):
        nic_doctor(RecordedHost("x710"), NicRequest("0000:00:1c.0"))
