# SPDX-License-Identifier: BSD-3-Clause
"""How many files a run's programs may have open: a connection of the kernel's sockets is one."""

from __future__ import annotations

import resource

from harness.errors import MachineError
from harness.plan import DPDK, KERNEL, Plan, Wire

# fs.nr_open where nobody has changed it: what a process may have at most
_MOST_FILES = 1 << 20


def needed_files(wire: Wire, plan: Plan) -> int:
    """Most sockets that one process of the run may have; loadgen has none, nor has lwip_server."""
    chosen = [wire.contenders[name] for name in plan.contenders]
    return max((plan.room(item.name) for item in chosen
                if item.stack == KERNEL or item.client.stack != DPDK), default=0)


def most_files() -> int:
    """How many files this machine lets a child of ours have open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        allow_files(_MOST_FILES)
    except MachineError:
        return hard
    return _MOST_FILES


def allow_files(count: int) -> None:
    """Lets the children open `count` files. MachineError where that needs more rights."""
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
