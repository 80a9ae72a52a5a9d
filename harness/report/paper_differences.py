# SPDX-License-Identifier: BSD-3-Clause
"""How a run was measured, in the same words as a publication's: every difference of hardware and method. Pure.

Knows a plan, facts as far as there are any (a plan that was not run has those of the machine alone), no figures.
"""

from __future__ import annotations

from typing import Any, Mapping

from harness.report import hardware as equipment
from harness.report import format as words
from harness.plan import Plan, schedule
from harness.plan.published import METHOD, NOT_STATED, Published

Facts = Mapping[str, Any]
_UNKNOWN = "not known"


def differences(plan: Plan, facts: Facts, other: Published) -> list[tuple[str, str, str]]:
    """(what, ours, theirs) of everything that METHOD names; what a publication does not say reads "not stated"."""
    found = ours(plan, facts)
    return [(what, found[key], other.method.get(key, NOT_STATED)) for key, what in METHOD.items()]


def ours(plan: Plan, facts: Facts) -> dict[str, str]:
    """A sentence or less by the keys of METHOD."""
    wire, kernel = _part(facts, "wire"), _part(facts, "kernel")
    card = equipment.server_card(facts)
    emulated = f"; emulated: {wire['emulated']}" if wire.get("emulated") else ""
    size = plan.workload.body_size_bytes
    most = max((spec.threads for spec in schedule(plan)), default=0)
    return {
        "cpu": equipment.system(facts),
        "nic": (equipment.card_in_short(card) if card else
                f"none: wire {plan.wire}" + (f" ({wire['title']})" if wire.get("title") else "")) + emulated,
        "client": _client(plan, facts),
        "threads": f"{words.counted(most, 'thread')} at most, one a client CPU, a divisor of the connections",
        "response_size": f"a body of {words.counted(size, 'byte')}, and its head",
        "duration": (f"{plan.duration_seconds} s a load point in each of {words.counted(plan.rounds, 'round')}, after "
                     f"{plan.warmup_seconds} s of warm-up"),
        "server_program": _programs(plan, wire),
        "server_cores": f"{len(plan.server_cpus)}: CPU {', '.join(map(str, plan.server_cpus))}",
        "kernel": " ".join(str(kernel[key]) for key in ("release", "distribution") if kernel.get(key)) or _UNKNOWN,
        "tuning": _tuning(facts),
        "statistics": "medians over the rounds, whose order is interleaved; gains paired by round, with 95 % intervals",
    }


def _client(plan: Plan, facts: Facts) -> str:
    tool = str(_part(facts, "load_tool").get("name") or "the wire's load tool")
    version = _part(facts, "versions").get(tool)
    named = f"{tool} {version}" if isinstance(version, str) and version else tool
    if plan.clients:
        return f"{named} on {words.listed(list(plan.clients))}"
    return f"{named} on CPU {', '.join(map(str, plan.client_cpus))} of the same machine"


def _programs(plan: Plan, wire: Facts) -> str:
    described = _part(wire, "contenders")
    labels = [str(_part(described, name).get("label") or name) for name in plan.contenders]
    return "; ".join(name if label == name else f"{name}: {label}" for name, label in zip(plan.contenders, labels))


def _tuning(facts: Facts) -> str:
    """What was asked for and got; else what the machine says of its clock."""
    tuned = equipment.tunings(facts)
    if tuned:
        return "; ".join(f"{each.what}: {each.got}" for each in tuned)
    governors = {str(value) for value in _part(_part(facts, "cpus"), "governor").values() if value}
    return f"none; governor {', '.join(sorted(governors)) or 'not known'}"


def _part(facts: Facts, key: str) -> Facts:
    """{} where there is no such table."""
    value = facts.get(key)
    return value if isinstance(value, Mapping) else {}
