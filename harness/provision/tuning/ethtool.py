# SPDX-License-Identifier: BSD-3-Clause
"""The settings of a network interface that ethtool shows and sets, and the affinity of its interrupts: read, set,
saved, given back. Must not know what they should be.

Of Debian 12's ethtool (6.1) only `-k` and `-a` of these have JSON, so the others are read as text, which all have.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from typing import Any, Mapping

from harness.provision.tuning.cpus import CPUS, parse_list
from harness.errors import MachineError
from harness.host import Host
from harness.provision.tuning.rps import masks, same, write

_COALESCING = re.compile(r"(Adaptive|CQE mode) +RX: (\S+) +TX: (\S+)")


@dataclass(frozen=True)
class Group:
    """`words`: ethtool's name where it shows a setting -> where it sets it; other settings have one name."""

    show: str
    set: str
    words: Mapping[str, str]


# In the order in which they are given back: channels first, for some drivers make the rings anew with them.
GROUPS = {
    "channels": Group("-l", "-L", {"RX": "rx", "TX": "tx", "Other": "other", "Combined": "combined"}),
    "rings": Group("-g", "-G", {"RX": "rx", "RX Mini": "rx-mini", "RX Jumbo": "rx-jumbo", "TX": "tx",
                                "RX Buf Len": "rx-buf-len", "CQE Size": "cqe-size", "TX Push": "tx-push"}),
    "coalescing": Group("-c", "-C", {}),
    "pause": Group("-a", "-A", {"Autonegotiate": "autoneg", "RX": "rx", "TX": "tx"}),
    "offloads": Group("-k", "-K", {}),
}


@dataclass(frozen=True)
class Shown:
    """A group's settings by the words that set them, without those that the driver does not know; the most of some."""

    now: dict[str, str]
    most: dict[str, int]


def show(host: Host, netns: str | None, interface: str, group: str) -> Shown:
    """Empty where the driver has nothing of the kind."""
    option = GROUPS[group].show
    if group == "offloads":
        said = host.query(["ethtool", "--json", option, interface], netns=netns, check=False).stdout
        return Shown(_changeable(said), {})
    said = host.query(["ethtool", option, interface], netns=netns, check=False).stdout
    limits, divided, current = said.partition("Current hardware settings:")
    words = GROUPS[group].words
    return Shown(_pairs(current if divided else limits, words),
                 {key: int(value) for key, value in _pairs(limits, words).items() if divided and value.isdigit()})


def change(host: Host, netns: str | None, interface: str, group: str, wanted: Mapping[str, str]) -> str:
    """One command for all; "" or what it complained of."""
    argv = ["ethtool", GROUPS[group].set, interface, *(word for pair in wanted.items() for word in pair)]
    try:
        result = host.run(argv, netns=netns, check=False)
    except MachineError as error:
        return str(error)
    return "" if result.code == 0 else f"`{shlex.join(argv)}`: {result.complaint}"


def saved(host: Host, netns: str | None, interface: str) -> dict[str, Any]:
    """All that give_back() needs: by group, the masks of its "queues", then "irqs", the CPUs of each, "" where no
    driver has asked for it yet."""
    found: dict[str, Any] = {group: show(host, netns, interface, group).now for group in GROUPS}
    found["queues"] = masks(host, netns, interface)
    return {**{group: settings for group, settings in found.items() if settings},
            "irqs": {irq: affinity(host, irq) for irq in _interrupts_of(host, netns, interface)}}


def give_back(host: Host, netns: str | None, interface: str, saved: Mapping[str, Any]) -> list[str]:
    """Sets what differs from `saved`, and nothing else; what failed, one line each."""
    failed = [problem for group in GROUPS if (problem := _give_group_back(host, netns, interface, group,
                                                                          saved.get(group, {})))]
    failed += _give_queues_back(host, netns, interface, saved.get("queues", {}))
    # only of interrupts that are still its own: a driver that came anew has its own order, and perhaps other numbers
    own = _interrupts_of(host, netns, interface)
    for irq, cpus in saved.get("irqs", {}).items():
        now = affinity(host, irq)
        wanted = cpus or _default_affinity(host)
        if irq in own and now and wanted and parse_list(now) != parse_list(wanted):
            try:
                host.write(affinity_path(irq), wanted)
            except MachineError as error:
                failed.append(str(error))
    return failed


