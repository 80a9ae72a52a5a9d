# SPDX-License-Identifier: BSD-3-Clause
"""Tell what else went on in the machine while a trial was measured, and whether that disturbed it.

Pure. Judges causes alone, which are seen beside the trial, and never what the trial itself
measured: to repeat what came out low would turn the figures that stay into a choice of them.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Iterable, Mapping, Sequence

from harness.store import Clock, Interference, MachineUse, Note
from harness.trial.observe.cpu import CpuTimes

# Each /proc figure comes in ticks of 10 ms: of a load of 1 s on two CPUs one tick is 0.5 %, so
# nothing below 2 % can be told from the rounding of two to four of them.
# Steal: trials on a virtual machine with both CPUs wholly busy showed 0 to 1.2 % of it when nothing
# was wrong.
MOST_STEAL_SHARE = 0.02
# Others: read by the CPUs and by the processes of a machine under load they came out up to 1.8 %
# apart in 2 s, so less than that is not known; one busy program on one of two CPUs is 25 % and
# more. 3 % of the time can cost some 3 % of throughput, the width that an interval is to have at
# last.
MOST_OTHERS_SHARE = 0.03
# Frequency: processors step it by 100 MHz, 3 to 4 % of a usual clock, so one step is no change to
# act on and two are.
LEAST_MHZ_SHARE = 0.95
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
# include/linux/sched.h; proc(5) stat, field 9
PF_KTHREAD = 0x00200000
# kernel threads that carry packets: whose they are cannot be told, and on these CPUs they are the
# load's
CARRIERS = ("ksoftirqd/", "napi/", "irq/", "vhost-")


@dataclass(frozen=True)
class Work:
    """CPU seconds since boot of all processes, with those of their children that have ended.

    ours: the harness and all below it
    carriers: kernel threads that carry packets
    others: by pid, name and seconds

    When a child ends its time moves to its parent's, so sums only grow, and a program that came and
    went between two samples is in the second. Only children that a parent chose not to wait for
    (SIGCHLD ignored) are lost.
    """

    ours: float
    carriers: float
    others: Mapping[int, tuple[str, float]]

    @property
    def elsewhere(self) -> float:
        return sum(seconds for _, seconds in self.others.values())


@dataclass(frozen=True)
class Sample:
    """The machine at one instant; None: it does not tell.

    at: s of a steady clock
    throttled: events so far of the CPUs in question
    pressure_seconds: in which some task waited for a CPU
    """

    at: float
    cpus: CpuTimes
    work: Work
    throttled: int | None
    pressure_seconds: float | None


def work(stats: Iterable[str], own: int) -> Work:
    """Read the texts of /proc/<pid>/stat, whole or cut short; `own`: the harness's pid."""
    parents: dict[int, int] = {}
    processes: dict[int, tuple[str, float, bool]] = {}
    for text in stats:
        match = re.fullmatch(r"(\d+) \((.*)\) \w (.*)", text.strip(), re.S)
        fields = match[3].split() if match else []
        if match is None or len(fields) < 14:
            continue
        pid, name = int(match[1]), match[2]
        parents[pid] = int(fields[0])
        ticks = sum(int(field) for field in fields[10:14])
        processes[pid] = name, ticks / _TICKS_PER_SECOND, bool(int(fields[5]) & PF_KTHREAD)
    ours = {pid for pid in processes if _below(pid, own, parents)}
    carriers = {pid for pid, (name, _, kernel) in processes.items()
                if kernel and name.startswith(CARRIERS)}
    return Work(sum(processes[pid][1] for pid in ours),
                sum(processes[pid][1] for pid in carriers - ours),
                {pid: entry[:2] for pid, entry in processes.items() if pid not in ours | carriers})


def _below(pid: int, own: int, parents: Mapping[int, int]) -> bool:
    seen: set[int] = set()
    while pid != own and pid in parents and pid not in seen:
        seen.add(pid)
        pid = parents[pid]
    return pid == own


