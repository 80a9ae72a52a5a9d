# SPDX-License-Identifier: BSD-3-Clause
"""The guest's network cards and the cable between them, as QEMU's own device descriptions. Pure: nothing is run.

Two cards are always there: `client` (virtio-net on its kernel driver) and `server`, the one under test, behind a
pcie-root-port so that vfio can reset it and it can be unplugged.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Mapping

from ci.vm.errors import UsageError

Device = Mapping[str, str | int | bool]
CLIENT, SERVER, SPARE = "client", "server", "spare"
MAC = {CLIENT: "52:54:00:00:00:01", SERVER: "52:54:00:00:00:02", SPARE: "52:54:00:00:00:03"}
NO_IOMMU = "no-iommu"
HUB, SPARE_HUB = 1, 2
BRIDGE = "cable"


@dataclass(frozen=True)
class Model:
    """A card for the server: QEMU's device, and how many queue pairs it has. More than one needs TAPs of the host."""

    device: Device
    queues: int = 1


_VIRTIO: Device = {"driver": "virtio-net-pci", "disable-legacy": "on", "iommu_platform": True}
MODELS = {
    "e1000e": Model({"driver": "e1000e"}),
    "e1000": Model({"driver": "e1000"}),
    "vmxnet3": Model({"driver": "vmxnet3"}),
    # Without these two DPDK hangs at its start.
    "virtio": Model(_VIRTIO),
    # One vector a queue, one for the configuration, one for the control queue.
    "virtio-mq": Model({**_VIRTIO, "mq": True, "rss": True, "vectors": 6}, queues=2),
}


@dataclass(frozen=True)
class Devices:
    """`netdevs` and `devices` in the order QEMU must meet them; `taps`: name to number of queues, made beforehand."""

    netdevs: tuple[Device, ...]
    devices: tuple[Device, ...]
    taps: Mapping[str, int] = field(default_factory=dict)

    def named(self, name: str) -> Device:
        """The card `name`, for plugging it again. UsageError when there is none."""
        for device in self.devices:
            if device.get("id") == name and "netdev" in device:
                return device
        cards = ", ".join(str(device["id"]) for device in self.devices if "netdev" in device)
        raise UsageError(f"no card '{name}'; there are: {cards}")


def _netdev(name: str, hub: int, queues: int) -> Device:
    if not queues:
        return {"type": "hubport", "id": f"net-{name}", "hubid": hub}
    tap: dict[str, str | int | bool] = {"type": "tap", "id": f"net-{name}", "ifname": f"tap-{name}", "script": "no",
                                        "downscript": "no"}
    return {**tap, "queues": queues} if queues > 1 else tap


def _root_port(number: int, function: int | None = None) -> Device:
    """A port of its own, or a function of one slot without ACS: what is behind such ports is one IOMMU group."""
    port: dict[str, str | int | bool] = {"driver": "pcie-root-port", "id": f"port{number}", "chassis": number,
                                         "slot": number}
    if function is None:
        return port
    return {**port, "addr": f"0x10.0x{function}", "multifunction": True, "disable-acs": True}


def devices(model: str, extras: tuple[str, ...] = ()) -> Devices:
    """The cards for `--nic model`, with `--with` extras of EXTRAS. UsageError for a name that is not there."""
    if model not in MODELS:
        raise UsageError(f"no NIC model '{model}'; there are: {', '.join(MODELS)}")
    for extra in extras:
        if extra not in EXTRAS:
            raise UsageError(f"nothing is called '{extra}' for --with; there are: {', '.join(EXTRAS)}")
    card = MODELS[model]
    taps = {f"tap-{CLIENT}": 1, f"tap-{SERVER}": card.queues} if card.queues > 1 else {}
    netdevs = [_netdev(CLIENT, HUB, 1 if taps else 0), _netdev(SERVER, HUB, card.queues if taps else 0)]
    parts: list[Device] = [
        {"driver": "virtio-net-pci", "id": CLIENT, "netdev": f"net-{CLIENT}", "mac": MAC[CLIENT], "romfile": ""},
        _root_port(1, 0 if "shared" in extras else None)]
    parts.append({**card.device, "id": SERVER, "bus": "port1", "netdev": f"net-{SERVER}", "mac": MAC[SERVER],
                  "romfile": ""})
    if "shared" in extras:
        parts += [_root_port(3, 1), {"driver": "virtio-rng-pci", "id": "sibling", "bus": "port3",
                                     "disable-legacy": "on"}]
    if "spare" in extras:
        netdevs.append(_netdev(SPARE, SPARE_HUB, 0))
        parts += [_root_port(2), {"driver": "e1000e", "id": SPARE, "bus": "port2", "netdev": f"net-{SPARE}",
                                  "mac": MAC[SPARE], "romfile": ""}]
    return Devices(tuple(netdevs), tuple(parts), taps)


# What --with adds.
EXTRAS = {
    "shared": "another device in the IOMMU group of the server's card",
    NO_IOMMU: "no IOMMU at all",
    "spare": "a third card on a cable of its own, that nobody uses",
}
