# SPDX-License-Identifier: BSD-3-Clause
"""Make the machine ready for a measurement, by level. Must not know NICs or wires.

A step keeps what was asked, what the machine gave and why not more; a refusal is never a failure.
Everything is a write that the journal can take back after a kill. Sources: README.md.
"""

from __future__ import annotations

import shlex
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Callable, Iterable, Mapping, Sequence

from harness.errors import MachineError
from harness.host import Host, stat_fields
from harness.provision.step import Action, Step, written_back
from harness.provision.tuning.cpus import CPUS, NODES, cpu_mask, parse_mask, smt_siblings

LEVELS = ("none", "fair", "max")
SYSCTL = "/proc/sys"
WORKQUEUES = "/sys/devices/virtual/workqueue/cpumask"
GIB_KIB = 1 << 20
# kept for good; from when on, and how many at the most
NEIGHBOURS = (1024, 4096, 8192)
# of turbo, by driver: the file that tells, and what it says when turbo is on
_TURBO = {f"{CPUS}/intel_pstate/no_turbo": "0", f"{CPUS}/cpufreq/boost": "1"}


@dataclass(frozen=True)
class Tuned:
    """What came of a setting.

    `got`: "" where the machine does not tell
    `why`: it got no more; "" where it took what was asked
    `port`: of a NIC, whose interface it is; "" for the machine's
    """

    what: str
    asked: str
    got: str
    why: str
    port: str = ""

    def to_json(self) -> dict[str, str | None]:
        """Return an entry of `tuning` or `softirq` in facts.json."""
        return {**({"port": self.port} if self.port else {}), "what": self.what,
                "asked": self.asked, "got": self.got or None, "why": self.why}


def tuned(what: str, asked: str, got: str, why: Sequence[str]) -> Tuned:
    return Tuned(what, asked, got, "; ".join(dict.fromkeys(why)))


@dataclass
class Tuning(Step):
    """A step that keeps what came of it."""

    title = "tuning: {0.what}: {0.asked}"
    what: str
    asked: str
    result: Tuned | None = field(default=None, init=False)

    def up(self, host: Host) -> None:
        try:
            self.result = tuned(self.what, self.asked, *self.act(host))
        except MachineError as error:
            self.result = tuned(self.what, self.asked, "", [str(error)])

    def act(self, host: Host) -> tuple[str, list[str]]:
        """Do it. Return what the machine gave, and why not more."""
        raise NotImplementedError


@dataclass
class Setting(Tuning):
    """Files of the kernel, each with its text to be. `find` raises MachineError for none."""

    find: Callable[[Host], Mapping[str, str]]

    def undo(self, host: Host) -> list[Action]:
        try:
            wanted = self.find(host)
        except MachineError:
            return []  # act() finds the same
        return written_back(host, wanted)

    def act(self, host: Host) -> tuple[str, list[str]]:
        wanted = self.find(host)
        why = [problem for path, text in wanted.items() if (problem := _write(host, path, text))]
        # one text where all are the same
        return ", ".join(dict.fromkeys(filter(None, map(host.text, wanted)))), why


@dataclass
class Paused(Tuning):
    """A program that is stopped meanwhile; one that somebody has stopped stays so."""

    _running: list[tuple[int, int]] = field(default_factory=list, init=False)
    _unknown: list[str] = field(default_factory=list, init=False)

    def undo(self, host: Host) -> list[Action]:
        try:
            pids = host.query(["pgrep", "-x", self.what], check=False).stdout.split()
        except MachineError as error:
            pids, self._unknown = [], [str(error)]
        self._running = [(int(pid), started) for pid in pids if (started := _runs(host, pid))]
        return [["continue", pid, started] for pid, started in self._running]

    def act(self, host: Host) -> tuple[str, list[str]]:
        why, paused = list(self._unknown), 0
        for pid, started in self._running:
            try:
                paused += host.pause(pid, started)
            except MachineError as error:
                why.append(str(error))
        return "paused" if paused else "not paused" if why else "does not run", why


@dataclass
class Noted(Tuning):
    """A thing left as it is. `find` returns how it is, and what is wrong with that."""

    find: Callable[[Host], tuple[str, list[str]]]

    def act(self, host: Host) -> tuple[str, list[str]]:
        return self.find(host)


def machine_steps(level: str, client_cpus: Sequence[int],
                  server_cpus: Sequence[int]) -> list[Tuning]:
    """Return the steps of a level, in the order in which they act; undone in reverse."""
    used = sorted({*client_cpus, *server_cpus})
    fair: list[Tuning] = [
        # first of all: whatever is done to interrupts after it must stay
        Paused("irqbalance", "paused (interrupts stay where they are put)"),
        # before the limit on idling: a governor may change what the CPU's own idling costs
        Setting("CPU governor", "performance", lambda host: _governors(host, used)),
        Setting("C-states", "none slower to leave than C1 (µs)",
                lambda host: _latencies(host, used)),
        Noted("SMT siblings", "idle", lambda host: _siblings(host, client_cpus, server_cpus)),
        Noted("turbo", "left as it is", _turbo),
        Setting("neighbour table", f"{NEIGHBOURS[-1]} entries at the most", _neighbours),
    ]
    most: list[Tuning] = [
        Setting("NUMA balancing", "off", lambda host: {f"{SYSCTL}/kernel/numa_balancing": "0"}),
        Setting("NMI watchdog", "off", lambda host: {f"{SYSCTL}/kernel/nmi_watchdog": "0"}),
        # last: the steps before it may themselves queue work
        Setting("unbound kernel work", f"mask of CPUs without {_numbers(server_cpus)}",
                lambda host: _workqueues(host, server_cpus)),
    ]
    return [*(fair if level != "none" else []), *(most if level == "max" else [])]


