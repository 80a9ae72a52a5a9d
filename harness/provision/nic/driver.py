# SPDX-License-Identifier: BSD-3-Clause
"""Choose by which driver a card comes to DPDK, and what must be loaded and written first.

Does nothing. Must not know whether the card is free (in_use.py), nor who binds it and when.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.errors import MachineError
from harness.host import DEVICES, Host, Nic, driver_of, network_drivers
from harness.provision.nic.in_use import USER_SPACE_DRIVERS, VFIO

# the kernel's driver keeps the card, and DPDK has its queues beside it
BIFURCATED = ("mlx4_core", "mlx5_core")
UIO = "uio_pci_generic"
NO_IOMMU = "/sys/module/vfio/parameters/enable_unsafe_noiommu_mode"
# with these a function may share its IOMMU group with a card in user space (the kernel's vfio.rst)
HARMLESS = ("", VFIO, "pci-stub", "pcieport")
# forbids programs to set up a PCI device by themselves, as they do with uio (kernel_lockdown(7))
LOCKDOWN = "/sys/kernel/security/lockdown"
DEVBIND = "dpdk-devbind.py"
# of modules that are not called as their driver is
_DRIVERS = {"virtio_pci": "virtio-pci"}
_ANY = 0xffff


@dataclass(frozen=True)
class Pmd:
    """A driver of DPDK, with the kernel modules that it works with, or needs beside the card's."""

    name: str
    modules: tuple[str, ...]


@dataclass(frozen=True)
class Binding:
    """How a card comes to DPDK.

    `driver`: to bind for DPDK, "" when the card keeps its own (bifurcated)
    `modules`: to be loaded first, in this order, those that are not yet
    `writes`: (path, text), after that
    `mode`: in words, for reports
    """

    driver: str
    iommu: bool
    modules: tuple[str, ...]
    writes: tuple[tuple[str, str], ...]
    mode: str


def pmd_of(host: Host, nic: Nic) -> Pmd | None:
    """Return the driver of the installed DPDK for this card; None when it has none."""
    ids = tuple(int(text or "0", 16) for text in
                (nic.vendor, nic.device, nic.subsystem_vendor, nic.subsystem_device))
    for pmd in network_drivers(host):
        if any(all(mine == its or its == _ANY for mine, its in zip(ids, row))
               for row in pmd.get("pci_ids", [])):
            return Pmd(pmd["name"], tuple(re.findall(r"[\w-]+", pmd.get("kmod", ""))))
    return None


def choose_binding(host: Host, nic: Nic, noiommu: bool) -> Binding:
    """Choose the driver. MachineError when the card cannot come to DPDK, with what to do."""
    pmd = pmd_of(host, nic)
    if pmd is None:
        raise MachineError(f"the installed DPDK has no driver for {_named(nic)}: use another card, "
                           "or a DPDK that has one")
    if nic.driver in BIFURCATED:
        return _bifurcated(host, nic, pmd)
    if nic.iommu_group:
        return _behind_iommu(host, nic)
    if not noiommu:
        raise MachineError(f"{_called(nic)} is behind no IOMMU: {_how_to_get_one(host)}, or give "
                           "NOIOMMU=1, which lets the card write to all of this machine's memory")
    return _without_iommu(host, nic, pmd)


def bind_command(driver: str, pci: str) -> tuple[str, ...]:
    """Return the command that gives a card to a driver."""
    # without --force it refuses a card whose interface has a route; in_use.py has looked at more
    return (DEVBIND, "--force", "-b", driver, pci)


def kernel_driver(host: Host, nic: Nic) -> str:
    """Return the kernel's driver of this card: the one it has, else the one that modules name."""
    if nic.driver and nic.driver not in USER_SPACE_DRIVERS:
        return nic.driver
    alias = host.text(f"{DEVICES}/{nic.pci}/modalias")
    argv = ["modprobe", "--resolve-alias", alias]
    modules = host.query(argv, check=False).stdout.split() if alias else []
    if not modules:
        raise MachineError(f"no driver of this kernel takes {_named(nic)}: its module is not "
                           f"installed for kernel {_release(host)}")
    module = modules[0]
    # a module tells the names of its drivers once it is loaded
    names = [name.removeprefix("pci:") for name in host.listing(f"/sys/module/{module}/drivers")
             if name.startswith("pci:")]
    return names[0] if names else _DRIVERS.get(module, module)


def _bifurcated(host: Host, nic: Nic, pmd: Pmd) -> Binding:
    needed = tuple(module for module in pmd.modules if not _loaded(host, module))
    for module in needed:
        if not _loadable(host, module):
            raise MachineError(f"DPDK needs the kernel's module {module} to share {_called(nic)} "
                               f"with {nic.driver}, and {_nowhere(host)}")
    return Binding("", bool(nic.iommu_group), needed, (),
                   f"shared with its kernel driver {nic.driver} (bifurcated), never rebound")


