# SPDX-License-Identifier: BSD-3-Clause
"""Which network cards this machine has on its PCI bus, read from sysfs (sysfs-bus-pci in the kernel's documentation).

Only reads. Must not know what a card may be used for (guards.py), nor how it comes to DPDK
(binding.py).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.errors import MachineError, UsageError
from harness.host.host import Host

DEVICES = "/sys/bus/pci/devices"
INTERFACES = "/sys/class/net"
GROUPS = "/sys/kernel/iommu_groups"
NETWORK_CLASS = "02"
# functions that every group may hold beside the card: nothing else drives them than the bus itself
HOST_AND_PCI_BRIDGES = ("0600", "0604")
# what the kernel calls the group that vfio-pci makes for a device without an IOMMU
NO_IOMMU_GROUP = "vfio-noiommu"
IFF_UP = 1
ADDRESS = re.compile(r"(?:([0-9a-f]{4,8}):)?([0-9a-f]{2}:[0-9a-f]{2}\.[0-7])", re.IGNORECASE)


@dataclass(frozen=True)
class Nic:
    """A PCI function of class "network". `interface`, `mac` and `mtu` are "", "" and 0 while no driver of the kernel's
    has made an interface in this network namespace; `up` is what an administrator set, not the
    link's state.

    vendor, device and their subsystem are hex digits ("8086"). For none, `driver` and `iommu_group`
    are "", `numa_node`
    is -1. `group`: the other functions of the IOMMU group, without bridges.
    """

    pci: str
    interface: str
    driver: str
    vendor: str
    device: str
    subsystem_vendor: str
    subsystem_device: str
    name: str
    numa_node: int
    iommu_group: str
    group: tuple[str, ...]
    mac: str
    mtu: int
    up: bool


def network_devices(host: Host) -> list[Nic]:
    """All of them, by PCI address."""
    names = _names(host)
    return [_nic(host, pci, interface_of(host, pci), names) for pci in host.listing(DEVICES)
            if _class(host, pci).startswith(NETWORK_CLASS)]


def find_nic(host: Host, text: str) -> Nic:
    """By PCI address, with or without its domain, or by the interface's name. UsageError when it is none."""
    match = ADDRESS.fullmatch(text)
    if match:
        pci = f"{match[1] or '0000'}:{match[2]}".lower()
        if not host.exists(f"{DEVICES}/{pci}"):
            raise UsageError(f"no PCI device {pci}; {_there_are(host)}")
        if not _class(host, pci).startswith(NETWORK_CLASS):
            raise UsageError(f"{pci} is no network card (PCI class {_class(host, pci)}); "
                             f"{_there_are(host)}")
        return _nic(host, pci, interface_of(host, pci), _names(host))
    for pci in host.listing(DEVICES):
        if text in _interfaces(host, pci):
            return _nic(host, pci, text, _names(host))
    if text and "/" not in text and host.exists(f"{INTERFACES}/{text}"):
        raise UsageError(f"interface '{text}' is not on a PCI card, so DPDK cannot have it; "
                         f"{_there_are(host)}")
    raise UsageError(f"no network card '{text}', which is neither an interface nor a PCI address "
                     "here;"
                     f" {_there_are(host)}")


def interface_of(host: Host, pci: str) -> str:
    """The first of its interfaces in this network namespace; "" for none."""
    return next(iter(_interfaces(host, pci)), "")


def driver_of(host: Host, pci: str) -> str:
    return host.link_target(f"{DEVICES}/{pci}/driver")


def is_no_iommu_group(host: Host, group: str) -> bool:
    """vfio-pci makes a group of this name for a device that it holds without an IOMMU."""
    return host.text(f"{GROUPS}/{group}/name") == NO_IOMMU_GROUP


# What hypervisors present as a card: (vendor, device) -> its model.
EMULATED = {("8086", "100e"): "e1000", ("8086", "100f"): "e1000", ("8086", "1004"): "e1000",
            ("8086", "10d3"): "e1000e",
            ("8086", "10c9"): "igb", ("8086", "1209"): "i82559", ("10ec", "8139"): "rtl8139",
            ("10ec", "8029"): "ne2k",
            ("1022", "2000"): "pcnet", ("1011", "0019"): "tulip", ("1b36", "0100"): "rocker"}
