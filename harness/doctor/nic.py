# SPDX-License-Identifier: BSD-3-Clause
"""Says of this machine's network cards whether a run could use them, by which driver, what is missing and what would
be done. Changes nothing, and needs no root, but is told less without.

Must import no package that a fresh machine lacks.
"""

from __future__ import annotations

import shlex
from typing import Callable

from harness.provision import (DEVBIND, USER_SPACE_DRIVERS, Binding, bind_command, choose_binding, kernel_driver,
                               pmd_of, uses)
from harness.doctor.machine import MISSING, NOTE, OK, Finding, lacking, make_target
from harness.errors import MachineError, StackduelError, UsageError
from harness.plan.nic_request import WIRE, NicOrder
from harness.host import emulated, find_nic, Host, INTERFACES, network_devices, Nic
from harness.plan import load_wire, wire_names

PROGRAMS = {DEVBIND: "dpdk", "lspci": "pciutils", "modprobe": "kmod", "ss": "iproute2", "pkg-config": "pkg-config"}
# the card is there, and may not be had
NO = "no"
CLIENT = "if:<interface>|ssh:<user>@<host>"


def nic_doctor(host: Host, order: NicOrder) -> int:
    """Prints the findings on the NIC of `order`, and what would be done. 0 when a run can use it, else 3."""
    findings = examine(host, order)
    for finding in findings:
        print(finding)
    if any(finding.state in (MISSING, NO) for finding in findings):
        return MachineError.exit_code
    print("what would be done (DRY_RUN=1 prints every command):")
    for line in would_do(host, find_nic(host, order.nic), order):
        print(f"  {line}")
    return 0


def examine(host: Host, order: NicOrder) -> list[Finding]:
    """UsageError when there is no such card."""
    nic = find_nic(host, order.nic)
    played = emulated(host, nic)
    return [Finding(OK, described(host, nic)),
            *([Finding(NOTE, f"it is emulated: {played}", "its figures are marked so everywhere")] if played else []),
            Finding(OK, "root") if host.is_root() else
            Finding(NOTE, "not root", "not all is seen that other users do over it"),
            *(lacking(program, package) for program, package in PROGRAMS.items() if not host.which(program)),
            *_use(host, nic, order.force), _kernel(host, nic), _dpdk(host, nic), _binding(host, nic, order.noiommu),
            *_link(host, nic), *_client(host, nic, order)]


def described(host: Host, nic: Nic) -> str:
    """One line of what a person knows a card by."""
    link = f"{INTERFACES}/{nic.interface}"
    speed = host.text(f"{link}/speed") if nic.interface else ""
    state = host.text(f"{link}/operstate") if nic.interface else ""
    words = [nic.name, f"driver {nic.driver}" if nic.driver else "no driver",
             f"{speed} Mb/s" if speed not in ("", "-1") else "", f"link {state}" if state else "no interface",
             f"NUMA node {nic.numa_node}" if nic.numa_node >= 0 else ""]
    return f"{nic.pci}{f' {nic.interface}' if nic.interface else ''}: {', '.join(word for word in words if word)}"


def would_do(host: Host, nic: Nic, order: NicOrder) -> list[str]:
    """The commands that turn the card over to DPDK and back, as a person would type them."""
    binding, own = choose_binding(host, nic, order.noiommu), kernel_driver(host, nic)
    return [*(f"modprobe {module}" for module in binding.modules),
            *(f"echo {text} > {path}" for path, text in binding.writes), *_turns(binding, own, nic)]


def _turns(binding: Binding, own: str, nic: Nic) -> list[str]:
    there = f"for lwIP: {shlex.join(bind_command(binding.driver, nic.pci))}" if binding.driver else \
        f"for lwIP: nothing, DPDK shares it with {own}"
    back = f"for the kernel, and at the end: {shlex.join(bind_command(own, nic.pci))}" if binding.driver else \
        "for the kernel, and at the end: nothing"
    return [f"ip link set {nic.interface} netns stackduel-server name server0" if nic.interface else
            f"{shlex.join(bind_command(own, nic.pci))}, then its interface into netns stackduel-server", there, back,
            "at the end: its name, addresses, routes and settings as they were (`make restore` after a crash)"]


