# SPDX-License-Identifier: BSD-3-Clause
"""Which contenders of a plan can be measured fairly: as many cores for each as the plan has, and a driver that can.

Cores and workload are the plan's own business; whether a driver has NAPI ids shows on the wire that is up, by one real
connection. Knows no record and no report.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from shutil import rmtree
from typing import Mapping

from harness.trial.client import Client
from harness.trial.server import start
from harness.errors import ContenderError, MachineError
from harness.host import Host
from harness.plan import Plan
from harness.trial.probe import prove_answer, prove_neighbour
from harness.provision import Provisioned
from harness.plan import Contender, Wire

# of a server that busy-polls: accepted connections that had a NAPI id (SO_INCOMING_NAPI_ID, Linux 4.12)
COUNTER = "napi_connections"


def applicable(host: Host, wire: Wire, plan: Plan, up: Provisioned, raw: Path) -> Plan:
    """The plan, with those set aside that cannot be measured fairly here. `raw`: a directory for what is started to
    see; made and removed here.

    MachineError when none is left; ContenderError when one that is started fails.
    """
    reasons = by_plan(wire, plan)
    for name in plan.contenders:
        contender = wire.contenders[name]
        if contender.busy_polls and name not in reasons and not _has_napi_id(host, wire, plan, up, contender, raw):
            reasons[name] = f"the driver of {contender.endpoint.interface} gives no NAPI id"
    return checked(set_aside(plan, reasons))


def by_plan(wire: Wire, plan: Plan) -> dict[str, str]:
    """What can be told without the machine: contender -> reason."""
    return {name: why for name in plan.contenders if (why := _why(wire.contenders[name], plan))}


def set_aside(plan: Plan, reasons: Mapping[str, str]) -> Plan:
    """The plan without those contenders' trials. They stand last, so that the first, the baseline, has some."""
    if not reasons:
        return plan
    kept = [name for name in plan.contenders if name not in reasons]
    return replace(plan, contenders=(*kept, *(name for name in plan.contenders if name in reasons)),
                   not_applicable={name: reasons[name] for name in plan.contenders if name in reasons})


def checked(plan: Plan) -> Plan:
    """The plan itself. MachineError when it has nothing to measure."""
    if len(plan.not_applicable) == len(plan.contenders):
        raise MachineError("no contender is applicable: " + "; ".join(lines(plan)))
    return plan


def lines(plan: Plan) -> list[str]:
    """What was set aside, a line each."""
    return [f"{name} is not applicable: {why}" for name, why in plan.not_applicable.items()]


def _why(contender: Contender, plan: Plan) -> str:
    """"" for one that is applicable as far as the plan goes."""
    cores, workload = len(plan.server_cpus), plan.workload
    if cores > 1 and contender.cores == "one":
        return f"uses one core of the {cores}"
    if cores == 1 and contender.same_on_one_core:
        return f"one server core: the same as {contender.same_on_one_core}"
    if contender.only_workload and workload.name != contender.only_workload:
        return f"answers workload {contender.only_workload} only"
    if contender.only_body_size is not None and workload.body_size_bytes != contender.only_body_size:
        return f"answers with a body of {contender.only_body_size} only, in bytes"
    return ""


def _has_napi_id(host: Host, wire: Wire, plan: Plan, up: Provisioned, contender: Contender, raw: Path) -> bool:
    """Had a connection from the client's end one? The server is started as for a trial, and asked."""
    raw.mkdir(parents=True)
    try:
        up.turn_to(host, contender)
        running = start(host, wire, contender, plan, up, raw)
        try:
            running.wait_ready()
            client = Client(host, wire, plan, up, running, raw)
            prove_neighbour(client)
            for proof in prove_answer(client, plan.workload, "napi"):
                if proof.answer.wrong:
                    raise ContenderError(f"contender '{contender.name}': {proof.answer.wrong}")
            counters = running.stop() or {}
        finally:
            running.close()
    finally:
        with suppress(OSError):
            rmtree(raw)
    count = counters.get(COUNTER)
    if not isinstance(count, int):
        raise ContenderError(f"contender '{contender.name}' did not count its connections with a NAPI id ({COUNTER})")
    return count > 0