def results(steps: Iterable[object]) -> list[Tuned]:
    """Return what came of each step that tunes, in their order."""
    return [result for step in steps if isinstance(result := getattr(step, "result", None), Tuned)]


def _governors(host: Host, cpus: Sequence[int]) -> dict[str, str]:
    return {_there(host, f"{CPUS}/cpu{cpu}/cpufreq/scaling_governor",
                   "the kernel does not set this machine's frequency (no cpufreq)"): "performance"
            for cpu in cpus}


def _latencies(host: Host, cpus: Sequence[int]) -> dict[str, str]:
    """Return each CPU's limit (µs): the exit latency of its first state but polling, and not 0."""
    limits = {}
    for cpu in cpus:
        state = _there(host, f"{CPUS}/cpu{cpu}/cpuidle/state1/latency",
                       "the kernel does not choose this machine's C-states (no cpuidle)")
        limit = max(1, int(host.read(state)))
        limits[f"{CPUS}/cpu{cpu}/power/pm_qos_resume_latency_us"] = str(limit)
    return limits


def _siblings(host: Host, client: Sequence[int], server: Sequence[int]) -> tuple[str, list[str]]:
    used = {*client, *server}
    beside = {cpu: smt_siblings(host, cpu) for cpu in sorted(used)}
    shared = [f"CPU {cpu} shares its core with CPU {sibling}, which is used too"
              for cpu in sorted(server) for sibling in beside[cpu] if sibling in used]
    siblings = {sibling for others in beside.values() for sibling in others}
    idle = sorted(siblings - used)
    some = f"CPUs {_numbers(idle)} idle" if idle else "none idle"
    return some if siblings else "there are none", shared


def _turbo(host: Host) -> tuple[str, list[str]]:
    for path, on in _TURBO.items():
        if host.exists(path):
            return "on" if host.read(path).strip() == on else "off", []
    return "", ["the machine does not tell"]


def _workqueues(host: Host, server: Sequence[int]) -> dict[str, str]:
    path = _there(host, WORKQUEUES, "this kernel does not let its work be placed")
    now = host.read(path).strip()
    wanted = parse_mask(now) - set(server)
    if not wanted:
        raise MachineError("no CPU would be left for it")
    return {path: now if wanted == parse_mask(now) else cpu_mask(wanted)}


def _neighbours(host: Host) -> dict[str, str]:
    """Return the sizes of the kernel's ARP table, no smaller than the machine has them."""
    paths = [f"{SYSCTL}/net/ipv4/neigh/default/gc_thresh{number}" for number in (1, 2, 3)]
    return {path: str(max(entries, int(host.read(path))))
            for path, entries in zip(paths, NEIGHBOURS)}


def _there(host: Host, path: str, otherwise: str) -> str:
    if not host.exists(path):
        raise MachineError(otherwise)
    return path


def _write(host: Host, path: str, text: str) -> str:
    """Return "" or why the machine did not take it."""
    try:
        if host.read(path).strip() != text:
            host.write(path, text)
        now = host.read(path).strip()
    except MachineError as error:
        return str(error)
    # some are masks, which the kernel writes in its own way
    with suppress(ValueError):
        if parse_mask(now) == parse_mask(text):
            return ""
    return "" if now == text else f"{path} says {shlex.quote(now)}"


def _runs(host: Host, pid: str) -> int:
    """Return the start time of a process that runs; 0 of one that is stopped or gone."""
    fields = stat_fields(host.text(f"/proc/{pid}/stat"))
    return 0 if not fields or fields[0] in "Tt" else int(fields[19])


def _numbers(cpus: Sequence[int]) -> str:
    return ", ".join(str(cpu) for cpu in cpus)


def hugepages_for(host: Host, level: str, node: int | None, size_kib: int,
                  count: int) -> tuple[int, int]:
    """Return (size in KiB, count) of the pages for as much memory.

    At level "max" they are of 1 GiB where enough are free, else as asked.
    """
    needed = -(-size_kib * count // GIB_KIB)
    enough = level == "max" and count > 0 and free_pages(host, GIB_KIB, node) >= needed
    return (GIB_KIB, needed) if enough else (size_kib, count)


def pages(size_kib: int, node: int | None) -> str:
    """Return the kernel's directory of hugepages of a size; on one NUMA node, if given."""
    top = "/sys/kernel/mm" if node is None else f"{NODES}/node{node}"
    return f"{top}/hugepages/hugepages-{size_kib}kB"


def free_pages(host: Host, size_kib: int, node: int | None) -> int:
    """Return how many are free and not reserved by a process that will touch them later.

    A node does not tell what is reserved there, so all that is reserved counts as its own.
    """
    free = host.text(f"{pages(size_kib, node)}/free_hugepages") or "0"
    return int(free) - int(host.text(f"{pages(size_kib, None)}/resv_hugepages") or 0)


def page_name(size_kib: int) -> str:
    """Return a size as cgroups have it in the names of files: 2MB of 2048 KiB."""
    unit, name = max((unit, name) for unit, name in ((1, "KB"), (1 << 10, "MB"), (1 << 20, "GB"))
                     if unit <= size_kib)
    return f"{size_kib // unit}{name}"
