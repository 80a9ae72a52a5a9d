# SPDX-License-Identifier: BSD-3-Clause
"""Which contenders of a plan can be measured fairly: as many cores for each as the plan has, and a driver that can.

Cores and workload are the plan's own business; whether a driver has NAPI ids shows on the wire that is up, by one real
connection. Knows no record and no report.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from shutil import rmtree

from harness.trial.client import Client
from harness.trial.server import start
from harness.errors import ContenderError, MachineError
from harness.host import Host
from harness.plan import Plan, Reason, without
from harness.trial.probe import prove_answer, prove_neighbour
from harness.provision import Provisioned, ResolvedWire
from harness.plan import Contender

# of a server that busy-polls: accepted connections that had a NAPI id (SO_INCOMING_NAPI_ID, Linux 4.12)
COUNTER = "napi_connections"


def applicable(host: Host, wire: ResolvedWire, plan: Plan, up: Provisioned, raw: Path) -> Plan:
    """The plan, with those set aside that cannot be measured fairly here. `raw`: a directory for what is started to
    see; made and removed here.

    MachineError when none is left; ContenderError when one that is started fails.
    """
    polling = [wire.contenders[name] for name in plan.applicable if wire.contenders[name].busy_polls]
    return checked(without(plan, {
        contender.name: Reason("no-busy-polling", {"interface": contender.endpoint.interface})
        for contender in polling if not _has_napi_id(host, wire, plan, up, contender, raw)}))


def checked(plan: Plan) -> Plan:
    """The plan itself. MachineError when it has nothing to measure."""
    if len(plan.not_applicable) == len(plan.contenders):
        raise MachineError("no contender is applicable: " + "; ".join(lines(plan)))
    return plan


def lines(plan: Plan) -> list[str]:
    """What was set aside, a line each."""
    return [f"{name} is not applicable: {why}" for name, why in plan.not_applicable.items()]


def _has_napi_id(host: Host, wire: ResolvedWire, plan: Plan, up: Provisioned, contender: Contender, raw: Path) -> bool:
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
