# SPDX-License-Identifier: BSD-3-Clause
"""A card's kernel interface is tuned, with what its driver has, and has its own settings again after DPDK's driver."""

from __future__ import annotations

import json
import os

import pytest

from harness.provision.nic import saved_state
from harness.provision.tuning.ethtool import Interface, affinity
from harness.host import driver_of, interface_of, LocalHost
from harness.provision.tuning import tune_interface

HOST = LocalHost()
# of each model, all that is got; "": its driver has nothing of the kind
GOT = {
    "e1000e": {"channels": "", "rings": "rx 1024 tx 1024", "coalescing, rx": "rx-usecs 10", "coalescing, tx": "",
               "flow control": "autoneg off rx off tx off"},
    "virtio-mq": {"channels": "combined 1", "rings": "rx 256 tx 256", "coalescing, rx": "rx-usecs 0",
                  "coalescing, tx": "tx-usecs 0", "flow control": ""},
}


@pytest.mark.model(*GOT)
def test_an_interface_is_tuned_and_comes_back(nic: str) -> None:
    name, driver = interface_of(HOST, nic), driver_of(HOST, nic)
    HOST.run(["ip", "link", "set", "dev", name, "up"])
    before = json.loads(json.dumps(Interface(HOST, None, name).settings()))
    assert before["rings"] and before["irqs"] and all(before["irqs"].values())
    found = {entry.what: entry for entry in tune_interface(HOST, None, name, nic, "fair", [1])}
    assert {what: found[what].got for what in GOT[os.environ["VM_MODEL"]]} == GOT[os.environ["VM_MODEL"]]
    # whatever is not as asked has its reason
    assert found.pop("interrupts").why == "" and {affinity(HOST, irq) for irq in before["irqs"]} == {"1"}
    assert all(entry.why for entry in found.values() if entry.got != entry.asked)
    assert Interface(HOST, None, name).restore(before) == [] and Interface(HOST, None, name).settings() == before

    tune_interface(HOST, None, name, nic, "fair", [1])
    HOST.run(["ip", "link", "set", "dev", name, "down"])
    HOST.run(["modprobe", "vfio-pci"])
    for each in ("vfio-pci", driver):
        saved_state.bind(HOST, each, nic)
    name = saved_state.await_interface(HOST, nic)
    assert Interface(HOST, None, name).restore(before) == []
    HOST.run(["ip", "link", "set", "dev", name, "up"])
    assert Interface(HOST, None, name).settings() == before
