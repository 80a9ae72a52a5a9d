# SPDX-License-Identifier: BSD-3-Clause
"""What a reader must know before believing the figures of a run, a sentence each. Pure."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from harness.analyse import bottleneck as verdict
from harness.report import format as words
from harness.plan import Plan, round_specs
from harness.store.records import Contender, Trial, table, text

_NOTABLE_STEAL = 0.02
# of CPU time on CPUs without a part, as a share of what counts
_NOTABLE_ELSEWHERE = 0.05


def caveats(plan: Plan, facts: Mapping[str, Any], trials: Sequence[Trial],
            points: Sequence[Mapping[str, Any]], contenders: Sequence[Contender], emulated: str) -> list[str]:
    """The sentences, the wire's own caveat first."""
    wire, pages = table(facts, "wire"), table(facts, "hugepages")
    found = [text(wire, "caveat")]
    if emulated:
        found.append(f"The NIC is emulated ({emulated}): these figures show that the path works, and say nothing of "
                     "hardware.")
    if not pages.get("used") and any(contender.polls for contender in contenders):
        found.append(f"Without hugepages: {str(pages.get('why') or 'reason not recorded').rstrip('. ')}.")
    shared = sorted(set(plan.client_cpus) & set(plan.server_cpus))
    if shared:
        found.append(f"Client and server shared CPU {', '.join(map(str, shared))}.")
    aside = [f"{contender.label} ({plan.not_applicable[contender.name]})" for contender in contenders
             if contender.name in plan.not_applicable]
    if aside:
        found.append(f"Not applicable here, so not measured: {words.listed(aside)}.")
    rounds = max(plan.rounds, 1 + max((trial.round for trial in trials), default=0))
    planned = rounds * len(round_specs(plan, 0))
    done = len({(trial.contender, trial.connections, trial.offered, trial.round) for trial in trials})
    if done < planned:
        found.append(f"The run is incomplete: it has {done} of {'at least ' if plan.precision_percent else ''}"
                     f"{planned} trials.")
    invalid = sum(not trial.valid for trial in trials)
    if invalid:
        found.append(f"Left out of every figure, because a check failed: {invalid} of {len(trials)} trials.")
    stolen = [trial.steal_share for trial in trials if trial.steal_share >= _NOTABLE_STEAL]
    if stolen:
        found.append(f"The hypervisor took CPU time away in {len(stolen)} of {len(trials)} trials, "
                     f"up to {100 * max(stolen):.0f} %.")
    elsewhere = [trial.elsewhere_share for trial in trials if trial.elsewhere_share >= _NOTABLE_ELSEWHERE]
    if elsewhere:
        found.append(f"CPUs without a part in the plan were at work beside their interrupts in {len(elsewhere)} of "
                     f"{len(trials)} trials, up to {100 * max(elsewhere):.0f} % of the CPU time that counts: whose work "
                     "that was cannot be told, and it is not counted.")
    found += [*_client_limits(points, contenders), *_wire_limits(points, contenders)]
    return [caveat for caveat in found if caveat]


def _wire_limits(points: Sequence[Mapping[str, Any]], contenders: Sequence[Contender]) -> list[str]:
    """One sentence for each contender that was held back by a wire that lost its packets, or was full."""
    held = {contender.label: [point["connections"] for point in points
                              if point["limit"][contender.name]["by"] == verdict.WIRE] for contender in contenders}
    return [f"The wire was the limit for {label} at {words.connections(counts)}, as it lost packets or was full: the "
            "figures tell of its queues and its line as much as of the stack." for label, counts in held.items() if counts]


def _client_limits(points: Sequence[Mapping[str, Any]], contenders: Sequence[Contender]) -> list[str]:
    """One sentence for all contenders that were held back at the same load points."""
    held: dict[tuple[str, str], list[str]] = {}
    for contender in contenders:
        bound = [point["connections"] for point in points
                 if point["limit"][contender.name]["by"] == verdict.CLIENT_CPU]
        if bound:
            meaning = ("its throughput there is a lower bound" if not contender.client_is_compared
                       else "there its client's end set the throughput, and its server could do more")
            held.setdefault((words.connections(bound), meaning), []).append(contender.label)
    return [f"The client's CPU was the limit for {words.listed(labels)} at {where}: "
            f"{meaning if len(labels) == 1 else meaning.replace('its', 'their')}."
            for (where, meaning), labels in held.items()]
