# SPDX-License-Identifier: BSD-3-Clause
"""Set a kernel interface for a fair comparison, anew each time that its driver comes back.

The kernel's server is the baseline: it gets what a good administrator would give it. Must not know
wires, contenders, or levels other than "none". Sources: README.md.
"""

from __future__ import annotations

import re
from typing import Callable, Mapping, Sequence

from harness.errors import MachineError
from harness.host import DEVICES, Host
from harness.provision.tuning.ethtool import (
    Interface, Shown, affinity, affinity_path, interrupts, words_of)
from harness.provision.tuning.machine import Tuned, tuned
from harness.provision.tuning.rps import place

RING = 1024
COALESCING_US = 10
# ends the name of a queue's interrupt: eth0-TxRx-3, virtio2-input.3, mlx5_comp3@pci:0000:02:00.0
_QUEUE = re.compile(r"(\d+)(?:@\S*)?$")
# Wishes in order, for drivers differ: one has channels for receive and transmit apart; one lets
# pause frames be set, but their autonegotiation only elsewhere.
_Wishes = Sequence[Mapping[str, str]]
_PAUSE: _Wishes = ({"autoneg": "off", "rx": "off", "tx": "off"}, {"rx": "off", "tx": "off"})


def tune_interface(host: Host, netns: str | None, name: str, pci: str, level: str,
                   cpus: Sequence[int], softirq: Sequence[int] = ()) -> list[Tuned]:
    """Tune an interface. Brings the link up: before, many drivers have no interrupts.

    `softirq`: CPUs that are to process its packets, instead of `cpus`; at level "none", too. A
    refusal is recorded and no failure, but of masks that `softirq` needs (rps.place).
    """
    if level == "none" and not softirq:
        return []
    cpus, interface = softirq or cpus, Interface(host, netns, name)

    def record(what: str, asked: str, act: Callable[[], tuple[str, list[str]]]) -> Tuned:
        try:
            return tuned(what, asked, *act())
        except MachineError as error:
            return tuned(what, asked, "", [str(error)])

    def ask(what: str, group: str, *wishes: Mapping[str, str]) -> Tuned:
        return record(what, words_of(wishes[0]), lambda: _ask(interface, group, wishes))
    count = str(len(cpus))
    settings = [] if level == "none" else [
        # channels before rings: some drivers make the rings anew with them
        ask("channels", "channels", {"combined": count}, {"rx": count, "tx": count}),
        ask("rings", "rings", {"rx": str(RING), "tx": str(RING)}),
        # ways apart: a driver whose queues share an interrupt refuses the second
        *(ask(f"coalescing, {way}", "coalescing",
              {f"adaptive-{way}": "off", f"{way}-usecs": str(COALESCING_US)})
          for way in ("rx", "tx")),
        ask("flow control", "pause", *_PAUSE),
    ]
    # last: each of the above may make interrupts anew
    spread = record("interrupts", f"spread over CPUs {', '.join(map(str, cpus))}",
                    lambda: _spread(interface, pci, cpus))
    return [*settings, spread, *([place(interface, cpus, not spread.why)] if softirq else [])]


def _ask(interface: Interface, group: str, wishes: _Wishes) -> tuple[str, list[str]]:
    """Set the first wish that the driver takes. Return what is so then, and why it is no better."""
    shown, why = interface.show(group), list[str]()
    for wish in wishes:
        possible, limits = _possible(wish, shown)
        why += limits
        if possible and all(shown.now.get(key) == value for key, value in possible.items()):
            break
        if possible:
            complaint = interface.change(group, possible)
            shown = interface.show(group)
            left = [key for key, value in possible.items() if shown.now.get(key) != value]
            if not left:
                break  # ethtool also complains of what was so before
            why.append(complaint or f"{' '.join(left)} did not take")
        if not shown.now:
            break  # the driver has nothing of the kind
    keys = dict.fromkeys(key for wish in wishes for key in wish if key in shown.now)
    return words_of(shown.now, keys), why


def _possible(wish: Mapping[str, str], shown: Shown) -> tuple[dict[str, str], list[str]]:
    """Return what the driver has of a wish, within its limits, and what it lacks.

    All of the wish where nothing is shown.
    """
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


def _spread(interface: Interface, pci: str, cpus: Sequence[int]) -> tuple[str, list[str]]:
    """Put queue n's interrupts on the n-th CPU, and round again; others on the first."""
    host = interface.host
    up = host.run(["ip", "link", "set", "dev", interface.name, "up"], netns=interface.netns,
                  check=False)
    why = [] if up.code == 0 else [f"link up: {up.complaint}"]
    names = _interrupt_names(host)
    got: list[str] = []
    # others no driver has asked for
    for irq in (irq for irq in interrupts(host, f"{DEVICES}/{pci}") if irq in names):
        queue = _QUEUE.search(names[irq])
        cpu = str(cpus[int(queue[1]) % len(cpus) if queue else 0])
        try:
            if affinity(host, irq) != cpu:
                host.write(affinity_path(irq), cpu)
        except MachineError as error:
            why.append(str(error))
        got.append(f"{names[irq]} on {affinity(host, irq)}")
    return ", ".join(got), why or ([] if got else [f"the kernel shows no interrupt of {pci}"])


def _interrupt_names(host: Host) -> dict[str, str]:
    """Return names by number, of interrupts in use: the last word of a line in /proc/interrupts."""
    lines = (line.partition(":") for line in host.read("/proc/interrupts").splitlines())
    return {number.strip(): rest.split()[-1] for number, colon, rest in lines
            if colon and number.strip().isdigit() and rest.split()}
