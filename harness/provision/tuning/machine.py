# SPDX-License-Identifier: BSD-3-Clause
"""Steps that make the machine ready for a measurement, by level: "none", "fair", "max". Must not know NICs or wires.

"fair" is what both contenders need so that figures are theirs and not a power governor's; "max" adds what publishers of
benchmarks do against jitter. A step says in `said` what was asked, what the machine gave and why not more; a refusal is
never a failure. Everything is a write that the journal can take back after a kill.

Sources, of the kernel's documentation unless said otherwise:
- governor: admin-guide/pm/cpufreq.rst; DPDK's "How to get best performance with NICs on Intel platforms" asks for the
  CPU at its full frequency and no C-states below C1.
- C-states: admin-guide/pm/cpuidle.rst, "Power Management Quality of Service for CPUs", and
  ABI/testing/sysfs-devices-power: pm_qos_resume_latency_us holds for one CPU, "0" means no limit. Not
  /dev/cpu_dma_latency: that holds for all CPUs, only as long as a process keeps it open, and no journal can tell of it.
  The limit is the exit latency of C1, as in tuned's profile latency-performance: without C1 an idle CPU polls, which
  takes turbo frequency from the others.
- irqbalance: core-api/irq/irq-affinity.rst; it would move the interrupts that have been spread for the kernel's server.
- SMT: siblings are left idle (harness/provision/tuning/cpus.py chooses so), not taken offline: core-api/cpu_hotplug.rst, all interrupts
  and tasks that were bound to a CPU are moved off it for good.
- numa_balancing: admin-guide/sysctl/kernel.rst, it unmaps pages to see who uses them, and each is a page fault.
- nmi_watchdog: admin-guide/lockup-watchdogs.rst, an interrupt on each CPU and one of its performance counters.
- workqueues: core-api/workqueue.rst; unbound work, writeback's too, stays off the server's cores.
- not touched: turbo (recorded; a reader's machine has it as it comes), vm.stat_interval (no jitter since Linux 3.18, by
  admin-guide/kernel-per-CPU-kthreads.rst), busy polling (that would be another contender, not another machine).
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import Any, Callable, Iterable, Mapping, Protocol, Sequence

from harness.provision.tuning.cpus import CPUS, smt_siblings
from harness.errors import MachineError
from harness.host import Host, stat_fields
from harness.provision.step import Action

LEVELS = ("none", "fair", "max")
SYSCTL = "/proc/sys"
GIB_KIB = 1 << 20
WORKQUEUES = "/sys/devices/virtual/workqueue/cpumask"
# of turbo, by driver: where it is said, and what is said when it is on
_TURBO = {f"{CPUS}/intel_pstate/no_turbo": "0", f"{CPUS}/cpufreq/boost": "1"}


class Tuning(Protocol):
    """A step (steps.py) that keeps what came of it: {"what", "asked", "got", "why"}; empty before `up`."""

    said: dict[str, Any]

    @property
    def name(self) -> str: ...
    def check(self, host: Host) -> str | None: ...
    def undo(self, host: Host) -> list[Action]: ...
    def up(self, host: Host) -> None: ...


@dataclass
class Setting:
    """Files of the kernel, each with the text that it should have. `find` tells them, or by MachineError why none."""

    what: str
    asked: str
    find: Callable[[Host], Mapping[str, str]]
    said: dict[str, Any] = field(default_factory=dict, init=False)

    @property
    def name(self) -> str:
        return f"tuning: {self.what}: {self.asked}"

    def check(self, host: Host) -> str | None:
        return None

    def undo(self, host: Host) -> list[Action]:
        try:
            wanted = self.find(host)
        except MachineError:
            return []  # up() finds the same, and says it
        return [["write", path, now] for path, text in wanted.items()
                if (now := _now(host, path)) is not None and now != text]

    def up(self, host: Host) -> None:
        got: list[str] = []
        why: list[str] = []
        try:
            for path, text in self.find(host).items():
                why += _write(host, path, text)
                got.append(_now(host, path) or "")
        except MachineError as error:
            why.append(str(error))
        self.said = entry(self.what, self.asked, _each(got), why)


@dataclass
class Paused:
    """A program that is stopped meanwhile, wherever it runs. One that somebody has stopped stays so."""

    program: str
    reason: str
    said: dict[str, Any] = field(default_factory=dict, init=False)
    _found: list[tuple[int, int]] = field(default_factory=list, init=False)
    _unknown: list[str] = field(default_factory=list, init=False)

    @property
    def name(self) -> str:
        return f"tuning: {self.program}: paused"

    def check(self, host: Host) -> str | None:
        return None

    def undo(self, host: Host) -> list[Action]:
        try:
            pids = host.query(["pgrep", "-x", self.program], check=False).stdout.split()
        except MachineError as error:
            pids, self._unknown = [], [str(error)]
        self._found = [(int(pid), started) for pid in pids if (started := _runs(host, pid))]
        return [["continue", pid, started] for pid, started in self._found]

    def up(self, host: Host) -> None:
        why = list(self._unknown)
        paused = 0
        for pid, started in self._found:
            try:
                paused += host.pause(pid, started)
            except MachineError as error:
                why.append(str(error))
        got = "paused" if paused else "not paused" if why else "does not run"
        self.said = entry(self.program, f"paused ({self.reason})", got, why)


@dataclass
class Noted:
    """Left as it is, and recorded. `find` tells how it is and what is wrong with that ("" nothing)."""

    what: str
    asked: str
    find: Callable[[Host], tuple[str, str]]
    said: dict[str, Any] = field(default_factory=dict, init=False)

    @property
    def name(self) -> str:
        return f"tuning: {self.what}: {self.asked}"

    def check(self, host: Host) -> str | None:
        return None

    def undo(self, host: Host) -> list[Action]:
        return []

    def up(self, host: Host) -> None:
        try:
            got, why = self.find(host)
        except MachineError as error:
            got, why = "", str(error)
        self.said = entry(self.what, self.asked, got, [why] if why else [])


def entry(what: str, asked: str, got: str, why: Sequence[str]) -> dict[str, Any]:
    """One of facts["tuning"]; `got` null where the machine does not tell."""
    return {"what": what, "asked": asked, "got": got or None, "why": "; ".join(dict.fromkeys(why))}


def machine_steps(level: str, client_cpus: Sequence[int], server_cpus: Sequence[int]) -> list[Tuning]:
    """In the order in which they act; undone in reverse."""
    used = sorted({*client_cpus, *server_cpus})
    fair: list[Tuning] = [
        # first of all: whatever is done to interrupts after it must stay
        Paused("irqbalance", "interrupts stay where they are put"),
        # before the limit on idling: a governor may change what the CPU's own idling costs
        Setting("CPU governor", "performance", lambda host: _governors(host, used)),
        Setting("C-states", "none slower to leave than C1 (µs)", lambda host: _latencies(host, used)),
        Noted("SMT siblings", "idle", lambda host: _siblings(host, client_cpus, server_cpus)),
        Noted("turbo", "left as it is", _turbo),
    ]
    most: list[Tuning] = [
        Setting("NUMA balancing", "off", lambda host: {f"{SYSCTL}/kernel/numa_balancing": "0"}),
        Setting("NMI watchdog", "off", lambda host: {f"{SYSCTL}/kernel/nmi_watchdog": "0"}),
        # last: the steps before it may themselves queue work
        Setting("unbound kernel work", f"mask of CPUs without {_numbers(server_cpus)}",
                lambda host: _workqueues(host, server_cpus)),
    ]
    by_level: dict[str, list[Tuning]] = {"none": [], "fair": fair, "max": [*fair, *most]}
    return by_level[level]


def _governors(host: Host, cpus: Sequence[int]) -> dict[str, str]:
    return {_there(host, f"{CPUS}/cpu{cpu}/cpufreq/scaling_governor",
                   "the kernel does not set this machine's frequency (no cpufreq)"): "performance" for cpu in cpus}


def _latencies(host: Host, cpus: Sequence[int]) -> dict[str, str]:
    """Each CPU's limit (µs): the exit latency of its first state but polling, and at least 1, for 0 is no limit."""
    found: dict[str, str] = {}
    for cpu in cpus:
        state = _there(host, f"{CPUS}/cpu{cpu}/cpuidle/state1/latency", "the kernel does not choose this machine's "
                       "C-states (no cpuidle)")
        found[f"{CPUS}/cpu{cpu}/power/pm_qos_resume_latency_us"] = str(max(1, int(host.read(state))))
    return found


