# SPDX-License-Identifier: BSD-3-Clause
"""Facts: what is read from where, and null for whatever the machine does not tell."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.trial import choose_tool
from harness.facts.facts import TSC_PROGRAM, gather
from harness.provision import ROOT
from harness.host import LocalHost, Result
from harness.plan import load_plan
from harness.provision.provision import Provisioned
from harness.provision.steps import namespaces
from harness.tests.fixtures.fake_host import FakeHost
from harness.tests.fixtures.serving_host import ServingHost
from harness.tests.fixtures.wires import bare_wire

WIRE = bare_wire("tap")
PLAN = load_plan("quick", WIRE, (0, 1), {"CONTENDERS": "epoll,lwip"})
UP = Provisioned(WIRE, False, "the machine gave 3 of 96 pages", cast(Any, None))
GIT = ("git", "-c", f"safe.directory={ROOT}", "-c", "core.checkStat=minimal", "-C", str(ROOT))


def told() -> ServingHost:
    """A machine that tells everything."""
    host = ServingHost()
    vulnerabilities = "/sys/devices/system/cpu/vulnerabilities"
    host.files.update({
        f"{vulnerabilities}/meltdown": "Not affected\n",
        f"{vulnerabilities}/spectre_v2": "Mitigation: IBRS\n",
        "/sys/devices/system/cpu/cpu1/cpufreq/scaling_governor": "performance\n",
        "/proc/cmdline": "quiet isolcpus=1 console=ttyS0 nosmt secret=x\n",
        "/etc/os-release": 'NAME="x"\nPRETTY_NAME="Debian GNU/Linux 12"\n',
        str(ROOT / "build" / "build-info.json"): '{"cc": "gcc 12.2", "cflags": "-O3", "lwip": "2.1.3"}',
        str(ROOT / "servers/stack/patches/2.1.3/0001-c.patch"): "",
        str(ROOT / "servers/stack/patches/2.2.1/0001-d.patch"): "",
        str(ROOT / "servers/stack/patches/fixes/0001-a.patch"): "",
        str(ROOT / "servers/stack/patches/scale/0001-b.patch"): "",
        str(ROOT / "servers/stack/patches/scale/README"): ""})
    host.counters = {"stackduel-client": {"lo": {}, "client0": {}}, "stackduel-server": {"server0": {}}}
    # wrk prints its version with an error's exit code
    host.answers[("wrk", "-v")] = Result(1, "wrk 4.1.0 [epoll] Copyright\nUsage: wrk\n", "")
    host.answers[("pkg-config",)] = Result(0, "22.11.1\n", "")
    host.answers[GIT + ("rev-parse", "HEAD")] = Result(0, "abc123\n", "")
    host.answers[GIT + ("status", "--porcelain")] = Result(0, " M x\n", "")
    host.answers[("ip", "netns", "exec", "stackduel-client", "ethtool")] = Result(
        0, "Features for client0:\nrx-checksumming: on\ntx-checksumming: on\n"
           "\ttx-checksum-ipv4: off [fixed]\ntcp-segmentation-offload: on [requested on]\n", "")
    return host


TOOL = choose_tool(PLAN.workload)


def facts(host: FakeHost) -> dict[str, Any]:
    return gather(host, WIRE, PLAN, UP, TOOL)


def test_all_that_is_told_is_recorded() -> None:
    found = facts(told())
    assert found["machine"]["cpu_model"] == "Test CPU" and found["machine"]["cpu_flags"] == ["avx", "sse"]
    assert (found["machine"]["virtual"], found["machine"]["memory_kib"]) == (False, 24000000)
    assert found["kernel"]["release"] == "6.1.0-test"
    assert found["kernel"]["distribution"] == "Debian GNU/Linux 12"
    assert found["kernel"]["boot_options"] == ["isolcpus=1", "nosmt"]
    assert found["kernel"]["mitigations"] == {"meltdown": "Not affected", "spectre_v2": "Mitigation: IBRS"}
    assert found["hugepages"] == {"used": False, "why": UP.why, "size_kib": WIRE.hugepage_kib,
                                  "count": WIRE.hugepage_count}
    assert found["cpus"] == {"client": [0], "server": [1], "shared": [],
                             "governor": {"0": None, "1": "performance"}}
    assert found["git"] == {"revision": "abc123", "dirty": True}
    versions = found["versions"]
    assert (versions["wrk"], versions["dpdk"], versions["lwip"]) == ("4.1.0", "22.11.1", "2.1.3")
    assert (versions["cc"], versions["cflags"]) == ("gcc 12.2", "-O3")
    assert versions["lwip_patches"] == ["2.1.3/0001-c.patch", "fixes/0001-a.patch", "scale/0001-b.patch"]
    assert json.loads(json.dumps(found)) == found


def test_active_offloads_by_interface_without_loopback() -> None:
    assert facts(told())["offloads"] == {
        "stackduel-client/client0": ["rx-checksumming", "tx-checksumming", "tcp-segmentation-offload"],
        "stackduel-server/server0": []}


def test_the_wire_says_what_the_report_needs_of_it() -> None:
    wire = facts(told())["wire"]
    assert wire["caveat"] == WIRE.caveat and wire["mtu"] == 1500
    assert wire["contenders"]["lwip"]["label"] == "lwIP on DPDK (net_tap)"
    assert wire["contenders"]["lwip"]["stack"] == "dpdk" and list(wire["contenders"]) == ["epoll", "lwip"]
    assert [wire["contenders"][name]["polls"] for name in ("epoll", "lwip")] == [False, True]


def test_what_is_not_told_is_null() -> None:
    host = FakeHost()
    host.missing = {"wrk", "git", "pkg-config", "ethtool"}
    host.counters = {"stackduel-client": {"client0": {}}}
    found = facts(host)
    assert found["git"] is None
    assert found["machine"]["cpu_model"] is None and found["machine"]["memory_kib"] is None
    assert found["kernel"]["release"] is None and found["kernel"]["mitigations"] == {}
    assert {found["versions"][key] for key in ("wrk", "dpdk", "lwip", "cc", "cflags")} == {None}
    assert found["offloads"] == {"stackduel-client/client0": []}


@pytest.mark.parametrize("said, hz", [('{"tsc_hz": 2596147832}\n', 2596147832), ("", None), ("no such counter\n", None),
                                      ("[7]\n", None)])
def test_the_rate_of_the_time_stamp_counter_is_asked_for_and_not_guessed(said: str, hz: int | None) -> None:
    host = told()
    host.answers[(TSC_PROGRAM,)] = Result(0 if hz else 3, said, "")
    assert facts(host)["machine"]["tsc_hz"] == hz
    host.missing.add("tsc_hz")
    assert facts(host)["machine"]["tsc_hz"] is None


def test_outside_a_clone_there_is_no_revision() -> None:
    host = told()
    host.answers[GIT + ("rev-parse", "HEAD")] = Result(128, "", "fatal: not a git repository\n")
    assert facts(host)["git"] is None


def test_namespaces_of_the_path_each_once() -> None:
    epoll, lwip = WIRE.contenders["epoll"], WIRE.contenders["lwip"]
    assert namespaces(WIRE, [epoll, lwip]) == ["stackduel-client", "stackduel-bridge", "stackduel-server"]
    assert namespaces(WIRE, [lwip]) == ["stackduel-client", "stackduel-bridge"]


def test_this_machine_tells_its_kernel_and_cpu() -> None:
    class ThisMachine(LocalHost):
        def link_counters(self, netns: str | None) -> dict[str, dict[str, int]]:
            return {}
    found = gather(ThisMachine(), WIRE, PLAN, UP, TOOL)
    assert found["kernel"]["release"] and found["machine"]["cpu_flags"] and found["machine"]["memory_kib"] > 0


def test_the_machine_is_told_and_an_emulated_nic_too() -> None:
    host = told()
    host.files["/sys/class/dmi/id/product_name"] = "Server 9000\n"
    assert facts(host)["hardware"]["system"]["product"] == "Server 9000"
    assert "emulated" not in facts(host)["wire"]
    assert gather(host, replace(WIRE, emulated="QEMU's e1000e"), PLAN, UP, TOOL)["wire"]["emulated"] == "QEMU's e1000e"
