# SPDX-License-Identifier: BSD-3-Clause
"""What ethtool shows is read, saved and given back; only what differs is touched."""

from __future__ import annotations

import copy

import pytest

from harness.provision.tuning import ethtool
from harness.errors import MachineError
from harness.host import Result
from harness.tests.fixtures.ethtool_host import EthtoolHost
from harness.tests.fixtures.fake_host import FakeHost

AFFINITY = "/proc/irq/{}/smp_affinity_list"


# e1000e of Linux 6.1 by ethtool 6.1; channels of a veth
RECORDED = {
    "-g": """Ring parameters for eth0:
Pre-set maximums:
RX:\t\t4096
RX Mini:\tn/a
RX Jumbo:\tn/a
TX:\t\t4096
Current hardware settings:
RX:\t\t256
RX Mini:\tn/a
RX Jumbo:\tn/a
TX:\t\t256
RX Buf Len:\t\tn/a
CQE Size:\t\tn/a
TX Push:\toff
TCP data split:\tn/a
""",
    "-l": """Channel parameters for v0:
Pre-set maximums:
RX:\t\t2
TX:\t\t2
Other:\t\tn/a
Combined:\tn/a
Current hardware settings:
RX:\t\t1
TX:\t\t1
Other:\t\tn/a
Combined:\tn/a
""",
    "-c": """Coalesce parameters for eth0:
Adaptive RX: n/a  TX: n/a
stats-block-usecs: n/a
sample-interval: n/a
pkt-rate-low: n/a
pkt-rate-high: n/a

rx-usecs: 3
rx-frames: n/a
rx-usecs-irq: n/a
rx-frames-irq: n/a

tx-usecs: n/a
tx-frames: n/a
tx-usecs-irq: n/a
tx-frames-irq: n/a

rx-usecs-low: n/a
rx-frame-low: n/a
tx-usecs-low: n/a
tx-frame-low: n/a

rx-usecs-high: n/a
rx-frame-high: n/a
tx-usecs-high: n/a
tx-frame-high: n/a

CQE mode RX: n/a  TX: n/a

""",
    "-a": """Pause parameters for eth0:
Autonegotiate:\ton
RX:\t\ton
TX:\t\ton

""",
}


@pytest.fixture
def host() -> EthtoolHost:
    return EthtoolHost()


def changes(host: FakeHost) -> list[str]:
    """Acts that set something."""
    return [call for call in host.calls if call.startswith("write") or any(
        f"ethtool {group.set} " in call for group in ethtool.GROUPS.values())]


def test_what_a_driver_says_of_rings_channels_coalescing_and_pause() -> None:
    host = FakeHost()
    host.answers = {("ethtool", option): Result(0, text, "") for option, text in RECORDED.items()}
    assert ethtool.Interface(host, None, "eth0").show("rings") == ethtool.Shown(
        {"rx": "256", "tx": "256", "tx-push": "off"}, {"rx": 4096, "tx": 4096})
    assert ethtool.Interface(host, None, "eth0").show("channels") == ethtool.Shown({"rx": "1", "tx": "1"}, {"rx": 2, "tx": 2})
    assert ethtool.Interface(host, None, "eth0").show("coalescing") == ethtool.Shown({"rx-usecs": "3"}, {})
    assert ethtool.Interface(host, None, "eth0").show("pause") == ethtool.Shown(
        {"autoneg": "on", "rx": "on", "tx": "on"}, {})


def test_nothing_is_shown_where_the_driver_has_nothing() -> None:
    host = FakeHost()
    host.answers = {("ethtool",): Result(75, "", "netlink error: Operation not supported\n"),
                    ("ethtool", "--json"): Result(75, "[ ]\n", "netlink error: Operation not supported\n")}
    assert all(ethtool.Interface(host, None, "eth0").show(group) == ethtool.Shown({}, {}) for group in ethtool.GROUPS)
    assert ethtool.Interface(host, None, "eth0").settings() == {"irqs": {}}


def test_features_that_cannot_change_or_are_sums_are_not_saved(host: EthtoolHost) -> None:
    assert ethtool.Interface(host, None, "server0").settings()["offloads"] == {"rx-gro-hw": "on"}