def _siblings(host: Host, client: Sequence[int], server: Sequence[int]) -> tuple[str, str]:
    used = {*client, *server}
    beside = {cpu: smt_siblings(host, cpu) for cpu in sorted(used)}
    shared = [f"CPU {cpu} shares its core with CPU {each}, which is used too" for cpu in sorted(server)
              for each in beside[cpu] if each in used]
    idle = sorted({each for siblings in beside.values() for each in siblings} - used)
    return f"CPUs {_numbers(idle)} idle" if idle else "there are none" if not any(beside.values()) else "none idle", \
        "; ".join(shared)


def _turbo(host: Host) -> tuple[str, str]:
    for path, on in _TURBO.items():
        if host.exists(path):
            return ("on" if host.read(path).strip() == on else "off"), ""
    return "", "the machine does not tell"


def _workqueues(host: Host, server: Sequence[int]) -> dict[str, str]:
    path = _there(host, WORKQUEUES, "this kernel does not let its work be placed")
    now = host.read(path).strip()
    mask = int(now.replace(",", ""), 16)
    wanted = mask & ~sum(1 << cpu for cpu in server)
    if not wanted:
        raise MachineError("no CPU would be left for it")
    if wanted == mask:
        return {path: now}
    digits = f"{wanted:x}"
    # the kernel reads groups of eight hex digits
    groups = [digits[max(0, end - 8):end] for end in range(len(digits), 0, -8)]
    return {path: ",".join(reversed(groups))}


