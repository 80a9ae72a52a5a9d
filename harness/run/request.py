# SPDX-License-Identifier: BSD-3-Clause
"""Turn a request of the command line into what is run: a wire and a plan, or the rest of a run."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import Mapping, Sequence

from harness.errors import MachineError, UsageError
from harness.host import Host, SshHost
from harness.plan import (
    SIZES, NicRequest, Plan, Wire, load_plan, load_wire, with_contenders, without)
from harness.provision import (
    NicPair, ResolvedWire, most_files, nic_pair, reached, resolve, usable_cpus, with_cpus, with_tap)
from harness.store import NotMeasured, Note, Run
from harness.run.eligibility import without_io_uring
from harness.run.open_loop import Loads, open_plan
from harness.run.progress import Words, code_text

DEFAULT_PLAN = "default"


@dataclass(frozen=True)
class RunRequest:
    """What the command line asks for; empty text is not given.

    settings: text by variable of plan.OVERRIDES
    resume: the run that is finished
    loads: of an open loop, None for a closed one
    """

    wire: str
    plan: str
    settings: Mapping[str, str] = field(default_factory=dict)
    resume: str = ""
    dry_run: bool = False
    nic: NicRequest = NicRequest()
    loads: Loads | None = None


def by_workload(request: RunRequest) -> list[RunRequest]:
    """Return a request for each workload, and each size of a body, that it leaves open."""
    if request.resume or request.plan.endswith(".toml"):
        return [request]
    given = request.settings.get("WORKLOAD", "").strip()
    names = [given] if given else load_wire(request.wire).workloads
    requests = [_with(request, WORKLOAD=name) for name in names]
    if request.settings.get("BODY_SIZE") or "body=" in request.settings.get("SWEEP", ""):
        return requests
    return [_with(item, **({"BODY_SIZE": str(size)} if size else {})) for item in requests
            for size in SIZES.get(item.settings["WORKLOAD"], (0,))]


def _with(request: RunRequest, **settings: str) -> RunRequest:
    return replace(request, settings={**request.settings, **settings})


def planned(request: RunRequest, host: Host) -> tuple[ResolvedWire, Plan]:
    """Return what a request would measure; other machines are asked for their CPUs."""
    with reached(host, request.nic) as sites:
        return choose(request, host, None, sites, code_text)


def choose(request: RunRequest, host: Host, run: Run | None, sites: Sequence[SshHost],
           words: Words) -> tuple[ResolvedWire, Plan]:
    """Return what to measure: a new plan, or that of a run that goes on.

    UsageError where the command line contradicts that run.
    """
    wire = load_wire(request.wire or (run.plan.wire if run else ""))
    nic = nic_pair(host, wire, request.nic)
    if run is None:
        wire, plan = _plan(request, wire, request.plan or DEFAULT_PLAN, host, nic, sites)
        plan = checked(replace(plan, seed=plan.seed or draw_seed()), words)
        return resolve(host, wire, plan, nic), plan
    if wire.name != run.plan.wire:
        raise UsageError(f"run {run.id} is of wire '{run.plan.wire}', not of '{wire.name}'")
    wire = with_contenders(wire, [*_contenders(request), *run.plan.contenders])
    if request.plan or any(request.settings.values()):
        named = _plan(request, wire, request.plan or run.plan.name, host, nic, sites)[1]
        # what was decided when the run began stays so
        named = replace(named, seed=named.seed or run.planned.seed)
        if without(named, run.planned.not_applicable) != run.planned:
            raise UsageError(f"run {run.id} has another plan; to finish it give RESUME={run.id} "
                             "alone")
    absent = {*run.plan.client_cpus, *run.plan.server_cpus} - set(usable_cpus(host, nic))
    if absent:
        raise UsageError(f"run {run.id} used CPU {min(absent)}, which this machine has not")
    for name in run.plan.contenders:
        if name not in wire.contenders:
            raise UsageError(f"run {run.id} has contender '{name}', which wire '{wire.name}' has "
                             "no more")
    return resolve(host, wire, run.plan, nic), run.plan


def _plan(request: RunRequest, wire: Wire, name: str, host: Host, nic: NicPair | None,
          sites: Sequence[SshHost]) -> tuple[Wire, Plan]:
    wire = with_contenders(wire, _contenders(request))
    plan = load_plan(name, wire, usable_cpus(host, nic), with_cpus(host, nic, request.settings),
                     most_files() if wire.has_loadgen else None,
                     {site.destination: site.cpus() for site in sites})
    if request.loads is not None:
        plan = open_plan(plan, request.loads)
    return wire, without_io_uring(host, wire, with_tap(host, wire, plan))


def _contenders(request: RunRequest) -> list[str]:
    return [word.strip() for word in request.settings.get("CONTENDERS", "").split(",")]


def checked(plan: Plan, words: Words) -> Plan:
    """Return the plan. MachineError when it has nothing to measure."""
    if not {*plan.applicable} - {*plan.limits}:
        raise MachineError("no contender is left: " + "; ".join(not_applicable(plan, words)))
    return plan


def not_applicable(plan: Plan, words: Words) -> list[str]:
    """Return who is set aside, a line each."""
    return [f"{name}: {words(Note(NotMeasured(why.code), why.values))}"
            for name, why in plan.not_applicable.items()]


def draw_seed() -> int:
    """Return one above 0 for the order of a run's trials."""
    return 1 + int.from_bytes(os.urandom(4), "big") % ((1 << 32) - 1)
