# SPDX-License-Identifier: BSD-3-Clause
"""Say what this process may have of the machine: CPUs, memory, clock, and what confines it.

What a wire cannot do without is in harness/provision/needs.py; here is what a person should know.
"""

from __future__ import annotations

import re
from typing import Iterator

from harness.doctor.finding import NOTE, OK, Finding
from harness.host import (
    Host, cpu_quota, has_seccomp_filter, in_user_namespace, is_read_only, parse_cpu_list, room)
from harness.plan import Wire

_CLOCK = "/sys/devices/system/clocksource/clocksource0/current_clocksource"
# clocks that a program reads without a system call
_QUICK_CLOCKS = ("tsc", "arch_sys_counter", "kvm-clock", "hyperv_clocksource_tsc_page")
_STEADY = ("constant_tsc", "nonstop_tsc")
# tasks and open files of a usual run: its programs, their threads, some thousand connections
_TASKS, _FILES = 128, 4096
# memory (MiB) of harness, servers and load tool beside DPDK's
_OTHER_MIB = 512


def limits(host: Host, wire: Wire) -> Iterator[Finding]:
    """Yield the findings, for a wire of usual size."""
    yield from _cpus(host)
    yield _memory(host, wire)
    yield from _counts(host)
    yield from _confined(host)
    yield from _clock(host)
    yield Finding(OK, "IPv6 in this kernel; a run turns it off in its namespaces" if host.exists(
        "/proc/sys/net/ipv6") else "no IPv6 in this kernel; no wire needs it")


def _cpus(host: Host) -> Iterator[Finding]:
    count, quota = len(host.cpus()), cpu_quota(host)
    online = len(parse_cpu_list(host.text("/sys/devices/system/cpu/online")))
    of = f" of {online}" if online > count else ""
    if count < 2:
        yield Finding(NOTE, f"one CPU{of}",
                      "client and server share it, so every figure is of both together")
    else:
        yield Finding(OK, f"{count}{of} CPUs")
    if quota is not None and quota < count:
        yield Finding(NOTE, f"a cgroup gives the time of {quota:g} of {count} CPUs",
                      "a server that polls is stopped when that is used up, and figures are too "
                      "low; in a container: no --cpus, but --cpuset-cpus")


def _memory(host: Host, wire: Wire) -> Finding:
    found = re.search(r"^MemAvailable:\s+(\d+) kB", host.text("/proc/meminfo"), re.M)
    limit = room(host, "memory")
    mib = [int(found[1]) >> 10] if found else []
    mib += [limit.left >> 20] if limit else []
    if not mib:
        return Finding(NOTE, "memory", "/proc/meminfo does not tell what is available")
    wanted = _OTHER_MIB + (wire.hugepage_kib * wire.hugepage_count >> 10)
    name = f"{min(mib)} MiB of memory available"
    if limit and limit.left >> 20 == min(mib):
        name += f" ({limit.file})"
    return Finding(OK, name) if min(mib) >= wanted else Finding(
        NOTE, name, f"wire {wire.name} wants some {wanted} MiB")


def _counts(host: Host) -> Iterator[Finding]:
    tasks = room(host, "pids")
    if tasks and tasks.left < _TASKS:
        yield Finding(NOTE, f"{tasks.file} leaves {tasks.left} tasks",
                      f"a run has up to {_TASKS}; in a container: --pids-limit")
    files = re.search(r"^Max open files\s+\d+\s+(\d+)", host.text("/proc/self/limits"), re.M)
    if files and int(files[1]) < _FILES:
        yield Finding(NOTE, f"{files[1]} open files are allowed",
                      "a connection of the kernel's is one: raise `ulimit -n`")


def _confined(host: Host) -> Iterator[Finding]:
    if in_user_namespace(host):
        yield Finding(NOTE, "a user namespace",
                      "capabilities count inside it alone: no hugepages can be raised")
    if has_seccomp_filter(host):
        yield Finding(NOTE, "a seccomp filter is in force", "what it forbids is said of each wire")
    if is_read_only(host, "/sys"):
        yield Finding(NOTE, "/sys is read-only", "hugepages must be made outside, and nothing is "
                      "tuned (TUNE=, SOFTIRQ=)")


def _clock(host: Host) -> Iterator[Finding]:
    source = host.text(_CLOCK)
    if source and source not in _QUICK_CLOCKS:
        yield Finding(NOTE, f"clock source {source}",
                      "each look at the clock is a system call, which costs client and servers "
                      "time")
    flags = re.search(r"^flags\s*:(.*)$", host.text("/proc/cpuinfo"), re.M)
    lacking = [flag for flag in _STEADY if flags and flag not in flags[1].split()]
    if lacking:
        yield Finding(NOTE, f"the time stamp counter is not of one rate (no {', '.join(lacking)})",
                      "cycles per request are not measured")
    elif flags or source == "arch_sys_counter":
        yield Finding(OK, f"time stamp counter of one rate, clock source {source or 'unknown'}")
