# SPDX-License-Identifier: BSD-3-Clause
"""Compute what a trial cost: CPU time by core and state, packets dropped, counters' growth. Pure.

Knows neither who took the samples nor what is done with the sums.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Mapping, Sequence

from harness.errors import ContenderError
from harness.store import OTHER, CpuTime

CpuTimes = Mapping[int, Mapping[str, float]]
Links = Mapping[str, Mapping[str, int]]
# proc(5), /proc/stat: guest time is already counted in user and nice
STATES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class ProcStat:
    """The text of /proc/stat when a load began and when it had ended."""

    before: str
    after: str


def without_interrupts(proc_stat: str) -> str:
    """Return the part of /proc/stat that is read here; the rest is long."""
    return proc_stat.partition("intr ")[0]


def parse_proc_stat(text: str) -> CpuTimes:
    """Return seconds since boot by CPU and state."""
    times = {}
    for line in text.splitlines():
        name, *ticks = line.split() or [""]
        if name.startswith("cpu") and name != "cpu":
            times[int(name[3:])] = {state: int(tick) / _TICKS_PER_SECOND
                                    for state, tick in zip(STATES, ticks)}
    return times


def in_all(parts: Sequence[ProcStat]) -> ProcStat:
    """Return one that spent what several, one after another, spent together."""
    before = parse_proc_stat(parts[0].before)
    total = {cpu: dict(times) for cpu, times in before.items()}
    for part in parts:
        begin, end = parse_proc_stat(part.before), parse_proc_stat(part.after)
        total = {cpu: {state: value + end[cpu][state] - begin[cpu][state]
                       for state, value in times.items()}
                 for cpu, times in total.items() if cpu in begin and cpu in end}
    return ProcStat(parts[0].before, "".join(
        f"cpu{cpu} {' '.join(str(round(times[state] * _TICKS_PER_SECOND)) for state in STATES)}\n"
        for cpu, times in total.items()))


def cpu_seconds(proc_stat: ProcStat, client: Sequence[int], server: Sequence[int],
                machine: str = "") -> dict[str, CpuTime]:
    """Return seconds by state between two texts of /proc/stat, for every CPU of the machine.

    The role is "client+server" of one that has both, "other" of one that has none. One without a
    part that went offline or came meanwhile is left out. `machine`: of clients that is not this
    one; each key is then "<machine>/<CPU>".
    """
    before, after = parse_proc_stat(proc_stat.before), parse_proc_stat(proc_stat.after)
    spent = {}
    for cpu in sorted({*client, *server, *(before.keys() & after.keys())}):
        if cpu not in before or cpu not in after:
            raise ContenderError(f"/proc/stat has no line for CPU {cpu}: it went offline during "
                                 "the trial")
        roles = [name for name, cpus in (("client", client), ("server", server)) if cpu in cpus]
        # the kernel may correct iowait and idle downwards
        spent[f"{machine}/{cpu}" if machine else str(cpu)] = CpuTime("+".join(roles) or OTHER, **{
            state: round(max(0.0, after[cpu][state] - before[cpu][state]), 2) for state in STATES})
    return spent


def cpu_us_per_request(spent: Mapping[str, CpuTime], requests: int) -> float | None:
    """Return the microseconds that all those CPUs burned for one request."""
    burned = sum(cpu.counted for cpu in spent.values())
    return round(1e6 * burned / requests, 3) if requests else None


def changed(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    """Return by how much each of a NIC's counters changed that did; a new one began at 0."""
    return {name: change for name in sorted(after)
            if (change := after[name] - before.get(name, 0))}


def dropped(before: Links, after: Links) -> dict[str, dict[str, int]]:
    """Return packets dropped or with errors, by "<namespace>/<interface>" and way."""
    def lost(interface: str, way: str) -> int:
        return sum(after[interface][f"{way}_{kind}"]
                   - before.get(interface, {}).get(f"{way}_{kind}", 0)
                   for kind in ("dropped", "errors"))
    return {interface: {way: lost(interface, way) for way in ("rx", "tx")}
            for interface in sorted(after)}


def cycles_per_request(counters: Mapping[str, int] | None, answered: int = 0) -> float | None:
    """Return the busy cycles that a contender counted, for each request it parsed meanwhile.

    Of a program under the library, which counts no requests: for each of those `answered`.
    """
    requests = (counters or {}).get("requests_parsed", answered)
    if not counters or not requests or "cycles_busy" not in counters:
        return None
    return round(_worked(counters) / requests, 1)


def busy_share(counters: Mapping[str, int] | None, tsc_hz: int | None,
               duration_seconds: float) -> float | None:
    """Return the share of the load's duration in which a polling contender had work.

    Over the load's own duration and not over the cycles counted: those include wrk's start and its
    report.
    """
    if not counters or "cycles_busy" not in counters or not tsc_hz or duration_seconds <= 0:
        return None
    return round(min(1.0, _worked(counters) / (tsc_hz * duration_seconds)), 4)


def _worked(counters: Mapping[str, int]) -> int:
    """Return cycles of the stack with work, and of the program above it, where there is one."""
    return counters["cycles_busy"] + counters.get("cycles_away", 0)


def memory(status: str, meminfo: str | None) -> dict[str, int]:
    """Return the bytes that a server holds.

    status: of /proc/<pid>/status, its own pages and hugepages
    meminfo: of /proc/meminfo, what the whole kernel holds in slabs; None where the kernel does not
        have the server's sockets
    """
    wanted = (("resident_bytes", status, "VmRSS"), ("hugepage_bytes", status, "HugetlbPages"),
              *((("kernel_bytes", meminfo, "Slab"),) if meminfo is not None else ()))
    held = {}
    for name, text, key in wanted:
        line = re.search(rf"^{key}:\s+(\d+) kB$", text, re.M)
        if line is None:
            raise ContenderError(f"this kernel does not tell {key} of a process or of itself")
        held[name] = int(line[1]) * 1024
    return held
