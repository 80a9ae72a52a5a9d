# SPDX-License-Identifier: BSD-3-Clause
"""Read what one must know of a machine and its network cards to build the same again.

Whatever the machine does not tell is null. Knows no run and no wire.
"""

from __future__ import annotations

import re
from typing import Any, Sequence

from harness.host import DEVICES, DMI, Host, Nic, fields, hypervisor
from harness.provision import Interface, Shown

# a part of facts.json: names and what JSON has for values
Json = dict[str, Any]
_CPU = "/sys/devices/system/cpu"
_NODES = "/sys/devices/system/node"
# of `ethtool -m`: the module in the cage, or the end of a cable that is one with it
_MODULE = {"identifier": "Identifier", "vendor": "Vendor name", "part": "Vendor PN",
           "connector": "Connector", "length": "Length (Copper or Active cable)"}
_PCIE = {"speed": "current_link_speed", "width": "current_link_width",
         "max_speed": "max_link_speed", "max_width": "max_link_width"}


def hardware(host: Host) -> Json:
    """Return `hardware` of facts.json: the machine, and of its BIOS what shows in the system."""
    cpu = fields(host.text("/proc/cpuinfo"))
    packages = {told(host, f"{_CPU}/{name}/topology/physical_package_id")
                for name in _numbered(host, _CPU, r"cpu\d+")}
    return {
        "system": {key: told(host, f"{DMI}/{name}") for key, name in (
            ("vendor", "sys_vendor"), ("product", "product_name"), ("version", "product_version"),
            ("board", "board_name"))},
        "bios": {key: told(host, f"{DMI}/bios_{key}") for key in ("vendor", "version", "date")},
        "microcode": cpu.get("microcode"),
        "packages": len(packages - {None}) or None,
        "smt": told(host, f"{_CPU}/smt/control"),
        "turbo": _turbo(host),
        "frequency_driver": told(host, f"{_CPU}/cpu0/cpufreq/scaling_driver"),
        "c_states": {"driver": told(host, f"{_CPU}/cpuidle/current_driver"),
                     "governor": told(host, f"{_CPU}/cpuidle/current_governor"),
                     "enabled": _c_states(host)},
        "numa": [_node(host, name) for name in _numbered(host, _NODES, r"node\d+")],
        "hypervisor": hypervisor(host),
        "iommu": host.listing("/sys/class/iommu"),
        "lockdown": chosen(host.text("/sys/kernel/security/lockdown")),
    }


def nic_facts(host: Host, nic: Nic, netns: str | None, interface: str) -> Json:
    """Return what a card is and how it is set, as `interface` in `netns`; "" while it has none."""
    return {
        "pci": nic.pci,
        "name": nic.name,
        "id": f"{nic.vendor}:{nic.device}",
        "subsystem": f"{nic.subsystem_vendor}:{nic.subsystem_device}",
        "numa_node": None if nic.numa_node < 0 else nic.numa_node,
        "iommu_group": nic.iommu_group or None,
        "iommu_group_shared_with": list(nic.group),
        "pcie": {key: told(host, f"{DEVICES}/{nic.pci}/{name}") for key, name in _PCIE.items()},
        **interface_facts(host, netns, interface),
    }


def interface_facts(host: Host, netns: str | None, interface: str) -> Json:
    """Return the part of nic_facts() that the kernel's driver tells; nulls where there is none."""
    has_ethtool = bool(interface) and host.which("ethtool") is not None

    def ask(*option: str) -> dict[str, str]:
        return fields(output(host, ["ethtool", *option, interface], netns)) if interface else {}

    def show(group: str) -> Shown:
        return Interface(host, netns, interface).show(group) if has_ethtool else Shown({}, {})
    link, driver, module, pause = ask(), ask("-i"), ask("-m"), ask("-a")
    speed = re.match(r"(\d+)Mb/s", link.get("Speed", ""))
    coalescing = show("coalescing").now
    return {
        "interface": interface or None,
        "driver": driver.get("driver") or None,
        "driver_version": driver.get("version") or None,
        "firmware": _known(driver.get("firmware-version")),
        "speed_mbps": int(speed[1]) if speed else None,
        "duplex": _known(link.get("Duplex")),
        "port": _known(link.get("Port")),
        "autonegotiation": link.get("Auto-negotiation"),
        "link": link.get("Link detected"),
        "module": {key: module.get(name) for key, name in _MODULE.items()}
        if "Identifier" in module else None,
        "rings": _sizes(show("rings")),
        "channels": _sizes(show("channels")),
        "coalescing": {key: int(value) if value.isdigit() else value
                       for key, value in coalescing.items()} or None,
        "pause": {key.lower(): pause[key] for key in ("Autonegotiate", "RX", "TX") if key in pause}
        or None,
    }


def output(host: Host, argv: Sequence[str], netns: str | None = None) -> str | None:
    """Return what a program prints, whatever its exit code (`wrk -v` says 1); None without."""
    if host.which(argv[0]) is None:
        return None
    return host.run(argv, netns=netns, check=False).stdout.strip() or None


def told(host: Host, path: str) -> str | None:
    """Return the text of a file; None where the machine does not tell."""
    return host.text(path) or None


def chosen(text: str | None) -> str | None:
    """Return the word in brackets among those that a sysfs file offers."""
    match = re.search(r"\[(\w+)\]", text or "")
    return match[1] if match else None


def _known(text: str | None) -> str | None:
    """Return None for what ethtool says where a driver has no answer."""
    return None if (text or "").split("!")[0] in ("", "N/A", "n/a", "Unknown", "Other") else text


def _sizes(shown: Shown) -> Json | None:
    """Return `now` and `most` of rings or channels, by ethtool's names; None without any."""
    now = {key.replace("-", " "): int(value) for key, value in shown.now.items() if value.isdigit()}
    most = {key.replace("-", " "): value for key, value in shown.most.items()}
    return {"now": now, "most": most} if now else None


def _numbered(host: Host, directory: str, pattern: str) -> list[str]:
    """Return names of that pattern, in the order of the number at their end."""
    names = [name for name in host.listing(directory) if re.fullmatch(pattern, name)]
    return sorted(names, key=lambda name: int(re.sub(r"\D", "", name)))


def _turbo(host: Host) -> bool | None:
    for name, on in (("intel_pstate/no_turbo", "0"), ("cpufreq/boost", "1")):
        if state := host.text(f"{_CPU}/{name}"):
            return state == on
    return None


def _c_states(host: Host) -> list[str] | None:
    """Return the C-states of the first CPU that the kernel may use; None where it has no say."""
    at = f"{_CPU}/cpu0/cpuidle"
    states = _numbered(host, at, r"state\d+")
    enabled = [host.text(f"{at}/{state}/name") for state in states
               if host.text(f"{at}/{state}/disable") != "1"]
    return enabled if states else None


def _node(host: Host, name: str) -> Json:
    at = f"{_NODES}/{name}"
    memory = re.search(r"MemTotal:\s+(\d+) kB", host.text(f"{at}/meminfo"))
    pages = {int(re.sub(r"\D", "", size)): told(host, f"{at}/hugepages/{size}/nr_hugepages")
             for size in host.listing(f"{at}/hugepages")}
    return {"node": int(name.removeprefix("node")), "cpus": told(host, f"{at}/cpulist"),
            "memory_kib": int(memory[1]) if memory else None,
            "hugepages": {f"{kib} KiB": int(count) if count else None
                          for kib, count in sorted(pages.items())}}
