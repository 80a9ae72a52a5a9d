# SPDX-License-Identifier: BSD-3-Clause
"""A kernel interface is tuned as asked, within what its driver has; a refusal is recorded and no failure."""

from __future__ import annotations

import pytest

from harness.host import DryRun, Result
from harness.tests.fixtures.ethtool_host import PCI, EthtoolHost
from harness.tests.fixtures.fake_host import FakeHost
from harness.provision.tuning import Tuned, tune_interface


def tuned(host: FakeHost, *cpus: int, level: str = "fair") -> dict[str, tuple[str | None, str]]:
    """What was got and why not more, by what."""
    return {entry.what: (entry.got, entry.why)
            for entry in tune_interface(host, None, "server0", PCI, level, cpus)}


def acts(host: FakeHost) -> list[str]:
    shows = ("ethtool -l", "ethtool -g", "ethtool -c", "ethtool -a")
    return [call for call in host.calls if not any(words in call for words in shows)]


def test_at_level_none_nothing_is_looked_at() -> None:
    host = EthtoolHost()
    assert tune_interface(host, None, "server0", PCI, "none", [1]) == [] and host.calls == []


def test_everything_in_its_order() -> None:
    host = EthtoolHost()
    entries = tune_interface(host, None, "server0", PCI, "fair", [2, 3])
    assert entries == [
        Tuned("channels", "combined 2", "combined 2", ""),
        Tuned("rings", "rx 1024 tx 1024", "rx 1024 tx 1024", ""),
        Tuned("coalescing, rx", "adaptive-rx off rx-usecs 10", "adaptive-rx off rx-usecs 10", ""),
        Tuned("coalescing, tx", "adaptive-tx off tx-usecs 10", "adaptive-tx off tx-usecs 10", ""),
        Tuned("flow control", "autoneg off rx off tx off", "autoneg off rx off tx off", ""),
        Tuned("interrupts", "spread over CPUs 2, 3", "server0-TxRx-0 on 2, server0-TxRx-1 on 3, server0 on 2", ""),
    ]
    assert acts(host) == [
        "run ethtool -L server0 combined 2", "run ethtool -G server0 rx 1024 tx 1024",
        "run ethtool -C server0 adaptive-rx off rx-usecs 10", "run ethtool -C server0 adaptive-tx off tx-usecs 10",
        "run ethtool -A server0 autoneg off rx off tx off", "run ip link set dev server0 up",
        *(f"write /proc/irq/{irq}/smp_affinity_list {cpu}" for irq, cpu in ((40, 2), (41, 3), (42, 2)))]


def test_what_is_so_already_is_not_done_again() -> None:
    host = EthtoolHost()
    first = tuned(host, 2, 3)
    host.calls.clear()
    assert tuned(host, 2, 3) == first and acts(host) == ["run ip link set dev server0 up"]


def test_receive_and_transmit_channels_apart() -> None:
    host = EthtoolHost()
    host.now["channels"], host.most["channels"] = {"rx": "4", "tx": "4"}, {"rx": "4", "tx": "4"}
    assert tuned(host, 1, 2)["channels"] == ("rx 2 tx 2", "the driver has no combined")


def test_more_than_the_driver_has_is_its_most() -> None:
    host = EthtoolHost()
    host.most = {"channels": {"combined": "1"}, "rings": {"rx": "256", "tx": "4096"}}
    host.now["channels"] = {"combined": "1"}
    found = tuned(host, 1, 2)
    assert found["channels"] == ("combined 1", "the driver's most of combined is 1")
    assert found["rings"] == ("rx 256 tx 1024", "the driver's most of rx is 256")


def test_what_the_driver_does_not_know_is_left_out() -> None:
    host = EthtoolHost()
    host.now["coalescing"] = {"rx-usecs": "3"}
    found = tuned(host, 1)
    assert found["coalescing, rx"] == ("rx-usecs 10", "the driver has no adaptive-rx")
    assert found["coalescing, tx"] == ("", "the driver has no adaptive-tx; the driver has no tx-usecs")
    assert "run ethtool -C server0 rx-usecs 10" in host.calls


