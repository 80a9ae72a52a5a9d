# SPDX-License-Identifier: BSD-3-Clause
"""The virtual machine is what the other tests here take it for."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Callable

import pytest

PCI = Path("/sys/bus/pci/devices")
DRIVER = {"e1000e": "e1000e", "e1000": "e1000", "vmxnet3": "vmxnet3", "virtio": "virtio-pci", "virtio-mq": "virtio-pci"}
Vmctl = Callable[..., None]


def run(*argv: str) -> str:
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    return done.stdout


def driver(nic: str) -> str:
    return (PCI / nic / "driver").resolve().name


def interface(nic: str, seconds: float = 10) -> str:
    """The interface that its kernel driver makes, as soon as it is there."""
    until = time.monotonic() + seconds
    while True:
        found = [path.name for pattern in ("net/*", "virtio*/net/*") for path in (PCI / nic).glob(pattern)]
        if found or time.monotonic() > until:
            assert found, f"{nic} has no interface"
            return found[0]
        time.sleep(0.05)


def carrier(name: str, wanted: str, seconds: float = 10) -> str:
    until = time.monotonic() + seconds
    while True:
        now = Path(f"/sys/class/net/{name}/carrier").read_text().strip()
        if now == wanted or time.monotonic() > until:
            return now
        time.sleep(0.05)


def test_driver_gives_the_card_to_vfio_and_has_it_back(nic: str) -> None:
    own = DRIVER[os.environ["VM_MODEL"]]
    assert driver(nic) == own
    group = (PCI / nic / "iommu_group").resolve().name
    run("modprobe", "vfio-pci")
    run("dpdk-devbind.py", "--force", "-b", "vfio-pci", nic)
    assert driver(nic) == "vfio-pci"
    assert Path(f"/dev/vfio/{group}").exists()
    run("dpdk-devbind.py", "--force", "-b", own, nic)
    assert driver(nic) == own
    assert interface(nic)


@pytest.mark.model("virtio-mq")
def test_the_card_has_two_queues(nic: str) -> None:
    assert len(list(Path(f"/sys/class/net/{interface(nic)}/queues").glob("rx-*"))) == 2


def test_the_two_cards_are_on_one_cable(nic: str, client: str) -> None:
    run("ip", "netns", "add", "bed")
    try:
        run("ip", "link", "set", client, "netns", "bed")
        run("ip", "-n", "bed", "address", "add", "198.18.0.1/24", "dev", client)
        run("ip", "-n", "bed", "link", "set", client, "up")
        server = interface(nic)
        run("ip", "address", "add", "198.18.0.2/24", "dev", server)
        run("ip", "link", "set", server, "up")
        assert carrier(server, "1") == "1"
        run("ping", "-q", "-c", "1", "-W", "10", "198.18.0.1")
    finally:
        run("ip", "netns", "delete", "bed")


# The kernel's e1000e driver was not seen to notice it on QEMU's card while it is up.
@pytest.mark.model("virtio", "virtio-mq")
def test_the_cable_can_be_pulled(nic: str, vmctl: Vmctl) -> None:
    server = interface(nic)
    run("ip", "link", "set", server, "up")
    assert carrier(server, "1") == "1"
    vmctl("link", "cable", "off")
    assert carrier(server, "0") == "0"
    vmctl("link", "cable", "on")
    assert carrier(server, "1") == "1"


def test_the_card_can_be_unplugged_and_plugged(nic: str, vmctl: Vmctl) -> None:
    assert interface(nic)
    vmctl("unplug", "server")
    assert not (PCI / nic).exists()
    vmctl("plug", "server")
    assert interface(nic)


@pytest.mark.extra("shared")
def test_the_card_shares_its_iommu_group(nic: str) -> None:
    assert len(list((PCI / nic / "iommu_group/devices").iterdir())) > 1


@pytest.mark.extra("spare")
def test_there_is_a_third_card() -> None:
    classes = [(path / "class").read_text()[:4] for path in PCI.iterdir()]
    assert classes.count("0x02") == 3


def test_modules_load() -> None:
    run("modprobe", "sch_netem")
    run("modprobe", "vhost-net")
    assert Path("/dev/vhost-net").exists()