def _behind_iommu(host: Host, nic: Nic) -> Binding:
    if not _available(host, VFIO):
        raise MachineError(f"no vfio-pci for {_called(nic)}: {_nowhere(host)}")
    drivers = {other: driver_of(host, other) for other in nic.group}
    holders = {other: driver for other, driver in drivers.items() if driver not in HARMLESS}
    if holders:
        listed = ", ".join(f"{other} ({driver})" for other, driver in holders.items())
        raise MachineError(f"{_called(nic)} shares IOMMU group {nic.iommu_group} with {listed}, "
                           "and a group is given to user space whole: unbind these too if nothing "
                           f"uses them (`{DEVBIND} -u {' '.join(holders)}`), or put the card into "
                           "another slot")
    return Binding(VFIO, True, _to_load(host, VFIO), (), "vfio-pci behind an IOMMU")


def _without_iommu(host: Host, nic: Nic, pmd: Pmd) -> Binding:
    """Choose vfio-pci if the kernel has its mode for this, as Debian's has not; else uio."""
    has_vfio = _available(host, VFIO)
    if has_vfio and _has_no_iommu_mode(host):
        writes = () if host.text(NO_IOMMU) in ("Y", "1") else ((NO_IOMMU, "1"),)
        return Binding(VFIO, False, _to_load(host, VFIO), writes,
                       "vfio-pci without an IOMMU (unsafe mode)")
    lacks = "no vfio-pci with a no-IOMMU mode" if has_vfio else "no vfio-pci"
    instead = (f"{_called(nic)} is behind no IOMMU, kernel {_release(host)} has {lacks}, and "
               f"{UIO}, the second choice,")
    if not _available(host, UIO):
        raise MachineError(f"{instead} is missing: {_nowhere(host)}")
    if UIO not in pmd.modules:
        raise MachineError(f"{instead} does not work with DPDK's driver {pmd.name}: "
                           f"{_how_to_get_one(host)}")
    locked = re.findall(r"\[(\w+)\]", host.text(LOCKDOWN))
    if locked and locked[0] != "none":
        raise MachineError(f"{instead} is forbidden by the kernel's lockdown ({locked[0]}, in "
                           f"{LOCKDOWN}): switch Secure Boot off, or {_how_to_get_one(host)}")
    return Binding(UIO, False, _to_load(host, UIO), (),
                   f"{UIO} without an IOMMU (this kernel has {lacks})")


def _has_no_iommu_mode(host: Host) -> bool:
    if host.exists(NO_IOMMU) or _loaded(host, "vfio"):
        return host.exists(NO_IOMMU)
    parameters = host.query(["modinfo", "-F", "parm", "vfio"], check=False).stdout
    return any(line.startswith("enable_unsafe_noiommu_mode:") for line in parameters.splitlines())


def _loaded(host: Host, module: str) -> bool:
    """Return whether a module is loaded or built in."""
    return (host.exists(f"/sys/module/{module.replace('-', '_')}")
            or host.exists(f"/sys/bus/pci/drivers/{module}"))


def _loadable(host: Host, module: str) -> bool:
    if host.which("modprobe") is None:
        return False
    shown = host.query(["modprobe", "--show-depends", module], check=False)
    # an "install" line stands where a configuration file replaces the module by a command
    kinds = {line.split()[0] for line in shown.stdout.splitlines() if line.split()}
    return shown.code == 0 and bool(kinds) and kinds <= {"insmod", "builtin"}


def _available(host: Host, module: str) -> bool:
    return _loaded(host, module) or _loadable(host, module)


def _to_load(host: Host, module: str) -> tuple[str, ...]:
    return () if _loaded(host, module) else (module,)


def _nowhere(host: Host) -> str:
    """Say why a module is missing, and what to do."""
    if host.which("modprobe") is None:
        return "modprobe is missing; run `sudo make deps`, or install package kmod"
    release = _release(host)
    if not host.exists(f"/lib/modules/{release}"):
        return (f"kernel {release} has no modules here (/lib/modules/{release}); install its "
                "package (Debian:"
                f" linux-image-{release}), or boot the distribution's kernel (linux-image-amd64)")
    return (f"kernel {release} has no such module, or its configuration forbids it (`modprobe "
            "--show-depends`); boot the distribution's kernel (Debian: linux-image-amd64)")


def _how_to_get_one(host: Host) -> str:
    """Say how to get an IOMMU, whose name and switch depend on the maker of the CPU."""
    cpu = host.text("/proc/cpuinfo")
    if "AuthenticAMD" in cpu:
        unit, switch = "AMD-Vi (IOMMU)", "amd_iommu=on"
    elif "GenuineIntel" in cpu:
        unit, switch = "VT-d", "intel_iommu=on"
    else:
        return "switch the IOMMU on in the firmware"
    if switch in host.text("/proc/cmdline").split():
        return (f"{switch} stands on the kernel's command line already, so switch {unit} on in the "
                "BIOS")
    return f"add {switch} to the kernel's command line and reboot, with {unit} on in the BIOS"


def _called(nic: Nic) -> str:
    return f"{nic.pci} ({nic.interface})" if nic.interface else nic.pci


def _named(nic: Nic) -> str:
    return f"{_called(nic)} ({nic.vendor}:{nic.device})"


def _release(host: Host) -> str:
    return host.text("/proc/sys/kernel/osrelease")
