# SPDX-License-Identifier: BSD-3-Clause
"""The network cards of a machine, read from its PCI bus in sysfs. Only reads.

Must not know what a card may be used for (in_use.py), nor how it comes to DPDK (driver.py).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.errors import UsageError
from harness.host.cpu import DMI, is_guest
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
    """A PCI function of class "network".

    `interface`, `mac`, `mtu`: "", "" and 0 without an interface in this namespace
    `driver`, `iommu_group`: "" for none; `numa_node`: -1 for none
    `vendor`, `device` and their subsystem: hex digits ("8086")
    `group`: the other functions of the IOMMU group, without bridges
    `up`: what an administrator set, not the link's state
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
    """Return all of them, by PCI address."""
    names = _names(host)
    return [_nic(host, pci, interface_of(host, pci), names) for pci in host.listing(DEVICES)
            if _class(host, pci).startswith(NETWORK_CLASS)]


def find_nic(host: Host, text: str) -> Nic:
    """Return a card by PCI address, with or without domain, or by interface. UsageError if none."""
    match = ADDRESS.fullmatch(text)
    if match:
        pci = f"{match[1] or '0000'}:{match[2]}".lower()
        if not host.exists(f"{DEVICES}/{pci}"):
            raise UsageError(f"no PCI device {pci}; {_there_are(host)}")
        if not (kind := _class(host, pci)).startswith(NETWORK_CLASS):
            raise UsageError(f"{pci} is no network card (PCI class {kind}); {_there_are(host)}")
        return _nic(host, pci, interface_of(host, pci), _names(host))
    for pci in host.listing(DEVICES):
        if text in _interfaces(host, pci):
            return _nic(host, pci, text, _names(host))
    if text and "/" not in text and host.exists(f"{INTERFACES}/{text}"):
        raise UsageError(f"interface '{text}' is not on a PCI card, so DPDK cannot have it;"
                         f" {_there_are(host)}")
    raise UsageError(f"no network card '{text}', which is neither an interface nor a PCI address "
                     f"here; {_there_are(host)}")


def interface_of(host: Host, pci: str) -> str:
    """Return the first of its interfaces in this network namespace; "" for none."""
    return next(iter(_interfaces(host, pci)), "")


def driver_of(host: Host, pci: str) -> str:
    return host.link_target(f"{DEVICES}/{pci}/driver")


# what hypervisors present as a card: its model by vendor:device
EMULATED = {"8086:100e": "e1000", "8086:100f": "e1000", "8086:1004": "e1000", "8086:10d3": "e1000e",
            "8086:10c9": "igb", "8086:1209": "i82559", "10ec:8139": "rtl8139", "10ec:8029": "ne2k",
            "1022:2000": "pcnet", "1011:0019": "tulip", "1b36:0100": "rocker"}
PARAVIRTUAL = {"1af4:1000": "virtio-net", "1af4:1041": "virtio-net", "15ad:07b0": "vmxnet3",
               "1ae0:0042": "gve"}
# of the subsystem; QEMU's e1000e and igb have their vendor's and no number
QEMU = "1af4:1100"
VMWARE = "15ad"
UNNUMBERED = "8086:0000"
MAKERS = {"QEMU": "QEMU's", "Red Hat": "QEMU's", "VMware, Inc.": "VMware's",
          "innotek GmbH": "VirtualBox's", "Microsoft Corporation": "Hyper-V's", "Xen": "Xen's"}


def emulated(host: Host, nic: Nic) -> str:
    """Return what plays a card, "QEMU's e1000e" or "paravirtual virtio-net"; "" for hardware."""
    ids, subsystem = f"{nic.vendor}:{nic.device}", f"{nic.subsystem_vendor}:{nic.subsystem_device}"
    if ids in PARAVIRTUAL:
        return f"paravirtual {PARAVIRTUAL[ids]}"
    if subsystem == QEMU:
        return f"QEMU's {EMULATED.get(ids, ids)}"
    if ids not in EMULATED or not is_guest(host):
        return ""
    maker = MAKERS.get(host.text(f"{DMI}/sys_vendor"), "a hypervisor's")
    # a real card that a guest was given keeps the subsystem of its board's maker
    if (nic.vendor == "8086" and subsystem != UNNUMBERED and nic.subsystem_vendor != VMWARE
            and maker == "QEMU's"):
        return ""
    return f"{maker} {EMULATED[ids]}"


def _nic(host: Host, pci: str, interface: str, names: dict[str, str]) -> Nic:
    at = f"{DEVICES}/{pci}"
    vendor, device, subsystem_vendor, subsystem_device = (
        host.text(f"{at}/{key}").removeprefix("0x")
        for key in ("vendor", "device", "subsystem_vendor", "subsystem_device"))
    group = host.link_target(f"{at}/iommu_group")
    if group and host.text(f"{GROUPS}/{group}/name") == NO_IOMMU_GROUP:
        group = ""
    others = [other for other in (host.listing(f"{GROUPS}/{group}/devices") if group else [])
              if other != pci and _class(host, other)[:4] not in HOST_AND_PCI_BRIDGES]
    mac, mtu, flags = (host.text(f"{INTERFACES}/{interface}/{key}") if interface else ""
                       for key in ("address", "mtu", "flags"))
    name, node = names.get(pci, f"{vendor}:{device}"), int(host.text(f"{at}/numa_node") or -1)
    return Nic(pci, interface, driver_of(host, pci), vendor, device, subsystem_vendor,
               subsystem_device, name, node, group, tuple(others), mac, int(mtu or 0),
               bool(int(flags or "0", 16) & IFF_UP))


def _class(host: Host, pci: str) -> str:
    """Return six hex digits, such as 020000 for Ethernet."""
    return host.text(f"{DEVICES}/{pci}/class").removeprefix("0x")


def _interfaces(host: Host, pci: str) -> list[str]:
    """Return the interfaces of the function itself, and of the virtio device behind it."""
    at = f"{DEVICES}/{pci}"
    behind = [f"{at}/{name}" for name in host.listing(at) if re.fullmatch(r"virtio\d+", name)]
    return [name for place in (at, *behind) for name in host.listing(f"{place}/net")]


def _names(host: Host) -> dict[str, str]:
    """Return vendor and device as lspci names them, by PCI address; {} without lspci."""
    if host.which("lspci") is None:
        return {}
    listed = host.query(["lspci", "-Dmm"], check=False)
    fields = ((line.split()[0], re.findall(r'"([^"]*)"', line))
              for line in listed.stdout.splitlines() if line)
    return {pci: f"{quoted[1]} {quoted[2]}" for pci, quoted in fields if len(quoted) > 2}


def _there_are(host: Host) -> str:
    cards = [f"{nic.pci} ({nic.interface or nic.driver or 'no driver'})"
             for nic in network_devices(host)]
    none = "this machine has no network card on its PCI bus"
    return f"there are: {', '.join(cards)}" if cards else none
