# SPDX-License-Identifier: BSD-3-Clause
"""Limit how many files a run's programs may have open: a connection of the kernel's is one."""

from __future__ import annotations

import resource

from harness.errors import MachineError
from harness.plan import DPDK, KERNEL, Plan, Wire

# fs.nr_open where nobody has changed it: what a process may have at most
_MOST_FILES = 1 << 20


def needed_files(wire: Wire, plan: Plan) -> int:
    """Return the most sockets of one process of the run; loadgen and lwip_server have none."""
    chosen = [wire.contenders[name] for name in plan.contenders]
    return max((plan.room(item.name) for item in chosen
                if item.stack == KERNEL or item.client.stack != DPDK), default=0)


def most_files() -> int:
    """Return how many files this machine lets a child of ours have open."""
    try:
        allow_files(_MOST_FILES)
    except MachineError:
        return resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return _MOST_FILES


def allow_files(count: int) -> None:
    """Let the children open `count` files. MachineError where that needs more rights."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    endless = resource.RLIM_INFINITY
    if soft == endless or soft >= count:
        return
    try:
        most = hard if hard == endless else max(hard, count)
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, most))
    except (ValueError, OSError):
        raise MachineError(f"{count} open files are needed, {hard} allowed: raise `ulimit -n`"
                           ) from None
