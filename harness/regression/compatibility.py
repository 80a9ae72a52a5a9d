# SPDX-License-Identifier: BSD-3-Clause
"""Tell whether one run may be judged by another: what they differ in, and whether it forbids. Pure.

Knows plans and facts.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Iterator, Mapping, Sequence

from harness.plan import KERNEL, Plan, to_json
from harness.store import Facts, differing, fact

# of a plan: another value is another measurement
_PLAN = (
    "wire", "workload", "contenders", "connections", "duration_seconds", "warmup_seconds",
    "client_cpus", "server_cpus", "clients", "tap", "netem", "softirq", "by_contender",
    "not_applicable", "most_connections", "offered", "server_cores", "body_sizes", "impairments",
    "most_cores", "restart", "turn_ms")
# of the facts: another machine, or another state of it. Not what a change under test brings
_FACTS = (
    "machine.cpu_model", "machine.cpus", "machine.architecture", "machine.virtual",
    "kernel.release", "kernel.boot_options", "kernel.clocksource", "kernel.mitigations",
    "kernel.tcp", "hardware.microcode", "hardware.smt", "hardware.turbo", "cpus.governor",
    "hugepages.used", "wire.mtu", "wire.emulated", "nic.server.id", "nic.binding", "versions.wrk",
    "load_tool.name")
# differences that a reader should know of
_NOTABLE = (
    "git.revision", "git.dirty", "machine.memory_kib", "versions.cc", "versions.cflags",
    "versions.dpdk", "versions.lwip", "versions.lwip_patches", "versions.programs", "offloads",
    "hardware.bios")
_NOTABLE_OF_PLAN = ("rounds", "name", "seed", "precision_percent", "budget_seconds", "attempts",
                    "port", "max_connections")
_LONG = 120


@dataclass(frozen=True)
class Difference:
    """One fact, by its dotted name, that two runs have different values of, as text."""

    name: str
    base: str
    head: str

    def __str__(self) -> str:
        return f"{self.name}: {self.base} in BASE, {self.head} in HEAD"


@dataclass(frozen=True)
class Differences:
    """What two runs differ in: what forbids a comparison, and what does not."""

    forbidding: tuple[Difference, ...]
    notable: tuple[Difference, ...]


def differences(base: tuple[Plan, Facts], head: tuple[Plan, Facts]) -> Differences:
    """Compare two runs' plans and facts.

    What only one of them knows does not forbid: runs of before knew less.
    """
    plans = to_json(base[0]), to_json(head[0])
    facts, programs = (base[1].raw, head[1].raw), (hashes(base[1]), hashes(head[1]))
    return Differences(
        (*_differing(plans, _PLAN, absent_differs=True), *_differing(facts, _FACTS)),
        (*_differing(facts, _NOTABLE),
         *(Difference(f"programs.{name}", programs[0][name][:12], programs[1][name][:12])
           for name in sorted({*programs[0]} & {*programs[1]})
           if programs[0][name] != programs[1][name]),
         *_differing(plans, _NOTABLE_OF_PLAN)))


def hashes(facts: Facts) -> dict[str, str]:
    """Return the SHA-256 of each program, as far as it was recorded: before, of our own alone."""
    return {name: program.sha256 for name, program in facts.binaries.programs.items()
            if program.sha256}


def _differing(sides: tuple[Mapping[str, Any], Mapping[str, Any]], names: Sequence[str],
               absent_differs: bool = False) -> Iterator[Difference]:
    for name in names:
        base, head = (fact(side, name) for side in sides)
        if absent_differs or None not in (base, head):
            yield from (Difference(leaf, _shown(old), _shown(new))
                        for leaf, old, new in differing(name, base, head))


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _LONG else f"{text[:_LONG]}…"


def program(facts: Facts, contender: str) -> tuple[Any, ...] | None:
    """Return what a contender is made of, to ask whether two runs have the same; None: not known.

    Not known of one whose stack comes in a library beside its program, and of runs that did not
    record hashes.
    """
    entry, known, versions = facts.wire.contenders.get(contender), hashes(facts), facts.versions
    if entry is None or not known or entry.client.launcher:
        return None
    made = known.get(entry.program) or versions.programs.get(entry.program)
    own = (versions.dpdk, versions.lwip, versions.lwip_patches)
    return None if made is None else (
        made, entry.arguments, own if entry.stack != KERNEL else None)
