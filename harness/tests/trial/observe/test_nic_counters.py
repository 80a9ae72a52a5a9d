# SPDX-License-Identifier: BSD-3-Clause
"""Counters of NICs by their drivers' names: which tell of a loss, which do not, and how much was lost."""

from __future__ import annotations

import pytest

from harness.trial.observe import cpu as collect
from harness.host import Result
from harness.tests.fixtures.fake_host import FakeHost
from harness.host.host import parse_ethtool
from harness.trial.observe.nic_counters import added, grown, losses, lost_share

# driver and name as met: DPDK's ethdev, e1000e, ixgbe, i40e, mlx5, virtio-net, vmxnet3
LOST = {
    "rx_missed_errors": "missed 7 packets", "rx_missed_packets": "missed 7 packets", "imissed": "missed 7 packets",
    "rx_mbuf_allocation_errors": "had no buffer for 7 packets", "rx_nombuf": "had no buffer for 7 packets",
    "rx_no_buffer_count": "had no buffer for 7 packets", "no_mbuf": "had no buffer for 7 packets",
    "alloc_rx_buff_failed": "had no buffer for 7 packets", "rx_alloc_failed": "had no buffer for 7 packets",
    "rx_out_of_buffer": "had no buffer for 7 packets", "rx_no_dma_resources": "had no buffer for 7 packets",
    "rx_fifo_errors": "overran its own memory with 7 packets",
    "rx_over_errors": "overran its own memory with 7 packets",
    "tx_timeout_count": "had its transmission stand still 7 times",
    "tx_queue_0_tx_timeouts": "had its transmission stand still 7 times",
    "port.rx_dropped": "dropped 7 packets", "rx_queue_0_drops": "dropped 7 packets",
    "rx_discards_phy": "dropped 7 packets", "drv dropped tx total": "dropped 7 packets",
    "rx_q0_errors": "had errors with 7 packets", "rx_crc_errors": "had errors with 7 packets",
    "rx_wqe_err": "had errors with 7 packets", "tx_errors": "had errors with 7 packets",
    "rx_dma_failed": "had errors with 7 packets", "uncorr_ecc_errors": "had errors with 7 packets",
}
KEPT = ("rx_good_packets", "tx_good_bytes", "rx_q0_packets", "fdir_miss", "fdir_match", "rx_csum_offload_good",
        "tx_multi_collision_count", "rx_long_byte_count", "rx_flow_control_xoff", "hw_timestamps", "interrupts",
        "tx_hwtstamp_timeouts", "corr_ecc_errors", "dropped_smbus", "rx_size_64_packets", "failover_count", "tx_tcp_seg_good")


@pytest.mark.parametrize("name, says", LOST.items())
def test_a_counter_of_losses_is_known_by_its_name(name: str, says: str) -> None:
    assert [loss.sentence for loss in losses({name: 7})] == [f"{says} ({name})"]


@pytest.mark.parametrize("name", KEPT)
def test_other_counters_are_not(name: str) -> None:
    assert losses({name: 7}) == []


def test_the_largest_loss_comes_first_and_none_is_no_loss() -> None:
    found = losses({"rx_errors": 2, "rx_missed_errors": 1_234, "tx_errors": 0, "rx_dropped": -3, "rx_good_packets": 9})
    assert [loss.sentence for loss in found] == [
        "missed 1,234 packets (rx_missed_errors)", "had errors with 2 packets (rx_errors)"]
    assert losses({"rx_missed_errors": 1})[0].sentence == "missed 1 packet (rx_missed_errors)"


def test_the_share_is_of_one_counter_as_drivers_count_a_packet_twice() -> None:
    assert lost_share({"rx_missed_errors": 100, "rx_errors": 100, "rx_good_packets": 900}, 10) == 0.1
    assert lost_share({"rx_missed_errors": 100}, 900) == 0.1
    assert lost_share({"rx_good_packets": 900}, 10) == 0.0
    assert lost_share({"tx_timeout_count": 100}, 900) == 0.0, "times are no packets"
    assert lost_share({}, 0) == 0.0


def test_only_what_changed_is_kept() -> None:
    assert grown({"a": 5, "b": 7, "c": 1}, {"b": 7, "a": 9, "c": 0, "d": 2, "e": 0}) == {"a": 4, "c": -1, "d": 2}
    assert added([{"a": 1, "b": 2}, {"a": 3}]) == {"a": 4, "b": 2}


ETHTOOL = """NIC statistics:
     rx_packets: 12
     tx queue 0: drops: 3
     hw_name: x540
     rx_missed_errors: 0
"""


def test_ethtools_lines_are_read() -> None:
    assert parse_ethtool(ETHTOOL) == {"rx_packets": 12, "tx queue 0: drops": 3, "rx_missed_errors": 0}
    assert parse_ethtool("no stats available\n") == {}


def test_the_kernel_is_asked_in_the_interfaces_namespace() -> None:
    host = FakeHost()
    host.answers[("ip", "netns", "exec", "there", "ethtool", "-S", "server0")] = Result(0, ETHTOOL, "")
    assert host.nic_statistics("there", "server0")["rx_packets"] == 12
    host.answers[("ip", "netns", "exec", "there", "ethtool", "-S", "lo")] = Result(94, "", "no stats available\n")
    assert host.nic_statistics("there", "lo") == {}


def test_a_servers_counters_are_not_choked_by_those_of_its_nic() -> None:
    before = {"accepts": 1, "xstats": {"rx_good_packets": 5}}
    assert collect.counters_difference(before, {"accepts": 3, "xstats": {"rx_good_packets": 9}}) == {"accepts": 2}
    assert collect.counters_difference(before, {"accepts": 3, "xstats": None}) == {"accepts": 2}
