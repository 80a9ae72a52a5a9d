# SPDX-License-Identifier: BSD-3-Clause
"""What can go wrong with a bound NIC: each ends with one clear line, and with a machine as before."""

from __future__ import annotations

import mmap
import os
import subprocess
from pathlib import Path
from typing import Callable, Iterator

import pytest

from harness.tests.vm.conftest import INSIDE

if INSIDE:
    from harness.provision.nic import saved_state
    from harness.errors import MachineError
    from harness.host import LocalHost, Host
    from harness.host.pci import driver_of, find_nic, interface_of
    from harness.tests.vm.forked import Forked, machine, until

Vmctl = Callable[..., None]
SHORT = ("ROUNDS=1", "CONNECTIONS=4", "WARMUP=0", "CONTENDERS=epoll,lwip")


@pytest.fixture
def run(tmp_path: Path, nic: str, client: str) -> Callable[..., "Forked"]:
    """run("DURATION=1", …): a short bench on the card; options that begin with a dash are added."""
    def start(*words: str, nic: str = nic, client: str = f"if:{client}") -> "Forked":
        settings = [each for word in (*SHORT, *words) if not word.startswith("-") for each in ("--set", word)]
        options = [word for word in words if word.startswith("-")]
        return Forked(tmp_path, "bench", "--wire", "nic", "--plan", "quick", "--nic", nic, "--client", client, *options,
                      *settings)
    return start


@pytest.fixture(autouse=True)
def as_before(nic: str, tmp_path: Path) -> Iterator[None]:
    """The machine is left as the test found it."""
    before = machine()
    yield
    assert machine() == before


def restored(tmp_path: Path) -> str:
    undoing = Forked(tmp_path, "restore")
    assert undoing.wait() == 0, undoing.said
    return undoing.out


@pytest.mark.parametrize("contender", ["lwip", "epoll"])
def test_killed_while_it_has_the_port(run: Callable[..., "Forked"], nic: str, tmp_path: Path, contender: str) -> None:
    before, own = machine(), driver_of(LocalHost(), nic)
    killed = run(f"CONTENDERS={contender}", "DURATION=30")
    killed.under_load(f"{contender}_server")
    killed.kill()
    assert driver_of(LocalHost(), nic) == ("vfio-pci" if contender == "lwip" else own)
    assert machine() != before
    assert f"restore the NIC, as {saved_state.state_file(nic)} says" in restored(tmp_path)
    assert machine() == before
    assert restored(tmp_path) == "nothing to undo\n"


def test_an_address_a_route_and_an_mtu_come_back(run: Callable[..., "Forked"], nic: str, tmp_path: Path) -> None:
    name = interface_of(LocalHost(), nic)
    subprocess.run(f"ip link set {name} mtu 1400 up && ip address add 10.9.8.7/24 dev {name} && "
                   f"ip route add 10.9.9.0/24 via 10.9.8.1", shell=True, check=True)
    before = machine()
    try:
        refused = run("DURATION=1")
        assert refused.wait() == 3
        assert len(refused.said) == 1 and "10.9.8.7/24" in refused.said[0] and "FORCE=1" in refused.said[0]
        assert machine() == before
        killed = run("CONTENDERS=lwip", "DURATION=30", "--force")
        killed.under_load("lwip_server")
        killed.kill()
        restored(tmp_path)
        assert machine() == before
    finally:
        subprocess.run(f"ip address flush dev {name}; ip link set {name} mtu 1500 down", shell=True)


def test_the_default_route_is_left_alone(run: Callable[..., "Forked"], nic: str) -> None:
    name = interface_of(LocalHost(), nic)
    subprocess.run(f"ip link set {name} up && ip route add default dev {name}", shell=True, check=True)
    try:
        refused = run("DURATION=1")
        assert refused.wait() == 3
        assert len(refused.said) == 1 and "carries the default route" in refused.said[0]
    finally:
        subprocess.run(["ip", "link", "set", name, "down"])


