# SPDX-License-Identifier: BSD-3-Clause
"""What doctor says of machines that have everything, and of machines that lack one thing."""

from __future__ import annotations

import subprocess
import sys

import pytest

from harness.doctor.machine import MISSING, MODULES, NOTE, OK, Finding, bench_command, doctor, examine
from harness.host import LocalHost, Result
from harness.plan import load_wire, wire_names
from harness.provision.journal import DIRECTORY
from harness.provision.steps import ROOT
from harness.tests.fixtures.fake_host import PAGES, FakeHost

KERNELS = "; CONTENDERS=epoll,epoll-busypoll,epoll-mt,uring,nginx,nginx-mt,epoll-spin can run"
ON_SHM = KERNELS.replace("-spin ", "-spin,epoll-spin-both ")
DPDK = ("pkg-config", "--modversion", "libdpdk")


@pytest.fixture
def host() -> FakeHost:
    machine = FakeHost()
    machine.answers[DPDK] = Result(0, "22.11.4\n", "")
    machine.files["/proc/meminfo"] = "MemTotal:  8388608 kB\nMemAvailable:  4194304 kB\n"
    return machine


def finding(host: FakeHost, words: str) -> Finding:
    machine, wires = examine(host)
    return next(found for found in [*machine, *wires.values()] if words in found.thing)


def test_a_machine_with_everything(host: FakeHost, capsys: pytest.CaptureFixture[str]) -> None:
    host.files["/dev/vhost-net"] = ""
    assert doctor(host) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "ok       root" in lines
    assert ("ok       /dev/vhost-net: wire tap has its TAP by virtio-user over it, or as TAP=net_tap says") in lines
    assert "ok       wrk (/usr/bin/wrk)" in lines
    assert "ok       DPDK 22.11.4" in lines
    assert "ok       wire tap can run here: sudo make bench-tap" in lines
    assert all(line.startswith("ok ") for line in lines)


@pytest.mark.parametrize("missing, advice", [
    ("wrk", "`sudo make deps`, or install package wrk"),
    ("ip", "`sudo make deps`, or install package iproute2"),
    ("pkg-config", "`sudo make deps`, or install package pkg-config"),
    ("lwip_server", "run `make`"),
    ("tun", "`modprobe tun`, or in a container: --device /dev/net/tun --cap-add NET_ADMIN"),
])
def test_what_the_wire_needs(host: FakeHost, missing: str, advice: str,
                             capsys: pytest.CaptureFixture[str]) -> None:
    host.missing = {missing}
    assert doctor(host) == 3
    bad = [line for line in capsys.readouterr().out.splitlines() if line.startswith("missing ")]
    assert missing in bad[0] and bad[0].endswith(advice)
    if missing != "pkg-config":
        assert any(line.startswith("missing  wire tap: missing: ") and missing in line for line in bad[1:])


def test_a_missing_python_module(host: FakeHost) -> None:
    host.missing_modules = {"rich"}
    assert str(finding(host, "rich")) == ("missing  Python module rich: "
                                          "`sudo make deps`, or install package python3-rich")
    assert doctor(host) == 3


@pytest.mark.parametrize("answer, state", [
    (Result(1, "", "Package libdpdk was not found\n"), MISSING),
    (Result(0, "20.11.3\n", ""), MISSING),
    (Result(0, "21.8.0\n", ""), MISSING),
    (Result(0, "21.11.0-rc1\n", ""), OK),
    (Result(0, "23.11.1\n", ""), OK)])
def test_version_of_dpdk(host: FakeHost, answer: Result, state: str) -> None:
    host.answers[DPDK] = answer
    assert finding(host, "DPDK").state == state
    assert doctor(host) == (3 if state == MISSING else 0)


def test_without_root_it_says_so_and_goes_on(host: FakeHost) -> None:
    host.root = False
    assert finding(host, "root") == Finding(NOTE, "not root", "measuring needs sudo")
    assert doctor(host) == 0


def test_things_the_wire_does_without(host: FakeHost) -> None:
    host.cpu_list = [3]
    host.directories = {DIRECTORY}
    for words in ("one CPU", "no /dev/vhost-net", "no hugepages of 2048 KiB", "a killed run left"):
        assert finding(host, words).state == NOTE
    assert doctor(host) == 0


def test_hugepages(host: FakeHost) -> None:
    assert str(finding(host, "hugepages")) == (
        "ok       hugepages of 2048 KiB: 1 of 4 are free: "
        "a run asks the kernel for 95 more and gives them back")
    host.files[f"{PAGES}/free_hugepages"] = "96\n"
    assert finding(host, "hugepages").advice == ""


