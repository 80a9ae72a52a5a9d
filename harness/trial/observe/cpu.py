# SPDX-License-Identifier: BSD-3-Clause
"""What a trial cost: CPU time per core by state, packets dropped, the server's own counters. Pure arithmetic.

Knows neither who took the samples nor what is done with the sums.
"""

from __future__ import annotations

import os
import re
from typing import Any, Mapping, Sequence

from harness.errors import ContenderError

CpuTimes = dict[int, dict[str, float]]
Links = Mapping[str, Mapping[str, int]]
# proc(5), /proc/stat: guest time is already counted in user and nice
STATES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
BURNED = ("user", "nice", "system", "irq", "softirq")
INTERRUPTS = ("irq", "softirq")
# the role of a CPU that has no part in the plan
OTHER = "other"
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def parse_proc_stat(text: str) -> CpuTimes:
    """Seconds since boot by CPU and state."""
    times: CpuTimes = {}
    for line in text.splitlines():
        name, *ticks = line.split() or [""]
        if name.startswith("cpu") and name != "cpu":
            times[int(name[3:])] = {state: int(tick) / _TICKS_PER_SECOND
                                    for state, tick in zip(STATES, ticks)}
    return times


def cpu_seconds(before: CpuTimes, after: CpuTimes, client: Sequence[int],
                server: Sequence[int]) -> dict[str, dict[str, Any]]:
    """Seconds by state between two samples, for every CPU of the machine ("client+server": it has both roles, "other":
    none). One without a part that went offline or came meanwhile is left out."""
    spent: dict[str, dict[str, Any]] = {}
    for cpu in sorted({*client, *server, *(before.keys() & after.keys())}):
        if cpu not in before or cpu not in after:
            raise ContenderError(f"/proc/stat has no line for CPU {cpu}: it went offline during the trial")
        role = "+".join(name for name, cpus in (("client", client), ("server", server)) if cpu in cpus) or OTHER
        # the kernel may correct iowait and idle downwards
        spent[str(cpu)] = {"role": role, **{state: round(max(0.0, after[cpu][state] - before[cpu][state]), 2)
                                            for state in STATES}}
    return spent


def cpu_seconds_of(machine: str, before: CpuTimes, after: CpuTimes, client: Sequence[int]) -> dict[str, dict[str, Any]]:
    """As cpu_seconds(), of a client's machine that is not this one: each key is "<machine>/<CPU>"."""
    return {f"{machine}/{cpu}": states for cpu, states in cpu_seconds(before, after, client, ()).items()}


def cpu_us_per_request(spent: Mapping[str, Mapping[str, Any]], requests: int) -> float | None:
    """Microseconds burned by all those CPUs for one request, waiting and stolen time left out; of one without a part
    as counted() says."""
    if not requests:
        return None
    burned = sum(float(cpu[state]) for cpu in spent.values() for state in counted(cpu["role"]))
    return round(1e6 * burned / requests, 3)


def counted(role: str) -> tuple[str, ...]:
    """The states of a CPU whose time was burned for the load.

    Where it has no part in the plan, interrupts alone: the kernel may process the load's packets on any CPU, while every
    program of the load, and vhost-net's thread, is kept to the plan's. What else runs there is others' work.
    """
    return INTERRUPTS if role == OTHER else BURNED


# of what programs print with their counters, the numbers that count nothing
_NO_COUNT = ("tsc_hz", "pid", "bytes_per_connection")


def counters_difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, int]:
    """What a server's counters grew by. Constants (tsc_hz) and whatever is not a count are left out."""
    return {key: value - before.get(key, 0) for key, value in (counts(after) or {}).items()}


def counts(counters: Mapping[str, Any] | None) -> dict[str, int] | None:
    """The counts among a program's counters; None for one that has none."""
    return None if counters is None else {
        key: value for key, value in counters.items()
        if isinstance(value, int) and not isinstance(value, bool) and key not in _NO_COUNT}


def dropped(before: Links, after: Links) -> dict[str, dict[str, int]]:
    """Packets that an interface dropped or had errors with, by its key "<namespace>/<interface>"."""
    def lost(interface: str, way: str) -> int:
        return sum(after[interface][f"{way}_{kind}"] - before.get(interface, {}).get(f"{way}_{kind}", 0)
                   for kind in ("dropped", "errors"))
    return {interface: {way: lost(interface, way) for way in ("rx", "tx")} for interface in sorted(after)}


def cycles_per_request(counters: Mapping[str, int] | None, answered: int = 0) -> float | None:
    """Busy cycles a contender counted itself, for each request it parsed in the same interval.

    Of a program under the library, which counts no requests: for each of those `answered`.
    """
    requests = (counters or {}).get("requests_parsed", answered)
    if not counters or not requests or "cycles_busy" not in counters:
        return None
    return round(_worked(counters) / requests, 1)


def busy_share(counters: Mapping[str, int] | None, tsc_hz: int | None,
               duration_seconds: float) -> float | None:
    """Share of the load's duration in which a polling contender had work.

    Over the load's own duration and not over the cycles counted: those include wrk's start and its report.
    """
    if not counters or "cycles_busy" not in counters or not tsc_hz or duration_seconds <= 0:
        return None
    return round(min(1.0, _worked(counters) / (tsc_hz * duration_seconds)), 4)


def _worked(counters: Mapping[str, int]) -> int:
    """Cycles of the stack with work, and those in the program above it, where there is one."""
    return counters["cycles_busy"] + counters.get("cycles_away", 0)


def memory(status: str, meminfo: str | None) -> dict[str, int]:
    """Bytes that a server holds: of /proc/<pid>/status its own pages and hugepages; of /proc/meminfo, where it is given
    because the kernel has the server's sockets, what the whole kernel holds in slabs.
    """
    wanted = (("resident_bytes", status, "VmRSS"), ("hugepage_bytes", status, "HugetlbPages"),
              *((("kernel_bytes", meminfo, "Slab"),) if meminfo is not None else ()))
    found = {}
    for name, text, key in wanted:
        line = re.search(rf"^{key}:\s+(\d+) kB$", text, re.M)
        if line is None:
            raise ContenderError(f"this kernel does not tell {key} of a process or of itself")
        found[name] = int(line[1]) * 1024
    return found
