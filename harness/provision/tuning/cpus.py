# SPDX-License-Identifier: BSD-3-Clause
"""Which cores serve and which load: near the NIC, isolated where that helps, siblings left idle.

Reads sysfs, changes nothing. Must not know what runs on the cores. Sources: README.md.
"""

from __future__ import annotations

from typing import Collection, Mapping, Sequence

from harness.host import Host, parse_cpu_list

CPUS = "/sys/devices/system/cpu"
NODES = "/sys/devices/system/node"


def isolated_cpus(host: Host) -> list[int]:
    """Return those that the scheduler gives no work by itself."""
    return parse_cpu_list(host.text(f"{CPUS}/isolated"))


def smt_siblings(host: Host, cpu: int) -> list[int]:
    """Return the other hardware threads of the CPU's core."""
    siblings = parse_cpu_list(host.text(f"{CPUS}/cpu{cpu}/topology/thread_siblings_list"))
    return [sibling for sibling in siblings if sibling != cpu]


def node_cpus(host: Host, node: int) -> list[int]:
    """Return those of a NUMA node; none for -1, as of a device that belongs to no node."""
    return parse_cpu_list(host.text(f"{NODES}/node{node}/cpulist")) if node >= 0 else []


def cpu_mask(cpus: Collection[int]) -> str:
    """Return a set of CPUs as the kernel reads it: hex digits, in groups of eight."""
    digits = f"{sum(1 << cpu for cpu in set(cpus)):x}"
    groups = [digits[max(0, end - 8):end] for end in range(len(digits), 0, -8)]
    return ",".join(reversed(groups))


def parse_mask(text: str) -> set[int]:
    """Return the CPUs of a mask, maybe with leading zeros. ValueError if it is none."""
    bits = int(text.replace(",", "") or "0", 16)
    return {cpu for cpu in range(bits.bit_length()) if bits >> cpu & 1}


def prefer_isolated(cpus: Collection[int], isolated: Collection[int], node_cpus: Collection[int],
                    count: int) -> list[int]:
    """Return all that may serve, the best last.

    On the NIC's node before elsewhere: what is far costs every packet. For one core isolated before
    not; for several the others first: the threads of a server that does not pin them would all stay
    on one isolated core. A process does not see isolated CPUs among its own; it may go there all
    the same.
    """
    near, alone = set(node_cpus), set(isolated)
    return sorted({*cpus, *isolated},
                  key=lambda cpu: (not near or cpu in near, (cpu in alone) == (count == 1), cpu))


def choose_server_cpus(cpus: Collection[int], isolated: Collection[int], node_cpus: Collection[int],
                       siblings: Mapping[int, Collection[int]], count: int = 1) -> tuple[int, ...]:
    """Return the best `count` cores, ascending; two threads of one core only for want of cores."""
    ranked = prefer_isolated(cpus, isolated, node_cpus, count)[::-1]
    chosen: list[int] = []
    for cpu in ranked:
        if not set(siblings.get(cpu, ())) & set(chosen):
            chosen.append(cpu)
    chosen += [cpu for cpu in ranked if cpu not in chosen]
    return tuple(sorted(chosen[:count]))


def choose_client_cpus(cpus: Sequence[int], isolated: Collection[int], server: Collection[int],
                       siblings: Mapping[int, Collection[int]]) -> tuple[int, ...]:
    """Return all others but isolated ones, where threads do not spread, and the server's siblings.

    A machine too small for that gives up the last rule first; with one CPU both share it.
    """
    beside = {sibling for cpu in server for sibling in siblings.get(cpu, ())}
    others = [cpu for cpu in cpus if cpu not in server]
    free = [cpu for cpu in others if cpu not in isolated]
    idle = [cpu for cpu in free if cpu not in beside]
    return tuple(idle or free or others or cpus[:1])
