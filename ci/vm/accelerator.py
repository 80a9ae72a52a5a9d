# SPDX-License-Identifier: BSD-3-Clause
"""KVM where it is fast, software emulation (TCG) where it is not: decided by booting to user land within a time limit, and
remembered for this machine. (On some nested hosts KVM hangs, aborts, or is slower than emulation.)
"""

from __future__ import annotations

import json
import os
import platform
import time
from dataclasses import replace
from pathlib import Path
from typing import Callable

from ci.vm.qemu import Machine, Setup

# Emulation needs 4 to 7 s.
PROBE_SECONDS = 6.0
KVM = Path("/dev/kvm")


def _this_machine() -> str:
    """What the answer stands for: another host, kernel or QEMU is asked anew."""
    cpu = next((line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines()
                if line.startswith("model name")), "")
    return f"{platform.node()} {platform.release()} {cpu}"


def _probe(setup: Setup, log: Path) -> tuple[str, str]:
    """(accelerator, why)."""
    if not os.access(KVM, os.R_OK | os.W_OK):
        return "tcg", f"no access to {KVM}" if KVM.exists() else f"there is no {KVM}"
    began = time.monotonic()
    machine = Machine(replace(setup, accelerator="kvm", arguments="vm.probe"), (), log)
    try:
        ended = machine.wait(PROBE_SECONDS)
        seconds = time.monotonic() - began
        if not ended:
            return "tcg", f"KVM was not in user land after {PROBE_SECONDS:.0f} s"
        if machine.ended() != 0:
            return "tcg", f"QEMU with KVM ended with {machine.ended()}: {machine.complaint()}"
        return "kvm", f"KVM was in user land and off again after {seconds:.1f} s"
    finally:
        machine.close()


def choose(cache: Path, setup: Setup, say: Callable[[str], None]) -> str:
    """"kvm" or "tcg"; `setup` is the kernel and initramfs to try, with files of the run's directory."""
    file = cache / "accelerator.json"
    machine = _this_machine()
    try:
        known = json.loads(file.read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        known = {}
    if known.get("machine") != machine:
        say(f"is KVM fast here? Trying for {PROBE_SECONDS:.0f} s at most")
        accelerator, why = _probe(setup, setup.console.with_name("probe.log"))
        known = {"machine": machine, "accelerator": accelerator, "why": why}
        file.write_text(json.dumps(known) + "\n", "utf-8")
    say(f"accelerator: {known['accelerator']} ({known['why']})")
    return str(known["accelerator"])