def test_refusals_are_recorded_each_by_itself() -> None:
    host = EthtoolHost()
    host.now = {"pause": host.now["pause"]}
    host.refuses = {"autoneg", "rx"}
    found = tuned(host, 1)
    refused = "netlink error: Operation not supported"
    assert found["channels"] == ("", f"`ethtool -L server0 combined 1`: {refused}")
    assert found["rings"] == ("", f"`ethtool -G server0 rx 1024 tx 1024`: {refused}")
    assert found["flow control"] == ("autoneg on rx on tx on", "; ".join(
        f"`ethtool -A server0 {words}`: {refused}" for words in ("autoneg off rx off tx off", "rx off tx off")))
    assert found["interrupts"] == ("server0-TxRx-0 on 1, server0-TxRx-1 on 1, server0 on 1", "")


def test_pause_frames_stop_where_autonegotiation_must_stay() -> None:
    host = EthtoolHost()
    host.refuses = {"autoneg"}
    assert tuned(host, 1)["flow control"] == (
        "autoneg on rx off tx off",
        "`ethtool -A server0 autoneg off rx off tx off`: netlink error: Operation not supported")


def test_what_a_driver_takes_and_forgets_is_said() -> None:
    class Forgets(EthtoolHost):
        def _set(self, name: str, wanted: object) -> Result:
            return Result(0, "", "")
    assert tuned(Forgets(), 1)["rings"] == ("rx 512 tx 512", "rx tx did not take")


def test_a_queue_s_interrupts_are_on_one_cpu_whatever_they_are_called() -> None:
    host = EthtoolHost()
    host.names = {"40": "virtio1-config", "41": "virtio1-input.0", "42": "virtio1-output.0",
                  "43": "mlx5_comp1@pci:0000:02:00.0", "44": "i40e-server0-TxRx-2"}
    host.files.update({f"/sys/bus/pci/devices/{PCI}/msi_irqs/{irq}": "msix\n" for irq in host.names})
    assert tuned(host, 5, 6)["interrupts"] == (
        "virtio1-config on 5, virtio1-input.0 on 5, virtio1-output.0 on 5, mlx5_comp1@pci:0000:02:00.0 on 6, "
        "i40e-server0-TxRx-2 on 5", "")


def test_a_card_without_msi_has_one_line() -> None:
    host = EthtoolHost()
    host.names = {"21": "server0"}
    host.files = {path: text for path, text in host.files.items() if "msi_irqs" not in path}
    host.files[f"/sys/bus/pci/devices/{PCI}/irq"] = "21\n"
    assert tuned(host, 1)["interrupts"] == ("server0 on 1", "")


def test_interrupts_that_the_kernel_keeps_for_itself() -> None:
    class Managed(EthtoolHost):
        def write(self, path: object, text: str) -> None:
            self.fail_at = len(self.calls) + 1
            super().write(str(path), text)
    got, why = tuned(Managed(), 1)["interrupts"]
    assert got == "server0-TxRx-0 on 0-3, server0-TxRx-1 on 0-3, server0 on 0-3"
    assert why.count("scripted failure") == 3


def test_a_device_without_interrupts_is_no_failure() -> None:
    host = FakeHost()
    host.files["/proc/interrupts"] = "      CPU0\n  1:  9  IO-APIC 1-edge  i8042\n"
    assert tuned(host, 1)["interrupts"] == ("", f"the kernel shows no interrupt of {PCI}")


@pytest.mark.parametrize("failing", range(1, 40))
def test_a_failure_at_any_act_is_at_most_a_refusal(failing: int) -> None:
    whole = EthtoolHost()
    tuned(whole, 2, 3)
    host = EthtoolHost()
    host.fail_at = failing
    entries = tune_interface(host, None, "server0", PCI, "fair", [2, 3])
    assert len(entries) == 6
    assert any(entry.why for entry in entries) == (failing <= len(whole.calls))


def test_a_rehearsal_prints_every_command() -> None:
    base, printed = EthtoolHost(), []  # type: ignore[var-annotated]
    base.answers[("ip", "netns", "exec", "stackduel-server")] = Result(1, "", "Cannot open network namespace\n")
    tune_interface(DryRun(base, printed.append), "stackduel-server", "server0", PCI, "fair", [1])
    inside = "ip netns exec stackduel-server"
    assert printed == [
        f"{inside} ethtool -L server0 combined 1", f"{inside} ethtool -G server0 rx 1024 tx 1024",
        f"{inside} ethtool -C server0 adaptive-rx off rx-usecs 10",
        f"{inside} ethtool -C server0 adaptive-tx off tx-usecs 10",
        f"{inside} ethtool -A server0 autoneg off rx off tx off", f"{inside} ip link set dev server0 up"]
