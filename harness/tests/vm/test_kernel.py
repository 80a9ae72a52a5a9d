# SPDX-License-Identifier: BSD-3-Clause
"""What the machine around the virtual one need not have: kernel modules, vhost-net, netem, uio_pci_generic."""

from __future__ import annotations

import hashlib
import json
import os
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator, Mapping

import pytest

from harness.provision import resolve, with_tap
from harness.store import TrialRecord
from harness.trial.probe_protocol import expected_body
from harness.host import Host, LocalHost
from harness.provision.journal import DIRECTORY, Journal
from harness.provision.kernel_modules import Module
from harness.plan import load_plan, LoadPoint, TrialSpec
from harness.provision.provision import Provisioned, provisioned
from harness.tests.system.conftest import ROOT, TestBed
from harness.trial.trial import run_trial
from harness.provision.vhost import pin_worker
from harness.tests.fixtures.wires import bare_wire

pytestmark = pytest.mark.skipif("VM_NIC" not in os.environ, reason="needs the virtual machine: make vm-test")
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"


def loaded() -> set[str]:
    return {line.split()[0] for line in Path("/proc/modules").read_text().splitlines()}


@contextmanager
def wire_up(tmp_path: Path, settings: Mapping[str, str]) -> Iterator[tuple[TestBed, Provisioned]]:
    host, bare = LocalHost(), bare_wire("tap")
    given = {"WARMUP": "0", "DURATION": "2", "CONTENDERS": "epoll,lwip", **settings}
    plan = with_tap(host, bare, load_plan("quick", bare, host.cpus(), given))
    wire = resolve(host, bare, plan)
    with provisioned(host, wire, plan.contenders, "test", log=print) as up:
        yield TestBed(host, wire, plan, up, tmp_path), up


def measured(bed: TestBed, up: Provisioned, contender: str, raw: Path) -> TrialRecord:
    """The record of one trial."""
    return run_trial(bed.host, bed.wire, bed.plan, TrialSpec(contender, LoadPoint(16), 0, 1), 0, up, raw).record


def test_a_module_comes_with_what_it_stands_on_and_goes_with_it() -> None:
    host, before, step = LocalHost(), loaded(), Module("vhost_net", "this test", "/dev/vhost-net")
    assert not step.check(host) and "vhost_net" not in before
    journal = Journal(host, "test")
    journal.record(step.name, step.undo(host))
    step.up(host)
    assert {"vhost_net", "vhost", "tun"} <= loaded() and host.exists("/dev/vhost-net")
    assert Module("vhost_net", "another run").undo(host) == []
    assert journal.undo() == [] and loaded() == before and not host.exists(DIRECTORY)


def test_a_module_that_somebody_uses_by_now_stays() -> None:
    host, step = LocalHost(), Module("tun", "this test", "/dev/net/tun")
    journal = Journal(host, "test")
    journal.record(step.name, step.undo(host))
    step.up(host)
    host.run(["ip", "tuntap", "add", "dev", "another0", "mode", "tap"])
    with open("/dev/net/tun", "rb"):
        assert journal.undo() == [] and "tun" in loaded()
    host.run(["ip", "link", "del", "another0"])
    host.run(["rmmod", "tun"])


def test_tap_is_over_vhost_net_where_it_is(tmp_path: Path) -> None:
    before = loaded()
    with wire_up(tmp_path, {}) as (bed, up):
        assert bed.plan.tap == "vhost-net" and bed.wire.contenders["lwip"].link == "vhost-net"
        record = measured(bed, up, "lwip", tmp_path / "trial")
        assert record.valid, record.problems
        for size in (3700, 64 << 20):
            with bed.server("lwip", "--body-size", str(size), checked=False) as running, \
                    bed.connect(running, 60) as connection:
                connection.sendall(GET)
                file = connection.makefile("rb")
                assert file.read(len(HEAD % size)) == HEAD % size
                assert hashlib.sha256(file.read(size)).digest() == hashlib.sha256(expected_body(size)).digest()
                said = running.snapshot()
                # its packets are carried where CPU time is counted, and nowhere else
                pin_worker(bed.host, running.pid, [1])
                names = {thread: Path(f"/proc/{thread}/comm").read_text().strip() for thread in bed.host.listing("/proc")
                         if thread.isdecimal()}
                assert [os.sched_getaffinity(int(thread)) for thread, name in names.items()
                        if name == f"vhost-{running.pid}"] == [{1}]
        assert said and said.port["driver"] == "net_virtio_user" and "tx TCP_TSO" in said.port["offloads_granted"]
    assert not {"vhost_net", "tun"} & (loaded() - before)


