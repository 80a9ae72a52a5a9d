# SPDX-License-Identifier: BSD-3-Clause
"""Find out which contenders this machine cannot run, or the wire that is up cannot carry fairly:
whether a driver has NAPI ids shows by one real connection."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from shutil import rmtree

from harness.errors import ContenderError
from harness.host import Host
from harness.plan import Contender, Plan, Reason, Wire, without
from harness.provision import Provisioned, ResolvedWire
from harness.trial import Client, prove_answer, prove_neighbour, start

# of a server that busy-polls: accepted connections that had a NAPI id (SO_INCOMING_NAPI_ID, Linux
# 4.12)
COUNTER = "napi_connections"


def without_napi(host: Host, wire: ResolvedWire, plan: Plan, up: Provisioned,
                 raw: Path) -> dict[str, Reason]:
    """Return the contenders that busy-poll a driver which cannot, and why.

    `raw`: a directory for what is started to see; made and removed here. ContenderError when one
    that is started fails.
    """
    polling = [wire.contenders[name] for name in plan.applicable
               if wire.contenders[name].busy_polls]
    return {item.name: Reason("no-busy-polling", {"interface": item.endpoint.interface})
            for item in polling if not _has_napi_id(host, wire, plan, up, item, raw)}


def without_far_clients(wire: Wire, plan: Plan, up: Provisioned) -> dict[str, Reason]:
    """Return the contenders whose client is to poll, where clients are on other machines."""
    return {name: Reason("client-elsewhere", {}) for name in plan.applicable
            if up.sites and wire.contenders[name].client.polls}


def without_io_uring(host: Host, wire: Wire, plan: Plan) -> Plan:
    """Return the plan without the contenders that want a ring of io_uring, where none is to be
    had."""
    wanting = [name for name in plan.applicable if wire.contenders[name].io_uring]
    why = host.io_uring_refusal() if wanting else ""
    return without(plan, {name: Reason("no-io-uring", {"why": why})
                          for name in wanting}) if why else plan


def _has_napi_id(host: Host, wire: ResolvedWire, plan: Plan, up: Provisioned, contender: Contender,
                 raw: Path) -> bool:
    """Tell whether a connection from the client's end had one: the server is started and asked."""
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
            counters = running.stop()
        finally:
            running.close()
    finally:
        with suppress(OSError):
            rmtree(raw)
    if counters is None or COUNTER not in counters:
        raise ContenderError(f"contender '{contender.name}' did not count its connections with a "
                             f"NAPI id ({COUNTER})")
    return counters[COUNTER] > 0
