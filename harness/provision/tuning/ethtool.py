# SPDX-License-Identifier: BSD-3-Clause
"""Read, set, save and restore the settings of a network interface: ethtool, masks, interrupts.

Must not know what they should be. Of Debian 12's ethtool (6.1) only `-k` and `-a` of these have
JSON, so the others are read as text, which all have.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import Iterable, Mapping

from harness.errors import MachineError
from harness.host import INTERFACES, Host, parse_cpu_list
from harness.provision.tuning.cpus import CPUS, parse_mask

# an interface's own: by group of settings, by "queues" and by "irqs"
Settings = Mapping[str, Mapping[str, str]]
_COALESCING = re.compile(r"(Adaptive|CQE mode) +RX: (\S+) +TX: (\S+)")


@dataclass(frozen=True)
class Group:
    """A group of settings: the options that show and set it; its words when shown and when set."""

    show: str
    set: str
    words: Mapping[str, str]


# in the order of restoring: channels first, for some drivers make the rings anew with them
GROUPS = {
    "channels": Group("-l", "-L",
                      {"RX": "rx", "TX": "tx", "Other": "other", "Combined": "combined"}),
    "rings": Group("-g", "-G", {"RX": "rx", "RX Mini": "rx-mini", "RX Jumbo": "rx-jumbo",
                                "TX": "tx", "RX Buf Len": "rx-buf-len", "CQE Size": "cqe-size",
                                "TX Push": "tx-push"}),
    "coalescing": Group("-c", "-C", {}),
    "pause": Group("-a", "-A", {"Autonegotiate": "autoneg", "RX": "rx", "TX": "tx"}),
    "offloads": Group("-k", "-K", {}),
}


@dataclass(frozen=True)
class Shown:
    """A group's settings by the words that set them, of those that the driver knows; limits."""

    now: dict[str, str]
    most: dict[str, int]


