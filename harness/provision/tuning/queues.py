# SPDX-License-Identifier: BSD-3-Clause
"""The masks of an interface's queues: which CPUs process what it receives (RPS) and which send by which queue (XPS).

By the kernel's networking/scaling.rst: rps_cpus of each receive queue, xps_cpus of each transmit queue where there are
several. Read and set; must not know what they should be.
"""

from __future__ import annotations

import shlex
from typing import Mapping, Sequence

from harness.host.host import Host


def mask(cpus: Sequence[int]) -> str:
    """As the kernel reads it: hex digits, in groups of eight."""
    digits = f"{sum(1 << cpu for cpu in cpus):x}"
    groups = [digits[max(0, end - 8):end] for end in range(len(digits), 0, -8)]
    return ",".join(reversed(groups))


def same(one: str, other: str) -> bool:
    """The kernel writes masks with leading zeros."""
    return int(one.replace(",", ""), 16) == int(other.replace(",", ""), 16)


def names(host: Host, netns: str | None, interface: str) -> list[str]:
    """Queues: rx-0, rx-1, …, tx-0, …; none where the interface is not there."""
    listed = host.query(["ls", f"/sys/class/net/{interface}/queues"], netns=netns, check=False).stdout.split()
    return sorted((name for name in listed if name.startswith(("rx-", "tx-"))),
                  key=lambda name: (name[:2], int(name[3:])))


def masks(host: Host, netns: str | None, interface: str) -> dict[str, str]:
    """By "rx-0/rps_cpus" and "tx-0/xps_cpus", those that the kernel tells."""
    found = {}
    for name in names(host, netns, interface):
        file = f"{name}/{'rps_cpus' if name.startswith('rx-') else 'xps_cpus'}"
        told = host.query(["cat", _path(interface, file)], netns=netns, check=False)
        if told.code == 0 and told.stdout.strip():
            found[file] = told.stdout.strip()
    return found


def write(host: Host, netns: str | None, interface: str, wanted: Mapping[str, str]) -> None:
    """Sets masks, named as masks() does. MachineError when the kernel refuses one."""
    for file, text in wanted.items():
        # a namespace has its own /sys/class/net
        host.run(["sh", "-c", f"echo {shlex.quote(text)} > {_path(interface, file)}"], netns=netns)


def _path(interface: str, file: str) -> str:
    return f"/sys/class/net/{interface}/queues/{file}"
