# SPDX-License-Identifier: BSD-3-Clause
"""Choose where the kernel's thread behind a vhost-net port runs. Knows no trial."""

from __future__ import annotations

from typing import Sequence

from harness.errors import MachineError
from harness.host import Host


def pin_worker(host: Host, pid: int, cpus: Sequence[int]) -> None:
    """Keep the thread that carries the packets of process `pid` to CPUs whose time is counted.

    The kernel starts it anywhere, or where the process is. MachineError when there is none.
    """
    # a thread of the kernel's own; since Linux 6.4 one of the process
    found = [thread for directory in ("/proc", f"/proc/{pid}/task")
             for thread in host.listing(directory)
             if thread.isdecimal() and host.text(f"{directory}/{thread}/comm") == f"vhost-{pid}"]
    if not found:
        raise MachineError(f"there is no thread 'vhost-{pid}' behind the server's vhost-net port, "
                           "so its CPU time would not be counted: try TAP=net_tap")
    for thread in found:
        host.run(["taskset", "-p", "-c", ",".join(map(str, cpus)), thread])