def throttle_events(texts: Iterable[str]) -> int | None:
    """Return the sum of counters as the kernel writes them; None where there is none."""
    counts = [int(text) for text in texts if text.strip().isdigit()]
    return sum(counts) if counts else None


def pressure_seconds(text: str) -> float | None:
    """Read `some` of /proc/pressure/cpu (Documentation/accounting/psi.rst); None without it."""
    match = re.search(r"^some .*total=(\d+)", text, re.M)
    return int(match[1]) / 1e6 if match else None


def between(before: Sample, after: Sample, cpus: Sequence[int],
            mhz: Sequence[float]) -> MachineUse:
    """Return the machine's use between two samples; `mhz`: clocks seen meanwhile.

    What others took of these CPUs is told from above twice, and the lesser counts. By the CPUs: all
    the time that they were not idle, less that of ours: the kernel's clocks of processes have soft
    interrupts in them where these came in the middle of a process (CONFIG_IRQ_TIME_ACCOUNTING is
    off in usual kernels), so those of the load are taken off with it, and only those that came to
    an idle CPU stay. By the processes: all that was run by others, on whichever CPU. A polling
    server is ours, so that it burns its CPU whole leaves nothing over.
    """
    seconds = after.at - before.at
    had = seconds * len(cpus)
    if had <= 0:
        raise ValueError("two samples at one instant")

    def spent(*states: str) -> float:
        return sum(max(0.0, after.cpus[cpu].get(state, 0.0) - before.cpus[cpu].get(state, 0.0))
                   for cpu in cpus if cpu in before.cpus and cpu in after.cpus for state in states)

    def grown(old: float | None, new: float | None) -> float | None:
        return None if old is None or new is None else new - old
    steal = spent("steal")
    ran = had - spent("idle", "iowait") - steal
    ours = after.work.ours - before.work.ours + after.work.carriers - before.work.carriers
    by_name = [(name, total - before.work.others.get(pid, ("", 0.0))[1])
               for pid, (name, total) in after.work.others.items()]
    elsewhere = after.work.elsewhere - before.work.elsewhere
    share = min(1.0, max(0.0, min(ran - ours, elsewhere)) / had)
    most = max(by_name, key=lambda item: item[1], default=("", 0.0))
    throttled = grown(before.throttled, after.throttled)
    waited = grown(before.pressure_seconds, after.pressure_seconds)
    return MachineUse(
        steal_share=round(min(1.0, steal / had), 4), others_share=round(share, 4),
        others_most=_printable(most[0]) if share and most[1] > 0 else None,
        mhz=Clock(round(min(mhz), 1), round(max(mhz), 1)) if mhz else None,
        throttled=None if throttled is None else int(throttled), pressure_cpu_some_share=
        None if waited is None else round(min(1.0, max(0.0, waited / seconds)), 4))


def _printable(name: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in name)


def reasons(machine: MachineUse,
            earlier: Iterable[MachineUse]) -> tuple[Note[Interference], ...]:
    """Return why a trial with this use of the machine is disturbed; () if it is not.

    `earlier`: of the run's trials so far of the same contender at the same load point: a governor
    gives a CPU that waits half the time a lower clock, so only like loads have like clocks.
    """
    notes: list[Note[Interference]] = []
    if machine.steal_share > MOST_STEAL_SHARE:
        notes.append(Note(Interference.STOLEN, {"share": machine.steal_share}))
    if machine.others_share > MOST_OTHERS_SHARE:
        most = {"most": machine.others_most} if machine.others_most else {}
        notes.append(Note(Interference.OTHERS, {"share": machine.others_share, **most}))
    highest = max((use.mhz.max for use in earlier if use.mhz), default=0.0)
    if machine.mhz and machine.mhz.max < LEAST_MHZ_SHARE * highest:
        notes.append(Note(Interference.CLOCK, {"mhz": machine.mhz.max, "before_mhz": highest}))
    if machine.throttled:
        notes.append(Note(Interference.THROTTLING, {"events": machine.throttled}))
    return tuple(notes)