def _give_group_back(host: Host, netns: str | None, interface: str, group: str, wanted: Mapping[str, str]) -> str:
    """"" or what failed."""
    differs = _differing(host, netns, interface, group, wanted)
    if not differs:
        return ""
    complaint = change(host, netns, interface, group, differs)
    left = _differing(host, netns, interface, group, wanted)
    if not left:
        return ""  # some drivers complain of a part that is as it should be
    return complaint or f"{group} of {interface}: {_words(left)} did not take"


def _give_queues_back(host: Host, netns: str | None, interface: str, wanted: Mapping[str, str]) -> list[str]:
    """What failed. A queue that has gone with its driver has no mask to give back."""
    now = masks(host, netns, interface) if wanted else {}
    try:
        write(host, netns, interface, {name: text for name, text in wanted.items()
                                       if name in now and not same(now[name], text)})
    except MachineError as error:
        return [str(error)]
    return []


def _differing(host: Host, netns: str | None, interface: str, group: str, wanted: Mapping[str, str]) -> dict[str, str]:
    now = show(host, netns, interface, group).now if wanted else {}
    return {key: value for key, value in wanted.items() if now.get(key) != value}


def _words(settings: Mapping[str, str]) -> str:
    return " ".join(word for pair in settings.items() for word in pair)


def affinity_path(irq: str) -> str:
    return f"/proc/irq/{irq}/smp_affinity_list"


def interrupts(host: Host, pci: str) -> list[str]:
    """Numbers of a PCI function's interrupts, ascending: MSI or MSI-X, or the one line that it has without."""
    return _numbers(host, None, f"/sys/bus/pci/devices/{pci}")


def _interrupts_of(host: Host, netns: str | None, interface: str) -> list[str]:
    """Those of the PCI function under an interface; of a virtio card that is the parent of its device."""
    device = f"/sys/class/net/{interface}/device"
    return _numbers(host, netns, device) or _numbers(host, netns, f"{device}/..")


def _numbers(host: Host, netns: str | None, device: str) -> list[str]:
    # a namespace has its own /sys/class/net
    names = (host.query(["ls", f"{device}/msi_irqs"], netns=netns, check=False).stdout.split() if netns
             else host.listing(f"{device}/msi_irqs"))
    if names or netns:
        return sorted(names, key=int)
    line = _read(host, f"{device}/irq")
    return [line] if line not in ("", "0") else []


def affinity(host: Host, irq: str) -> str:
    """The CPUs that take an interrupt, as the kernel writes them; "" of one that no driver has asked for yet."""
    return _read(host, affinity_path(irq))


def _default_affinity(host: Host) -> str:
    """What an interrupt has when a driver first asks for it."""
    mask = int(_read(host, "/proc/irq/default_smp_affinity").replace(",", "") or "0", 16)
    return ",".join(str(cpu) for cpu in parse_list(_read(host, f"{CPUS}/online")) if mask >> cpu & 1)


def _read(host: Host, path: str) -> str:
    try:
        return host.read(path).strip()
    except MachineError:
        return ""


def _changeable(text: str) -> dict[str, str]:
    """Of `ethtool --json -k`: what is asked for of each feature that can change (a sum of others is none)."""
    shown = json.loads(text.strip() or "[]")
    return {name: "on" if value["requested"] else "off" for name, value in (shown[0] if shown else {}).items()
            if isinstance(value, dict) and value["fixed"] is False}


def _pairs(text: str, words: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in text.splitlines():
        both = _COALESCING.match(line)
        key, colon, value = line.partition(":")
        if both:
            name = both[1].lower().replace(" ", "-")
            found |= {f"{name}-{way}": word for way, word in zip(("rx", "tx"), both.groups()[1:])}
        elif colon and (not words or key in words) and value.strip():
            found[words.get(key, key)] = value.strip()
    return {key: value for key, value in found.items() if value != "n/a"}