PARAVIRTUAL = {("1af4", "1000"): "virtio-net", ("1af4", "1041"): "virtio-net",
               ("15ad", "07b0"): "vmxnet3",
               ("1ae0", "0042"): "gve"}
# of the subsystem; QEMU's e1000e and igb have their vendor's and no number
QEMU = ("1af4", "1100")
VMWARE = "15ad"
UNNUMBERED = ("8086", "0000")
MAKERS = {"QEMU": "QEMU's", "Red Hat": "QEMU's", "VMware, Inc.": "VMware's",
          "innotek GmbH": "VirtualBox's",
          "Microsoft Corporation": "Hyper-V's", "Xen": "Xen's"}


def emulated(host: Host, nic: Nic) -> str:
    """"" for hardware; else what plays its part: "QEMU's e1000e", "paravirtual virtio-net"."""
    ids, subsystem = (nic.vendor, nic.device), (nic.subsystem_vendor, nic.subsystem_device)
    if ids in PARAVIRTUAL:
        return f"paravirtual {PARAVIRTUAL[ids]}"
    model = EMULATED.get(ids, f"{nic.vendor}:{nic.device}")
    if subsystem == QEMU:
        return f"QEMU's {model}"
    if ids not in EMULATED or not _is_guest(host):
        return ""
    maker = MAKERS.get(host.text("/sys/class/dmi/id/sys_vendor"), "a hypervisor's")
    # a real card that a guest was given keeps the subsystem of its board's maker
    given = nic.vendor == "8086" and subsystem != UNNUMBERED and nic.subsystem_vendor != VMWARE and maker == "QEMU's"
    return "" if given else f"{maker} {model}"


def _is_guest(host: Host) -> bool:
    """The bit that every hypervisor sets for its guests, and none elsewhere."""
    flags = (line for line in host.text("/proc/cpuinfo").splitlines() if line.startswith("flags"))
    return "hypervisor" in next(flags, "").split()


def _nic(host: Host, pci: str, interface: str, names: dict[str, str]) -> Nic:
    at = f"{DEVICES}/{pci}"
    vendor, device, subsystem_vendor, subsystem_device = (
        host.text(f"{at}/{key}").removeprefix("0x")
        for key in ("vendor", "device", "subsystem_vendor", "subsystem_device"))
    group = host.link_target(f"{at}/iommu_group")
    if group and is_no_iommu_group(host, group):
        group = ""
    others = [other for other in (host.listing(f"{GROUPS}/{group}/devices") if group else [])
              if other != pci and _class(host, other)[:4] not in HOST_AND_PCI_BRIDGES]
    mac, mtu, flags = (host.text(f"{INTERFACES}/{interface}/{key}") if interface else ""
                       for key in ("address", "mtu", "flags"))
    return Nic(pci, interface, driver_of(host, pci), vendor, device, subsystem_vendor,
               subsystem_device,
               names.get(pci, f"{vendor}:{device}"), int(host.text(f"{at}/numa_node") or -1), group,
               tuple(others),
               mac, int(mtu or 0), bool(int(flags or "0", 16) & IFF_UP))


def _class(host: Host, pci: str) -> str:
    """Six hex digits, such as 020000 for Ethernet."""
    return host.text(f"{DEVICES}/{pci}/class").removeprefix("0x")


def _interfaces(host: Host, pci: str) -> list[str]:
    """Those of the function itself, and of the virtio device behind it."""
    at = f"{DEVICES}/{pci}"
    behind = [f"{at}/{name}" for name in host.listing(at) if re.fullmatch(r"virtio\d+", name)]
    return [name for place in (at, *behind) for name in host.listing(f"{place}/net")]


def _names(host: Host) -> dict[str, str]:
    """Vendor and device as lspci names them, by PCI address; empty without lspci."""
    if host.which("lspci") is None:
        return {}
    listed = host.query(["lspci", "-Dmm"], check=False)
    fields = ((line.split()[0], re.findall(r'"([^"]*)"', line))
              for line in listed.stdout.splitlines() if line)
    return {pci: f"{quoted[1]} {quoted[2]}" for pci, quoted in fields if len(quoted) > 2}


def _there_are(host: Host) -> str:
    found = [f"{nic.pci} ({nic.interface or nic.driver or 'no driver'})"
             for nic in network_devices(host)]
    return f"there are: {', '.join(found)}" if found else "this machine has no network card on its PCI bus"
