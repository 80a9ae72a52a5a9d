# SPDX-License-Identifier: BSD-3-Clause
"""What wires want of this process and of DPDK: each lack is named before anything is done."""

from __future__ import annotations

import pytest

from harness.errors import MachineError
from harness.host import Result
from harness.plan import Wire, load_plan, load_wire, wire_names
from harness.provision import problems, resolve
from harness.provision.needs import TABLE, parts, vdevs
from harness.provision.provision import provisioned
from harness.tests.fixtures.fake_host import FakeHost
from harness.tests.fixtures.wires import bare_wire

# as of a root without limits
ALL = (1 << 41) - 1
BITS = {"NET_BIND_SERVICE": 10, "NET_ADMIN": 12, "NET_RAW": 13, "IPC_LOCK": 14, "SYS_ADMIN": 21}
FOLDER = "/usr/lib/dpdk/pmds-24.0"


def confined(*without: str, locked_kib: int = 8192) -> FakeHost:
    host = FakeHost()
    bits = ALL & ~sum(1 << BITS[name] for name in without)
    host.files["/proc/self/status"] = f"Name:\tpython3\nCapEff:\t{bits:016x}\nCapBnd:\t{bits:016x}\n"
    host.files["/proc/self/limits"] = (
        f"Max locked memory         {locked_kib * 1024}              {locked_kib * 1024}              bytes\n")
    return host


def lacks(host: FakeHost, wire: Wire) -> str:
    return "; ".join(problems(host, wire))


@pytest.mark.parametrize("name", [name for name in wire_names() if name != "nic"])
def test_a_wire_runs_with_the_capabilities_of_its_rows_and_names_each_that_is_not_there(name: str) -> None:
    wire = load_wire(name)
    rows = parts(list(wire.contenders.values()), wire.port)
    wanted = {capability for row in rows for capability in TABLE[row].capabilities}
    assert {"NET_ADMIN", "SYS_ADMIN"} <= wanted
    assert not lacks(confined(*set(BITS) - wanted - {"IPC_LOCK"}), wire)
    if all(item.link == "shm" for item in wire.contenders.values()):
        assert not lacks(confined(*wanted), wire), "it needs no namespaces"
        return
    for capability in wanted:
        text = lacks(confined(capability), wire)
        assert text.startswith(f"missing: CAP_{capability} (") and text.endswith(f"--cap-add {capability}")


def test_the_run_is_refused_before_anything_is_done() -> None:
    host = confined("NET_RAW")
    with pytest.raises(MachineError) as refused:
        with provisioned(host, bare_wire("tap"), ["epoll", "lwip"], "r", log=print):
            pytest.fail("it cannot run")
    assert str(refused.value) == (
        "this machine cannot run wire tap: missing: CAP_NET_RAW (the ping that proves the path); "
        "in a container: --cap-add NET_RAW")
    assert not [call for call in host.calls if not call.startswith("run pkg-config")]


def test_every_driver_in_a_wires_words_is_found() -> None:
    found = {name: set(vdevs(list(load_wire(name).contenders.values())))
             for name in ("tap", "shm", "shm-loadgen", "afxdp")}
    assert found == {"tap": {"net_tap"}, "shm": {"net_vhost", "net_virtio_user"}, "afxdp": {"net_af_xdp"},
                     "shm-loadgen": {"net_virtio_user", "net_vhost", "net_af_packet"}}


def test_locked_memory_counts_without_the_capability_alone() -> None:
    wire = load_wire("afxdp")
    assert not lacks(confined(locked_kib=64), wire)
    assert not lacks(confined("IPC_LOCK", locked_kib=49152), wire)
    assert lacks(confined("IPC_LOCK", locked_kib=64), wire) == (
        "missing: 49152 KiB of locked memory (DPDK's port on an XDP socket), 64 are allowed: raise `ulimit -l`; "
        "in a container: --cap-add IPC_LOCK, or --ulimit memlock=-1")
    assert not lacks(confined("IPC_LOCK", locked_kib=2048), load_wire("afpacket"))
    assert "missing: 16384 KiB" in lacks(confined("IPC_LOCK", locked_kib=8192), load_wire("shm-loadgen"))


def test_shared_memory_alone_wants_hugepages_only() -> None:
    host, wire = confined("NET_ADMIN", "SYS_ADMIN", "NET_RAW"), load_wire("shm")
    assert problems(host, wire, ["epoll", "lwip"]) and problems(host, load_wire("tap"), ["lwip"])
    assert problems(host, wire, ["lwip"]) == []
    plan = load_plan("quick", wire, (0, 1), {"CONTENDERS": "lwip"})
    made = resolve(host, wire, plan)
    assert made.caveat.endswith("no other way than the memory.")
    with provisioned(host, made, ["lwip"], "r", log=print) as up:
        assert up.hugepages and up.namespaces([made.contenders["lwip"]]) == []
    assert not [call for call in host.calls if call.startswith("run ")]
    assert "no namespaces" not in resolve(confined(), wire, plan).caveat


def test_a_user_namespace_carries_all_but_what_wants_the_machine_itself() -> None:
    host = confined()
    host.files["/proc/self/uid_map"] = "         0       1000          1\n"
    assert not lacks(host, load_wire("tap"))
    assert "this is a user namespace" in lacks(host, load_wire("afxdp"))


def test_a_filter_that_forbids_namespaces_is_named() -> None:
    host = confined()
    host.files["/proc/self/attr/current"] = "docker-default (enforce)\n"
    assert not lacks(host, load_wire("tap"))
    host.answers[("unshare",)] = Result(1, "", "unshare: cannot change root filesystem propagation: Permission denied\n")
    assert lacks(host, load_wire("tap")) == (
        "missing: namespaces, which a seccomp filter or an AppArmor profile forbids (unshare: cannot change root "
        "filesystem propagation: Permission denied); in a container: --security-opt seccomp=unconfined "
        "--security-opt apparmor=unconfined")


def test_a_driver_of_dpdk_that_is_not_installed_is_named_with_its_package() -> None:
    host = confined()
    host.answers[("pkg-config", "--variable=libdir", "libdpdk")] = Result(0, "/usr/lib\n", "")
    host.files |= {f"{FOLDER}/librte_net_tap.so.24": "", f"{FOLDER}/librte_mempool_ring.so.24": ""}
    host.directories.add(FOLDER)
    host.answers[("grep",)] = Result(0, 'PMD_INFO_STRING= {"name": "net_tap"}\0', "")
    assert not lacks(host, load_wire("tap"))
    assert lacks(host, load_wire("afxdp")) == (
        f"missing: DPDK's driver net_af_xdp (package librte-net-af-xdp…), not in {FOLDER}")
    del host.files[f"{FOLDER}/librte_mempool_ring.so.24"]
    assert "mempool_ring (package librte-mempool-ring…)" in lacks(host, load_wire("tap"))