def test_delay_is_on_both_directions_of_both_contenders(tmp_path: Path) -> None:
    with wire_up(tmp_path, {"NETEM": "delay 20ms", "TAP": "net_tap"}) as (bed, _):
        for name in ("epoll", "lwip"):
            with bed.server(name, checked=False) as running:
                said = bed.host.run(["ping", "-n", "-c", "3", "-i", "0.2", running.address],
                                    netns=bed.wire.client.namespace).stdout
            # never less than twice the delay
            assert float(said.splitlines()[-1].split("=")[1].split("/")[0]) >= 40, said
    assert "sch_netem" not in loaded()


def test_lost_packets_are_sent_again_and_no_errors(tmp_path: Path) -> None:
    with wire_up(tmp_path, {"NETEM": "delay 1ms loss 3%", "TAP": "net_tap", "BODY_SIZE": "20K"}) as (bed, up):
        for name in ("epoll", "lwip"):
            record = measured(bed, up, name, tmp_path / name)
            assert record.valid, record.problems
            assert (record.server or {})["retransmits"] > 0
            dropped = json.loads(bed.host.run(["tc", "-j", "-s", "-n", bed.wire.client.namespace, "qdisc", "show",
                                               "dev", bed.wire.client.interface]).stdout)[0]["drops"]
            assert dropped > 0


@contextmanager
def bound_to_uio(host: Host, nic: str) -> Iterator[None]:
    """Its DMA goes round the IOMMU meanwhile: uio tells an IOMMU nothing, which would stop every packet."""
    module, group = Module("uio_pci_generic", "this test"), Path(f"/sys/bus/pci/devices/{nic}/iommu_group").resolve()
    driver, domain = host.link_target(f"/sys/bus/pci/devices/{nic}/driver"), (group / "type").read_text().strip()
    journal = Journal(host, "test")
    journal.record(module.name, module.undo(host))
    module.up(host)
    try:
        host.write(f"/sys/bus/pci/devices/{nic}/driver/unbind", nic)
        host.write(group / "type", "identity")
        host.run(["dpdk-devbind.py", "--force", "-b", "uio_pci_generic", nic], timeout=60)
        yield
    finally:
        host.run(["dpdk-devbind.py", "--force", "-u", nic], timeout=60)
        host.write(group / "type", domain)
        host.run(["dpdk-devbind.py", "--force", "-b", driver, nic], timeout=60)
        assert journal.undo() == []


def test_a_nic_bound_to_uio_pci_generic_serves(tmp_path: Path) -> None:
    host, nic, port = LocalHost(), os.environ["VM_NIC"], os.environ["VM_CLIENT"]
    host.run(["ip", "netns", "add", "uio-client"])
    try:
        host.run(["ip", "link", "set", port, "netns", "uio-client"])
        for words in (["address", "add", "198.18.0.1/24", "dev", port], ["link", "set", port, "up"]):
            host.run(["ip", "-n", "uio-client", *words])
        with bound_to_uio(host, nic):
            said, complaints = tmp_path / "stdout", tmp_path / "stderr"
            server = host.spawn([str(ROOT / "build/lwip_server"), "--in-memory", "--file-prefix=uio", "--no-telemetry",
                                 "-a", nic, "--", "--address", "198.18.0.3", "--netmask", "255.255.255.0",
                                 "--port", "80"], cpus=[1], stdout=said, stderr=complaints)
            try:
                while "READY" not in said.read_text():
                    assert server.poll() is None, complaints.read_text()
                    time.sleep(0.1)
                load = host.run(["wrk", "-t1", "-c16", "-d2s", "http://198.18.0.3/"], netns="uio-client", timeout=60)
            finally:
                assert server.stop(10) == 0, complaints.read_text()
            counted = json.loads(said.read_text().splitlines()[-1])
        assert "Socket errors" not in load.stdout and "Non-2xx" not in load.stdout
        assert counted["responses_sent"] > 16 and counted["port"]["driver"].startswith(("net_e1000", "net_virtio"))
        assert not {"uio", "uio_pci_generic"} & loaded()
    finally:
        host.run(["ip", "netns", "del", "uio-client"])
