# SPDX-License-Identifier: BSD-3-Clause
"""Which cores serve and which load: near the NIC, isolated where that helps, their SMT siblings left idle.

Reads sysfs, changes nothing. Must not know what runs on the cores, nor how they are tuned.

Sources: isolcpus= in the kernel's admin-guide/kernel-parameters.txt (an isolated CPU takes no part in load balancing: a
task comes there by its affinity alone); "How to get best performance with NICs on Intel platforms" in DPDK's Getting
Started Guide for Linux (cores of the NIC's own NUMA node, isolated, not two threads of one core).
"""

from __future__ import annotations

from typing import Collection, Mapping, Sequence

from harness.errors import MachineError
from harness.host import Host

CPUS = "/sys/devices/system/cpu"
NODES = "/sys/devices/system/node"


def parse_list(text: str) -> list[int]:
    """The kernel's way to write a set of CPUs: "0-2,5"."""
    found: list[int] = []
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        if first:
            found += range(int(first), int(last or first) + 1)
    return found


def isolated_cpus(host: Host) -> list[int]:
    """Those that the scheduler gives no work by itself."""
    return parse_list(_text(host, f"{CPUS}/isolated"))


def smt_siblings(host: Host, cpu: int) -> list[int]:
    """The other hardware threads of the CPU's core."""
    return [each for each in parse_list(_text(host, f"{CPUS}/cpu{cpu}/topology/thread_siblings_list")) if each != cpu]


def node_cpus(host: Host, node: int) -> list[int]:
    """Those of a NUMA node; none where `node` is -1, as of a device that belongs to no node."""
    return parse_list(_text(host, f"{NODES}/node{node}/cpulist")) if node >= 0 else []


def prefer_isolated(cpus: Collection[int], isolated: Collection[int], node_cpus: Collection[int],
                    count: int) -> list[int]:
    """All that may serve, the best last.

    On the NIC's node before elsewhere: what is far costs every packet. Isolated before not, for one core: the threads
    of a server that does not pin them would all stay on one of several isolated cores, so then those come first.
    A process does not see isolated ones among its own `cpus`; it may go there all the same.
    """
    near, alone = set(node_cpus), set(isolated)
    return sorted({*cpus, *isolated},
                  key=lambda cpu: (not near or cpu in near, (cpu in alone) == (count == 1), cpu))


def choose_server_cpus(cpus: Collection[int], isolated: Collection[int], node_cpus: Collection[int],
                       siblings: Mapping[int, Collection[int]], count: int = 1) -> tuple[int, ...]:
    """The best `count` cores for a server, ascending; two threads of one core only when there are no more cores."""
    ranked = prefer_isolated(cpus, isolated, node_cpus, count)[::-1]
    chosen: list[int] = []
    for cpu in ranked:
        if not set(siblings.get(cpu, ())) & set(chosen):
            chosen.append(cpu)
    chosen += [cpu for cpu in ranked if cpu not in chosen]
    return tuple(sorted(chosen[:count]))


def choose_client_cpus(cpus: Sequence[int], isolated: Collection[int], server: Collection[int],
                       siblings: Mapping[int, Collection[int]]) -> tuple[int, ...]:
    """All others, but isolated ones (among those a client's threads would not spread) and siblings of the server's.

    A machine too small for that gives up the last rule first, then the one before; with one CPU both share it.
    """
    beside = {each for cpu in server for each in siblings.get(cpu, ())}
    others = [cpu for cpu in cpus if cpu not in server]
    free = [cpu for cpu in others if cpu not in isolated]
    idle = [cpu for cpu in free if cpu not in beside]
    return tuple(idle or free or others or cpus[:1])


def _text(host: Host, path: str) -> str:
    try:
        return host.read(path)
    except MachineError:
        return ""