def test_reserved_hugepages_are_not_free(host: FakeHost) -> None:
    host.files |= {f"{PAGES}/nr_hugepages": "96\n", f"{PAGES}/free_hugepages": "96\n", f"{PAGES}/resv_hugepages": "90\n"}
    assert str(finding(host, "hugepages")) == (
        "ok       hugepages of 2048 KiB: 6 of 96 are free, 90 more are reserved: "
        "a run asks the kernel for 90 more and gives them back")


def test_several_lacks_have_a_line_each_and_who_can_run_without_is_named(host: FakeHost) -> None:
    host.missing = {"tun"}
    host.files["/proc/self/status"] = f"CapEff:\t{(1 << 41) - 1 - (1 << 12):x}\n"
    assert str(examine(host)[1]["tap"]).splitlines() == [
        "missing  wire tap:",
        "             missing: CAP_NET_ADMIN (namespaces and links); in a container: --cap-add NET_ADMIN",
        "             missing: /dev/net/tun (`modprobe tun`; in a container: --device /dev/net/tun), for contender 'lwip'"]
    del host.files["/proc/self/status"]
    assert str(examine(host)[1]["tap"]).splitlines()[-1] == (
        "missing  wire tap: missing: /dev/net/tun (`modprobe tun`; in a container: --device /dev/net/tun), "
        "for contender 'lwip'; CONTENDERS=epoll,epoll-busypoll,epoll-mt,uring,nginx,nginx-mt,epoll-spin can "
        "run")


def test_what_is_then_not_measured_is_said(host: FakeHost) -> None:
    host.no_io_uring = "forbidden"
    assert str(examine(host)[1]["tap"]) == (
        "note     wire tap can run here, without uring: io_uring is not to be had (forbidden); sudo make bench-tap")
    assert examine(host)[1]["shm-loadgen"].state == OK
    assert doctor(host) == 0


def test_hugepages_that_cannot_be_raised_are_no_promise(host: FakeHost) -> None:
    host.mounts_text = "30 25 0:26 / /sys ro - sysfs sysfs ro\n"
    assert str(finding(host, "hugepages")) == (
        "note     hugepages of 2048 KiB: only 1 are free and /sys is read-only here: make them outside "
        f"(`echo 99 > {PAGES}/nr_hugepages`); lwip_server runs without, and the report says so")


def test_shared_memory_cannot_do_without_hugepages(host: FakeHost) -> None:
    assert str(examine(host)[1]["shm"]) == "ok       wire shm can run here: sudo make bench-shm"
    del host.files[f"{PAGES}/nr_hugepages"], host.files[f"{PAGES}/free_hugepages"]
    host.directories.discard(PAGES)
    assert str(examine(host)[1]["shm"]) == (
        "missing  wire shm: contender 'lwip' of wire shm needs 96 hugepages of 2048 KiB (client and server share "
        "them; --no-huge gives no memory to share), and this kernel has no hugepages of 2048 KiB" + ON_SHM)
    assert doctor(host) == 0, "the main wire can run"


@pytest.mark.parametrize("missing", ["on-lwip", "libstackduel_preload.so"])
def test_what_a_client_of_its_own_needs(host: FakeHost, missing: str) -> None:
    host.missing = {missing}
    assert str(finding(host, f"build/{missing}")) == f"missing  build/{missing}: run `make`"
    assert examine(host)[1]["shm-loadgen"].state == OK
    assert str(examine(host)[1]["shm"]) == f"missing  wire shm: missing: build/{missing} (run `make`)" + ON_SHM
    assert finding(host, "wire tap").state == OK


def test_it_changes_nothing(host: FakeHost) -> None:
    before = host.state()
    doctor(host)
    assert host.state() == before and host.calls == ["run pkg-config --modversion libdpdk"]


def test_it_runs_with_the_bare_python_of_a_fresh_machine() -> None:
    script = ("import sys\n"
              f"for name in {list(MODULES)}: sys.modules[name] = None\n"
              "from harness.doctor.machine import doctor\n"
              "from harness.host import LocalHost\n"
              "sys.exit(doctor(LocalHost()))")
    result = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 3 and result.stderr == ""
    for module in MODULES:
        assert f"missing  Python module {module}" in result.stdout


@pytest.mark.parametrize("name", wire_names())
def test_the_command_that_is_advised_for_a_wire_is_one_that_make_has(name: str) -> None:
    sudo, *words = bench_command(load_wire(name)).split()
    done = LocalHost().run([*words, "-n", "-C", str(ROOT)], check=False)
    assert sudo == "sudo" and done.code == 0, done.stderr
    assert words[1:] == ["bench", "NIC=…", "CLIENT=…"] if name == "nic" else words[1].startswith("bench-")
