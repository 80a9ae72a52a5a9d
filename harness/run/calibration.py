# SPDX-License-Identifier: BSD-3-Clause
"""Looks for the client's ceiling: before the rounds, one trial a load point against the cheapest answerer on this wire.

It takes the place of a kernel contender, behind that one's link. Knows how it is run; what comes of it: ceiling.py.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Callable

from harness.analyse.ceiling import NAME
from harness.errors import MachineError
from harness.host import Host
from harness.plan import LoadPoint, GENERAL, Plan, schedule, TrialSpec
from harness.run.progress import rate
from harness.provision import has_program, Provisioned, ResolvedWire, ROOT
from harness.store.old_records import to_dict
from harness.store.store import Store
from harness.trial.trial import run_trial
from harness.plan import LOADGEN, Contender

PROGRAM = "build/canned_server"
_ARGUMENTS = ("--address", "{address}", "--port", "{port}", "--body-size", "{body_size}",
              "--max-connections", "{max_connections}")


def why_not(wire: ResolvedWire, plan: Plan) -> str:
    """Why the ceiling is not looked for, without a full stop; "" where it is."""
    if not plan.calibrate:
        return "it was asked not to be (CALIBRATE=no)"
    if wire.has_loadgen:
        return "our load generator counts its own busy cycles, and says at each load point whether it may be the limit"
    if wire.emulated:
        return "the NIC is emulated, and what its client can take says nothing of hardware"
    if plan.workload.name not in GENERAL:
        return f"the cheapest answerer answers HTTP as our servers do, and not {plan.workload.name}"
    if plan.workload.connect:
        return "the cheapest answerer keeps its connections, and this workload closes each after its answer"
    if _like(wire, plan) is None:
        return "no contender of the run has a client on the kernel's sockets and a server on them, so there is no path"
    return ""


def _like(wire: ResolvedWire, plan: Plan) -> Contender | None:
    """The contender whose link and client the answerer has."""
    return next((each for name in plan.contenders if (each := wire.contenders[name]).stack == "kernel"
                 and each.client.stack == "kernel"), None)


def canned(wire: ResolvedWire, plan: Plan) -> Contender:
    """The answerer as a contender. Only where why_not() has nothing against it."""
    like = _like(wire, plan)
    assert like is not None
    return replace(like, name=NAME, title="canned answers", program=PROGRAM, arguments=_ARGUMENTS, ready="line",
                   counters=True, needs=(), without=(), most_connections=0, most_because="")


def facts(host: Host, wire: ResolvedWire, plan: Plan) -> dict[str, Any]:
    """`calibration` of facts.json: what takes the place of which contender, or `why_not`."""
    reason = why_not(wire, plan)
    if reason:
        return {"why_not": reason}
    like = _like(wire, plan)
    assert like is not None
    return {"program": PROGRAM, "arguments": list(_ARGUMENTS), "instead_of": like.name,
            "sha256": host.sha256(ROOT / PROGRAM)}


def measure(host: Host, wire: ResolvedWire, plan: Plan, up: Provisioned, store: Store, say: Callable[[str], None]) -> None:
    """One trial for each load point that has none yet; each is on disk when the next begins.

    MachineError when the answerer is not built; whatever a trial raises.
    """
    threads = {spec.connections: spec.threads for spec in schedule(plan)}
    done = {record["connections"] for record in store.run.old_calibration}
    left = [(place, connections) for place, connections in enumerate(plan.connections)
            if connections not in done and connections in threads]
    if why_not(wire, plan) or not left:
        return
    if not has_program(host, PROGRAM):
        raise MachineError(f"{PROGRAM} is not there: run `make`, or leave the calibration out with CALIBRATE=no")
    contender = canned(wire, plan)
    with_canned = replace(wire, contenders={**wire.contenders, NAME: contender})
    up.turn_to(host, contender)
    for place, connections in left:
        spec = TrialSpec(NAME, LoadPoint(connections), 0, threads[connections])
        outcome = run_trial(host, with_canned, plan, spec, place, up, store.raw / f"calibration-c{connections}")
        store.append_calibration(outcome.record)
        record = to_dict(outcome.record)
        wrong = "" if record["valid"] else f": INVALID: {'; '.join(record['problems'])}"
        say(f"calibration, {connections} connections: {rate(record['requests_per_sec'])}{wrong}")