def _there(host: Host, path: str, otherwise: str) -> str:
    if not host.exists(path):
        raise MachineError(otherwise)
    return path


def _write(host: Host, path: str, text: str) -> list[str]:
    """[] or why the machine did not take it."""
    try:
        if host.read(path).strip() != text:
            host.write(path, text)
        now = host.read(path).strip()
    except MachineError as error:
        return [str(error)]
    return [] if now == text or _same_mask(now, text) else [f"{path} says {shlex.quote(now)}"]


def _now(host: Host, path: str) -> str | None:
    """None where it cannot be read."""
    try:
        return host.read(path).strip()
    except MachineError:
        return None


def _same_mask(one: str, other: str) -> bool:
    """The kernel writes masks with leading zeros."""
    try:
        return int(one.replace(",", ""), 16) == int(other.replace(",", ""), 16)
    except ValueError:
        return False


def _runs(host: Host, pid: str) -> int:
    """Start time of a process that runs; 0 of one that is stopped or gone."""
    try:
        fields = stat_fields(host.read(f"/proc/{pid}/stat"))
    except MachineError:
        return 0
    return 0 if fields[0] in "Tt" else int(fields[19])


def _each(texts: Sequence[str]) -> str:
    """One text where all are the same."""
    return ", ".join(dict.fromkeys(text for text in texts if text))


def _numbers(cpus: Sequence[int]) -> str:
    return ", ".join(str(cpu) for cpu in cpus)


def said(steps: Iterable[object]) -> list[dict[str, Any]]:
    """`tuning` of facts.json: what came of each step that tunes, in their order."""
    return [dict(entry) for step in steps if (entry := getattr(step, "said", None))]


def hugepages_for(host: Host, level: str, node: int | None, size_kib: int, count: int) -> tuple[int, int]:
    """(size in KiB, count) of the pages for as much memory: at "max" of 1 GiB where enough are free, else as asked.

    Fewer misses of the TLB, by DPDK's Getting Started Guide for Linux ("Use of Hugepages in the Linux Environment"),
    which also says that they are best set apart at boot, before memory is in pieces: none are made here. EAL takes
    free ones by itself (tried: with pages of both sizes free, a server took its memory from the larger).
    """
    needed = -(-size_kib * count // GIB_KIB)
    free = f"{pages(GIB_KIB, node)}/free_hugepages"
    try:
        enough = level == "max" and count > 0 and int(host.read(free)) >= needed
    except MachineError:
        enough = False
    return (GIB_KIB, needed) if enough else (size_kib, count)


def pages(size_kib: int, node: int | None) -> str:
    """The kernel's directory of hugepages of a size: of one NUMA node, or (None) of the whole machine."""
    where = "/sys/kernel/mm/hugepages" if node is None else f"/sys/devices/system/node/node{node}/hugepages"
    return f"{where}/hugepages-{size_kib}kB"
