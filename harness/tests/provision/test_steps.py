# SPDX-License-Identifier: BSD-3-Clause
"""The steps themselves: their order and commands, hugepages, the directories that others make and leave."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import MachineError, UsageError
from harness.host import NETNS_DIRECTORY
from harness.provision.journal import DIRECTORY
from harness.provision.provision import Provisioned, provisioned, steps
from harness.provision.steps import Hugepages
from harness.tests.fixtures.fake_host import PAGES, FakeHost
from harness.tests.provision.test_provision import BOTH, NR, WIRE, run_once, up_and_down
from harness.tests.fixtures.wires import bare_wire


def test_steps_are_in_order() -> None:
    assert [step.name for step in steps(WIRE, BOTH)] == [
        "requirements",
        "privileges",
        "drivers of DPDK",
        "kernel module tun",
        "hugepages: 96 of 2048 KiB",
        "DPDK's runtime directory /run/dpdk/stackduel",
        "directory of namespaces",
        "namespace stackduel-client",
        "namespace stackduel-bridge",
        "namespace stackduel-server",
        "bridge stackduel-bridge/bridge0",
        "veth stackduel-client/client0",
        "veth stackduel-server/server0",
        "TAP stackduel-bridge/tap0",
    ]


def test_kernel_contender_alone_needs_no_dpdk() -> None:
    names = [step.name for step in steps(WIRE, ["epoll"])]
    assert not any("TAP" in name or "DPDK" in name for name in names)
    with provisioned(FakeHost(), WIRE, ["epoll"], "r", log=print) as up:
        assert not up.hugepages and up.why == "no contender uses them"


def test_unknown_contender_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="no contender 'apache'; it has: epoll, .*, lwip"):
        steps(WIRE, ["apache"])


def test_commands_are_run_in_order() -> None:
    up, _ = up_and_down()
    acts = [act for act in up if not act.startswith(("append", "mkdir"))]
    bridge, client, server = (f"run ip -n stackduel-{name}" for name in ("bridge", "client", "server"))
    assert acts[0] == f"write {NR} 99"
    assert [act for act in acts if "netns add" in act] == [f"run ip netns add {name}" for name in (
        "stackduel-client", "stackduel-bridge", "stackduel-server")]
    assert acts[10:] == [
        f"{bridge} link add bridge0 mtu 1500 type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
        f"{bridge} link set bridge0 up",
        f"{client} link add client0 address 02:53:44:00:00:01 mtu 1500 type veth peer name to-client mtu 1500"
        " netns stackduel-bridge",
        f"{bridge} link set to-client master bridge0 up",
        f"{client} address add 198.18.0.1/24 dev client0",
        f"{client} link set client0 up",
        f"{server} link add server0 address 02:53:44:00:00:02 mtu 1500 type veth peer name to-server mtu 1500"
        " netns stackduel-bridge",
        f"{bridge} link set to-server master bridge0 up",
        f"{server} address add 198.18.0.2/24 dev server0",
        f"{server} link set server0 up",
        f"{bridge} tuntap add dev tap0 mode tap multi_queue",
        f"{bridge} link set tap0 mtu 1500 master bridge0 up",
    ]


def test_a_port_for_dpdk_gets_whole_packets_and_no_address() -> None:
    host = FakeHost()
    with provisioned(host, bare_wire("afpacket"), ["lwip"], "r", log=print):
        pass
    acts = [call for call in host.calls if "lwip" in call and call.startswith("run")]
    lwip, bridge = "run ip -n stackduel-lwip", "run ip -n stackduel-bridge"
    assert acts[-6:] == [
        f"{lwip} link add lwip0 mtu 1500 type veth peer name to-lwip mtu 1500 netns stackduel-bridge",
        "run ip netns exec stackduel-bridge ethtool -K to-lwip tx off tso off gso off",
        f"{bridge} link set to-lwip master bridge0 up",
        f"{lwip} link set lwip0 up",
        f"{lwip} link del lwip0",
        "run ip netns del stackduel-lwip",
    ]


def test_the_tun_device_is_not_needed_without_a_tap() -> None:
    host = FakeHost()
    host.missing = {"tun"}
    with provisioned(host, WIRE, ["epoll"], "r", log=print) as up:
        assert up.wire == WIRE


def test_hugepages_are_raised_by_what_is_missing() -> None:
    host = FakeHost()  # has 4, one of them free
    seen: list[str] = []
    run_once(host, lambda up: seen.append(f"{up.hugepages} {up.why!r} {host.files[NR].strip()}"))
    assert seen == ["True '' 99"] and host.files[NR].strip() == "4"


def test_hugepages_that_another_process_has_reserved_are_not_free() -> None:
    host = FakeHost()
    host.files.update({NR: "96\n", f"{PAGES}/free_hugepages": "96\n", f"{PAGES}/resv_hugepages": "96\n"})
    seen: list[str] = []
    run_once(host, lambda up: seen.append(f"{up.hugepages} {host.files[NR].strip()}"))
    assert seen == ["True 192"] and host.files[NR].strip() == "96"


def test_a_node_does_not_tell_what_is_reserved_so_all_that_is_counts_there() -> None:
    host, node = FakeHost(), "/sys/devices/system/node/node1/hugepages/hugepages-2048kB"
    host.files.update({f"{node}/nr_hugepages": "100\n", f"{node}/free_hugepages": "100\n",
                       f"{PAGES}/resv_hugepages": "30\n"})
    step = Hugepages(2048, 96, node=1)
    step.up(host)
    assert step.granted and host.files[f"{node}/nr_hugepages"].strip() == "126"


def test_surplus_pages_of_others_do_not_become_the_machines() -> None:
    host = FakeHost()
    host.files.update({NR: "10\n", f"{PAGES}/free_hugepages": "0\n", f"{PAGES}/surplus_hugepages": "8\n"})
    assert Hugepages(2048, 96).undo(host) == [["write", NR, "2"]]


@pytest.mark.parametrize("used, why", [
    (0, ""), (50 << 21, "/sys/fs/cgroup/hugetlb.2MB.max leaves 50 of 96 hugepages of 2048 KiB")])
def test_a_cgroups_limit_of_hugepages_is_kept(used: int, why: str) -> None:
    host = FakeHost()
    host.mounts_text = "30 25 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n"
    host.files.update({"/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/hugetlb.2MB.max": f"{100 << 21}\n",
                       "/sys/fs/cgroup/hugetlb.2MB.current": f"{used}\n"})
    step = Hugepages(2048, 96)
    step.up(host)
    assert step.why == why and step.granted == (not why)
    assert bool(host.calls) == (not why)
    assert Hugepages(2048, 96, "it needs them").check(host) == (f"it needs them, and {why}" if why else "")


def test_what_must_have_pages_is_refused_where_they_cannot_be_raised() -> None:
    host = FakeHost()
    host.mounts_text = "30 25 0:26 / /sys ro - sysfs sysfs ro\n"
    assert Hugepages(2048, 96).check(host) == ""
    assert Hugepages(2048, 96, "it needs them").check(host) == (
        "it needs them, and only 1 are free and /sys is read-only here: make them outside "
        f"(`echo 99 > {NR}`)")
    host.files[f"{PAGES}/free_hugepages"] = "96\n"
    assert Hugepages(2048, 96, "it needs them").check(host) == ""


def test_enough_free_hugepages_are_left_as_they_are() -> None:
    host = FakeHost()
    host.files.update({NR: "200\n", f"{PAGES}/free_hugepages": "150\n"})
    run_once(host, lambda up: None if up.hugepages else pytest.fail("there are enough"))
    assert not any(call.startswith("write") for call in host.calls)


def test_refused_hugepages_are_given_back_and_the_run_goes_on() -> None:
    host = FakeHost()
    host.page_limit = 40
    seen: list[Provisioned] = []

    def body(up: Provisioned) -> None:
        seen.append(up)
        host.act("body")
    run_once(host, body)
    assert not seen[0].hugepages and seen[0].why == "the machine gave 36 of 95 hugepages of 2048 KiB"
    writes = [call for call in host.calls if call.startswith("write") or call == "body"]
    assert writes == [f"write {NR} 99", f"write {NR} 4", "body"]


def test_a_kernel_without_hugepages_is_no_failure() -> None:
    host = FakeHost()
    del host.files[NR], host.files[f"{PAGES}/free_hugepages"]
    seen: list[Provisioned] = []
    run_once(host, seen.append)
    assert not seen[0].hugepages and seen[0].why == "this kernel has no hugepages of 2048 KiB"


def test_the_directory_of_namespaces_stays_when_it_is_not_ours() -> None:
    host = FakeHost()
    host.directories |= {NETNS_DIRECTORY, f"{NETNS_DIRECTORY}/somebody"}
    host.mounts.add(NETNS_DIRECTORY)
    before = host.state()
    run_once(host)
    assert host.state() == before and not any("umount" in call for call in host.calls)


def test_the_directory_of_namespaces_stays_when_others_came_meanwhile() -> None:
    host = FakeHost()
    run_once(host, lambda up: host.directories.add(f"{NETNS_DIRECTORY}/somebody"))
    assert host.exists(f"{NETNS_DIRECTORY}/somebody") and NETNS_DIRECTORY in host.mounts
    assert not host.exists(DIRECTORY)


def test_dpdk_directory_of_somebody_else_stays() -> None:
    host = FakeHost()
    host.directories |= {"/run/dpdk", "/run/dpdk/rte"}
    run_once(host, lambda up: host.directories.add("/run/dpdk/stackduel"))
    assert host.listing("/run/dpdk") == ["rte"]


def test_below_a_colon_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    host = FakeHost()
    before = host.state()
    monkeypatch.setattr("harness.provision.steps.ROOT", Path("/home/a: b"))
    with pytest.raises(MachineError, match="tap: /home/a: b: neither Python nor the loader"):
        with provisioned(host, WIRE, BOTH, "r", log=print):
            pass
    assert host.state() == before
