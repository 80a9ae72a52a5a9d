# SPDX-License-Identifier: BSD-3-Clause
"""A FakeHost with one interface whose settings ethtool shows and sets, and with interrupts."""

from __future__ import annotations

import json
from typing import Sequence

from harness.ethtool import GROUPS
from harness.host import Result
from harness.tests.fake_host import OK, FakeHost

PCI = "0000:02:00.0"
UNKNOWN = Result(75, "", "netlink error: Operation not supported\n")


class EthtoolHost(FakeHost):
    """`now` and `most`: by group and the word that sets it. `refuses`: words that the driver takes in no command.

    `asked`: interrupts exist only when the link is up, as with most drivers.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = {"channels": {"combined": "8", "other": "1"}, "rings": {"rx": "512", "tx": "512"},
                    "coalescing": {"adaptive-rx": "on", "adaptive-tx": "on", "rx-usecs": "50", "tx-usecs": "50"},
                    "pause": {"autoneg": "on", "rx": "on", "tx": "on"}, "offloads": {"rx-gro-hw": "on"}}
        self.most = {"channels": {"combined": "8", "other": "1"}, "rings": {"rx": "4096", "tx": "4096"}}
        self.refuses: set[str] = set()
        self.up = False
        self.names = {"40": "server0-TxRx-0", "41": "server0-TxRx-1", "42": "server0"}
        self.files.update({f"/sys/bus/pci/devices/{PCI}/msi_irqs/{irq}": "msix\n" for irq in self.names})
        self.files.update({f"/sys/class/net/server0/device/msi_irqs/{irq}": "msix\n" for irq in self.names})
        self.files["/proc/irq/default_smp_affinity"] = "f\n"
        self.files["/sys/devices/system/cpu/online"] = "0-3\n"

    def link_up(self) -> None:
        """A driver asks for its interrupts."""
        self.up = True
        for irq in self.names:
            self.files.setdefault(f"/proc/irq/{irq}/smp_affinity_list", "0-3\n")

    def read(self, path: object) -> str:
        if str(path) == "/proc/interrupts":
            lines = [f" {irq}:  0  0  PCI-MSI 5-edge  {name}\n" for irq, name in self.names.items() if self.up]
            return "".join(["      CPU0   CPU1\n", "  1:  9  0  IO-APIC 1-edge  i8042\n", *lines, "NMI:  0  0  Non\n"])
        return super().read(str(path))

    def _perform(self, words: Sequence[str]) -> Result:
        match list(words):
            case ["ip", "netns", "exec", _, *rest]:
                return self._perform(rest)
            case ["ip", "link", "set", "dev", "server0", "up"]:
                self.link_up()
            case ["ethtool", "--json", "-k", _]:
                return Result(0, self._features(), "")
            case ["ethtool", option, _, *wanted]:
                name = next(name for name, group in GROUPS.items() if option in (group.show, group.set))
                return self._set(name, wanted) if option == GROUPS[name].set else self._show(name)
        return OK

    def _features(self) -> str:
        return json.dumps([{"ifname": "server0", "tx-checksumming": {"active": True, "fixed": None, "requested": None},
                            "highdma": {"active": True, "fixed": True, "requested": False},
                            **{name: {"active": False, "fixed": False, "requested": value == "on"}
                               for name, value in self.now["offloads"].items()}}])

    def _show(self, name: str) -> Result:
        if name not in self.now:
            return UNKNOWN
        shown = {word: key for key, word in GROUPS[name].words.items()}
        lines = [f"{name} parameters for server0:"]
        if name in self.most:
            lines += ["Pre-set maximums:", *(f"{shown[key]}:\t\t{value}" for key, value in self.most[name].items()),
                      "Current hardware settings:"]
        now = dict(self.now[name])
        if name == "coalescing":
            lines.append(f"Adaptive RX: {now.pop('adaptive-rx', 'n/a')}  TX: {now.pop('adaptive-tx', 'n/a')}")
            lines.append("stats-block-usecs:\tn/a")
        lines += [f"{shown.get(key, key)}:\t\t{value}" for key, value in now.items()]
        return Result(0, "\n".join(lines) + "\n", "")

    def _set(self, name: str, wanted: Sequence[str]) -> Result:
        pairs = dict(zip(wanted[::2], wanted[1::2]))
        if name not in self.now or self.refuses & set(pairs):
            return UNKNOWN
        self.now[name].update(pairs)
        return OK