def test_a_setting_in_a_namespace_is_asked_for_there(host: EthtoolHost) -> None:
    assert ethtool.Interface(host, "stackduel-server", "server0").show("rings").now == {"rx": "512", "tx": "512"}
    assert host.calls == ["run ip netns exec stackduel-server ethtool -g server0"]


def test_nothing_is_touched_where_nothing_differs(host: EthtoolHost) -> None:
    host.link_up()
    before = ethtool.Interface(host, None, "server0").settings()
    assert before["irqs"] == {"40": "0-3", "41": "0-3", "42": "0-3"}
    assert ethtool.Interface(host, None, "server0").restore(before) == [] and changes(host) == []


def test_what_differs_is_given_back_channels_first(host: EthtoolHost) -> None:
    host.link_up()
    before, was = ethtool.Interface(host, None, "server0").settings(), copy.deepcopy(host.now)
    host.now["rings"]["rx"], host.now["channels"]["combined"] = "1024", "1"
    host.now["coalescing"].update({"adaptive-rx": "off", "rx-usecs": "10"})
    host.now["pause"] = {"autoneg": "off", "rx": "off", "tx": "off"}
    host.now["offloads"]["rx-gro-hw"] = "off"
    host.files[AFFINITY.format(41)] = "2\n"
    assert ethtool.Interface(host, None, "server0").restore(before) == [] and host.now == was
    assert changes(host) == [
        "run ethtool -L server0 combined 8", "run ethtool -G server0 rx 512",
        "run ethtool -C server0 adaptive-rx on rx-usecs 50", "run ethtool -A server0 autoneg on rx on tx on",
        "run ethtool -K server0 rx-gro-hw on", f"write {AFFINITY.format(41)} 0-3"]


def test_what_was_not_saved_is_left_alone(host: EthtoolHost) -> None:
    assert ethtool.Interface(host, None, "server0").restore({}) == [] and changes(host) == []


def test_interrupts_that_were_not_there_get_what_a_new_one_has(host: EthtoolHost) -> None:
    before = ethtool.Interface(host, None, "server0").settings()
    assert before["irqs"] == {"40": "", "41": "", "42": ""}
    host.link_up()
    host.files[AFFINITY.format(40)] = "1\n"
    assert ethtool.Interface(host, None, "server0").restore(before) == []
    assert changes(host) == [f"write {AFFINITY.format(40)} 0,1,2,3"]


def test_an_interrupt_of_somebody_else_is_left_alone(host: EthtoolHost) -> None:
    before = {"irqs": {"7": "0"}}
    host.files[AFFINITY.format(7)] = "1\n"
    assert ethtool.Interface(host, None, "server0").restore(before) == [] and changes(host) == []


def test_what_fails_is_said_and_the_rest_is_done(host: EthtoolHost) -> None:
    host.link_up()
    before = ethtool.Interface(host, None, "server0").settings()
    host.now["rings"]["rx"], host.now["channels"]["combined"] = "1024", "1"
    host.refuses = {"combined"}
    assert ethtool.Interface(host, None, "server0").restore(before) == [
        "`ethtool -L server0 combined 8`: netlink error: Operation not supported"]
    assert host.now["rings"]["rx"] == "512"


def test_each_act_may_fail_and_be_repeated(host: EthtoolHost) -> None:
    host.link_up()
    before, was = ethtool.Interface(host, None, "server0").settings(), copy.deepcopy(host.now)
    for failing in range(1, 40):
        host.now["rings"]["rx"], host.now["channels"]["combined"] = "1024", "1"
        host.files[AFFINITY.format(41)] = "2\n"
        host.calls.clear()
        host.fail_at = failing
        try:
            failed = ethtool.Interface(host, None, "server0").restore(before)
        except MachineError:
            failed = ["a question failed"]
        if len(host.calls) < failing:
            break
        assert failed
        host.fail_at = 0
        assert ethtool.Interface(host, None, "server0").restore(before) == [] and host.now == was
        assert host.files[AFFINITY.format(41)].strip() == "0-3"
    assert 8 < failing < 39
