# SPDX-License-Identifier: BSD-3-Clause
"""Kernel modules as steps: what is there, what can be loaded, what goes when, on machines in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.provision import journal as undoing
from harness.errors import MachineError
from harness.host import Result
from harness.provision.kernel_modules import Module, missing
from harness.tests.fixtures.fake_host import FakeHost

VHOST = "/dev/vhost-net"
DEP = """kernel/drivers/vhost/vhost_net.ko.xz: kernel/drivers/net/tun.ko.xz kernel/drivers/vhost/vhost.ko.xz
kernel/drivers/vhost/vhost.ko.xz:
kernel/drivers/net/tun.ko.xz:
kernel/drivers/vfio/pci/vfio-pci.ko: kernel/drivers/vfio/vfio.ko
"""
MOUNTS = "22 1 0:5 / /dev rw,nosuid shared:2 - {} udev rw\n"


def machine(devices: str = "devtmpfs") -> FakeHost:
    """A distribution's kernel, nothing loaded; `devices`: the file system of /dev."""
    class Host(FakeHost):
        def read(self, path: str | Path) -> str:
            return MOUNTS.format(devices) if str(path) == "/proc/self/mountinfo" else super().read(str(path))
    host = Host()
    host.files |= {"/proc/sys/kernel/osrelease": "6.1.0\n", "/lib/modules/6.1.0/modules.dep": DEP,
                   "/lib/modules/6.1.0/modules.builtin": "kernel/net/sched/sch_fifo.ko\n"}
    return host


def up(host: FakeHost, step: Module) -> list[undoing.Entry]:
    assert step.check(host) == ""
    entries = [undoing.Entry(step.name, tuple(step.undo(host)))]
    step.up(host)
    return entries


def test_it_is_loaded_and_unloaded_with_what_it_brought() -> None:
    host = machine()
    host.directories.add("/sys/module/tun")
    entries = up(host, Module("vhost_net", "contender 'lwip'", VHOST))
    assert entries[0].undo == (["unload", "vhost_net"], ["unload", "vhost"])
    host.directories.add("/sys/module/vhost")
    assert undoing.undo(host, entries) == (["rmmod vhost_net", "rmmod vhost"], [])
    assert host.calls == ["run modprobe vhost_net", "run rmmod vhost_net", "run rmmod vhost"]
    assert undoing.undo(host, entries) == ([], []), "nothing is left to undo"


def test_names_with_a_dash_are_those_of_sys_module() -> None:
    host = machine()
    assert up(host, Module("vfio-pci", "x"))[0].undo == (["unload", "vfio_pci"], ["unload", "vfio"])
    assert up(host, Module("vfio-pci", "x"))[0].undo == () and host.calls == ["run modprobe vfio-pci"]


def test_what_is_there_already_or_built_in_is_left_alone() -> None:
    host = machine()
    host.directories |= {"/sys/module/vhost_net"}
    host.files[VHOST] = ""
    for step in (Module("vhost_net", "x", VHOST), Module("sch_fifo", "x")):
        assert up(host, step)[0].undo == ()
    assert host.calls == []


@pytest.mark.parametrize("answer, failed", [
    (Result(1, "", "rmmod: ERROR: Module vhost_net is in use by: somebody\n"), []),
    (Result(1, "", "rmmod: ERROR: Operation not permitted\n"),
     ["x: `rmmod vhost_net` failed (exit 1): rmmod: ERROR: Operation not permitted"])])
def test_one_that_somebody_uses_by_now_stays(answer: Result, failed: list[str]) -> None:
    host = machine()
    host.directories.add("/sys/module/vhost_net")
    host.answers["rmmod",] = answer
    assert undoing.undo(host, [undoing.Entry("x", (["unload", "vhost_net"],))]) == ([], failed)


def test_what_is_missing_is_one_line() -> None:
    host = machine()
    assert missing(host, "sch_netem").startswith("kernel module sch_netem (neither loaded nor in /lib/modules: ")
    assert Module("sch_netem", "NETEM=loss 1%").check(host).endswith("for NETEM=loss 1%")
    host.missing = {"modprobe"}
    assert missing(host, "vfio-pci") != "" and missing(host, "sch_fifo") == ""


def test_in_a_container_loading_makes_no_device() -> None:
    line = f"{VHOST} (`modprobe vhost_net`; in a container: --device {VHOST})"
    assert (missing(machine(), "vhost_net", VHOST), missing(machine("tmpfs"), "vhost_net", VHOST)) == ("", line)
    inside = machine()
    inside.directories.add("/sys/module/vhost_net")
    assert missing(inside, "vhost_net", VHOST) == line


def test_a_kernel_that_does_not_tell_is_judged_by_its_device() -> None:
    host = FakeHost()
    assert missing(host, "vhost_net", VHOST) != ""
    host.files[VHOST] = ""
    assert missing(host, "vhost_net", VHOST) == ""
    assert up(host, Module("vhost_net", "x", VHOST))[0].undo == () and host.calls == []


def test_a_module_that_will_not_load_says_so() -> None:
    host = machine()
    host.answers["modprobe",] = Result(1, "", "modprobe: ERROR: could not insert 'vfio_pci': Operation not permitted\n")
    with pytest.raises(MachineError, match="`modprobe vfio-pci` failed .*Operation not permitted"):
        Module("vfio-pci", "x").up(host)
