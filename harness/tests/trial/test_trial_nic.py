# SPDX-License-Identifier: BSD-3-Clause
"""A trial on a NIC: what its counters grew by stands in the record, and so does that it is emulated."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from harness.host import Result
from harness.plan import LoadPoint, load_plan, TrialSpec
from harness.provision.provision import Provisioned
from harness.tests.fixtures.serving_host import LoadingProcess, ServingHost
from harness.tests.trial.test_trial import Journal
from harness.store import TrialRecord
from harness.trial.trial import run_trial
from harness.tests.fixtures.wires import bare_wire
from harness.provision import ResolvedWire

TAP = bare_wire("tap")
NIC = replace(TAP, contenders={name: replace(each, end=replace(each.end, link="nic")) for name, each in TAP.contenders.items()})
CLIENT = ("ip", "netns", "exec", "stackduel-client", "ethtool", "-S", "client0")
SERVER = ("ip", "netns", "exec", "stackduel-server", "ethtool", "-S", "server0")


def counting(host: ServingHost, told: bool = True) -> None:
    """NICs whose counters stand at 5 when the load begins, and grow with every wrk."""
    seen = [0]

    def count(*_: Any) -> None:
        seen[0] += 1
        for argv in (CLIENT, SERVER):
            host.answers[argv] = Result(0, f"NIC statistics:\n rx_packets: {5 * seen[0]}\n rx_errors: 4\n", "")
        if host.serving is not None and "lwip" in host.serving.argv[0]:
            host.serving.counters["xstats"] = {"rx_good_packets": 7 * seen[0], "rx_missed_errors": seen[0] - 1,
                                               "tx_errors": 3} if told else None
    count()
    host.on_load = cast(Any, count)


def record(host: ServingHost, raw: Path, contender: str, wire: ResolvedWire = NIC) -> TrialRecord:
    up = Provisioned(wire, True, "", cast(Any, Journal(host)))
    plan = load_plan("quick", TAP, (0, 1), {})
    return run_trial(host, wire, plan, TrialSpec(contender, LoadPoint(8), 0, 1), 0, up, raw).record


def test_of_lwip_the_server_tells_and_of_the_client_the_kernel(tmp_path: Path) -> None:
    host = ServingHost()
    counting(host)
    found = record(host, tmp_path, "lwip")
    assert found.xstats == {"client": {"rx_packets": 5}, "server": {"rx_good_packets": 7, "rx_missed_errors": 1}}
    assert found.valid and found.emulated == ""
    assert not any("server0" in call for call in host.calls), "that interface is not there while lwIP has the NIC"


def test_of_the_kernel_contender_the_kernel_tells_of_both_ends(tmp_path: Path) -> None:
    host = ServingHost()
    counting(host)
    assert record(host, tmp_path, "epoll").xstats == {"client": {"rx_packets": 5}, "server": {"rx_packets": 5}}
    asked = [place for place, call in enumerate(host.calls) if "ethtool" in call]
    loads = [place for place, call in enumerate(host.calls) if "wrk" in call]
    assert len(asked) == 4 and loads[0] < asked[0] and asked[1] < loads[1] < asked[2], "just before and just after"


def test_a_server_whose_nic_does_not_tell_is_left_out(tmp_path: Path) -> None:
    host = ServingHost()
    counting(host, told=False)
    assert list(record(host, tmp_path, "lwip").xstats) == ["client"]


@pytest.mark.parametrize("contender", ["lwip", "epoll"])
def test_wires_without_a_nic_have_no_such_counters(tmp_path: Path, contender: str) -> None:
    host = ServingHost()
    counting(host)
    found = record(host, tmp_path, contender, TAP)
    assert found.xstats == {} and not any("ethtool" in call for call in host.calls)


def test_a_client_on_another_machine_is_not_asked_here(tmp_path: Path) -> None:
    host = ServingHost()
    counting(host)
    away = {name: replace(each, end=replace(each.end, client=replace(each.end.client, interface="")))
            for name, each in NIC.contenders.items()}
    assert list(record(host, tmp_path, "lwip", replace(NIC, contenders=away)).xstats) == ["server"]


def test_every_record_of_an_emulated_nic_says_so(tmp_path: Path) -> None:
    host = ServingHost()
    assert record(host, tmp_path, "lwip", replace(NIC, emulated="QEMU's e1000e")).emulated == "QEMU's e1000e"


def test_the_load_is_the_same_with_a_nic(tmp_path: Path) -> None:
    seen: list[LoadingProcess] = []
    host = ServingHost()
    host.on_load = seen.append
    record(host, tmp_path, "lwip")
    assert len(seen) == 2
