# SPDX-License-Identifier: BSD-3-Clause
"""Which cores serve and which load, on machines of many shapes."""

from __future__ import annotations

import pytest

from harness.provision.tuning.cpus import (choose_client_cpus, choose_server_cpus, isolated_cpus, node_cpus,
                                            prefer_isolated, smt_siblings)
from harness.host import parse_cpu_list
from harness.tests.fixtures.fake_host import FakeHost

# two nodes of two cores with two threads each: CPU n and n + 4 are one core
CPUS = list(range(8))
SIBLINGS = {cpu: [(cpu + 4) % 8] for cpu in CPUS}
NODE_1 = [2, 3, 6, 7]


@pytest.mark.parametrize("text, cpus", [("", []), ("\n", []), ("0-1\n", [0, 1]), ("0-2,5,7-8\n", [0, 1, 2, 5, 7, 8]),
                                        ("3", [3])])
def test_a_set_of_cpus_as_the_kernel_writes_it(text: str, cpus: list[int]) -> None:
    assert parse_cpu_list(text) == cpus


def test_what_the_machine_tells() -> None:
    host = FakeHost()
    cpu, node = "/sys/devices/system/cpu", "/sys/devices/system/node"
    assert (isolated_cpus(host), smt_siblings(host, 1), node_cpus(host, 0)) == ([], [], [])
    host.files.update({f"{cpu}/isolated": "2-3\n", f"{cpu}/cpu1/topology/thread_siblings_list": "1,5\n",
                       f"{node}/node0/cpulist": "0-1,4-5\n"})
    assert isolated_cpus(host) == [2, 3] and smt_siblings(host, 1) == [5]
    assert node_cpus(host, 0) == [0, 1, 4, 5] and node_cpus(host, -1) == []


@pytest.mark.parametrize("isolated, near, count, best_last", [
    ((), (), 1, [0, 1, 2, 3]),
    ((1,), (), 1, [0, 2, 3, 1]),
    ((1,), (2, 3), 1, [0, 1, 2, 3]),
    ((2,), (2, 3), 1, [0, 1, 3, 2]),
    ((2, 3), (2, 3), 2, [0, 1, 2, 3]),
    ((3,), (), 2, [3, 0, 1, 2]),
    ((7,), (), 1, [0, 1, 2, 3, 7]),
])
def test_near_before_isolated_before_the_last(isolated: tuple[int, ...], near: tuple[int, ...], count: int,
                                              best_last: list[int]) -> None:
    assert prefer_isolated(range(4), isolated, near, count) == best_last


@pytest.mark.parametrize("cpus, isolated, near, siblings, count, server", [
    ([0], [], [], {}, 1, (0,)),
    ([0, 1], [], [], {}, 1, (1,)),
    (CPUS, [], NODE_1, SIBLINGS, 1, (7,)),
    (CPUS, [], NODE_1, SIBLINGS, 2, (6, 7)),
    # more than the node has cores: a core elsewhere before a second thread of one
    (CPUS, [], NODE_1, SIBLINGS, 3, (5, 6, 7)),
    (CPUS, [], [], SIBLINGS, 5, (3, 4, 5, 6, 7)),
    # a process does not see isolated CPUs among its own
    ([0, 1, 4, 5], [2, 6], NODE_1, SIBLINGS, 1, (6,)),
    (CPUS, [2], NODE_1, SIBLINGS, 1, (2,)),
    # threads would not spread over isolated cores
    (CPUS, [6, 7], NODE_1, SIBLINGS, 2, (2, 3)),
])
def test_the_server_s_cores(cpus: list[int], isolated: list[int], near: list[int], siblings: dict[int, list[int]],
                            count: int, server: tuple[int, ...]) -> None:
    assert choose_server_cpus(cpus, isolated, near, siblings, count) == server


@pytest.mark.parametrize("cpus, isolated, server, siblings, client", [
    (CPUS, [], (7,), SIBLINGS, (0, 1, 2, 4, 5, 6)),
    (CPUS, [0, 1], (7,), SIBLINGS, (2, 4, 5, 6)),
    ([0, 1], [], (1,), {0: [1], 1: [0]}, (0,)),
    ([0, 1], [0], (1,), {}, (0,)),
    ([0], [], (0,), {}, (0,)),
])
def test_the_client_s_cores(cpus: list[int], isolated: list[int], server: tuple[int, ...],
                            siblings: dict[int, list[int]], client: tuple[int, ...]) -> None:
    assert choose_client_cpus(cpus, isolated, server, siblings) == client
