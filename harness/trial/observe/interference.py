# SPDX-License-Identifier: BSD-3-Clause
"""What else went on in the machine while a trial was measured, and whether that disturbed it. Pure.

Judges causes alone, which are seen beside the trial, and never what the trial itself measured: to repeat what came out
low would turn the figures that stay into a choice of them.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Any, Iterable, Mapping, Sequence

from harness.trial.observe.cpu import CpuTimes

# Each /proc figure comes in ticks of 10 ms: of a load of 1 s on two CPUs one tick is 0.5 %, so nothing below 2 % can be
# told from the rounding of two to four of them.
# Steal: trials on a virtual machine with both CPUs wholly busy showed 0 to 1.2 % of it when nothing was wrong.
MOST_STEAL_SHARE = 0.02
# Others: read by the CPUs and by the processes of a machine under load they came out up to 1.8 % apart in 2 s, so less
# than that is not known; one busy program on one of two CPUs is 25 % and more. 3 % of the time can cost some 3 % of
# throughput, the width that an interval is to have at last.
MOST_OTHERS_SHARE = 0.03
# Frequency: processors step it by 100 MHz, 3 to 4 % of a usual clock, so one step is no change to act on and two are.
LEAST_MHZ_SHARE = 0.95
# by beginning of a sentence: what it is about, for tables
KINDS: Mapping[str, str] = {
    "the hypervisor took": "stolen CPU time", "other programs took": "other programs",
    "the clock was": "lower clock", "the processor throttled": "throttling"}
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
# include/linux/sched.h; proc(5) stat, field 9
_PF_KTHREAD = 0x00200000
# kernel threads that carry packets: whose they are cannot be told, and on these CPUs they are the load's
_CARRIERS = ("ksoftirqd/", "napi/", "irq/", "vhost-")


@dataclass(frozen=True)
class Work:
    """CPU seconds since boot of all processes, with those of their children that have ended: `ours` (the harness and
    all below it), `carriers` (kernel threads that carry packets), `others` (by pid: name, seconds).

    When a child ends its time moves to its parent's, so sums only grow, and a program that came and went between two
    samples is in the second. Only children that a parent chose not to wait for (SIGCHLD ignored) are lost.
    """

    ours: float
    carriers: float
    others: Mapping[int, tuple[str, float]]


@dataclass(frozen=True)
class Sample:
    """The machine at one instant: `at` s of a steady clock, `throttled` events so far of the CPUs in question,
    `pressure_seconds` in which some task waited for a CPU. None: this machine does not tell.
    """

    at: float
    cpus: CpuTimes
    work: Work
    throttled: int | None
    pressure_seconds: float | None


def work(stats: Iterable[str], own: int) -> Work:
    """Of the texts of /proc/<pid>/stat, whole or cut short; `own`: the harness's pid."""
    parents: dict[int, int] = {}
    found: dict[int, tuple[str, float, bool]] = {}
    for text in stats:
        match = re.fullmatch(r"(\d+) \((.*)\) \w (.*)", text.strip(), re.S)
        fields = match[3].split() if match else []
        if match is None or len(fields) < 14:
            continue
        pid, name = int(match[1]), match[2]
        parents[pid] = int(fields[0])
        ticks = sum(int(field) for field in fields[10:14])
        found[pid] = (name, ticks / _TICKS_PER_SECOND, bool(int(fields[5]) & _PF_KTHREAD))
    ours = {pid for pid in found if _below(pid, own, parents)}
    carriers = {pid for pid, (name, _, kernel) in found.items() if kernel and name.startswith(_CARRIERS)}
    return Work(sum(found[pid][1] for pid in ours), sum(found[pid][1] for pid in carriers - ours),
                {pid: each[:2] for pid, each in found.items() if pid not in ours | carriers})


def _below(pid: int, own: int, parents: Mapping[int, int]) -> bool:
    seen: set[int] = set()
    while pid != own and pid in parents and pid not in seen:
        seen.add(pid)
        pid = parents[pid]
    return pid == own


def throttle_events(text: Iterable[str]) -> int | None:
    """Sum of counters as the kernel writes them; None where there is none."""
    counts = [int(each) for each in text if each.strip().isdigit()]
    return sum(counts) if counts else None


