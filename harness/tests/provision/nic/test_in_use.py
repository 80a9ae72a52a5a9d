# SPDX-License-Identifier: BSD-3-Clause
"""Why a card must be left alone, on recorded machines; and that a free one is free."""

from __future__ import annotations

import pytest

from harness.errors import MachineError
from harness.provision.nic.in_use import interface_uses, uses
from harness.host import DEVICES, find_nic, INTERFACES
from harness.tests.fixtures.recorded import RecordedHost

FIRST, SECOND = "0000:81:00.0", "0000:81:00.1"


def of(machine: str, nic: str) -> list[str]:
    """Without what FORCE=1 would do."""
    host = RecordedHost(machine)
    return [reason.partition(" (FORCE=1 ")[0] for reason in uses(host, find_nic(host, nic))]


def test_the_port_that_the_server_is_managed_by() -> None:
    host = RecordedHost("x710")
    assert uses(host, find_nic(host, "eno1")) == [
        "it carries the default route via 192.0.2.1 (FORCE=1 would cut this machine off until the run's end)",
        "it has the address 192.0.2.10/24 and 1 connection (FORCE=1 would take that away until the run's end)",
        "an ssh session from 198.51.100.7 comes over it (FORCE=1 would cut it, and a run started from it ends)"]


@pytest.mark.parametrize("machine, nic", [
    ("x710", "enp129s0f0"), ("x710", "enp129s0f1"), ("x710-no-iommu", SECOND), ("x710-shared-group", FIRST),
    ("mlx5", "enp59s0f1np1"), ("vlan", FIRST), ("bridge", FIRST), ("nfs-root", FIRST), ("iscsi-root", FIRST),
    ("desktop", "enp5s0"), ("x710-vfio", FIRST)])
def test_a_free_port(machine: str, nic: str) -> None:
    assert of(machine, nic) == []


def test_two_routes_and_two_addresses_are_one_reason_each() -> None:
    assert of("virtual-machine", "eth0") == [
        "it carries the default route via 192.0.2.1 and fd00::1",
        "it has the addresses 192.0.2.2/24 and fd00::2/64 and no connection at this moment"]


def test_a_member_of_a_bond_and_what_goes_over_the_bond() -> None:
    assert of("bond", SECOND) == of("bond", FIRST) == [
        "it is a member of the bond bond0",
        "bond0, which stands on it, carries the default route via 203.0.113.1",
        "bond0, which stands on it, has the address 203.0.113.5/24 and 1 connection",
        "an ssh session from 198.51.100.7 comes over it", "an ssh session from 198.51.100.9 comes over it"]


def test_the_other_port_of_the_bonds_machine_has_none_of_that() -> None:
    assert of("bond", "eno1") == ["it has the address 192.0.2.10/24 and 1 connection",
                                  "an ssh session from 198.51.100.7 comes over it"]


def test_a_member_of_a_bridge() -> None:
    assert of("bridge", SECOND) == ["it is a member of the bridge br0",
                                    "br0, which stands on it, has the address 10.20.0.2/16 and no connection at this"
                                    " moment"]


def test_what_stands_on_it() -> None:
    assert of("vlan", SECOND) == [
        "the VLAN enp129s0f1.10 stands on it", "the macvlan macvlan0 stands on it", "the VXLAN vxlan7 stands on it",
        "enp129s0f1.10, which stands on it, has the address 10.10.0.2/24 and no connection at this moment"]


def test_the_root_file_system_of_a_server_without_a_disk() -> None:
    assert of("nfs-root", SECOND) == [
        "it has the address 10.30.0.2/24 and 1 connection",
        "the root file system comes over it: file system (NFS) of 10.30.0.1",
        "file system (NFS) of 2001:db8::9, mounted at /home, comes over it"]


def test_the_root_file_system_below_lvm_and_multipath_on_iscsi() -> None:
    assert of("iscsi-root", SECOND) == [
        "it has the address 10.40.0.2/24 and 1 connection",
        "the root file system comes over it: disk sdb (iSCSI) of 10.40.0.1"]


def test_a_disk_of_nvme_over_tcp_that_nothing_is_mounted_from() -> None:
    host = RecordedHost("iscsi-root")
    host.put("/sys/class/iscsi_session/session1", None)
    host.put("/sys/class/nvme", {
        "nvme0": {"transport": "pcie\n", "nvme0n1": {}},
        "nvme1": {"transport": "tcp\n", "address": "traddr=10.40.0.1,trsvcid=4420\n", "nvme1n1": {}}})
    assert [each for each in uses(host, find_nic(host, SECOND)) if "disk" in each] == [
        "disk nvme1n1 (NVMe over TCP) of 10.40.0.1 comes over it (FORCE=1 would hang what uses it)"]


def test_who_has_a_card_open_in_user_space() -> None:
    host = RecordedHost("x710-vfio")
    assert uses(host, find_nic(host, SECOND)) == [
        "dpdk-testpmd (pid 4711) has it open (FORCE=1 does not help: stop it)"]


def test_without_root_it_is_seen_that_somebody_has_it_open() -> None:
    host = RecordedHost("x710-vfio")
    host.commands = {line: {"code": 1, "stderr": "find: '/proc/1/fd': Permission denied"}
                     if line.startswith("find ") else answer for line, answer in host.commands.items()}
    assert uses(host, find_nic(host, SECOND))[0].startswith("a program, which only root can see, has it open")
    assert uses(host, find_nic(host, FIRST)) == []


