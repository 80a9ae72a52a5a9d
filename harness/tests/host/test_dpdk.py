# SPDX-License-Identifier: BSD-3-Clause
"""Where each distribution has DPDK's drivers, and what they say of themselves."""

from __future__ import annotations

import pytest

from harness.host import LocalHost, Result, driver_folders, network_drivers
from harness.tests.fixtures.fake_host import FakeHost

LIBDIR = ("pkg-config", "--variable=libdir", "libdpdk")


@pytest.mark.parametrize("libraries, folder", [
    ("/usr/lib/aarch64-linux-gnu", "dpdk/pmds-23.0"), ("/usr/lib64", "dpdk-pmds"),
    ("/usr/local/lib64", "dpdk/pmds-23.2")])
def test_the_folder_is_where_eal_looks(libraries: str, folder: str) -> None:
    host = FakeHost()
    for name in (folder, "dpdk/pmds-22.0"):
        host.files[f"{libraries}/{name}/librte_net_tap.so"] = ""
        host.directories.add(f"{libraries}/{name}")
    assert driver_folders(host, f"{libraries}/librte_eal.so.23") == [f"{libraries}/{folder}"]


def test_drivers_are_read_from_fedoras_folder() -> None:
    host = FakeHost()
    host.files["/usr/lib64/dpdk-pmds/librte_net_tap.so.24"] = ""
    host.answers[LIBDIR] = Result(0, "/usr/lib64\n", "")
    host.answers[("grep",)] = Result(0, 'PMD_INFO_STRING= {"name": "net_tap", "pci_ids": []}\0', "")
    assert network_drivers(host) == [{"name": "net_tap", "pci_ids": []}]
    assert host.calls[-1].endswith(" /usr/lib64/dpdk-pmds")


def test_without_a_folder_they_are_in_the_program() -> None:
    host = FakeHost()
    host.answers[LIBDIR] = Result(0, "/usr/lib\n", "")
    assert network_drivers(host) == [] and not any("grep" in call for call in host.calls)
    host.answers[("grep",)] = Result(0, 'PMD_INFO_STRING= {"name": "net_vhost"}\0', "")
    assert network_drivers(host, ["/x/build/lwip_server"]) == [{"name": "net_vhost"}]
    assert host.calls[-1].endswith(" /x/build/lwip_server")


def test_this_machines_dpdk_has_the_drivers_of_our_wires() -> None:
    names = {driver["name"] for driver in network_drivers(LocalHost())}
    assert {"net_tap", "net_virtio_user", "net_vhost", "net_af_packet", "net_af_xdp"} <= names
