# SPDX-License-Identifier: BSD-3-Clause
"""Which bytes were measured: programs, libraries, DPDK's drivers; null for what is not there."""

from __future__ import annotations

import hashlib

from harness.facts.binaries import binaries
from harness.provision import ROOT
from harness.host import LocalHost, Result
from harness.tests.fixtures.fake_host import FakeHost

LDD = """\tlinux-vdso.so.1 (0x00007ffd)
\tlibc.so.6 => /lib/libc.so.6 (0x00007f00)
\tlibgone.so => not found
\tlibrte_eal.so.23 => /lib/librte_eal.so.23 (0x00007f01)
\t/lib64/ld-linux-x86-64.so.2 (0x00007f02)
"""


def machine() -> FakeHost:
    host = FakeHost()
    server = str(ROOT / "build/lwip_server")
    host.answers[("ldd", server)] = Result(0, LDD, "")
    drivers = "/lib/dpdk/pmds-23.0"
    for file in (server, "/lib/libc.so.6", "/lib/librte_eal.so.23", "/lib64/ld-linux-x86-64.so.2",
                 f"{drivers}/librte_net_tap.so", f"{drivers}/librte_net_tap.so.23",
                 "/lib/dpdk/pmds-22.0/librte_net_tap.so"):
        host.files[file] = ""
    host.directories |= {drivers, "/lib/dpdk/pmds-22.0"}
    host.digests = {"lwip_server": "aa", "libc.so.6": "bb", "librte_net_tap.so": "cc"}
    return host


def test_a_program_with_its_libraries_and_the_drivers_of_its_dpdk() -> None:
    found = binaries(machine(), ["build/lwip_server"])
    assert found["programs"] == {"build/lwip_server": {"path": "build/lwip_server", "sha256": "aa"}}
    assert list(found["libraries"]) == ["/lib/dpdk/pmds-23.0/librte_net_tap.so", "/lib/libc.so.6",
                                        "/lib/librte_eal.so.23", "/lib64/ld-linux-x86-64.so.2"]
    assert found["libraries"]["/lib/libc.so.6"] == "bb" and found["libraries"]["/lib/dpdk/pmds-23.0/librte_net_tap.so"] == "cc"


def test_what_is_not_there_is_null() -> None:
    host = machine()
    host.missing |= {"wrk", "absent"}
    assert binaries(host, ["wrk", "build/absent"]) == {
        "programs": {"build/absent": {"path": "build/absent", "sha256": None}, "wrk": {"path": None, "sha256": None}},
        "libraries": {}}


def test_on_this_machine_the_hash_is_that_of_the_file() -> None:
    found = binaries(LocalHost(), ["sh"])
    path = found["programs"]["sh"]["path"]
    with open(path, "rb") as file:
        assert found["programs"]["sh"]["sha256"] == hashlib.sha256(file.read()).hexdigest()
    assert any("libc.so" in library for library in found["libraries"])
    assert all(len(digest) == 64 for digest in found["libraries"].values())
