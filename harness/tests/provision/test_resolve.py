# SPDX-License-Identifier: BSD-3-Clause
"""The wire with a NIC as a machine has it: cores, the order that a run keeps, what cannot be compared."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness.provision.resolve import (cost_of_turns, nic_pair, planned_use, reached, requested, usable_cpus,
                                       with_cpus)
from harness.provision import ResolvedWire
from harness.errors import UsageError
from harness.plan.nic_request import NicRequest, from_settings, to_settings
from harness.plan import load_plan, schedule
from harness.store.store import Store
from harness.tests.fixtures import synthetic
from harness.tests.fixtures.nic_host import CLIENT, NicHost
from harness.tests.provision.nic.test_steps import fitted
from harness.plan import load_wire
from harness.plan import Wire

ORDER = NicRequest("enp2s0", "if:enp3s0", True, False, "max")


def isolating(wire: ResolvedWire) -> ResolvedWire:
    assert wire.nic is not None
    return replace(wire, nic=replace(wire.nic, order=replace(wire.nic.order, tune="fair")))


@pytest.fixture
def host() -> NicHost:
    made = NicHost()
    made.cpu_list = [0, 1, 2, 3]
    made.files["/sys/devices/system/cpu/isolated"] = "5\n"
    return made


def test_an_isolated_core_serves_and_the_client_has_the_others(host: NicHost) -> None:
    wire = isolating(fitted(host))
    assert usable_cpus(host, wire.nic) == [0, 1, 2, 3, 5]
    assert with_cpus(host, wire.nic, {"ROUNDS": "2"}) == {"ROUNDS": "2", "SERVER_CPUS": "5", "CLIENT_CPUS": "0,1,2,3"}
    for said in ({"SERVER_CPUS": "1"}, {"CLIENT_CPUS": "0"}):
        assert with_cpus(host, wire.nic, said) == said


def test_cores_are_left_alone_without_a_nic_or_tuning(host: NicHost) -> None:
    assert with_cpus(host, None, {}) == {} == with_cpus(host, fitted(host).nic, {})
    assert usable_cpus(host, None) == [0, 1, 2, 3]


def test_a_change_of_contender_with_the_same_driver_costs_nothing(host: NicHost) -> None:
    wire = fitted(host)

    def said(contenders: str) -> list[str]:
        plan = load_plan("quick", wire, host.cpu_list, {"CONTENDERS": contenders, "ROUNDS": "2"})
        return cost_of_turns(wire, plan, list(enumerate(schedule(plan))))
    assert said("epoll,uring") == []
    # a round and the next, turned round: epoll uring lwip, lwip uring epoll
    assert "so 2 changes of driver" in said("epoll,uring,lwip")[0]


def test_an_order_comes_back_from_the_facts(tmp_path: Path) -> None:
    assert from_settings(to_settings(ORDER)) == ORDER
    assert to_settings(NicRequest("a", "if:b")) == {"NIC": "a", "CLIENT": "if:b", "TUNE": "fair"}
    with pytest.raises(UsageError, match="does not say how the run was ordered"):
        from_settings({"NIC": "a"})
    plan = load_plan("quick", load_wire("nic"), [0, 1], {})
    facts = {**synthetic.facts("", ()), "run": "20261124-180000-nic"}
    store = Store.create(facts["run"], plan, {**facts, "nic": {"order": to_settings(ORDER)}}, tmp_path)
    before = Store.resume(store.run.id, tmp_path).run.facts.nic.order
    assert requested(NicRequest(), before) == ORDER
    assert requested(NicRequest("other"), before) == NicRequest("other")
    assert requested(ORDER, {}) == ORDER
    assert json.loads((store.run.path / "facts.json").read_text())["nic"]["order"]["FORCE"] == "1"


def test_an_unknown_level_of_tuning_is_one_line(host: NicHost) -> None:
    with pytest.raises(UsageError, match="TUNE=much: there are: none, fair, max"):
        nic_pair(host, load_wire("nic"), NicRequest(CLIENT, "if:enp3s0", tune="much"))


def test_a_client_here_needs_no_ssh(host: NicHost) -> None:
    with reached(host, ORDER) as sites:
        assert sites == ()
    with reached(host, NicRequest()) as sites:
        assert sites == () and host.calls == []


def test_memory_is_on_the_nics_node_where_its_cores_are(host: NicHost) -> None:
    wire = fitted(host)
    assert wire.nic is not None
    far = replace(wire, nic=replace(wire.nic, server=replace(wire.nic.server, numa_node=1)))
    host.files["/sys/devices/system/node/node1/cpulist"] = "2-3\n"
    for cpu, node in (("3", 1), ("1", None)):
        plan = load_plan("quick", far, host.cpu_list, {"SERVER_CPUS": cpu})
        assert planned_use(host, far, plan, ()).node == node
    assert planned_use(host, wire, plan, ()).node is None