@dataclass(frozen=True)
class Interface:
    """A kernel interface of a namespace; None for the harness's own."""

    host: Host
    netns: str | None
    name: str

    def show(self, group: str) -> Shown:
        """Return a group's settings; empty where the driver has nothing of the kind."""
        option, words = GROUPS[group].show, GROUPS[group].words
        if group == "offloads":
            return Shown(self._changeable(option), {})
        text = self.host.query(["ethtool", option, self.name], netns=self.netns,
                               check=False).stdout
        limits, divided, current = text.partition("Current hardware settings:")
        most = {key: int(value) for key, value in _pairs(limits, words).items() if value.isdigit()}
        return Shown(_pairs(current, words), most) if divided else Shown(_pairs(text, words), {})

    def change(self, group: str, wanted: Mapping[str, str]) -> str:
        """Set all with one command. Return "" or its complaint."""
        argv = ["ethtool", GROUPS[group].set, self.name,
                *(word for pair in wanted.items() for word in pair)]
        try:
            result = self.host.run(argv, netns=self.netns, check=False)
        except MachineError as error:
            return str(error)
        return "" if result.code == 0 else f"`{shlex.join(argv)}`: {result.complaint}"

    def differing(self, group: str, wanted: Mapping[str, str]) -> dict[str, str]:
        """Return what of `wanted` is not so."""
        now = self.show(group).now if wanted else {}
        return {key: value for key, value in wanted.items() if now.get(key) != value}

    def queues(self) -> list[str]:
        """Return rx-0, rx-1, …, tx-0, …; none where the interface is not there."""
        names = self._listing(f"{INTERFACES}/{self.name}/queues")
        return sorted((name for name in names if name.startswith(("rx-", "tx-"))),
                      key=lambda name: (name[:2], int(name[3:])))

    def masks(self) -> dict[str, str]:
        """Return the masks that the kernel tells, by "rx-0/rps_cpus" and "tx-0/xps_cpus"."""
        files = [f"{name}/{'rps_cpus' if name.startswith('rx-') else 'xps_cpus'}"
                 for name in self.queues()]
        texts = {file: self.host.query(["cat", self._mask_path(file)], netns=self.netns,
                                       check=False).stdout
                 for file in files}
        return {file: text.strip() for file, text in texts.items() if text.strip()}

    def write_masks(self, wanted: Mapping[str, str]) -> None:
        """Set masks, named as masks() does. MachineError when the kernel refuses one."""
        for file, text in wanted.items():
            # a namespace has its own /sys/class/net
            self.host.run(["sh", "-c", f"echo {shlex.quote(text)} > {self._mask_path(file)}"],
                          netns=self.netns)

    def settings(self) -> dict[str, dict[str, str]]:
        """Return all that restore() needs.

        By group, the masks of its "queues", and "irqs": the CPUs of each, "" where no driver has
        asked for it yet.
        """
        found = {**{group: self.show(group).now for group in GROUPS}, "queues": self.masks()}
        return {**{group: settings for group, settings in found.items() if settings},
                "irqs": {irq: affinity(self.host, irq) for irq in self._interrupts()}}

    def restore(self, saved: Settings) -> list[str]:
        """Set what differs from `saved`, and nothing else. Return what failed, one line each."""
        failed = [problem for group in GROUPS
                  if (problem := self._restore_group(group, saved.get(group, {})))]
        wanted = saved.get("queues", {})
        now = self.masks() if wanted else {}
        try:
            # a queue that has gone with its driver has no mask to restore
            self.write_masks({name: text for name, text in wanted.items()
                              if name in now and parse_mask(now[name]) != parse_mask(text)})
        except MachineError as error:
            failed.append(str(error))
        # only of interrupts that are still its own: a driver that came anew has other numbers
        own = self._interrupts()
        return failed + [problem for irq, cpus in saved.get("irqs", {}).items() if irq in own
                         if (problem := _restore_affinity(self.host, irq, cpus))]

    def _restore_group(self, group: str, wanted: Mapping[str, str]) -> str:
        differs = self.differing(group, wanted)
        complaint = self.change(group, differs) if differs else ""
        left = self.differing(group, wanted) if differs else {}
        if not left:
            return ""  # some drivers complain of a part that is as it should be
        return complaint or f"{group} of {self.name}: {words_of(left)} did not take"

    def _interrupts(self) -> list[str]:
        """Return those of its PCI function; of a virtio card that is the parent of its device."""
        device = f"{INTERFACES}/{self.name}/device"
        for place in (device, f"{device}/.."):
            # a namespace has its own /sys/class/net
            found = (sorted(self._listing(f"{place}/msi_irqs"), key=int) if self.netns
                     else interrupts(self.host, place))
            if found:
                return found
        return []

    def _changeable(self, option: str) -> dict[str, str]:
        """Return what is requested of each feature that can change."""
        shown = self.host.query_json(["ethtool", "--json", option, self.name], netns=self.netns,
                                     check=False) or [{}]
        return {name: "on" if value["requested"] else "off" for name, value in shown[0].items()
                if isinstance(value, dict) and value["fixed"] is False}

    def _listing(self, directory: str) -> list[str]:
        return self.host.query(["ls", directory], netns=self.netns, check=False).stdout.split()

    def _mask_path(self, file: str) -> str:
        return f"{INTERFACES}/{self.name}/queues/{file}"


def interrupts(host: Host, device: str) -> list[str]:
    """Return the numbers of MSI or MSI-X, ascending, or the one line that a device has without."""
    if names := host.listing(f"{device}/msi_irqs"):
        return sorted(names, key=int)
    line = host.text(f"{device}/irq")
    return [line] if line not in ("", "0") else []


def affinity_path(irq: str) -> str:
    return f"/proc/irq/{irq}/smp_affinity_list"


def affinity(host: Host, irq: str) -> str:
    """Return the CPUs that take an interrupt; "" of one that no driver has asked for yet."""
    return host.text(affinity_path(irq))


def _restore_affinity(host: Host, irq: str, cpus: str) -> str:
    """Return "" or what failed. One that no driver had gets what a driver would get."""
    if not cpus:
        default = parse_mask(host.text("/proc/irq/default_smp_affinity"))
        cpus = ",".join(str(cpu) for cpu in parse_cpu_list(host.text(f"{CPUS}/online"))
                        if cpu in default)
    now = affinity(host, irq)
    try:
        if now and cpus and parse_cpu_list(now) != parse_cpu_list(cpus):
            host.write(affinity_path(irq), cpus)
    except MachineError as error:
        return str(error)
    return ""


def words_of(settings: Mapping[str, str], keys: Iterable[str] | None = None) -> str:
    """Return settings as ethtool takes them: "rx 1024 tx 1024"."""
    return " ".join(f"{key} {settings[key]}" for key in (settings if keys is None else keys))


def _pairs(text: str, words: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if both := _COALESCING.match(line):
            name = both[1].lower().replace(" ", "-")
            found |= {f"{name}-rx": both[2], f"{name}-tx": both[3]}
        elif colon and (not words or key in words) and value.strip():
            found[words.get(key, key)] = value.strip()
    return {key: value for key, value in found.items() if value != "n/a"}
