# SPDX-License-Identifier: BSD-3-Clause
"""What the setting SOFTIRQ means: on whose cores the kernel processes the packets of its contenders. "server": theirs;
"client": the client's, also what the client receives. Where it is not given, the kernel chooses.

By the kernel's networking/scaling.rst: RPS has what an interface receives processed on the CPUs of a mask, of which it
takes one by the connection's hash; XPS gives each of several transmit queues a CPU of its own. A NIC with a receive
queue for each of the CPUs, and its interrupt there, has no need of RPS. Knows no plan; interrupts are
tuning_interface.py's business.


The masks of an interface's queues: which CPUs process what it receives (RPS) and which send by which queue (XPS).

By the kernel's networking/scaling.rst: rps_cpus of each receive queue, xps_cpus of each transmit queue where there are
several. Read and set; must not know what they should be.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import Any, Sequence
from typing import Mapping, Sequence

from harness.errors import MachineError
from harness.host import Host
from harness.plan import Contender, Wire
from harness.provision.step import Action, Step
from harness.provision.tuning.machine import entry

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


WHAT = "softirq"
# of the machine's own loopback, which has it wherever the kernel has it
_HAS_RPS = "/sys/class/net/lo/queues/rx-0/rps_cpus"


def targets(wire: Wire, contenders: Sequence[Contender]) -> list[tuple[str, str]]:
    """(namespace, interface) of what is placed, each once."""
    kernel = [each for each in contenders if each.stack == "kernel"]
    ends = [each.endpoint for each in kernel]
    if wire.softirq == "client":
        ends += [each.client.endpoint for each in kernel]
    return list(dict.fromkeys((end.namespace, end.interface) for end in ends))


def place(host: Host, netns: str | None, interface: str, cpus: Sequence[int],
          interrupts: bool = False) -> dict[str, Any]:
    """An entry as tuning_machine.entry(), `got` the masks that are in force then: "rx-0 2, tx-0 1, tx-1 2".

    `interrupts`: those of its queues are on these CPUs already. MachineError when the kernel takes no mask: the run
    would not be what its name says.
    """
    queues = names(host, netns, interface)
    receivers, senders = ([name for name in queues if name.startswith(way)] for way in ("rx-", "tx-"))
    steered = mask([] if interrupts and len(receivers) >= len(cpus) else cpus)
    wanted = {f"{name}/rps_cpus": steered for name in receivers}
    if len(senders) > 1:
        wanted |= {f"{name}/xps_cpus": mask([cpus[number % len(cpus)]]) for number, name in enumerate(senders)}
    write(host, netns, interface, wanted)
    found = masks(host, netns, interface)
    wrong = [name for name, text in wanted.items() if not same(found.get(name, "0"), text)]
    if wrong:
        where = f"{netns}/{interface}" if netns else interface
        raise MachineError(f"SOFTIRQ: {', '.join(wrong)} of {where} did not take CPUs {_listed(cpus)}")
    return entry(WHAT, f"on CPUs {_listed(cpus)}",
                 ", ".join(f"{name.partition('/')[0]} {found[name]}" for name in wanted),
                 [] if receivers else ["no receive queue is to be seen"])


def _listed(cpus: Sequence[int]) -> str:
    return ", ".join(map(str, cpus))


@dataclass
class Softirq(Step):
    """A step (steps.py): interfaces in namespaces of ours, which take their settings with them when they go.

    `placed`: by namespace/interface, what came of it.
    """

    targets: tuple[tuple[str, str], ...]
    cpus: tuple[int, ...]
    placed: dict[str, dict[str, Any]] = field(default_factory=dict, init=False)

    @property
    def name(self) -> str:
        return f"softirq of {', '.join('/'.join(target) for target in self.targets)} on CPUs {_listed(self.cpus)}"

    def check(self, host: Host) -> str | None:
        return None if host.exists(_HAS_RPS) else "SOFTIRQ needs RPS, which this kernel is built without (CONFIG_RPS)"

    def undo(self, host: Host) -> list[Action]:
        return []

    def up(self, host: Host) -> None:
        self.placed = {"/".join(target): place(host, *target, self.cpus) for target in self.targets}