def candidates(host: Host) -> list[str]:
    """Lines for a person who named no NIC: every card and whether it can be used, then the wires that need none."""
    nics = network_devices(host)
    in_use = {nic.pci: uses(host, nic) for nic in nics}
    lines = ["network cards of this machine:"] if nics else ["this machine has no network card on its PCI bus"]
    for nic in nics:
        lines.append(f"  {described(host, nic)}")
        others = [other.interface for other in nics if other != nic and other.interface and not in_use[other.pci]]
        obstacle = "; ".join(in_use[nic.pci]) or _obstacle(host, nic)
        lines.append(f"    no: {obstacle}" if obstacle else
                     f"    can be used: sudo make bench NIC={nic.pci} CLIENT={f'if:{others[0]}' if others else CLIENT}")
    wires = [load_wire(name) for name in wire_names() if name != WIRE]
    return [*lines, "wires that need no NIC:",
            *(f"  sudo make bench-{make_target(wire):<15} {wire.title}" for wire in wires)]


def _obstacle(host: Host, nic: Nic) -> str:
    """Why a run cannot use it, even when it is free; "" when it can."""
    return next((finding.advice or finding.thing for finding in
                 (_kernel(host, nic), _dpdk(host, nic), _binding(host, nic, False)) if finding.state != OK), "")


def _use(host: Host, nic: Nic, force: bool) -> list[Finding]:
    found = uses(host, nic)
    return [Finding(NOTE if force else NO, "in use", reason) for reason in found] or [
        Finding(OK, "nothing uses it: no route, address, ssh session, bond, bridge, VLAN or file system")]


def _tried(thing: str, ask: Callable[[], str]) -> Finding:
    try:
        return Finding(OK, f"{thing}: {ask()}")
    except StackduelError as error:
        return Finding(MISSING, thing, str(error))


def _kernel(host: Host, nic: Nic) -> Finding:
    """The kernel's turn needs an interface, whose name and addresses are what a run gives back."""
    thing = "driver for the kernel's turn"
    if nic.interface:
        return Finding(OK, f"{thing}: {nic.driver}")
    if nic.driver and nic.driver not in USER_SPACE_DRIVERS:
        return Finding(MISSING, thing, f"{nic.driver} has made no interface that is seen from here")

    def advice() -> str:
        own = kernel_driver(host, nic)
        raise MachineError(f"{nic.driver or 'no driver'} has the card, so that there is no interface to give back: give"
                           f" it to the kernel first, `sudo {shlex.join((DEVBIND, '-b', own, nic.pci))}`")
    return _tried(thing, advice)


def _dpdk(host: Host, nic: Nic) -> Finding:
    pmd = pmd_of(host, nic)
    return Finding(OK, f"DPDK's driver: {pmd.name}") if pmd else Finding(
        MISSING, "DPDK's driver", f"the installed DPDK has none for {nic.vendor}:{nic.device}: use another card")


def _binding(host: Host, nic: Nic, noiommu: bool) -> Finding:
    return _tried("way to DPDK", lambda: choose_binding(host, nic, noiommu).mode)


def _link(host: Host, nic: Nic) -> list[Finding]:
    """A port that is down tells nothing of its cable."""
    if not nic.up or host.text(f"{INTERFACES}/{nic.interface}/carrier") != "0":
        return []
    return [Finding(NOTE, f"no link on {nic.interface}", "plug its cable in, and set the other end up")]


def _client(host: Host, nic: Nic, order: NicOrder) -> list[Finding]:
    kind, _, name = order.client.partition(":")
    if kind != "if":
        advice = f"give CLIENT={CLIENT}" if not order.client else "the run looks at that machine before it begins"
        return [Finding(NOTE, f"client: {order.client or 'none named'}", advice)]
    try:
        client = find_nic(host, name)
    except UsageError as error:
        return [Finding(MISSING, f"client {name}", str(error))]
    if client.pci == nic.pci:
        return [Finding(MISSING, f"client {name}", f"it is the card itself ({nic.pci}); a cable has two ends")]
    found = uses(host, client)
    if found and not order.force:
        return [Finding(NO, f"client {name}", f"in use: {'; '.join(found)}; or give FORCE=1")]
    return [Finding(OK, f"client {described(host, client)}"), *_link(host, client)]
