# SPDX-License-Identifier: BSD-3-Clause
"""What a plan says of its wire beyond the wire's file: the driver of lwIP's TAP, what netem does to packets, and
where the kernel processes them.

Which TAP is chosen by what the machine has, once, when a plan is made; a run that goes on keeps what it began with.
"""

from __future__ import annotations

from dataclasses import replace

from harness.errors import UsageError
from harness.host import Host
from harness.provision.kernel_modules import missing
from harness.plan.netem import parse
from harness.plan import NET_TAP, Plan, VHOST_NET
from harness.provision.links import VHOST, kind_of
from harness.plan import over_vhost
from harness.plan import Wire

# of what netem does to single packets, on a bridge and on a cable
_ALONE = ("So that netem finds packets of the same size from every contender, the kernel's server sends without TSO and "
          "GSO.", "So that netem finds single packets, the client's interface receives without GRO.")


def settle(host: Host, wire: Wire, plan: Plan) -> tuple[Wire, Plan]:
    """Wire and plan with what the plan leaves open settled: vhost-net where this machine has it.

    UsageError on what this wire cannot do.
    """
    has_tap = any(wire.contenders[name].link == "tap" for name in plan.contenders)
    if not plan.tap and has_tap and over_vhost(wire) and not _counts_packets(plan) and has_vhost(host):
        plan = replace(plan, tap=VHOST_NET)
    return conditioned(wire, plan), plan


def has_vhost(host: Host) -> bool:
    return not missing(host, "vhost_net", VHOST)


def conditioned(wire: Wire, plan: Plan) -> Wire:
    """The wire as the plan wants it. UsageError where the wire cannot do so."""
    if plan.tap == VHOST_NET:
        other = over_vhost(wire)
        if other is None:
            raise UsageError(f"TAP={plan.tap}: wire '{wire.name}' cannot do that; wire tap can")
        wire = other
    elif plan.tap == NET_TAP and not any(each.link == "tap" for each in wire.contenders.values()):
        raise UsageError(f"TAP={plan.tap}: wire '{wire.name}' has no TAP; wire tap has")
    wire = _under_netem(wire, plan) if plan.netem else wire
    return _placed(wire, plan) if plan.softirq else wire


def _placed(wire: Wire, plan: Plan) -> Wire:
    place = f"SOFTIRQ={plan.softirq}"
    if all(wire.contenders[name].stack != "kernel" for name in plan.contenders):
        raise UsageError(f"{place}: none of {', '.join(plan.contenders)} has the kernel process its packets")
    if plan.softirq == "client" and plan.clients:
        raise UsageError(f"{place}: the client's cores are on another machine, and no packet can be processed there: "
                         "give CLIENT=if:<interface>")
    return replace(wire, softirq=plan.softirq,
                   title=f"{wire.title}, packets of the kernel's servers processed on the {plan.softirq}'s cores")


def _counts_packets(plan: Plan) -> bool:
    return bool(plan.netem) and parse(plan.netem, "NETEM").counts_packets


def _under_netem(wire: Wire, plan: Plan) -> Wire:
    place = f"NETEM={plan.netem}"
    # contenders that share a NIC are on one cable to the client
    if any(not kind_of(wire.contenders[name]).bridged and wire.contenders[name].link != "nic" for name in plan.contenders):
        raise UsageError(f"{place}: on wire '{wire.name}' there is no hop that every packet of every contender "
                         "passes; wires tap, afpacket, afxdp and nic have one")
    if plan.clients:
        raise UsageError(f"{place}: netem is set at the client's end, which CLIENT={'; '.join(plan.clients)} is "
                         "elsewhere: give CLIENT=if:<interface>")
    if plan.tap == VHOST_NET and _counts_packets(plan):
        raise UsageError(f"{place}: netem counts packets, and over vhost-net lwIP's are up to 64 KiB long, where the "
                         "others' are of the MTU: give TAP=net_tap")
    caveat = f"{wire.caveat} {_ALONE[wire.bridge is None]}".strip() if _counts_packets(plan) else wire.caveat
    return replace(wire, netem=plan.netem, title=f"{wire.title}, with {plan.netem} in each direction", caveat=caveat)
