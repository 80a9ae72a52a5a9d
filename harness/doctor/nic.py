# SPDX-License-Identifier: BSD-3-Clause
"""Say of network cards whether a run could use them, by which driver, and what would be done.

Changes nothing, and needs no root, but is told less without. Must import no package that a fresh
machine lacks.
"""

from __future__ import annotations

import shlex
from typing import Callable

from harness.doctor.finding import MISSING, NOTE, OK, Finding, lacking
from harness.doctor.machine import bench_command
from harness.errors import MachineError, StackduelError, UsageError
from harness.host import INTERFACES, Host, Nic, emulated, find_nic, network_devices
from harness.plan import WIRE, NicRequest, load_wire, wire_names
from harness.provision import (
    DEVBIND, USER_SPACE_DRIVERS, bind_command, choose_binding, kernel_driver, pmd_of, uses)

PROGRAMS = {DEVBIND: "dpdk", "lspci": "pciutils", "modprobe": "kmod", "ss": "iproute2",
            "pkg-config": "pkg-config"}
# the card is there, and may not be had
NO = "no"
CLIENT = "if:<interface>|ssh:<user>@<host>"


def nic_doctor(host: Host, request: NicRequest) -> int:
    """Print the findings on a NIC, and what would be done. Return 0 if a run can use it, else 3."""
    findings = examine(host, request)
    for finding in findings:
        print(finding)
    if any(finding.state in (MISSING, NO) for finding in findings):
        return MachineError.exit_code
    print("what would be done (DRY_RUN=1 prints every command):")
    for line in would_do(host, find_nic(host, request.nic), request):
        print(f"  {line}")
    return 0


def examine(host: Host, request: NicRequest) -> list[Finding]:
    """Return the findings. UsageError when there is no such card."""
    nic = find_nic(host, request.nic)
    model = emulated(host, nic)
    return [Finding(OK, described(host, nic)),
            *([Finding(NOTE, f"it is emulated: {model}", "its figures are marked so everywhere")]
              if model else []),
            Finding(OK, "root") if host.is_root() else
            Finding(NOTE, "not root", "not all is seen that other users do over it"),
            *(lacking(program, package) for program, package in PROGRAMS.items()
              if not host.which(program)),
            *_use(host, nic, request.force), _kernel(host, nic), _dpdk(host, nic),
            _binding(host, nic, request.noiommu), *_link(host, nic), *_client(host, nic, request)]


def described(host: Host, nic: Nic) -> str:
    """Return one line of what a person knows a card by."""
    link = f"{INTERFACES}/{nic.interface}"
    speed = host.text(f"{link}/speed") if nic.interface else ""
    state = host.text(f"{link}/operstate") if nic.interface else ""
    words = [nic.name, f"driver {nic.driver}" if nic.driver else "no driver",
             f"{speed} Mb/s" if speed not in ("", "-1") else "", f"link {state}" if state
             else "no interface",
             f"NUMA node {nic.numa_node}" if nic.numa_node >= 0 else ""]
    return f"{nic.pci} {nic.interface}".strip() + f": {', '.join(filter(None, words))}"


def would_do(host: Host, nic: Nic, request: NicRequest) -> list[str]:
    """Return the commands that turn the card over to DPDK and back, as a person would type them."""
    binding, own = choose_binding(host, nic, request.noiommu), kernel_driver(host, nic)
    back = shlex.join(bind_command(own, nic.pci))
    there = (shlex.join(bind_command(binding.driver, nic.pci)) if binding.driver
             else f"nothing, DPDK shares it with {own}")
    return [*(f"modprobe {module}" for module in binding.modules),
            *(f"echo {text} > {path}" for path, text in binding.writes),
            f"ip link set {nic.interface} netns stackduel-server name server0" if nic.interface else
            f"{back}, then its interface into netns stackduel-server",
            f"for lwIP: {there}",
            f"for the kernel, and at the end: {back if binding.driver else 'nothing'}",
            "at the end: its name, addresses, routes and settings as they were (`make restore` "
            "after a"
            " crash)"]


