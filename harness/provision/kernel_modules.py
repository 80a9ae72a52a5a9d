# SPDX-License-Identifier: BSD-3-Clause
"""A kernel module as a step: loaded for a run, and unloaded after it with whatever it brought
along.

What there is, is read from files and never tried, so that a rehearsal knows it too. Knows no wire.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.errors import MachineError
from harness.host import Host
from harness.provision.step import Action, Step


@dataclass(frozen=True)
class Module(Step):
    """`needed_for`: what cannot do without it. `device`: the node that it makes in /dev, "" if it
    makes none."""

    module: str
    needed_for: str
    device: str = ""

    @property
    def name(self) -> str:
        return f"kernel module {self.module}"

    def check(self, host: Host) -> str | None:
        lacking = missing(host, self.module, self.device)
        return f"missing: {lacking}, for {self.needed_for}" if lacking else None

    def undo(self, host: Host) -> list[Action]:
        """Those that the module stands on go with it, where they were not loaded before."""
        names = [] if _is_there(host, self.module) else _with_dependencies(host, self.module)
        return [["unload", name] for name in names if not host.exists(_directory(name))]

    def up(self, host: Host) -> None:
        if not _is_there(host, self.module) and _with_dependencies(host, self.module):
            host.run(["modprobe", self.module])


def missing(host: Host, module: str, device: str = "") -> str:
    """What to say of a module that is not there and cannot be loaded either; "" if it is or can."""
    there = _is_there(host, module)
    loadable = bool(_with_dependencies(host, module)) and host.which("modprobe") is not None
    if device and not host.exists(device):
        if loadable and not there and _devices_appear(host):
            return ""
        return f"{device} (`modprobe {module}`; in a container: --device {device})"
    # a node of a kernel that does not tell what is built in
    if there or loadable or device:
        return ""
    return (f"kernel module {module} (neither loaded nor in /lib/modules: a distribution's own kernel has it; in a"
            " container it must be loaded outside)")


def _directory(module: str) -> str:
    return f"/sys/module/{_plain(module)}"


def _plain(module: str) -> str:
    return module.replace("-", "_")


def _is_there(host: Host, module: str) -> bool:
    """Loaded or built in, as far as this kernel tells."""
    return host.exists(_directory(module)) or any(
        _of(file) == _plain(module) for file in _lines(host, "modules.builtin"))


def _with_dependencies(host: Host, module: str) -> list[str]:
    """The module and what it stands on, in the order of unloading; [] when there is no such
    file."""
    for line in _lines(host, "modules.dep"):
        file, _, others = line.partition(":")
        if _of(file) == _plain(module):
            return [_of(item) for item in (file, *others.split())]
    return []


def _of(file: str) -> str:
    """kernel/drivers/vfio/pci/vfio-pci.ko.xz → vfio_pci"""
    return _plain(Path(file).name.partition(".ko")[0])


def _lines(host: Host, name: str) -> list[str]:
    try:
        release = host.read("/proc/sys/kernel/osrelease").strip()
        return host.read(f"/lib/modules/{release}/{name}").splitlines()
    except MachineError:
        return []


def _devices_appear(host: Host) -> bool:
    """Does the kernel itself make the nodes in /dev? In a container it does not."""
    fields = [line.split() for line in host.read("/proc/self/mountinfo").splitlines()]
    return any(words[4] == "/dev" and words[words.index("-") + 1] == "devtmpfs" for words in fields)
