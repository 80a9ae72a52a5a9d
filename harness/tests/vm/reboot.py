# SPDX-License-Identifier: BSD-3-Clause
"""A machine that restarts while DPDK has its card: `begin` before, `end` after. What was there is kept in the share that
outlives the restart.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from harness.provision.journal import DIRECTORY
from harness.host import driver_of, interface_of, LocalHost
from harness.tests.vm.forked import Forked, machine

KEPT = Path("/run/vm/share/before.json")


def begin(nic: str, client: str) -> None:
    """Never returns: the machine restarts."""
    name = interface_of(LocalHost(), nic)
    subprocess.run(f"ip link set {name} mtu 1400 up && ip address add 10.9.8.7/24 dev {name} && "
                   f"ip route add 10.9.9.0/24 via 10.9.8.1", shell=True, check=True)
    KEPT.write_text(json.dumps(machine()))
    run = Forked(Path(tempfile.mkdtemp()), "bench", "--wire", "nic", "--plan", "quick", "--nic", nic, "--client",
                 f"if:{client}", "--force", "--set", "CONTENDERS=lwip", "--set", "DURATION=60")
    run.under_load("lwip_server")
    assert driver_of(LocalHost(), nic) == "vfio-pci"
    subprocess.run(["vmctl", "reset"], check=True)
    raise AssertionError("the machine did not restart")


def end() -> None:
    before = json.loads(KEPT.read_text())
    assert not os.path.exists(DIRECTORY), "a reboot takes /run away"
    assert machine() != before
    undoing = Forked(Path(tempfile.mkdtemp()), "restore")
    assert undoing.wait() == 0, undoing.said
    assert "restore the NIC" in undoing.out
    now = json.loads(json.dumps(machine()))
    assert now == before, f"{now} and not {before}"
    print("restored after a restart: as before")


if __name__ == "__main__":
    if sys.argv[1] == "begin":
        begin(os.environ["VM_NIC"], os.environ["VM_CLIENT"])
    else:
        end()