def test_a_cable_that_is_pulled_and_put_back_under_load(run: Callable[..., "Forked"], vmctl: Vmctl) -> None:
    pulled = run("CONTENDERS=lwip", "DURATION=8")
    pulled.under_load("lwip_server")
    vmctl("link", "cable", "off")
    vmctl("link", "cable", "on")
    # a request that waited too long makes the trial one that does not count
    assert pulled.wait() in (0, 1)
    assert len(pulled.said) <= 1


def test_a_cable_that_stays_out(run: Callable[..., "Forked"], vmctl: Vmctl) -> None:
    pulled = run("CONTENDERS=lwip", "DURATION=3")
    pulled.under_load("lwip_server")
    vmctl("link", "cable", "off")
    try:
        assert pulled.wait() == 4
        assert len(pulled.said) == 1 and "contender 'lwip' did not answer" in pulled.said[0]
    finally:
        vmctl("link", "cable", "on")


def test_no_cable(run: Callable[..., "Forked"], vmctl: Vmctl) -> None:
    vmctl("link", "cable", "off")
    try:
        alone = run("DURATION=1")
        assert alone.wait() == 3
        assert len(alone.said) == 1 and "server0 of this machine has no link" in alone.said[0]
        assert "plug in the cable" in alone.said[0]
    finally:
        vmctl("link", "cable", "on")


@pytest.mark.extra("spare")
def test_a_peer_that_is_silent(run: Callable[..., "Forked"], nic: str) -> None:
    spare = next(each for each in sorted(os.listdir("/sys/bus/pci/devices")) if each.endswith("02:00.0"))
    silent = run("CONTENDERS=lwip", "DURATION=1", nic=spare)
    assert silent.wait() == 4, silent.said
    assert len(silent.said) == 1 and "does not answer a ping at 198.18.0.3" in silent.said[0]


@pytest.mark.extra("shared")
def test_a_shared_iommu_group(run: Callable[..., "Forked"], nic: str) -> None:
    shared = run("DURATION=1")
    assert shared.wait() == 3
    others = find_nic(LocalHost(), nic).group
    assert len(shared.said) == 1 and others and all(other in shared.said[0] for other in others)
    assert "virtio-pci" in shared.said[0]


def test_no_memory_for_hugepages(run: Callable[..., "Forked"]) -> None:
    setting = Path("/proc/sys/vm/nr_hugepages")
    before = setting.read_text()
    setting.write_text("100000")
    pages = int(setting.read_text())
    held = mmap.mmap(-1, pages << 21, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40000 | mmap.MAP_POPULATE)
    try:
        poor = run("DURATION=1")
        assert poor.wait() == 3
        assert len(poor.said) == 1 and "96 hugepages of 2048 KiB" in poor.said[0]
    finally:
        held.close()
        setting.write_text(before)


def test_a_driver_that_there_is_not(nic: str) -> None:
    host = LocalHost()
    saved_state.save_nic(host, find_nic(host, nic), [])
    with pytest.raises(MachineError, match="could not be given to driver no-such-driver .* by hand: `dpdk-devbind.py"):
        saved_state.bind(host, "no-such-driver", nic)
    assert saved_state.restore_nic(host, saved_state.state_file(nic))


def test_a_port_that_is_named_twice(run: Callable[..., "Forked"], nic: str) -> None:
    twice = run("DURATION=1", client=f"if:{interface_of(LocalHost(), nic)}")
    assert twice.wait() == 2
    assert len(twice.said) == 1 and f"are the same port ({nic})" in twice.said[0]


def test_a_card_that_is_unplugged_under_load(run: Callable[..., "Forked"], nic: str, vmctl: Vmctl,
                                             tmp_path: Path) -> None:
    own = driver_of(LocalHost(), nic)
    unplugged = run("CONTENDERS=lwip", "DURATION=5")
    unplugged.under_load("lwip_server")
    try:
        vmctl("unplug", "server")
        assert unplugged.wait() in (1, 3, 4)
        assert len(unplugged.said) == 1
        assert restored(tmp_path) == "nothing to undo\n"
    finally:
        vmctl("plug", "server")
        until("the driver has it again", lambda: driver_of(LocalHost(), nic) == own and bool(interface_of(LocalHost(), nic)))