def candidates(host: Host) -> list[str]:
    """Return lines for a person who named no NIC: every card, its use, and wires without one."""
    nics = network_devices(host)
    in_use = {nic.pci: uses(host, nic) for nic in nics}
    lines = ["network cards of this machine:"] if nics else ["this machine has no network card on "
                                                             "its PCI bus"]
    for nic in nics:
        lines.append(f"  {described(host, nic)}")
        clients = [f"if:{other.interface}" for other in nics
                   if other != nic and other.interface and not in_use[other.pci]]
        obstacle = "; ".join(in_use[nic.pci]) or _obstacle(host, nic)
        command = f"sudo make bench NIC={nic.pci} CLIENT={clients[0] if clients else CLIENT}"
        lines.append(f"    no: {obstacle}" if obstacle else f"    can be used: {command}")
    wires = [load_wire(name) for name in wire_names() if name != WIRE]
    return [*lines, "wires that need no NIC:",
            *(f"  {bench_command(wire):<31} {wire.title}" for wire in wires)]


def _obstacle(host: Host, nic: Nic) -> str:
    """Return why a run cannot use a card, even when it is free; "" when it can."""
    findings = (_kernel(host, nic), _dpdk(host, nic), _binding(host, nic, False))
    obstacles = [item.advice or item.thing for item in findings if item.state != OK]
    return obstacles[0] if obstacles else ""


def _use(host: Host, nic: Nic, force: bool) -> list[Finding]:
    return [Finding(NOTE if force else NO, "in use", use) for use in uses(host, nic)] or [
        Finding(OK, "nothing uses it: no route, address, ssh session, bond, bridge, VLAN or file"
                " system")]


def _tried(thing: str, ask: Callable[[], str]) -> Finding:
    try:
        return Finding(OK, f"{thing}: {ask()}")
    except StackduelError as error:
        return Finding(MISSING, thing, str(error))


def _kernel(host: Host, nic: Nic) -> Finding:
    """Return whether it has an interface, whose name and addresses a run gives back."""
    thing = "driver for the kernel's turn"
    if nic.interface:
        return Finding(OK, f"{thing}: {nic.driver}")
    if nic.driver and nic.driver not in USER_SPACE_DRIVERS:
        return Finding(MISSING, thing, f"{nic.driver} has made no interface that is seen from here")

    def advice() -> str:
        command = shlex.join((DEVBIND, "-b", kernel_driver(host, nic), nic.pci))
        raise MachineError(f"{nic.driver or 'no driver'} has the card, so that there is no "
                           "interface to give"
                           f" back: give it to the kernel first, `sudo {command}`")
    return _tried(thing, advice)


def _dpdk(host: Host, nic: Nic) -> Finding:
    pmd = pmd_of(host, nic)
    if pmd:
        return Finding(OK, f"DPDK's driver: {pmd.name}")
    return Finding(MISSING, "DPDK's driver",
                   f"the installed DPDK has none for {nic.vendor}:{nic.device}: use another card")


def _binding(host: Host, nic: Nic, noiommu: bool) -> Finding:
    return _tried("way to DPDK", lambda: choose_binding(host, nic, noiommu).mode)


def _link(host: Host, nic: Nic) -> list[Finding]:
    """Return a note on a port without a link; one that is down does not tell."""
    if not nic.up or host.text(f"{INTERFACES}/{nic.interface}/carrier") != "0":
        return []
    return [Finding(NOTE, f"no link on {nic.interface}",
                    "plug its cable in, and set the other end up")]


def _client(host: Host, nic: Nic, request: NicRequest) -> list[Finding]:
    kind, _, name = request.client.partition(":")
    if kind != "if":
        advice = ("the run looks at that machine before it begins" if request.client
                  else f"give CLIENT={CLIENT}")
        return [Finding(NOTE, f"client: {request.client or 'none named'}", advice)]
    try:
        client = find_nic(host, name)
    except UsageError as error:
        return [Finding(MISSING, f"client {name}", str(error))]
    if client.pci == nic.pci:
        return [Finding(MISSING, f"client {name}",
                        f"it is the card itself ({nic.pci}); a cable has two ends")]
    in_use = uses(host, client)
    if in_use and not request.force:
        return [Finding(NO, f"client {name}", f"in use: {'; '.join(in_use)}; or give FORCE=1")]
    return [Finding(OK, f"client {described(host, client)}"), *_link(host, client)]
