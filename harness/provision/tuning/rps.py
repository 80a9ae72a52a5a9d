# SPDX-License-Identifier: BSD-3-Clause
"""Place the processing of packets of the kernel's contenders on cores: SOFTIRQ.

"server": theirs; "client": the client's, also what the client receives. Where it is not given, the
kernel chooses. Knows no plan; interrupts are interface.py's business. Sources: README.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Sequence

from harness.errors import MachineError
from harness.host import Host
from harness.plan import Contender
from harness.provision.step import Step
from harness.provision.tuning.cpus import cpu_mask, parse_mask
from harness.provision.tuning.ethtool import Interface
from harness.provision.tuning.machine import Tuned, tuned

SOFTIRQ = "softirq"
# of the machine's own loopback, which has it wherever the kernel has it
_HAS_RPS = "/sys/class/net/lo/queues/rx-0/rps_cpus"


def targets(side: str, contenders: Sequence[Contender]) -> list[tuple[str, str]]:
    """Return (namespace, interface) of what is placed on the cores of this side, each once."""
    kernel = [contender for contender in contenders if contender.stack == "kernel"]
    ends = [contender.endpoint for contender in kernel]
    if side == "client":
        ends += [contender.client.endpoint for contender in kernel]
    return list(dict.fromkeys((end.namespace, end.interface) for end in ends))


def place(interface: Interface, cpus: Sequence[int], interrupts: bool = False) -> Tuned:
    """Have an interface's packets processed on `cpus`. `got`: "rx-0 2, tx-0 1, tx-1 2", the masks.

    `interrupts`: those of its queues are on these CPUs already. MachineError when the kernel takes
    no mask: the run would not be what its name says.
    """
    queues = interface.queues()
    receivers, senders = ([name for name in queues if name.startswith(way)]
                          for way in ("rx-", "tx-"))
    steered = cpu_mask([] if interrupts and len(receivers) >= len(cpus) else cpus)
    wanted = {f"{name}/rps_cpus": steered for name in receivers}
    if len(senders) > 1:
        wanted |= {f"{name}/xps_cpus": cpu_mask([cpus[number % len(cpus)]])
                   for number, name in enumerate(senders)}
    interface.write_masks(wanted)
    masks, listed = interface.masks(), ", ".join(map(str, cpus))
    wrong = [name for name, text in wanted.items()
             if parse_mask(masks.get(name, "0")) != parse_mask(text)]
    if wrong:
        where = f"{interface.netns}/{interface.name}" if interface.netns else interface.name
        raise MachineError(f"SOFTIRQ: {', '.join(wrong)} of {where} did not take CPUs {listed}")
    return tuned(SOFTIRQ, f"on CPUs {listed}",
                 ", ".join(f"{name.partition('/')[0]} {masks[name]}" for name in wanted),
                 [] if receivers else ["no receive queue is to be seen"])


@dataclass
class Softirq(Step):
    """Interfaces in namespaces of ours, which take their settings with them when they go.

    `placed`: by namespace/interface, what came of it.
    """

    targets: tuple[tuple[str, str], ...]
    cpus: tuple[int, ...]
    placed: dict[str, Tuned] = field(default_factory=dict, init=False)

    @property
    def name(self) -> str:
        interfaces = ", ".join("/".join(target) for target in self.targets)
        return f"softirq of {interfaces} on CPUs {', '.join(map(str, self.cpus))}"

    def check(self, host: Host) -> str:
        lacking = "SOFTIRQ needs RPS, which this kernel is built without (CONFIG_RPS)"
        return "" if host.exists(_HAS_RPS) else lacking

    def up(self, host: Host) -> None:
        self.placed = {"/".join(target): place(Interface(host, *target), self.cpus)
                       for target in self.targets}
