# SPDX-License-Identifier: BSD-3-Clause
"""A port comes home from wherever a run, a kill or a reboot left it, and says what to do by hand when it cannot."""

from __future__ import annotations

import contextlib

import pytest

from harness.provision.nic import saved_state
from harness.provision import journal
from harness.provision.step import STATE_DIR
from harness.errors import MachineError
from harness.tests.fixtures.nic_host import CLIENT, SERVER, NicHost

PLACE = ("stackduel-server", "server0")
FILE = saved_state.state_file(SERVER)


@pytest.fixture
def host() -> NicHost:
    made = NicHost()
    made.ports[SERVER].addresses = ["10.0.0.7/24"]
    made.ports[SERVER].routes = ["default"]
    made.ports[SERVER].mtu = 9000
    return made


def taken(host: NicHost) -> object:
    """The machine's state before; then the port is in its place."""
    before = host.state()
    saved_state.save_nic(host, host.nic(SERVER), [PLACE])
    port = host.ports[SERVER]
    port.netns, port.name, port.mtu, port.addresses, port.routes = *PLACE, 1500, ["198.18.0.2/24"], []
    return before


def test_from_our_namespace(host: NicHost) -> None:
    before = taken(host)
    assert saved_state.restore_nic(host, FILE) and host.state() == before


def test_from_dpdk(host: NicHost) -> None:
    before = taken(host)
    host._bind(host.ports[SERVER], "vfio-pci")
    assert saved_state.restore_nic(host, FILE) and host.state() == before


def test_from_a_reboot_that_forgot_addresses_routes_and_mtu(host: NicHost) -> None:
    before = taken(host)
    host._bind(host.ports[SERVER], "e1000e")
    assert host.ports[SERVER].name == "eth0" and not host.exists(journal.DIRECTORY)
    assert journal.left_behind(host)
    done, failed = journal.restore(host)
    assert done == [f"# restore the NIC, as {FILE} says"] and failed == [] and host.state() == before
    assert not journal.left_behind(host)


def test_only_what_still_differs_is_done(host: NicHost) -> None:
    saved_state.save_nic(host, host.nic(SERVER), [PLACE])
    before = host.state()
    host.calls.clear()
    assert saved_state.restore_nic(host, FILE)
    assert not [call for call in host.calls if "devbind" in call or "netns" in call and "show" not in call
                or "address add" in call]
    assert saved_state.restore_nic(host, FILE) is False and before != host.state()


def test_a_driver_that_does_not_take_it_back_is_a_command_to_run_by_hand(host: NicHost) -> None:
    before = taken(host)
    host._bind(host.ports[SERVER], "vfio-pci")
    host.refuses = {"e1000e"}
    with pytest.raises(MachineError, match=rf"by hand: `dpdk-devbind.py --force -b e1000e {SERVER}`"):
        saved_state.restore_nic(host, FILE)
    assert host.exists(FILE)
    host.refuses = set()
    assert saved_state.restore_nic(host, FILE) and host.state() == before


def test_one_that_is_gone_has_no_home_any_more(host: NicHost) -> None:
    taken(host)
    del host.ports[SERVER]
    assert saved_state.restore_nic(host, FILE) and not host.exists(FILE)


def test_what_was_cut_short_while_it_was_written_had_not_begun(host: NicHost) -> None:
    host.files[FILE] = '{"pci": "0000:0'
    before = str(host.ports)
    assert saved_state.restore_nic(host, FILE) and not host.exists(FILE) and str(host.ports) == before


def test_a_file_that_is_not_ours_is_left_alone(host: NicHost) -> None:
    host.files[FILE] = "{}\n"
    with pytest.raises(MachineError, match="does not say where a port belongs"):
        saved_state.restore_nic(host, FILE)
    assert host.exists(FILE)


def test_each_act_may_fail_and_be_repeated(host: NicHost) -> None:
    before = taken(host)
    host._bind(host.ports[SERVER], "vfio-pci")
    for act in range(1, 60):
        host.calls.clear()
        host.fail_at = act
        with contextlib.suppress(MachineError):
            saved_state.restore_nic(host, FILE)
        if not host.exists(FILE):
            break
    assert host.calls[-1] == f"rmdir {STATE_DIR}" and act > 5
    host.fail_at = 0
    host.remove_directory(STATE_DIR)
    assert host.state() == before


def test_an_address_with_a_life_keeps_it() -> None:
    assert saved_state._address_words({"local": "10.0.0.7", "prefixlen": 24, "valid_life_time": 600, "preferred_life_time": 300}) == [
        "10.0.0.7/24", "valid_lft", "600", "preferred_lft", "300"]


def test_a_port_without_an_interface_only_has_a_driver(host: NicHost) -> None:
    host._bind(host.ports[CLIENT], "vfio-pci")
    before = host.state()
    saved_state.save_nic(host, host.nic(CLIENT), [PLACE])
    host._bind(host.ports[CLIENT], "igb")
    assert saved_state.restore_nic(host, saved_state.state_file(CLIENT)) and host.ports[CLIENT].driver == "vfio-pci"
    assert not host.exists(saved_state.state_file(CLIENT)) and before != host.state()
