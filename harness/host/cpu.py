# SPDX-License-Identifier: BSD-3-Clause
"""Tell which processor a machine has, on x86-64 and aarch64, and whether a hypervisor gave it.

Whatever the machine does not tell is None. Only reads.
"""

from __future__ import annotations

import re

from harness.host.host import Host

CPUINFO, DMI = "/proc/cpuinfo", "/sys/class/dmi/id"
# what `cycles` are of, as the servers count them (servers/common/cycle_counter.h) and DPDK does
CYCLE_COUNTERS = {"x86_64": "tsc", "aarch64": "cntvct_el0"}
# of aarch64, where /proc/cpuinfo names no model
_PARTS = ("implementer", "part", "variant", "revision")
# makers of a guest's board; those that make hardware too, with what they call a guest's
_GUESTS = re.compile(r"(QEMU|Red Hat|KVM|VMware|innotek|Xen|Google|Parallels|OpenStack|Alibaba)\b|"
                     r"Amazon EC2(?!.*\.metal)|Microsoft Corporation .*Virtual Machine|"
                     r"Apple .*Virtual")


def fields(text: str | None) -> dict[str, str]:
    """Return `key : value` lines; the first of equal keys counts."""
    found: dict[str, str] = {}
    for line in (text or "").splitlines():
        key, colon, value = line.partition(":")
        if colon:
            found.setdefault(key.strip(), value.strip())
    return found


def cpu_model(host: Host) -> str | None:
    """Return the processor's name; on aarch64 with the numbers that tell it from others."""
    cpu = fields(host.text(CPUINFO))
    if "model name" in cpu:
        return cpu["model name"]
    numbers = [f"{part} {cpu[f'CPU {part}']}" for part in _PARTS if f"CPU {part}" in cpu]
    name = _lscpu(host).get("Model name", "-").strip("-")
    return ", ".join([*filter(None, [name]), *numbers]) or None


def hypervisor(host: Host) -> str | None:
    """Return whose guest the machine is, "none" on hardware; None where nothing tells."""
    flags = fields(host.text(CPUINFO)).get("flags")
    if flags is not None and "hypervisor" not in flags.split():
        return "none"
    vendor, product = (host.text(f"{DMI}/{name}") for name in ("sys_vendor", "product_name"))
    # software emulation has no name that lscpu knows, but the board has
    known = _lscpu(host).get("Hypervisor vendor")
    if flags is not None or known:
        return known or vendor or None
    # without a BIOS the device tree tells: a hypervisor's own node, or the board that QEMU made up
    for name, pattern in (("hypervisor/compatible", r"[^\0]+"), ("compatible", "linux,dummy-virt")):
        if match := re.match(pattern, host.text(f"/proc/device-tree/{name}")):
            return match[0]
    if not vendor:
        return None
    return vendor if _GUESTS.match(f"{vendor} {product}") else "none"


def is_guest(host: Host) -> bool | None:
    """Return whether a hypervisor is there; None where nothing tells."""
    flags = fields(host.text(CPUINFO)).get("flags")
    if flags is not None:
        return "hypervisor" in flags.split()
    name = hypervisor(host)
    return None if name is None else name != "none"


def _lscpu(host: Host) -> dict[str, str]:
    if host.which("lscpu") is None:
        return {}
    return fields(host.query(["lscpu"], check=False).stdout)
