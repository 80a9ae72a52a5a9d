# SPDX-License-Identifier: BSD-3-Clause
"""Energy of the packages, from a /sys as a machine with two sockets has it."""

from __future__ import annotations

import pytest

from harness.errors import MachineError
from harness.host import Energy, energy, joules
from harness.tests.fixtures.fake_host import FakeHost

POWERCAP = "/sys/class/powercap"
RANGE = 262143328850
ZONES = {"intel-rapl:0": ("package-0", 5_000_000), "intel-rapl:1": ("package-1", 7_000_000),
         "intel-rapl:0:0": ("core", 1_000_000), "intel-rapl:2": ("psys", 90_000_000),
         "intel-rapl-mmio:0": ("package-0", 5_000_001)}


def host() -> FakeHost:
    found = FakeHost()
    found.directories |= {f"{POWERCAP}/{zone}" for zone in ZONES}
    for zone, (name, counter) in ZONES.items():
        found.files |= {f"{POWERCAP}/{zone}/name": f"{name}\n",
                        f"{POWERCAP}/{zone}/energy_uj": f"{counter}\n",
                        f"{POWERCAP}/{zone}/max_energy_range_uj": f"{RANGE}\n"}
    return found


def test_each_package_counts_once_and_neither_its_parts_nor_the_platform() -> None:
    assert energy(host()) == {"package-0": Energy(5_000_000, RANGE),
                              "package-1": Energy(7_000_000, RANGE)}


def test_a_machine_that_does_not_tell_has_none_and_no_figure() -> None:
    assert energy(FakeHost()) == {} and joules({}, {}) is None
    locked = host()
    for zone in ("intel-rapl:0", "intel-rapl:1"):
        del locked.files[f"{POWERCAP}/{zone}/energy_uj"]
    with pytest.raises(MachineError):
        locked.read(f"{POWERCAP}/intel-rapl:0/energy_uj")
    assert energy(locked) == {}


def test_joules_are_the_sum_of_all_packages_also_over_the_end_of_a_counter() -> None:
    before = {"a": Energy(RANGE - 999_999, RANGE), "b": Energy(10, RANGE)}
    after = {"a": Energy(1_500_000, RANGE), "b": Energy(1_000_010, RANGE)}
    assert joules(before, after) == pytest.approx(3.5)
    assert joules(before, {"a": after["a"]}) is None
