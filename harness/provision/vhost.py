# SPDX-License-Identifier: BSD-3-Clause
"""The kernel's thread behind a vhost-net port: where it runs. Knows no trial."""

from __future__ import annotations

from typing import Sequence

from harness.errors import MachineError
from harness.host import Host


def pin_worker(host: Host, pid: int, cpus: Sequence[int]) -> None:
    """Keeps the thread that carries the packets of process `pid` to `cpus`, those whose CPU time is
    counted.

    The kernel starts it anywhere, or where the process is. MachineError when there is none to be
    found.
    """
    # a thread of the kernel's own; since Linux 6.4 one of the process
    found = [thread for directory in ("/proc", f"/proc/{pid}/task") for thread in host.listing(directory)
             if thread.isdecimal() and _name(host, f"{directory}/{thread}/comm") == f"vhost-{pid}"]
    if not found:
        raise MachineError(f"there is no thread 'vhost-{pid}' behind the server's vhost-net port, so its CPU time"
                           " would not be counted: try TAP=net_tap")
    for thread in found:
        host.run(["taskset", "-p", "-c", ",".join(map(str, cpus)), thread])


def _name(host: Host, file: str) -> str:
    """Of a thread; "" when it has ended meanwhile."""
    try:
        return host.read(file).strip()
    except MachineError:
        return ""
