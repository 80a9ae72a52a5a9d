# SPDX-License-Identifier: BSD-3-Clause
"""What doctor says of what confines it: cgroups of both versions, filters, clocks, IPv6."""

from __future__ import annotations

import pytest

from harness.doctor.finding import NOTE, OK
from harness.doctor.limits import limits
from harness.plan import load_wire
from harness.tests.fixtures.fake_host import FakeHost

V2 = "35 25 0:30 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n"
# in a container of v1: the mount's root is the container's own group
V1 = "".join(f"3{n} 25 0:3{n} /docker/x /sys/fs/cgroup/{name} ro - cgroup cgroup rw,{name}\n"
             for n, name in enumerate(("memory", "pids", "cpu,cpuacct")))


def machine() -> FakeHost:
    host = FakeHost()
    host.files |= {"/proc/meminfo": "MemAvailable:  4194304 kB\n", "/proc/cpuinfo": "flags\t\t: fpu constant_tsc nonstop_tsc\n",
                   "/sys/devices/system/clocksource/clocksource0/current_clocksource": "tsc\n"}
    return host


def said(host: FakeHost, state: str) -> list[str]:
    return [str(found).removeprefix(f"{state:<8} ") for found in limits(host, load_wire("tap")) if found.state == state]


def test_a_machine_without_limits() -> None:
    assert said(machine(), NOTE) == []
    assert said(machine(), OK) == ["2 CPUs", "4096 MiB of memory available",
                                   "time stamp counter of one rate, clock source tsc",
                                   "IPv6 in this kernel; a run turns it off in its namespaces"]


@pytest.mark.parametrize("files, words", [
    ({"memory.max": f"{600 << 20}", "memory.current": f"{200 << 20}"},
     "400 MiB of memory available (/sys/fs/cgroup/a/memory.max): wire tap wants some 704 MiB"),
    ({"pids.max": "100", "pids.current": "9"},
     "/sys/fs/cgroup/a/pids.max leaves 91 tasks: a run has up to 128; in a container: --pids-limit"),
    ({"cpu.max": "150000 100000"}, "a cgroup gives the time of 1.5 of 2 CPUs"),
    ({"memory.max": "max", "pids.max": "max", "cpu.max": "max 100000"}, "")])
def test_limits_of_cgroup_v2(files: dict[str, str], words: str) -> None:
    host = machine()
    host.mounts_text = V2
    host.files["/proc/self/cgroup"] = "0::/a/b\n"
    host.files |= {f"/sys/fs/cgroup/a/{name}": f"{text}\n" for name, text in files.items()}
    found = said(host, NOTE)
    assert len(found) == bool(words) and all(line.startswith(words) for line in found)


def test_limits_of_cgroup_v1_as_a_container_sees_them() -> None:
    host = machine()
    host.mounts_text = V1
    host.files |= {"/proc/self/cgroup": "4:cpu,cpuacct:/docker/x\n3:pids:/docker/x\n2:memory:/docker/x\n0::/\n",
                   "/sys/fs/cgroup/memory/memory.limit_in_bytes": f"{300 << 20}\n",
                   "/sys/fs/cgroup/memory/memory.usage_in_bytes": "0\n", "/sys/fs/cgroup/pids/pids.max": "64\n",
                   "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "50000\n",
                   "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n"}
    assert [line.split(":")[0] for line in said(host, NOTE)] == [
        "a cgroup gives the time of 0.5 of 2 CPUs",
        "300 MiB of memory available (/sys/fs/cgroup/memory/memory.limit_in_bytes)",
        "/sys/fs/cgroup/pids/pids.max leaves 64 tasks"]
    host.files["/sys/fs/cgroup/memory/memory.limit_in_bytes"] = "9223372036854771712\n"
    host.files["/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us"] = "-1\n"
    assert len(said(host, NOTE)) == 1


@pytest.mark.parametrize("path, text, words", [
    ("/proc/cpuinfo", "flags\t\t: fpu constant_tsc\n",
     "the time stamp counter is not of one rate (no nonstop_tsc): cycles per request are not measured"),
    ("/sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet\n", "clock source hpet: each look"),
    ("/proc/self/uid_map", "0 1000 1\n", "a user namespace: capabilities count inside it alone"),
    ("/proc/self/status", "Seccomp:\t2\n", "a seccomp filter is in force"),
    ("/proc/self/limits", "Max open files   1024   1024   files\n", "1024 open files are allowed")])
def test_what_a_person_should_know(path: str, text: str, words: str) -> None:
    host = machine()
    host.files[path] = text
    found, = said(host, NOTE)
    assert found.startswith(words)


def test_a_set_of_cpus_is_told_from_the_machines() -> None:
    host = machine()
    host.files["/sys/devices/system/cpu/online"] = "0-7\n"
    assert said(host, OK)[0] == "2 of 8 CPUs"


def test_no_ipv6_is_no_lack() -> None:
    host = machine()
    host.missing = {"ipv6"}
    assert said(host, OK)[-1] == "no IPv6 in this kernel; no wire needs it" and not said(host, NOTE)
