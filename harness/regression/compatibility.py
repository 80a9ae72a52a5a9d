# SPDX-License-Identifier: BSD-3-Clause
"""Tell whether one run may be judged by another: what they differ in, and whether it forbids. Pure.

Knows plans and facts.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Iterator, Mapping, Sequence

from harness.plan import Plan, to_json

# of a plan: another value is another measurement
_PLAN = (
    "wire", "workload", "contenders", "connections", "duration_seconds", "warmup_seconds",
    "client_cpus", "server_cpus", "clients", "tap", "netem", "softirq", "by_contender",
    "not_applicable", "most_connections", "offered", "server_cores", "body_sizes", "impairments",
    "most_cores")
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


def differences(base: tuple[Plan, Mapping[str, Any]],
                head: tuple[Plan, Mapping[str, Any]]) -> Differences:
    """Compare two runs' plans and facts.

    What only one of them knows does not forbid: runs of before knew less.
    """
    plans = to_json(base[0]), to_json(head[0])
    facts, programs = (base[1], head[1]), (hashes(base[1]), hashes(head[1]))
    return Differences(
        (*_differing(plans, _PLAN, absent_differs=True), *_differing(facts, _FACTS)),
        (*_differing(facts, _NOTABLE),
         *(Difference(f"programs.{name}", programs[0][name][:12], programs[1][name][:12])
           for name in sorted({*programs[0]} & {*programs[1]})
           if programs[0][name] != programs[1][name]),
         *_differing(plans, _NOTABLE_OF_PLAN)))


def hashes(facts: Mapping[str, Any]) -> dict[str, str]:
    """Return the SHA-256 of each program, as far as it was recorded: before, of our own alone."""
    found = fact(facts, "binaries.programs")
    if isinstance(found, Mapping):
        return {str(name): str(entry["sha256"]) for name, entry in found.items()
                if entry.get("sha256")}
    old = fact(facts, "versions.sha256")
    return {str(name): str(sha) for name, sha in old.items() if sha} \
        if isinstance(old, Mapping) else {}


def _differing(sides: tuple[Mapping[str, Any], Mapping[str, Any]], names: Sequence[str],
               absent_differs: bool = False) -> Iterator[Difference]:
    for name in names:
        base, head = (fact(side, name) for side in sides)
        if base != head and (absent_differs or None not in (base, head)):
            yield from _leaves(name, base, head)


def _leaves(name: str, base: Any, head: Any) -> Iterator[Difference]:
    """Yield a difference for each key of two tables that has different values."""
    if isinstance(base, Mapping) and isinstance(head, Mapping):
        for key in sorted({*base, *head}):
            if base.get(key) != head.get(key):
                yield from _leaves(f"{name}.{key}", base.get(key), head.get(key))
    else:
        yield Difference(name, _shown(base), _shown(head))


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _LONG else f"{text[:_LONG]}…"


def fact(facts: Any, name: str) -> Any:
    """Return the fact at a dotted name; None where there is none."""
    for key in name.split("."):
        facts = facts.get(key) if isinstance(facts, Mapping) else None
    return facts


def program(facts: Mapping[str, Any], contender: str) -> Any:
    """Return what a contender is made of, to ask whether two runs have the same; None: not known.

    Not known of one whose stack comes in a library beside its program, and of runs that did not
    record hashes.
    """
    entry = fact(facts, "wire.contenders")
    entry = entry.get(contender) if isinstance(entry, Mapping) else None
    known = hashes(facts)
    if not isinstance(entry, Mapping) or not known or fact(entry, "client.launcher"):
        return None
    name = str(entry.get("program"))
    made = known.get(name) or (fact(facts, "versions.programs") or {}).get(name)
    own = [fact(facts, f"versions.{key}") for key in ("dpdk", "lwip", "lwip_patches")]
    if made is None:
        return None
    return [made, entry.get("arguments"), own if entry.get("stack") != "kernel" else None]
