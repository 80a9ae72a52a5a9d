# SPDX-License-Identifier: BSD-3-Clause
"""Load a kernel module for a run, and unload it after that with whatever it brought along.

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
    """A kernel module.

    needed_for: what cannot do without it
    device: the node that it makes in /dev, "" if it makes none
    """

    title = "kernel module {0.module}"
    module: str
    needed_for: str
    device: str = ""

    def check(self, host: Host) -> str:
        lacking = missing(host, self.module, self.device)
        return f"missing: {lacking}, for {self.needed_for}" if lacking else ""

    def undo(self, host: Host) -> list[Action]:
        """Return the unloading, also of those that it stands on and that were not loaded before."""
        names = [] if _is_there(host, self.module) else _with_dependencies(host, self.module)
        return [["unload", name] for name in names if not host.exists(f"/sys/module/{name}")]

    def up(self, host: Host) -> None:
        if not _is_there(host, self.module) and _with_dependencies(host, self.module):
            host.run(["modprobe", self.module])


def missing(host: Host, module: str, device: str = "") -> str:
    """Return what to say of a module that is not there and cannot be loaded; "" if it is or can."""
    there = _is_there(host, module)
    loadable = bool(_with_dependencies(host, module)) and host.which("modprobe") is not None
    if device and not host.exists(device):
        # in a container the kernel does not make the nodes in /dev
        mounts = (line.split() for line in host.read("/proc/self/mountinfo").splitlines())
        appears = any(words[4] == "/dev" and "devtmpfs" in words[words.index("-"):]
                      for words in mounts)
        if loadable and not there and appears:
            return ""
        return f"{device} (`modprobe {module}`; in a container: --device {device})"
    # a node of a kernel that does not tell what is built in
    if there or loadable or device:
        return ""
    return (f"kernel module {module} (neither loaded nor in /lib/modules: a distribution's own "
            "kernel has it; in a container it must be loaded outside)")


def _is_there(host: Host, module: str) -> bool:
    """Return whether it is loaded or built in, as far as this kernel tells."""
    name = module.replace("-", "_")
    return host.exists(f"/sys/module/{name}") or name in map(
        _name, _lines(host, "modules.builtin"))


def _with_dependencies(host: Host, module: str) -> list[str]:
    """Return the module and what it stands on, to be unloaded so; [] when it has no file."""
    for line in _lines(host, "modules.dep"):
        file, _, others = line.partition(":")
        if _name(file) == module.replace("-", "_"):
            return [_name(item) for item in (file, *others.split())]
    return []


def _name(file: str) -> str:
    """Return vfio_pci of kernel/drivers/vfio/pci/vfio-pci.ko.xz."""
    return Path(file).name.partition(".ko")[0].replace("-", "_")


def _lines(host: Host, name: str) -> list[str]:
    release = host.text("/proc/sys/kernel/osrelease")
    return host.text(f"/lib/modules/{release}/{name}").splitlines()
