# SPDX-License-Identifier: BSD-3-Clause
"""The settings of a kernel interface for a fair comparison, made anew each time that its driver comes back.

The kernel's server is the baseline: it gets what a good administrator would give it. What the settings were before is
ethtool.py's business (saved, give_back). Must not know wires, contenders or levels other than "none".

Sources:
- channels and interrupts: the kernel's networking/scaling.rst: a receive queue for each CPU that serves, its interrupt
  on that CPU; transmit and receive of one queue on the same.
- rings: as many descriptors as the DPDK servers ask for (--rx-descriptors, --tx-descriptors).
- flow control: IEEE 802.3 Annex 31B; a receiver that pauses the wire hides its losses as the client's waiting.
- coalescing: fixed, for an adaptive one measures the load and changes with it between trials. 10 µs is the shortest
  that e1000e takes as a plain time (tried: 1, 3 and 4 are modes of its own, 2 and 5 to 9 refused), and at most 100,000
  interrupts a second and queue; under load NAPI polls anyway (networking/napi.rst).
"""

from __future__ import annotations

import re
from typing import Any, Callable, Mapping, Sequence

from harness.provision.tuning import ethtool
from harness.errors import MachineError
from harness.host import Host
from harness.provision.tuning.rps import place
from harness.provision.tuning.machine import entry

RING = 1024
COALESCING_US = 10
# ends the name of a queue's interrupt: eth0-TxRx-3, virtio2-input.3, mlx5_comp3@pci:0000:02:00.0
_QUEUE = re.compile(r"(\d+)(?:@\S*)?$")
# Wishes in order, for drivers differ: one has channels for receive and transmit apart; one lets pause frames be set,
# but their autonegotiation only elsewhere.
_Wishes = Sequence[Mapping[str, str]]
_PAUSE: _Wishes = ({"autoneg": "off", "rx": "off", "tx": "off"}, {"rx": "off", "tx": "off"})


def tune_interface(host: Host, netns: str | None, interface: str, pci: str, level: str,
                   cpus: Sequence[int], softirq: Sequence[int] = ()) -> list[dict[str, Any]]:
    """What was asked, got, and why not more, of each. Brings the link up: before, many drivers have no interrupts.

    `softirq`: CPUs that are to process its packets, instead of `cpus`; at level "none", too. A refusal is recorded and
    no failure, but of masks that `softirq` needs (softirq.place).
    """
    if level == "none" and not softirq:
        return []
    cpus = softirq or cpus

    def recorded(what: str, asked: str, act: Callable[[], tuple[str, list[str]]]) -> dict[str, Any]:
        try:
            return entry(what, asked, *act())
        except MachineError as error:
            return entry(what, asked, "", [str(error)])

    def ask(what: str, group: str, *wishes: Mapping[str, str]) -> dict[str, Any]:
        return recorded(what, _words(wishes[0]), lambda: _ask(host, netns, interface, group, wishes))
    count = str(len(cpus))
    tuned = [] if level == "none" else [
        # channels before rings: some drivers make the rings anew with them
        ask("channels", "channels", {"combined": count}, {"rx": count, "tx": count}),
        ask("rings", "rings", {"rx": str(RING), "tx": str(RING)}),
        # ways apart: a driver whose queues share an interrupt refuses the second
        *(ask(f"coalescing, {way}", "coalescing", {f"adaptive-{way}": "off", f"{way}-usecs": str(COALESCING_US)})
          for way in ("rx", "tx")),
        ask("flow control", "pause", *_PAUSE),
    ]
    # last: each of the above may make interrupts anew
    spread = recorded("interrupts", f"spread over CPUs {', '.join(map(str, cpus))}",
                      lambda: _spread(host, netns, interface, pci, cpus))
    return [*tuned, spread, *([place(host, netns, interface, cpus, not spread["why"])] if softirq else [])]


def _ask(host: Host, netns: str | None, interface: str, group: str, wishes: _Wishes) -> tuple[str, list[str]]:
    """The first wish that the driver takes: what is so then, and why it is no better."""
    shown, why = ethtool.show(host, netns, interface, group), list[str]()
    for wish in wishes:
        possible, limits = _possible(wish, shown)
        why += limits
        if possible and not _left(possible, shown):
            break
        if possible:
            complaint = ethtool.change(host, netns, interface, group, possible)
            shown = ethtool.show(host, netns, interface, group)
            left = _left(possible, shown)
            if not left:
                break  # ethtool also complains of what was so before
            why.append(complaint or f"{' '.join(left)} did not take")
        if not shown.now:
            break  # the driver has nothing of the kind
    keys = dict.fromkeys(key for wish in wishes for key in wish if key in shown.now)
    return _words({key: shown.now[key] for key in keys}), why


def _left(wanted: Mapping[str, str], shown: ethtool.Shown) -> list[str]:
    """What is not so."""
    return [key for key, value in wanted.items() if shown.now.get(key) != value]


def _possible(wish: Mapping[str, str], shown: ethtool.Shown) -> tuple[dict[str, str], list[str]]:
    """Of a wish what the driver has, within its limits, and what it has not. All of it where nothing is shown."""
    if not shown.now:
        return dict(wish), []
    possible = {key: value for key, value in wish.items() if key in shown.now}
    why = [f"the driver has no {key}" for key in wish if key not in possible]
    for key, value in possible.items():
        most = shown.most.get(key)
        if most is not None and value.isdigit() and int(value) > most:
            possible[key] = str(most)
            why.append(f"the driver's most of {key} is {most}")
    return possible, why


def _spread(host: Host, netns: str | None, interface: str, pci: str,
            cpus: Sequence[int]) -> tuple[str, list[str]]:
    """Queue n's interrupts to the n-th CPU, and round again; one that is no queue's to the first."""
    up = host.run(["ip", "link", "set", "dev", interface, "up"], netns=netns, check=False)
    why = [] if up.code == 0 else [f"link up: {up.complaint}"]
    names = _interrupt_names(host)
    got: list[str] = []
    for irq in ethtool.interrupts(host, pci):
        if irq not in names:
            continue  # no driver has asked for it
        queue = _QUEUE.search(names[irq])
        cpu = str(cpus[int(queue[1]) % len(cpus) if queue else 0])
        try:
            if ethtool.affinity(host, irq) != cpu:
                host.write(ethtool.affinity_path(irq), cpu)
        except MachineError as error:
            why.append(str(error))
        got.append(f"{names[irq]} on {ethtool.affinity(host, irq)}")
    return ", ".join(got), why or ([] if got else [f"the kernel shows no interrupt of {pci}"])


def _interrupt_names(host: Host) -> dict[str, str]:
    """By number, of those that a driver has asked for: the last word of its line in /proc/interrupts."""
    lines = host.read("/proc/interrupts").splitlines()
    return {number.strip(): rest.split()[-1] for number, colon, rest in (line.partition(":") for line in lines)
            if colon and number.strip().isdigit() and rest.split()}


def _words(settings: Mapping[str, str]) -> str:
    return " ".join(word for pair in settings.items() for word in pair)
