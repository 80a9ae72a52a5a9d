# SPDX-License-Identifier: BSD-3-Clause
"""The NIC wire is made and undone on a machine with two ports; contenders have the port in turn."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.provision.nic import saved_state
from harness.provision import journal
from harness.provision.nic.driver import Binding
from harness.provision.resolved_wire import NicPair, find_pair
from harness.errors import MachineError, UsageError
from harness.plan.nic_request import NicRequest
from harness.plan import load_plan, schedule, turns
from harness.provision.provision import provisioned, restore
from harness.tests.fixtures.nic_host import CLIENT, SERVER, NicHost
from harness.tests.fixtures.wires import bare_wire
from harness.provision import ResolvedWire, resolve

VFIO = Binding(driver="vfio-pci", iommu=True, modules=(), writes=(), mode="vfio-pci behind an IOMMU")
NOTHING: list[str] = []


def nothing(line: str) -> None:
    NOTHING.append(line)


@pytest.fixture
def host() -> NicHost:
    made = NicHost()
    made.files["/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages"] = "200\n"
    return made


def fitted(host: NicHost, binding: Binding = VFIO) -> ResolvedWire:
    order = NicRequest(nic=SERVER, client="if:enp3s0", tune="none")
    ends = NicPair(host.nic(SERVER), host.nic(CLIENT), (), binding, order)
    plan = load_plan("quick", bare_wire("nic"), (0, 1), {})
    return replace(resolve(host, bare_wire("nic"), plan, ends), emulated="QEMU's e1000e")


def test_each_contender_has_the_port_with_its_own_driver(host: NicHost) -> None:
    before, wire = host.state(), fitted(host)
    with provisioned(host, wire, ("epoll", "lwip"), "run", log=nothing) as up:
        port, client = host.ports[SERVER], host.ports[CLIENT]
        assert (client.netns, client.name, client.addresses) == ("stackduel-client", "client0", ["198.18.0.1/24"])
        assert (port.netns, port.name, port.addresses) == ("stackduel-server", "server0", ["198.18.0.2/24"])
        host.calls.clear()
        up.turn_to(host, wire.contenders["epoll"])
        assert host.calls == []
        up.turn_to(host, wire.contenders["lwip"])
        assert port.driver == "vfio-pci"
        up.turn_to(host, wire.contenders["lwip"])
        up.turn_to(host, wire.contenders["epoll"])
        assert (port.driver, port.netns, port.name, port.addresses) == (
            "e1000e", "stackduel-server", "server0", ["198.18.0.2/24"])
        assert len([call for call in host.calls if "devbind" in call]) == 2
        assert up.port and len(up.port.rebinds) == 2
    assert host.state() == before


@pytest.mark.parametrize("last", ["epoll", "lwip"])
def test_a_killed_run_is_restored_from_either_driver(host: NicHost, last: str) -> None:
    before, wire = host.state(), fitted(host)
    made = provisioned(host, wire, ("epoll", "lwip"), "run", log=nothing)
    made.__enter__().turn_to(host, wire.contenders[last])
    assert journal.left_behind(host) and host.state() != before
    assert any("restore the NIC" in line for line in restore(host))
    assert host.state() == before


def test_a_failure_at_any_act_leaves_the_machine_as_it_was() -> None:
    for act in range(1, 200):
        host = NicHost()
        host.files["/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages"] = "200\n"
        before, wire = host.state(), fitted(host)
        host.fail_at = act
        try:
            with provisioned(host, wire, ("epoll", "lwip"), "run", log=nothing) as up:
                up.turn_to(host, wire.contenders["lwip"])
                done = len(host.calls)
        except MachineError:
            host.fail_at = 0
            restore(host)
            assert host.state() == before, f"after a failure of act {act}"
            continue
        assert act > done
        break
    assert act > 20


def test_lwip_alone_has_the_port_too(host: NicHost) -> None:
    before, wire = host.state(), fitted(host)
    with provisioned(host, wire, ("lwip",), "run", log=nothing) as up:
        assert host.exists("/run/netns/stackduel-server")
        up.turn_to(host, wire.contenders["lwip"])
        assert host.ports[SERVER].driver == "vfio-pci"
    assert host.state() == before


def test_a_driver_that_refuses_is_one_line_and_the_port_goes_home(host: NicHost) -> None:
    before, wire = host.state(), fitted(host)
    host.refuses = {"vfio-pci"}
    with pytest.raises(MachineError, match=r"could not be given to driver vfio-pci \(Error: bind failed"):
        with provisioned(host, wire, ("epoll", "lwip"), "run", log=nothing) as up:
            up.turn_to(host, wire.contenders["lwip"])
    assert host.state() == before


def test_without_a_link_the_run_ends_before_it_begins(host: NicHost) -> None:
    before, wire = host.state(), fitted(host)
    host.carrier = "0\n"
    with pytest.raises(MachineError, match="client0 of this machine has no link .*: plug in the cable"):
        with provisioned(host, wire, ("epoll",), "run", log=nothing):
            pass
    assert host.state() == before


def test_a_bifurcated_driver_stays_and_only_the_address_goes(host: NicHost) -> None:
    wire = fitted(host, replace(VFIO, driver="", mode="shared with its kernel driver"))
    assert wire.contenders["lwip"].endpoint.namespace == "stackduel-server"
    with provisioned(host, wire, ("epoll", "lwip"), "run", log=nothing) as up:
        up.turn_to(host, wire.contenders["lwip"])
        assert (host.ports[SERVER].driver, host.ports[SERVER].addresses) == ("e1000e", [])
        up.turn_to(host, wire.contenders["epoll"])
        assert host.ports[SERVER].addresses == ["198.18.0.2/24"]
    assert not [call for call in host.calls if "devbind" in call]


def test_the_ports_own_macs_are_the_wires(host: NicHost) -> None:
    wire = fitted(host)
    assert {each.endpoint.mac for each in wire.contenders.values()} == {host.nic(SERVER).mac}
    assert wire.emulated == "QEMU's e1000e"
    assert {each.client.endpoint.mac for each in wire.contenders.values()} == {host.nic(CLIENT).mac}


def test_one_port_cannot_be_both_ends(host: NicHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.provision.resolved_wire.find_nic", lambda host, text: host.nic(SERVER))
    with pytest.raises(UsageError, match="are the same port"):
        find_pair(host, NicRequest(nic=SERVER, client="if:enp2s0"))


def test_a_round_changes_driver_once(host: NicHost) -> None:
    plan = load_plan("quick", fitted(host), [0, 1], {"CONTENDERS": "epoll,lwip"})
    specs = schedule(plan)
    assert plan.by_contender and turns(specs) == plan.rounds + 1
    assert {(s.contender, s.connections, s.round) for s in specs} == {
        (s.contender, s.connections, s.round) for s in schedule(replace(plan, by_contender=False))}
    assert turns(schedule(replace(plan, by_contender=False))) > turns(specs)


def test_the_way_home_is_written_down_before_the_first_act(host: NicHost) -> None:
    with provisioned(host, fitted(host), ("epoll", "lwip"), "run", log=nothing):
        calls = host.calls
    written = next(i for i, call in enumerate(calls) if call.startswith(f"append {saved_state.state_file(SERVER)}"))
    recorded = next(i for i, call in enumerate(calls) if "restore_nic" in call and SERVER in call)
    acted = next(i for i, call in enumerate(calls) if "enp2s0 down" in call)
    assert recorded < written < acted
