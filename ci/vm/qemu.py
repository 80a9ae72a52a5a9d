# SPDX-License-Identifier: BSD-3-Clause
"""QEMU's command line, and its process: dies with us, and so does all that it uses of the host.

Ports to the guest are socket pairs, so nothing of them is in the file system; TAPs are in a network namespace without a
name that ends with QEMU. Knows nothing of jobs.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Mapping, Sequence

from ci.vm.devices import BRIDGE, Devices
from ci.vm.errors import MachineError

QEMU = "qemu-system-x86_64"
# program: what Debian has it in
NEEDED = {QEMU: "qemu-system-x86", "setpriv": "util-linux", "unshare": "util-linux", "ip": "iproute2", "depmod": "kmod",
          "dpkg-deb": "dpkg", "apt-get": "apt"}
CPUS = 2
# Without a constant clock every clock_gettime is an emulated access; the IOMMU has to be in use for vfio. The second
# line is for speed: zeroing 512 MiB of huge pages alone takes 2 s under emulation.
KERNEL_ARGUMENTS = ("console=ttyS0 quiet panic=-1 intel_iommu=on iommu.passthrough=0 tsc=reliable clocksource=tsc "
                    "mitigations=off nokaslr audit=0 net.ifnames=0 "
                    "init_on_alloc=0 cryptomgr.notests nowatchdog apparmor=0 rcupdate.rcu_expedited=1")


@dataclass(frozen=True)
class Setup:
    """What a machine is made of."""

    accelerator: str
    vmlinux: Path
    initramfs: Path
    console: Path
    share: Path | None = None
    cards: Devices | None = None
    memory: int = 2048
    hugepages: int = 256
    arguments: str = ""
    iommu: bool = True


def missing() -> list[str]:
    """Packages of the programs in NEEDED that are not here."""
    return sorted({package for program, package in NEEDED.items() if shutil.which(program) is None})


def accelerator_arguments(accelerator: str) -> list[str]:
    if accelerator == "kvm":
        return ["-accel", "kvm", "-cpu", "host"]
    return ["-accel", "tcg,thread=multi", "-cpu", "max"]


def _escaped(path: Path) -> str:
    """Return the path as a value among QEMU's options, which end at a comma."""
    return str(path).replace(",", ",,")


def _shares(share: Path) -> list[str]:
    return ["-fsdev", "local,id=root,path=/,security_model=none,readonly=on,multidevs=remap",
            "-device", "virtio-9p-pci,fsdev=root,mount_tag=root",
            "-fsdev", f"local,id=share,path={_escaped(share)},security_model=none,multidevs=remap",
            "-device", "virtio-9p-pci,fsdev=share,mount_tag=share"]


def _ports(ports: Mapping[str, int]) -> list[str]:
    """`ports`: name to our file descriptor's other end. `monitor` is QEMU's own, `terminal` the guest's console."""
    words = ["-device", "virtio-serial-pci,max_ports=16"]
    for name, descriptor in ports.items():
        words += ["-chardev", f"socket,id={name},fd={descriptor}"]
        if name == "monitor":
            words += ["-mon", f"chardev={name},mode=control"]
        elif name == "terminal":
            words += ["-device", f"virtconsole,chardev={name},name={name}"]
        else:
            words += ["-device", f"virtserialport,chardev={name},name={name}"]
    return words


def command_line(setup: Setup, ports: Mapping[str, int]) -> list[str]:
    """The whole of it. A reboot of the guest ends QEMU, until the monitor says otherwise."""
    kernel_arguments = f"{KERNEL_ARGUMENTS} hugepagesz=2M hugepages={setup.hugepages} {setup.arguments}".strip()
    words = [QEMU, "-M", "q35,kernel_irqchip=split,vmport=off,hpet=off", *accelerator_arguments(setup.accelerator),
             "-smp", str(CPUS), "-m", str(setup.memory), "-nodefaults", "-no-user-config", "-display", "none",
             "-action", "reboot=shutdown,shutdown=poweroff,panic=shutdown",
             "-serial", f"file:{setup.console}", "-kernel", str(setup.vmlinux), "-initrd", str(setup.initramfs),
             "-append", kernel_arguments]
    if setup.iommu:
        words += ["-device", "intel-iommu,intremap=on,caching-mode=on"]
    if setup.share:
        words += _shares(setup.share)
    words += _ports(ports)
    if setup.cards:
        for netdev in setup.cards.netdevs:
            words += ["-netdev", json.dumps(netdev)]
        for device in setup.cards.devices:
            words += ["-device", json.dumps(device)]
    return words


def taps_script(taps: Mapping[str, int]) -> str:
    """What makes `taps` and the bridge between them, in the namespace it is run in."""
    lines = ["set -e", "for family in all default; do",
             "  echo 1 > /proc/sys/net/ipv6/conf/$family/disable_ipv6 2>/dev/null || :", "done",
             f"ip link add {BRIDGE} type bridge stp_state 0 mcast_snooping 0", f"ip link set {BRIDGE} up"]
    for name, queues in taps.items():
        lines += [f"ip tuntap add {name} mode tap vnet_hdr{' multi_queue' if queues > 1 else ''}",
                  f"ip link set {name} master {BRIDGE} up"]
    return "\n".join(lines)


def _inside(taps: Mapping[str, int], words: Sequence[str]) -> list[str]:
    """`words` in a namespace of their own that has `taps`."""
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", "--net", *user, "sh", "-c", f"{taps_script(taps)}\nexec {shlex.join(words)}"]


class Machine:
    """A running QEMU. `ports`: name to our end of it."""

    def __init__(self, setup: Setup, names: Sequence[str], log: Path) -> None:
        lacking = missing()
        if lacking:
            raise MachineError(f"the virtual machine needs what is not here: run 'ci/deps.sh packages vm' "
                               f"({' '.join(lacking)})")
        pairs = {name: socket.socketpair() for name in names}
        theirs = {name: pair[1].fileno() for name, pair in pairs.items()}
        words = command_line(setup, theirs)
        if setup.cards and setup.cards.taps:
            words = _inside(setup.cards.taps, words)
        self.ports = {name: pair[0] for name, pair in pairs.items()}
        self._log = log
        with open(log, "wb") as out:
            self._popen = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *words], pass_fds=list(theirs.values()),
                                           stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
        for _, their in pairs.values():
            their.close()
        self.pid = self._popen.pid
        self.pidfd = os.pidfd_open(self.pid)

    def ended(self) -> int | None:
        """Exit code when it has ended."""
        return self._popen.poll()

    def complaint(self) -> str:
        """The last line that QEMU, or what starts it, said, but for warnings."""
        lines = [line for line in self._log.read_text("utf-8", "replace").strip().splitlines() if "warning:" not in line]
        return lines[-1] if lines else ""

    def wait(self, seconds: float) -> bool:
        """Has it ended, `seconds` from now at the latest?"""
        try:
            self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def end(self) -> None:
        """Ends it, however far it is."""
        if self._popen.poll() is None:
            self._popen.kill()
        self._popen.wait()

    def close(self) -> None:
        """Ends it and closes our ends of its ports."""
        self.end()
        for ours in self.ports.values():
            ours.close()
        os.close(self.pidfd)