def pressure_seconds(text: str) -> float | None:
    """`some` of /proc/pressure/cpu (Documentation/accounting/psi.rst); None when it does not tell."""
    match = re.search(r"^some .*total=(\d+)", text, re.M)
    return int(match[1]) / 1e6 if match else None


def between(before: Sample, after: Sample, cpus: Sequence[int], mhz: Sequence[float]) -> dict[str, Any]:
    """A record's `machine`: shares of the time that `cpus` had between two samples; `mhz`: clocks seen meanwhile.

    What others took of these CPUs is told from above twice, and the lesser counts. By the CPUs: all the time that they
    were not idle, less that of ours: the kernel's clocks of processes have soft interrupts in them where these came in
    the middle of a process (CONFIG_IRQ_TIME_ACCOUNTING is off in usual kernels), so those of the load are taken off
    with it, and only those that came to an idle CPU stay. By the processes: all that was run by others, on whichever
    CPU. A polling server is ours, so that it burns its CPU whole leaves nothing over.
    """
    seconds = after.at - before.at
    had = seconds * len(cpus)
    if had <= 0:
        raise ValueError("two samples at one instant")

    def spent(*states: str) -> float:
        return sum(max(0.0, after.cpus[cpu].get(state, 0.0) - before.cpus[cpu].get(state, 0.0))
                   for cpu in cpus if cpu in before.cpus and cpu in after.cpus for state in states)
    steal = spent("steal")
    ran = had - spent("idle", "iowait") - steal
    ours = after.work.ours - before.work.ours + after.work.carriers - before.work.carriers
    grown = {pid: (name, total - before.work.others.get(pid, ("", 0.0))[1])
             for pid, (name, total) in after.work.others.items()}
    elsewhere = sum(total for _, total in after.work.others.values()) - sum(
        total for _, total in before.work.others.values())
    share = min(1.0, max(0.0, min(ran - ours, elsewhere)) / had)
    most = max(grown.values(), key=lambda each: each[1], default=("", 0.0))
    throttled = None if before.throttled is None or after.throttled is None else after.throttled - before.throttled
    waited = None if before.pressure_seconds is None or after.pressure_seconds is None else (
        after.pressure_seconds - before.pressure_seconds)
    return {"steal_share": round(min(1.0, steal / had), 4), "others_share": round(share, 4),
            **({"others_most": _printable(most[0])} if share and most[1] > 0 else {}),
            "mhz": {"min": round(min(mhz), 1), "max": round(max(mhz), 1)} if mhz else None,
            "throttled": throttled,
            "pressure_cpu_some_share": None if waited is None else round(min(1.0, max(0.0, waited / seconds)), 4)}


def _printable(name: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in name)


def reasons(machine: Mapping[str, Any], before: Iterable[Mapping[str, Any]]) -> list[str]:
    """Why a trial with this `machine` is disturbed, a sentence each; none if it is not.

    `before`: the `machine` of the run's trials so far of the same contender at the same load point: a governor gives a
    CPU that waits half the time a lower clock, so only like loads have like clocks.
    """
    found = []
    if machine["steal_share"] > MOST_STEAL_SHARE:
        found.append(f"the hypervisor took {100 * machine['steal_share']:.1f} % of the CPU time")
    if machine["others_share"] > MOST_OTHERS_SHARE:
        most = f", '{machine['others_most']}' the most" if machine.get("others_most") else ""
        found.append(f"other programs took {100 * machine['others_share']:.1f} % of the CPU time{most}")
    highest = max((each["mhz"]["max"] for each in before if each.get("mhz")), default=0.0)
    if machine["mhz"] and machine["mhz"]["max"] < LEAST_MHZ_SHARE * highest:
        found.append(f"the clock was at most {machine['mhz']['max']:.0f} MHz, and {highest:.0f} MHz in a trial before")
    if machine["throttled"]:
        found.append(f"the processor throttled {machine['throttled']} times for its heat")
    return found


def kind(sentence: str) -> str:
    """What a sentence of reasons() is about; the sentence itself where it is none of them."""
    return next((name for beginning, name in KINDS.items() if sentence.startswith(beginning)), sentence)
