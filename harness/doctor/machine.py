# SPDX-License-Identifier: BSD-3-Clause
"""Say line by line what this machine can run and what is missing.

Changes nothing, and needs no root. Must import no package that a fresh machine lacks: it is there
to name them.
"""

from __future__ import annotations

from typing import Iterator

from harness.doctor.finding import MISSING, NOTE, OK, Finding, lacking
from harness.doctor.limits import limits
from harness.errors import MachineError
from harness.host import Host
from harness.plan import GENERAL, Wire, load_wire, wire_names
from harness.provision import (
    PROGRAMS, ROOT, TUN, VHOST, Hugepages, built, left_behind, missing, problems)

# the wire that decides the exit code
MAIN_WIRE = "tap"
# before each of several things that a wire lacks
_INDENT = "\n             "
DPDK_AT_LEAST = (21, 11)
MODULES = ("jinja2", "matplotlib", "numpy", "rich", "scipy")


def doctor(host: Host) -> int:
    """Print the findings. Return 0 when the main wire can run here, else 3."""
    machine, wires = examine(host)
    for finding in [*machine, *wires.values()]:
        print(finding)
    bad = any(finding.state == MISSING for finding in [*machine, wires[MAIN_WIRE]])
    return MachineError.exit_code if bad else 0


def examine(host: Host) -> tuple[list[Finding], dict[str, Finding]]:
    """Return findings about the machine, all for the main wire, and one for every wire."""
    wires = {name: load_wire(name) for name in wire_names()}
    return list(_machine(host, wires)), {name: _wire(host, wire) for name, wire in wires.items()}


def bench_command(wire: Wire) -> str:
    """Return what measures on a wire."""
    if wire.rebinds:
        return "sudo make bench NIC=… CLIENT=…"
    name = wire.name if wire.workloads[0] in GENERAL else f"app APP={wire.name}"
    return f"sudo make bench-{name}"


def _machine(host: Host, wires: dict[str, Wire]) -> Iterator[Finding]:
    yield Finding(OK, "root") if host.is_root() else Finding(NOTE, "not root",
                                                             "measuring needs sudo")
    for program, package in PROGRAMS.items():
        path = host.which(program)
        yield Finding(OK, f"{program} ({path})") if path else lacking(program, package)
    for module in MODULES:
        name = f"Python module {module}"
        yield Finding(OK, name) if host.has_module(module) else lacking(name, f"python3-{module}")
    yield _dpdk(host)
    files = (name for wire in wires.values() for name in built(list(wire.contenders.values())))
    for file in dict.fromkeys(name for name in files if "/" in name):
        yield Finding(OK, file) if host.exists(ROOT / file) else Finding(MISSING, file,
                                                                         "run `make`")
    yield Finding(OK, TUN) if not missing(host, "tun", TUN) else Finding(
        MISSING, TUN, f"`modprobe tun`, or in a container: --device {TUN} --cap-add NET_ADMIN")
    yield _hugepages(host, wires[MAIN_WIRE])
    yield from limits(host, wires[MAIN_WIRE])
    if missing(host, "vhost_net", VHOST):
        yield Finding(NOTE, f"no {VHOST}",
                      f"wire {MAIN_WIRE} does without: its TAP is DPDK's net_tap")
    else:
        yield Finding(OK, VHOST,
                      f"wire {MAIN_WIRE} has its TAP by virtio-user over it, or as TAP=net_tap"
                                 " says")
    if left_behind(host):
        yield Finding(NOTE, "a killed run left things behind, or one is running",
                      "`sudo make restore`; the next run does it too")
    else:
        yield Finding(OK, "nothing left behind by a killed run")


def _dpdk(host: Host) -> Finding:
    least = "DPDK {}.{} or newer".format(*DPDK_AT_LEAST)
    if host.which("pkg-config") is None:
        return lacking("pkg-config, which finds DPDK", "pkg-config")
    result = host.run(["pkg-config", "--modversion", "libdpdk"], check=False)
    if result.code != 0:
        return lacking(least, "libdpdk-dev")
    version = result.stdout.strip()
    if tuple(int(part) for part in version.split("-")[0].split(".")[:2]) < DPDK_AT_LEAST:
        return Finding(MISSING, least, f"{version} is too old; Debian 12 has 22.11")
    return Finding(OK, f"DPDK {version}")


def _hugepages(host: Host, wire: Wire) -> Finding:
    directory = f"/sys/kernel/mm/hugepages/hugepages-{wire.hugepage_kib}kB"
    name = f"hugepages of {wire.hugepage_kib} KiB"
    if not host.exists(directory):
        return Finding(NOTE, f"no {name} in this kernel",
                       "lwip_server runs without, and the report says so")
    step = Hugepages(wire.hugepage_kib, wire.hugepage_count)
    if why := step.obstacle(host):
        return Finding(NOTE, name, f"{why}; lwip_server runs without, and the report says so")
    lack, total = step.lacking(host), host.text(f"{directory}/nr_hugepages")
    reserved = host.text(f"{directory}/resv_hugepages")
    others = f", {reserved} more are reserved" if reserved not in ("", "0") else ""
    return Finding(OK, f"{name}: {wire.hugepage_count - lack} of {total} are free{others}",
                   f"a run asks the kernel for {lack} more and gives them back" if lack > 0 else "")


def _wire(host: Host, wire: Wire) -> Finding:
    found = problems(host, wire)
    if found:
        able = [name for name in wire.contenders if not problems(host, wire, [name])]
        text = _INDENT.join(["", *found]) if found[1:] else found[0]
        alone = f"; CONTENDERS={','.join(able)} can run" if able else ""
        return Finding(MISSING, f"wire {wire.name}", text + alone)
    why = host.io_uring_refusal()
    without = [name for name, item in wire.contenders.items() if item.io_uring and why]
    if without:
        return Finding(NOTE, f"wire {wire.name} can run here, without {', '.join(without)}",
                       f"io_uring is not to be had ({why}); {bench_command(wire)}")
    return Finding(OK, f"wire {wire.name} can run here", bench_command(wire))
