# SPDX-License-Identifier: BSD-3-Clause
"""What faces the network is built so that a mistake in it is harder to use."""

from __future__ import annotations

import platform
import subprocess

import pytest

from harness.tests.system.conftest import ROOT

PROGRAMS = ("epoll_server", "uring_server", "lwip_server", "libstackduel_preload.so")


def said(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_is_hardened(program: str) -> None:
    path = str(ROOT / "build" / program)
    headers, dynamic, symbols = said("readelf", "-hlW", path), said("readelf", "-dW", path), said("nm", "-D", path)
    assert "DYN" in headers and "GNU_RELRO" in headers
    stack = next(line for line in headers.splitlines() if "GNU_STACK" in line)
    assert "RWE" not in stack
    assert "NOW" in dynamic
    assert "__stack_chk_fail" in symbols
    if not program.endswith(".so"):
        assert "__snprintf_chk" in symbols or "__fprintf_chk" in symbols
    if platform.machine() == "x86_64":
        # a handful are the C library's own
        assert said("objdump", "-d", "--no-show-raw-insn", path).count("endbr64") > 10
