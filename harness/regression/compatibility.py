# SPDX-License-Identifier: BSD-3-Clause
"""May one run be judged by another? What they differ in, and whether it forbids. Pure; knows plans and facts."""

from __future__ import annotations

import json
from typing import Any, Mapping, NamedTuple, Sequence

from harness.plan import Plan, to_json

# of a plan: another value is another measurement
_PLAN = ("wire", "workload", "contenders", "connections", "duration_seconds", "warmup_seconds", "client_cpus",
         "server_cpus", "clients", "tap", "netem", "softirq", "by_contender", "not_applicable", "most_connections",
         "offered")
# of the facts: another machine, or another state of it. Not what a change under test brings (programs, DPDK, lwIP)
_FACTS = ("machine.cpu_model", "machine.cpus", "machine.architecture", "machine.virtual", "kernel.release",
          "kernel.boot_options", "kernel.clocksource", "kernel.mitigations", "kernel.tcp", "hardware.microcode",
          "hardware.smt", "hardware.turbo", "cpus.governor", "hugepages.used", "wire.mtu", "wire.emulated",
          "nic.server.id", "nic.binding", "versions.wrk", "load_tool.name")
# differences that a reader should know of
_TOLD = ("git.revision", "git.dirty", "machine.memory_kib", "versions.cc", "versions.cflags", "versions.dpdk",
         "versions.lwip", "versions.lwip_patches", "versions.programs", "offloads", "hardware.bios")
_TOLD_OF_PLAN = ("rounds", "name", "seed", "precision_percent", "budget_seconds", "attempts", "port", "server_max_connections")
_LONG = 120


class Differences(NamedTuple):
    """Phrases `what: base, head`; those that forbid a comparison, and those that do not."""

    forbidding: list[str]
    told: list[str]


def differences(base: tuple[Plan, Mapping[str, Any]], head: tuple[Plan, Mapping[str, Any]]) -> Differences:
    """Of two runs' plans and facts. What only one of them knows does not forbid: runs of before knew less."""
    plans = to_json(base[0]), to_json(head[0])
    return Differences(
        [*_differing(plans, _PLAN, absent_differs=True), *_differing((base[1], head[1]), _FACTS)],
        [*_differing((base[1], head[1]), _TOLD), *_other_programs(hashes(base[1]), hashes(head[1])),
         *_differing(plans, _TOLD_OF_PLAN)])


def hashes(facts: Mapping[str, Any]) -> dict[str, str]:
    """SHA-256 of each program of a run, as far as it was recorded: in runs of before, of our own alone."""
    found = fact(facts, "binaries.programs")
    if isinstance(found, Mapping):
        return {str(name): str(each["sha256"]) for name, each in found.items() if each.get("sha256")}
    old = fact(facts, "versions.sha256")
    return {str(name): str(each) for name, each in old.items() if each} if isinstance(old, Mapping) else {}


def _other_programs(base: Mapping[str, str], head: Mapping[str, str]) -> list[str]:
    """What only one of the runs knows is no difference."""
    names = [name for name in sorted({*base} & {*head}) if base[name] != head[name]]
    return [f"programs: {', '.join(names)} {'is another' if len(names) == 1 else 'are others'}"] if names else []


def _differing(sides: tuple[Mapping[str, Any], Mapping[str, Any]], names: Sequence[str],
               absent_differs: bool = False) -> list[str]:
    found = []
    for name in names:
        values = [fact(side, name) for side in sides]
        if values[0] != values[1] and (absent_differs or None not in values):
            found.append(_phrase(name, *values))
    return found


def _phrase(name: str, base: Any, head: Any) -> str:
    if isinstance(base, Mapping) and isinstance(head, Mapping):
        keys = [key for key in sorted({*base, *head}) if base.get(key) != head.get(key)]
        return "; ".join(_phrase(f"{name}.{key}", base.get(key), head.get(key)) for key in keys)
    return f"{name.replace('_', ' ')}: {_shown(base)} in BASE, {_shown(head)} in HEAD"


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _LONG else f"{text[:_LONG]}…"


def fact(facts: Any, name: str) -> Any:
    """The fact at a dotted name; None where there is none."""
    for key in name.split("."):
        facts = facts.get(key) if isinstance(facts, Mapping) else None
    return facts


def program(facts: Mapping[str, Any], contender: str) -> Any:
    """What a contender is made of, for two runs to be asked whether it is the same; None where that is not known.

    Not known of one whose stack comes in a library beside its program, and of runs that did not record hashes.
    """
    entry = fact(facts, "wire.contenders")
    entry = entry.get(contender) if isinstance(entry, Mapping) else None
    known = hashes(facts)
    if not isinstance(entry, Mapping) or not known or fact(entry, "client.launcher"):
        return None
    name = str(entry.get("program"))
    said = known.get(name) or (fact(facts, "versions.programs") or {}).get(name)
    own = [fact(facts, f"versions.{key}") for key in ("dpdk", "lwip", "lwip_patches")]
    return None if said is None else [said, entry.get("arguments"), own if entry.get("stack") != "kernel" else None]