def test_uio_has_a_file_of_its_own() -> None:
    host = RecordedHost("x710-vfio")
    host.put(f"{DEVICES}/{FIRST}", {"driver": "-> drivers/uio_pci_generic", "uio": {"uio3": {}}, "enable": "1\n"})
    line = ("find /proc -mindepth 3 -maxdepth 3 -path '/proc/[0-9]*/fd/*' '(' -lname /dev/uio3 ')' "
            "-printf '%h\\n'")
    host.commands[line] = "/proc/99/fd\n/proc/4711/fd\n"
    assert [each.partition(" (FORCE")[0] for each in uses(host, find_nic(host, FIRST))] == [
        "a program (pid 99) has it open", "dpdk-testpmd (pid 4711) has it open"]


def test_a_program_that_shares_a_card_with_the_kernel() -> None:
    host = RecordedHost("mlx5")
    host.put(f"{DEVICES}/0000:3b:00.1/infiniband_verbs", {"uverbs1": {}})
    host.put("/proc/4711/comm", "nvmf_tgt\n")
    host.commands["find /proc -mindepth 3 -maxdepth 3 -path '/proc/[0-9]*/fd/*' '(' -lname /dev/infiniband/uverbs1 ')' "
                  "-printf '%h\\n'"] = "/proc/4711/fd\n"
    assert uses(host, find_nic(host, "3b:00.1")) == ["nvmf_tgt (pid 4711) has it open (FORCE=1 would disturb it)"]


def test_an_interface_that_another_namespace_has() -> None:
    host = RecordedHost("x710")
    host.put(f"{DEVICES}/{FIRST}/net/enp129s0f0", None)
    host.put(f"{INTERFACES}/enp129s0f0", None)
    assert uses(host, find_nic(host, FIRST)) == [
        "its driver i40e is bound, and no interface of it is in this network namespace: another one has it, of a"
        " container perhaps (FORCE=1 does not help: give it back first)"]


def test_virtual_functions() -> None:
    assert of("mlx5", "enp59s0f0np0") == ["it has 4 virtual functions"]


def test_a_pppoe_session() -> None:
    host = RecordedHost("x710")
    host.put("/proc/net/pppoe", "Id       Address              Device\n00000001 00:11:22:33:44:55 enp129s0f1\n")
    assert interface_uses(host, "enp129s0f1") == ["a PPPoE session runs over it (FORCE=1 does not help: end it first)"]
    assert interface_uses(host, "enp129s0f0") == []


def test_one_of_several_next_hops_is_a_default_route() -> None:
    host = RecordedHost("x710")
    host.commands["ip -4 -j route show table all"] = [{"dst": "default", "flags": [], "nexthops": [
        {"gateway": "192.0.2.1", "dev": "eno1", "weight": 1}, {"dev": "enp129s0f1", "weight": 1}]},
        {"type": "unreachable", "dst": "default", "dev": "lo", "metric": 4278198272}]
    assert interface_uses(host, "enp129s0f1") == [
        "it carries the default route (FORCE=1 would cut this machine off until the run's end)"]


def test_without_ipv6_only_ipv4_is_asked() -> None:
    host = RecordedHost("x710")
    host.put("/proc/net/if_inet6", None)
    del host.commands["ip -6 -j route show table all"]
    assert interface_uses(host, "enp129s0f1") == []


def test_sshd_on_another_port_and_a_session_over_a_link_local_address() -> None:
    host = RecordedHost("x710")
    host.commands["ss -Htlnp"] = 'LISTEN 0 128 [::]:2222 [::]:* users:(("sshd",pid=812,fd=4))\n'
    host.commands["ss -Htn state established"] = (
        "0      0      [fe80::3efd:feff:fe00:21]%enp129s0f1:2222 [fe80::1]%enp129s0f1:60000\n"
        "0      0      [fe80::3efd:feff:fe00:21]%enp129s0f1:9000 [fe80::2]%enp129s0f1:60000\n")
    host.put("/proc/self/environ", "PATH=/bin")
    assert interface_uses(host, "enp129s0f1") == [
        "an ssh session from fe80::1 comes over it (FORCE=1 would cut it, and a run started from it ends)"]


def test_the_session_that_started_it_counts_when_its_connection_is_not_seen() -> None:
    host = RecordedHost("x710")
    host.commands["ss -Htn state established"] = ""
    assert "an ssh session from 198.51.100.7 comes over it" in "; ".join(interface_uses(host, "eno1"))


def test_an_answer_that_goes_out_by_another_port_counts_for_both() -> None:
    host = RecordedHost("x710")
    host.commands["ip -j route get 198.51.100.7"] = [{"dst": "198.51.100.7", "dev": "enp129s0f1", "flags": []}]
    assert "198.51.100.7" in "".join(interface_uses(host, "eno1"))
    assert "198.51.100.7" in "".join(interface_uses(host, "enp129s0f1"))


def test_a_failing_question_is_not_taken_for_a_free_card() -> None:
    host = RecordedHost("x710")
    host.commands["ss -Htn state established"] = {"code": 1, "stderr": "Cannot open netlink socket"}
    with pytest.raises(MachineError, match="Cannot open netlink socket"):
        uses(host, find_nic(host, "enp129s0f1"))
