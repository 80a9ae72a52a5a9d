# SPDX-License-Identifier: BSD-3-Clause
"""Says line by line what this machine can run and what is missing. Changes nothing, and needs no root.

Must import no package that a fresh machine lacks: it is there to name them.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from harness.errors import MachineError
from harness.host import Host, LocalHost
from harness.provision import PROGRAMS, ROOT, TUN, VHOST, built, left_behind, missing, problems
from harness.plan import Wire, load_wire, wire_names
from harness.plan import GENERAL

# the wire that decides the exit code
MAIN_WIRE = "tap"
DPDK_AT_LEAST = (21, 11)
MODULES = {"jinja2": "python3-jinja2", "matplotlib": "python3-matplotlib", "numpy": "python3-numpy",
           "rich": "python3-rich", "scipy": "python3-scipy"}
OK, NOTE, MISSING = "ok", "note", "missing"


@dataclass(frozen=True)
class Finding:
    """`state` is OK, NOTE (works without, or not as well) or MISSING; `advice` what to do about it."""

    state: str
    thing: str
    advice: str = ""

    def __str__(self) -> str:
        return f"{self.state:<8} {self.thing}" + (f": {self.advice}" if self.advice else "")


def doctor(host: Host) -> int:
    """Prints the findings. 0 when the main wire can run here, else 3."""
    machine, wires = examine(host)
    for finding in [*machine, *wires.values()]:
        print(finding)
    bad = any(finding.state == MISSING for finding in [*machine, wires[MAIN_WIRE]])
    return MachineError.exit_code if bad else 0


def examine(host: Host) -> tuple[list[Finding], dict[str, Finding]]:
    """Findings about the machine, all for the main wire, and one for every wire."""
    wires = [load_wire(name) for name in wire_names()]
    main = load_wire(MAIN_WIRE)
    machine = [_root(host), *(_program(host, *item) for item in PROGRAMS.items()),
               *(_module(host, *item) for item in MODULES.items()), _dpdk(host),
               *(_binary(host, program) for program in _binaries(wires)),
               _tun(host), _hugepages(host, main), _cpus(host), _vhost(host), _left_behind(host)]
    return machine, {wire.name: _wire(host, wire) for wire in wires}


def _root(host: Host) -> Finding:
    return Finding(OK, "root") if host.is_root() else Finding(NOTE, "not root", "measuring needs sudo")


def _program(host: Host, program: str, package: str) -> Finding:
    found = host.which(program)
    return Finding(OK, f"{program} ({found})") if found else lacking(program, package)


def _module(host: Host, module: str, package: str) -> Finding:
    name = f"Python module {module}"
    return Finding(OK, name) if host.has_module(module) else lacking(name, package)


def lacking(thing: str, package: str) -> Finding:
    """A program or library that comes in a package."""
    return Finding(MISSING, thing, f"`sudo make deps`, or install package {package}")


def _dpdk(host: Host) -> Finding:
    least = "{}.{}".format(*DPDK_AT_LEAST)
    if host.which("pkg-config") is None:
        return lacking("pkg-config, which finds DPDK", "pkg-config")
    result = host.run(["pkg-config", "--modversion", "libdpdk"], check=False)
    if result.code != 0:
        return lacking(f"DPDK {least} or newer", "libdpdk-dev")
    version = result.stdout.strip()
    if tuple(int(part) for part in version.split("-")[0].split(".")[:2]) < DPDK_AT_LEAST:
        return Finding(MISSING, f"DPDK {least} or newer", f"{version} is too old; Debian 12 has 22.11")
    return Finding(OK, f"DPDK {version}")


def _binaries(wires: list[Wire]) -> list[str]:
    names = (name for wire in wires for name in built(list(wire.contenders.values())))
    return list(dict.fromkeys(name for name in names if "/" in name))


def _binary(host: Host, program: str) -> Finding:
    return Finding(OK, program) if host.exists(ROOT / program) else Finding(MISSING, program, "run `make`")


def _tun(host: Host) -> Finding:
    return Finding(OK, TUN) if not missing(host, "tun", TUN) else Finding(
        MISSING, TUN, f"`modprobe tun`, or in a container: --device {TUN} --cap-add NET_ADMIN")


def _hugepages(host: Host, wire: Wire) -> Finding:
    directory = f"/sys/kernel/mm/hugepages/hugepages-{wire.hugepage_kib}kB"
    name = f"hugepages of {wire.hugepage_kib} KiB"
    if not host.exists(directory):
        return Finding(NOTE, f"no {name} in this kernel", "lwip_server runs without, and the report says so")
    free, total = (host.read(f"{directory}/{which}_hugepages").strip() for which in ("free", "nr"))
    if int(free) >= wire.hugepage_count:
        return Finding(OK, f"{name}: {free} of {total} are free")
    return Finding(OK, f"{name}: {free} of {total} are free",
                   f"a run asks the kernel for {wire.hugepage_count - int(free)} more and gives them back")


def _cpus(host: Host) -> Finding:
    count = len(host.cpus())
    if count >= 2:
        return Finding(OK, f"{count} CPUs")
    return Finding(NOTE, "one CPU", "client and server share it, so every figure is of both together")


def _vhost(host: Host) -> Finding:
    if not missing(host, "vhost_net", VHOST):
        return Finding(OK, VHOST, f"wire {MAIN_WIRE} has its TAP by virtio-user over it, or as TAP=net_tap says")
    return Finding(NOTE, f"no {VHOST}", f"wire {MAIN_WIRE} does without: its TAP is DPDK's net_tap")


def _left_behind(host: Host) -> Finding:
    if left_behind(host):
        return Finding(NOTE, "a killed run left things behind, or one is running",
                       "`sudo make restore`; the next run does it too")
    return Finding(OK, "nothing left behind by a killed run")


def _wire(host: Host, wire: Wire) -> Finding:
    found = problems(host, wire)
    if found:
        return Finding(MISSING, f"wire {wire.name}", "; ".join(found))
    return Finding(OK, f"wire {wire.name} can run here", f"sudo make bench-{make_target(wire)}")


def make_target(wire: Wire) -> str:
    """What follows "make bench-"."""
    return wire.name if wire.workloads[0] in GENERAL else f"app APP={wire.name}"


if __name__ == "__main__":
    sys.exit(doctor(LocalHost()))
